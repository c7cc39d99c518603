"""The files of one run as a tree of virtual paths, over the places in storage where they really lie.

The worker answers the engine's questions here, `recast artifacts` lists and opens by it. What a folder of the run shows
is what the nodes that own it have written: later nodes of the same folder over earlier ones. Nothing is copied.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO

import yaml

from reana_lite.artifact import Artifact, Manifest
from reana_lite.backends.kubernetes.paths import ROOT as POD_ROOT
from reana_lite.errors import Damaged, NotFound
from reana_lite.event import Answers, Question, QuestionKind
from reana_lite.job import INIT_ROOT, RUN_ROOT, Input
from reana_lite.storage.base import Storage
from reana_lite.workflow import pattern

DOCUMENT_LIMIT_BYTES = 50_000_000
"""Largest document a publisher may read (bytes): it becomes part of the event log."""


class Listing:
    """One tree by path: its artifacts, the folders above them, and the names in each folder."""

    def __init__(self, manifest: Manifest) -> None:
        self.artifacts = {artifact.path: artifact for artifact in manifest.artifacts}

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """Folder ("" is the tree itself) -> names directly in it, sorted."""
        below: dict[str, set[str]] = {"": set()}
        for path, artifact in self.artifacts.items():
            if artifact.kind == "folder":
                below.setdefault(path, set())
            while True:
                folder, _, name = path.rpartition("/")
                known = folder in below
                below.setdefault(folder, set()).add(name)
                if known or not folder:
                    break
                path = folder
        return {folder: sorted(found) for folder, found in below.items()}

    def resolved(self, path: str, depth: int = 0) -> str | None:
        """The path behind links inside this tree; None if nothing is there."""
        if path in self.artifacts and self.artifacts[path].kind != "link":
            return path
        if path in self.names:
            return path
        parts = path.split("/")
        for cut in range(1, len(parts) + 1):
            artifact = self.artifacts.get("/".join(parts[:cut]))
            if artifact is not None and artifact.kind == "link" and depth < 20:
                start = "/".join(parts[: cut - 1])
                target = posixpath.normpath(posixpath.join(start, artifact.target, *parts[cut:]))
                return self.resolved("" if target == "." else target, depth + 1)
        return None


@dataclass(slots=True)
class Workspace:
    """Virtual folders and the places they show; with `host`, other paths are looked up on this machine.

    It is also the `Files` that patterns are matched against (workflow.pattern).
    """

    storage: Storage
    host: bool = False
    _places: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    _children: dict[str, dict[str, None]] = field(default_factory=dict)
    _listings: dict[tuple[str, int], Listing] = field(default_factory=dict)
    _folder_of: dict[tuple[str, int], str] = field(default_factory=dict)

    def place(self, tree: Input) -> None:
        """Let a folder show one more tree, over those it shows already."""
        places = self._places.setdefault(tree.folder, [])
        self._folder_of[tree.key, tree.attempt] = tree.folder
        if (tree.key, tree.attempt) not in places:
            places.append((tree.key, tree.attempt))
            path = tree.folder
            while path != "/":
                parent, name = posixpath.split(path)
                siblings = self._children.setdefault(parent, {})
                if name in siblings:
                    break
                siblings[name] = None
                path = parent

    def replace(self, folder: str, old: tuple[str, int], new: tuple[str, int]) -> None:
        """Let a folder show another place instead of one, and read again what it holds."""
        places = self._places.setdefault(folder, [])
        if new != old and new in places:
            places.remove(new)
        at = places.index(old) if old in places else len(places)
        places[at : at + 1] = [new]
        self._folder_of[new] = folder
        self._listings.pop(new, None)

    def remove(self, folder: str, place: tuple[str, int]) -> None:
        """Let a folder show a place no more."""
        places = self._places.get(folder, [])
        if place in places:
            places.remove(place)
        self._folder_of.pop(place, None)
        self._listings.pop(place, None)

    def answer(self, questions: Iterable[Question]) -> Answers:
        """Answers to the engine's questions, as event.QuestionKind says."""
        return {str(question): self._answer(question) for question in questions}

    def artifacts(self) -> dict[str, Artifact]:
        """Every file, link and empty folder, by virtual path, sorted."""
        found: dict[str, Artifact] = {}
        for folder, places in self._places.items():
            for place in places:
                for path, artifact in self._listing(place).artifacts.items():
                    found[f"{folder}/{path}"] = artifact
        return dict(sorted(found.items()))

    def open(self, path: str) -> BinaryIO:
        """A file for reading, by virtual path; raises NotFound, and Damaged if storage has lost it."""
        for place, inner in self._candidates(posixpath.normpath(path)):
            listing = self._listing(place)
            resolved = listing.resolved(inner)
            if resolved is not None and resolved in listing.artifacts:
                try:
                    return self.storage.open(*place, resolved)
                except NotFound as error:
                    if listing.artifacts[resolved].kind == "file":  # the manifest has it
                        raise Damaged.at(*place, resolved) from error
                    raise
        raise NotFound(f"no artifact {path!r} in this run", path=path)

    def stored(self, path: str) -> tuple[str, int, str] | None:
        """Where a file lies in storage: (key, attempt, path there), links followed; None if there is none."""
        for place, inner in self._candidates(posixpath.normpath(path)):
            listing = self._listing(place)
            resolved = listing.resolved(inner)
            if resolved is not None and resolved in listing.artifacts and listing.artifacts[resolved].kind == "file":
                return (*place, resolved)
        return None

    def size_bytes(self, path: str) -> int | None:
        """How large a file is, links followed; None if there is none."""
        found = self.stored(path)
        return None if found is None else self._listing(found[:2]).artifacts[found[2]].size

    # -- workflow.pattern.Files ----------------------------------------------------------------------------------

    def names(self, folder: str) -> list[str]:
        """Sorted names directly in a folder."""
        folder = posixpath.normpath(folder)
        if not _is_virtual(folder):
            return _host_names(folder) if self.host else []
        found = set(self._children.get(folder, ()))
        for place, inner in self._candidates(folder):
            listing = self._listing(place)
            resolved = listing.resolved(inner)
            if resolved is not None:
                found.update(listing.names.get(resolved, ()))
        return sorted(found)

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name (a broken link counts)."""
        if not _is_virtual(path):
            return self.host and os.path.lexists(path)
        path = posixpath.normpath(path)
        if path in self._places or path in self._children or path == RUN_ROOT:
            return True
        return any(self._artifact(p, inner) or self._listing(p).resolved(inner) for p, inner in self._candidates(path))

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder or a link to one."""
        if not _is_virtual(path):
            return self.host and os.path.isdir(path)  # noqa: PTH112 - any string of a user
        path = posixpath.normpath(path)
        if path in self._places or path in self._children or path == RUN_ROOT:
            return True
        return any(self._listing(p).resolved(inner) in self._listing(p).names for p, inner in self._candidates(path))

    def is_link(self, path: str) -> bool:
        """Whether it is a symbolic link."""
        if not _is_virtual(path):
            return self.host and os.path.islink(path)  # noqa: PTH114 - any string of a user
        found = (self._artifact(place, inner) for place, inner in self._candidates(posixpath.normpath(path)))
        return any(artifact is not None and artifact.kind == "link" for artifact in found)

    # -- inside --------------------------------------------------------------------------------------------------

    def _answer(self, question: Question) -> object:
        if question.kind is QuestionKind.EXISTS:
            return self._is_there(question.path)
        if question.kind is QuestionKind.GLOB:
            return pattern.glob(question.path, self)
        return self._document(question.path)

    def _is_there(self, path: str) -> bool:
        """As os.path.exists: a broken link does not count."""
        if not _is_virtual(path):
            return self.host and os.path.exists(path)  # noqa: PTH110 - any string of a user
        path = posixpath.normpath(path)
        if path in self._places or path in self._children or path == RUN_ROOT:
            return True
        return any(self._listing(place).resolved(inner) is not None for place, inner in self._candidates(path))

    def _document(self, path: str) -> dict[str, object]:
        try:
            with self.open(path) as stream:
                content = stream.read(DOCUMENT_LIMIT_BYTES + 1)
        except NotFound:
            return {"error": f"no such file: {path}"}
        if len(content) > DOCUMENT_LIMIT_BYTES:
            return {"error": f"{path} is larger than {DOCUMENT_LIMIT_BYTES} bytes"}
        try:
            value = json.loads(json.dumps(yaml.safe_load(self._as_virtual(content))))
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            return {"error": f"{path} is not YAML: {' '.join(str(error).split())}"}
        except (TypeError, ValueError) as error:
            return {"error": f"{path} holds what JSON cannot say: {error}"}
        return {"value": value}

    def _as_virtual(self, content: bytes) -> bytes:
        """What a step wrote, with the virtual folders in the place of the real ones it was told."""
        # A step in a pod saw the storage at one place, wherever it lies here.
        roots = [root.encode() for root in dict.fromkeys((str(self.storage.root), POD_ROOT)) if root]
        if not any(root in content for root in roots):
            return content

        def virtual(match: re.Match[bytes]) -> bytes:
            job, attempt, tree, kind = (group.decode() if group else "" for group in match.groups())
            if kind == "view":  # below it, a virtual path stands as it is
                return b""
            folder = self._folder_of.get((job or tree, int(attempt or 0)))
            return match.group() if folder is None else folder.encode()

        places = rb"/(?:jobs/([A-Za-z0-9_-]+)/(\d+)|trees/([A-Za-z0-9_-]+))/(files|view)(?![\w.-])"
        return re.sub(b"(?:" + b"|".join(map(re.escape, roots)) + b")" + places, virtual, content)

    def _candidates(self, path: str) -> Iterator[tuple[tuple[str, int], str]]:
        """(place, path inside it) for each folder at or above `path`, the deepest and latest first."""
        parts = path.split("/")
        for cut in range(len(parts), 1, -1):
            for place in reversed(self._places.get("/".join(parts[:cut]), [])):
                yield place, "/".join(parts[cut:])

    def _artifact(self, place: tuple[str, int], inner: str) -> Artifact | None:
        return self._listing(place).artifacts.get(inner)

    def _listing(self, place: tuple[str, int]) -> Listing:
        if place not in self._listings:
            self._listings[place] = Listing(self.storage.manifest(*place) or Manifest())
        return self._listings[place]


def _is_virtual(path: str) -> bool:
    return path.startswith((RUN_ROOT, INIT_ROOT))


def _host_names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - any string of a user
    except OSError:
        return []
