"""What an analysis's tests gave when they were last recorded: validation.json beside analysis.yml.

Written by `recast test NAME --record` and by nothing else. A number is here only together with the run it comes from
(which state of the analysis, when), and is shown only beside the reference in analysis.yml it is held against.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from reana_lite.analysis.document import pointer
from reana_lite.analysis.expectation import Expectation
from reana_lite.errors import Fault, InvalidAnalysis

FILE = "validation.json"
VERSION = 1

Key = tuple[str, str]
"""(declared result, path): what an expectation is about."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stood at `path` of the result, and its own Monte Carlo error in the same unit (None: it has none)."""

    path: str
    value: Any
    error: float | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One run of one test. `state`: digest of all that the run computed from (see target/state.py)."""

    state: str
    recorded_on: date
    program: str
    found: tuple[Found, ...]

    def of(self, expectation: Expectation) -> Found | None:
        """What was found where the expectation looks; None if nothing is recorded of it."""
        wanted = key_of(expectation)
        return next((one for one in self.found if (one.result, one.path) == wanted), None)


def key_of(expectation: Expectation) -> Key:
    """What an expectation is about."""
    return expectation.result, expectation.path


def read_records(content: bytes | str, source: str) -> dict[str, Record]:
    """Records by the name of their test; raises InvalidAnalysis with every fault of the file."""
    from jsonschema import Draft202012Validator

    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidAnalysis.of([Fault(source, "", f"not JSON: {error}")]) from error
    faults = [
        Fault(
            source,
            pointer(tuple(error.absolute_path)),
            f"{error.message}; it is written by `recast test NAME --record`",
        )
        for error in Draft202012Validator(schema()).iter_errors(value)
    ]
    if faults:
        raise InvalidAnalysis.of(faults)
    try:
        return {name: _record(one) for name, one in value["tests"].items()}
    except ValueError as error:
        raise InvalidAnalysis.of([Fault(source, "", str(error))]) from error


def write_records(records: Mapping[str, Record], *, analysis: str) -> str:
    """The file, one line per number, so that a change is seen in a diff."""
    tests = ",\n".join(f"  {json.dumps(name)}: {_written(record)}" for name, record in records.items())
    return f'{{\n "version": {VERSION},\n "analysis": {json.dumps(analysis)},\n "tests": {{\n{tests}\n }}\n}}\n'


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of validation.json."""
    text = resources.files("reana_lite").joinpath("validation.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _record(one: Mapping[str, Any]) -> Record:
    found = tuple(Found(**row) for row in one["found"])
    return Record(one["state"], date.fromisoformat(one["recorded_on"]), one["program"], found)


def _written(record: Record) -> str:
    head = {"state": record.state, "recorded_on": record.recorded_on.isoformat(), "program": record.program}
    rows = ",\n".join(f"    {json.dumps(row, ensure_ascii=False, allow_nan=False)}" for row in _rows(record))
    return f'{json.dumps(head)[:-1]}, "found": [\n{rows}\n  ]}}'


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    for found in record.found:
        yield {
            name: _short(value) for name, value in asdict(found).items() if name == "value" or value not in (None, "")
        }


def _short(value: Any) -> Any:
    """Six digits: more than any tolerance sees, and the same on machines that add in another order."""
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    return value
