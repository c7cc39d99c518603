"""Placeholders of a text, found without filling them in: what template.py would stumble over, and on which line.

check.py reports it before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import Formatter


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the text cannot be filled in; `line`: of the text, from 0."""

    line: int
    reason: str


def problems(
    text: str, known: Callable[[str], bool] | None, hint: str, *, positional_ends: bool = False
) -> list[Problem]:
    """Everything in the text that is no placeholder of a known value (None: the values are not known, any will do).

    `positional_ends`: a placeholder without a name is no problem, and what follows it is not looked at: in parameters
    yadage leaves such a text as it is.
    """
    found: dict[Problem, None] = {}
    try:
        for offset, name in _names(text):
            line = text.count("\n", 0, offset)
            if name == "" or name.isdigit():
                if positional_ends:
                    break
                if known is None:
                    continue
                reason = f"placeholder {{{name}}} has no name; write {{{{{name}}}}} for literal braces"
            elif known is None or known(name):
                continue
            else:
                comment = (
                    " (comments are filled in too)" if "#" in text[text.rfind("\n", 0, offset) + 1 : offset] else ""
                )
                reason = f"unknown placeholder {{{name}}}{comment}; {hint}; write {{{{{name}}}}} for literal braces"
            found[Problem(line, reason)] = None
    except ValueError as error:
        found[Problem(_unbalanced_line(text), f"{error}; write {{{{ and }}}} for literal braces")] = None
    return list(found)


def _names(text: str) -> Iterator[tuple[int, str]]:
    """(position, name) of each placeholder, those inside format specifications too; raises ValueError as str.format."""
    offset = 0
    for literal, field, specification, _ in Formatter().parse(text):
        offset = _after(text, literal, offset)
        if field is not None:
            yield offset, _name(field)
            for _, inner in _names(specification or ""):
                yield offset, inner
            offset = _behind(text, offset)


def _after(text: str, literal: str, offset: int) -> int:
    """The position behind a literal part, in which doubled braces count twice."""
    for character in literal:
        offset += 2 if character in "{}" and text[offset : offset + 2] == character * 2 else 1
    return offset


def _behind(text: str, offset: int) -> int:
    """The position behind the placeholder that opens at `offset`."""
    depth = 0
    for index in range(offset, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index + 1
    return len(text)


def _name(field: str) -> str:
    """`a` of `a.real`, `a[0]`."""
    for index, character in enumerate(field):
        if character in ".[":
            return field[:index]
    return field


def _unbalanced_line(text: str) -> int:
    """The first line that cannot be read on its own."""
    for index, line in enumerate(text.split("\n")):
        try:
            list(Formatter().parse(line))
        except ValueError:
            return index
    return 0
