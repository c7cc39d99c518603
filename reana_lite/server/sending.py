"""Files to whoever asks: whole or in part (Range), with ETags, as downloads that no browser executes; streamed archives."""

from __future__ import annotations

import io
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO
from urllib.parse import quote

from flask import Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import wrap_file

from reana_lite.artifact import Artifact
from reana_lite.media import media_type
from reana_lite.server.guard import SANDBOX
from reana_lite.workspace import Workspace

BLOCK = 1 << 16


def disposition(name: str, *, keep: bool = True) -> str:
    """Content-Disposition of a file of any name: to be kept, or to be looked at."""
    plain = re.sub(r"[^A-Za-z0-9_.+-]", "_", name)
    return f"{'attachment' if keep else 'inline'}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def attached(content: bytes, media_type: str, name: str, *, keep: bool = True) -> Response:
    """A file that was made here, to be kept or looked at; also then nothing of it runs."""
    response = Response(content, mimetype=media_type)
    response.headers["Content-Disposition"] = disposition(name, keep=keep)
    response.headers["Content-Security-Policy"] = SANDBOX
    return response


def send(source: BinaryIO, name: str, *, size: int, etag: str) -> Response:
    """The answer that gives a file."""
    base = name.rpartition("/")[2]
    response = Response(wrap_file(request.environ, source, BLOCK), mimetype=media_type(base), direct_passthrough=True)
    response.call_on_close(source.close)
    response.headers["Content-Disposition"] = disposition(base)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["Content-Length"] = str(size)
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(re.sub(r"[^A-Za-z0-9_:-]", "", etag))
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=size)
    except HTTPException:  # a range that is not there
        source.close()
        raise
    return response


class Pipe(io.RawIOBase):
    """Takes what an archive writes and gives it away in blocks; it cannot be sought in, so archives are written in one go."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, block: Any) -> int:
        """Take a block."""
        self.blocks.append(bytes(block))
        self.size += len(block)
        return len(block)

    def tell(self) -> int:
        """How much has been written."""
        return self.size

    def flush(self) -> None:
        """Nothing waits here."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        blocks, self.blocks = self.blocks, []
        return b"".join(blocks)


Member = tuple[str, str, Artifact]
"""(name in the archive, virtual path, what it is)."""


def zipped(workspace: Workspace, members: Iterable[Member]) -> Iterator[bytes]:
    """A zip archive, block by block; links are left out."""
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, path, artifact in members:
            if artifact.kind != "file":
                continue
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = (stat.S_IFREG | (0o755 if artifact.executable else 0o644)) << 16
            info.file_size = artifact.size
            with workspace.open(path) as source, archive.open(info, "w") as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    if pipe.size and (taken := pipe.taken()):
                        yield taken
    yield pipe.taken()


def tarred(workspace: Workspace, members: Iterable[Member]) -> Iterator[bytes]:
    """A tar archive, block by block, with links and empty folders."""
    pipe = Pipe()
    with tarfile.open(fileobj=pipe, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, path, artifact in members:
            info = tarfile.TarInfo(name)
            if artifact.kind == "file":
                info.size, info.mode = artifact.size, 0o755 if artifact.executable else 0o644
                archive.addfile(info)
                with workspace.open(path) as source:
                    sent = 0
                    while block := source.read(BLOCK):
                        sent += len(block)
                        archive.fileobj.write(block)
                        yield pipe.taken()
                archive.fileobj.write(b"\0" * (-sent % tarfile.BLOCKSIZE))
                archive.offset += sent + (-sent % tarfile.BLOCKSIZE)
            else:
                info.type = tarfile.SYMTYPE if artifact.kind == "link" else tarfile.DIRTYPE
                info.linkname, info.mode = artifact.target, 0o755
                archive.addfile(info)
    yield pipe.taken()
