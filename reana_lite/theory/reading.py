"""How text becomes numbers, and how faults of one file are gathered: the strictness all readers of theories share.

Pure. No format is known here; the readers beside this module call it. Python's own float() and int() are too kind for
theories ("1_000", "inf", "nan", Arabic digits), and Fortran's exponents ("2.0D+03") are unknown to them.
"""

from __future__ import annotations

import math
import re

from reana_lite.errors import Fault, InvalidInput

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEdD][+-]?[0-9]{1,5}|[+-][0-9]{3})?")
_BARE_EXPONENT = re.compile(r"(?<=[0-9.])[+-][0-9]{3}$")
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)(?:\(.*\))?", re.IGNORECASE)
_SHOWN = 60
_MAX_FAULTS = 20


def number(token: str) -> float:
    """The finite number that `token` writes, Fortran exponents (1.0D+03, 1.0-101) too; ValueError with a reason."""
    if len(token) <= 64 and _NUMBER.fullmatch(token):
        if not token[-1:].isdigit() or "d" in token or "D" in token:
            token = token.replace("D", "E").replace("d", "e")
        if "e" not in token and "E" not in token:
            token = _BARE_EXPONENT.sub(lambda match: "E" + match.group(), token)
        value = float(token)
        if math.isfinite(value):
            return value
        raise ValueError(f"{token} is too large for a number")
    if _NOT_FINITE.fullmatch(token):
        raise ValueError(f"{shown(token)} is not a finite number")
    raise ValueError(f"{shown(token)!r} is not a number such as 2.0E+03")


def integer(token: str) -> int:
    """The whole number that `token` writes in plain digits; ValueError with a reason."""
    if _INTEGER.fullmatch(token):
        return int(token)
    raise ValueError(f"{shown(token)!r} is not a whole number")


def exact(value: float) -> str:
    """A number in E notation that reads back to exactly the same float: 9 digits, or as many as it needs."""
    if value == 0.0:
        value = 0.0  # -0.0 is the same theory
    for digits in (8, 12, 14, 15, 16):
        text = f"{value:.{digits}E}"
        if float(text) == value:
            return text
    return text


def shown(text: str) -> str:
    """`text` as a message may quote it: printable and short."""
    clean = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN + 1])
    return clean[:_SHOWN] + "…" if len(clean) > _SHOWN else clean


class Faults:
    """What is wrong with one file; all of it is refused together, a line each."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Fault] = []
        self.more = 0

    def add(self, reason: str, *, line: int | None = None, path: str = "") -> None:
        """Note one fault (1-based line); beyond twenty they are only counted."""
        if len(self.found) < _MAX_FAULTS:
            self.found.append(Fault(self.source, path, reason, line))
        else:
            self.more += 1

    def check(self) -> None:
        """Raise InvalidInput if anything was noted."""
        if not self.found:
            return
        lines = [str(fault) for fault in self.found]
        if self.more:
            lines.append(f"{self.source}: {self.more} more faults")
        first = self.found[0]
        raise InvalidInput(
            "\n".join(lines),
            field=self.source,
            reason=first.reason,
            line=first.line,
            faults=[{"source": f.source, "path": f.path, "reason": f.reason, "line": f.line} for f in self.found],
        )


def refuse(source: str, reason: str, *, line: int | None = None, path: str = "") -> InvalidInput:
    """The error for one fault, to be raised."""
    faults = Faults(source)
    faults.add(reason, line=line, path=path)
    try:
        faults.check()
    except InvalidInput as error:
        return error
    raise AssertionError("a noted fault is always raised")


def as_text(content: bytes, source: str) -> str:
    """Decoded text with "\\n" ends: byte order marks, CRLF and CR are handled; binary content is refused.

    Bytes that are not UTF-8 (Latin-1 in comments) are kept as such: they can only be wrong where a number is expected.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(source, "the text is UTF-16; save it as UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content:
        raise refuse(source, "binary data (NUL bytes) where text is expected")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
