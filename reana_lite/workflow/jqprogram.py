"""jq programs, compiled once, over JSON values.

A program sees its input and nothing else: no environment variables, no clock, no modules, so that the same events give
the same graph everywhere. Numbers come back as jq gives them (a double that is integral becomes an integer). Used by
the jq stage, cases, publishers and parameter mounts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jq  # type: ignore[import-not-found]  # a compiled module without stubs

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow.value import Json

_CLOSED = """{} as $ENV | def env: {}; def now: error("now is not available: a run must be repeatable");
def input_filename: null; def modulemeta: error("modules are not available"); (
"""


@lru_cache(maxsize=2048)
def _compiled(program: str) -> Any:
    try:
        return jq.compile(f"{_CLOSED}{program}\n)")
    except ValueError as error:
        raise InvalidWorkflow(f"the jq program {_short(program)} is not valid: {_first_line(error)}") from error


def check(program: str) -> None:
    """Raises InvalidWorkflow if the program is not valid; nothing is run."""
    _compiled(program)


def every(program: str, value: Json) -> list[Json]:
    """All outputs of the program; raises InvalidWorkflow if it is not valid or fails."""
    try:
        outputs: list[Json] = _compiled(program).input_value(value).all()
    except ValueError as error:
        raise InvalidWorkflow(f"the jq program {_short(program)} failed: {_first_line(error)}") from error
    return outputs


def first(program: str, value: Json) -> Json:
    """The first output; raises InvalidWorkflow if the program is not valid, fails, or gives none."""
    try:
        return next(iter(_compiled(program).input_value(value)))
    except StopIteration:
        raise InvalidWorkflow(f"the jq program {_short(program)} gave no output") from None
    except ValueError as error:
        raise InvalidWorkflow(f"the jq program {_short(program)} failed: {_first_line(error)}") from error


def text(program: str, value: Json) -> str:
    """All outputs as JSON texts, a line each (strings quoted, non-ASCII escaped)."""
    try:
        written: str = _compiled(program).input_value(value).text()
    except ValueError as error:
        raise InvalidWorkflow(f"the jq program {_short(program)} failed: {_first_line(error)}") from error
    return written


def _short(program: str) -> str:
    return repr(program if len(program) <= 80 else program[:77] + "...")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
