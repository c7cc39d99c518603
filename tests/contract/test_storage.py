"""What every storage must do; `Kept` says how a test puts a job's outputs there for each of them."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reana_lite.artifact import Artifact, Manifest, digest_bytes
from reana_lite.config import S3Settings
from reana_lite.errors import Damaged, InvalidInput, NotFound, Unavailable
from reana_lite.storage import local as local_module
from reana_lite.storage.base import Storage
from reana_lite.storage.local import LocalStorage, tree_key
from reana_lite.storage.names import file_name
from reana_lite.storage.s3 import S3Storage
from reana_lite.storage.scan import complete, copy_file, scan, write_atomically

KEY = "k" * 32
ODD_NAMES = ["a b", "a+b", "a%20b", "größe", "line\nbreak", ".hidden", "-rf", "'quoted\"", "\\back", "☃", "*?[x]"]


@dataclass
class Kept:
    """A storage under test, and the backend's side of it: outputs appear in `files`, then the manifest."""

    storage: Storage
    put: Callable[[str, int, Path], Manifest]
    say: Callable[[str, int, bytes], None]
    break_file: Callable[[str, int, str, bytes], None]


@pytest.fixture(params=["local", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "s3":
        return in_a_bucket(request.getfixturevalue("s3_settings"))
    storage = LocalStorage(tmp_path / "storage")
    storage.check()

    def put(key: str, attempt: int, source: Path) -> Manifest:
        shutil.copytree(source, storage.folder(key, attempt), symlinks=True)
        manifest = scan(storage.folder(key, attempt))
        complete(storage.place(key, attempt), manifest)
        return manifest

    def say(key: str, attempt: int, content: bytes) -> None:
        storage.place(key, attempt).mkdir(parents=True, exist_ok=True)
        with (storage.place(key, attempt) / "log").open("ab") as stream:
            stream.write(content)

    def break_file(key: str, attempt: int, path: str, content: bytes) -> None:
        (storage.folder(key, attempt) / path).write_bytes(content)

    return Kept(storage, put, say, break_file)


def in_a_bucket(place: S3Settings) -> Kept:
    """The same on a real S3 service; a backend's side is what a pod's stager uploads."""
    storage = S3Storage(place, patience_s=20)
    storage.check()

    def put(key: str, attempt: int, source: Path) -> Manifest:
        manifest = scan(source)
        storage.put(key, attempt, manifest, lambda a: (source / a.path).open("rb"))
        return manifest

    def say(key: str, attempt: int, content: bytes) -> None:
        storage.put_document(key, attempt, "log", storage.log(key, attempt) + content)

    def break_file(key: str, attempt: int, path: str, content: bytes) -> None:
        storage.put_document(key, attempt, "files/" + file_name(path), content)

    return Kept(storage, put, say, break_file)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with everything that must survive."""
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty" / "inner").mkdir(parents=True)
    (root / "zero").write_bytes(b"")
    (root / "run.sh").write_text("#!/bin/sh\necho hi\n")
    (root / "run.sh").chmod(0o755)
    (root / "sub" / "data.bin").write_bytes(bytes(range(256)) * 8192)
    (root / "sub" / "up").symlink_to("../run.sh")
    (root / "sub" / "self").symlink_to("deep")
    (root / "dangling").symlink_to("not/there")
    for name in ODD_NAMES:
        (root / name).write_text(name)
    return root


def shape(root: Path) -> dict[str, tuple[str, ...]]:
    """What is in a folder, independently of the code under test."""
    found: dict[str, tuple[str, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = Path(folder, name)
            inner = str(path.relative_to(root))
            if path.is_symlink():
                found[inner] = ("link", str(path.readlink()))
            elif path.is_dir():
                found[inner] = ("folder",)
            else:
                found[inner] = ("file", digest_bytes(path.read_bytes()), str(bool(path.stat().st_mode & 0o100)))
    return found


# -- trees ---------------------------------------------------------------------------------------------------------


def test_a_kept_tree_comes_back_as_it_was(kept: Kept, tree: Path, tmp_path: Path) -> None:
    placed = kept.storage.keep_tree(tree, "/reana-lite/init")
    assert (placed.folder, placed.attempt) == ("/reana-lite/init", 0)
    kept.storage.fetch(placed.key, 0, tmp_path / "back" / "again")
    assert shape(tmp_path / "back" / "again") == shape(tree)
    manifest = kept.storage.manifest(placed.key, 0)
    assert manifest is not None
    assert manifest.digest == placed.digest == scan(tree).digest
    assert manifest.get("empty/inner") == Artifact("empty/inner", "folder")
    assert manifest.get("empty") is None
    assert kept.storage.damage(placed.key, 0) == []


def test_an_equal_tree_is_kept_once(kept: Kept, tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "twin", symlinks=True)
    first = kept.storage.keep_tree(tree, "/a")
    second = kept.storage.keep_tree(tmp_path / "twin", "/b")
    assert (first.key, first.digest) == (second.key, second.digest)
    assert list(kept.storage.places()) == [(first.key, 0)]
    (tmp_path / "twin" / "run.sh").chmod(0o644)
    assert kept.storage.keep_tree(tmp_path / "twin", "/b").key != first.key


def test_a_tree_that_is_kept_again_is_not_old(kept: Kept, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reana_lite.storage.s3.KEEP_AGAIN_S", -1.0)
    begun_at = time.time()
    key = kept.storage.keep_tree(tree, "/init").key
    first = kept.storage.kept_at(key)
    assert first is not None
    assert begun_at - 2 < first < time.time() + 2
    deadline = time.monotonic() + 20
    while kept.storage.kept_at(key) == first:  # the clock of a bucket counts seconds
        assert time.monotonic() < deadline
        assert kept.storage.keep_tree(tree, "/init").key == key
    assert kept.storage.kept_at("k" * 32) is None
    assert kept.storage.damage(key, 0) == []


def test_one_file_is_a_tree_of_one(kept: Kept, tree: Path, tmp_path: Path) -> None:
    placed = kept.storage.keep_tree(tree / "run.sh", "/x")
    kept.storage.fetch(placed.key, 0, tmp_path / "out")
    assert shape(tmp_path / "out") == {"run.sh": shape(tree)["run.sh"]}
    (tmp_path / "alias.sh").symlink_to(tree / "run.sh")
    linked = kept.storage.keep_tree(tmp_path / "alias.sh", "/x")
    with kept.storage.open(linked.key, 0, "alias.sh") as stream:
        assert stream.read() == (tree / "run.sh").read_bytes()


def test_bytes_are_a_tree_equal_to_one_of_files(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "t" / "sub").mkdir(parents=True)
    (tmp_path / "t" / "sub" / "a b").write_bytes(b"1")
    (tmp_path / "t" / "c").write_bytes(b"")
    from_bytes = kept.storage.keep_bytes({"sub/a b": b"1", "c": b""}, "/x")
    assert from_bytes == kept.storage.keep_tree(tmp_path / "t", "/x")
    assert kept.storage.keep_bytes({}, "/x").key != from_bytes.key


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a//b", "./a", "a/", "nul\0"])
def test_bytes_under_bad_paths_are_refused(kept: Kept, path: str) -> None:
    with pytest.raises(InvalidInput):
        kept.storage.keep_bytes({path: b"x"}, "/x")
    with pytest.raises(InvalidInput):
        kept.storage.keep_bytes({"a": b"1", "a/b": b"2"}, "/x")
    assert list(kept.storage.places()) == []


def test_missing_sources_are_named(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        kept.storage.keep_tree(tmp_path / "nowhere", "/x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="pipe"):
        kept.storage.keep_tree(tmp_path / "pipe", "/x")


def _absolute(root: Path) -> None:
    (root / "bad").symlink_to("/etc/passwd")


def _upwards(root: Path) -> None:
    (root / "sub" / "bad").symlink_to("../../x")


def _through_another(root: Path) -> None:
    (root / "sub" / "top").symlink_to("..")
    (root / "sub" / "bad").symlink_to("top/../x")


def _fifo(root: Path) -> None:
    os.mkfifo(root / "bad")


def _socket(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)  # the path of a socket is at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as endpoint:
            endpoint.bind("bad")
    finally:
        os.chdir(here)


def _device(root: Path) -> None:
    try:
        os.mknod(root / "bad", 0o020666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("make", [_absolute, _upwards, _through_another, _fifo, _socket, _device])
def test_what_a_tree_cannot_hold_is_refused_by_name(kept: Kept, tree: Path, make: Callable[[Path], None]) -> None:
    make(tree)
    with pytest.raises(InvalidInput, match="bad"):
        kept.storage.keep_tree(tree, "/x")
    assert list(kept.storage.places()) == []
    odd: dict[str, str] = {}
    manifest = scan(tree, odd=odd)
    assert [path for path in odd if path.endswith("bad")]
    assert manifest.get("run.sh") is not None


def test_an_absolute_link_inside_its_tree_becomes_relative(kept: Kept, tree: Path, tmp_path: Path) -> None:
    (tree / "sub" / "inside").symlink_to(tree / "sub" / "deep")
    manifest = scan(tree)
    assert manifest.get("sub/inside") == Artifact("sub/inside", "link", target="deep")
    placed = kept.storage.keep_tree(tree, "/x")
    kept.storage.fetch(placed.key, 0, tmp_path / "back")
    assert (tmp_path / "back" / "sub" / "inside").readlink() == Path("deep")


def test_links_in_a_circle_do_not_hang(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a").symlink_to("b")
    (tmp_path / "t" / "b").symlink_to("a")
    (tmp_path / "t" / "here").symlink_to(".")
    placed = kept.storage.keep_tree(tmp_path / "t", "/x")
    with pytest.raises(NotFound):
        kept.storage.open(placed.key, 0, "a")


_NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda n: n not in (".", "..") and len(n.encode()) < 80)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(st.lists(_NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=300), max_size=6)
)
def test_any_names_and_contents_survive(kept: Kept, tmp_path: Path, files: dict[str, bytes]) -> None:
    assume(not any(path.startswith(other + "/") for path in files for other in files))
    placed = kept.storage.keep_bytes(files, "/x")
    back = Path(tempfile.mkdtemp(dir=tmp_path))
    kept.storage.fetch(placed.key, 0, back)
    assert {str(p.relative_to(back)): p.read_bytes() for p in back.rglob("*") if p.is_file()} == files


def test_names_that_are_not_utf8_survive(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "t" / name).write_bytes(b"latin")
    placed = kept.storage.keep_tree(tmp_path / "t", "/x")
    kept.storage.fetch(placed.key, 0, tmp_path / "back")
    assert [os.fsencode(path.name) for path in (tmp_path / "back").iterdir()] == [b"caf\xe9"]


# -- outputs of jobs -----------------------------------------------------------------------------------------------


def test_outputs_are_there_once_the_manifest_is(kept: Kept, tree: Path, tmp_path: Path) -> None:
    assert kept.storage.manifest(KEY, 1) is None
    kept.say(KEY, 1, b"working\n")
    assert kept.storage.manifest(KEY, 1) is None
    with pytest.raises(NotFound):
        kept.storage.fetch(KEY, 1, tmp_path / "back")
    with pytest.raises(NotFound):
        kept.storage.damage(KEY, 1)
    manifest = kept.put(KEY, 1, tree)
    assert kept.storage.manifest(KEY, 1) == manifest
    kept.storage.fetch(KEY, 1, tmp_path / "back")
    assert shape(tmp_path / "back") == shape(tree)


def test_fetching_over_an_older_copy_replaces_it(kept: Kept, tree: Path, tmp_path: Path) -> None:
    kept.put(KEY, 1, tree)
    back = tmp_path / "back"
    back.mkdir()
    (back / "run.sh").symlink_to(tmp_path / "victim")
    (tmp_path / "victim").write_text("mine")
    (back / "zero").write_text("old")
    (back / "other").write_text("stays")
    kept.storage.fetch(KEY, 1, back)
    kept.storage.fetch(KEY, 1, back)
    assert shape(back) == shape(tree) | {"other": ("file", digest_bytes(b"stays"), "False")}
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_file_is_read_by_path_through_links_inside(kept: Kept, tree: Path) -> None:
    kept.put(KEY, 2, tree)
    for path in ("run.sh", "sub/up"):
        with kept.storage.open(KEY, 2, path) as stream:
            assert stream.read() == b"#!/bin/sh\necho hi\n"
            assert stream.seekable()
    for path in ("sub", "nothing", "dangling", "empty/inner"):
        with pytest.raises(NotFound):
            kept.storage.open(KEY, 2, path)
    with pytest.raises(NotFound):
        kept.storage.open(KEY, 1, "run.sh")
    for path in ("../manifest.json", "/etc/passwd", "a/../../log"):
        with pytest.raises(InvalidInput):
            kept.storage.open(KEY, 2, path)


def test_a_log_is_read_while_it_grows(kept: Kept) -> None:
    assert kept.storage.log(KEY, 1) == b""
    kept.say(KEY, 1, b"one\n")
    assert kept.storage.log(KEY, 1) == b"one\n"
    kept.say(KEY, 1, b"two\n")
    assert kept.storage.log(KEY, 1, 4) == b"two\n"
    assert kept.storage.log(KEY, 1, -4) == b"two\n"
    assert kept.storage.log(KEY, 1, 100) == b""
    assert kept.storage.log(KEY, 1, -100) == b"one\ntwo\n"
    assert [kept.storage.log(KEY, 1, at, limit=3) for at in (0, 2, -3, -100, 7, 8, 100)] == [
        b"one", b"e\nt", b"wo\n", b"one", b"\n", b"", b"",
    ]  # fmt: skip
    assert kept.storage.log(KEY, 1, 1, limit=0) == b""


def test_places_sizes_and_removal(kept: Kept, tree: Path) -> None:
    manifest = kept.put(KEY, 1, tree)
    kept.put(KEY, 12, tree)
    kept.say("j" * 32, 1, b"x" * 100)
    placed = kept.storage.keep_tree(tree, "/x")
    assert sorted(kept.storage.places()) == sorted([(KEY, 1), (KEY, 12), ("j" * 32, 1), (placed.key, 0)])
    assert kept.storage.size_bytes(KEY, 1) >= manifest.size_bytes
    assert kept.storage.size_bytes("j" * 32, 1) == 100
    assert kept.storage.size_bytes("z" * 32, 3) == 0
    kept.storage.remove(KEY, 1)
    kept.storage.remove(KEY, 1)
    kept.storage.remove(placed.key, 0)
    assert kept.storage.manifest(KEY, 1) is None
    assert kept.storage.manifest(KEY, 12) is not None
    assert sorted(kept.storage.places()) == sorted([(KEY, 12), ("j" * 32, 1)])
    assert kept.storage.keep_tree(tree, "/x") == placed


@pytest.mark.parametrize("key", ["../x", "", "a/b", ".", "..", "-x", "x\0", "a b"])
def test_a_key_cannot_leave_the_storage(kept: Kept, key: str) -> None:
    for attempt in (0, 1):
        with pytest.raises(InvalidInput):
            kept.storage.manifest(key, attempt)
        with pytest.raises(InvalidInput):
            kept.storage.remove(key, attempt)


def test_damage_is_found_and_not_handed_out(kept: Kept, tree: Path, tmp_path: Path) -> None:
    kept.put(KEY, 1, tree)
    assert kept.storage.damage(KEY, 1) == []
    kept.break_file(KEY, 1, "zero", b"!")
    kept.break_file(KEY, 1, "extra", b"!")
    assert kept.storage.damage(KEY, 1) == ["extra", "zero"]
    with pytest.raises(Damaged, match="zero"):
        kept.storage.fetch(KEY, 1, tmp_path / "back")
    assert not (tmp_path / "back" / "zero").exists()


# -- the local storage alone ---------------------------------------------------------------------------------------


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "storage")
    storage.check()
    return storage


def test_a_damaged_manifest_is_no_manifest(storage: LocalStorage, tree: Path) -> None:
    placed = storage.keep_tree(tree, "/x")
    path = storage.place(placed.key, 0) / "manifest.json"
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:50],
        b"[]",
        b'{"version": 2}',
        b'{"version": 1}',
        b"\xff",
        b'{"version":1,"artifacts":[[1]]}',
    ):
        path.write_bytes(content)
        assert storage.manifest(placed.key, 0) is None
        assert storage.damage(placed.key, 0) == ["manifest.json"]
    assert storage.keep_tree(tree, "/x") == placed
    assert storage.damage(placed.key, 0) == []
    other = Manifest((Artifact("a", size=1, digest=digest_bytes(b"1")),))
    path.write_text(other.to_json())
    assert storage.damage(placed.key, 0) == ["manifest.json"]


@pytest.mark.parametrize(
    "row", [["fi", "../x", 0, "", 0, ""], ["li", "a", 0, "", 0, "/etc"], ["fo", "/x", 0, "", 0, ""]]
)
def test_a_forged_manifest_writes_nothing_outside(storage: LocalStorage, tmp_path: Path, row: list[object]) -> None:
    storage.folder(KEY, 1).mkdir(parents=True)
    complete(storage.place(KEY, 1), Manifest((Artifact.from_list(row),)))
    with pytest.raises(InvalidInput):
        storage.fetch(KEY, 1, tmp_path / "deep" / "back")
    assert not (tmp_path / "deep" / "x").exists()


def test_a_file_planted_behind_a_link_is_not_opened(storage: LocalStorage, tree: Path, tmp_path: Path) -> None:
    storage.folder(KEY, 1).mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (storage.folder(KEY, 1) / "out").symlink_to(tmp_path)
    complete(storage.place(KEY, 1), Manifest())
    with pytest.raises(NotFound):
        storage.open(KEY, 1, "out/secret")


def test_full_disk_leaves_nothing_half_visible(
    storage: LocalStorage, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    left = 1_000_000

    def write(descriptor: int, content: bytes) -> int:
        nonlocal left
        left -= len(content)
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Unavailable, match="no space"):
        storage.keep_tree(tree, "/x")
    monkeypatch.undo()
    assert list(storage.places()) == []
    assert list((storage.root / "tmp").iterdir()) == []
    assert storage.damage(storage.keep_tree(tree, "/x").key, 0) == []


def test_a_really_full_file_system(tmp_path: Path, tree: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        storage = LocalStorage(mount / "s")
        storage.check()
        with pytest.raises(Unavailable, match="no space"):
            storage.keep_tree(tree, "/x")
        assert list(storage.places()) == []
        kept = storage.keep_bytes({"a": b"fits"}, "/x")
        with pytest.raises(Unavailable, match="no space"):
            storage.keep_bytes({"b": b"x" * 2_000_000}, "/x")
        assert list(storage.places()) == [(kept.key, 0)]
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_source_that_changes_meanwhile_is_kept_as_it_was_copied(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a").write_text("before")
    real = local_module.copy_file

    def copy(source: Path, destination: Path, *, executable: bool) -> tuple[int, str]:
        source.write_text("after!")
        return real(source, destination, executable=executable)

    monkeypatch.setattr(local_module, "copy_file", copy)
    placed = storage.keep_tree(tmp_path / "t", "/x")
    assert storage.damage(placed.key, 0) == []
    with storage.open(placed.key, 0, "a") as stream:
        assert stream.read() == b"after!"


def test_huge_files_are_streamed(storage: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    with (tmp_path / "t" / "big").open("wb") as stream:
        stream.truncate(300 << 20)
    code = (
        "import sys; from pathlib import Path\n"
        "from reana_lite.storage.local import LocalStorage\n"
        "s = LocalStorage(Path(sys.argv[1])); k = s.keep_tree(Path(sys.argv[2]), '/x')\n"
        "assert s.manifest(k.key, 0).size_bytes == 300 << 20\n"
        # not getrusage: that counts what the parent had before exec
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, storage.root, tmp_path / "t"], capture_output=True, check=True, timeout=60
    )
    assert int(done.stdout) < 80_000, "kilobytes in memory at most"


def test_a_copy_shares_blocks_or_is_a_copy(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    size, digest = copy_file(tmp_path / "a", tmp_path / "b", executable=True)
    assert (size, digest) == (3_000_000, digest_bytes(b"x" * 3_000_000))
    (tmp_path / "a").write_bytes(b"y")
    assert (tmp_path / "b").read_bytes() == b"x" * 3_000_000
    with pytest.raises(FileExistsError):
        copy_file(tmp_path / "a", tmp_path / "b", executable=False)


def test_an_atomic_write_keeps_the_old_document_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "d", b"old")

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "d", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
    assert (tmp_path / "d").read_bytes() == b"old"


def test_read_only_outputs_can_be_removed() -> None:
    def work(root: Path) -> None:
        storage = LocalStorage(root / "storage")
        files = storage.folder(KEY, 1)
        (files / "a" / "b").mkdir(parents=True)
        (files / "a" / "b" / "c").write_text("x")
        (files / "a" / "link").symlink_to("/etc")
        for folder in (files / "a" / "b", files / "a", files):
            folder.chmod(0o500)
        storage.remove(KEY, 1)
        assert not storage.place(KEY, 1).exists()
        assert list((storage.root / "tmp").iterdir()) == []

    as_nobody(work)


def test_permission_problems_are_told() -> None:
    def work(root: Path) -> None:
        tree = root / "t"
        tree.mkdir()
        (tree / "secret").write_text("x")
        (tree / "secret").chmod(0)
        storage = LocalStorage(root / "storage")
        storage.check()
        with pytest.raises(InvalidInput, match="'secret' cannot be read: permission denied"):
            storage.keep_tree(tree, "/x")
        (tree / "secret").chmod(0o600)
        (storage.root / "tmp").chmod(0o500)
        with pytest.raises(Unavailable, match="permission denied"):
            storage.check()
        with pytest.raises(Unavailable, match="permission denied"):
            storage.keep_tree(tree, "/x")
        (storage.root / "tmp").chmod(0o700)
        (root / "closed").mkdir(mode=0)
        with pytest.raises(Unavailable, match=r"closed.*permission denied"):
            LocalStorage(root / "closed" / "s").check()
        with pytest.raises(Unavailable, match="permission denied"):
            storage.fetch(storage.keep_tree(tree, "/x").key, 0, root / "closed" / "x")
        (root / "closed").chmod(0o700)

    as_nobody(work)


def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="file"):
        LocalStorage(tmp_path / "file").check()


def test_what_dead_processes_left_is_cleared(storage: LocalStorage) -> None:
    old, new = storage.root / "tmp" / "old", storage.root / "tmp" / "new"
    for folder in (old, new):
        (folder / "files").mkdir(parents=True)
    os.utime(old, (0, time.time() - local_module.LEFTOVER_AGE_S - 60))
    storage.check()
    assert [p.name for p in (storage.root / "tmp").iterdir()] == ["new"]


def _keep_many(root: Path, source: Path, start: object, count: int) -> None:
    start.wait(20)  # type: ignore[attr-defined]
    storage = LocalStorage(root)
    for _ in range(count):
        placed = storage.keep_tree(source, "/x")
        storage.remove(placed.key, 0)
    storage.keep_tree(source, "/x")


def test_processes_keeping_and_removing_the_same_tree(storage: LocalStorage, tree: Path) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    workers = [context.Process(target=_keep_many, args=(storage.root, tree, start, 15)) for _ in range(3)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    storage.keep_tree(tree, "/x")
    (place,) = storage.places()
    assert storage.damage(*place) == []
    assert list((storage.root / "tmp").iterdir()) == []


def test_a_tree_is_kept_while_another_process_makes_the_folders(storage: LocalStorage, tree: Path) -> None:
    shutil.rmtree(storage.root, ignore_errors=True)
    (storage.root / "tmp").mkdir(parents=True)  # as far as that process has come
    placed = storage.keep_tree(tree, "/x")
    assert storage.damage(placed.key, 0) == []


def test_a_tree_that_is_removed_as_soon_as_it_is_kept_was_kept(
    storage: LocalStorage, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    removed: list[Path] = []

    def rename_and_lose(source: Path, target: Path) -> Path:
        there = rename(source, target)
        if target.parent.name == "trees" and not removed:
            removed.append(target)
            shutil.rmtree(target)
        return there

    monkeypatch.setattr(Path, "rename", rename_and_lose)
    placed = storage.keep_tree(tree, "/x")
    assert [path.name for path in removed] == [placed.key]
    assert list((storage.root / "tmp").iterdir()) == []
    assert storage.keep_tree(tree, "/x") == placed
    assert storage.damage(placed.key, 0) == []


@pytest.mark.slow
def test_killed_at_any_instant_a_tree_is_whole_or_absent(storage: LocalStorage, tree: Path) -> None:
    context = multiprocessing.get_context("fork")
    pause = random.Random(1)
    key = tree_key(scan(tree).digest)
    for _ in range(40):
        start = context.Event()
        start.set()
        worker = context.Process(target=_keep_many, args=(storage.root, tree, start, 10_000))
        worker.start()
        worker.join(pause.uniform(0.0, 0.03))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(20)
        if storage.manifest(key, 0) is not None:
            assert storage.damage(key, 0) == []
        assert storage.keep_tree(tree, "/x").key == key
        assert storage.damage(key, 0) == []
        storage.remove(key, 0)


def test_the_scan_starts_fast_and_light() -> None:
    code = "import sys, reana_lite.storage.scan; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=30)
    heavy = {"sqlalchemy", "yaml", "click", "rich", "asyncio", "multiprocessing", "shutil"}
    assert not heavy & set(done.stdout.decode().split())


def as_nobody(work: Callable[[Path], None]) -> None:
    """Do something in a fresh folder without the powers of root (which no permission stops)."""
    folder = Path(tempfile.mkdtemp(prefix="reana-lite-test-"))
    try:
        if os.geteuid() != 0:
            work(folder)
            return
        folder.chmod(0o777)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                work(folder)
                code = 0
            except BaseException:  # noqa: BLE001 - pytest must not go on in the child
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
