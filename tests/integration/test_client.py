"""The Python client against a live server on local processes."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Live, hang_up, serve

from reana_lite.client import Client, Progress, Result
from reana_lite.errors import Conflict, InvalidInput, NotAllowed, NotFound, Unavailable

THEORY = {"m_gluino": {"value": 2000, "unit": "GeV"}, "m_lsp": {"value": 0, "unit": "GeV"}, "xsec_pb": 0.00101}
FEW = {"n_events": 100, "blocks": [1]}
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serve(tmp_path) as made:
        yield made


def test_imports_are_light():
    code = (
        "import sys, reana_lite.client\n"
        "heavy = ('flask', 'kubernetes', 'sqlalchemy', 'alembic', 'minio', 'pandas', 'numpy', 'click', 'reana_lite.database',"
        " 'reana_lite.server')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_a_run_from_theory_to_numbers(live, tmp_path):
    heard = []
    with live.client() as client, live.world.working():
        run = client.submit("counting", THEORY, parameters=FEW, name="mine")
        assert run.state == "queued"
        over = client.wait(run, watch=heard.append, timeout_s=60)
        assert over.state == "finished"
        assert over.progress.finished == over.progress.total > 0
        assert heard[0] is run
        assert heard[-1] == over
        result = over.result()
        assert isinstance(result, Result)
        assert result.verdict in ("excluded", "not-excluded")
        assert result.excluded is (result.verdict == "excluded")
        best = result.document["best"]
        row = next(row for row in result.document["limits"] if row["name"] == best)
        assert result.cls_observed == row["cls_observed"]
        assert result.mu_limit_observed == row["mu_limit_observed"]
        assert result.cls_expected == row["cls_expected"][2]
        assert result.xsec_pb == pytest.approx(0.00101)
        assert result.row()["m_gluino"] == 2000
        assert client.run("latest") == over
        assert [one.id for one in client.runs(states=["finished"], analysis="counting")] == [run.id]
        again = over.rerun().wait(timeout_s=60)
        assert again.parent == run.id
        assert again.progress.reused == again.progress.total
        tables = client.compare(runs=[run.id, again.id])
        assert {row["run"] for row in tables[0].rows} == {run.id, again.id}


def test_artifacts_and_logs(live, tmp_path):
    client = live.client()
    run = client.submit("tiny", parameters={"n": 3})
    live.world.drive()
    files = {one.path: one for one in run.artifacts()}
    assert run.read("say/said.txt") == b"hello\n3\n"
    got = run.download(tmp_path / "out", "say")
    assert got == [tmp_path / "out" / "say" / "said.txt"]
    assert f"sha256:{hashlib.sha256(got[0].read_bytes()).hexdigest()}" == files["say/said.txt"].digest
    assert len(run.download(tmp_path / "all")) == len([one for one in files.values() if one.kind == "file"])
    assert not list(tmp_path.glob("**/*.part"))
    got[0].write_text("HELLO\n3\n")  # as long, but other bytes: fetched again
    run.download(tmp_path / "out", "say")
    assert got[0].read_bytes() == b"hello\n3\n"
    count, say = sorted(row["node"] for row in client.nodes(run.id))
    assert run.log(count) == "counting to 3\n"
    assert run.log() == f"== {count}\ncounting to 3\n== {say}\nsaid\n"
    assert "".join(run.follow_log(say)) == "said\n"
    with pytest.raises(NotFound):
        run.read("say")
    with pytest.raises(NotFound, match="no file"):
        run.download(tmp_path, "nothing")


def test_a_download_that_breaks_off_goes_on(live, tmp_path):
    client = live.client()
    run = client.submit("tiny", parameters={"n": 3})
    live.world.drive()
    artifact = next(one for one in run.artifacts() if one.path == "say/said.txt")
    ranges = []

    def broken(app, environ, start):
        with contextlib.closing(app(environ, start)) as answer:
            yield b"".join(answer)[:4]  # the length says 8
        hang_up(environ)

    def whole(app, environ, start):
        ranges.append(environ.get("HTTP_RANGE"))
        return app(environ, start)

    live.faults += [broken, whole]
    assert b"".join(client._blocks(run.id, artifact)) == b"hello\n3\n"
    assert ranges == ["bytes=4-"]


def test_bytes_that_differ_are_told(live):
    client = live.client()
    run = client.submit("tiny", parameters={"n": 3})
    live.world.drive()
    artifact = next(one for one in run.artifacts() if one.path == "say/said.txt")

    def other(app, environ, start):
        with contextlib.closing(app(environ, start)) as answer:
            yield b"".join(answer).upper()

    live.faults.append(other)
    with pytest.raises(Unavailable, match="digest"):
        list(client._blocks(run.id, artifact))


def test_files_stay_in_their_folder(live, tmp_path):
    import dataclasses

    client = live.client()
    run = client.submit("tiny", parameters={"n": 3})
    live.world.drive()
    artifact = run.artifacts()[0]
    for path in ("../out.txt", "/tmp/out.txt", "a/../../out.txt"):
        with pytest.raises(InvalidInput, match="outside"):
            client._fetch(run.id, dataclasses.replace(artifact, path=path), tmp_path)


def test_a_submission_sent_again_is_one_run(live):
    client = live.client()
    carried_out = []

    def lost(app, environ, start):
        carried_out.append(app(environ, lambda *_: None))
        start("502 Bad Gateway", [("Content-Type", "text/html")])
        return [b"<h1>a proxy that lost the answer</h1>"]

    def down(app, environ, start):
        hang_up(environ)
        start("200 OK", [])
        return [b""]

    live.faults += [lost, down]
    run = client.submit("tiny", parameters={"n": 2})
    assert len(carried_out) == 1
    assert [one.id for one in client.runs()] == [run.id]
    same = client.submit("tiny", parameters={"n": 2}, key="mine")
    assert client.submit("tiny", parameters={"n": 2}, key="mine").id == same.id != run.id
    with pytest.raises(Conflict, match="another request"):
        client.submit("tiny", parameters={"n": 3}, key="mine")


def test_a_server_that_does_not_answer(live):
    client = live.client(patience_s=0.0)

    def busy(app, environ, start):
        start("503 Service Unavailable", [("Retry-After", "30")])
        return [b""]

    live.faults.append(busy)
    with pytest.raises(Unavailable) as told:
        client.me()
    assert told.value.details["retry_after_s"] == 30
    with pytest.raises(Unavailable, match="does not answer"):
        Client("http://127.0.0.1:9", "x", patience_s=0.0).me()

    def foreign(app, environ, start):
        start("200 OK", [("Content-Type", "text/html")])
        return [b"<h1>hello</h1>"]

    live.faults.append(foreign)
    with pytest.raises(Unavailable, match="not JSON"):
        client.me()


def test_errors_are_those_of_the_house(live, monkeypatch, tmp_path):
    client = live.client()
    with pytest.raises(NotFound, match="nothing-such"):
        client.submit("nothing-such")
    with pytest.raises(InvalidInput) as told:
        client.submit("tiny", parameters={"n": 1000})
    assert "100" in told.value.message
    with pytest.raises(NotFound):
        client.run("nobody's")
    with pytest.raises(NotAllowed):
        live.client("eve").submit("tiny")
    with pytest.raises(NotAllowed):
        Client(live.url, "wrong", patience_s=1.0).me()
    with pytest.raises(InvalidInput, match="cannot be read"):
        client.submit("counting", tmp_path / "nothing.slha")
    with pytest.raises(InvalidInput, match="JSON"):
        client.submit("tiny", parameters={"n": float("nan")})
    with pytest.raises(InvalidInput, match="no name"):
        client.run("..")
    with pytest.raises(InvalidInput, match="address"):
        Client("ftp://x", "t")
    monkeypatch.delenv("RECAST_SERVER", raising=False)
    with pytest.raises(InvalidInput, match="RECAST_SERVER"):
        Client()
    monkeypatch.setenv("RECAST_SERVER", live.url + "/")
    monkeypatch.setenv("RECAST_TOKEN", live.world.tokens["alice"])
    assert Client().me()["user"]["name"] == "alice"


def test_a_netrc_does_not_take_the_tokens_place(live, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert live.client().me()["user"]["name"] == "alice"


def test_stopped_and_waited_for(live):
    client = live.client()
    run = client.submit("tiny")
    with pytest.raises(Unavailable, match="still queued"):
        client.wait(run, timeout_s=0.2)
    assert client.stop(run.id).state == "stopped"
    over = run.wait(timeout_s=10)
    assert over.state == "stopped"
    with pytest.raises(NotFound, match="stopped"):
        over.result()
    client.delete(run.id)


def test_a_scan(live, monkeypatch):
    client = live.client()
    heard = []
    with live.world.working():
        campaign = client.scan(
            "counting", axes={"m_gluino": "1000:2200:600", "m_lsp": [0]}, parameters=FEW, name="plane"
        )
        assert campaign.points["total"] == 3
        assert campaign.axes == ("m_gluino", "m_lsp")
        over = campaign.wait(watch=heard.append, timeout_s=120)
    assert over.state == "finished"
    assert over.done == 3
    assert [one.done for one in heard] == sorted(one.done for one in heard)
    assert [point.values["m_gluino"] for point in over.all_points("finished")] == [1000, 1600, 2200]
    results = over.results()
    assert [one.parameters["m_gluino"] for one in results] == [1000, 1600, 2200]
    assert results[0].excluded
    assert results[0].r_observed > results[2].r_observed
    again = client.scan("counting", axes={"m_gluino": "1000:2200:600", "m_lsp": [0]}, parameters=FEW)
    assert again.id == campaign.id
    assert [one.id for one in client.campaigns()] == [campaign.id]
    (limits,) = client.compare(campaigns=["plane"], mass_limits=True, x="m_gluino")
    assert limits.columns
    pandas = types.ModuleType("pandas")
    pandas.DataFrame = list
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert [row["verdict"] for row in results.to_frame()] == [one.verdict for one in results]
    assert len(results[0].to_frame()) == len(results[0].document["regions"])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(Unavailable, match="pandas"):
        results.to_frame()


def test_many_runs_are_paged(live):
    client = live.client()
    made = [client.submit("tiny", parameters={"n": n}).id for n in range(5)]
    import reana_lite.client.client as module

    pages = []
    real = client._wire.get
    client._wire.get = lambda path, query=None: pages.append(path) or real(path, {**(query or {}), "limit": 2})
    assert [run.id for run in client.runs()] == made[::-1]
    assert len(pages) == 3
    assert module.Client is Client


def test_things_without_a_client_say_so(live):
    import dataclasses

    run = live.client().submit("tiny")
    alone = dataclasses.replace(run, _client=None)
    assert alone == run
    assert isinstance(alone.progress, Progress)
    with pytest.raises(NotFound, match="without a client"):
        alone.refresh()
