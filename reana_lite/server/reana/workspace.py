"""The files of a workflow as REANA shows them: what was uploaded, and over it what its runs have made.

Bytes come in as a stream and are kept by content; they go out as a stream. What a run that is over has made becomes part of
its workspace when somebody first looks; while it runs, what is finished is shown over it. No request is read here.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import posixpath
import re
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, BinaryIO

from reana_lite.artifact import Artifact
from reana_lite.database import RunRecord, workspace_runs, workspaces
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.database.workspaces import Stored, WorkspaceRun, clean_path
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.job import RUN_ROOT
from reana_lite.serial import SerialEngine
from reana_lite.server.files import drive_of
from reana_lite.server.installation import Installation
from reana_lite.server.sending import BLOCK, Pipe
from reana_lite.storage.base import Storage

SMALL_BYTES = 1 << 20
"""What is kept without a detour over a file (bytes)."""

CONTENT = "content"
"""The name of the one file in the kept tree that an uploaded file is."""

BUNDLE_FILES, BUNDLE_BYTES, BUNDLE_DEPTH = 1000, 100 * 1024 * 1024, 64
"""The largest bundle that is taken at creation: files, bytes, folders within each other (those of REANA's own server)."""

DIRECTORY_BYTES = 1_000_000
"""The largest directory of a bundle: 1000 files with long names."""

UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError,
    OSError, struct.error, UnicodeDecodeError,
)  # fmt: skip
"""What the reader of zip archives raises for those that are damaged."""

Files = dict[str, Stored]
Allow = Callable[[int], None]
"""Told how many bytes are about to be stored; raises if they may not be."""


def anything(size_bytes: int) -> None:
    """However much it is."""


# -- what there is -----------------------------------------------------------------------------------------------------


def files_of(installation: Installation, record: RunRecord, use: WorkspaceRun | None) -> Files:
    """What a workflow shows, by path, sorted."""
    if use is None or not use.workspace:
        made, _ = made_by(installation, record)
        return dict(sorted((one.path, one) for one in made))
    shown: list[Stored] = []
    hidden: list[str] = []
    for run, state, _ in workspace_runs.runs_of(installation.database, use.workspace):
        if state not in (*TERMINAL_RUN, "running"):
            continue
        other = use if run == use.run else workspace_runs.of_run(installation.database, run)
        if other is None or other.taken:
            continue
        found = record if run == record.id else installation.database.get_run(run)
        made, gone = made_by(installation, found)
        if found.state in TERMINAL_RUN:
            with installation.database.transaction() as transaction:
                workspaces.take(transaction, other, made, gone, at=found.ended_at)
        else:
            shown, hidden = made, gone
    files = workspaces.files(installation.database, use.workspace)
    for path in hidden:
        files.pop(path, None)
    return dict(sorted((files | {one.path: one for one in shown}).items()))


def made_by(installation: Installation, record: RunRecord) -> tuple[list[Stored], list[str]]:
    """(what a run has made, paths of its workspace that it has removed)."""
    if not record.next_seq:
        return [], []
    drive = drive_of(installation, record)
    found: Files = {}
    given: dict[str, Artifact] = {}
    serial = isinstance(drive.engine, SerialEngine)
    for folder, key, attempt in drive.folders():
        prefix = "" if serial else folder[len(RUN_ROOT) + 1 :] + "/"
        manifest = installation.storage.manifest(key, attempt)
        for artifact in manifest.artifacts if manifest is not None else ():
            path = prefix + artifact.path
            if len(path.encode("utf-8", "replace")) <= workspaces.PATH_LIMIT_BYTES:
                found[path] = Stored(replace(artifact, path=path), key, attempt, artifact.path, made=True)
    if serial and found:
        for tree in drive.engine.init.trees:
            manifest = installation.storage.manifest(tree.key, tree.attempt)
            given |= {artifact.path: artifact for artifact in manifest.artifacts} if manifest is not None else {}
    made = [one for path, one in found.items() if path not in given or not _equal(given[path], one.artifact)]
    at = record.ended_at or record.started_at
    return [replace(one, changed_at=at) for one in made], sorted(given.keys() - found.keys())


def _equal(a: Artifact, b: Artifact) -> bool:
    return (a.kind, a.digest, a.target) == (b.kind, b.digest, b.target)


def entry_of(files: Files, path: str) -> Stored | None:
    """The file at a path, links within the workspace followed; None if there is none."""
    for _ in range(20):
        one = files.get(path)
        if one is None or one.artifact.kind != "link":
            return one if one is not None and one.artifact.kind == "file" else None
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), one.artifact.target))
    return None


def matching(files: Files, pattern: str) -> list[str]:
    """Paths that a user means: the file itself, all below a folder, or those that fit a pattern (and lie below what fits)."""
    plain = pattern.strip("/").removeprefix("./")
    if plain in files:
        return [plain]
    if plain in ("", "."):
        return list(files)
    below = [path for path in files if path.startswith(plain + "/")]
    if below or not re.search(r"[*?\[]", plain):
        return below
    if len(plain) > 500:
        raise InvalidInput("the pattern is too long", field="file_name", value=plain[:100])
    return [path for path in files if any(_fits(plain, part) for part in (path, *_above(path)))]


def _above(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:cut]) for cut in range(1, len(parts)))


def _fits(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern of shells, with ** for folders of any depth: time grows with their product only."""
    parts = path.split("/")
    reached = {0}
    for wanted in pattern.split("/"):
        if wanted == "**":
            reached = set(range(min(reached, default=len(parts) + 1), len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], wanted)}
    return len(parts) in reached


# -- coming in ---------------------------------------------------------------------------------------------------------


def keep(
    storage: Storage, spool: Path, path: str, stream: BinaryIO | IO[bytes], *, limit_bytes: int, allow: Allow = anything
) -> Stored:
    """Keep what a stream gives as the file of that path; one that begins with #! may be executed.

    Raises InvalidInput, and what `allow` raises.
    """
    head = _read(stream, SMALL_BYTES)
    digest, size = hashlib.sha256(head), len(head)
    if size < SMALL_BYTES:
        _check_size(path, size, limit_bytes)
        allow(size)
        kept = storage.keep_bytes({CONTENT: head}, "/upload")
    else:
        spool.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="upload-", dir=spool))
        try:
            with (folder / CONTENT).open("wb") as target:
                block = head
                while block:
                    _check_size(path, size, limit_bytes)
                    target.write(block)
                    block = stream.read(BLOCK)
                    digest.update(block)
                    size += len(block)
            allow(size)
            kept = storage.keep_tree(folder / CONTENT, "/upload")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    artifact = Artifact(path, "file", size, "sha256:" + digest.hexdigest(), head.startswith(b"#!"))
    return Stored(artifact, kept.key, kept.attempt, CONTENT)


def _read(stream: BinaryIO | IO[bytes], limit: int) -> bytes:
    found = bytearray()
    while len(found) < limit and (block := stream.read(limit - len(found))):
        found += block
    return bytes(found)


def _check_size(path: str, size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise InvalidInput(f"{path!r} is larger than {limit_bytes} bytes, the most this server takes", field="file")


def keep_bundle(
    storage: Storage, spool: Path, stream: BinaryIO | IO[bytes], *, allow: Allow = anything
) -> list[Stored]:
    """Keep the files of a bundle (a zip archive); raises InvalidInput for what a bundle may not hold, and as `keep`."""
    with tempfile.TemporaryFile() as archive:
        size = 0
        while block := stream.read(BLOCK):
            size += len(block)
            _check_size("bundle", size, BUNDLE_BYTES)
            archive.write(block)
        try:
            _check_directory(archive, size)
            with zipfile.ZipFile(archive) as opened:
                return list(_members(opened, storage, spool, allow))
        except UNREADABLE as error:
            raise InvalidInput(f"the bundle is no zip archive that can be read: {error}", field="bundle") from error


def _check_directory(archive: IO[bytes], size: int) -> None:
    """Raises InvalidInput if the directory of a zip archive, which is read whole, is larger than it can need to be."""
    archive.seek(max(0, size - 65557))  # the end record with the longest comment
    tail = archive.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise zipfile.BadZipFile("it has no end record")
    if tail[at - 20 : at - 16] == b"PK\x06\x07" and at >= 20:
        raise InvalidInput("the bundle is a zip64 archive, which nothing that small needs to be", field="bundle")
    files, directory = struct.unpack_from("<HI", tail, at + 10)
    if files > 2 * BUNDLE_FILES or directory > DIRECTORY_BYTES:  # 0xFFFF, 0xFFFFFFFF of a zip64 archive are, too
        raise InvalidInput(f"the bundle lists {files} files; {BUNDLE_FILES} are the most", field="bundle")


def _members(archive: zipfile.ZipFile, storage: Storage, spool: Path, allow: Allow) -> Iterator[Stored]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > BUNDLE_FILES:
        raise InvalidInput(f"the bundle holds {len(infos)} files; {BUNDLE_FILES} are the most", field="bundle")
    left, seen = BUNDLE_BYTES, set()
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InvalidInput(
                f"{info.filename[:100]!r} of the bundle is a link or a device, not a file", field="bundle"
            )
        if info.filename.startswith("/") or info.filename.count("/") > BUNDLE_DEPTH:
            raise InvalidInput(f"{info.filename[:100]!r} of the bundle is no path inside of it", field="bundle")
        path = clean_path(info.filename)
        if path in seen:
            raise InvalidInput(f"{path!r} is twice in the bundle", field="bundle", value=path)
        seen.add(path)
        with archive.open(info) as source:
            one = keep(storage, spool, path, source, limit_bytes=left, allow=allow)
        left -= one.artifact.size
        yield one


# -- going out ---------------------------------------------------------------------------------------------------------


def opened(storage: Storage, one: Stored) -> BinaryIO:
    """A file for reading; raises NotFound."""
    return storage.open(one.key, one.attempt, one.inner)


def zipped(storage: Storage, files: Files, paths: Iterable[str]) -> Iterator[bytes]:
    """A zip archive of these paths, block by block; links give what they lead to."""
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for path in paths:
            one = entry_of(files, path)
            if one is None:
                continue
            info = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (stat.S_IFREG | (0o755 if one.artifact.executable else 0o644)) << 16
            info.file_size = one.artifact.size
            with opened(storage, one) as source, archive.open(info, "w") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    if taken := pipe.taken():
                        yield taken
    yield pipe.taken()


@contextmanager
def laid_out(storage: Storage, spool: Path, files: Mapping[str, Stored]) -> Iterator[Path]:
    """A folder that holds these files while the block lasts."""
    spool.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="workspace-", dir=spool))
    try:
        folder = scratch / "files"
        folder.mkdir()
        links = []
        for path, one in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if one.artifact.kind == "folder":
                target.mkdir(exist_ok=True)
            elif one.artifact.kind == "link":
                links.append((target, one.artifact.target))
            else:
                _write(storage, one, target)
        for target, to in links:  # last, so that nothing is written through one
            target.symlink_to(to)
        for target, _ in links:  # a link that was good where a step made it may lead elsewhere from where it is now
            if not Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
                target.unlink()
        yield folder
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(storage: Storage, one: Stored, target: Path) -> None:
    try:
        source = opened(storage, one)
    except NotFound as error:
        raise NotFound(f"the bytes of {one.path!r} are not in storage any more: upload it again") from error
    with source, target.open("xb") as writer:
        shutil.copyfileobj(source, writer, BLOCK)
    os.chmod(target, 0o755 if one.artifact.executable else 0o644)  # noqa: PTH101


# -- moving ------------------------------------------------------------------------------------------------------------


def moves_of(files: Files, source: str, target: str) -> dict[str, str]:
    """{old path: new path} of a move as `mv` has it; raises NotFound, InvalidInput."""
    into = target.endswith("/")
    to = clean_path(target) if target.strip("./") else ""
    into = into or not to or any(path.startswith(to + "/") for path in files)
    plain = source.strip("/").removeprefix("./")
    paths = matching(files, plain)
    if not paths:
        raise NotFound(f"{source} did not match any existing file", path=source)
    if plain in files or any(path.startswith(plain + "/") for path in files):
        roots = dict.fromkeys(paths, plain)
    else:
        roots = {path: next(part for part in (*_above(path), path) if _fits(plain, part)) for path in paths}
        if len(set(roots.values())) > 1 and not into:
            raise InvalidInput(f"{source} matches several files, and {target!r} is no folder", field="target")
    moves = {}
    for path, root in roots.items():
        name = root.rpartition("/")[2]
        new = "/".join(part for part in (to, name if into else "") if part) + path[len(root) :]
        if new == path:
            raise InvalidInput(f"{path!r} and {target!r} are the same file", field="target")
        if root != path and new.startswith(root + "/"):
            raise InvalidInput(f"{root!r} cannot be moved into itself", field="target")
        moves[path] = clean_path(new)
    return moves
