"""Several campaigns in one plane: a contour of each, so that they can be held against each other. Pure.

Campaigns of different analyses also have a contour together (at each place the analysis with the best expected limit
counts); two campaigns of one analysis that share places have none: which of the two would count?
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reana_lite.comparison.masslimit import MassLimit, MassPlane, mass_limit, mass_plane, rows_of
from reana_lite.comparison.outcome import Outcome, Status, axes_named, by_theory, most_sensitive
from reana_lite.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Overlap:
    """`parts`: the plane of each campaign, by its name. `whole`: all points, one per place, and the contour of all
    together where there is one (`merged`)."""

    parts: tuple[tuple[str, MassPlane], ...]
    whole: MassPlane
    merged: bool


def campaigns_of(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Outcomes by their campaign, in the order of their first; those of none are under ""."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.campaign, []).append(outcome)
    return found


def overlap(outcomes: Sequence[Outcome], x: str, y: str) -> Overlap | None:
    """What several campaigns say of one plane, single runs in the contour of all; None where there is one campaign at most.

    Raises InvalidInput for a campaign that is not over these axes, or says too little for a contour.
    """
    groups = campaigns_of(outcomes)
    single = groups.pop("", [])
    if len(groups) < 2:
        return None
    parts = tuple((name, _plane(name, group, x, y)) for name, group in groups.items())
    placed = [o for _, plane in parts for o in plane.outcomes]
    placed += [o for o in single if o.number(x) is not None and o.number(y) is not None]
    picked = tuple(most_sensitive(same) for same in by_theory(placed, [x, y]).values())
    try:
        return Overlap(parts, mass_plane(placed, x, y), merged=True)
    except InvalidInput:  # one analysis, the same places
        none: dict[str, list[list[tuple[float, float]]]] = {"observed": [], "expected": []}
        invalid = tuple(area for _, plane in parts for area in plane.invalid)
        whole = replace(parts[0][1], outcomes=picked, curves=none, bands={}, invalid=invalid,
                        axes=axes_named(placed, [x, y]))  # fmt: skip
        return Overlap(parts, whole, merged=False)


def mass_limits(
    outcomes: Sequence[Outcome], axis: str, others: Sequence[str], *, at: Mapping[str, float] | None = None,
    least: int = 1,
) -> list[MassLimit]:  # fmt: skip
    """The mass limit of every row along `axis` that has `least` places; of several campaigns of each, too.

    Rows of all campaigns together are left out where one analysis has a place twice; with one campaign that raises
    InvalidInput, as do outcomes without a place on the axes.
    """
    groups = campaigns_of(outcomes)
    groups.pop("", None)
    if len(groups) < 2:
        return _limits(outcomes, axis, others, at or {}, least)
    found = []
    with contextlib.suppress(InvalidInput):
        found = _limits(outcomes, axis, others, at or {}, least)
    for name, group in groups.items():
        found += [replace(limit, campaign=name) for limit in _limits(group, axis, others, at or {}, least)]
    return found


def _limits(
    outcomes: Sequence[Outcome], axis: str, others: Sequence[str], at: Mapping[str, float], least: int
) -> list[MassLimit]:
    rows = rows_of(outcomes, axis, others)
    return [
        mass_limit(row, axis, at={**at, **place}) for place, row in rows if len({o.number(axis) for o in row}) >= least
    ]


def _plane(name: str, group: Sequence[Outcome], x: str, y: str) -> MassPlane:
    said = f"campaign {name}"
    known = [o for o in group if o.status is Status.OK] or list(group)
    missing = [axis for axis in (x, y) if any(o.number(axis) is None for o in known)]
    if missing:
        there = [axis for axis in known[0].parameters if all(o.number(axis) is not None for o in known)]
        raise InvalidInput(
            f"{said} has no {' and no '.join(missing)} and does not lie in the plane {x}, {y}; it has "
            f"{', '.join(there) or 'no numbers'}: compare campaigns of the same axes, or name axes that all have",
            field="axis", value=missing[0],
        )  # fmt: skip
    plane = mass_plane([o for o in group if o.number(x) is not None and o.number(y) is not None], x, y)
    if not plane.covered:
        raise InvalidInput(
            f"{said} has no contour in the plane {x}, {y}: that needs three points with a limit that are not on one line",
            field="axis", value=x,
        )  # fmt: skip
    return plane
