"""A declared test held against what a run gave: pass or fail per number, with the tolerance that was used.

An expectation names a quantity inside a JSON document by a path of keys, where a list of named things is entered by
name: `regions/SR4j-2200/efficiency`. Called by `recast test`; where the document comes from is the caller's affair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test expects of one quantity of the declared result `result` ("": the first one).

    Exactly one of `value` (with tolerances), `equals` (anything, exactly) and the bounds is used. The tolerance on
    `value` is `relative` x |value| + `absolute` + `sigmas` x sqrt(error^2 + found error^2), `error_path` being where
    the found one stands. `source` cites where the number was published; `reason` says why the tolerance is what it is.
    """

    path: str
    result: str = ""
    value: float | None = None
    error: float = 0.0
    error_path: str = ""
    relative: float = 0.0
    absolute: float = 0.0
    sigmas: float = 0.0
    equals: Any = None
    minimum: float | None = None
    maximum: float | None = None
    source: str = ""
    reason: str = ""

    @property
    def wanted(self) -> str:
        """What is expected, as a phrase."""
        if self.value is not None:
            return f"{self.value:g}"
        if self.minimum is not None or self.maximum is not None:
            low = "" if self.minimum is None else f">= {self.minimum:g}"
            high = "" if self.maximum is None else f"<= {self.maximum:g}"
            return " and ".join(filter(None, (low, high)))
        return repr(self.equals)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One expectation and what was found: `tolerance` is in the quantity's own unit; `message` is "" if it passed."""

    expectation: Expectation
    passed: bool
    found: Any = None
    tolerance: float = 0.0
    message: str = ""


def find(document: Any, path: str) -> Any:
    """What stands at a path of keys, list positions or names of list members; raises LookupError with a reason."""
    here = document
    done: list[str] = []
    for part in filter(None, path.split("/")):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, list):
            named = [item for item in here if isinstance(item, Mapping) and item.get("name") == part]
            if named:
                here = named[0]
            elif part.lstrip("-").isdigit() and -len(here) <= int(part) < len(here):
                here = here[int(part)]
            else:
                raise LookupError(f"nothing called {part!r} in {'/'.join(done) or 'the result'}")
        else:
            raise LookupError(f"nothing called {part!r} in {'/'.join(done) or 'the result'}")
        done.append(part)
    return here


def judge(expectation: Expectation, document: Any) -> Judgement:
    """Hold one expectation against a result document; what is missing or no number has failed."""
    try:
        found = find(document, expectation.path)
    except LookupError as error:
        return Judgement(expectation, False, message=str(error))
    if expectation.value is None or not expectation.error_path or not _is_number(found):
        return hold(expectation, found)
    try:
        spread = find(document, expectation.error_path)
    except LookupError as error:
        return Judgement(expectation, False, found, message=str(error))
    if not _is_number(spread):
        reason = f"the error at {expectation.error_path} is {spread!r}, not a number"
        return Judgement(expectation, False, found, message=reason)
    return hold(expectation, found, error=spread)


def hold(expectation: Expectation, found: Any, *, error: float = 0.0) -> Judgement:
    """Hold one expectation against what was found, `error` being its own one-sigma error in the same unit."""
    if expectation.value is None and expectation.minimum is None and expectation.maximum is None:
        passed = type(found) is type(expectation.equals) and found == expectation.equals
        message = "" if passed else f"{found!r} instead of {expectation.equals!r}"
        return Judgement(expectation, passed, found, message=message)
    if not _is_number(found):
        return Judgement(expectation, False, found, message=f"{found!r} is not a number")
    if expectation.value is None:
        low = -math.inf if expectation.minimum is None else expectation.minimum
        high = math.inf if expectation.maximum is None else expectation.maximum
        passed = low <= found <= high
        return Judgement(expectation, passed, found, message="" if passed else f"{found:g} is not {expectation.wanted}")
    spread = expectation.sigmas * math.hypot(expectation.error, error)
    tolerance = expectation.relative * abs(expectation.value) + expectation.absolute + spread
    passed = abs(found - expectation.value) <= tolerance
    message = "" if passed else f"{found:g} instead of {expectation.value:g} +- {tolerance:.3g}"
    return Judgement(expectation, passed, found, tolerance, message)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
