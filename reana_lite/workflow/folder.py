"""Which folders a text names: an index of virtual folders by the names along their paths.

Commands and scripts are plain text, so paths are found where the virtual root occurs and followed as far as folders are
known; a path that ends at a folder above others names all of these. Used by the graph (folders of nodes) and by the
engine (folders a run was started with).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

_NAME = re.compile(r"[\w.+=@%~:-]+")
_PLAIN_NAME = re.compile(r"[\w.+=@%~:-]+\Z")
_WORD = re.compile(r"[\w-]")


@dataclass(slots=True, eq=False)
class Place(Generic[T]):
    """One folder: what it belongs to, and the folders below it by name (`odd`: names that words do not cover)."""

    outer: Place[T] | None
    items: list[T] = field(default_factory=list)
    below: dict[str, Place[T]] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)

    def everything(self) -> Iterator[T]:
        """What it and all folders below it belong to."""
        todo = [self]
        while todo:
            place = todo.pop()
            yield from place.items
            todo.extend(place.below.values())


@dataclass(slots=True)
class Named(Generic[T]):
    """What some texts name: `items` of folders they name, and `parents`: folders above others that they name."""

    items: dict[int, T] = field(default_factory=dict)
    parents: dict[int, Place[T]] = field(default_factory=dict)


class FolderIndex(Generic[T]):
    """Folders below one virtual root, each with the things it belongs to."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._top: Place[T] = Place(None)

    def add(self, folder: str, item: T) -> None:
        """Notes that a folder (normalised, below the root or the root itself) belongs to something."""
        self.place(folder).items.append(item)

    def place(self, folder: str) -> Place[T]:
        """The place of a folder, made if need be."""
        place = self._top
        for name in folder[len(self.root) :].split("/")[1:]:
            inner = place.below.get(name)
            if inner is None:
                inner = place.below[name] = Place(place)
                if not _PLAIN_NAME.match(name):
                    place.odd.append(name)
            place = inner
        return place

    def owners(self, path: str) -> tuple[str, list[T]]:
        """The innermost known folder that holds a (normalised) path, and what it belongs to; or ("", [])."""
        if path != self.root and not path.startswith(f"{self.root}/"):
            return "", []
        place, folder = self._top, self.root
        found: tuple[str, list[T]] = (folder, place.items) if place.items else ("", [])
        for name in path[len(self.root) :].split("/")[1:]:
            inner = place.below.get(name)
            if inner is None:
                break
            place, folder = inner, f"{folder}/{name}"
            if place.items:
                found = (folder, place.items)
        return found

    def named(self, texts: Iterable[str]) -> Named[T]:
        """What the texts name."""
        named: Named[T] = Named()
        for text in texts:
            position = text.find(self.root)
            while position >= 0:
                position += len(self.root)
                if not _WORD.match(text, position):
                    self._follow(text, position, named)
                position = text.find(self.root, position)
        return named

    def _follow(self, text: str, position: int, named: Named[T]) -> None:
        """Follows the path that goes on at `position` as far as there are folders."""
        place = self._top
        owned = place if place.items else None
        complete = True
        while text.startswith("/", position):
            while text.startswith("/", position):
                position += 1
            word = _NAME.match(text, position)
            name = _child(place, text, position, "" if word is None else word.group())
            if name is None:
                complete = word is None
                break
            position += len(name)
            if name == "..":
                place = place.outer or place
                owned = place if place.items else None
            elif name != ".":
                place = place.below[name]
                owned = place if place.items else owned
        if owned is not None:
            named.items.update((id(item), item) for item in owned.items)
        if complete and place.below:
            named.parents[id(place)] = place

    def lies_below(self, folder: str, parents: dict[int, Place[T]]) -> bool:
        """Whether a folder is one of these places or below one."""
        place: Place[T] | None = self.place(folder)
        while place is not None:
            if id(place) in parents:
                return True
            place = place.outer
        return False


def _child(place: Place[T], text: str, position: int, word: str) -> str | None:
    """The name of the folder below `place` that the text has at `position`; "." and ".." count."""
    if word in (".", "..") or word in place.below:
        return word
    for name in sorted(place.odd, key=len, reverse=True):
        if text.startswith(name, position) and not _WORD.match(text, position + len(name)):
            return name
    for length in range(len(word) - 1, 0, -1):
        if not _WORD.match(word, length) and word[:length] in place.below:
            return word[:length]
    return None


def tidy(path: str) -> str:
    """A virtual path without `.`, `..` and double slashes."""
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path
