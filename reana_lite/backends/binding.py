"""Binding: the virtual paths of a job become real ones when it starts.

Pure: texts in, texts out. A virtual folder that the job owns or reads is replaced by its real folder, the longest match
first and only at a path boundary (`/map/3` is not in `/map/30`). A virtual path that belongs to no such folder becomes
one below `absent`, which nobody makes: the step gets "No such file or directory", never somebody else's files.
Real folders must be safe in a shell as they stand, because the language quotes nothing: see `is_safe`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from reana_lite.job import INIT_ROOT, RUN_ROOT

_SAFE = re.compile(r"[A-Za-z0-9_./+@%-]+")
_NAME = r"[\w.+-]"
_VIRTUAL = re.compile(rf"(?:{re.escape(RUN_ROOT)}|{re.escape(INIT_ROOT)})(?!{_NAME})(?:/{_NAME}+)*")
_PLAIN = re.compile(rf"(?:/{_NAME}+)+")
_LONGER = re.compile(r"[\w.~/${}+-]*$")


def is_safe(path: str) -> bool:
    """Whether a path means itself in a shell, in a mount option and in a PATH."""
    return _SAFE.fullmatch(path) is not None


class Binding:
    """Where virtual folders really lie: `folders` (virtual -> real); `absent` is a folder that nobody makes."""

    __slots__ = ("_absent", "_folders", "_odd")

    def __init__(self, folders: Mapping[str, str], absent: str) -> None:
        self._folders = folders
        self._absent = absent
        # Names with blanks and the like have no end that can be seen: these few are looked for one by one.
        names = sorted((name for name in folders if not _PLAIN.fullmatch(name)), key=len, reverse=True)
        self._odd = [(re.compile(rf"{re.escape(name)}(?!{_NAME})"), name) for name in names]
        for name in folders:
            if _PLAIN.fullmatch(name) and not name.startswith((RUN_ROOT, INIT_ROOT)):
                self._odd.append((re.compile(rf"(?<!{_NAME}){re.escape(name)}(?!{_NAME})"), name))

    def text(self, text: str) -> str:
        """A text with real paths in the place of virtual ones."""
        for pattern, name in self._odd:
            text = pattern.sub(self._folders[name].replace("\\", r"\\"), text)
        if RUN_ROOT not in text and INIT_ROOT not in text:
            return text
        return _VIRTUAL.sub(self._replace, text)

    def path(self, path: str) -> str | None:
        """The real path of one virtual path; None if it lies in no bound folder."""
        head = path
        while head:
            real = self._folders.get(head)
            if real is not None:
                return real + path[len(head) :]
            head = head.rpartition("/")[0]
        return None

    def _replace(self, match: re.Match[str]) -> str:
        start = match.start()
        if start and _is_longer(match.string[max(0, start - 512) : start]):
            return match.group()
        return self.path(match.group()) or self._absent + match.group()


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
