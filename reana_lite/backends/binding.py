"""Binding: the virtual paths of a job become real ones when it starts.

Pure: texts in, texts out. A virtual folder that the job owns or reads is replaced by its real folder, the longest match
first and only where the name ends (`/map/3` is not in `/map/30`). Any other virtual path is bound below `view`, a folder
of the attempt: if the text names a folder above others there, the caller fills it with links to them (`links`); what is
no input is not there, so the step gets "No such file or directory", never somebody else's files.
Real folders must be safe in a shell as they stand, because the language quotes nothing: see `is_safe`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from reana_lite.job import INIT_ROOT, RUN_ROOT

_SAFE = re.compile(r"[A-Za-z0-9_./+@%-]+")
_ROOTS = re.compile(rf"(?:{re.escape(RUN_ROOT)}|{re.escape(INIT_ROOT)})(?![\w-])")
_PATH = re.compile(r"[\w.+=@%~:/-]+")
_PLAIN = re.compile(r"[\w.+=@%~:/-]+\Z")
_END = re.compile(r"(?![\w-])")
_LONGER = re.compile(r"[\w.~/${}+-]*$")


def is_safe(path: str) -> bool:
    """Whether a path means itself in a shell, in a mount option and in a PATH."""
    return _SAFE.fullmatch(path) is not None


class Binding:
    """Where virtual folders really lie: `folders` (virtual -> real), else below `view` (see the module).

    `mounts`: further paths by their real place (small texts that a container would find there).
    """

    __slots__ = ("_folders", "_mounts", "_odd", "_view", "uses_view")

    def __init__(self, folders: Mapping[str, str], view: str, mounts: Mapping[str, str] | None = None) -> None:
        self._folders = folders
        self._view = view
        self.uses_view = False
        # Names with blanks and the like have no end that can be seen: these few are looked for one by one.
        self._odd = sorted((name for name in folders if not _PLAIN.match(name)), key=len, reverse=True)
        self._mounts = [
            (re.compile(rf"(?<![\w./-]){re.escape(path)}(?![\w-])"), real.replace("\\", r"\\"))
            for path, real in (mounts or {}).items()
        ]

    def text(self, text: str) -> str:
        """A text with real paths in the place of virtual ones."""
        for pattern, real in self._mounts:
            text = pattern.sub(real, text)
        parts = []
        done = 0
        for match in _ROOTS.finditer(text):
            start = match.start()
            if start < done or (start and _is_longer(text[max(0, start - 512) : start])):
                continue
            end, real = self._bind(text, start, match.end())
            parts += [text[done:start], real]
            done = end
        if not parts:
            return text
        parts.append(text[done:])
        return "".join(parts)

    def links(self) -> dict[str, str]:
        """{path below the view: real folder} that makes folders above others look as they should; {} if none is named."""
        if not self.uses_view:
            return {}
        links: dict[str, str] = {}
        there = [folder for folder, real in self._folders.items() if real == self._view + folder]
        for folder in sorted(self._folders, key=len):
            if any(name == folder or name.startswith(folder + "/") for name in there):
                continue  # laid out in the view itself
            if not any(above in links for above in _above(folder)):
                links[folder] = self._folders[folder]
        return {folder.lstrip("/"): real for folder, real in links.items()}

    def _bind(self, text: str, start: int, root_end: int) -> tuple[int, str]:
        """(end of the virtual path that begins at `start`, what stands for it)."""
        for name in self._odd:
            if text.startswith(name, start) and _END.match(text, start + len(name)):
                return start + len(name), self._folders[name]
        run = _PATH.match(text, start)
        path = run.group() if run else text[start:root_end]
        for cut in _ends(path, root_end - start):
            real = self._folders.get(path[:cut])
            if real is not None and not _climbs(path[cut:]):
                return start + cut, real
        if "//" in path or "/." in path:
            tidy = posixpath.normpath(path) + ("/" if path.endswith("/") else "")
            for cut in _ends(tidy, 1):
                real = self._folders.get(tidy[:cut])
                if real is not None:
                    return start + len(path), real + tidy[cut:]
            self.uses_view = True
            return start + len(path), self._view + tidy
        self.uses_view = True
        return root_end, self._view + text[start:root_end]


def _ends(path: str, least: int) -> Iterator[int]:
    """Where a name may end in a path, the last first."""
    for cut in range(len(path), least - 1, -1):
        if cut == len(path) or not (path[cut].isalnum() or path[cut] in "_-"):
            yield cut


def _climbs(rest: str) -> bool:
    """Whether the rest of a path leads out of the folder before it."""
    if ".." not in rest:
        return False
    depth = 0
    for part in rest.split("/")[1:]:
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return True
    return False


def _above(folder: str) -> Iterator[str]:
    while folder := folder.rpartition("/")[0]:
        yield folder


def _is_longer(before: str) -> bool:
    """Whether what stands before makes it another path (/home/me/reana-lite/run, $HOME/reana-lite/run).

    An option (-I/reana-lite/...) and a scheme (file:///reana-lite/...) do not.
    """
    last = before[-1]
    if last == "/" or not (last.isalnum() or last in "_.~}-+"):
        return False
    word = _LONGER.search(before)
    text = word.group() if word else ""
    return text in (".", "..") or any(letter in text for letter in "/$~}")
