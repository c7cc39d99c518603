"""The files of one run as a tree of virtual paths, over the places in storage where they really lie.

The worker answers the engine's questions here, `recast artifacts` lists and opens by it. What a folder of the run shows
is what the nodes that own it have written: later nodes of the same folder over earlier ones. Nothing is copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import yaml

from reana_lite.artifact import Artifact, Manifest
from reana_lite.errors import NotFound
from reana_lite.event import Answers, Question, QuestionKind
from reana_lite.job import INIT_ROOT, RUN_ROOT, Input
from reana_lite.storage.base import Storage
from reana_lite.workflow import pattern

DOCUMENT_LIMIT_BYTES = 50_000_000
"""Largest document a publisher may read (bytes): it becomes part of the event log."""


@dataclass(slots=True)
class Workspace:
    """Virtual folders and the places they show. `host`: paths outside of the virtual roots are looked up on this machine."""

    storage: Storage
    host: bool = False
    _places: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    _listings: dict[tuple[str, int], dict[str, Artifact | None]] = field(default_factory=dict)

    def place(self, tree: Input) -> None:
        """Let a folder show one more tree."""
        places = self._places.setdefault(tree.folder, [])
        if (tree.key, tree.attempt) not in places:
            places.append((tree.key, tree.attempt))

    def answer(self, questions: Iterable[Question]) -> Answers:
        """Answers to the engine's questions, as event.QuestionKind says."""
        return {str(question): self._answer(question) for question in questions}

    def artifacts(self) -> dict[str, Artifact]:
        """Every file, link and empty folder, by virtual path, sorted."""
        found: dict[str, Artifact] = {}
        for folder, places in self._places.items():
            for place in places:
                for path, artifact in self._listing(place).items():
                    if artifact is not None:
                        found[f"{folder}/{path}"] = artifact
        return dict(sorted(found.items()))

    def open(self, path: str) -> BinaryIO:
        """A file for reading, by virtual path; raises NotFound."""
        for place, inner in self._candidates(path):
            if inner in self._listing(place):
                return self.storage.open(*place, inner)
        raise NotFound(f"no artifact {path!r} in this run", path=path)

    def _answer(self, question: Question) -> object:
        if question.kind is QuestionKind.EXISTS:
            return self._exists(question.path)
        if question.kind is QuestionKind.GLOB:
            return self._glob(question.path)
        return self._document(question.path)

    def _exists(self, path: str) -> bool:
        if self._is_virtual(path):
            path = os.path.normpath(path)
            parents = {RUN_ROOT, INIT_ROOT} | self._places.keys()
            if any(folder == path or folder.startswith(path + "/") for folder in parents):
                return True
            return any(inner in self._listing(place) for place, inner in self._candidates(path))
        return self.host and os.path.exists(path)  # noqa: PTH110 - a plain string of the user's, any shape

    def _glob(self, path: str) -> list[str]:
        if self._is_virtual(path):
            return pattern.glob(path, self._paths(path))
        return pattern.glob_host(path) if self.host else []

    def _paths(self, path: str) -> list[str]:
        """Virtual paths that a pattern may match: those of the folders its literal beginning allows."""
        literal = pattern.literal_prefix(path)
        paths: set[str] = set()
        for folder, places in self._places.items():
            if folder.startswith(literal) or (literal + "/").startswith(folder + "/"):
                paths.add(folder + "/")
                for place in places:
                    for inner, artifact in self._listing(place).items():
                        folder_like = artifact is None or artifact.kind == "folder"
                        paths.add(f"{folder}/{inner}" + ("/" if folder_like else ""))
        return sorted(paths)

    def _document(self, path: str) -> dict[str, object]:
        try:
            with self.open(path) as stream:
                content = stream.read(DOCUMENT_LIMIT_BYTES + 1)
        except NotFound:
            return {"error": f"no such file: {path}"}
        if len(content) > DOCUMENT_LIMIT_BYTES:
            return {"error": f"{path} is larger than {DOCUMENT_LIMIT_BYTES} bytes"}
        try:
            return {"value": yaml.safe_load(content)}
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            return {"error": f"{path} is not YAML: {' '.join(str(error).split())}"}

    @staticmethod
    def _is_virtual(path: str) -> bool:
        return path.startswith((RUN_ROOT, INIT_ROOT))

    def _candidates(self, path: str) -> Iterable[tuple[tuple[str, int], str]]:
        """(place, path inside it) for each folder above `path`, the deepest and latest first."""
        parts = path.split("/")
        for cut in range(len(parts) - 1, 0, -1):
            for place in reversed(self._places.get("/".join(parts[:cut]), [])):
                yield place, "/".join(parts[cut:])

    def _listing(self, place: tuple[str, int]) -> dict[str, Artifact | None]:
        """Paths of a place with their artifacts; folders that are not empty have None."""
        if place not in self._listings:
            manifest = self.storage.manifest(*place) or Manifest()
            listing: dict[str, Artifact | None] = {}
            for artifact in manifest.artifacts:
                for parent in Path(artifact.path).parents:
                    if str(parent) != ".":
                        listing.setdefault(str(parent), None)
                listing[artifact.path] = artifact
            self._listings[place] = listing
        return self._listings[place]
