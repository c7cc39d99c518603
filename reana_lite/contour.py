"""Lines and bands of numbers known at some points of a plane, or at some places of an axis: interpolation, no more.

Pure geometry, in the units of the axes; nothing here knows masses or limits. The plane is covered by triangles between
known points: a lattice without gaps by its cells, each split at its centre (which has the mean of the four corners, as
bilinear interpolation has there); any other set of points by its Delaunay triangulation (B. Delaunay 1934; C. Lawson
1977, edge flips), exact because coordinates become whole numbers. Within a triangle values are linear. Outside all
triangles there is no value: nothing is extrapolated, nor bridged over a point whose value is missing. Called by
comparison.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from reana_lite.errors import InvalidInput

XY = tuple[float, float]
_Whole = tuple[int, int]

MAX_POINTS = 20_000


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles (indices of nodes) over a plane. Nodes are the `points`, then the `centres`: means of those points.

    `lattice` says which of the two ways covered the plane.
    """

    points: tuple[XY, ...]
    triangles: tuple[tuple[int, int, int], ...]
    centres: tuple[tuple[int, ...], ...] = ()
    lattice: bool = False

    @property
    def nodes(self) -> list[XY]:
        """Where the nodes are."""
        means = [
            (sum(self.points[i][0] for i in c) / len(c), sum(self.points[i][1] for i in c) / len(c))
            for c in self.centres
        ]
        return [*self.points, *means]

    def at_nodes(self, values: Sequence[float]) -> list[float]:
        """Values at the nodes from values at the points, in their order."""
        if len(values) != len(self.points):
            raise InvalidInput(f"{len(values)} values for {len(self.points)} points", field="values")
        return [*values, *(sum(values[i] for i in c) / len(c) for c in self.centres)]

    @property
    def covered(self) -> float:
        """The area that has values, in units of both axes."""
        nodes = self.nodes
        return sum(abs(_area(*(nodes[i] for i in triangle))) for triangle in self.triangles)


def mesh(points: Sequence[XY], *, missing: Sequence[XY] = ()) -> Mesh:
    """Triangles between `points` (all different), none of them across one of the points whose value is `missing`.

    Fewer than three points, or all on one line, give a mesh without triangles. InvalidInput for points given twice.
    """
    if len(points) > MAX_POINTS:
        raise InvalidInput(f"{len(points)} points in one plane; at most {MAX_POINTS} are interpolated", field="points")
    if not all(math.isfinite(v) for p in (*points, *missing) for v in p):
        raise InvalidInput("a coordinate is not a finite number", field="points")
    rounded = [(_decimal(x), _decimal(y)) for x, y in points]
    if len(set(rounded)) != len(rounded):
        counts = Counter(rounded)
        twice = next(p for p, r in zip(points, rounded, strict=True) if counts[r] > 1)
        raise InvalidInput(
            f"two values at ({twice[0]:g}, {twice[1]:g}) of one plane", field="points", value=list(twice)
        )
    cells = _cells({p: at for at, p in enumerate(points)}, [*points, *missing])
    if cells is not None:
        triangles, centres = cells
        return Mesh(tuple(points), tuple(triangles), tuple(centres), lattice=True)
    found = _delaunay(points)
    gaps = list(missing)
    kept = (t for t in found if not any(_inside(gap, [points[i] for i in t]) for gap in gaps))
    return Mesh(tuple(points), tuple(kept))


def lines(plane: Mesh, values: Sequence[float], level: float = 0.0) -> list[list[XY]]:
    """Where the values equal `level`, as polylines in the plane; the first point of a closed one is its last, too.

    `values` are at the points of the mesh, in their order. Lines end where the mesh does.
    """
    nodes, z = plane.nodes, plane.at_nodes(values)
    neighbours: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b, c in plane.triangles:
        cut = [_edge(i, j) for i, j in ((a, b), (b, c), (c, a)) if (z[i] > level) != (z[j] > level)]
        if cut:
            first, second = cut
            neighbours.setdefault(first, []).append(second)
            neighbours.setdefault(second, []).append(first)

    def place(edge: tuple[int, int]) -> XY:
        i, j = edge
        return _between(nodes[i], nodes[j], (level - z[i]) / (z[j] - z[i]))

    chains = _chains(neighbours)
    placed = [[place(edge) for edge in chain] for chain in chains]
    return [line for line in map(_without_repeats, placed) if len(line) > 1]


def between(plane: Mesh, low: Sequence[float], high: Sequence[float], level: float = 0.0) -> list[list[XY]]:
    """The area where `low` <= level <= `high`, as convex polygons (corners in order), one per triangle at most."""
    nodes, z_low, z_high = plane.nodes, plane.at_nodes(low), plane.at_nodes(high)
    polygons = []
    for triangle in plane.triangles:
        corners = [(nodes[i], level - z_low[i], z_high[i] - level) for i in triangle]
        corners = _clip(_clip(corners, 1), 2)
        polygon = _without_repeats([corner[0] for corner in corners])
        if len(polygon) > 2 and len(set(polygon)) > 2:
            polygons.append(polygon)
    return polygons


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where values on an axis pass a level: between the places `low` and `high`, upwards or downwards."""

    at: float
    low: float
    high: float
    upwards: bool


def crossings(xs: Sequence[float], values: Sequence[float], level: float = 0.0) -> list[Crossing]:
    """Where values at ascending places pass `level`, linear between neighbours; a value equal to it is below."""
    found = []
    for (x0, z0), (x1, z1) in pairwise(zip(xs, values, strict=True)):
        if x1 <= x0:
            raise InvalidInput(f"places on the axis do not ascend: {x0:g}, {x1:g}", field="points")
        if (z0 > level) != (z1 > level):
            found.append(Crossing(x0 + (x1 - x0) * ((level - z0) / (z1 - z0)), x0, x1, z1 > level))
    return found


# -- lattices --------------------------------------------------------------------------------------------------------
def _cells(
    index: Mapping[XY, int], places: Sequence[XY]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, ...]]] | None:
    """Triangles and centres of a lattice; None if the places have a gap in a row or a column of it, or one
    of them belongs to no cell.

    A cell with a value at three corners is half covered.
    """
    xs, ys = sorted({x for x, _ in places}), sorted({y for _, y in places})
    if len(xs) < 2 or len(ys) < 2 or not (_contiguous(places, xs, ys, 0) and _contiguous(places, ys, xs, 1)):
        return None
    triangles: list[tuple[int, int, int]] = []
    centres: list[tuple[int, ...]] = []
    there, inner = set(places), set[XY]()
    for x0, x1 in pairwise(xs):
        for y0, y1 in pairwise(ys):
            ring = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
            if sum(corner in there for corner in ring) >= 3:
                inner.update(ring)
            known = [index[corner] for corner in ring if corner in index]
            if len(known) == 4:
                centre = len(index) + len(centres)
                centres.append(tuple(known))
                triangles += [(known[i], known[(i + 1) % 4], centre) for i in range(4)]
            elif len(known) == 3:
                triangles.append((known[0], known[1], known[2]))
    return (triangles, centres) if there <= inner else None


def _contiguous(places: Iterable[XY], rows: Sequence[float], columns: Sequence[float], axis: int) -> bool:
    """Whether in every row (a value of `axis`) the places follow each other without a gap."""
    number = {value: at for at, value in enumerate(columns)}
    taken: dict[float, set[int]] = {row: set() for row in rows}
    for place in places:
        taken[place[axis]].add(number[place[1 - axis]])
    return all(max(found) - min(found) + 1 == len(found) for found in taken.values())


# -- Delaunay --------------------------------------------------------------------------------------------------------
def _delaunay(points: Sequence[XY]) -> list[tuple[int, int, int]]:
    """The triangles, counter-clockwise, of the Delaunay triangulation with both axes scaled to equal range."""
    whole = _whole(points)
    order = sorted(range(len(points)), key=lambda i: whole[i])
    start = next((n for n in range(2, len(order)) if _turn(*(whole[order[i]] for i in (0, n - 1, n)))), None)
    if start is None:
        return []
    opposite: dict[tuple[int, int], int] = {}

    def add(a: int, b: int, c: int) -> None:
        opposite[a, b], opposite[b, c], opposite[c, a] = c, a, b

    line, apex = order[:start], order[start]
    if _turn(whole[line[0]], whole[line[-1]], whole[apex]) < 0:
        line = line[::-1]
    for a, b in pairwise(line):
        add(a, b, apex)
    hull = [*line, apex]  # counter-clockwise
    for new in order[start + 1 :]:
        hull = _join(hull, new, whole, add)
    _flip(opposite, whole)
    return [(a, b, c) for (a, b), c in opposite.items() if a < b and a < c]


def _join(hull: list[int], new: int, whole: Sequence[_Whole], add: Callable[[int, int, int], None]) -> list[int]:
    """Triangles from a point outside of the hull to the edges it sees, and the hull with that point."""
    n = len(hull)
    seen = [_turn(whole[hull[i]], whole[hull[(i + 1) % n]], whole[new]) < 0 for i in range(n)]
    first = next(i for i in range(n) if seen[i] and not seen[i - 1])
    last = first
    while seen[last % n]:
        add(hull[(last + 1) % n], hull[last % n], new)
        last += 1
    hidden = {(i % n) for i in range(first + 1, last)}
    turned = [hull[(first + 1 + i) % n] for i in range(n) if (first + 1 + i) % n not in hidden]
    return [*turned, new]


def _flip(opposite: dict[tuple[int, int], int], whole: Sequence[_Whole]) -> None:
    """Turn diagonals until no point lies inside the circle through a triangle."""
    stack = [edge for edge in opposite if edge[0] < edge[1]]
    while stack:
        a, b = stack.pop()
        c, d = opposite.get((a, b)), opposite.get((b, a))
        if c is None or d is None or _in_circle(whole[a], whole[b], whole[c], whole[d]) <= 0:
            continue
        del opposite[a, b], opposite[b, a]
        opposite[a, d], opposite[d, c], opposite[c, a] = c, a, d
        opposite[d, b], opposite[b, c], opposite[c, d] = c, d, b
        stack += [(a, d), (d, b), (b, c), (c, a)]


def _whole(points: Sequence[XY]) -> list[_Whole]:
    """Whole-number coordinates with exactly the geometry of the decimal ones, both axes scaled to equal range."""
    axes: list[list[int]] = []
    for axis in (0, 1):
        exact = [Fraction(_decimal(p[axis])) for p in points]
        low = min(exact, default=Fraction(0))
        common = math.lcm(*(value.denominator for value in exact), low.denominator)
        axes.append([int((value - low) * common) for value in exact])
    xs, ys = axes
    span_x, span_y = max(xs, default=0) or 1, max(ys, default=0) or 1
    return [(x * span_y, y * span_x) for x, y in zip(xs, ys, strict=True)]


def _decimal(value: float) -> str:
    """A coordinate to twelve figures: 0.1 * 3 is 0.3."""
    return f"{value + 0.0:.12g}"


def _turn(a: _Whole, b: _Whole, c: _Whole) -> int:
    """Positive if a, b, c turn left, 0 if they are on one line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _in_circle(a: _Whole, b: _Whole, c: _Whole, d: _Whole) -> int:
    """Positive if d lies inside the circle through a, b, c (counter-clockwise)."""
    ax, ay, bx, by = a[0] - d[0], a[1] - d[1], b[0] - d[0], b[1] - d[1]
    cx, cy = c[0] - d[0], c[1] - d[1]
    aa, bb, cc = ax * ax + ay * ay, bx * bx + by * by, cx * cx + cy * cy
    return ax * (by * cc - bb * cy) - ay * (bx * cc - bb * cx) + aa * (bx * cy - by * cx)


# -- pieces ----------------------------------------------------------------------------------------------------------
def _edge(i: int, j: int) -> tuple[int, int]:
    return (i, j) if i < j else (j, i)


def _between(a: XY, b: XY, part: float) -> XY:
    return a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part


def _area(a: XY, b: XY, c: XY) -> float:
    return 0.5 * ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))


def _inside(at: XY, corners: Sequence[XY]) -> bool:
    """Whether a place is in a triangle or on its edge (to 1e-12 of its area)."""
    a, b, c = corners
    parts = (_area(a, b, at), _area(b, c, at), _area(c, a, at))
    slack = 1e-12 * abs(_area(a, b, c))
    return all(p >= -slack for p in parts) or all(p <= slack for p in parts)


def _chains(neighbours: Mapping[tuple[int, int], list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """Edges in the order in which a line crosses them: open lines from their ends, then closed ones."""
    left = {edge: list(others) for edge, others in neighbours.items()}
    chains = []
    for start in sorted(left, key=lambda edge: (len(left[edge]), edge)):
        if not left[start]:
            continue
        chain = [start]
        while left[chain[-1]]:
            following = left[chain[-1]].pop()
            left[following].remove(chain[-1])
            chain.append(following)
        chains.append(chain)
    return chains


def _without_repeats(line: Sequence[XY]) -> list[XY]:
    return [place for at, place in enumerate(line) if at == 0 or place != line[at - 1]]


def _clip(corners: list[tuple[XY, float, float]], which: int) -> list[tuple[XY, float, float]]:
    """The part of a polygon where its number `which` is not negative (Sutherland and Hodgman 1974)."""
    kept: list[tuple[XY, float, float]] = []
    for at, corner in enumerate(corners):
        before = corners[at - 1]
        now, then = (corner[1], corner[2])[which - 1], (before[1], before[2])[which - 1]
        if (now >= 0) != (then >= 0):
            part = then / (then - now)
            kept.append((
                _between(before[0], corner[0], part),
                before[1] + (corner[1] - before[1]) * part,
                before[2] + (corner[2] - before[2]) * part,
            ))  # fmt: skip
        if now >= 0:
            kept.append(corner)
    return kept
