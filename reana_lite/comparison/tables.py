"""Table: named columns with units, rows, notes; written as text, CSV, JSON and LaTeX. Pure.

What every comparison of many results ends in. Numbers are rounded for people (text, LaTeX) and nowhere else. HEPData's
form is hepdata.py's.
"""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reana_lite.comparison.axis import Axis, axis_of
from reana_lite.comparison.masslimit import MassLimit, MassPlane
from reana_lite.comparison.outcome import Outcome, Status, axes_named, axes_of
from reana_lite.result.forms import LIMITS_ARE, cell, method_in_words

Cell = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in files, its heading for people, its unit, its heading in LaTeX (default: that for people).

    `given` columns say what a row is of, the others what was found. `error` names the column with its error, `band` those
    of its lower and upper end (HEPData has these as errors). `wide` columns are left out where people read.
    """

    name: str
    title: str
    unit: str = ""
    latex: str = ""
    given: bool = False
    error: str = ""
    band: tuple[str, str] | None = None
    wide: bool = False

    @property
    def heading(self) -> str:
        """The heading with the unit."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under columns. `notes` are sentences below it; `summary` the same as numbers, for JSON."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> list[Cell]:
        """The cells of a column, from top to bottom."""
        at = [c.name for c in self.columns].index(name)
        return [row[at] for row in self.rows]


def to_text(table: Table) -> str:
    """For a terminal: headings, rows, numbers to the right, notes below."""
    shown = [at for at, column in enumerate(table.columns) if not column.wide]
    heads = [table.columns[at].heading for at in shown]
    cells = [[_text(row[at]) for at in shown] for row in table.rows]
    number = [any(_is_number(row[at]) for row in table.rows) for at in shown]
    widths = [max(_width(line[i]) for line in [heads, *cells]) for i in range(len(shown))]
    lines = [table.title, ""]
    for line in [heads, *cells]:
        gaps = [" " * (width - _width(text)) for text, width in zip(line, widths, strict=True)]
        parts = [gap + text if n else text + gap for text, gap, n in zip(line, gaps, number, strict=True)]
        lines.append("  ".join(parts).rstrip())
    if not cells:
        lines.append("(no rows)")
    if table.notes:
        lines += ["", *table.notes]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """All columns with full numbers (RFC 4180); texts that a spreadsheet would run are defused."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_unit_name(column) for column in table.columns])
    writer.writerows([cell(value) for value in row] for row in table.rows)
    return out.getvalue()


def to_dict(table: Table) -> dict[str, Any]:
    """The JSON form: columns, rows as objects, notes and the summary."""
    names = [column.name for column in table.columns]
    return {
        "table": table.name,
        "title": table.title,
        "columns": [{"name": c.name, "title": c.title, "unit": c.unit} for c in table.columns],
        "rows": [{n: _json(v) for n, v in zip(names, row, strict=True)} for row in table.rows],
        "notes": list(table.notes),
        "summary": dict(table.summary),
    }


def to_json(*tables: Table) -> str:
    """One table as an object; several as a list."""
    documents = [to_dict(table) for table in tables]
    what = documents[0] if len(documents) == 1 else documents
    return json.dumps(what, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_latex(table: Table) -> str:
    """A tabular environment with rules of the package booktabs, and the notes as comments."""
    shown = [at for at, column in enumerate(table.columns) if not column.wide]
    number = [any(_is_number(row[at]) for row in table.rows) for at in shown]
    heads = [_latex_heading(table.columns[at]) for at in shown]
    lines = [f"% {_comment(table.title)}", *(f"% {_comment(note)}" for note in table.notes)]
    lines += [f"\\begin{{tabular}}{{{''.join('r' if n else 'l' for n in number)}}}", "\\toprule"]
    lines += [" & ".join(heads) + r" \\", "\\midrule"]
    lines += [" & ".join(_latex_cell(row[at]) for at in shown) + r" \\" for row in table.rows]
    lines += ["\\bottomrule", "\\end{tabular}"]
    return "\n".join(lines) + "\n"


# -- cells -----------------------------------------------------------------------------------------------------------
def _width(text: str) -> int:
    """Columns of a terminal that a text takes: a tilde over a letter takes none."""
    return sum(not unicodedata.combining(c) for c in text)


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _number(value: float) -> str:
    """Three figures; whole numbers below a million as they are (masses)."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}" if not 100 <= abs(value) < 1e6 else f"{value:.1f}"


def _json(value: Cell) -> Cell:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _unit_name(column: Column) -> str:
    """The name in files; a unit that it does not carry is added."""
    unit = column.unit.replace("/", "_per_").replace(" ", "_")
    return column.name if not unit or column.name.endswith(f"_{unit}") else f"{column.name} [{column.unit}]"


_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "σ": r"$\sigma$", "μ": r"$\mu$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """A text without what LaTeX would obey."""
    return "".join(_SPECIAL.get(c, c) for c in text if c.isprintable())


def _latex_heading(column: Column) -> str:
    head = column.latex or escape_latex(column.title)
    return f"{head} [{escape_latex(column.unit)}]" if column.unit else head


def _latex_cell(value: Cell) -> str:
    if value is None:
        return "--"
    text = _text(value)
    if isinstance(value, float) and "e" in text:
        mantissa, _, exponent = text.partition("e")
        return f"${mantissa} \\times 10^{{{int(exponent)}}}$"
    return f"${text}$" if _is_number(value) else escape_latex(text)


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


# -- the table of results --------------------------------------------------------------------------------------------
def axis_columns(axes: Iterable[Axis]) -> list[Column]:
    """Columns for the places of theories on axes."""
    return [Column(axis.name, axis.text, axis.unit, axis.math, given=True) for axis in axes]


def results_table(outcomes: Sequence[Outcome], *, axes: Sequence[str] | None = None) -> Table:
    """One row per result: verdict, r, limits on mu and on the cross-section, validity. `axes` default: what varies."""
    axes = axes_of(outcomes) if axes is None else list(axes)
    several = len({o.analysis for o in outcomes}) > 1
    campaigns = len({o.campaign for o in outcomes}) > 1
    columns = [
        Column("theory", "theory", given=True, wide=bool(axes)),
        Column("analysis", "analysis", given=True, wide=not several),
        *([Column("campaign", "campaign", given=True)] if campaigns else []),
        *axis_columns(axes_named(outcomes, axes).values()),
        Column("status", "status", wide=all(o.status is Status.OK for o in outcomes)),
        Column("verdict", "verdict"),
        Column("r_observed", "r observed", latex="$r$", error="r_mc_error"),
        Column("r_mc_error", "r MC error", wide=True),
        Column("r_expected", "r expected", latex=r"$r_\mathrm{exp}$"),
        Column("cls_observed", "CLs observed", latex=r"$\mathrm{CL}_s$"),
        Column("cls_expected", "CLs expected", latex=r"$\mathrm{CL}_s^\mathrm{exp}$", wide=True),
        Column("mu_limit_observed", "mu limit observed", latex=r"$\mu_{95}$"),
        Column("mu_limit_expected", "mu limit expected", latex=r"$\mu_{95}^\mathrm{exp}$",
               band=("mu_limit_expected_minus_1", "mu_limit_expected_plus_1")),
        Column("mu_limit_expected_minus_1", "mu limit expected, -1 sigma", wide=True),
        Column("mu_limit_expected_plus_1", "mu limit expected, +1 sigma", wide=True),
        Column("xsec_pb", "cross-section", "pb", r"$\sigma$", error="xsec_error_pb"),
        Column("xsec_error_pb", "cross-section error", "pb", wide=True),
        Column("xsec_limit_observed_pb", "its limit observed", "pb", r"$\sigma_{95}$"),
        Column("xsec_limit_expected_pb", "its limit expected", "pb", r"$\sigma_{95}^\mathrm{exp}$", wide=True),
        Column("verdict_xsec_up", "at cross-section +1 sigma", wide=True),
        Column("verdict_xsec_down", "at cross-section -1 sigma", wide=True),
        Column("likelihood", "likelihood"),
        Column("method", "method", wide=True),
        Column("within_validity", "valid"),
        Column("run", "run", wide=True),
        Column("message", "message", wide=not any(o.message for o in outcomes)),
    ]  # fmt: skip
    rows = tuple(_result_row(outcome, axes, of=[outcome.campaign] if campaigns else []) for outcome in outcomes)
    return Table("results", f"{len(outcomes)} results", tuple(columns), rows, _notes(outcomes), _counts(outcomes))


def _result_row(o: Outcome, axes: Sequence[str], *, of: Sequence[str]) -> tuple[Cell, ...]:
    minus, plus = (o.expected[1], o.expected[3]) if o.expected else (None, None)
    expected = o.expected[2] if o.expected else None
    return (
        o.theory, o.analysis, *of, *(o.number(axis) for axis in axes), str(o.status), word(o.verdict), o.r_observed,
        o.r_mc_error, o.r_expected, o.cls_observed, o.cls_expected, o.observed, expected, minus, plus,
        o.xsec_pb, o.xsec_error_pb, o.xsec_limit_observed_pb,
        o.xsec_limit_expected_pb, word(o.verdict_xsec_up), word(o.verdict_xsec_down),
        o.likelihood or None, o.method or None, o.within_validity, o.run or None, o.message or None,
    )  # fmt: skip


def word(value: Any) -> str | None:
    """A verdict or state as a cell."""
    return None if value is None else str(value)


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        name = str(outcome.verdict) if outcome.verdict is not None else str(outcome.status)
        counts[name] = counts.get(name, 0) + 1
    return counts


def _notes(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    notes = [", ".join(f"{n} {what}" for what, n in _counts(outcomes).items())] if outcomes else []
    methods = dict.fromkeys(o.method for o in outcomes if o.method)
    if methods:
        notes.append(f"{LIMITS_ARE}; {'; '.join(method_in_words(name) for name in methods)}")
    outside = sum(not o.within_validity for o in outcomes)
    if outside:
        notes.append(f"{outside} outside the validity of the analysis")
    return tuple(notes)


# -- exclusion as tables ---------------------------------------------------------------------------------------------
def mass_limits_table(limits: Sequence[MassLimit]) -> Table:
    """A row per mass limit: observed with the theory's error, expected with its band, and what must be known of it."""
    axis = limits[0].axis if limits else "mass"
    others = list(dict.fromkeys(name for limit in limits for name in limit.at))
    named = limits[0].named(axis) if limits else axis_of(axis)
    unit = named.unit
    campaigns = any(limit.campaign for limit in limits)
    columns = (
        *([Column("campaign", "campaign", given=True)] if campaigns else []),
        *axis_columns(next(limit for limit in limits if name in limit.at).named(name) for name in others),
        Column("observed", f"{named.text} observed", unit, band=("observed_xsec_down", "observed_xsec_up")),
        Column("observed_xsec_down", "cross-section -1 sigma", unit),
        Column("observed_xsec_up", "+1 sigma", unit),
        Column("expected", f"{named.text} expected", unit, band=("expected_plus_1", "expected_minus_1")),
        Column("expected_plus_1", "limit +1 sigma", unit),
        Column("expected_minus_1", "-1 sigma", unit),
        Column("observed_cls", "observed by ln CLs", unit),
        Column("expected_cls", "expected by ln CLs", unit, wide=True),
        Column("note", "note"),
    )
    names = [c.name for c in columns[len(others) + campaigns : -1]]
    rows = tuple(
        (
            *([limit.campaign or "all together"] if campaigns else []),
            *(limit.at.get(name) for name in others),
            *(limit.reach[name].value for name in names),
            _why(limit),
        )
        for limit in limits
    )
    method = limits[0].method if limits else ""
    summary = {"limits": [limit.to_dict() for limit in limits]}
    notes = (
        f"method: {method}; at 95 % confidence level",
        "by ln CLs: the same with ln(CLs at mu = 1); where the two differ, interpolation is uncertain by as much",
    )
    return Table("mass-limits", f"mass limits along {axis}", columns, rows, notes, summary)


def _why(limit: MassLimit) -> str | None:
    return limit.reach["observed"].why or None


def contour_tables(plane: MassPlane, *, campaign: str = "") -> list[Table]:
    """One table per curve that there is: the corners of its lines, with the number of the line. `campaign`: whose they
    are, where there are several."""
    tables = []
    for name, lines in plane.curves.items():
        columns = (
            Column("line", "line", given=True),
            *axis_columns([plane.named(plane.x)]),
            replace(*axis_columns([plane.named(plane.y)]), given=False),
        )
        rows = tuple((at, x, y) for at, line in enumerate(lines, 1) for x, y in line)
        if rows:
            title = f"exclusion contour {name.replace('_', ' ')}" + (f" of campaign {campaign}" if campaign else "")
            label = f"contour-{campaign}-{name}" if campaign else f"contour-{name}"
            tables.append(Table(label, title, columns, rows, (f"method: {plane.method}",)))
    return tables
