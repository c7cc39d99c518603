"""Limits along one axis as shapes to draw: bands and lines of the upper limit, the theory, where exclusion ends. Pure.

The limit is one on the cross-section (fb) where every point has one, else on the signal strength; its axis is logarithmic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reana_lite.comparison import MassLimit, Outcome, Status
from reana_lite.comparison.axis import Axes, axis_of
from reana_lite.server.pages.plane import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Mark,
    Picture,
    PlacedPoint,
    Tick,
    ends,
    said,
    ticks,
)
from reana_lite.server.pages.words import mass, power_of_ten

LEAST = 2
"""Points with a limit that make a line."""

_At = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where exclusion ends along the axis: `kind` is observed or expected, `text` the value."""

    kind: str
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """What is drawn of one axis: the frame and marks in `picture`, lines and bands as SVG paths."""

    picture: Picture
    band_1: str
    band_2: str
    expected: str
    observed: str
    theory: str
    theory_band: str
    crossings: tuple[Crossing, ...]
    in_fb: bool


def row_of(
    points: Sequence[PlacedPoint], axis: str, limit: MassLimit | None, *, named: Axes | None = None
) -> Row | None:
    """The drawing of the points' limits along `axis` (their `x`); None while fewer than two have one."""
    found = sorted(((p, o) for p in points if (o := _known(p)) is not None), key=lambda one: one[0].x)
    if len({point.x for point, _ in found}) < LEAST:
        return None
    in_fb = all(o.xsec_pb for _, o in found)
    rows = [(point, o, (o.xsec_pb or 0.0) * 1e3 if in_fb else 1.0) for point, o in found]
    low, high = ends([point.x for point in points])
    bottom, top = _decades(rows)
    right, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, value: float) -> tuple[float, float]:
        share = (math.log10(max(value, 10.0**bottom)) - bottom) / (top - bottom)
        return LEFT + (x - low) / (high - low) * right, HEIGHT - BOTTOM - min(share, 1.0) * down

    marks = tuple(
        Mark(point.kind, *at(point.x, (o.observed or 0.0) * scale), point.run, said(point), o.within_validity)
        for point, o, scale in rows
    )
    picture = Picture(
        axis_of(axis, named or {}).heading,
        "95 % CL upper limit on σ [fb]" if in_fb else "95 % CL upper limit on μ",
        tuple(Tick(at(v, 1.0)[0], f"{v:g}") for v in ticks(low, high)),
        tuple(Tick(at(low, 10.0**n)[1], power_of_ten(n)) for n in range(bottom, top + 1)),
        marks,
    )
    band = {
        name: _area(at, [(p.x, o.expected[weak] * s, o.expected[strong] * s) for p, o, s in rows if o.expected])
        for name, weak, strong in (("band_1", 1, 3), ("band_2", 0, 4))
    }
    return Row(
        picture,
        expected=_line(at, [(p.x, o.expected[2] * s) for p, o, s in rows if o.expected]),
        observed=_line(at, [(p.x, (o.observed or 0.0) * s) for p, o, s in rows]),
        theory=_line(at, [(p.x, s) for p, _, s in rows] if in_fb else [(low, 1.0), (high, 1.0)]),
        theory_band=_area(at, [(p.x, s * (1 - e), s * (1 + e)) for p, o, s in rows if (e := o.relative_xsec_error)])
        if in_fb
        else "",
        crossings=_crossings(limit, lambda value: at(value, 1.0)[0]),
        in_fb=in_fb,
        **band,
    )


def _known(point: PlacedPoint) -> Outcome | None:
    o = point.outcome
    return o if o is not None and o.status is Status.OK and o.observed and math.isfinite(o.observed) else None


def _decades(rows: Sequence[tuple[PlacedPoint, Outcome, float]]) -> tuple[int, int]:
    """The powers of ten between which everything lies."""
    values = [v * s for _, o, s in rows for v in (o.observed, 1.0, *(o.expected or ())) if v and math.isfinite(v)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _line(at: _At, places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in (at(*one) for one in places)) if len(places) > 1 else ""


def _area(at: _At, rows: Sequence[tuple[float, float, float]]) -> str:
    there, back = [(x, low) for x, low, _ in rows], [(x, high) for x, _, high in reversed(rows)]
    return _line(at, [*there, *back]) + "z" if len(rows) > 1 else ""


def _crossings(limit: MassLimit | None, place: Callable[[float], float]) -> tuple[Crossing, ...]:
    values = {"observed": limit.observed, "expected": limit.expected} if limit is not None else {}
    return tuple(Crossing(kind, place(value), mass(value)) for kind, value in values.items() if value is not None)
