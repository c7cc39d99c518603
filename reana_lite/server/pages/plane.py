"""A mass plane as shapes to draw: axes, bands, contours, one mark per point. Pure; lengths are units of the drawing.

Points are drawn as soon as they are planned, the contour as soon as three finished ones span an area.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reana_lite.comparison import MassPlane, Outcome, Overlap, Status
from reana_lite.comparison.axis import Axes, axis_of
from reana_lite.server.outcomes import Row
from reana_lite.server.pages.words import cls, number

_Lines = Callable[..., str]

WIDTH, HEIGHT = 860.0, 560.0
LEFT, RIGHT, TOP, BOTTOM = 78.0, 16.0, 14.0, 62.0

LOOKS = 5
"""Colours of campaigns that are drawn together."""

MANY = 400
"""Marks from which on they are drawn without words and are no stops of the keyboard: the table has the same links."""


CROWD = 2500
"""Marks from which on they are drawn as one shape for each kind, without links."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One point: `kind` is its verdict, or its state while it has none; `said` all of it in words."""

    kind: str
    x: float
    y: float
    run: str
    said: str
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """The contours of one campaign of several, as SVG paths; `look` numbers its colour."""

    name: str
    look: int
    observed: str
    expected: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn. Areas and lines are SVG paths, "" where there is none."""

    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    observed: str = ""
    expected: str = ""
    band: str = ""
    theory: str = ""
    invalid: str = ""
    forbidden: str = ""
    parts: tuple[Part, ...] = ()
    radius: float = 6.0
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM

    @property
    def groups(self) -> list[tuple[str, list[Mark]]]:
        """The marks by kind, in the order of the legend."""
        found = [(kind, [mark for mark in self.marks if mark.kind == kind]) for kind in KINDS]
        return [(kind, marks) for kind, marks in found if marks]

    def one_shape(self, kind: str) -> str:
        """The marks of a kind that nobody can follow to a run, as one path; "" if there are none."""
        if not self.many:
            return ""
        crowd = len(self.marks) > CROWD
        found = [mark for mark in self.marks if mark.kind == kind and (crowd or not mark.run)]
        return "".join(shape(kind, mark.x, mark.y, self.radius) for mark in found)

    @property
    def crowd(self) -> bool:
        """Whether there are so many points that none is a link."""
        return len(self.marks) > CROWD

    @property
    def many(self) -> bool:
        """Whether there are so many points that none is told in words."""
        return len(self.marks) > MANY


@dataclass(frozen=True, slots=True)
class PlacedPoint:
    """A point of a scan in the plane: `state` of its run, what the run says of it, if it says something."""

    name: str
    x: float
    y: float
    state: str
    run: str = ""
    outcome: Outcome | None = None
    error: str = ""

    @property
    def kind(self) -> str:
        """The verdict, or why there is none."""
        if self.outcome is not None and self.outcome.status is Status.OK:
            return str(self.outcome.verdict or "undetermined")
        if self.outcome is not None and self.outcome.status is Status.NO_SIGNAL:
            return "no-signal"
        return "failed" if self.state == "finished" else self.state


KINDS = {
    "excluded": "excluded", "not-excluded": "not excluded", "undetermined": "undetermined", "no-signal": "no event passes",
    "failed": "failed", "refused": "refused", "running": "running", "queued": "queued", "planned": "not begun",
    "created": "created", "stopped": "stopped",
}  # fmt: skip
"""Kinds of points in the order of the legend."""


def shape(kind: str, x: float, y: float, r: float) -> str:
    """The path of a mark: circles for verdicts, a diamond for undetermined, crosses for what has none."""
    if kind in ("excluded", "not-excluded", "running"):
        return f"M{x - r:.1f} {y:.1f}a{r:.1f} {r:.1f} 0 1 0 {2 * r:.1f} 0a{r:.1f} {r:.1f} 0 1 0 {-2 * r:.1f} 0"
    if kind == "undetermined":
        d = 1.3 * r
        return f"M{x:.1f} {y - d:.1f}l{d:.1f} {d:.1f}l{-d:.1f} {d:.1f}l{-d:.1f} {-d:.1f}z"
    if kind == "no-signal":
        return f"M{x - r:.1f} {y - 0.8 * r:.1f}h{2 * r:.1f}l{-r:.1f} {1.8 * r:.1f}z"
    if kind in ("failed", "refused"):
        return f"M{x - r:.1f} {y - r:.1f}l{2 * r:.1f} {2 * r:.1f}m0 {-2 * r:.1f}l{-2 * r:.1f} {2 * r:.1f}"
    if kind == "stopped":
        return f"M{x - r:.1f} {y - r:.1f}h{2 * r:.1f}v{2 * r:.1f}h{-2 * r:.1f}z"
    return f"M{x - r:.1f} {y:.1f}h{2 * r:.1f}m{-r:.1f} {-r:.1f}v{2 * r:.1f}"


def picture(
    points: Sequence[PlacedPoint], x: str, y: str, found: MassPlane | Overlap | None, *, named: Axes | None = None
) -> Picture:
    """The drawing of a plane; `found` is None while nothing is known in it. `named`: what axes are called.

    Of several campaigns the contours of each are drawn, without bands.
    """
    plane = found if isinstance(found, MassPlane) else None
    low_x, high_x = ends([point.x for point in points])
    low_y, high_y = ends([point.y for point in points])
    if min((point.y for point in points), default=0) >= 0:
        low_y = max(low_y, 0.0) if low_y < 0 and min(p.y for p in points) > 0.1 * high_y else low_y
    scale_x = (WIDTH - LEFT - RIGHT) / (high_x - low_x)
    scale_y = (HEIGHT - TOP - BOTTOM) / (high_y - low_y)

    def at(place: tuple[float, float]) -> tuple[float, float]:
        return LEFT + (place[0] - low_x) * scale_x, HEIGHT - BOTTOM - (place[1] - low_y) * scale_y

    def lines(found: Iterable[Sequence[tuple[float, float]]], *, close: bool = False) -> str:
        texts = []
        for line in found:
            corners = [f"{px:.1f} {py:.1f}" for px, py in map(at, line)]
            if corners:
                texts.append("M" + "L".join(corners) + ("z" if close else ""))
        return "".join(texts)

    radius = 6.0 * min(1.0, (250 / max(len(points), 1)) ** 0.5)
    marks = []
    for point in points:
        px, py = at((point.x, point.y))
        valid = point.outcome is None or point.outcome.within_validity
        marks.append(Mark(point.kind, px, py, point.run, said(point), valid))
    known = plane if plane is not None and plane.covered else None
    areas = known.invalid if known else found.whole.invalid if isinstance(found, Overlap) else ()
    return Picture(
        axis_of(x, named or {}).heading,
        axis_of(y, named or {}).heading,
        tuple(Tick(at((v, low_y))[0], f"{v:g}") for v in ticks(low_x, high_x)),
        tuple(Tick(at((low_x, v))[1], f"{v:g}") for v in ticks(low_y, high_y)),
        tuple(marks),
        lines(known.curves["observed"]) if known else "",
        lines(known.curves["expected"]) if known else "",
        lines(known.bands["expected"], close=True) if known else "",
        lines(known.bands["observed_xsec"], close=True) if known else "",
        lines(areas, close=True),
        _forbidden(points, x, y, (low_x, high_x), (low_y, high_y), lines),
        _parts(found, lines) if isinstance(found, Overlap) else (),
        radius,
    )


def _parts(found: Overlap, lines: _Lines) -> tuple[Part, ...]:
    made = [
        Part(name, at % LOOKS, lines(plane.curves["observed"]), lines(plane.curves["expected"]))
        for at, (name, plane) in enumerate(found.parts)
    ]
    if found.merged:
        made.append(
            Part("all together, the best expected at each point", LOOKS, lines(found.whole.curves["observed"]), "")
        )
    return tuple(made)


def said(point: PlacedPoint) -> str:
    """A point in words."""
    words = [f"{point.name}: {KINDS.get(point.kind, point.kind)}"]
    o = point.outcome
    if o is not None and o.status is Status.OK:
        if o.observed is not None:
            expected = f", expected {number(o.expected[2])}" if o.expected else ""
            words.append(f"upper limit on μ {number(o.observed)}{expected}")
        if o.cls_observed is not None:
            words.append(f"CLs {cls(o.cls_observed)}")
        if not o.within_validity:
            words.append("outside the validity of the analysis")
    elif point.error:
        words.append(point.error)
    return "; ".join(words)


def _forbidden(
    points: Sequence[PlacedPoint], x: str, y: str, across: tuple[float, float], up: tuple[float, float], lines: _Lines
) -> str:
    """The half of the plane in which the lightest particle would be the heavier one."""
    light = y in ("m_lsp", "m_neutralino_1") and x.startswith("m_")
    if not (light and all(point.y <= point.x for point in points)):
        return ""
    low, high = max(across[0], up[0]), min(across[1], up[1])
    if high <= low:
        return ""
    corners = [(low, low), (high, high)]
    if high < across[1]:  # the diagonal leaves through the top
        corners += [(across[0], high)]
    else:
        corners += [(high, up[1]), (across[0], up[1])]
    if low > up[0]:  # it comes in through the left
        corners += [(across[0], low)]
    return lines([corners], close=True)


def ends(values: Sequence[float]) -> tuple[float, float]:
    """Where an axis begins and ends that shows these values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or max(abs(high), 1.0)
    return low - 0.06 * span, high + 0.06 * span


def ticks(low: float, high: float) -> list[float]:
    """Round places between two ends, about seven."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 8)
    first = math.ceil(low / step)
    return [round(n * step, 10) for n in range(first, math.floor(high / step) + 1)]


def placed_points(rows: Sequence[Row], x: str, y: str) -> list[PlacedPoint]:
    """Points of a campaign that have a place on the axes (`y` "": on one); of several analyses the most sensitive one."""
    found: dict[tuple[float, float], PlacedPoint] = {}
    for row in rows:
        across, up = row.outcome.number(x), row.outcome.number(y) if y else 0.0
        if across is None or up is None:
            continue
        known = row.outcome if row.outcome.status in (Status.OK, Status.NO_SIGNAL) else None
        one = PlacedPoint(row.point.point.name, across, up, row.point.state, row.point.run, known, row.point.error)
        before = found.get((across, up))
        if before is None or _worth(one) > _worth(before):
            found[across, up] = one
    return list(found.values())


def _worth(point: PlacedPoint) -> float:
    o = point.outcome
    return -1.0 if o is None or o.r_expected is None else o.r_expected
