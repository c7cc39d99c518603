"""File name patterns in glob2's dialect, as pure functions over some listing of files.

`*`, `?`, `[abc]`, `[!abc]` within a name, `**` as a whole component for any depth. Hidden names match only patterns
that start with a dot; case does not matter in a component with magic (so it is in glob2 0.7); a trailing `/` selects
folders and stays in the result; links to folders are not followed by `**`; `..` stays as written. Results come folder by
folder, sorted within each. Used by whoever answers the engine's questions.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Protocol

_MAGIC = re.compile(r"[*?\[]")
_NOTHING = re.compile(r"(?!)")
_SET_OPERATORS = re.compile(r"([\[&~|])")


class Files(Protocol):
    """Some files and folders, by absolute path."""

    def names(self, folder: str) -> list[str]:
        """Sorted names directly in a folder, links to folders followed; [] if there is no such folder."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name (a broken link counts)."""
        ...

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder or a link to one."""
        ...

    def is_link(self, path: str) -> bool:
        """Whether it is a symbolic link."""
        ...


class Tree:
    """Files given as a list of absolute paths; the folders above them are there too. No links are followed."""

    def __init__(self, files: Iterable[str] = (), *, folders: Iterable[str] = (), links: Iterable[str] = ()) -> None:
        self._below: dict[str, set[str]] = {"/": set()}
        self._links = set(links)
        self._others: set[str] = set()
        for path in (*files, *self._links):
            self._others.add(path)
            self._enter(path)
        for path in folders:
            self._below.setdefault(path, set())
            self._enter(path)

    def _enter(self, path: str) -> None:
        while path != "/":
            folder, name = posixpath.split(path)
            known = folder in self._below
            self._below.setdefault(folder, set()).add(name)
            if known and folder != "/":
                break
            path = folder

    def names(self, folder: str) -> list[str]:
        """Sorted names directly in a folder."""
        return sorted(self._below.get(self._tidy(folder) or "", ()))

    def exists(self, path: str) -> bool:
        """Whether there is a file, link or folder of that name."""
        tidy = self._tidy(path)
        return tidy is not None and (tidy in self._others or tidy in self._below)

    def is_folder(self, path: str) -> bool:
        """Whether it is a folder."""
        return self._tidy(path) in self._below

    def _tidy(self, path: str) -> str | None:
        """The path without `.` and `..`; None if it goes on behind something that is not a folder."""
        if "/." in path or path.endswith("/"):
            parts = path.split("/")
            for number, part in enumerate(parts[1:], 1):
                if part in (".", "..") or (part == "" and number == len(parts) - 1):
                    before = posixpath.normpath("/".join(parts[:number]) or "/")
                    if before not in self._below:
                        return None
        return posixpath.normpath(path)

    def is_link(self, path: str) -> bool:
        """Whether it is a link."""
        return posixpath.normpath(path) in self._links


def has_magic(text: str) -> bool:
    """Whether a text is a pattern."""
    return _MAGIC.search(text) is not None


def glob(pattern: str, files: Files) -> list[str]:
    """The paths that match an absolute pattern; a text without magic matches itself if it exists."""
    return list(_glob(pattern, files, top=True))


def _glob(pattern: str, files: Files, *, top: bool) -> Iterator[str]:
    if not has_magic(pattern):
        if files.exists(pattern):
            yield pattern
        return
    folder, name = posixpath.split(pattern)
    folders = _glob(folder, files, top=False) if folder != pattern and has_magic(folder) else iter((folder,))
    for each in folders:
        for found in _in_folder(each, name, files, with_itself=not top):
            yield posixpath.join(each, found)


def _in_folder(folder: str, name: str, files: Files, *, with_itself: bool) -> list[str]:
    if not has_magic(name):
        there = files.is_folder(folder) if name == "" else files.exists(posixpath.join(folder, name))
        return [name] if there else []
    if name == "**":
        names = ["", *_walk(folder, "", files)] if with_itself else list(_walk(folder, "", files))
        return [found for found in names if not found.startswith(".")]
    match = _compiled(name).match
    hidden = name.startswith(".")
    return [found for found in files.names(folder) if (hidden or not found.startswith(".")) and match(found)]


def _walk(top: str, below: str, files: Files) -> Iterator[str]:
    """Everything below a folder, level by level within each folder, relative to where the walk began."""
    here = posixpath.join(top, below) if below else top
    names = files.names(here)
    for name in names:
        yield posixpath.join(below, name) if below else name
    for name in names:
        inner = posixpath.join(below, name) if below else name
        if not files.is_link(posixpath.join(top, inner)):
            yield from _walk(top, inner, files)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_translated(pattern), re.MULTILINE | re.DOTALL | re.IGNORECASE)
    except re.error:  # a range that goes backwards: nothing matches it
        return _NOTHING


def _translated(pattern: str) -> str:
    """The regular expression of one component; an unclosed bracket is literal."""
    parts = []
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        position += 1
        end = _bracket_end(pattern, position) if sign == "[" else -1
        if sign == "*":
            parts.append(".*")
        elif sign == "?":
            parts.append(".")
        elif sign == "[" and end >= 0:
            inside = _SET_OPERATORS.sub(r"\\\1", pattern[position:end].replace("\\", "\\\\"))
            position = end + 1
            if inside.startswith("!"):
                inside = f"^{inside[1:]}"
            elif inside.startswith("^"):
                inside = f"\\{inside}"
            parts.append(f"[{inside}]")
        else:
            parts.append(re.escape(sign))
    return "".join(parts) + r"\Z"


def _bracket_end(pattern: str, position: int) -> int:
    end = position
    if pattern.startswith("!", end):
        end += 1
    if pattern.startswith("]", end):
        end += 1
    return pattern.find("]", end)
