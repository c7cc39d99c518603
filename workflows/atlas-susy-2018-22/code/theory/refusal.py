"""How a step refuses a theory: one sentence, the line where it can be named, exit status 3."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from typing import NoReturn

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+(\.0*)?)?")


class Refused(ValueError):
    """This theory cannot be judged by this analysis; the message says why."""


def refuse(text: str, *, line: int = 0) -> NoReturn:
    """Raise Refused, with the line of the file if there is one."""
    raise Refused(f"line {line}: {text}" if line else text)


def number(text: str, *, line: int = 0) -> float:
    """A number as Fortran or C writes it (2.0D+03, 0.01E+0.00); nan, inf and 1_000 are refused."""
    if not _NUMBER.fullmatch(text):
        refuse(f"{text!r} is not a finite number", line=line)
    mantissa, _, exponent = re.sub("[dD]", "e", text).lower().partition("e")
    value = float(f"{mantissa}e{int(float(exponent))}") if exponent else float(mantissa)
    if not math.isfinite(value):
        refuse(f"{text!r} is too large", line=line)
    return value


def integer(text: str, *, line: int = 0) -> int:
    """A whole number; anything else is refused."""
    if not re.fullmatch(r"[+-]?\d{1,10}", text):
        refuse(f"{text!r} is not a whole number", line=line)
    return int(text)


def guarded(main: Callable[[], None]) -> NoReturn:
    """Run `main()`; a refusal ends the step with one line on standard error."""
    try:
        main()
    except Refused as refusal:
        sys.stderr.write(f"theory refused: {refusal}\n")
        sys.exit(3)
    sys.exit(0)
