"""Exclusion in a mass plane and along a mass axis: where the limit on mu passes 1, by interpolation of its logarithm.

Pure: outcomes in; curves, bands and mass limits out. CLs itself spans fifty orders of magnitude and makes no contours; mass
limits are given by its logarithm, too, which tells how far interpolation can be trusted.
Expected limits have bands (+-1 sigma of the background-only expectation), the observed limit one of the theory: the
limit on mu divided by 1 +- the relative error of the cross-section. The geometry is contour.py's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reana_lite import contour
from reana_lite.comparison.axis import Axes, Axis, axis_of
from reana_lite.comparison.outcome import Outcome, Status, axes_named, by_theory, most_sensitive, require_axis
from reana_lite.errors import InvalidInput

METHOD_PLANE = "log(limit on mu), linear between neighbouring points; not extrapolated"
METHOD_ROW = "log(limit on mu), linear in mass between neighbouring points; not extrapolated"

_Take = Callable[[Outcome], float | None]
_Meshes = dict[tuple[tuple[contour.XY, ...], tuple[contour.XY, ...]], contour.Mesh]
_TINY = 1e-300

NOTHING = "no point has this limit"
"""Why a row says nothing at all."""

ALPHA = 0.05
"""Excluded is what has CLs below it."""


def _scaled(sign: int) -> _Take:
    """The observed limit with the cross-section moved by its error."""

    def take(outcome: Outcome) -> float | None:
        error = outcome.relative_xsec_error
        if outcome.observed is None or error is None:
            return None
        factor = 1.0 + sign * error
        return outcome.observed / factor if factor > 0 else math.inf

    return take


def _band(at: int) -> _Take:
    return lambda outcome: outcome.expected[at] if outcome.expected is not None else None


CURVES: Mapping[str, _Take] = {
    "observed": lambda outcome: outcome.observed,
    "observed_xsec_up": _scaled(+1),
    "observed_xsec_down": _scaled(-1),
    "expected": _band(2),
    "expected_minus_1": _band(1),
    "expected_plus_1": _band(3),
}
"""What a curve is of: the limit on mu that is 1 on it. `minus`: the stronger limits, thus the wider exclusion."""


def _over_alpha(cls: float | None) -> float | None:
    return None if cls is None else cls / ALPHA


BY_CLS: Mapping[str, _Take] = {
    "observed_cls": lambda outcome: _over_alpha(outcome.cls_observed),
    "expected_cls": lambda outcome: _over_alpha(outcome.cls_expected),
}
"""A second opinion on mass limits: where CLs at mu = 1, linear in its logarithm, passes ALPHA.

At the points both ways say the same; between them they differ, by as much as the interpolation is uncertain. Only the two
points around the crossing count, so that it does no harm that CLs spans fifty orders of magnitude elsewhere.
"""


def log_limit(value: float) -> float:
    """log(limit on mu); a limit of 0 counts as 1e-300."""
    return math.log(max(value, _TINY))


def _known(outcome: Outcome, take: _Take) -> float | None:
    value = take(outcome) if outcome.status is Status.OK else None
    return None if value is None or not math.isfinite(value) else log_limit(value)


# -- one axis --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Reach:
    """How far one curve excludes along an axis: `value`, or None and `why`.

    `value` is the upper end of the first excluded interval, between the scanned places `low` and `high`; `excluded` are
    all intervals (None: the end of the scan). `why` also holds what a reader must know of a value.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    excluded: tuple[tuple[float | None, float | None], ...] = ()
    within_validity: bool = True
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"value": self.value, "between": None if self.low is None else [self.low, self.high],
                "excluded": [list(pair) for pair in self.excluded], "within_validity": self.within_validity,
                "why": self.why}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MassLimit:
    """The reach of all curves along `axis`, at the place `at` on other axes; of one `campaign` where several are held
    against each other, "" of everything together."""

    axis: str
    reach: Mapping[str, Reach]
    at: Mapping[str, float] = field(default_factory=dict)
    method: str = METHOD_ROW
    axes: Axes = field(default_factory=dict)
    campaign: str = ""

    def named(self, axis: str) -> Axis:
        """What an axis is called."""
        return axis_of(axis, self.axes)

    @property
    def observed(self) -> float | None:
        """The observed mass limit; None if the row does not cross."""
        return self.reach["observed"].value

    @property
    def expected(self) -> float | None:
        """The expected mass limit."""
        return self.reach["expected"].value

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        rows = {name: reach.to_dict() for name, reach in self.reach.items()}
        of = {"campaign": self.campaign} if self.campaign else {}
        return {"axis": self.axis, **of, "at": dict(self.at), "method": self.method, **rows}


def mass_limit(outcomes: Sequence[Outcome], axis: str, *, at: Mapping[str, float] | None = None) -> MassLimit:
    """Where exclusion ends along one axis (units of the axis), for observed, expected and the ends of their bands.

    `outcomes` are one row of a scan: a place on the axis each. Several of one place, by several analyses, give way to the
    one with the best expected limit; InvalidInput if one analysis has two.
    """
    if not outcomes:
        raise InvalidInput("there are no results along the axis", field="axis", value=axis)
    require_axis(outcomes, axis)
    places = by_theory(outcomes, [axis])
    for same in places.values():
        analyses = [o.analysis for o in same]
        if len(set(analyses)) != len(analyses):
            raise InvalidInput(
                f"{same[0].theory} and {same[1].theory} are at the same place {axis} = {same[0].number(axis):g}: "
                "a mass limit is of one row", field="axis", value=axis,
            )  # fmt: skip
    row = sorted((most_sensitive(same) for same in places.values()), key=lambda o: o.number(axis) or 0.0)
    reach = {name: _reach(row, axis, take) for name, take in {**CURVES, **BY_CLS}.items()}
    return MassLimit(axis, reach, dict(at or {}), axes=axes_named(outcomes, [axis, *(at or {})]))


def _reach(row: Sequence[Outcome], axis: str, take: _Take) -> Reach:
    places = [o.number(axis) or 0.0 for o in row]
    logs = [_known(o, take) for o in row]
    known = [(x, z, o) for x, z, o in zip(places, logs, row, strict=True) if z is not None]
    if not known:
        return Reach(None, why=NOTHING)
    xs, zs = [x for x, _, _ in known], [z for _, z, _ in known]
    span = f"from {xs[0]:g} to {xs[-1]:g}"
    found = contour.crossings(xs, zs)
    excluded = _intervals(zs[0] <= 0, found)
    if not excluded:
        return Reach(None, why=f"not crossed: nothing is excluded {span}")
    end = next((c for c in found if c.upwards), None)
    if end is None:
        lowest = excluded[0][0]
        where = span if lowest is None else f"from {lowest:.4g} to {xs[-1]:g}"
        return Reach(None, excluded=excluded, why=f"not crossed: everything is excluded {where}")
    notes = []
    gaps = [o for x, z, o in zip(places, logs, row, strict=True) if z is None and end.low < x < end.high]
    if gaps:
        notes.append("between its neighbours " + ", ".join(f"{o.number(axis):g} is {o.status}" for o in gaps))
    if len(excluded) > 1:
        notes.append(f"{len(excluded)} excluded intervals")
    valid = all(o.within_validity for x, _, o in known if x in (end.low, end.high))
    if not valid:
        notes.append("outside validity")
    return Reach(end.at, end.low, end.high, excluded, valid, "; ".join(notes))


def _intervals(begins: bool, found: Sequence[contour.Crossing]) -> tuple[tuple[float | None, float | None], ...]:
    pairs: list[tuple[float | None, float | None]] = []
    start: float | None = None
    inside = begins
    for crossing in found:
        if crossing.upwards:
            pairs.append((start, crossing.at))
        else:
            start = crossing.at
        inside = not crossing.upwards
    if inside:
        pairs.append((start, None))
    return tuple(pairs)


def rows_of(
    outcomes: Sequence[Outcome], axis: str, others: Sequence[str]
) -> list[tuple[dict[str, float], list[Outcome]]]:
    """The rows of a scan along `axis`: the place on the other axes (ascending) and the outcomes there."""
    for other in (axis, *others):
        require_axis(outcomes, other)
    groups: dict[tuple[float, ...], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(tuple(outcome.number(o) or 0.0 for o in others), []).append(outcome)
    return [(dict(zip(others, place, strict=True)), groups[place]) for place in sorted(groups)]


# -- a plane ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class MassPlane:
    """Exclusion over two axes. `curves` by name of CURVES: polylines where that limit on mu is 1.

    `bands` are areas as convex polygons: `expected` (+-1 sigma) and `observed_xsec` (the theory's error). `outcomes` is
    one per place, also of those that have no limit. `invalid` are the areas whose corners include a point outside
    validity. `lattice`: how the plane was covered.
    """

    x: str
    y: str
    outcomes: tuple[Outcome, ...]
    curves: Mapping[str, list[list[contour.XY]]]
    bands: Mapping[str, list[list[contour.XY]]]
    invalid: tuple[tuple[contour.XY, ...], ...]
    lattice: bool
    covered: bool
    method: str = METHOD_PLANE
    axes: Axes = field(default_factory=dict)

    def named(self, axis: str) -> Axis:
        """What an axis is called."""
        return axis_of(axis, self.axes)

    def place(self, outcome: Outcome) -> contour.XY:
        """Where an outcome is."""
        return outcome.number(self.x) or 0.0, outcome.number(self.y) or 0.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the curves; bands follow from them."""
        curves = {name: [[list(p) for p in line] for line in found] for name, found in self.curves.items()}
        interpolation = "lattice cells" if self.lattice else "Delaunay triangles"
        return {"x": self.x, "y": self.y, "method": self.method, "interpolation": interpolation, "curves": curves,
                "points": [{"theory": o.theory, self.x: o.number(self.x), self.y: o.number(self.y), "status": str(o.status),
                            "verdict": None if o.verdict is None else str(o.verdict),
                            "within_validity": o.within_validity} for o in self.outcomes]}  # fmt: skip


def mass_plane(outcomes: Sequence[Outcome], x: str, y: str) -> MassPlane:
    """Exclusion in the plane of two axes. Of several outcomes at one place that with the best expected limit counts.

    InvalidInput if an outcome has no such axes, or one analysis has two outcomes at a place.
    """
    if x == y:
        raise InvalidInput(f"both axes of the plane are {x!r}", field="axis", value=x)
    if not outcomes:
        raise InvalidInput("there are no results in the plane", field="axis", value=x)
    require_axis(outcomes, x)
    require_axis(outcomes, y)
    picked = []
    for same in by_theory(outcomes, [x, y]).values():
        analyses = [o.analysis for o in same]
        if len(set(analyses)) != len(analyses):
            raise InvalidInput(
                f"{same[0].theory} and {same[1].theory} are at the same place of the plane {x}, {y}: "
                "give one campaign, or other axes", field="axis",
            )  # fmt: skip
        picked.append(most_sensitive(same))
    curves, bands = {}, {}
    meshes: _Meshes = {}
    for name in CURVES:
        plane, (values,) = _field(picked, x, y, [name], meshes)
        curves[name] = contour.lines(plane, values)
    for name, low, high in (
        ("expected", "expected_minus_1", "expected_plus_1"),
        ("observed_xsec", "observed_xsec_up", "observed_xsec_down"),
    ):
        plane, (lows, highs) = _field(picked, x, y, [low, high], meshes)
        bands[name] = contour.between(plane, lows, highs)
    plane, _ = _field(picked, x, y, ["observed"], meshes)
    invalid = _invalid(plane, picked, x, y)
    return MassPlane(
        x, y, tuple(picked), curves, bands, invalid, plane.lattice, bool(plane.triangles),
        axes=axes_named(outcomes, [x, y]),
    )  # fmt: skip


def _place(outcome: Outcome, x: str, y: str) -> contour.XY:
    return outcome.number(x) or 0.0, outcome.number(y) or 0.0


def _field(
    outcomes: Sequence[Outcome], x: str, y: str, names: Sequence[str], meshes: _Meshes
) -> tuple[contour.Mesh, list[list[float]]]:
    """A mesh over the points that have all of these limits, made once for the same points, and their logarithms."""
    rows = [(_place(o, x, y), [_known(o, CURVES[name]) for name in names]) for o in outcomes]
    known = [(place, [v for v in logs if v is not None]) for place, logs in rows if None not in logs]
    key = tuple(place for place, _ in known), tuple(place for place, logs in rows if None in logs)
    if key not in meshes:
        meshes[key] = contour.mesh(key[0], missing=key[1])
    return meshes[key], [[logs[i] for _, logs in known] for i in range(len(names))]


def _invalid(plane: contour.Mesh, outcomes: Sequence[Outcome], x: str, y: str) -> tuple[tuple[contour.XY, ...], ...]:
    valid = {_place(o, x, y): o.within_validity for o in outcomes}
    nodes = plane.nodes
    inside = [valid[p] for p in plane.points]
    inside += [all(valid[plane.points[i]] for i in centre) for centre in plane.centres]
    return tuple(
        tuple(nodes[i] for i in triangle) for triangle in plane.triangles if not all(inside[i] for i in triangle)
    )
