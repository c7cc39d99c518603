"""Workspaces with links that lead out, and bundles that are made to break the server that reads them."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import World, make_world

from reana_lite.artifact import Artifact
from reana_lite.catalogue import Sources
from reana_lite.database.workspaces import Stored
from reana_lite.errors import InvalidAnalysis, InvalidInput
from reana_lite.server.reana.workspace import keep, keep_bundle, laid_out
from reana_lite.target.reana import resolve_uploaded

DEEP = {
    "workflow": {"type": "serial", "specification": {"steps": [
        {"name": "one", "environment": "", "commands": [
            "mkdir -p a/b/c/d ok", "ln -s ../../../../secret a/b/c/d/l", "ln -s ../a ok/l; echo x > a/x",
        ]},
    ]}},
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path / "home", uploaded_processes=True)
    yield made
    made.database.close()


def test_a_link_is_not_moved_to_where_it_leads_out(world: World) -> None:
    client = world.client("alice")
    made = client.post("/api/workflows?workflow_name=w", json=DEEP)
    assert made.status_code == 201, made.text
    run = made.json["workflow_id"]
    assert client.post(f"/api/workflows/{run}/start", json={}).status_code == 200
    world.drive()
    names = {item["name"] for item in client.get(f"/api/workflows/{run}/workspace").json["items"]}
    assert {"a/b/c/d/l", "ok/l", "a/x"} <= names
    refused = client.put(f"/api/workflows/move_files/{run}?source=a/b/c/d/l&target=x/l")
    assert refused.status_code == 400
    assert "outside of its folder" in refused.json["message"]
    assert client.put(f"/api/workflows/move_files/{run}?source=ok/l&target=also/l").status_code == 200


def test_links_that_lead_out_are_not_laid_out(world: World, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    (spool / "secret").mkdir(parents=True)
    kept = keep(world.storage, spool, "a/file", io.BytesIO(b"mine"), limit_bytes=100)

    def link(path: str, target: str) -> Stored:
        return Stored(Artifact(path, "link", target=target), "", 0, "")

    links = [link("out", "../../secret"), link("over", "out2/x"), link("out2", ".."), link("abs", "/etc/passwd"),
             link("in", "a/file"), link("chain", "in"), link("dangling", "none")]  # fmt: skip
    with laid_out(world.storage, spool, {"a/file": kept} | {one.path: one for one in links}) as folder:
        there = {path.name for path in folder.rglob("*") if path.is_symlink()}
        assert there == {"in", "chain", "dangling"}
        assert (folder / "chain").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("workflow", "inputs"),
    [
        ({"type": "yadage", "file": "l"}, {}),
        ({"type": "serial", "file": "l"}, {}),
        ({"type": "yadage", "file": "w.yml"}, {"options": {"initdir": "d"}}),
        ({"type": "yadage", "file": "w.yml"}, {"options": {"initdir": "sub/d"}}),
        ({"type": "yadage", "file": "w.yml"}, {"options": {"toplevel": "d"}}),
        ({"type": "yadage", "file": "w.yml"}, {"options": {"initfiles": ["l"]}}),
        ({"type": "yadage", "file": "w.yml"}, {"parameters": {"input": "l"}}),
        ({"type": "yadage", "file": "x.yml"}, {"options": {"toplevel": "in"}}),
    ],
)
def test_nothing_that_a_specification_names_leads_out(tmp_path: Path, workflow: object, inputs: object) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "files"
    (secret / "in").mkdir(parents=True)
    (secret / "passwords.yml").write_text("stages: []\nroot: hash\n")
    (folder / "sub").mkdir(parents=True)
    (folder / "in").mkdir()
    (folder / "w.yml").write_text("stages: []\n")
    (folder / "l").symlink_to("../secret/passwords.yml")
    (folder / "d").symlink_to("../secret")
    (folder / "sub" / "d").symlink_to(secret)
    (folder / "in" / "x.yml").symlink_to(secret / "passwords.yml")
    with pytest.raises(InvalidAnalysis, match="link that leads out of the workspace"):
        resolve_uploaded({"workflow": workflow, "inputs": inputs}, folder, Sources(), name="w")
    assert (secret / "passwords.yml").exists()


def bundle(count: int) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for number in range(count):
            opened.writestr(f"f{number}", "some words " * 40, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def test_the_directory_of_a_bundle_is_not_read_if_it_is_huge(world: World, tmp_path: Path) -> None:
    content = bundle(20_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="the bundle lists 20000 files; 1000 are the most"):
            keep_bundle(world.storage, tmp_path, io.BytesIO(content))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert [one.path for one in keep_bundle(world.storage, tmp_path, io.BytesIO(bundle(3)))] == ["f0", "f1", "f2"]


def test_damaged_bundles_are_refused(world: World, tmp_path: Path) -> None:
    good = bundle(2)
    end = good.rfind(b"PK\x05\x06")
    lying = good[: end + 12] + struct.pack("<I", 2**31) + good[end + 16 :]
    damaged = [b"", b"PK", os.urandom(1000), good[:100], good[:end], lying, good[:40] + b"\xff" * 30 + good[70:]]
    damaged += [good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :] for at in range(0, 60, 3)]
    refused = 0
    for content in damaged:
        try:
            keep_bundle(world.storage, tmp_path, io.BytesIO(content))
        except InvalidInput:
            refused += 1
    assert refused >= len(damaged) - 12  # a few bytes mean nothing, such as a time


def test_a_bundle_has_one_end_record(world: World, tmp_path: Path) -> None:
    """A second one, of zip64, would be believed by the reader of archives rather than the one that was looked at."""
    content = bundle(3)
    at = content.rindex(b"PK\x05\x06")
    size, offset = struct.unpack_from("<LL", content, at + 12)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 3, 3, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    with pytest.raises(InvalidInput, match="zip64"):
        keep_bundle(world.storage, tmp_path, io.BytesIO(content[:at] + record + locator + content[at:]))
