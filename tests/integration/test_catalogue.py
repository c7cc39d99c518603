"""The catalogue on real folders: search paths, recast-atlas files, downloads, archives, toplevels."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import shutil
import subprocess
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPMessage
from pathlib import Path

import pytest

from reana_lite.analysis import Download
from reana_lite.catalogue import (
    Catalogue,
    EntryKind,
    Sources,
    added,
    create,
    fetch,
    load_analysis,
    obtain,
    removed,
    toplevel_uri,
    unpack,
)
from reana_lite.catalogue.fetching import _api, _Redirects
from reana_lite.catalogue.sources import search_path
from reana_lite.config import Settings
from reana_lite.errors import Conflict, InvalidAnalysis, InvalidInput, NotFound, Unavailable

ENTRY = """\
name: {name}
metadata: {{author: me, short_description: {title}, tags: [own]}}
spec: {{workflow: workflow.yml}}
"""


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    folder = tmp_path / "search"
    folder.mkdir()
    return Sources(search=(folder,), downloads=tmp_path / "downloads", timeout_s=5.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[dict[str, str]]]]:
    """A small HTTP server: (its address, the folder it shows, headers of the requests it got)."""
    folder = tmp_path / "www"
    folder.mkdir()
    seen: list[dict[str, str]] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            seen.append(dict(self.headers.items()))
            if self.path == "/broken":
                self.send_error(503)
            elif self.path.startswith("/to/"):  # and on to what follows, below this server or elsewhere
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}", folder, seen
        httpd.shutdown()
        thread.join()


# -- names -------------------------------------------------------------------------------------------------------------


def test_shipped_analyses_are_found_and_right() -> None:
    catalogue = Catalogue(Sources.from_environment({}))
    entries = catalogue.entries()
    assert catalogue.warnings == []
    assert all(entry.shipped and entry.title for entry in entries)
    for entry in entries:
        assert load_analysis(entry.path).name == entry.name


def test_folders_entries_and_indexes(sources: Sources) -> None:
    [folder] = sources.search
    create("group/mine", folder / "mine")
    (folder / "one.yml").write_text(ENTRY.format(name="atlas/one", title="One"))
    (folder / "more").mkdir()
    (folder / "more" / "two.yml").write_text(ENTRY.format(name="atlas/two", title="Two"))
    (folder / "index.yml").write_text(
        "name: i\ntags: [indexed]\nrecast_catalogue_entries: [more/two.yml, more/absent.yml]\n"
    )
    (folder / "other.yml").write_text("some: [file, of, somebody]\nspec: none\n")
    (folder / "broken.yml").write_text("metadata: {a: b: c}\nspec: {\n")
    (folder / "huge.yml").write_text("#" * 2_000_000 + "metadata spec")
    catalogue = Catalogue(sources)
    found = {entry.name: entry for entry in catalogue.entries()}
    assert sorted(found) == ["atlas/one", "atlas/two", "group/mine"]
    assert found["group/mine"].kind is EntryKind.ANALYSIS
    assert found["atlas/two"].tags == ("own", "indexed")
    assert [w for w in catalogue.warnings if "broken.yml:1 is not YAML" in w]
    assert [w for w in catalogue.warnings if "'more/absent.yml', which is no file" in w]
    with pytest.raises(NotFound, match="did you mean atlas/one"):
        catalogue.find("atlas/onne")


def test_a_later_one_wins_and_it_is_said(sources: Sources, tmp_path: Path) -> None:
    second = tmp_path / "second"
    for folder, title in ((sources.search[0], "First"), (second, "Second")):
        folder.mkdir(exist_ok=True)
        (folder / "a.yml").write_text(ENTRY.format(name="a", title=title))
    catalogue = Catalogue(replace(sources, search=(*sources.search, second)))
    assert catalogue.find("a").title == "Second"
    assert len(catalogue.warnings) == 1
    assert "a.yml is used, not" in catalogue.warnings[0]


def test_circular_indexes_end(sources: Sources) -> None:
    [folder] = sources.search
    (folder / "i.yml").write_text("name: i\nrecast_catalogue_entries: [i.yml]\nmetadata: spec\n")
    assert Catalogue(sources).entries() == []


def test_missing_folders_are_only_a_warning(tmp_path: Path) -> None:
    catalogue = Catalogue(Sources(search=(tmp_path / "gone",)))
    assert catalogue.entries() == []
    assert "is no folder" in catalogue.warnings[0]


def test_listing_many_is_fast(sources: Sources) -> None:
    [folder] = sources.search
    for number in range(200):
        create(f"a-{number}", folder / f"a-{number}")
    began = time.perf_counter()
    assert len(Catalogue(sources).entries()) == 200
    assert time.perf_counter() - began < 3.0  # about 0.3 s; the limit is for a busy machine


def test_the_environment_says_where(tmp_path: Path) -> None:
    read = Sources.from_environment({
        "RECAST_CATALOGUE": "/a:/b", "RECAST_ATLAS_CATALOGUE": "/c:/a", "RECAST_DATA_MIRROR": "/m",
        "YADAGE_SCHEMA_LOAD_TOKEN": "s", "YADAGE_INIT_TOKEN": "i",
    })  # fmt: skip
    assert read.search == (Path("/a"), Path("/b"), Path("/c"))
    environ = {"RECAST_HOME": str(tmp_path), "RECAST_ATLAS_CATALOGUE": "/x%20y:/z", "RECAST_DATA_MIRROR": "/m"}
    told = Sources.of(Settings.from_environment(environ))
    assert told.search == (Path("/x y"), Path("/z"))
    assert (told.mirror, told.downloads) == (Path("/m"), tmp_path / "downloads")
    assert (read.mirror, read.schema_token, read.init_token) == (Path("/m"), "s", "i")


# -- add, rm -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("name", ["plain", "with blank", "o'quote $x *", "percent%20", "a:b", "ümlaut"])
def test_the_export_line_works_unquoted(shell: str, name: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    folder = tmp_path / name
    folder.mkdir()
    line = added([str(folder)], Sources(search=(Path("/before"),)))
    assert line.startswith("export RECAST_ATLAS_CATALOGUE=")
    assert len(line.split()) == 2
    for call in ("$(cat line)", 'eval "$(cat line)"'):
        (tmp_path / "line").write_text(line)
        command = f'{call}; printf %s "$RECAST_ATLAS_CATALOGUE"'
        seen = subprocess.run([shell, "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
        assert search_path(seen) == (Path("/before"), folder)


def test_adding_and_removing(tmp_path: Path) -> None:
    blank = tmp_path / "a b"
    blank.mkdir()
    sources = Sources(search=(Path("/x"),))
    assert added(str(blank).split(" "), sources) == added([str(blank)], sources)  # an unquoted $PWD
    assert added(["/tmp", "/"], sources) == "export RECAST_ATLAS_CATALOGUE=/x:/tmp:/"
    assert removed(["/x"], sources) == "export RECAST_ATLAS_CATALOGUE="
    assert added([f"{blank}/.."], Sources()) == added([str(tmp_path)], Sources())
    assert removed([f"{blank}/../../x"], Sources(search=(tmp_path.parent / "x",))).endswith("=")
    with pytest.raises(InvalidInput, match="name the folder"):
        added([], Sources())
    with pytest.raises(NotFound, match="search path"):
        removed(["/y"], sources)
    with pytest.raises(NotFound, match="is no folder"):
        added(["/no/such"], sources)


# -- loading -----------------------------------------------------------------------------------------------------------


def test_files_that_are_not_there_are_faults(tmp_path: Path) -> None:
    folder = create("mine", tmp_path / "mine")
    (folder / "workflow.yml").unlink()
    (folder / "code" / "limit.py").unlink()
    (folder / "data" / "regions.json").unlink()
    (folder / "data" / "regions.json").symlink_to("/etc/hostname")
    with pytest.raises(InvalidAnalysis) as caught:
        load_analysis(folder)
    reasons = [str(fault) for fault in caught.value.faults]
    assert len(reasons) == 3
    assert "/workflow: 'workflow.yml' does not exist" in reasons[0]
    assert "/files/code_limit" in reasons[1]
    assert "leads out" in reasons[2]
    assert all(fault.line for fault in caught.value.faults)
    with pytest.raises(NotFound):
        load_analysis(tmp_path / "nothing")


def test_create_refuses_to_overwrite_and_odd_names(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(Conflict, match="exists already"):
        create("full", tmp_path / "full")
    for name in ("", "../x", "a b", "a//b", "-x"):
        with pytest.raises(InvalidInput, match="right is"):
            create(name, tmp_path / "x")
    assert "name: group/new\n" in (create("group/new", tmp_path / "new") / "analysis.yml").read_text()


# -- fetching ----------------------------------------------------------------------------------------------------------


def test_documents_from_files_and_servers(server: tuple[str, Path, list[dict[str, str]]], tmp_path: Path) -> None:
    address, folder, seen = server
    (folder / "a b.yml").write_bytes(b"stages: []")
    sources = Sources(schema_token="secret", timeout_s=5.0)
    assert fetch(f"{address}/a%20b.yml", sources) == b"stages: []"
    assert fetch((folder / "a b.yml").as_uri(), sources) == b"stages: []"
    assert all("secret" not in headers.values() for headers in seen)  # not over plain http
    with pytest.raises(NotFound, match="404"):
        fetch(f"{address}/none.yml", sources)
    with pytest.raises(Unavailable, match="503"):
        fetch(f"{address}/broken", sources)
    with pytest.raises(NotFound, match="does not exist"):
        fetch((tmp_path / "none").as_uri(), sources)
    with pytest.raises(NotFound, match="is a folder"):
        fetch(tmp_path.as_uri(), sources)
    with pytest.raises(InvalidInput, match="larger than 5 bytes"):
        fetch(f"{address}/a%20b.yml", replace(sources, document_limit_bytes=5))
    for uri in ("ftp://x/y", "data:,x", "file://elsewhere/etc/passwd"):
        with pytest.raises(InvalidInput):
            fetch(uri, sources)


def test_a_token_is_told_to_the_servers_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[urllib.request.Request] = []

    def asked(self: object, request: urllib.request.Request, **_: object) -> None:
        sent.append(request)
        raise urllib.error.URLError("nobody is asked")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", asked)
    sources = Sources.from_environment({"YADAGE_SCHEMA_LOAD_TOKEN": "secret"})
    others = ("https://raw.githubusercontent.com/a/b.yml", "https://gitlab.cern.ch.evil.example/a.yml",
              "https://gitlab.cern.ch@evil.example/a.yml", "https://gitlab.cern.ch:8443/a.yml",
              "http://gitlab.cern.ch/a.yml")  # fmt: skip
    for uri in ("https://gitlab.cern.ch/group/project/-/raw/main/a.yml", *others):
        with pytest.raises(Unavailable):
            fetch(uri, sources)
    assert [request.get_header("Private-token") for request in sent] == ["secret", *[None] * len(others)]
    own = Sources.from_environment({"YADAGE_SCHEMA_LOAD_TOKEN": "secret", "RECAST_TOKEN_HOSTS": "git.example.org"})
    assert own.token_for("https://git.example.org/a.yml", "secret") == "secret"
    assert own.token_for("https://gitlab.cern.ch/a.yml", "secret") == ""


def test_redirects_are_few_and_stay_where_documents_may_come_from(
    server: tuple[str, Path, list[dict[str, str]]],
) -> None:
    address, folder, seen = server
    (folder / "a.yml").write_bytes(b"stages: []")
    sources = Sources(timeout_s=5.0)
    assert fetch(f"{address}/to/{address}/a.yml", sources) == b"stages: []"
    assert fetch(f"{address}/to//to//a.yml", sources) == b"stages: []"
    with pytest.raises(Unavailable, match="302"):
        fetch(f"{address}" + "/to/" * 8 + "/a.yml", sources)
    for uri in ("file:///etc/passwd", "ftp://127.0.0.1/x", "//[::1"):
        with pytest.raises((NotFound, Unavailable)):
            fetch(f"{address}/to/{uri}", sources)
    count = len(seen)
    for uri in ("https://elsewhere.example/x.yml", f"{address}/a.yml", "https://known.example@127.0.0.1/x.yml"):
        with pytest.raises(NotFound, match=r"known\.example alone"):
            fetch(uri, replace(sources, hosts=("known.example",)))
    assert len(seen) == count
    follow = _Redirects(("known.example",))
    request = urllib.request.Request("https://known.example/x.yml")
    fitting = follow.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), "https://known.example/y.yml")
    assert fitting is not None
    assert fitting.full_url == "https://known.example/y.yml"
    for uri in (
        "https://elsewhere.example/",
        "http://known.example/y.yml",
        "https://known.example:8443/",
        f"{address}/a.yml",
    ):
        with pytest.raises(NotFound, match="leads on to"):
            follow.redirect_request(request, io.BytesIO(), 302, "", HTTPMessage(), uri)


def test_being_offline_is_said_plainly() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached .* may be offline"):
        fetch("http://127.0.0.1:9/x.yml", Sources(timeout_s=2.0))


@pytest.mark.parametrize(
    ("toplevel", "uri"),
    [
        ("github:org/repo", "https://raw.githubusercontent.com/org/repo/main/"),
        ("github:org/repo@v1:sub/path", "https://raw.githubusercontent.com/org/repo/v1/sub/path/"),
        ("gitlab-cern:g/p", "https://gitlab.cern.ch/g/p/-/raw/master/"),
        ("gitlab-cern:g/s/p@a/b:sub", "https://gitlab.cern.ch/g/s/p/-/raw/a%2Fb/sub/"),
        ("https://host/dir", "https://host/dir/"),
    ],
)
def test_toplevels_elsewhere(toplevel: str, uri: str, tmp_path: Path) -> None:
    assert toplevel_uri(toplevel, folder=tmp_path) == uri


def test_toplevels_here(tmp_path: Path) -> None:
    (tmp_path / "github here").mkdir()
    assert toplevel_uri("github here", folder=tmp_path) == (tmp_path / "github here").as_uri() + "/"
    with pytest.raises(NotFound, match="no such folder"):
        toplevel_uri("specs", folder=tmp_path)
    with pytest.raises(InvalidInput, match="not of the form"):
        toplevel_uri("github:", folder=tmp_path)


def test_gitlab_is_asked_by_its_api() -> None:
    asked = _api("https://gitlab.cern.ch/g/s/p/-/raw/a%2Fb/sub/flow.yml")
    assert asked == ("https://gitlab.cern.ch/api/v4/projects/g%2Fs%2Fp/repository/files/sub%2Fflow.yml/raw?ref=a%2Fb")


# -- downloads ---------------------------------------------------------------------------------------------------------


def download(address: str, content: bytes, name: str = "patches.json") -> Download:
    return Download(f"{address}/{name}", hashlib.sha256(content).hexdigest())


def test_downloads_are_kept_and_verified(server: tuple[str, Path, list[dict[str, str]]], sources: Sources) -> None:
    address, folder, seen = server
    (folder / "patches.json").write_bytes(b"right")
    wanted = download(address, b"right")
    said: list[str] = []
    path = obtain(wanted, sources, say=said.append)
    assert path.read_bytes() == b"right"
    assert said == [f"fetching {wanted.url}"]
    assert obtain(wanted, sources) == path
    assert len(seen) == 1
    path.write_bytes(b"damaged")
    assert obtain(wanted, sources).read_bytes() == b"right"
    with pytest.raises(InvalidAnalysis, match="but the analysis says"):
        obtain(download(address, b"another"), sources)
    assert [p for p in sources.downloads.rglob("*") if p.is_file()] == [path]


def test_the_mirror_is_looked_at_first(sources: Sources, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "deep").mkdir(parents=True)
    offline = replace(sources, mirror=mirror, timeout_s=2.0)
    address = "http://127.0.0.1:9"
    with pytest.raises(Unavailable, match="does not have it"):
        obtain(download(address, b"right"), offline)
    (mirror / "patches.json").write_bytes(b"wrong")
    with pytest.raises(Unavailable, match="has another sha256"):
        obtain(download(address, b"right"), offline)
    (mirror / "deep" / "renamed").write_bytes(b"right")
    assert obtain(download(address, b"right"), offline) == mirror / "deep" / "renamed"
    with pytest.raises(Unavailable, match="RECAST_DATA_MIRROR may name"):
        obtain(download(address, b"right"), replace(offline, mirror=None))


# -- archives ----------------------------------------------------------------------------------------------------------


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in members.items():
            out.writestr(name, content)
    return path


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_unpacking(tmp_path: Path) -> None:
    zipped = archive(tmp_path / "a.zip", {"top/in/x.txt": b"1", "top/in/deep/y": b"2", "other/z": b"3"})
    unpack(zipped, tmp_path / "all")
    assert listing(tmp_path / "all") == [
        "other",
        "other/z",
        "top",
        "top/in",
        "top/in/deep",
        "top/in/deep/y",
        "top/in/x.txt",
    ]
    unpack(zipped, tmp_path / "part", match="*/in/")
    assert listing(tmp_path / "part") == ["deep", "deep/y", "x.txt"]
    for match, reason in (("*/", "exactly one folder"), ("none/", "matches none"), ("top/in", "must end in '/'")):
        with pytest.raises(InvalidInput, match=reason):
            unpack(zipped, tmp_path / "no", match=match)
        assert not (tmp_path / "no").exists()


def test_an_executable_stays_one(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("run.sh")
    info.external_attr = 0o100755 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr(info, "#!/bin/sh\n")
    unpack(tmp_path / "a.zip", tmp_path / "to")
    assert os.access(tmp_path / "to" / "run.sh", os.X_OK)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\..\\x", "a//b", "./x"])
def test_paths_out_of_the_folder(name: str, tmp_path: Path) -> None:
    zipped = archive(tmp_path / "a.zip", {"good": b"", name: b"bad"})
    with pytest.raises(InvalidInput, match="outside of the folder"):
        unpack(zipped, tmp_path / "to")
    assert listing(tmp_path) == ["a.zip"]


def test_links_bombs_and_broken_files(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as out:
        out.writestr(link, "/etc/passwd")
    archive(tmp_path / "bomb.zip", {"zeros": bytes(120_000_000)})
    (tmp_path / "none.zip").write_bytes(b"no zip at all")
    whole = archive(tmp_path / "whole.zip", {"x": os.urandom(10_000)}).read_bytes()
    (tmp_path / "damaged.zip").write_bytes(whole[:3000] + bytes(1000) + whole[4000:])
    (tmp_path / "twice.zip").write_bytes(b"")
    for name, reason in (
        ("link", "a link or a device"), ("bomb", "more than is allowed"), ("none", "not a whole"),
        ("damaged", "not a whole"), ("twice", "not a whole"),
    ):  # fmt: skip
        with pytest.raises(InvalidInput, match=reason):
            unpack(tmp_path / f"{name}.zip", tmp_path / "to")
        assert not (tmp_path / "to").exists()
    with pytest.raises(InvalidInput, match="more than is allowed"):
        unpack(archive(tmp_path / "b.zip", {"x": b"12345"}), tmp_path / "to", limit_bytes=4)
