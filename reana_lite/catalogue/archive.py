"""Archives, unpacked without trust: no path out of the folder, no links, no bombs; checked before a byte is written.

Zip files are unpacked as a whole; of other archives single members are read.
"""

from __future__ import annotations

import fnmatch
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from reana_lite.errors import InvalidInput

LIMIT_BYTES = 20 * 1024**3
LIMIT_MEMBERS = 100_000
LIMIT_RATIO = 200
"""Unpacked bytes per packed byte, for archives that unpack to more than 100 MB."""


def unpack(archive: Path, destination: Path, *, match: str = "", limit_bytes: int = LIMIT_BYTES) -> None:
    """Unpack a zip into a folder that does not exist yet; with `match` only what lies below the one folder it matches.

    `match` is a pattern ending in "/" (`*` also crosses "/"). Raises InvalidInput, and leaves nothing behind.
    """
    if match and not match.endswith("/"):
        raise InvalidInput(
            f"archivematch {match!r} must end in '/': it names a folder", field="archivematch", value=match
        )
    try:
        with zipfile.ZipFile(archive) as source:
            members = _members(source, archive, match, limit_bytes)
            destination.mkdir(parents=True)
            for info, path in members:
                _extract(source, info, destination / path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        shutil.rmtree(destination, ignore_errors=True)
        raise InvalidInput(f"{archive.name} is not a whole, plain zip file: {error}", field="inputarchive") from error
    except InvalidInput:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _members(source: zipfile.ZipFile, archive: Path, match: str, limit_bytes: int) -> list[tuple[zipfile.ZipInfo, str]]:
    """What is to be unpacked, and where; everything is checked here."""
    infos = source.infolist()
    if len(infos) > LIMIT_MEMBERS:
        raise _refused(archive, f"holds {len(infos)} members; at most {LIMIT_MEMBERS} are unpacked")
    prefix = ""
    if match:
        folders = {info.filename for info in infos if info.filename.endswith("/")}
        folders |= {f"{parent}/" for info in infos for parent in _parents(info.filename)}
        matched = sorted(folder for folder in folders if fnmatch.fnmatchcase(folder, match))
        if len(matched) != 1:
            found = ", ".join(matched[:5]) or "none"
            raise _refused(archive, f"archivematch {match!r} must match exactly one folder; it matches {found}")
        prefix = matched[0]
    chosen: list[tuple[zipfile.ZipInfo, str]] = []
    seen: set[str] = set()
    for info in infos:
        if not info.filename.startswith(prefix) or info.filename == prefix:
            continue
        path = info.filename.removeprefix(prefix)
        _check_member(archive, info, path, seen)
        chosen.append((info, path))
    total = sum(info.file_size for info, _ in chosen)
    packed = sum(info.compress_size for info, _ in chosen)
    if total > limit_bytes or (total > 100_000_000 and total > LIMIT_RATIO * max(packed, 1)):
        raise _refused(archive, f"unpacks from {packed} to {total} bytes; that is more than is allowed")
    return chosen


def _check_member(archive: Path, info: zipfile.ZipInfo, path: str, seen: set[str]) -> None:
    parts = path.rstrip("/").split("/")
    if path.startswith("/") or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise _refused(archive, f"member {info.filename!r} would be written outside of the folder")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(archive, f"member {info.filename!r} is a link or a device; only files and folders are unpacked")
    name = path.rstrip("/")
    if name in seen:
        raise _refused(archive, f"holds {info.filename!r} twice")
    seen.add(name)


def _extract(source: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    if info.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    with source.open(info) as stream, path.open("xb") as out:
        while chunk := stream.read(min(left + 1, 1 << 20)):
            left -= len(chunk)
            if left < 0:
                raise InvalidInput(f"{info.filename!r} unpacks to more than it declares", field="inputarchive")
            out.write(chunk)
    if (info.external_attr >> 16) & 0o111:
        path.chmod(path.stat().st_mode | 0o111)


def _parents(name: str) -> list[str]:
    parts = name.rstrip("/").split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _refused(archive: Path, reason: str) -> InvalidInput:
    return InvalidInput(f"{archive.name} {reason}", field="inputarchive", value=archive.name)


@contextmanager
def member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """An open stream of one file of a zip or tar archive (compressed or not), by its path or the end of its path.

    Raises InvalidInput if there is none, several, or no archive at all. How much is read is the caller's affair.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as source:
                path = _one(archive, name, [info.filename for info in source.infolist() if not info.is_dir()])
                with source.open(path) as stream:
                    yield stream
            return
        with tarfile.open(archive) as tar:
            path = _one(archive, name, [info.name for info in tar.getmembers() if info.isfile()])
            found = tar.extractfile(path)
            assert found is not None  # a regular file has a stream
            with found as stream:
                yield stream
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"{archive.name} is not a whole archive: {error}", field="member", value=name) from error


def _one(archive: Path, name: str, paths: list[str]) -> str:
    exact = [path for path in paths if path.removeprefix("./") == name]
    found = exact or [path for path in paths if path.endswith(f"/{name}")]
    if len(found) != 1:
        there = ", ".join(sorted(found or paths)[:5]) or "nothing"
        problem = "more than one" if found else "no"
        raise InvalidInput(f"{archive.name} has {problem} member {name!r}; it has {there}", field="member", value=name)
    return found[0]
