"""Places on disk: one folder per attempt, what lies in it, and how a folder becomes a manifest.

    <root>/jobs/<key>/<attempt>/files/         the step's own folder; its virtual folder is bound to it
    <root>/jobs/<key>/<attempt>/log            stdout and stderr together
    <root>/jobs/<key>/<attempt>/outcome.json   the exit record (JobOutcome), written when the step has ended
    <root>/jobs/<key>/<attempt>/manifest.json  what `files` holds, written last

Files only: no process is started here. Called by the supervisor (which must start quickly: few imports) and by the
backends of one machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from reana_lite.artifact import Artifact, Manifest, check_link
from reana_lite.errors import InvalidInput

FILES, LOG, OUTCOME, MANIFEST = "files", "log", "outcome.json", "manifest.json"

_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_CHUNK_BYTES = 1 << 20
_MASK = (1 << 64) - 1
_FICLONE = 0x40049409
"""ioctl of Linux that lets two files share their blocks."""


class Places(Protocol):
    """What a backend of this machine needs of a folder storage."""

    root: Path

    def place(self, key: str, attempt: int) -> Path:
        """The folder of one attempt, or of a kept tree (attempt 0)."""
        ...

    def folder(self, key: str, attempt: int) -> Path:
        """Its `files`."""
        ...

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        """The manifest of a complete place, else None."""
        ...


@dataclass(slots=True)
class Scan:
    """A folder, read: its entries, a fingerprint of their stats, and what must not be in it (a sentence each)."""

    artifacts: list[Artifact] = field(default_factory=list)
    fingerprint: int = 0
    faults: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)


class TooBig(Exception):
    """A folder has more in it than the caller wanted to read now."""


def fingerprint(folder: str, limit: int) -> int | None:
    """A number that changes when a file below `folder` is changed, added or removed; None over `limit` entries."""
    total = entries = 0
    stack = [("", folder)]
    while stack:
        prefix, path = stack.pop()
        try:
            with os.scandir(path) as rows:
                for row in rows:
                    entries += 1
                    if entries > limit:
                        return None
                    total += _mark(prefix + row.name, row)
                    if row.is_dir(follow_symlinks=False):
                        stack.append((prefix + row.name + "/", row.path))
        except OSError:
            total += 1
    return total & _MASK


def _mark(path: str, row: os.DirEntry[str]) -> int:
    """What one entry adds to a fingerprint: a sum, so that the order of reading does not matter."""
    stat = row.stat(follow_symlinks=False)
    if row.is_dir(follow_symlinks=False):
        return hash((path, stat.st_mode))
    return hash((path, stat.st_mode, stat.st_size, stat.st_mtime_ns))


def scan(folder: str, roots: tuple[str, ...] = (), *, entries: int = 1 << 62, size_bytes: int = 1 << 62) -> Scan:
    """Read a folder into the entries of a manifest; raises TooBig beyond `entries` or `size_bytes` in all.

    Links that stay inside are kept (absolute ones become relative). A link into one of `roots` (the storage: a step
    likes to link to its inputs) becomes a copy, so that outputs stand alone; any other link out of the folder is a
    fault. Sockets, pipes and devices are left out.
    """
    found = Scan()
    total = 0
    stack = [("", folder)]
    while stack:
        prefix, path = stack.pop()
        rows = _rows(path)
        entries -= len(rows)
        if entries < 0:
            raise TooBig(folder)
        if not rows and prefix:
            found.artifacts.append(Artifact(prefix[:-1], "folder"))
        for row in rows:
            name = prefix + row.name
            if row.is_symlink():
                copy = _link(folder, name, row, roots, found)
                if copy is None:
                    continue
                row = copy
            found.fingerprint += _mark(name, row)
            if row.is_dir(follow_symlinks=False):
                stack.append((name + "/", row.path))
            elif row.is_file(follow_symlinks=False):
                stat = row.stat(follow_symlinks=False)
                total += stat.st_size
                if total > size_bytes:
                    raise TooBig(folder)
                size, digest = _read(row.path)
                found.artifacts.append(Artifact(name, "file", size, digest, bool(stat.st_mode & 0o111)))
    found.fingerprint &= _MASK
    return found


def _rows(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as rows:
            return list(rows)
    except PermissionError:
        os.chmod(path, 0o700)  # noqa: PTH101 - a step took its own right to read away
        with os.scandir(path) as rows:
            return list(rows)


def _read(path: str) -> tuple[int, str]:
    """(bytes, digest) of a file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        os.chmod(path, 0o600)  # noqa: PTH101 - as above
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunk = os.read(handle, _CHUNK_BYTES)
        size, digest = len(chunk), hashlib.sha256(chunk)
        while chunk:
            chunk = os.read(handle, _CHUNK_BYTES)
            size += len(chunk)
            digest.update(chunk)
    finally:
        os.close(handle)
    return size, "sha256:" + digest.hexdigest()


def _link(
    folder: str, name: str, row: os.DirEntry[str], roots: tuple[str, ...], found: Scan
) -> os.DirEntry[str] | None:
    """Enter a link; if it was replaced by a copy, the new entry to be read instead."""
    target = os.readlink(row.path)  # noqa: PTH115
    inside = _inside(folder, name, target)
    if inside is not None:
        if inside != target:
            os.unlink(row.path)  # noqa: PTH108
            os.symlink(inside, row.path)  # noqa: PTH211
        found.artifacts.append(Artifact(name, "link", target=inside))
        stat = os.lstat(row.path)
        found.fingerprint += hash((name, stat.st_mode, stat.st_size, stat.st_mtime_ns))
        return None
    real = os.path.realpath(row.path)
    if any(real.startswith(root + "/") for root in roots) and os.path.exists(real):  # noqa: PTH110
        os.unlink(row.path)  # noqa: PTH108
        if os.path.isdir(real):  # noqa: PTH112
            shutil.copytree(real, row.path, symlinks=True, copy_function=copy_file)
        else:
            copy_file(real, row.path)
        found.copied.append(name)
        parent = os.path.dirname(row.path)  # noqa: PTH120
        return next(entry for entry in _rows(parent) if entry.name == row.name)
    found.faults.append(f"link {name!r} points to {target!r}, outside of the step's folder; copy the file instead")
    return None


def _inside(folder: str, name: str, target: str) -> str | None:
    """The target as a relative path if it stays inside of the folder, else None."""
    if target.startswith("/"):
        normal = os.path.normpath(target)
        for base in {folder, os.path.realpath(folder)}:
            if normal == base or normal.startswith(base + "/"):
                return os.path.relpath(normal, os.path.dirname(f"{base}/{name}"))  # noqa: PTH120
        return None
    try:
        check_link(name, target)
    except InvalidInput:
        return None
    # Words alone do not tell: a link may pass through another one that leads upwards.
    base = os.path.realpath(folder)
    real = os.path.realpath(f"{folder}/{name}")
    return target if real == base or real.startswith(base + "/") else None


def copy_file(source: str, destination: str) -> str:
    """A copy of a file with its mode, sharing blocks where the file system can."""
    import fcntl

    with open(source, "rb") as old, open(destination, "wb") as new:  # noqa: PTH123
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, _CHUNK_BYTES)
    shutil.copymode(source, destination)
    return destination


def manifest_text(artifacts: list[Artifact]) -> tuple[str, str]:
    """(text of the manifest file, digest of the tree), as Manifest.to_json and Manifest.digest give them, in one go."""
    rows = [a.to_list() for a in sorted(artifacts, key=lambda a: a.path)]
    text = _ENCODE(rows)
    return f'{{"version":1,"artifacts":{text}}}', "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def write_manifest(place: str, text: str) -> None:
    """Write the manifest of a place atomically: from now on it is complete."""
    temporary = f"{place}/.{MANIFEST}"
    _write(temporary, text.encode(), os.O_TRUNC)
    os.rename(temporary, f"{place}/{MANIFEST}")  # noqa: PTH104


def write_outcome(place: str, outcome: dict[str, Any]) -> None:
    """Write the exit record in one call of the kernel; half of one reads as none."""
    _write(f"{place}/{OUTCOME}", _ENCODE(outcome).encode(), os.O_TRUNC)


def _write(path: str, content: bytes, flags: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o666)
    try:
        while content:
            written = os.write(handle, content)
            if written == 0:
                raise OSError(errno.ENOSPC, "No space left on device", path)
            content = content[written:]
    finally:
        os.close(handle)


def read_outcome(place: str) -> dict[str, Any] | None:
    """The exit record of a place; None if it has none (yet)."""
    try:
        with open(f"{place}/{OUTCOME}", "rb") as stream:  # noqa: PTH123
            document = json.loads(stream.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) and "state" in document else None
