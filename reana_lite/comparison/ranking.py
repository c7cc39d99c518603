"""Theories and analyses in order of expected sensitivity. Pure.

Expected r (1 / expected limit on mu), never the observed one: what is best may not depend on what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from reana_lite.comparison.outcome import Outcome, axes_named, axes_of, by_theory, most_sensitive
from reana_lite.comparison.tables import Cell, Column, Table, axis_columns, word

_FOUND = (
    Column("r_expected", "r expected", latex=r"$r_\mathrm{exp}$"),
    Column("r_observed", "r", latex="$r$", error="r_mc_error"),
    Column("r_mc_error", "r MC error", wide=True),
    Column("verdict", "verdict"),
    Column("likelihood", "likelihood"),
    Column("within_validity", "valid"),
)


def rank_theories(outcomes: Sequence[Outcome], *, axes: Sequence[str] | None = None) -> Table:
    """Theories by expected r of their most sensitive analysis, the highest first; those without a limit last."""
    axes = axes_of(outcomes) if axes is None else list(axes)
    best = [most_sensitive(same) for same in by_theory(outcomes, axes).values()]
    best.sort(key=_order)
    columns = (
        Column("rank", "rank", given=True),
        Column("theory", "theory", given=True),
        *axis_columns(axes_named(outcomes, axes).values()),
        Column("analysis", "analysis"),
        *_FOUND,
    )
    rows = tuple(
        (_rank(at, o), o.theory, *(o.number(axis) for axis in axes), o.analysis, *_found(o))
        for at, o in enumerate(best, 1)
    )
    return Table("ranking-theories", f"{len(best)} theories by expected r", columns, rows, _without(best))


def rank_analyses(outcomes: Sequence[Outcome], *, axes: Sequence[str] | None = None) -> Table:
    """For every theory its analyses by expected r: the first is the one whose verdict counts."""
    axes = axes_of(outcomes) if axes is None else list(axes)
    columns = (
        Column("theory", "theory", given=True),
        *axis_columns(axes_named(outcomes, axes).values()),
        Column("rank", "rank", given=True),
        Column("analysis", "analysis", given=True),
        *_FOUND,
    )
    rows: list[tuple[Cell, ...]] = []
    wins: dict[str, int] = {}
    groups = by_theory(outcomes, axes)
    for same in groups.values():
        ordered = sorted(same, key=_order)
        if ordered[0].r_expected is not None:
            wins[ordered[0].analysis] = wins.get(ordered[0].analysis, 0) + 1
        rows += [
            (o.theory, *(o.number(axis) for axis in axes), _rank(at, o), o.analysis, *_found(o))
            for at, o in enumerate(ordered, 1)
        ]
    notes = [f"{name} is the most sensitive for {n} of {len(groups)} theories" for name, n in sorted(wins.items())]
    title = f"analyses of {len(groups)} theories by expected r"
    return Table(
        "ranking-analyses", title, columns, tuple(rows), (*notes, *_without(outcomes)), {"most_sensitive": wins}
    )


def _order(outcome: Outcome) -> tuple[bool, float]:
    return outcome.r_expected is None, -(outcome.r_expected or 0.0)


def _rank(at: int, outcome: Outcome) -> int | None:
    return at if outcome.r_expected is not None else None


def _found(o: Outcome) -> tuple[Cell, ...]:
    verdict = word(o.verdict) if o.verdict is not None else str(o.status)
    return o.r_expected, o.r_observed, o.r_mc_error, verdict, o.likelihood or None, o.within_validity


def _without(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    n = sum(o.r_expected is None for o in outcomes)
    return (f"{n} without an expected limit, last",) if n else ()
