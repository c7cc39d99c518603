"""What counts for a quota, and which doors ask for it: everything that stores bytes or queues runs for somebody."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from serving import THEORY, World, make_world

from reana_lite.database import users
from reana_lite.server import quota

SPECIFICATION = {"workflow": {"type": "yadage", "file": "w.yml"}, "inputs": {"parameters": {"n": 1}}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server that takes uploaded workflows, too."""
    made = make_world(tmp_path, uploaded_processes=True)
    yield made
    made.database.close()


def limit(world: World, disk_bytes: int) -> None:
    user = users.get(world.database, "alice")
    users.change(world.database, replace(user, quota=users.Quota(disk_bytes=disk_bytes)))
    quota.forget()


def used(world: World) -> int:
    quota.forget()
    return int(world.client("alice").get("/api/v1/me").json["usage"]["disk_bytes"])


def theory(world: World, size: int, mark: str = "") -> Any:
    content = THEORY + f"# {mark}".encode()
    content += b"#" * (size - len(content))
    sent = world.client("alice").post("/api/v1/theories", data={"file": (io.BytesIO(content), "t.yml")})
    return sent.status_code


def workflow(world: World, name: str = "wf", *, bundle: bytes = b"") -> int:
    more: dict[str, Any] = {"json": SPECIFICATION}
    if bundle:
        more = {"data": {"bundle": (io.BytesIO(bundle), "bundle.zip")}}
    return world.client("alice").post(f"/api/workflows?workflow_name={name}", **more).status_code


def upload(world: World, size: int, name: str = "file", *, mark: str = "x") -> int:
    path = f"/api/workflows/wf/workspace?file_name={name}"
    return world.client("alice").post(path, data=(mark * size).encode()[:size]).status_code


def test_theory_files_count_once_each(world: World) -> None:
    limit(world, 5000)
    assert theory(world, 2000, "a") == 201
    assert theory(world, 2000, "a") == 201
    assert used(world) == 2000
    assert theory(world, 2000, "b") == 201
    assert theory(world, 2000, "c") == 403
    assert theory(world, 2000, "b") == 201, "what is there takes no more"
    assert used(world) == 4000


def test_files_of_workspaces_count(world: World) -> None:
    limit(world, 200_000)
    assert workflow(world) == 201
    assert upload(world, 1000) == 200
    assert upload(world, 1000, "the-same") == 200
    assert used(world) == 1000
    assert upload(world, 150_000, "large", mark="y") == 200
    assert upload(world, 150_000, "another", mark="z") == 403
    assert used(world) == 151_000
    client = world.client("alice")
    assert client.delete("/api/workflows/wf/workspace/large").status_code == 200
    assert used(world) == 151_000, "it is kept for what was started from it"
    assert client.put("/api/workflows/wf/status?status=deleted", json={}).status_code == 200
    assert used(world) == 0


def test_bundles_count(world: World) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("reana.yaml", json.dumps(SPECIFICATION))
        made.writestr("zeros", b"\0" * 1_000_000)
    limit(world, 500_000)
    assert workflow(world, bundle=archive.getvalue()) == 403
    limit(world, 2_000_000)
    assert workflow(world, bundle=archive.getvalue()) == 201
    assert used(world) > 1_000_000


def test_uploads_at_the_same_time_do_not_pass_together(world: World) -> None:
    limit(world, 5000)
    assert workflow(world) == 201
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda number: theory(world, 2000, f"number {number}"), range(8)))
    assert codes.count(201) == 2
    assert codes.count(403) == 6


def test_every_door_is_closed_when_a_quota_is_used_up(world: World) -> None:
    alice = world.client("alice")
    scan = {"analyses": ["tiny"], "axes": {"n": [1]}}
    campaign = alice.post("/api/v1/campaigns", json=scan).json["id"]
    run = alice.post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    assert workflow(world) == 201
    assert upload(world, 10) == 200
    limit(world, 10)
    doors = [
        ("/api/v1/runs", {"analysis": "tiny"}), (f"/api/v1/runs/{run}/rerun", {}), ("/api/v1/campaigns", scan),
        (f"/api/v1/campaigns/{campaign}/extend", {"axes": {"n": [2]}}), (f"/api/v1/campaigns/{campaign}/resume", {}),
        (f"/api/v1/campaigns/{campaign}/retry", {}), ("/api/v1/plan", {"run": {"analysis": "tiny"}}),
        ("/api/workflows?workflow_name=x", SPECIFICATION), ("/api/workflows/wf/start", {}),
    ]  # fmt: skip
    for path, body in doors:
        answer = alice.post(path, json=body)
        assert answer.status_code == 403, (path, answer.text)
        assert "disk_bytes of alice" in answer.text, path
    assert theory(world, 100) == 403
    assert upload(world, 1, "more", mark="q") == 403
