"""Lines of a file that may be huge, compressed, cut or hostile: read once, in bounded memory, with its digest.

Pure but for the stream it is given. The readers of event files (lhe.py, hepmc.py) use it; small files are read whole.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from reana_lite.theory.reading import refuse

CHUNK_BYTES = 1024 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_EXPANDED_BYTES = 64 * 1024**3
FREE_BYTES = 8 * 1024 * 1024
MAX_EXPANSION = 60
"""A gz file may expand this many times (events: 3 to 10; a bomb: 1000); below FREE_BYTES expanded it is not judged."""

MANY_LINES = 2_000_000
MIN_LINE_BYTES = 16
"""Beyond MANY_LINES lines are at least so long on average (those of events: 50 to 150): empty ones only cost time."""

GZIP_MAGIC = b"\x1f\x8b"


class Stream:
    """A file's bytes, decompressed if gzip. `size` and `digest` are of the file as given, once read to its end."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self.source = source
        self.size = 0
        self.line = 0
        self._stream = stream
        self._hash = hashlib.sha256()
        self._head = self._raw(CHUNK_BYTES)
        self.compressed = self._head.startswith(GZIP_MAGIC)
        self._chunks = self._expanded() if self.compressed else self._plain()
        self._peeked: bytes | None = None

    @property
    def digest(self) -> str:
        """ "sha256:" and 64 hex digits, of the bytes read so far."""
        return "sha256:" + self._hash.hexdigest()

    def peek(self) -> bytes:
        """The first piece of the (decompressed) content, without consuming it; empty for an empty file."""
        if self._peeked is None:
            self._peeked = next(self._chunks, b"")
        return self._peeked

    def read(self, limit: int) -> bytes:
        """The whole content, refused beyond `limit` bytes."""
        pieces, total = [], 0
        for chunk in self.chunks():
            pieces.append(chunk)
            total += len(chunk)
            if total > limit:
                raise refuse(self.source, f"more than {limit} bytes; a file of this kind is smaller")
        return b"".join(pieces)

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces of a few MB at most."""
        first, self._peeked = self.peek(), b""
        if first:
            yield first
        yield from self._chunks

    def lines(self) -> Iterator[bytes]:
        """The lines without their ends; `line` is the 1-based number of the one given last."""
        rest = b""
        read = 0
        for chunk in self.chunks():
            read += len(chunk)
            pieces = (rest + chunk).split(b"\n")
            rest = pieces.pop()
            if len(rest) > MAX_LINE_BYTES:
                raise refuse(self.source, f"longer than {MAX_LINE_BYTES} bytes", line=self.line + len(pieces) + 1)
            for piece in pieces:
                self.line += 1
                yield piece
            if self.line > MANY_LINES and read < self.line * MIN_LINE_BYTES:
                raise refuse(
                    self.source, f"{self.line} lines of {read // self.line} bytes on average: these are no events"
                )
        if rest:
            self.line += 1
            yield rest

    def _raw(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    def _plain(self) -> Iterator[bytes]:
        data, self._head = self._head, b""
        while data:
            yield data
            data = self._raw(CHUNK_BYTES)

    def _expanded(self) -> Iterator[bytes]:
        """Members of a gz file one after the other; a cut one, rubbish behind the last one and bombs are refused."""
        data, self._head = self._head, b""
        expanded = 0
        while data:
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                if not data and not (data := self._raw(CHUNK_BYTES)):
                    raise refuse(
                        self.source, f"the gz file is cut: it ends in the middle, after {self.line} whole lines"
                    )
                try:
                    piece = member.decompress(data, CHUNK_BYTES)
                except zlib.error as error:
                    raise refuse(self.source, f"the gz file is damaged after {self.line} lines: {error}") from error
                data = member.unused_data if member.eof else member.unconsumed_tail
                expanded += len(piece)
                too_much = expanded > FREE_BYTES and expanded > MAX_EXPANSION * self.size
                if too_much or expanded > MAX_EXPANDED_BYTES:
                    raise refuse(self.source, f"the gz file expands to more than {expanded} bytes from {self.size}")
                if piece:
                    yield piece
            data = (data or self._raw(CHUNK_BYTES)).lstrip(b"\0")
            if data and not GZIP_MAGIC.startswith(data[:2]):
                raise refuse(self.source, "other data follows the end of the gz file")
