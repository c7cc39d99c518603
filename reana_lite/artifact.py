"""Files as values: artifacts, manifests of trees and their digests, and the path rules of a workspace.

Pure: no file is opened here. Storage and backends write and read what is described here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from reana_lite.errors import InvalidInput

Kind = Literal["file", "link", "folder"]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One entry of a tree.

    `path` is relative, POSIX, normalised. A file has `size` (bytes) and `digest` ("sha256:" + 64 hex digits) and
    `executable`; a link has `target` (relative, stays inside its tree); a folder is listed only when it is empty.
    """

    path: str
    kind: Kind = "file"
    size: int = 0
    digest: str = ""
    executable: bool = False
    target: str = ""

    def to_list(self) -> list[Any]:
        """Compact JSON form: [kind letter, path, size, digest, x bit, target]."""
        return [self.kind[:2], self.path, self.size, self.digest, int(self.executable), self.target]

    @classmethod
    def from_list(cls, row: list[Any]) -> Artifact:
        """The inverse of `to_list`."""
        kind, path, size, digest, executable, target = row
        return cls(path, _KINDS[kind], size, digest, bool(executable), target)


_KINDS: dict[str, Kind] = {"fi": "file", "li": "link", "fo": "folder"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a tree holds, sorted by path; written last, it makes the outputs of a job complete."""

    artifacts: tuple[Artifact, ...] = ()

    @classmethod
    def of(cls, artifacts: Iterable[Artifact]) -> Manifest:
        """A manifest in its one canonical order."""
        return cls(tuple(sorted(artifacts, key=lambda a: a.path)))

    @property
    def size_bytes(self) -> int:
        """Sum of the sizes of all files."""
        return sum(a.size for a in self.artifacts)

    @property
    def digest(self) -> str:
        """Digest of the tree ("sha256:..."): names, contents, x bits, links, empty folders."""
        text = json.dumps([a.to_list() for a in self.artifacts], separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def get(self, path: str) -> Artifact | None:
        """The entry of that path, or None."""
        return next((a for a in self.artifacts if a.path == path), None)

    def to_json(self) -> str:
        """The manifest as written beside the tree."""
        return json.dumps({"version": 1, "artifacts": [a.to_list() for a in self.artifacts]}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read what `to_json` wrote; ValueError if it is not a manifest."""
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("version") != 1:
            raise ValueError("not a manifest of version 1")
        return cls(tuple(Artifact.from_list(row) for row in document["artifacts"]))


def digest_bytes(content: bytes) -> str:
    """Digest of some bytes as artifacts carry it: "sha256:" + 64 hex digits."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def check_path(path: str) -> str:
    """A path that may name an artifact, unchanged; raises InvalidInput if it is absolute, leaves its tree or is odd."""
    parts = path.split("/")
    if not path or "\0" in path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise InvalidInput(f"path {path!r} is not a normalised path inside the workspace", field="path", value=path)
    return path


def check_link(path: str, target: str) -> str:
    """The target of a link at `path`, unchanged; raises InvalidInput if it points outside its tree."""
    if target.startswith("/") or "\0" in target:
        raise InvalidInput(f"link {path!r} points to {target!r}, outside of its folder", field="path", value=path)
    depth = len(path.split("/")) - 1
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            raise InvalidInput(f"link {path!r} points to {target!r}, outside of its folder", field="path", value=path)
    return target
