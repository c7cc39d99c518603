"""Files that users send: kept by content, read once to see that they are what they say, put back on this machine when needed.

A theory file is kept in storage as a tree of one, so that every process of the installation can have it; its place on this
machine, `spool/theories/<digest>/<name>`, is a copy that may go at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from reana_lite.campaign import Request
from reana_lite.database import theory_files
from reana_lite.database.theory_files import TheoryFileRecord
from reana_lite.database.users import User
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.job import INIT_ROOT
from reana_lite.server import auth, quota
from reana_lite.server.installation import Installation
from reana_lite.target.preserved import word
from reana_lite.theory import read_theory

BLOCK = 1 << 20
COPY_S = 30 * 86400.0
"""How long the copy of a theory file that nobody asks for stays on this machine (seconds)."""

LEFT_S = 86400.0
"""How old a folder of a request can be (seconds); what is older was left behind by a process that died."""

NAME_LIMIT = 100
"""Characters of a file's name that are kept."""


def plain_name(name: str) -> str:
    """The name of an uploaded file without folders and anything a shell or a terminal would read; else "theory"."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", base)[-NAME_LIMIT:].lstrip(".-") or "theory"


@contextmanager
def spooled(stream: BinaryIO, name: str, *, spool: Path, limit_bytes: int) -> Iterator[tuple[Path, str, int]]:
    """(path, sha256, size) of what a stream gives, in a folder of its own that goes at the end; raises InvalidInput."""
    spool.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="upload-", dir=spool))
    try:
        path, digest, size = folder / plain_name(name), hashlib.sha256(), 0
        with path.open("wb") as target:
            while block := stream.read(BLOCK):
                size += len(block)
                if size > limit_bytes:
                    raise InvalidInput(
                        f"{name[:80]!r} is larger than {limit_bytes} bytes, the most this server takes", field="file"
                    )
                digest.update(block)
                target.write(block)
        yield path, digest.hexdigest(), size
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_theory_file(installation: Installation, owner: str, stream: BinaryIO, name: str) -> TheoryFileRecord:
    """Keep a theory file that a user sends; raises InvalidInput if it is of no format that is known, or too large.

    Raises NotAllowed if their quota has no room for it; what they have sent before takes no more.
    """
    limit = installation.settings.upload_limit_bytes
    with spooled(stream, name, spool=installation.spool, limit_bytes=limit) as (path, digest, size):
        if not size:
            raise InvalidInput(f"{path.name} is empty", field="file", value=path.name)
        with path.open("rb") as content:
            theory = read_theory(path.name, [(path.name, content)])
        try:
            theory_files.get(installation.database, owner, f"sha256:{digest}")
        except NotFound:
            quota.store(installation, auth.user_named(owner) or User(owner), size)
        kept = installation.storage.keep_tree(path, f"{INIT_ROOT}/theory")
        record = TheoryFileRecord(owner, f"sha256:{digest}", path.name, word(theory.files[0]), size, kept.key, 0.0)
        return theory_files.add(installation.database, record)


def path_of(installation: Installation, record: TheoryFileRecord) -> Path:
    """Where an uploaded theory file is on this machine, brought here now if it is not."""
    path = installation.spool / "theories" / record.digest.partition(":")[2] / record.name
    if not _is_there(path):
        installation.spool.mkdir(parents=True, exist_ok=True)
        manifest = installation.storage.manifest(record.key, 0)
        if manifest is None:
            raise NotFound(f"the theory file {record.name} ({record.digest}) is not kept any more; upload it again")
        inner = next(artifact.path for artifact in manifest.artifacts if artifact.kind == "file")
        with tempfile.TemporaryDirectory(prefix="upload-", dir=installation.spool) as folder:
            brought = Path(folder) / "theory"
            with installation.storage.open(record.key, 0, inner) as source, brought.open("wb") as target:
                shutil.copyfileobj(source, target)
            path.parent.mkdir(parents=True, exist_ok=True)
            brought.replace(path)
    return path


def _is_there(path: Path) -> bool:
    """Whether there is a copy; it is in use from now on."""
    try:
        os.utime(path)
    except OSError:
        return False
    return path.is_file()


def clear(spool: Path) -> None:
    """Remove copies of theory files that nobody has asked for lately, and what requests have left behind."""
    now = time.time()
    for pattern, age_s in (("theories/*/*", COPY_S), ("upload-*", LEFT_S), ("workspace-*", LEFT_S)):
        for path in spool.glob(pattern):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < now - age_s:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in spool.glob("theories/*"):
        with contextlib.suppress(OSError):
            path.rmdir()  # an empty one


def source_of(installation: Installation, source: str) -> str:
    """What stands for a point, as others may see it: the digest of an uploaded file, and of no file where it lies."""
    path, root = Path(source), installation.spool / "theories"
    if path.is_relative_to(root):
        return f"sha256:{path.relative_to(root).parts[0]}"
    return path.name if path.is_absolute() else source


def paths_of(installation: Installation, owner: str, digests: Iterable[str]) -> tuple[str, ...]:
    """Where these theory files of a user are; raises NotFound for one that they have not uploaded."""
    return tuple(
        str(path_of(installation, theory_files.get(installation.database, owner, digest))) for digest in digests
    )


def bring_back(installation: Installation, paths: Iterable[str]) -> None:
    """See that theory files which a kept request names are on this machine."""
    root = installation.spool / "theories"
    for text in paths:
        path = Path(text)
        if path.is_relative_to(root) and not _is_there(path):
            digest = f"sha256:{path.relative_to(root).parts[0]}"
            record = theory_files.find(installation.database, digest, name=path.name)
            if record is not None:
                path_of(installation, record)


def bring_back_request(installation: Installation, request: Request) -> None:
    """The same for all files of a campaign's request."""
    bring_back(installation, [*request.files, *([request.patchset] if request.patchset else [])])
