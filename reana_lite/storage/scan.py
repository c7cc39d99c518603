"""A folder as a Manifest, files copied with their digest, and documents written so that nobody sees half of one.

The local storage and the supervisor of steps use this; the latter is a process of its own that must start fast, so
nothing heavy may be imported here, and nothing here knows of places, keys or settings.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reana_lite.artifact import Artifact, Manifest, check_link
from reana_lite.errors import InvalidInput, NotFound, Unavailable

CHUNK_BYTES = 1 << 20
"""How much of a file is in memory at a time."""

FICLONE = 0x40049409
"""The ioctl of Linux that makes a file share the blocks of another (linux/fs.h), on btrfs, XFS and some others."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turns errors of the file system under storage into Unavailable, naming what was attempted and where."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in _FULL:
            reason = "no space is left on the device, or the quota is used up; free some (recast cache prune)"
        elif isinstance(error, PermissionError):
            reason = "permission denied; it must be readable and writable for this user"
        else:
            reason = error.strerror or type(error).__name__
        raise Unavailable(f"cannot {what}{where}: {reason}") from error


def scan(folder: Path, *, odd: dict[str, str] | None = None) -> Manifest:
    """What a folder holds, every file read for its digest.

    What a tree cannot hold (a link out of it, a device, a socket, a fifo) raises InvalidInput; with a dict given as
    `odd` it is left out and put there, path -> reason. Raises NotFound if there is no such folder.
    """
    root = os.fspath(folder)
    found: list[Artifact] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        before = len(found), len(pending), len(odd or ())
        try:
            with os.scandir(os.path.join(root, prefix) if prefix else root) as entries:  # noqa: PTH118 - hot
                for entry in entries:
                    path = prefix + entry.name
                    if entry.is_symlink():
                        _add(found, odd, root, path, "link")
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(path + "/")
                    elif entry.is_file(follow_symlinks=False):
                        _add(found, odd, root, path, "file")
                    else:
                        _refuse(
                            odd, path, f"{path!r} is {_kind(entry.stat(follow_symlinks=False).st_mode)}, not a file"
                        )
        except OSError as error:
            if not prefix and isinstance(error, (FileNotFoundError, NotADirectoryError)):
                raise NotFound(f"there is no folder {root}") from error
            _refuse(odd, prefix or ".", _unreadable(prefix.rstrip("/") or root, error), error)
            continue
        if prefix and before == (len(found), len(pending), len(odd or ())):
            found.append(Artifact(prefix[:-1], "folder"))
    return Manifest.of(found)


def scan_file(path: Path, name: str) -> Artifact:
    """One file as the artifact `name`; raises InvalidInput if it is not a file that can be read."""
    try:
        return _file(os.fspath(path), name)
    except OSError as error:
        raise InvalidInput(_unreadable(os.fspath(path), error), field="path", value=os.fspath(path)) from error


def copy_file(source: Path, destination: Path, *, executable: bool) -> tuple[int, str]:
    """Copy a file to a name that is not taken; gives size and digest of what was written.

    Blocks are shared where the file system can. OSError of the destination is the caller's to explain.
    """
    reader = os.open(source, _FILE_FLAGS)
    try:
        writer = os.open(destination, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755 if executable else 0o644)
        try:
            if _clone(reader, writer):
                return _digest(writer)
            return _digest(reader, writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small document under a temporary name and rename it: it is there whole or not at all."""
    temporary = f"{path}.{os.getpid()}.new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write(descriptor, memoryview(content))
        finally:
            os.close(descriptor)
        os.rename(temporary, path)  # noqa: PTH104 - hot, one per job
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def complete(place: Path, manifest: Manifest) -> None:
    """Write `manifest.json` of a place, which makes it complete; nothing below `files/` may change afterwards."""
    with told("complete outputs"):
        write_atomically(place / "manifest.json", manifest.to_json().encode())


def _add(found: list[Artifact], odd: dict[str, str] | None, root: str, path: str, kind: str) -> None:
    try:
        found.append(_file(f"{root}/{path}", path) if kind == "file" else _link(root, path))
    except OSError as error:
        _refuse(odd, path, _unreadable(path, error), error)
    except InvalidInput as error:
        _refuse(odd, path, error.message, error)


def _refuse(odd: dict[str, str] | None, path: str, reason: str, cause: Exception | None = None) -> None:
    if odd is None:
        raise InvalidInput(reason, field="path", value=path) from cause
    odd[path] = reason


def _unreadable(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path!r} vanished while it was read; it must not change meanwhile"
    return f"{path!r} cannot be read: {(error.strerror or 'input/output error').lower()}"


def _link(root: str, path: str) -> Artifact:
    """A link; one that is absolute but stays in its tree is made relative."""
    full = f"{root}/{path}"
    target = os.readlink(full)  # noqa: PTH115
    real_root = os.path.realpath(root)
    if target.startswith((real_root + "/", root + "/")):
        inner = target[len(real_root if target.startswith(real_root + "/") else root) + 1 :]
        target = os.path.relpath(inner, os.path.dirname(path) or ".")  # noqa: PTH120
    check_link(path, target)
    # Words alone do not tell: a link may pass through another one that leads upwards.
    real = os.path.realpath(full)
    if real != real_root and not real.startswith(real_root + "/"):
        raise InvalidInput(f"link {path!r} leads to {target!r}, outside of its folder", field="path", value=path)
    return Artifact(path, "link", target=target)


def _file(full: str, path: str) -> Artifact:
    descriptor = os.open(full, _FILE_FLAGS)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise InvalidInput(f"{path!r} is {_kind(mode)}, not a file", field="path", value=path)
        size, digest = _digest(descriptor)
    finally:
        os.close(descriptor)
    return Artifact(path, "file", size, digest, bool(mode & 0o111))


def _kind(mode: int) -> str:
    for test, word in (
        (stat.S_ISFIFO, "a fifo"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a link"),
    ):  # fmt: skip
        if test(mode):
            return word
    return "a device"


def _digest(reader: int, writer: int | None = None) -> tuple[int, str]:
    """Size and digest of what a descriptor gives from where it stands, written to another one on the way."""
    digest = hashlib.sha256()
    size = 0
    while chunk := os.read(reader, CHUNK_BYTES):
        digest.update(chunk)
        size += len(chunk)
        if writer is not None:
            _write(writer, memoryview(chunk))
    return size, "sha256:" + digest.hexdigest()


def _write(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _clone(reader: int, writer: int) -> bool:
    """Whether `writer` now shares the blocks of `reader`."""
    try:
        import fcntl

        fcntl.ioctl(writer, FICLONE, reader)
    except (OSError, ImportError):
        return False
    return True
