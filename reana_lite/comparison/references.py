"""Results held against published references: which number, what was wanted, what was found, within which tolerance.

Pure. `recast test` makes these rows from an analysis's declared expectations and a result document, and prints them;
an analysis's README shows the same table. The rule of a tolerance is in analysis/expectation.py.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from reana_lite.analysis import Expectation, judge
from reana_lite.errors import NotFound
from reana_lite.result import lookup
from reana_lite.result.forms import cell


@dataclass(frozen=True, slots=True)
class Row:
    """One number (or word) against its reference.

    `ratio` is got / reference, `error` the Monte Carlo (and published) error that entered, `pull` the difference in
    units of it, `tolerance` in the quantity's own unit; None where there is no number. `message` says why it failed.
    """

    value: str
    reference: Any
    got: Any
    passed: bool
    ratio: float | None = None
    error: float | None = None
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
    return [_row(document, _with_error(document, expectation)) for expectation in expectations]


def passed(rows: Sequence[Row]) -> bool:
    """Whether all rows passed (and there is one)."""
    return bool(rows) and all(row.passed for row in rows)


def _with_error(document: Mapping[str, Any], expectation: Expectation) -> Expectation:
    path = f"{expectation.path}_error"
    if not expectation.sigmas or expectation.error_path or _number(document, path) is None:
        return expectation
    return replace(expectation, error_path=path)


def _row(document: Mapping[str, Any], expectation: Expectation) -> Row:
    judgement = judge(expectation, document)
    wanted, got = expectation.value, judgement.found
    reference: Any = wanted if wanted is not None else expectation.equals
    if reference is None:
        reference = expectation.wanted
    row = Row(
        expectation.path, reference, got, judgement.passed,
        source=expectation.source, reason=expectation.reason, message=judgement.message,
    )  # fmt: skip
    if wanted is None or isinstance(got, bool) or not isinstance(got, int | float) or not math.isfinite(got):
        return row
    own = _number(document, expectation.error_path) if expectation.error_path else None
    error = math.hypot(expectation.error, own or 0.0)
    return replace(
        row,
        ratio=got / wanted if wanted else None,
        error=error or None,
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
_HEAD = ("value", "reference", "got", "ratio", "tolerance", "pull", "")


def to_text(rows: Sequence[Row]) -> str:
    """A table for a terminal, with what failed explained below it."""
    cells = [list(_HEAD), *(_cells(row) for row in rows)]
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    failed = [row for row in rows if not row.passed]
    lines += [f"failed: {row.value}: {row.message}" for row in failed]
    lines.append(f"{len(rows) - len(failed)} of {len(rows)} passed")
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
    got = _shown(row.got)
    if row.error is not None and isinstance(row.got, int | float):
        got = f"{got} ± {row.error:.2g}"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    tolerance = "" if row.tolerance is None else f"{row.tolerance:.2g}"
    pull = "" if row.pull is None else f"{row.pull:+.1f}σ"
    return [row.value, _shown(row.reference), got, ratio, tolerance, pull, "passed" if row.passed else "FAILED"]


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
