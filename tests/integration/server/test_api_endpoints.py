"""Every endpoint of the API as one asks it, its answers held against the schemas that it declares."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest
from serving import THEORY, until

from reana_lite.server.api.endpoint import validator
from reana_lite.server.api.schemas import COMPONENTS


@pytest.fixture
def alice(world):
    """alice's client, on the API."""
    return Asking(world.client("alice"))


class Asking:
    """Ask the API and look at the status, too."""

    def __init__(self, client):
        self.client = client

    def __call__(self, method, path, status=200, **more):
        answer = self.client.open(f"/api/v1{path}", method=method, buffered=True, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:1000]}"
        if status >= 400:
            validator(COMPONENTS["Error"]).validate(answer.json)
        return answer

    def get(self, path, **more):
        return self("GET", path, **more).json

    def post(self, path, json=None, status=201, **more):
        return self("POST", path, status, json=json or {}, **more).json


@pytest.fixture
def done(world, alice):
    """A run that is finished."""
    run = alice.post("/runs", {"analysis": "tiny", "parameters": {"n": 3}})
    world.drive()
    return run["id"]


@pytest.fixture
def counted(world, alice):
    """A run with a result document."""
    digest = alice("POST", "/theories", 201, data={"file": (io.BytesIO(THEORY), "gluino.yml")}).json["items"][0][
        "digest"
    ]
    asked = {"analysis": "counting", "theories": [digest], "parameters": {"n_events": 200, "blocks": [1]}}
    run = alice.post("/runs", asked)
    world.drive()
    return run["id"]


# -- catalogue -----------------------------------------------------------------------------------------------------------


def test_catalogue(alice) -> None:
    names = {row["name"] for row in alice.get("/analyses")["items"]}
    assert {"tiny", "counting"} <= names
    assert [row["name"] for row in alice.get("/analyses?q=shell")["items"]] == ["tiny"]
    tiny = alice.get("/analyses/tiny")
    assert tiny["parameters"]["properties"]["word"]["enum"] == ["hello", "good bye"]
    assert tiny["references"][0]["arxiv"] == "2010.14293"
    assert set(alice.get("/analyses/counting")["scans"]["gluino"]["axes"]) == {"m_gluino", "m_lsp"}
    alice("GET", "/analyses/nothing", 404)


def test_what_hepdata_harvests(world) -> None:
    answer = world.client().get("/api/v1/hepdata/analyses.json").json
    assert answer["schema_version"] == "1.0.0"
    row = next(one for one in answer["analyses"] if one["implementations"] == [{"name": "tiny"}])
    assert row["inspire_id"] == 1827025
    url = answer["url_templates"]["main_url"].format(**row["implementations"][0])
    assert url == "http://localhost/analyses/tiny"
    for name in ("tool", "version", "date_created", "implementations_description"):
        assert isinstance(answer[name], str)


# -- theories ------------------------------------------------------------------------------------------------------------


def test_theories(world, alice) -> None:
    first = alice("POST", "/theories", 201, data={"file": (io.BytesIO(THEORY), "a.yml")}).json["items"][0]
    again = alice("POST", "/theories", 201, data={"file": (io.BytesIO(THEORY), "b.yml")}).json["items"][0]
    assert again["digest"] == first["digest"]
    assert again["name"] == "a.yml"
    content = alice("GET", f"/theories/{first['digest']}/content")
    assert content.data == THEORY
    assert "sandbox" in content.headers["Content-Security-Policy"]
    assert content.headers["Content-Disposition"].startswith("attachment")
    assert alice.get(f"/theories/{first['digest']}") == first
    assert alice.get("/theories")["items"] == [first]
    bob = Asking(world.client("bob"))
    bob("GET", f"/theories/{first['digest']}", 404)
    bob("DELETE", f"/theories/{first['digest']}", 404)
    alice("DELETE", f"/theories/{first['digest']}", 204)
    alice("GET", f"/theories/{first['digest']}", 404)
    for content in (b"", b"\0\1\2 nothing that is known", b"<xml/>"):
        alice("POST", "/theories", 400, data={"file": (io.BytesIO(content), "a.slha")})
    alice("POST", "/theories", 400)
    alice("POST", "/theories", 400, json={"file": "x"})


# -- runs ----------------------------------------------------------------------------------------------------------------


def test_a_run(world, alice, done) -> None:
    run = alice.get(f"/runs/{done}")
    assert run["state"] == "finished"
    assert run["parameters"]["n"] == 3
    assert run["may_change"] is True
    assert alice.get("/runs/latest")["id"] == done
    assert {node["node"] for node in alice.get(f"/runs/{done}/nodes")["items"]} == {"/count/0", "/say/0"}
    jobs = alice.get(f"/runs/{done}/jobs")["items"]
    assert [job["exit_code"] for job in jobs] == [0, 0]
    assert alice.get(f"/runs/{done}/jobs?node=/count/0&attempts=true")["items"][0]["node"] == "/count/0"
    assert alice.get(f"/runs/{done}/declared")["said"]["kind"] == "file"
    alice("GET", f"/runs/{done}/result", 404)
    alice("POST", f"/runs/{done}/stop", 409)
    again = alice.post(f"/runs/{done}/rerun", {"name": "again"})
    assert again["parent"] == done
    alice("DELETE", f"/runs/{again['id']}", 409)
    assert alice("POST", f"/runs/{again['id']}/stop").json["state"] == "stopped"
    alice("DELETE", f"/runs/{again['id']}", 204)
    alice("GET", f"/runs/{again['id']}", 404)
    assert [row["id"] for row in alice.get("/runs")["items"]] == [done]


def test_a_run_that_fails(world, alice) -> None:
    run = alice.post("/runs", {"analysis": "tiny", "texts": {"n": "13"}})
    world.drive()
    assert alice.get(f"/runs/{run['id']}")["state"] == "failed"
    job = alice.get(f"/runs/{run['id']}/jobs")["items"][0]
    assert (job["cause"], job["exit_code"]) == ("exit", 1)
    assert "log" in job["advice"]


@pytest.mark.parametrize(("body", "words"), [
    ({}, "analysis"), ({"analysis": "tiny", "n": 1}, "Additional properties"), ({"analysis": 1}, "not of type"),
    ({"analysis": "tiny", "parameters": {"n": "x"}}, "whole number"), ({"analysis": "tiny", "parameters": {"m": 1}}, "'m'"),
    ({"analysis": "tiny", "theories": ["sha256:0"]}, "theories/0"), ({"analysis": "tiny", "name": "a/b"}, "slash"),
])  # fmt: skip
def test_bodies_that_are_wrong(alice, body, words) -> None:
    answer = alice("POST", "/runs", 400, json=body).json
    assert words in answer["error"]["message"]


def test_requests_that_are_no_json(alice) -> None:
    for content in (b"{", b"[]", b"NaN", b'{"analysis": NaN}', b"\xff", b"[" * 100_000, b"null"):
        alice("POST", "/runs", 400, data=content, content_type="application/json")
    alice("POST", "/runs", 415, data=b"a=b", content_type="text/plain")
    alice("GET", "/runs?limit=0", 400)
    alice("GET", "/runs?limit=x", 400)
    alice("GET", "/runs?nothing=1", 400)
    alice("GET", "/runs?cursor=abc", 400)
    alice("GET", "/runs?state=nothing", 400)


def test_pages_and_filters(alice) -> None:
    made = [alice.post("/runs", {"analysis": "tiny", "name": f"n{i % 2}"})["id"] for i in range(7)]
    found, cursor = [], ""
    while True:
        page = alice.get(f"/runs?limit=3{cursor}")
        found += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == made[::-1]
    assert len(alice.get("/runs?name=n0")["items"]) == 4
    assert len(alice.get("/runs?state=queued&state=running&analysis=tiny")["items"]) == 7
    assert alice.get("/runs?state=finished")["items"] == []


def test_a_request_that_is_sent_twice(alice) -> None:
    headers = {"Idempotency-Key": "one"}
    first = alice.post("/runs", {"analysis": "tiny"}, headers=headers)
    assert alice.post("/runs", {"analysis": "tiny"}, headers=headers) == first
    assert len(alice.get("/runs")["items"]) == 1
    alice("POST", "/runs", 409, json={"analysis": "tiny", "name": "other"}, headers=headers)
    wrong = {"Idempotency-Key": "two"}
    alice("POST", "/runs", 404, json={"analysis": "none"}, headers=wrong)
    alice("POST", "/runs", 404, json={"analysis": "none"}, headers=wrong)


def test_etags(alice, done) -> None:
    answer = alice("GET", f"/runs/{done}")
    tag = answer.headers["ETag"]
    assert alice("GET", f"/runs/{done}", 304, headers={"If-None-Match": tag}).data == b""


# -- files ---------------------------------------------------------------------------------------------------------------


def test_artifacts(alice, done) -> None:
    paths = {row["path"]: row for row in alice.get(f"/runs/{done}/artifacts")["items"]}
    name = next(path for path in paths if path.endswith("said.txt"))
    whole = alice("GET", f"/runs/{done}/artifacts/{name}")
    assert whole.data == b"hello\n3\n"
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = alice("GET", f"/runs/{done}/artifacts/{name}", 206, headers={"Range": "bytes=2-4"})
    assert part.data == b"llo"
    assert part.headers["Content-Range"] == "bytes 2-4/8"
    alice("GET", f"/runs/{done}/artifacts/{name}", 416, headers={"Range": "bytes=100-"})
    alice("GET", f"/runs/{done}/artifacts/{name}", 304, headers={"If-None-Match": whole.headers["ETag"]})
    for path in ("nothing", "../../records.db", "%2e%2e/records.db", "etc/passwd"):
        alice("GET", f"/runs/{done}/artifacts/{path}", 404)


def test_archives(alice, done) -> None:
    for query in ("", "&under=say"):
        zipped = zipfile.ZipFile(io.BytesIO(alice("GET", f"/runs/{done}/archive?format=zip{query}").data))
        assert zipped.testzip() is None
        name = next(path for path in zipped.namelist() if path.endswith("said.txt"))
        assert zipped.read(name) == b"hello\n3\n"
        content = io.BytesIO(alice("GET", f"/runs/{done}/archive?format=tar{query}").data)
        with tarfile.open(fileobj=content) as tarred:
            assert tarred.extractfile(name).read() == b"hello\n3\n"
            assert len(tarred.getnames()) >= len(zipped.namelist())
    alice("GET", f"/runs/{done}/archive?under=nothing", 404)


def test_logs(alice, done) -> None:
    assert alice("GET", f"/runs/{done}/log?node=/count/0").text == "counting to 3\n"
    rest = alice("GET", f"/runs/{done}/log?node=/count/0&offset=9")
    assert (rest.text, rest.headers["X-Log-Offset"], rest.headers["X-Log-Over"]) == ("to 3\n", "14", "true")
    assert alice("GET", f"/runs/{done}/log?node=/count/0&tail=1").text == "counting to 3\n"
    assert alice("GET", f"/runs/{done}/log?node=/count/0&tail=0").text == ""
    assert alice("GET", f"/runs/{done}/log?tail=5").text == "== /count/0\ncounting to 3\n== /say/0\nsaid\n"
    alice("GET", f"/runs/{done}/log?node=/nothing", 404)


# -- campaigns -----------------------------------------------------------------------------------------------------------


def test_a_campaign(world, alice) -> None:
    asked = {"analyses": ["tiny"], "axes": {"n": [1, 2, 13]}, "name": "three"}
    made = alice.post("/campaigns", asked)
    assert made["known"] is False
    assert made["points"]["total"] == 3
    assert alice.post("/campaigns", asked)["known"] is True
    world.drive()
    name = made["id"]
    assert alice.get(f"/campaigns/{name}")["points"]["finished"] == 2
    points = alice.get(f"/campaigns/{name}/points?limit=2")
    assert [point["values"]["n"] for point in points["items"]] == [1, 2]
    rest = alice.get(f"/campaigns/{name}/points?after={points['next']}")
    assert [point["state"] for point in rest["items"]] == ["failed"]
    assert len(alice.get(f"/campaigns/{name}/points?state=finished")["items"]) == 2
    assert [row["id"] for row in alice.get("/campaigns")["items"]] == [name]
    assert len(alice.get(f"/runs?campaign={name}")["items"]) == 3
    added = alice("POST", f"/campaigns/{name}/extend", json={"axes": {"n": [4, 5]}}).json
    assert (added["added"], added["again"]) == (2, 0)
    alice("POST", f"/campaigns/{name}/stop")
    assert alice.get(f"/campaigns/{name}")["state"] == "stopped"
    alice("POST", f"/campaigns/{name}/resume")
    world.drive()
    assert alice.get(f"/campaigns/{name}")["points"]["finished"] == 4
    alice("POST", f"/campaigns/{name}/retry")
    world.drive()
    assert alice.get(f"/campaigns/{name}")["points"]["failed"] == 1
    alice("POST", f"/campaigns/{name}/extend", 400, json={})


@pytest.mark.parametrize("points", [
    {"axes": {"n": "1:3:1"}}, {"points": [{"n": 1}, {"n": 2}, {"n": 3}]}, {"table": "name,n\na,1\nb,2\nc,3\n"},
    {"axes": {"n": "1:9:1"}, "where": ["n < 4"]},
])  # fmt: skip
def test_the_ways_to_say_points(alice, points) -> None:
    made = alice.post("/campaigns", {"analyses": ["tiny"], **points})
    assert made["points"]["total"] == 3


@pytest.mark.parametrize("points", [
    {"axes": {"n": "1:3:0"}}, {"axes": {"m": "1:3:1"}}, {"axes": {"n": []}}, {"axes": {"n": "1:1e9:0.001"}}, {},
    {"axes": {"n": "1:3:1"}, "points": [{"n": 1}]}, {"points": [{"n": 1}, {"word": "hello"}]}, {"table": "\0"},
    {"axes": {"n": "1:3:1"}, "where": ["n <"]}, {"axes": {"n": "1:3:1"}, "where": ["__import__('os')"]},
    {"axes": {"n": ["1,2"]}}, {"axes": {"word": ["$(id)"]}},
])  # fmt: skip
def test_points_that_are_wrong(alice, points) -> None:
    alice("POST", "/campaigns", 400, json={"analyses": ["tiny"], **points})


def test_theories_as_points(world, alice) -> None:
    files = [(io.BytesIO(THEORY.replace(b"0.00101", text)), f"t{text.decode()}.yml") for text in (b"0.001", b"0.0001")]
    digests = [row["digest"] for row in alice("POST", "/theories", 201, data={"file": files}).json["items"]]
    made = alice.post("/campaigns", {"analyses": ["counting"], "theory_points": digests,
                                     "parameters": {"n_events": 100, "blocks": [1]}})  # fmt: skip
    world.drive()
    assert alice.get(f"/campaigns/{made['id']}")["points"]["finished"] == 2


# -- results, plan -------------------------------------------------------------------------------------------------------


def test_results_and_comparisons(world, alice, counted) -> None:
    result = alice.get(f"/runs/{counted}/result")
    assert result["verdict"] in ("excluded", "not-excluded", "undetermined")
    scan = {"analyses": ["counting"], "axes": {"m_gluino": [1800, 2000, 2200], "m_lsp": [0]},
            "parameters": {"n_events": 100, "blocks": [1]}}  # fmt: skip
    campaign = alice.post("/campaigns", scan)["id"]
    world.drive()
    tables = alice("POST", "/comparisons", json={"campaigns": [campaign], "runs": [counted]}).json["tables"]
    assert len(tables[0]["rows"]) == 4
    for more in ({"rank": "theories"}, {"rank": "analyses"}, {"against": campaign}, {"mass_limits": True, "x": "m_gluino"},
                 {"at": {"m_gluino": 2000}}):  # fmt: skip
        assert alice("POST", "/comparisons", json={"campaigns": [campaign], **more}).json["tables"]
    csv = alice("POST", "/comparisons", json={"campaigns": [campaign], "format": "csv"})
    assert csv.mimetype == "text/csv"
    assert len(csv.text.strip().splitlines()) >= 4
    for form, word in (("text", "gluino"), ("latex", "tabular")):
        assert word in alice("POST", "/comparisons", json={"campaigns": [campaign], "format": form}).text
    alice("POST", "/comparisons", 400, json={})
    alice("POST", "/comparisons", 404, json={"campaigns": [campaign], "at": {"m_gluino": 1}})
    alice("POST", "/comparisons", 404, json={"runs": ["nothing"]})


def test_a_plan(alice, done) -> None:
    there = alice("POST", "/plan", json={"run": {"analysis": "tiny", "parameters": {"n": 3}}}).json
    assert (there["there"], there["to_run"]) == (2, 0)
    scan = {"analyses": ["tiny"], "axes": {"n": [3, 4]}}
    more = alice("POST", "/plan", json={"scan": scan}).json
    assert (more["points"], more["to_run"]) == (2, 1)
    alice("POST", "/plan", 400, json={})
    alice("POST", "/plan", 400, json={"run": {"analysis": "tiny"}, "scan": scan})


# -- events --------------------------------------------------------------------------------------------------------------


def events_of(answer):
    """(id, kind, data) of a stream that ends."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields.get("id"), fields["event"], json.loads(fields["data"])))
    return found


def test_events_of_a_run_that_is_over(alice, done) -> None:
    found = events_of(alice("GET", f"/runs/{done}/events"))
    numbers = [int(id_) for id_, _, _ in found if id_ is not None]
    assert numbers == list(range(len(numbers)))
    assert found[-1][1] == "end"
    rest = events_of(alice("GET", f"/runs/{done}/events", headers={"Last-Event-ID": "2"}))
    assert [int(id_) for id_, _, _ in rest if id_ is not None] == numbers[3:]


def test_events_while_it_runs(world, alice) -> None:
    run = alice.post("/runs", {"analysis": "tiny", "parameters": {"n": 5}})["id"]
    mine = alice.client.get("/api/v1/events").iter_encoded()
    next(mine)
    answer = alice.client.get(f"/api/v1/runs/{run}/events")
    with world.working():
        found = events_of(answer)
        states = [next(mine).decode() for _ in range(2)]
    numbers = [int(id_) for id_, _, _ in found if id_ is not None]
    assert numbers == list(range(len(numbers)))
    assert found[-1][1:] == ("end", {"state": "finished"})
    assert any(run in text for text in states)
    mine.close()
    from reana_lite.server.api.following import _EXTENSION

    fan = world.app.extensions[_EXTENSION]
    assert until(lambda: fan.followers == 0)


def test_a_log_while_it_grows(world, alice) -> None:
    run = alice.post("/runs", {"analysis": "tiny", "parameters": {"n": 6}})["id"]
    world.drive()
    found = events_of(alice("GET", f"/runs/{run}/log/events?node=/count/0"))
    assert "".join(data["text"] for _, kind, data in found if kind == "log") == "counting to 6\n"
    rest = events_of(alice("GET", f"/runs/{run}/log/events?node=/count/0", headers={"Last-Event-ID": "9"}))
    assert "".join(data["text"] for _, kind, data in rest if kind == "log") == "to 6\n"
    whole = events_of(alice("GET", f"/runs/{run}/log/events?node=/count/0", headers={"Last-Event-ID": "-1"}))
    assert whole == found


def test_events_of_a_campaign(world, alice) -> None:
    campaign = alice.post("/campaigns", {"analyses": ["tiny"], "axes": {"n": [1, 2]}})["id"]
    stream = alice.client.get(f"/api/v1/campaigns/{campaign}/events").iter_encoded()
    with world.working():
        heard = [next(stream).decode()]
        while '"state":"finished","points"' not in heard[-1]:
            heard.append(next(stream).decode())
    stream.close()
    assert any("event: run" in text for text in heard)


def test_one_look_for_all_followers(world, alice) -> None:
    """Ten followers hear the same, and the database is not asked ten times as often."""
    run = alice.post("/runs", {"analysis": "tiny", "parameters": {"n": 8}})["id"]
    answers = [alice.client.get(f"/api/v1/runs/{run}/events") for _ in range(10)]
    with world.working():
        texts = [[id_ for id_, _, _ in events_of(answer) if id_] for answer in answers]
    assert all(one == texts[0] for one in texts)
    assert len(texts[0]) >= 4


def test_too_many_followers(world, alice) -> None:
    world.app.config["RECAST_FOLLOWERS"] = 1
    stream = alice.client.get("/api/v1/events").iter_encoded()
    alice("GET", "/events", 429)
    stream.close()
    alice("GET", "/events?once=true")


# -- people --------------------------------------------------------------------------------------------------------------


def test_me_and_tokens(world, alice) -> None:
    me = alice.get("/me")
    assert (me["user"]["name"], me["role"], me["single_user"]) == ("alice", "user", False)
    made = alice.post("/tokens", {"name": "laptop", "role": "read-only"})
    client = world.app.test_client()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert client.get("/api/v1/me", headers=headers).json["role"] == "read-only"
    assert client.post("/api/v1/runs", json={"analysis": "tiny"}, headers=headers).status_code == 403
    assert client.post("/api/v1/tokens", json={"name": "more", "role": "user"}, headers=headers).status_code == 403
    assert made["token"] not in json.dumps(alice.get("/tokens"))
    alice("DELETE", f"/tokens/{made['id']}", 204)
    assert client.get("/api/v1/me", headers=headers).status_code == 401
    alice("POST", "/tokens", 403, json={"name": "more", "role": "admin"})
    alice("DELETE", "/tokens/nothing", 404)


def test_administration(world, alice) -> None:
    root = Asking(world.client("root"))
    for path in ("/users", "/workers", "/audit", "/users/bob", "/runs?all=true"):
        root.get(path)
        alice("GET", path, 403)
    root.post("/users", {"name": "carol", "password": "long enough, surely"})
    root("POST", "/users", 409, json={"name": "carol"})
    root("POST", "/users", 400, json={"name": "../x"})
    root("POST", "/users", 400, json={"name": "dave", "password": "short"})
    changed = root("PATCH", "/users/carol", json={"quota": {"disk_bytes": 5}, "role": "read-only"}).json
    assert changed["quota"]["disk_bytes"] == 5
    root("PATCH", "/users/bob", json={"disabled": True})
    assert world.client("bob").get("/api/v1/me").status_code == 401
    root("PATCH", "/users/root", 409, json={"role": "user"})
    root("DELETE", "/users/root", 409)
    root("DELETE", "/users/carol", 204)
    said = [(row["who"], row["what"]) for row in root.get("/audit")["items"]]
    assert ("root", "delete user") in said
    assert ("root", "create user") in said


def test_sharing(world, alice, done) -> None:
    bob = Asking(world.client("bob"))
    bob("GET", f"/runs/{done}", 404)
    assert alice("PUT", f"/runs/{done}/shares/bob").json == {"users": ["bob"]}
    assert bob.get(f"/runs/{done}")["may_change"] is False
    assert bob.get("/runs")["items"] == []
    assert [row["id"] for row in bob.get("/runs?shared=true")["items"]] == [done]
    bob("POST", f"/runs/{done}/stop", 403)
    bob("DELETE", f"/runs/{done}", 403)
    bob("GET", f"/runs/{done}/shares", 403)
    assert bob.post(f"/runs/{done}/rerun")["owner"] == "bob"
    alice("DELETE", f"/runs/{done}/shares/bob")
    bob("GET", f"/runs/{done}", 404)
    alice("PUT", f"/runs/{done}/shares/nobody", 400)
