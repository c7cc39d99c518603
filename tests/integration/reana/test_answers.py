"""Every answer against the description of the API that the client itself carries, and what only raw requests can show."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from serving import World, make_world
from werkzeug.test import TestResponse

from reana_lite.prune import prune

SERIAL = {
    "workflow": {"type": "serial", "specification": {"steps": [
        {"name": "one", "environment": "", "commands": ["mkdir -p out && cat in/a.txt > out/${name}.txt; echo done"]},
    ]}},
    "inputs": {"parameters": {"name": "b"}, "files": ["in/a.txt"]}, "outputs": {"files": ["out/b.txt"]},
}  # fmt: skip


@pytest.fixture(scope="session")
def described(client_env: Path) -> dict[str, Any]:
    """The description that the client brings along."""
    found = next(client_env.glob("lib/*/site-packages/reana_commons/openapi_specifications/reana_server.json"))
    document: dict[str, Any] = json.loads(found.read_text())
    return document


class Asking:
    """A client that checks every answer against the description."""

    def __init__(self, world: World, described: dict[str, Any], name: str = "alice") -> None:
        self.world, self.described = world, described
        self.token = world.tokens.get(name, name)
        self.client = world.app.test_client()
        self.seen: set[str] = set()

    def __call__(self, method: str, path: str, status: int = 200, *, like: str, **more: Any) -> Any:
        operation = self.described["paths"][like][method.lower()]
        self.seen.add(operation["operationId"])
        sent = self.raw(method, path, **more)
        assert sent.status_code == status, sent.text
        assert sent.mimetype == "application/json"
        said = operation["responses"].get(str(status))
        assert said is not None or status == 401, f"{status} is not described for {like}"
        errors = list(Draft7Validator(nullable(said["schema"])).iter_errors(sent.json)) if said else []
        assert not errors, errors[0]
        assert status < 400 or isinstance(sent.json, list) or isinstance(sent.json["message"], str)
        return sent.json

    def content(self, path: str) -> bytes:
        with self.raw("GET", path) as sent:
            return sent.data

    def raw(self, method: str, path: str, **more: Any) -> TestResponse:
        query = more.pop("query", {}) | ({"access_token": self.token} if self.token else {})
        return self.client.open(path, method=method, query_string=query, **more)


def nullable(schema: Any) -> Any:
    """A schema of Swagger 2 with x-nullable as JSON Schema has it."""
    if isinstance(schema, list):
        return [nullable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: nullable(one) for name, one in schema.items()}
    if plain.get("x-nullable"):
        plain["type"] = [plain["type"], "null"]
    return plain


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path, uploaded_processes=True)
    yield made
    made.database.close()


W = "/api/workflows/{workflow_id_or_name}"


def test_all_operations_answer_as_described(world: World, described: dict[str, Any]) -> None:
    ask = Asking(world, described)
    ask("GET", "/api/ping", like="/api/ping")
    ask("GET", "/api/you", like="/api/you")
    ask("GET", "/api/info", like="/api/info")
    made = ask("POST", "/api/workflows", 201, like="/api/workflows", query={"workflow_name": "wf"}, json=SERIAL)
    assert made["workflow_name"] == "wf.1"
    ask(
        "POST", "/api/workflows/wf/workspace", like=f"{W}/workspace", query={"file_name": "/in/a.txt"}, data=b"x" * 3000
    )
    ask("POST", "/api/workflows/wf/workspace", like=f"{W}/workspace", query={"file_name": "/in/empty"}, data=b"")
    for state in ("created", "finished"):
        shown = ask("GET", "/api/workflows/wf/status", like=f"{W}/status")
        assert shown["status"] == state
        for more in ({}, {"verbose": "true"}, {"include_progress": "true", "size": "1", "page": "1"}):
            query = {"type": "batch", "status": "created,finished", "search": '{"name": ["w"]}', **more}
            listed = ask("GET", "/api/workflows", like="/api/workflows", query=query)
            assert [one["name"] for one in listed["items"]] == ["wf.1"]
        assert ask("GET", "/api/workflows", like="/api/workflows", query={"type": "interactive"})["items"] == []
        json.loads(ask("GET", "/api/workflows/wf/logs", like=f"{W}/logs", json=None)["logs"])
        json.loads(ask("GET", "/api/workflows/wf/logs", like=f"{W}/logs", json=["one"])["logs"])
        ask("GET", "/api/workflows/wf/workspace", like=f"{W}/workspace", query={"search": '{"name": ["a"]}'})
        ask("GET", "/api/workflows/wf/disk_usage", like=f"{W}/disk_usage", json={"summarize": True, "search": ""})
        ask("GET", "/api/workflows/wf/disk_usage", like=f"{W}/disk_usage", json={"summarize": False, "search": None})
        assert ask("GET", "/api/workflows/wf/parameters", like=f"{W}/parameters")["parameters"] == {"name": "b"}
        ask("GET", "/api/workflows/wf/specification", like=f"{W}/specification")
        ask("GET", "/api/workflows/wf/retention_rules", like=f"{W}/retention_rules")
        if state == "created":
            start = ask("POST", "/api/workflows/wf/start", like=f"{W}/start", json={"operational_options": {}})
            assert (start["workflow_name"], start["run_number"], start["status"]) == ("wf", "1", "queued")
            ask("POST", "/api/workflows/wf/start", 403, like=f"{W}/start", json={})
            world.drive()
    assert ask.content("/api/workflows/wf/workspace/out/b.txt") == b"x" * 3000
    again = ask("POST", "/api/workflows/wf/start", like=f"{W}/start", json={"restart": True})
    assert again["run_number"] == "1.1"
    ask("PUT", "/api/workflows/wf.1.1/status", like=f"{W}/status", query={"status": "stop"}, json={"force_stop": True})
    ask("PUT", "/api/workflows/wf.1/status", 409, like=f"{W}/status", query={"status": "stop"}, json={})
    like = "/api/workflows/{workflow_id_or_name_a}/diff/{workflow_id_or_name_b}"
    for brief in ("true", "false"):
        found = ask("GET", "/api/workflows/wf.1/diff/wf.1.1", like=like, query={"brief": brief, "context_lines": "3"})
        assert json.loads(found["workspace_listing"]) == ""
    like = "/api/workflows/move_files/{workflow_id_or_name}"
    ask("PUT", "/api/workflows/move_files/wf.1", like=like, query={"source": "in", "target": "deep/er"})
    ask("PUT", "/api/workflows/move_files/wf.1", 404, like=like, query={"source": "nope", "target": "x"})
    like = f"{W}/workspace/{{file_name}}"
    gone = ask("DELETE", "/api/workflows/wf.1/workspace/deep%2Fer%2Fa.txt", like=like)
    assert gone["deleted"] == {"deep/er/a.txt": {"size": 3000}}
    assert ask("DELETE", "/api/workflows/wf.1/workspace/nope", like=like) == {"deleted": {}, "failed": {}}
    ask("GET", "/api/workflows/wf.1/workspace/nope", 404, like=like)
    ask("POST", "/api/workflows/wf.1/prune", like=f"{W}/prune", query={"include_inputs": "true"})
    ask("POST", "/api/workflows/wf.1/open/jupyter", 403, like=f"{W}/open/{{interactive_session_type}}", json={})
    ask("POST", "/api/workflows/wf.1/close/", 404, like=f"{W}/close/")
    secret = {"A": {"value": "eA==", "type": "env"}}
    ask("POST", "/api/secrets/", 201, like="/api/secrets/", json=secret)
    ask("POST", "/api/secrets/", 409, like="/api/secrets/", json=secret)
    assert ask("GET", "/api/secrets", like="/api/secrets") == [{"name": "A", "type": "env"}]
    assert ask("DELETE", "/api/secrets/", 404, like="/api/secrets/", json=["A", "B"]) == ["B"]
    assert ask("DELETE", "/api/secrets/", like="/api/secrets/", json=["A"]) == ["A"]
    keep = {"all_runs": False, "workspace": False}
    ask("PUT", "/api/workflows/wf/status", 400, like=f"{W}/status", query={"status": "deleted"}, json=keep)
    ask("PUT", "/api/workflows/wf/status", like=f"{W}/status", query={"status": "deleted"}, json={"all_runs": True})
    ask("GET", "/api/workflows/nope/status", 404, like=f"{W}/status")
    for token, path, status in (("", "/api/you", 401), ("wrong", "/api/you", 403), ("wrong", "/api/workflows", 403)):
        ask.token = token
        ask("GET", path, status, like=path, query={"type": "batch"})
    assert len(ask.seen) == 24 + 1  # and ping, which this client does not call


def archive(**files: str) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for name, text in files.items():
            opened.writestr(name.replace("__", "/").replace("_DOT_", "."), text)
    content.seek(0)
    return content


def test_a_bundle_brings_its_files_along(world: World, described: dict[str, Any]) -> None:
    ask = Asking(world, described)
    assert "workflow-specification-bundles-v1" in ask.raw("GET", "/api/ping").json["api_capabilities"]
    bundle = archive(reana_DOT_yaml=json.dumps(SERIAL), in__a_DOT_txt="bundled\n")
    form = {"bundle": (bundle, "validation-bundle.zip")}
    sent = ask.raw("POST", "/api/workflows", query={"workflow_name": "b"}, data=form)
    assert sent.status_code == 201, sent.text
    assert ask.raw("POST", "/api/workflows/b/start", json={}).status_code == 200
    world.drive()
    assert ask.content("/api/workflows/b/workspace/out/b.txt") == b"bundled\n"


def test_bundles_that_are_none_are_refused(world: World, described: dict[str, Any]) -> None:
    ask = Asking(world, described)
    link = io.BytesIO()
    with zipfile.ZipFile(link, "w") as opened:
        info = zipfile.ZipInfo("l")
        info.external_attr = 0o120777 << 16
        opened.writestr(info, "/etc/passwd")
    link.seek(0)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("reana.yaml", b"\0" * (101 * 1024 * 1024))
    bomb.seek(0)
    many = archive(**{f"f{n}": "" for n in range(1001)})
    cases = (
        io.BytesIO(b"no zip"),
        archive(a="b"),
        archive(**{"_DOT__DOT___x": ""}),
        archive(**{"__etc": ""}),
        link,
        bomb,
        many,
    )
    for content in cases:
        sent = ask.raw("POST", "/api/workflows", query={"workflow_name": "b"}, data={"bundle": (content, "b.zip")})
        assert sent.status_code == 400, sent.text
    assert world.database.list_runs() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "cwl"}, "yadage or serial"),
        ({"type": "yadage", "file": "../../etc/passwd"}, "inside of the workspace"),
        ({"type": "yadage", "file": "/etc/passwd"}, "inside of the workspace"),
        ({"type": "serial", "specification": None}, "file"),
    ],
)
def test_specifications_that_cannot_run_are_refused_at_once(
    world: World, described: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    ask = Asking(world, described)
    said = ask(
        "POST", "/api/workflows", 400, like="/api/workflows", query={"workflow_name": "w"}, json={"workflow": change}
    )
    assert words in said["message"]


@pytest.mark.parametrize("name", ["a.b", "", "ü", "0a1b2c3d-0a1b-4c2d-8e3f-0a1b2c3d4e5f", "a/b", "x" * 201])
def test_names_that_could_mean_something_else_are_refused(world: World, described: dict[str, Any], name: str) -> None:
    sent = Asking(world, described).raw("POST", "/api/workflows", query={"workflow_name": name}, json=SERIAL)
    assert sent.status_code == (400 if name else 201)  # without one it is `workflow`


def test_an_uploaded_workflow_reads_nothing_but_its_workspace(
    world: World, described: dict[str, Any], tmp_path: Path
) -> None:
    ask = Asking(world, described)
    secret = tmp_path / "secret.yml"
    secret.write_text("step: s3cr3t\n")
    for number, (workflow, options) in enumerate((
        ("stages: [{$ref: 'file://SECRET#/step'}]", {}),
        ("stages: [{$ref: 'SECRET#/step'}]", {}),
        ("stages: [{$ref: '../../../secret.yml#/step'}]", {}),
        ("stages: [{$ref: 'http://127.0.0.1:1/x.yml#/step'}]", {}),
        ("stages: []", {"toplevel": "file:///etc"}),
        ("stages: []", {"toplevel": "http://127.0.0.1:1/"}),
        ("stages: []", {"initdir": "/etc"}),
        ("stages: []", {"initfiles": ["../../secret.yml"]}),
    )):  # fmt: skip
        specification = {"workflow": {"type": "yadage", "file": "w.yml"}, "inputs": {"options": options}}
        query = {"workflow_name": f"w{number}"}
        made = ask.raw("POST", "/api/workflows", query=query, json=specification)
        if made.status_code == 201:
            text = workflow.replace("SECRET", str(secret)).encode()
            ask.raw("POST", f"/api/workflows/w{number}/workspace", query={"file_name": "w.yml"}, data=text)
            made = ask.raw("POST", f"/api/workflows/w{number}/start", json={})
        assert made.status_code == 400, (options, workflow, made.text)
        assert "s3cr3t" not in made.text
        assert "spool" not in made.text


def test_steps_without_an_image_are_refused_where_others_run_in_containers(
    tmp_path: Path, described: dict[str, Any]
) -> None:
    world = make_world(tmp_path, backend="container")
    ask = Asking(world, described)
    ask.raw("POST", "/api/workflows", query={"workflow_name": "w"}, json=SERIAL)
    ask.raw("POST", "/api/workflows/w/workspace", query={"file_name": "in/a.txt"}, data=b"x")
    refused = ask.raw("POST", "/api/workflows/w/start", json={})
    assert refused.status_code == 403
    assert "name an image" in refused.json["message"]
    world.database.close()


def test_upload_and_start_at_once_leave_no_run_with_half_of_its_files(world: World, described: dict[str, Any]) -> None:
    ask = Asking(world, described)
    ask.raw("POST", "/api/workflows", query={"workflow_name": "w"}, json=SERIAL)
    ask.raw("POST", "/api/workflows/w/workspace", query={"file_name": "in/a.txt"}, data=b"x")
    said: list[tuple[str, int]] = []

    def send(what: str, path: str, **more: Any) -> None:
        said.append((what, Asking(world, described).raw("POST", path, **more).status_code))

    threads = [
        threading.Thread(target=send, args=("start", "/api/workflows/w/start"), kwargs={"json": {}}) for _ in "ab"
    ]
    threads += [
        threading.Thread(target=send, args=("upload", "/api/workflows/w/workspace"),
                         kwargs={"query": {"file_name": f"f{n}"}, "data": b"y"}) for n in range(5)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for _, status in said} <= {200, 403, 409}
    started = [status for what, status in said if what == "start" and status == 200]
    assert len(started) <= 1
    state = world.database.get_run("w").state
    assert (state == "queued") == bool(started)


def test_what_a_workspace_shows_is_not_pruned(world: World, described: dict[str, Any]) -> None:
    ask = Asking(world, described)
    ask.raw("POST", "/api/workflows", query={"workflow_name": "w"}, json=SERIAL)
    ask.raw("POST", "/api/workflows/w/workspace", query={"file_name": "in/a.txt"}, data=b"kept")
    ask.raw("POST", "/api/workflows/w/start", json={})
    world.drive()
    ask.raw("GET", "/api/workflows/w/workspace")  # from now on what it made is part of the workspace
    prune(world.database, world.storage, before=1e12, keep_runs=False)
    assert ask.content("/api/workflows/w/workspace/out/b.txt") == b"kept"
