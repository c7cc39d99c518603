"""What changed between two sets of results of the same theories, as of two versions of an analysis. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from reana_lite.comparison.outcome import Outcome, Status, axes_named, axes_of, by_theory, most_sensitive
from reana_lite.comparison.tables import Cell, Column, Table, axis_columns, word

SAME = 1e-9
"""Numbers that differ by less than this, relative, are the same."""


def what_changed(first: Sequence[Outcome], second: Sequence[Outcome], *, axes: Sequence[str] | None = None) -> Table:
    """A row per theory, second against first: verdicts, ratios of r and of the cross-section, the region that moved most.

    Theories are matched by their place on the axes that both have, else by name. `change` says what kind of change it
    is: verdict, numbers, same, or in which of the two the theory is missing.
    """
    if axes is None:
        axes = [axis for axis in axes_of(first) if axis in axes_of(second)]
    left, right = by_theory(first, axes), by_theory(second, axes)
    rows = []
    for key in [*left, *(key for key in right if key not in left)]:
        a = most_sensitive(left[key]) if key in left else None
        b = most_sensitive(right[key]) if key in right else None
        rows.append(_row(a, b, axes))
    named = axes_named([*first, *second], axes).values()
    columns = (
        Column("theory", "theory", given=True, wide=bool(axes)), *axis_columns(named), Column("change", "change"),
        Column("verdict_first", "first"), Column("verdict_second", "second"),
        Column("r_first", "r first", latex="$r_1$"), Column("r_second", "r second", latex="$r_2$"),
        Column("r_ratio", "ratio", latex="$r_2/r_1$"), Column("r_pull", "pull [MC error]", latex="pull"),
        Column("r_expected_ratio", "ratio expected", latex=r"$r_2^\mathrm{exp}/r_1^\mathrm{exp}$"),
        Column("xsec_ratio", "ratio cross-section", latex=r"$\sigma_2/\sigma_1$"),
        Column("region", "region that moved most"), Column("efficiency_ratio", "its efficiency, ratio"),
        Column("efficiency_pull", "pull [MC error]", latex="pull"),
        Column("likelihood_first", "likelihood first", wide=True),
        Column("likelihood_second", "likelihood second", wide=True),
        Column("run_first", "run first", wide=True), Column("run_second", "run second", wide=True),
    )  # fmt: skip
    table = Table("difference", f"{len(rows)} theories, second against first", columns, tuple(rows))
    return _with_summary(table)


def _row(a: Outcome | None, b: Outcome | None, axes: Sequence[str]) -> tuple[Cell, ...]:
    some = a or b
    assert some is not None
    place = (some.theory, *(some.number(axis) for axis in axes))
    r1, r2 = (a.r_observed if a else None), (b.r_observed if b else None)
    region, ratio, pull = _region(a, b)
    return (
        *place, _change(a, b), _said(a), _said(b), r1, r2, _over(r2, r1),
        _pull(r1, r2, a.r_mc_error if a else None, b.r_mc_error if b else None),
        _over(b.r_expected if b else None, a.r_expected if a else None),
        _over(b.xsec_pb if b else None, a.xsec_pb if a else None), region, ratio, pull,
        (a.likelihood or None) if a else None, (b.likelihood or None) if b else None,
        (a.run or None) if a else None, (b.run or None) if b else None,
    )  # fmt: skip


def _said(outcome: Outcome | None) -> str | None:
    if outcome is None:
        return None
    return word(outcome.verdict) if outcome.status is Status.OK else str(outcome.status)


def _change(a: Outcome | None, b: Outcome | None) -> str:
    if a is None or b is None:
        return "only in the second" if a is None else "only in the first"
    if _said(a) != _said(b):
        return "verdict"
    pairs = [(a.r_observed, b.r_observed), (a.r_expected, b.r_expected), (a.xsec_pb, b.xsec_pb)]
    names = a.efficiencies.keys() | b.efficiencies.keys()
    pairs += [
        (
            a.efficiencies[n].value if n in a.efficiencies else None,
            b.efficiencies[n].value if n in b.efficiencies else None,
        )
        for n in names
    ]
    return "same" if all(_same(x, y) for x, y in pairs) else "numbers"


def _same(x: float | None, y: float | None) -> bool:
    return x is y if x is None or y is None else math.isclose(x, y, rel_tol=SAME, abs_tol=1e-300)


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _pull(first: float | None, second: float | None, error_1: float | None, error_2: float | None) -> float | None:
    if first is None or second is None or error_1 is None or error_2 is None:
        return None
    error = math.hypot(error_1, error_2)
    return (second - first) / error if error else None


def _region(a: Outcome | None, b: Outcome | None) -> tuple[str | None, float | None, float | None]:
    """The region whose efficiency moved most, in units of the Monte Carlo errors of both."""
    if a is None or b is None:
        return None, None, None
    best: tuple[str | None, float | None, float | None] = (None, None, None)
    for name in a.efficiencies:
        if name not in b.efficiencies:
            continue
        x, y = a.efficiencies[name], b.efficiencies[name]
        pull = _pull(x.value, y.value, x.error, y.error)
        if pull is not None and abs(pull) > abs(best[2] or 0.0):
            best = (name, _over(y.value, x.value), pull)
    return best


def _with_summary(table: Table) -> Table:
    changes = [str(change) for change in table.column("change")]
    counts = {what: changes.count(what) for what in dict.fromkeys(changes)}
    ratios = [float(v) for v in table.column("r_ratio") if isinstance(v, float)]
    notes = [", ".join(f"{n} {_WORDS.get(what, what)}" for what, n in counts.items())] if counts else []
    summary: dict[str, object] = {"changes": counts}
    if ratios:
        notes.append(f"ratio of r: median {median(ratios):.4g}, from {min(ratios):.4g} to {max(ratios):.4g}")
        summary["r_ratio"] = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
    return Table(table.name, table.title, table.columns, table.rows, tuple(notes), summary)


_WORDS = {"verdict": "with another verdict", "numbers": "with other numbers", "same": "the same"}
