"""Texts and sizes for people to read: without what a terminal or a browser would obey. Pure; used by all doors.

Escaping (HTML, LaTeX, CSV) is of who writes these; here is what escaping does not do.
"""

from __future__ import annotations

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and newline, turns of the direction of writing, halves of characters."""

_BREAKS = re.compile(r"[\t\n\u2028\u2029]")
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


def plain(text: object) -> str:
    """A text without what a terminal obeys: escapes, control characters (tab and newline stay), turns of direction."""
    return CONTROL.sub(_INSTEAD, str(text))


def one_line(text: object) -> str:
    """The same, also without tabs and newlines."""
    return _BREAKS.sub(_INSTEAD, plain(text))


def printed(text: str) -> str:
    """What a step printed: colours and cursor movements are dropped, of a line overwritten in place its end is kept."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n"))
    return plain("\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")))


def size(count: float) -> str:
    """Bytes for people, in powers of 1000: 17.0 MB, 288 kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def binary_size(count: float) -> str:
    """Bytes for people, in powers of 1024, as limits of memory are given: 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"
