"""What somebody who means harm would try at the doors of a server; what has its tests with its part is not repeated here.

Elsewhere: role x owner (test_auth_walk.py), hosts, CSRF, throttling, tokens (test_foundation.py), what pages show
(test_pages.py), bundles and references of uploaded workflows (reana/test_answers.py), archives of the catalogue
(test_catalogue.py), jq and queries (unit/workflow), files of users (unit/test_fuzz_parsers.py).
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from serving import THEORY, World, make_world

import reana_lite
from reana_lite.catalogue import Sources
from reana_lite.catalogue.fetching import fetch
from reana_lite.database import audit
from reana_lite.errors import InvalidInput
from reana_lite.server import guard

PACKAGE = Path(reana_lite.__file__).parent


@pytest.fixture
def uploading(tmp_path: Path) -> Any:
    """A server whose operator lets uploaded workflows run as processes, and lets no graph grow beyond 50 nodes."""
    made = make_world(tmp_path, uploaded_processes=True, node_limit=50)
    yield made
    made.database.close()


def run_uploaded(world: World, workflow: dict[str, Any], name: str, who: str = "alice", **parameters: Any) -> str:
    """Submit a Yadage workflow through the REANA door; the id of its run."""
    client = world.client(who)
    document = {
        "workflow": {"type": "yadage", "file": "w.yml"},
        "inputs": {"parameters": parameters or {"n": 1}},
    }
    made = client.post(f"/api/workflows?workflow_name={name}", json=document)
    assert made.status_code == 201, made.text
    sent = client.post(f"/api/workflows/{name}/workspace?file_name=w.yml", data=json.dumps(workflow).encode())
    assert sent.status_code == 200, sent.text
    started = client.post(f"/api/workflows/{name}/start", json={})
    assert started.status_code == 200, started.text
    return world.database.get_run(started.json["workflow_id"]).id


def stage(scheduler: dict[str, Any], command: str = "echo {n}") -> dict[str, Any]:
    step = {
        "process": {"process_type": "string-interpolated-cmd", "cmd": command},
        "environment": {"environment_type": "localproc-env"},
        "publisher": {"publisher_type": "interpolated-pub", "publish": {}},
    }
    return {"stages": [{"name": "s", "dependencies": ["init"], "scheduler": {"step": step, **scheduler}}]}


# -- bombs in workflows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["def f: f; f", "[range(1e10)]"])
def test_a_jq_program_without_end_ends_its_run_alone(
    uploading: World, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reana_lite.workflow import jqprogram

    jqprogram._helper.close()
    monkeypatch.setattr(jqprogram, "LIMIT_S", 1.0)
    try:
        step = stage({})["stages"][0]["scheduler"]["step"]
        bad = {"stages": [{"name": "s", "dependencies": ["init"], "scheduler": {
            "scheduler_type": "jq-stage", "step": step, "bindings": {"n": {"step": "init", "output": "n"}},
            "stepscript": program, "postscript": "."}}]}  # fmt: skip
        run = run_uploaded(uploading, bad, "bomb")
        other = uploading.client("bob").post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
        uploading.drive()
        assert uploading.database.get_run(run).state == "failed"
        assert "jq" in uploading.database.get_run(run).error
        assert uploading.database.get_run(other).state == "finished"
    finally:
        jqprogram._helper.close()


def test_a_graph_beyond_the_operators_limit_is_refused_with_the_setting_named(uploading: World) -> None:
    scatter = stage({
        "scheduler_type": "multistep-stage", "parameters": {"n": {"step": "init", "output": "n"}},
        "scatter": {"method": "zip", "parameters": ["n"]},
    })  # fmt: skip
    run = run_uploaded(uploading, scatter, "scatter", n=list(range(100)))
    uploading.drive()
    record = uploading.database.get_run(run)
    assert record.state == "failed"
    assert "more than 50" in record.error
    assert record.total == 0


# -- uploads -----------------------------------------------------------------------------------------------------------


def test_a_request_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    world = make_world(tmp_path, upload_limit_bytes=10_000)
    sent = world.client("alice").post("/api/v1/theories", data={"file": (io.BytesIO(b"x" * 20_000), "t.slha")})
    assert sent.status_code == 413
    world.database.close()


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"\0" * 60_000_000),
        gzip.compress(b"<LesHouchesEvents version='1.0'>\n" + b"#\n" * 5_000_000, 1)[:10_000],
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]><LesHouchesEvents>&c;</LesHouchesEvents>',
        b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><LesHouchesEvents version="1.0"><init>&x;</init>',
        b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        b"!!python/object/apply:os.system ['touch /tmp/never']\n",
        b"\x80\x04\x95cposix\nsystem\n.",
    ],
    ids=["zeros", "cut", "entities", "external", "aliases", "python", "pickle"],
)
def test_theories_that_are_traps(world: World, content: bytes) -> None:
    sent = world.client("alice").post("/api/v1/theories", data={"file": (io.BytesIO(content), "t.lhe")})
    assert sent.status_code == 400, sent.text
    assert "root:" not in sent.text


@pytest.mark.parametrize(
    "name", ["../../x.yml", "/etc/x.yml", "a\x1b[31m.yml", "..", "x\r\nSet-Cookie: a=b.yml", "a" * 5000]
)
def test_names_of_files_lead_nowhere(world: World, name: str) -> None:
    sent = world.client("alice").post("/api/v1/theories", data={"file": (io.BytesIO(THEORY), name)})
    assert sent.status_code in (200, 201, 400), sent.text
    kept = sent.json.get("items", [{}])[0].get("name", "theory")
    assert not set(kept) & set("/\\\x1b\r\n")
    assert not kept.startswith(".")
    assert not (world.settings.home.parent / "x.yml").exists()


def test_answers_of_the_reana_door_are_bounded(uploading: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reana_lite.server.reana.doors.LIST_MOST", 2)
    monkeypatch.setattr("reana_lite.server.reana.doors.LOGS_BYTES", 1000)
    alice = uploading.client("alice")
    for name in ("a", "b", "c"):
        document = {"workflow": {"type": "yadage", "file": "w.yml"}, "inputs": {"parameters": {}}}
        assert alice.post(f"/api/workflows?workflow_name={name}", json=document).status_code == 201
    for query in ("", "?size=100", "?page=1"):
        listed = alice.get(f"/api/workflows{query}").json
        assert ([row["name"] for row in listed["items"]], listed["has_next"], listed["total"]) == (
            ["c.1", "b.1"], True, 3,
        )  # fmt: skip
    listed = alice.get("/api/workflows?page=2").json
    assert ([row["name"] for row in listed["items"]], listed["has_next"]) == (["a.1"], False)
    work = {"scheduler_type": "multistep-stage", "parameters": {"n": {"step": "init", "output": "n"}},
            "scatter": {"method": "zip", "parameters": ["n"]}}  # fmt: skip
    run = run_uploaded(uploading, stage(work, "seq 1 2000; echo {n}"), "loud", n=[1, 2, 3, 4])
    uploading.drive(until=lambda: uploading.database.get_run(run).state == "finished")
    for query in ("", "?size=1000000"):
        logs = json.loads(alice.get(f"/api/workflows/loud/logs{query}").json["logs"])["job_logs"]
        assert len(logs) == 4
        assert all(0 < len(one["logs"]) < 1500 for one in logs.values())


# -- whose is what -----------------------------------------------------------------------------------------------------


def test_what_one_uploads_and_runs_is_reused_by_nobody_else(uploading: World) -> None:
    work = stage({"scheduler_type": "singlestep-stage", "parameters": {"n": {"step": "init", "output": "n"}}})
    first = run_uploaded(uploading, work, "mine")
    uploading.drive()
    again = run_uploaded(uploading, work, "mine-again")
    other = run_uploaded(uploading, work, "theirs", who="bob")
    uploading.drive()
    reused = {run: uploading.database.get_run(run).reused for run in (first, again, other)}
    assert reused == {first: 0, again: 1, other: 0}


def test_other_peoples_things_answer_as_what_is_not_there(uploading: World) -> None:
    work = stage({"scheduler_type": "singlestep-stage", "parameters": {"n": {"step": "init", "output": "n"}}})
    run = run_uploaded(uploading, work, "mine")
    bob = uploading.client("bob")
    asked = set()
    for rule in uploading.app.url_map.iter_rules():
        names = [
            name for name in rule.arguments if name.startswith(("workflow_id", "name", "workflow")) or name == "run"
        ]
        if (
            not names
            or not rule.rule.startswith(("/api/workflows", "/runs/", "/api/v1/runs"))
            or "GET" not in rule.methods
        ):
            continue
        for handle, others in ((run, 404), ("0" * len(run), 404)):
            path = rule.rule
            for argument in rule.arguments:
                for form in (f"<{argument}>", f"<path:{argument}>", f"<int:{argument}>", f"<string:{argument}>"):
                    path = path.replace(form, handle if argument in names else "1")
            if "<" not in path:
                asked.add(rule.rule)
                assert bob.get(path).status_code == others, (rule.rule, handle)
    assert len(asked) > 8, asked


def test_the_audit_log_says_who_did_what(uploading: World) -> None:
    alice, root = uploading.client("alice"), uploading.client("root")
    run = alice.post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    assert alice.post(f"/api/v1/runs/{run}/stop").status_code < 300
    token = alice.post("/api/v1/tokens", json={"name": "t"}).json
    made = root.post("/api/v1/users", json={"name": "carol"})
    lines = [(line["who"], line["what"], line["object"]) for line in audit.listed(uploading.database)]
    assert ("alice", "submit run", run) in lines
    assert any(who == "alice" and "stop" in what and thing == run for who, what, thing in lines), lines
    assert any(who == "alice" and "token" in what for who, what, _ in lines), lines
    assert made.status_code == 201, made.text
    assert any(who == "root" and thing == "carol" for who, _, thing in lines), lines
    assert token["token"] not in str(lines)


# -- secrets and logs --------------------------------------------------------------------------------------------------


def test_no_secret_is_in_logs_records_or_files(uploading: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = uploading.tokens["alice"]
    client = uploading.app.test_client()
    assert client.get(f"/api/you?access_token={token}").status_code == 200
    assert client.get("/api/you?access_token=wr0ng-t0ken").status_code == 403
    secret = {"MY_PASS": {"value": "czNjcjN0", "type": "env"}}
    sent = uploading.client("alice").post(f"/api/secrets?access_token={token}", json=secret)
    assert sent.status_code == 201
    work = stage({"scheduler_type": "singlestep-stage", "parameters": {"n": {"step": "init", "output": "n"}}})
    run = run_uploaded(uploading, work, "sec")
    uploading.drive()
    log = "".join(
        formatter.format(record) for record in caplog.records for formatter in (guard.JsonLines(), guard.Plain())
    )
    events = json.dumps(uploading.database.read_events(run), default=str)
    record = uploading.client("alice").get(f"/api/v1/runs/{run}").text
    for text in (log, events, record):
        for word in (token, "wr0ng-t0ken", "s3cr3t", "czNjcjN0"):
            assert word not in text


@pytest.mark.parametrize("path", ["/api/v1/runs/%1b%5b31mred%0aforged%20line", "/api/v1/runs/x%0d%0aSet-Cookie:%20a=b"])
def test_what_a_terminal_obeys_is_in_no_log_and_no_header(
    world: World, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = world.client("alice").get(path)
    assert sent.status_code == 404
    assert "Set-Cookie" not in sent.headers
    lines = [record for record in caplog.records if record.name == "reana_lite.server.access"]
    assert lines
    for record in lines:
        for formatter in (guard.JsonLines(), guard.Plain()):
            text = formatter.format(record)
            assert text.isprintable(), text


# -- SSRF, and what the program does not do at all -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["ext::sh -c id", "ftp://h/x", "gopher://h/", "file://other.host/etc/passwd", "git://h/x", "data:,x"]
)
def test_addresses_that_are_not_read(uri: str) -> None:
    with pytest.raises(InvalidInput, match=r"addresses|other machines"):
        fetch(uri, Sources(timeout_s=0.1))


@pytest.mark.parametrize("field", ["analysis", "theories", "example"])
def test_no_door_takes_an_address(world: World, field: str) -> None:
    address = "http://169.254.169.254/latest/meta-data/"
    body = {"analysis": "tiny", field: [address] if field == "theories" else address}
    sent = world.client("alice").post("/api/v1/runs", json=body)
    assert sent.status_code in (400, 404), sent.text


def test_nothing_of_users_is_unpickled_evaluated_or_parsed_as_xml() -> None:
    """No module could: none imports what does it, none calls git, a shell, or a loader of objects."""
    modules = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "xml", "lxml", "pexpect"}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if {name.partition(".")[0] for name in names} & modules:
                found.append(f"{path.name}: imports {names}")
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("eval", "exec", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load"):
                    found.append(f"{path.name}: calls {called}")
                if any(word.arg in ("shell", "allow_pickle") and not _is_false(word.value) for word in node.keywords):
                    found.append(f"{path.name}: {ast.unparse(node)[:80]}")
            if isinstance(node, ast.List) and node.elts and _is_text(node.elts[0], "git"):
                found.append(f"{path.name}: calls git")
    assert found == []


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _is_text(node: ast.expr, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text
