"""Published grids and lines: read from CSV or JSON, and results held against them point by point. Pure.

A grid has a row per theory: its place (columns named as the axes, such as m_gluino and m_lsp) and one or more of `r`,
`mu_limit`, `xsec_limit_pb` or `xsec_limit_fb` (observed; with `_expected` the expected ones), `verdict` (excluded,
not-excluded) or `excluded` (true, false). A line has only the two columns of its axes; an empty line ends a piece of it.
JSON is a list of objects with the same members, or an object with such a list as `points`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from reana_lite.comparison.outcome import Outcome, axes_named, by_theory, most_sensitive
from reana_lite.comparison.tables import Cell, Column, Table, axis_columns, word
from reana_lite.errors import InvalidInput
from reana_lite.result import Verdict
from reana_lite.theory import read_json

NEAR = (0.85, 1.18)
"""Published r between these is near the boundary: 15 % on the cross-section limit turns the verdict."""

MAX_BYTES = 16 * 1024 * 1024

_NUMBERS = {
    "r": 1.0, "r_observed": 1.0, "r_expected": 1.0, "mu_limit": 1.0, "mu_limit_observed": 1.0, "mu_limit_expected": 1.0,
    "xsec_limit_pb": 1.0, "xsec_limit_fb": 1e-3, "xsec_limit_observed_pb": 1.0, "xsec_limit_observed_fb": 1e-3,
    "xsec_limit_expected_pb": 1.0, "xsec_limit_expected_fb": 1e-3,
}  # fmt: skip
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """What is published of one theory: its place, and of r, cross-section limit (pb) and verdict what there is."""

    place: Mapping[str, float]
    r: float | None = None
    r_expected: float | None = None
    xsec_limit_pb: float | None = None
    xsec_limit_expected_pb: float | None = None
    verdict: Verdict | None = None

    def said(self) -> Verdict | None:
        """The published verdict: as given, else by r."""
        if self.verdict is not None or self.r is None:
            return self.verdict
        return Verdict.EXCLUDED if self.r > 1.0 else Verdict.NOT_EXCLUDED


@dataclass(frozen=True, slots=True)
class Published:
    """A published grid (`points`), or lines (`lines`: polylines in the plane of `axes`)."""

    source: str
    axes: tuple[str, ...]
    points: tuple[PublishedPoint, ...] = ()
    lines: tuple[tuple[tuple[float, float], ...], ...] = field(default=())


def read_published(content: bytes, source: str) -> Published:
    """A grid or lines from CSV or JSON; InvalidInput names the row and column that cannot be used."""
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"{source}: {len(content)} bytes; at most {MAX_BYTES} are read", field="published")
    if content.lstrip()[:1] in (b"[", b"{"):
        rows, gaps = _json_rows(read_json(content, source), source), set[int]()
    else:
        rows, gaps = _csv_rows(content, source)
    if not rows:
        raise InvalidInput(f"{source}: no rows", field="published")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    said = [name for name in columns if name in _NUMBERS or name in ("verdict", "excluded")]
    if said:
        return _grid(rows, source)
    axes = [name for name in columns if _numeric(rows, name)]
    if len(axes) != 2:
        raise InvalidInput(
            f"{source}: a line has the two columns of its axes, a grid also one of {', '.join([*_NUMBERS, 'verdict'])}; "
            f"here are {', '.join(columns)}", field="published",
        )  # fmt: skip
    lines: list[list[tuple[float, float]]] = [[]]
    for at, row in enumerate(rows):
        if at in gaps:
            lines.append([])
        lines[-1].append((_real(row[axes[0]], axes[0], at, source), _real(row[axes[1]], axes[1], at, source)))
    return Published(source, tuple(axes), lines=tuple(tuple(line) for line in lines if line))


def _csv_rows(content: bytes, source: str) -> tuple[list[dict[str, Any]], set[int]]:
    """Rows, and the numbers of those before which a line was empty."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{source}: not UTF-8 text", field="published") from error
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    head = next((at for at, line in enumerate(lines) if line.strip()), len(lines))
    if head == len(lines):
        return [], set()
    names = [name.strip() for name in next(csv.reader([lines[head]]))]
    rows: list[dict[str, Any]] = []
    gaps: set[int] = set()
    for cells in csv.reader(io.StringIO("\n".join(lines[head + 1 :]))):
        if not any(cell.strip() for cell in cells):
            gaps.add(len(rows))
            continue
        if len(cells) != len(names):
            raise InvalidInput(
                f"{source}: row {len(rows) + 1} has {len(cells)} cells, the heading {len(names)}", field="published"
            )
        rows.append({name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()})
    return rows, gaps


def _json_rows(document: Any, source: str) -> list[dict[str, Any]]:
    rows = document.get("points") if isinstance(document, dict) else document
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidInput(f"{source}: not a list of objects, nor an object with one as 'points'", field="published")
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _grid(rows: Sequence[Mapping[str, Any]], source: str) -> Published:
    first = rows[0]
    axes = [n for n in first if n not in _NUMBERS and n not in ("verdict", "excluded") and _numeric(rows, n)]
    if not axes:
        raise InvalidInput(f"{source}: no column says where the points are, such as m_gluino", field="published")
    points = []
    for at, row in enumerate(rows):
        numbers = {n: _real(row[n], n, at, source) * f for n, f in _NUMBERS.items() if n in row}
        if bad := next((n for n, v in numbers.items() if v <= 0), None):
            raise InvalidInput(f"{source}: row {at + 1}, {bad}: {row[bad]} is not above 0", field="published")

        def pick(*names: str, numbers: Mapping[str, float] = numbers) -> float | None:
            return next((numbers[name] for name in names if name in numbers), None)

        mu, mu_expected = pick("mu_limit_observed", "mu_limit"), pick("mu_limit_expected")
        points.append(PublishedPoint(
            {axis: _real(row[axis], axis, at, source) for axis in axes},
            r=pick("r_observed", "r") or (1 / mu if mu else None),
            r_expected=pick("r_expected") or (1 / mu_expected if mu_expected else None),
            xsec_limit_pb=pick("xsec_limit_observed_pb", "xsec_limit_observed_fb", "xsec_limit_pb", "xsec_limit_fb"),
            xsec_limit_expected_pb=pick("xsec_limit_expected_pb", "xsec_limit_expected_fb"),
            verdict=_verdict(row, at, source),
        ))  # fmt: skip
    places = [tuple(point.place.values()) for point in points]
    if twice := next((p for p in places if places.count(p) > 1), None):
        where = ", ".join(f"{axis} = {value:g}" for axis, value in zip(axes, twice, strict=True))
        raise InvalidInput(f"{source}: two rows at {where}", field="published")
    return Published(source, tuple(axes), tuple(points))


def _verdict(row: Mapping[str, Any], at: int, source: str) -> Verdict | None:
    if "verdict" in row:
        if row["verdict"] in set(Verdict):
            return Verdict(row["verdict"])
        raise InvalidInput(
            f"{source}: row {at + 1}, verdict: {row['verdict']!r} is none of {', '.join(Verdict)}", field="published"
        )
    if "excluded" not in row:
        return None
    text = str(row["excluded"]).lower()
    if text not in (*_TRUE, *_FALSE):
        raise InvalidInput(f"{source}: row {at + 1}, excluded: {text!r} is not true or false", field="published")
    return Verdict.EXCLUDED if text in _TRUE else Verdict.NOT_EXCLUDED


def _numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    try:
        return all(math.isfinite(float(row[name])) and not isinstance(row[name], bool) for row in rows)
    except (KeyError, TypeError, ValueError):
        return False


def _real(value: Any, name: str, at: int, source: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"{source}: row {at + 1}, {name}: {str(value)[:40]!r} is not a number", field="published")
    return number


# -- results against a grid ------------------------------------------------------------------------------------------
def cross_check(outcomes: Sequence[Outcome], grid: Published) -> Table:
    """A row per published point: r, cross-section limits and verdicts, here and published, and whether they agree.

    `agreement`: agree, differ, near (they differ, but published r is within NEAR), undetermined (no verdict here), or
    not computed. `r_pull` is in units of the Monte Carlo error here. The summary counts the
    agreements, and has median and spread of the ratio of limits within validity.
    """
    axes = list(grid.axes)
    ours = by_theory([o for o in outcomes if all(o.number(axis) is not None for axis in axes)], axes)
    if not ours:
        names = sorted({name for o in outcomes for name in o.parameters if o.number(name) is not None})
        raise InvalidInput(
            f"{grid.source} is over {', '.join(axes)}; the results have {', '.join(names) or 'no numbers'}",
            field="published",
        )
    ours = {key_of_floats(key): same for key, same in ours.items()}
    rows = []
    for point in grid.points:
        same = ours.pop(tuple(point.place[axis] for axis in axes), None)
        rows.append(_check_row(point, most_sensitive(same) if same else None))
    columns = (
        *axis_columns(axes_named(outcomes, axes).values()), Column("agreement", "agreement"),
        Column("verdict_published", "published"), Column("verdict", "here"),
        Column("r_published", "r published", latex=r"$r_\mathrm{pub}$"), Column("r_observed", "r", latex="$r$"),
        Column("r_pull", "pull [MC error]", latex="pull", wide=all(row[-7] is None for row in rows)),
        Column("xsec_limit_published_pb", "limit published", "pb", r"$\sigma_{95}^\mathrm{pub}$"),
        Column("xsec_limit_observed_pb", "limit", "pb", r"$\sigma_{95}$"),
        Column("limit_ratio", "ratio of limits", latex="ratio"),
        Column("expected_ratio", "ratio of expected limits", wide=all(row[-3] is None for row in rows)),
        Column("within_validity", "valid"), Column("run", "run", wide=True),
    )  # fmt: skip
    title = f"{len(rows)} published points of {grid.source}"
    return _with_agreement(Table("cross-check", title, columns, tuple(rows)), len(ours))


def key_of_floats(key: Sequence[Any]) -> tuple[float, ...]:
    """A place as floats, whatever numbers it was given in."""
    return tuple(float(value) for value in key)


def _check_row(point: PublishedPoint, ours: Outcome | None) -> tuple[Cell, ...]:
    published = point.said()
    place = tuple(point.place.values())
    if ours is None:
        return (*place, "not computed", word(published), None, point.r, None, None, point.xsec_limit_pb, *([None] * 5))
    ratio = _over(ours.xsec_limit_observed_pb, point.xsec_limit_pb)
    if ratio is None:
        ratio = _over(point.r, ours.r_observed)
    expected = _over(ours.xsec_limit_expected_pb, point.xsec_limit_expected_pb)
    if expected is None:
        expected = _over(point.r_expected, ours.r_expected)
    pull = None
    if point.r is not None and ours.r_observed is not None and ours.r_mc_error:
        pull = (ours.r_observed - point.r) / ours.r_mc_error
    return (
        *place, _agreement(point, ours), word(published), word(ours.verdict) or str(ours.status), point.r, ours.r_observed,
        pull, point.xsec_limit_pb, ours.xsec_limit_observed_pb, ratio, expected, ours.within_validity, ours.run or None,
    )  # fmt: skip


def _agreement(point: PublishedPoint, ours: Outcome) -> str:
    published = point.said()
    if published is None:
        return "no published verdict"
    if ours.verdict is None or ours.r_observed is None:
        return str(ours.status)
    if ours.verdict is Verdict.UNDETERMINED:
        return "undetermined"
    if ours.verdict is published:
        return "agree"
    return "near" if point.r is not None and NEAR[0] <= point.r <= NEAR[1] else "differ"


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _with_agreement(table: Table, unpublished: int) -> Table:
    words = [str(value) for value in table.column("agreement")]
    counts = {what: words.count(what) for what in dict.fromkeys(words)}
    valid = table.column("within_validity")
    ratios = [float(v) for v, w in zip(table.column("limit_ratio"), valid, strict=True) if isinstance(v, float) and w]
    judged = sum(counts.get(what, 0) for what in ("agree", "differ", "near"))
    notes = [f"verdicts: {counts.get('agree', 0)} of {judged} agree"]
    if counts.get("near"):
        notes[0] += f", {counts['near']} differ where published r is within {NEAR[0]}-{NEAR[1]}"
    if counts.get("differ"):
        notes[0] += f", {counts['differ']} differ elsewhere"
    rest = {what: n for what, n in counts.items() if what not in ("agree", "differ", "near")}
    if rest:
        notes.append(", ".join(f"{n} {what}" for what, n in rest.items()))
    summary: dict[str, Any] = {"agreement": counts}
    if ratios:
        spread = math.sqrt(fmean((v - fmean(ratios)) ** 2 for v in ratios))
        summary["limit_ratio"] = {"n": len(ratios), "median": median(ratios), "rms": spread,
                                  "min": min(ratios), "max": max(ratios)}  # fmt: skip
        notes.append(
            f"limit here / published, within validity: median {median(ratios):.3f}, spread {spread:.3f}, "
            f"from {min(ratios):.3f} to {max(ratios):.3f} ({len(ratios)} points)"
        )
    if unpublished:
        notes.append(f"{unpublished} results have no published point")
    summary["not_published"] = unpublished
    return Table(table.name, table.title, table.columns, table.rows, tuple(notes), summary)
