"""The Python client against a live server on local processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from live import Live, hang_up, serve

from reana_lite.client import Client, Progress, Result
from reana_lite.client.wire import Wire
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
        assert run.state in ("queued", "running")  # a worker hears of it at once
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


def test_a_download_that_breaks_off_goes_on(live, monkeypatch):
    monkeypatch.setattr("reana_lite.client.wire.BLOCK", 2)
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
    assert b"".join(client._files._blocks(run.id, artifact)) == b"hello\n3\n"
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
        list(client._files._blocks(run.id, artifact))


def test_files_stay_in_their_folder(live, tmp_path):
    import dataclasses

    client = live.client()
    run = client.submit("tiny", parameters={"n": 3})
    live.world.drive()
    artifact = run.artifacts()[0]
    for path in ("../out.txt", "/tmp/out.txt", "a/../../out.txt"):
        with pytest.raises(InvalidInput, match="outside"):
            client._files._fetch(run.id, dataclasses.replace(artifact, path=path), tmp_path)


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


def test_a_request_that_is_still_being_answered_is_waited_for(live):
    client = live.client()

    def pending(app, environ, start):
        start("409 Conflict", [("Content-Type", "application/json"), ("Retry-After", "0")])
        said = {"error": "Conflict", "message": "in other words", "details": {"key": "k", "pending": True}}
        return [json.dumps({"error": said}).encode()]

    live.faults += [pending, pending]
    assert client.submit("tiny", parameters={"n": 2}).state == "queued"
    assert not live.faults


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


def not_asleep(seconds):
    raise AssertionError("nobody polls while the server tells what happens")


@pytest.mark.parametrize("what", ["run", "campaign"])
def test_waiting_hears_from_the_server(live, monkeypatch, what):
    client = live.client()
    heard = []
    clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=not_asleep)
    monkeypatch.setattr("reana_lite.client.client.time", clock)
    with live.world.working():
        thing = client.submit("tiny") if what == "run" else client.scan("tiny", axes={"n": "1:3:1"})
        over = client.wait(thing, watch=heard.append)
    assert over.state == "finished"
    assert heard[-1] == over
    assert len(heard) > 1


def refuse_events(app, environ, start):
    if environ["PATH_INFO"].endswith("/events"):
        start("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "10")])
        return [b"no"]
    return app(environ, start)


def cut_events(app, environ, start):
    """The beginning of a stream, then nothing more."""
    if not environ["PATH_INFO"].endswith("/events"):
        return app(environ, start)
    start("200 OK", [("Content-Type", "text/event-stream")])
    return [b"event: run\ndata: {}\n\n: still"]


def no_events(app, environ, start):
    if not environ["PATH_INFO"].endswith("/events"):
        return app(environ, start)
    start("200 OK", [("Content-Type", "text/html")])
    return [b"<p>a proxy that knows better"]


@pytest.mark.parametrize("fault", [refuse_events, cut_events, no_events])
def test_waiting_asks_again_where_nothing_is_told(live, fault):
    client = live.client()
    with live.world.working():
        run = client.submit("tiny")
        live.faults[:] = [fault] * 4
        over = client.wait(run)
    assert over.state == "finished"
    live.faults.clear()


def test_a_plan_of_a_run_and_of_a_scan(live):
    client = live.client()
    one = client.plan("tiny", parameters={"n": 3})
    assert (one["runs"], one["there"], one["to_run"] + one["following"]) == (1, 0, 2)
    many = client.plan("tiny", axes={"n": "1:4:1"})
    assert (many["runs"], many["points"]) == (4, 4)
    assert not list(client.runs())
    with pytest.raises(InvalidInput, match="several analyses"):
        client.plan(["tiny", "counting"])


def test_more_points_by_the_client(live):
    client = live.client()
    campaign = client.scan("tiny", axes={"n": "1:2:1"}, name="grows")
    more, added, again = client.extend("grows", axes={"n": "3:5:1"})
    assert (more.id, added, again) == (campaign.id, 3, 0)
    assert more.points["total"] == 5


def test_a_deletion_whose_answer_is_lost_is_done(live):
    client = live.client()
    run = client.submit("tiny")
    client.stop(run.id)

    def lost(app, environ, start):
        b"".join(app(environ, lambda *_: None))
        hang_up(environ)
        start("500 Gone", [])
        return []

    live.faults.append(lost)
    client.delete(run.id)
    with pytest.raises(NotFound):
        client.run(run.id)
    with pytest.raises(NotFound):
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


def test_exports_are_files(live, tmp_path):
    client = live.client()
    scan = client.scan("counting", axes={"m_gluino": [1600, 2000, 2400], "m_lsp": [0, 800]}, parameters=FEW)
    live.world.drive()
    assert scan.export(tmp_path / "plane.pdf").read_bytes().startswith(b"%PDF")
    assert client.export(tmp_path / "t.csv", campaigns=[scan.id], rank="theories").read_text().count("\n") > 6
    assert json.loads(scan.export(tmp_path / "t.json").read_text())[0]["rows"]
    with pytest.raises(InvalidInput, match="topology"):
        scan.export(tmp_path / "maps.zip", format="smodels")
    run = client.run(next(iter(scan.all_points())).run)
    assert run.export(tmp_path / "limits.png", plot="limits").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInput, match="ending"):
        scan.export(tmp_path / "plane.docx")
    with pytest.raises(InvalidInput, match="cannot be written"):
        run.export(tmp_path / "none" / "r.csv")


def test_campaigns_and_results_come_with_a_request_a_page(live, monkeypatch):
    client = live.client()
    scan = client.scan("counting", axes={"m_gluino": [1600, 2000, 2400], "m_lsp": [0]}, parameters=FEW)
    other = client.scan("tiny", axes={"n": [1, 2]})
    live.world.drive()
    asked = []
    ask = Wire.ask
    monkeypatch.setattr(
        Wire, "ask", lambda self, method, path, **more: asked.append(path) or ask(self, method, path, **more)
    )
    listed = {one.id: one for one in client.campaigns()}
    assert asked == ["/campaigns"]
    assert listed[scan.id] == client.campaign(scan.id)
    assert listed[scan.id].points["finished"] == 3
    assert listed[other.id].points["total"] == 2
    asked.clear()
    found = client.results(scan.id)
    assert [one.parameters["m_gluino"] for one in found] == [1600, 2000, 2400]
    assert asked == [f"/campaigns/{scan.id}/points"]
    assert found[0].document["limits"] == client.result(found[0].run).document["limits"]
    assert len(client.results(other.id)) == 0  # its analysis declares no result document
    monkeypatch.setattr("reana_lite.client.client.RESULTS", 2)
    assert [one.run for one in client.results(scan.id)] == [one.run for one in found]


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


# -- recast --server ---------------------------------------------------------------------------------------------------


@pytest.fixture
def recast_at(live, monkeypatch):
    """`recast --server URL ...` as alice."""
    from click.testing import CliRunner

    from reana_lite.cli import recast

    monkeypatch.setenv("RECAST_TOKEN", live.world.tokens["alice"])
    monkeypatch.setenv("RECAST_HOME", str(live.world.settings.home / "elsewhere"))

    def call(*args, code=0, raises=None):
        done = CliRunner().invoke(recast, ["--server", live.url, *args])
        if raises is not None:
            assert isinstance(done.exception, raises), (done.output, done.exception)
            return done.exception.message
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    yield call
    assert not (live.world.settings.home / "elsewhere").exists()  # nothing of it happens on this machine


def test_commands_against_a_server(live, recast_at, tmp_path):
    theory = tmp_path / "gluino.yml"
    theory.write_bytes(json.dumps(THEORY).encode())
    few = ("-p", "n_events=100", "-p", "blocks=[1]")
    with live.world.working():
        said = recast_at("run", "counting", str(theory), *few, "--name", "mine")
        assert "(mine.1) finished: 0 of" in said
        assert "EXCLUDED at 95 % CL" in said
        document = json.loads(recast_at("run", "tiny", "-p", "n=2", "--json", "-q"))
        assert document["state"] == "finished"
        assert document["nodes"] == {"total": 2, "finished": 2, "reused": 0, "failed": 0}
        run = document["run"]
        failed = recast_at("run", "tiny", "-p", "n=13", code=1)
        assert "(tiny.2) failed" in failed
        said = recast_at("scan", "tiny", "--grid", "n=1:3:1", "--name", "counts")
        assert "campaign counts finished: 3 points (3 finished)" in said
    assert [row.split("\t")[1] for row in recast_at("ls", "--analysis", "tiny", "-n", "5").splitlines()[-2:]] == [
        "tiny.2", "tiny.1"
    ]  # fmt: skip
    assert {one["state"] for one in json.loads(recast_at("ls", "--json", "--state", "failed"))} == {"failed"}
    assert f"run {run} (tiny.1) finished" in recast_at("status", run)
    assert len(json.loads(recast_at("status", run, "--json"))["nodes"]) == 2
    assert "counting to 2" in recast_at("logs", run)
    assert recast_at("logs", run, "/say", "-f").endswith("said\n")
    assert json.loads(recast_at("results", "mine.1", "--json"))["verdict"]
    assert recast_at("results", "mine.1", "--csv").startswith("name,observed")
    assert "said (file)" in recast_at("results", run)
    assert "say/said.txt\t8 B" in recast_at("artifacts", "ls", run)
    assert recast_at("artifacts", "get", run, "say/said.txt", "-o", "-") == "hello\n2\n"
    recast_at("artifacts", "get", run, "-o", str(tmp_path / "out"))
    assert (tmp_path / "out" / "say" / "said.txt").read_text() == "hello\n2\n"
    assert "counts\tfinished\t3\t3\t0" in recast_at("campaign", "ls")
    assert recast_at("campaign", "status", "counts").count("finished") >= 4
    assert len(json.loads(recast_at("campaign", "status", "counts", "--json"))["all_points"]) == 3
    assert "stopped" in recast_at("stop", live.client().submit("tiny").id)


@pytest.fixture
def recast_here(live, monkeypatch):
    """`recast ...` on the installation that is served, as alice."""
    from click.testing import CliRunner

    from reana_lite.cli import recast

    home = live.world.settings.home
    here = {"RECAST_HOME": str(home), "RECAST_USER": "alice", "RECAST_CATALOGUE": str(home / "catalogue")}

    def call(*args, code=0):
        done = CliRunner(env={**here, "RECAST_SERVER": None}).invoke(recast, list(args))
        assert done.exit_code == code, (done.output, done.exception)
        return done.stdout

    return call


@pytest.mark.filterwarnings("ignore:.*unclosed file:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_server_says_what_this_machine_would(live, recast_at, recast_here, tmp_path):
    client = live.client()
    with live.world.working():
        run = client.submit("tiny", parameters={"n": 2}, name="one").wait().id
        client.submit("tiny", parameters={"n": 13}, name="bad").wait()
        client.scan(
            "counting", axes={"m_gluino": "1000:2200:600", "m_lsp": "0:400:400"}, parameters=FEW, name="plane"
        ).wait()
    for args in (
        ("ls",), ("ls", "--state", "failed"), ("status", run), ("logs", run), ("logs", run, "/count"),
        ("logs", run, "-n", "1"), ("logs", run, "-f"), ("results", run), ("artifacts", "ls", run), ("campaign", "ls"),
        ("campaign", "status", "plane"), ("campaign", "status", "plane", "--state", "failed"),
        ("catalogue", "ls"), ("plan", "tiny", "-p", "n=2"), ("plan", "tiny", "-p", "n=3", "--json"),
        ("plan", "tiny", "--grid", "n=1:4:1"), ("plan", "counting", "--grid", "m_gluino=1000:1600:600", "--json"),
        ("compare", "plane"), ("compare", "plane", "--x", "m_gluino", "--mass-limits"),
        ("compare", "plane", "--rank", "theories", "--format", "csv"), ("compare", "plane", "--at", "m_lsp=0"),
        ("compare", "plane", "--x", "m_gluino", "--y", "m_lsp", "--format", "json"),
    ):  # fmt: skip
        assert recast_at(*args) == recast_here(*args), args
    there, here = recast_at("catalogue", "show", "counting"), recast_here("catalogue", "show", "counting")
    assert set(there.splitlines()) <= set(here.splitlines())
    assert "n_events (integer, events, default 4000)" in there
    for call, name in ((recast_at, "there"), (recast_here, "here")):
        call("compare", "plane", "--x", "m_gluino", "--y", "m_lsp", "--plot", str(tmp_path / f"{name}.svg"))
    assert (tmp_path / "there.svg").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:.*unclosed file:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_server_makes_the_hepdata_files_that_this_machine_would(live, recast_at, recast_here, tmp_path):
    pytest.importorskip("hepdata_lib")
    with live.world.working():
        live.client().scan(
            "counting", axes={"m_gluino": "1000:2200:600", "m_lsp": "0:400:400"}, parameters=FEW, name="plane"
        ).wait()
    for call, name in ((recast_at, "there"), (recast_here, "here")):
        call("compare", "plane", "--format", "hepdata", "-o", str(tmp_path / name))
    made = [{p.name: p.read_bytes() for p in (tmp_path / name).glob("*.yaml")} for name in ("there", "here")]
    assert made[0] == made[1]
    assert made[0]


def test_a_campaign_is_extended_at_a_server(live, recast_at):
    with live.world.working():
        recast_at("scan", "tiny", "--grid", "n=1:2:1", "--name", "grows", "-q")
        said = recast_at("campaign", "extend", "grows", "--grid", "n=3:4:1", "-q")
    assert "campaign grows finished: 4 points (4 finished)" in said


def test_a_figure_of_a_result_at_a_server(live, recast_at, tmp_path):
    with live.world.working():
        run = live.client().submit("counting", THEORY, parameters=FEW).wait().id
    recast_at("results", run, "--plot", str(tmp_path / "yields.svg"), "--plot-limits", str(tmp_path / "limits.svg"))
    assert (tmp_path / "yields.svg").stat().st_size > 10_000
    assert (tmp_path / "limits.svg").stat().st_size > 10_000


def test_what_a_server_does_not_take(live, recast_at):
    for args in (
        ("check", "tiny"),
        ("admin", "users", "ls"),
        ("catalogue", "create", "x"),
        ("cache", "prune"),
        ("serve",),
    ):
        assert "not with --server" in recast_at(*args, raises=NotAllowed)
    assert "--cores" in recast_at("run", "tiny", "--cores", "2", raises=InvalidInput)
    assert "--dry-run" in recast_at("scan", "tiny", "--grid", "n=1:3:1", "--dry-run", raises=InvalidInput)
    assert "is no file" in recast_at("run", "tiny", "nothing.slha", raises=InvalidInput)
    assert "KEY=VALUE" in recast_at("run", "tiny", "-p", "n", raises=InvalidInput)
    assert "nothing" in recast_at("status", "nothing", raises=NotFound)


def test_a_server_of_the_environment(live, monkeypatch):
    from click.testing import CliRunner

    from reana_lite.cli import recast

    monkeypatch.setenv("RECAST_SERVER", live.url)
    monkeypatch.setenv("RECAST_TOKEN", live.world.tokens["alice"])
    assert CliRunner().invoke(recast, ["ls", "--json"]).stdout.strip() == "[]"
    assert "reana-lite" in CliRunner().invoke(recast, ["version"]).stdout  # that of this machine


def test_the_token_that_serve_has_left(live, monkeypatch, tmp_path):
    from click.testing import CliRunner

    from reana_lite.cli import recast

    monkeypatch.delenv("RECAST_TOKEN", raising=False)
    monkeypatch.setenv("RECAST_HOME", str(tmp_path / "elsewhere"))
    done = CliRunner().invoke(recast, ["--server", live.url, "ls"])
    assert isinstance(done.exception, NotAllowed)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "server.json").write_text(
        json.dumps({"url": live.url, "token": live.world.tokens["alice"]})
    )
    assert CliRunner().invoke(recast, ["--server", f"{live.url}/", "ls"]).exit_code == 0


# -- examples ------------------------------------------------------------------------------------------------------------


def example(live, name, *args):
    """What an example prints against a live server."""
    environment = {**os.environ, "RECAST_SERVER": live.url, "RECAST_TOKEN": live.world.tokens["alice"]}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *args], env=environment, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_over_spectra(live, tmp_path):
    for mass in (1000, 2200):
        theory = {**THEORY, "m_gluino": {"value": mass, "unit": "GeV"}, "xsec_pb": 0.325 if mass == 1000 else 0.000356}
        (tmp_path / f"gluino_{mass}.yml").write_text(json.dumps(theory))
    files = [str(tmp_path / f"gluino_{mass}.yml") for mass in (1000, 2200)]
    with live.world.working():
        said = example(live, "slha_loop.py", "counting", *files, "-p", "n_events=100", "-p", "blocks=[1]")
    rows = [line.split(",") for line in said.splitlines()]
    assert rows[0][:2] == ["file", "verdict"]
    assert [row[0] for row in rows[1:]] == ["gluino_1000.yml", "gluino_2200.yml"]
    assert rows[1][1] == "excluded"
    assert 0 <= float(rows[1][2]) < 0.05


def test_the_example_over_patches(live, tmp_path):
    (live.world.settings.home / "catalogue" / "patched").mkdir()
    write_patched(live.world.settings.home / "catalogue" / "patched")
    patchset = {
        "metadata": {"references": {"hepdata": "ins1"}, "description": "d", "digests": {"sha256": "0" * 64},
                     "labels": ["m_gluino"]},
        "version": "1.0.0",
        "patches": [
            {"metadata": {"name": f"gluino_{mass}", "values": [mass]},
             "patch": [{"op": "add", "path": "/channels/0/samples/1",
                        "value": {"name": "signal", "data": [number], "modifiers": [
                            {"name": "mu", "type": "normfactor", "data": None}]}}]}
            for mass, number in ((1000, 20.0), (2200, 0.5))
        ],
    }  # fmt: skip
    (tmp_path / "patchset.json").write_text(json.dumps(patchset))
    with live.world.working():
        said = example(live, "pyhf_patches.py", "patched", str(tmp_path / "patchset.json"))
    rows = [line.split(",") for line in said.splitlines()]
    assert rows[0] == ["patch", "verdict", "cls_observed", "cls_expected", "mu_limit_observed"]
    assert [row[:2] for row in rows[1:]] == [["gluino_1000", "excluded"], ["gluino_2200", "not-excluded"]]
    assert [float(row[2]) for row in rows[1:]] == [0.01, 0.6]


def write_patched(folder):
    """An analysis that takes a pyhf patch, and says CLs by the number of events in it."""
    (folder / "analysis.yml").write_text(PATCHED)
    (folder / "workflow.yml").write_text(PATCHED_WORKFLOW)
    (folder / "limit.py").write_text(PATCHED_CODE)


PATCHED = """
reana_lite: 1
name: patched
title: A likelihood that is patched
description: CLs of a pyhf patch.
references: [{title: A paper, arxiv: '2010.14293'}]
lumi_ifb: 139.0
sqrts_tev: 13.0
workflow: workflow.yml
files: {code: limit.py}
theory: {formats: [patch], required: true, description: A patch.}
parameters: {properties: {}}
results: [{name: result, kind: result, stage: limit, output: result, media_type: application/json}]
"""

PATCHED_WORKFLOW = """
stages:
- name: limit
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {theory: {step: init, output: theory}, code: {step: init, output: code}, out: '{workdir}/result.json'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'python3 {code} {theory} {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {result: out}}
"""

PATCHED_CODE = """
import json, sys
patch = json.load(open(sys.argv[1]))
patch = patch["patch"] if isinstance(patch, dict) else patch
many = patch[0]["value"]["data"][0] > 3
limit = {"name": "SR", "kind": "single-bin", "method": "asymptotic", "status": "ok", "cls_observed": 0.01 if many else 0.6,
         "cls_expected": [0.001, 0.005, 0.02, 0.05, 0.1] if many else [0.3, 0.4, 0.5, 0.6, 0.7],
         "mu_limit_observed": 0.5 if many else 4.0, "mu_limit_expected": [0.3, 0.4, 0.6, 0.8, 1] if many else [2, 3, 4, 5, 6],
         "xsec_pb": None, "xsec_limit_observed_pb": None, "xsec_limit_expected_pb": None,
         "r_observed": 2.0 if many else 0.25, "r_expected": 1 / 0.6 if many else 0.25, "delta_nll": None}
json.dump({"processes": [], "regions": [], "limits": [limit], "best": "SR", "advice": [], "warnings": [],
           "verdict": "excluded" if many else "not-excluded", "validity": {"within": True, "reasons": []}},
          open(sys.argv[2], "w"))
"""


# -- documentation -------------------------------------------------------------------------------------------------------


def documented(page):
    """The command lines of a page, without prompt, comment and settings before them."""
    for line in (EXAMPLES.parent / "docs" / page).read_text().splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else []
        while words and "=" in words[0]:
            words.pop(0)
        if words and words[0] == "recast":
            yield words[1:]


@pytest.mark.parametrize("page", ["client.md", "operations.md"])
def test_commands_of_the_documentation_exist(page, tmp_path, monkeypatch):
    from reana_lite.cli import recast

    lines = list(documented(page))
    assert len(lines) >= 2
    for words in lines:
        context, command, rest = None, recast, words
        while isinstance(command, click.Group):
            context = command.make_context(command.name, list(rest), parent=context)
            name, command, rest = command.resolve_command(context, context._protected_args + context.args)
        assert command.name == name
        if context.find_root().params.get("server") is None:
            command.make_context(name, list(rest), parent=context)  # a usage error else


def test_methods_of_the_documentation_exist():
    text = (EXAMPLES.parent / "docs" / "client.md").read_text()
    table = text[text.index("| method of") : text.index("`Run` and `Campaign` have")]
    names = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)\(", row.split(" | ")[0])}
    assert len(names) > 20
    assert {name for name in names if not callable(getattr(Client, name, None))} == set()
