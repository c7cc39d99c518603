"""Folders as manifests and fingerprints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.artifact import Artifact, Manifest
from reana_lite.backends.places import TooBig, fingerprint, manifest_text, scan
from reana_lite.storage.scan import scan as storage_scan

ARTIFACTS = st.builds(
    Artifact,
    st.text(min_size=1),
    st.sampled_from(["file", "link", "folder"]),
    st.integers(0, 2**60),
    st.text("abc", max_size=3),
    st.booleans(),
    st.text(max_size=5),
)


@given(st.lists(ARTIFACTS, unique_by=lambda a: a.path))
def test_the_quick_way_gives_what_a_manifest_gives(artifacts: list[Artifact]) -> None:
    manifest = Manifest.of(artifacts)
    assert manifest_text(artifacts) == (manifest.to_json(), manifest.digest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "d" / "e" / "a").write_text("one")
    (folder / "x").write_bytes(b"\0" * 3_000_000)
    (folder / "x").chmod(0o755)
    (folder / "link").symlink_to("d/e/a")
    return folder


def test_storage_and_supervisor_see_the_same_tree(folder: Path) -> None:
    assert Manifest.of(scan(str(folder)).artifacts) == storage_scan(folder)


def test_the_fingerprint_of_a_scan_is_that_of_a_look(folder: Path) -> None:
    (folder / "absolute").symlink_to(folder / "x")
    assert scan(str(folder)).fingerprint == fingerprint(str(folder), 100)


def test_a_fingerprint_sees_any_change_and_nothing_else(folder: Path) -> None:
    path = folder / "d" / "e" / "a"
    before = fingerprint(str(folder), 100)
    assert fingerprint(str(folder), 100) == before
    path.write_text("two")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert fingerprint(str(folder), 100) != before
    assert fingerprint(str(folder), 3) is None
    assert fingerprint(str(folder / "gone"), 100) != before


def test_limits_of_a_quick_look(folder: Path) -> None:
    with pytest.raises(TooBig):
        scan(str(folder), entries=2)
    with pytest.raises(TooBig):
        scan(str(folder), size_bytes=1000)


def test_a_link_through_a_link_cannot_leave(folder: Path) -> None:
    (folder / "up").symlink_to("d/..")
    (folder / "d" / "out").symlink_to("../up/../outside")
    found = scan(str(folder))
    assert [fault.split("'")[1] for fault in found.faults] == ["d/out"]
