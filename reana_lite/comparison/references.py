"""Results held against published references: which number, what was wanted, what was found, within which tolerance.

Pure. `recast test` makes these rows from an analysis's declared expectations and a result document; the catalogue and
the analysis's page show those that were recorded. The rule of a tolerance is in analysis/expectation.py.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from reana_lite.analysis import Analysis, Expectation, Found, Judgement, Record, Test, hold, judge
from reana_lite.analysis.recorded import key_of
from reana_lite.errors import NotFound
from reana_lite.result import lookup
from reana_lite.result.forms import cell


@dataclass(frozen=True, slots=True)
class Row:
    """One number (or word) against its reference.

    `ratio` is got / reference; `reference_error` the published error and `got_error` the Monte Carlo one, as far as they
    are known; `pull` the difference in units of both together; `tolerance` in the quantity's own unit; None where there
    is no number. `passed` is None where nothing is recorded. `message` says why it failed.
    """

    value: str
    reference: Any
    got: Any
    passed: bool | None
    ratio: float | None = None
    reference_error: float | None = None
    got_error: float | None = None
    pull: float | None = None
    tolerance: float | None = None
    source: str = ""
    reason: str = ""
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def compare_to_references(document: Mapping[str, Any], expectations: Iterable[Expectation]) -> list[Row]:
    """A row per expectation, in their order; what is missing in the document has failed, nothing is raised.

    Where an expectation allows for `sigmas` and names no error, the quantity's own <name>_error is taken, if any.
    """
    rows = []
    for expectation in expectations:
        expectation = _with_error(document, expectation)
        rows.append(_row(judge(expectation, document), _own_error(document, expectation)))
    return rows


def recorded_rows(test: Test, record: Record | None) -> list[Row]:
    """A row per expectation of a test, with what was found when it was recorded; `passed` is judged anew."""
    rows = []
    for expectation in test.expect:
        found = record.of(expectation) if record is not None else None
        if found is None:
            row = _row(Judgement(expectation, False, message="not recorded"), None)
            rows.append(replace(row, passed=None))
        else:
            rows.append(_row(hold(expectation, found.value, error=found.error or 0.0), found.error))
    return rows


def validation_of(analysis: Analysis) -> list[dict[str, Any]]:
    """All tests of an analysis with their recorded numbers beside the references, in the JSON form of the API.

    `recorded` (on, program, state) is None for a test of which nothing is recorded.
    """
    told = []
    for test in analysis.tests:
        record = analysis.records.get(test.name)
        recorded = None
        if record is not None:
            recorded = {"on": record.recorded_on.isoformat(), "program": record.program, "state": record.state}
        rows = [row.to_dict() for row in recorded_rows(test, record)]
        told.append({"name": test.name, "description": test.description, "recorded": recorded, "rows": rows})
    return told


def found_in(document: Mapping[str, Any], expectations: Iterable[Expectation]) -> tuple[Found, ...]:
    """What a result document has where expectations look, to be recorded; what is missing in it is left out."""
    found: dict[tuple[str, str], Found] = {}
    for expectation in expectations:
        expectation = _with_error(document, expectation)
        try:
            value = lookup(document, expectation.path)
        except NotFound:
            continue
        error = _own_error(document, expectation)
        found.setdefault(key_of(expectation), Found(expectation.path, value, error, expectation.result))
    return tuple(found.values())


def passed(rows: Sequence[Row]) -> bool:
    """Whether all rows passed (and there is one)."""
    return bool(rows) and all(row.passed for row in rows)


def in_words(rows: Sequence[Row]) -> str:
    """How many passed, as a phrase: "20 of 20 passed", or that they are not recorded."""
    judged = [row for row in rows if row.passed is not None]
    if not judged:
        return f"{len(rows)} references, not recorded"
    missing = f", {len(rows) - len(judged)} not recorded" if len(judged) < len(rows) else ""
    return f"{sum(bool(row.passed) for row in judged)} of {len(judged)} passed{missing}"


def _with_error(document: Mapping[str, Any], expectation: Expectation) -> Expectation:
    path = f"{expectation.path}_error"
    if not expectation.sigmas or expectation.error_path or _number(document, path) is None:
        return expectation
    return replace(expectation, error_path=path)


def _own_error(document: Mapping[str, Any], expectation: Expectation) -> float | None:
    return _number(document, expectation.error_path) if expectation.error_path else None


def _row(judgement: Judgement, own: float | None) -> Row:
    expectation, got = judgement.expectation, judgement.found
    wanted = expectation.value
    reference: Any = wanted if wanted is not None else expectation.equals
    if reference is None:
        reference = expectation.wanted
    row = Row(
        expectation.path, reference, got, judgement.passed, reference_error=expectation.error or None,
        source=expectation.source, reason=expectation.reason, message=judgement.message,
    )  # fmt: skip
    if wanted is None or isinstance(got, bool) or not isinstance(got, int | float) or not math.isfinite(got):
        return row
    error = math.hypot(expectation.error, own or 0.0)
    return replace(
        row,
        ratio=got / wanted if wanted else None,
        got_error=own or None,
        pull=(got - wanted) / error if error else None,
        tolerance=judgement.tolerance,
    )


def _number(document: Mapping[str, Any], path: str) -> float | None:
    try:
        found = lookup(document, path)
    except NotFound:
        return None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


# -- how the rows are shown -------------------------------------------------------------------------------------------
_HEAD = ("value", "reference", "here", "ratio", "allowed difference", "pull", "")


def to_text(rows: Sequence[Row]) -> str:
    """A table for a terminal, with what failed explained below it."""
    cells = [list(_HEAD), *(_cells(row) for row in rows)]
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines += [f"failed: {row.value}: {row.message}" for row in rows if row.passed is False]
    lines.append(in_words(rows))
    return "\n".join(lines) + "\n"


def to_markdown(rows: Sequence[Row]) -> str:
    """A table for a README, with sources."""
    head = ("value", "published", "here", "ratio", "allowed difference", "passed", "source")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        value, reference, got, ratio, tolerance, _, mark = _cells(row)
        columns = (value, reference, got, ratio, tolerance, mark, row.source)
        lines.append("| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in columns) + " |")
    return "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """All rows by what they are of, in Markdown: how many, how many passed, from which to which ratio, by which sources."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        name = quantity_name(row.value)
        kind = name.partition(": ")[2] if ": " in name else name
        groups.setdefault(kind.partition(",")[0], []).append(row)
    lines = ["| quantity | numbers | passed | here / published | published by |", "|---|---|---|---|---|"]
    for kind, some in groups.items():
        ratios = [row.ratio for row in some if row.ratio is not None]
        span = f"{min(ratios):.3f} to {max(ratios):.3f}" if ratios else ""
        sources = "; ".join(dict.fromkeys(row.source for row in some if row.source))
        passing = sum(bool(row.passed) for row in some)
        lines.append(f"| {kind} | {len(some)} | {passing} | {span} | {sources.replace('|', ' ')} |")
    return "\n".join(lines) + "\n"


def to_csv(rows: Sequence[Row]) -> str:
    """One row each (RFC 4180)."""
    out = io.StringIO()
    names = list(Row.__dataclass_fields__)
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([cell(value) for value in row.to_dict().values()] for row in rows)
    return out.getvalue()


def to_json(rows: Sequence[Row]) -> str:
    """The rows and whether all passed."""
    document = {"passed": passed(rows), "rows": [row.to_dict() for row in rows]}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _cells(row: Row) -> list[str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    tolerance = "" if row.tolerance is None else f"± {row.tolerance:.2g}"
    pull = "" if row.pull is None else f"{row.pull:+.1f}σ"
    mark = {True: "passed", False: "FAILED", None: "not recorded"}[row.passed]
    return [
        row.value,
        shown(row.reference, row.reference_error),
        shown(row.got, row.got_error),
        ratio,
        tolerance,
        pull,
        mark,
    ]


_BAND = ("−2σ", "−1σ", "median", "+1σ", "+2σ")
_QUANTITIES = {
    "efficiency": "acceptance × efficiency", "observed": "observed [events]", "background": "background [events]",
    "background_error": "error of the background [events]", "signal": "signal [events]",
    "cls_observed": "observed CLs at μ = 1", "cls_expected": "expected CLs at μ = 1",
    "mu_limit_observed": "observed upper limit on μ", "mu_limit_expected": "expected upper limit on μ",
    "xsec_limit_observed_pb": "observed upper limit on σ [pb]", "xsec_limit_expected_pb": "expected upper limit on σ [pb]",
    "r_observed": "observed r", "r_expected": "expected r", "verdict": "verdict", "best": "deciding likelihood",
}  # fmt: skip


def quantity_name(path: str) -> str:
    """A path of the result document as a reader would name the number, with its unit; the path where none is known."""
    match path.split("/"):
        case ["regions" | "limits", *names, last] if last in _QUANTITIES:
            return f"{'/'.join(names)}: {_QUANTITIES[last]}"
        case ["limits", name, last, place] if last in _QUANTITIES and place in tuple("01234"):
            return f"{name}: {_QUANTITIES[last]}, {_BAND[int(place)]}"
        case ["extra", "s95", name, "observed"]:
            return f"{name}: observed S95 [events]"
        case ["extra", "s95", name, "expected", place] if place in tuple("01234"):
            return f"{name}: expected S95 [events], {_BAND[int(place)]}"
        case ["cutflow", process, *names, "efficiency"]:
            return f"{process}, {' / '.join(names)}: efficiency after the cut"
        case [name] if name in _QUANTITIES:
            return _QUANTITIES[name]
    return path


def shown(value: Any, error: float | None = None) -> str:
    """A number with its error, or a word, as tables have it; "-" for none."""
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if error is None else f"{text} ± {error:.2g}"
