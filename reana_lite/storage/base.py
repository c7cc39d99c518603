"""The door to where bytes lie: outputs of jobs and kept trees, by (key, attempt).

A *place* is (key, attempt). Outputs of job attempts have attempt >= 1; attempt 0 is a kept tree (input files, uploaded
workspaces), whose key is the digest of its content. A place is complete when its manifest is there, written last.
One conformance suite (tests/contract/test_storage.py) holds for all who implement this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol

from reana_lite.artifact import Manifest
from reana_lite.job import Input


class Storage(Protocol):
    """Where bytes lie."""

    @property
    def root(self) -> str | PurePath:
        """Where places appear to jobs: <root>/jobs/<key>/<attempt>/files and <root>/trees/<key>/files."""
        ...

    def check(self) -> None:
        """Raises Unavailable, with the reason, unless it can be written to."""
        ...

    def within(self, patience_s: float) -> Storage:
        """The same storage, which gives up on what does not answer after so long (seconds), roughly: for those who cannot
        wait. One that always answers is its own."""
        ...

    def keep_tree(self, source: Path, folder: str) -> Input:
        """Keep a copy of a folder, or of one file as a tree of one; the Input places it at `folder` (virtual).

        Links that leave the tree, devices and sockets raise InvalidInput; an equal tree is kept once.
        """
        ...

    def keep_bytes(self, files: dict[str, bytes], folder: str) -> Input:
        """Keep some files given by relative path and content as a tree; the Input places it at `folder` (virtual)."""
        ...

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        """The manifest of a complete place; None if it is not (yet) complete."""
        ...

    def open(self, key: str, attempt: int, path: str) -> BinaryIO:
        """One artifact for reading; raises NotFound, Damaged."""
        ...

    def fetch(self, key: str, attempt: int, destination: Path) -> None:
        """Bring a whole place to a folder (made if missing), x bits, links, empty folders too; raises NotFound, Damaged."""
        ...

    def log(self, key: str, attempt: int, offset: int = 0, *, limit: int | None = None) -> bytes:
        """What the step has printed (stdout and stderr together) from byte `offset` on; b"" if nothing.

        A negative offset counts from the end, so that the last lines of a huge log cost little. At most `limit` bytes.
        """
        ...

    def clone(self, key: str, attempt: int, to: str) -> str:
        """Copy a complete place to attempt 1 of another key, in place of what is there; the digest of the copy.

        Raises NotFound, Damaged. The copy may be written into.
        """
        ...

    def rescan(self, key: str, attempt: int) -> str:
        """Write the manifest of a place anew, from what it holds now; its digest. Raises NotFound."""
        ...

    def kept_at(self, key: str) -> float | None:
        """When a kept tree was last kept, or kept again (UTC seconds; exact to an hour); None if it is not there."""
        ...

    def places(self) -> Iterator[tuple[str, int]]:
        """All places, complete or not, in no order."""
        ...

    def damage(self, key: str, attempt: int) -> list[str]:
        """Paths whose bytes are not what the manifest says (read whole); [] if all is well; raises NotFound."""
        ...

    def size_bytes(self, key: str, attempt: int) -> int:
        """Bytes a place takes, log and leftovers included."""
        ...

    def remove(self, key: str, attempt: int) -> None:
        """Remove a place, manifest first; no error if it is gone."""
        ...
