"""Downloads that are members of an archive: verified by their own digest, whatever archive they come from."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from reana_lite.analysis import Download, parse, read_document
from reana_lite.catalogue import Sources, obtain
from reana_lite.errors import InvalidAnalysis

MEMBERS = {"BkgOnly.json": b'{"channels": []}', "patchset.json": b'{"patches": []}', "README.md": b"words"}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(search=(), downloads=tmp_path / "downloads", timeout_s=5.0)


def tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> str:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path.as_uri()


def wanted(url: str, name: str, content: bytes | None = None) -> Download:
    content = MEMBERS[name.rpartition("/")[2]] if content is None else content
    return Download(url, hashlib.sha256(content).hexdigest(), member=name)


@pytest.mark.parametrize("prefix", ["", "./", "likelihoods/"])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_member_of_a_tar_is_found_and_kept(sources: Sources, tmp_path: Path, prefix: str, mode: str) -> None:
    url = tar(tmp_path / "archive", {prefix + name: content for name, content in MEMBERS.items()}, mode)
    for name in ("BkgOnly.json", "patchset.json"):
        found = obtain(wanted(url, name), sources)
        assert found.name == name
        assert found.read_bytes() == MEMBERS[name]
    (tmp_path / "archive").unlink()
    assert obtain(wanted(url, "BkgOnly.json"), sources) == sources.downloads / wanted(url, "BkgOnly.json").sha256 / (
        "BkgOnly.json"
    )
    assert sorted(path.name for path in sources.downloads.rglob("*") if path.is_file()) == [
        "BkgOnly.json",
        "patchset.json",
    ]


def test_a_member_of_a_zip_is_found(sources: Sources, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(f"folder/{name}", content)
    url = (tmp_path / "archive").as_uri()
    assert obtain(wanted(url, "folder/patchset.json"), sources).read_bytes() == MEMBERS["patchset.json"]


def test_another_digest_is_refused(sources: Sources, tmp_path: Path) -> None:
    url = tar(tmp_path / "archive", MEMBERS)
    with pytest.raises(InvalidAnalysis, match=r"BkgOnly.json in file:.*but the analysis says"):
        obtain(wanted(url, "BkgOnly.json", b"other"), sources)
    assert [path for path in sources.downloads.rglob("*") if path.is_file()] == []


def test_what_is_not_there_or_not_clear_is_said(sources: Sources, tmp_path: Path) -> None:
    url = tar(tmp_path / "one", {"README.md": b"words"})
    with pytest.raises(InvalidAnalysis, match=r"no member 'BkgOnly.json'; it has README.md"):
        obtain(wanted(url, "BkgOnly.json"), sources)
    url = tar(tmp_path / "two", {"A/BkgOnly.json": b"1", "B/BkgOnly.json": b"2"})
    with pytest.raises(InvalidAnalysis, match=r"more than one member 'BkgOnly.json'; it has A/BkgOnly.json, B/"):
        obtain(wanted(url, "BkgOnly.json"), sources)
    assert (
        obtain(Download(url, hashlib.sha256(b"2").hexdigest(), member="B/BkgOnly.json"), sources).read_bytes() == b"2"
    )


@pytest.mark.parametrize("content", [b"", b"<html>landing page</html>", b"\x1f\x8b\x08\x00broken"])
def test_no_archive_at_the_address(sources: Sources, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "page").write_bytes(content)
    with pytest.raises(InvalidAnalysis, match=r"not a whole archive|no member"):
        obtain(wanted((tmp_path / "page").as_uri(), "BkgOnly.json"), sources)


def test_an_archive_that_breaks_off_is_refused(sources: Sources, tmp_path: Path) -> None:
    url = tar(tmp_path / "archive", {"BkgOnly.json": bytes(range(256)) * 4000})
    whole = (tmp_path / "archive").read_bytes()
    (tmp_path / "archive").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidAnalysis, match="not a whole archive"):
        obtain(wanted(url, "BkgOnly.json", bytes(range(256)) * 4000), sources)


def test_a_bomb_is_not_unpacked(sources: Sources, tmp_path: Path) -> None:
    content = b"0" * 2_000_000
    url = tar(tmp_path / "archive", {"BkgOnly.json": content})
    with pytest.raises(InvalidAnalysis, match="larger than 1000000 bytes"):
        obtain(wanted(url, "BkgOnly.json", content), replace(sources, download_limit_bytes=1_000_000))
    assert [path for path in sources.downloads.rglob("*") if path.is_file()] == []


def test_the_mirror_may_have_the_member_itself(sources: Sources, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "BkgOnly.json").write_bytes(MEMBERS["BkgOnly.json"])
    offline = replace(sources, mirror=mirror, timeout_s=2.0)
    assert obtain(wanted("http://127.0.0.1:9/archive", "BkgOnly.json"), offline) == mirror / "BkgOnly.json"


def test_analysis_yml_names_the_member() -> None:
    text = f"""\
reana_lite: 1
name: mine
title: A search
workflow: workflow.yml
data:
  likelihood: {{url: 'https://host/record/1?view=true', member: deep/BkgOnly.json, sha256: {"a" * 64}}}
"""
    download = parse(read_document(text.encode(), "analysis.yml")).data["likelihood"]
    assert download.member == "deep/BkgOnly.json"
    assert download.name == "BkgOnly.json"
    with pytest.raises(InvalidAnalysis, match="member"):
        parse(read_document(text.replace("deep/", "/deep/").encode(), "analysis.yml"))
