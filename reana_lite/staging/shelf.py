"""Where the outputs of a step go: a bucket, to which they are sent, or the folder of a shared volume they lie in already.

Names: "files/" and names.file_name of a path, "log", "begun.json", "stager.json", "manifest.json" (last). Called by the
stager.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, Protocol

from reana_lite.artifact import Artifact
from reana_lite.staging.web import CHUNK_BYTES, Web
from reana_lite.storage.names import file_name


class Shelf(Protocol):
    """See the module. All may raise Refused or OSError."""

    def sends(self, folder: str, artifacts: Iterable[Artifact], copy: int = 0) -> list[Callable[[], None]]:
        """What is left to do to have those files of a folder in storage: as outputs, or as the copy with that number."""
        ...

    def text(self, name: str, text: str, copy: int = 0) -> None:
        """Keep a small document of the place, or of that copy."""
        ...

    def log(self, read: Callable[[], BinaryIO], size: int) -> None:
        """Keep the first `size` bytes of a log that only grows; `read` opens it."""
        ...


class Bucket:
    """Objects, by the forms that the ticket permits: one for the step's own place, one for copies of inputs it changed."""

    def __init__(self, web: Web, permit: Mapping[str, Any], copies: Mapping[str, Any] | None = None) -> None:
        self._web = web
        self._own = permit
        self._copies = copies or {}

    def sends(self, folder: str, artifacts: Iterable[Artifact], copy: int = 0) -> list[Callable[[], None]]:
        """A request per file."""
        return [
            self._sending(f"files/{file_name(artifact.path)}", f"{folder}/{artifact.path}", artifact.size, copy)
            for artifact in artifacts if artifact.kind == "file"
        ]  # fmt: skip

    def text(self, name: str, text: str, copy: int = 0) -> None:
        """One object."""
        content = text.encode()
        self._post(name, lambda: io.BytesIO(content), len(content), copy)

    def log(self, read: Callable[[], BinaryIO], size: int) -> None:
        """One object, anew each time."""
        self._post("log", read, size, 0)

    def _sending(self, name: str, path: str, size: int, copy: int) -> Callable[[], None]:
        # No link is followed: what is sent is what was read.
        return lambda: self._post(name, lambda: os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb"), size, copy)

    def _post(self, name: str, body: Callable[[], BinaryIO], size: int, copy: int) -> None:
        permit = self._copies if copy else self._own
        place = permit["fields"]["key"] + (f"{copy}/" if copy else "")
        self._web.post(permit["url"], {**permit["fields"], "key": place + name}, body, size)


class Folder:
    """The place of the attempt on a shared volume: files are there, so only documents are written."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._kept = 0

    def sends(self, folder: str, artifacts: Iterable[Artifact], copy: int = 0) -> list[Callable[[], None]]:
        """Nothing to send; folders are opened to the group, so that the worker can remove what another user made."""
        for path, names, _ in os.walk(folder):
            for name in names:
                inner = f"{path}/{name}"
                with contextlib.suppress(OSError):
                    mode = os.lstat(inner).st_mode
                    if stat.S_ISDIR(mode) and mode & 0o070 != 0o070:
                        os.chmod(inner, stat.S_IMODE(mode) | 0o070)  # noqa: PTH101
        return []

    def text(self, name: str, text: str, copy: int = 0) -> None:
        """A file, which is whole as soon as it is there."""
        temporary = f"{self._place}/.{name}"
        with open(temporary, "w", encoding="utf-8") as stream:  # noqa: PTH123
            stream.write(text)
        os.rename(temporary, f"{self._place}/{name}")  # noqa: PTH104

    def log(self, read: Callable[[], BinaryIO], size: int) -> None:
        """What came since the last time."""
        with read() as source, open(f"{self._place}/log", "ab") as target:  # noqa: PTH123
            source.seek(self._kept)
            while self._kept < size and (chunk := source.read(min(CHUNK_BYTES, size - self._kept))):
                target.write(chunk)
                self._kept += len(chunk)
