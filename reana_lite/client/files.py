"""The files of runs: listed, read, downloaded; each is checked against its digest. Called by client.py alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from reana_lite.client.asking import part
from reana_lite.client.things import Artifact
from reana_lite.client.wire import Wire
from reana_lite.errors import InvalidInput, NotFound, Unavailable

TRIES = 5
"""How often a download that breaks off goes on before it is given up."""


class Files:
    """Those of one server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def listed(self, run: str, under: str = "") -> list[Artifact]:
        """See Client.artifacts."""
        rows = self._wire.get(f"/runs/{part(run)}/artifacts", {"under": under or None})["items"]
        return [Artifact(**row) for row in rows]

    def read(self, run: str, path: str) -> bytes:
        """See Client.read."""
        return b"".join(self._blocks(run, self._artifact(run, path)))

    def download(self, run: str, folder: Path, *paths: str) -> list[Path]:
        """See Client.download."""
        found: dict[str, Artifact] = {}
        for path in paths or ("",):
            files = [one for one in self.listed(run, path) if one.kind == "file"]
            if path and not files:
                raise NotFound(f"run {run} has no file {path!r}", path=path)
            found |= {one.path: one for one in files}
        return [self._fetch(run, artifact, folder) for artifact in found.values()]

    def _artifact(self, run: str, path: str) -> Artifact:
        for artifact in self.listed(run, path):
            if artifact.path == path and artifact.kind == "file":
                return artifact
        raise NotFound(f"run {run} has no file {path!r}", path=path)

    def _blocks(self, run: str, artifact: Artifact) -> Iterator[bytes]:
        """The bytes of a file; goes on where a connection breaks off. Raises Unavailable at the end if they are others."""
        digest, size, tries = hashlib.sha256(), 0, 0
        where = f"/runs/{part(run)}/artifacts/{quote(artifact.path)}"
        while size < artifact.size_bytes:
            before = size
            try:
                with self._wire.stream(where, start=size) as blocks:
                    for block in blocks:
                        digest.update(block)
                        size += len(block)
                        yield block
            except Unavailable:
                tries = 0 if size > before else tries + 1
                if tries >= TRIES:
                    raise
            else:
                break
        if size != artifact.size_bytes or f"sha256:{digest.hexdigest()}" != artifact.digest:
            raise Unavailable(f"{artifact.path} of run {run} did not arrive as it was sent: its digest differs")

    def _fetch(self, run: str, artifact: Artifact, folder: Path) -> Path:
        relative = PurePosixPath(artifact.path)
        if relative.is_absolute() or ".." in relative.parts or "\0" in artifact.path:
            raise InvalidInput(f"{artifact.path!r} would lie outside of {folder}", field="path", value=artifact.path)
        target = folder / relative
        if target.is_file() and target.stat().st_size == artifact.size_bytes and _digest(target) == artifact.digest:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
        try:
            with partial.open("wb") as stream:
                for block in self._blocks(run, artifact):
                    stream.write(block)
            if artifact.executable:
                partial.chmod(partial.stat().st_mode | 0o111)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
