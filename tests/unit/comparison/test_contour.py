"""Meshes, contours, bands, crossings: exact where values are linear, never outside, never across what is missing."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reana_lite import contour
from reana_lite.errors import InvalidInput

GRID = [(float(x), float(y)) for x in range(0, 5) for y in range(0, 4)]
STEPS = [(x, y) for x, y in GRID if y <= x]
whole = st.integers(-12, 12).map(float)
places = st.lists(st.tuples(whole, whole), min_size=3, max_size=40, unique=True)


def hull_area(points: list[tuple[float, float]]) -> float:
    """Area of the convex hull (Andrew's monotone chain)."""

    def half(ordered: list[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for p in ordered:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain[:-1]

    ring = half(sorted(points)) + half(sorted(points, reverse=True))
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True))) / 2


def value_at(plane: contour.Mesh, values: list[float], at: tuple[float, float]) -> float | None:
    """The value at a place, as linear as in its triangle; None outside of the mesh."""
    nodes, z = plane.nodes, plane.at_nodes(values)
    for triangle in plane.triangles:
        a, b, c = (nodes[i] for i in triangle)
        whole = _turn(a, b, c)
        weights = [_turn(at, b, c) / whole, _turn(a, at, c) / whole, _turn(a, b, at) / whole]
        if min(weights) >= -1e-12:
            return sum(w * z[i] for w, i in zip(weights, triangle, strict=True))
    return None


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def test_a_lattice_is_covered_by_cells_and_a_staircase_by_half_cells() -> None:
    full = contour.mesh(GRID)
    assert (full.lattice, len(full.triangles), full.covered) == (True, 4 * 12, 12.0)
    steps = contour.mesh(STEPS)
    assert steps.lattice
    assert steps.covered == 6 + 3 * 0.5  # cells below the diagonal, and halves on it


def test_a_lattice_with_a_gap_inside_is_triangulated() -> None:
    holed = [p for p in GRID if p != (2.0, 1.0)]
    assert not contour.mesh(holed).lattice
    # a value that is missing is no gap in the lattice, but its cells are cut
    kept = contour.mesh(holed, missing=[(2.0, 1.0)])
    assert kept.lattice
    assert kept.covered == 12 - 4 * 0.5
    assert value_at(kept, [1.0] * len(holed), (2.0, 1.0)) is None


def test_bilinear_in_the_middle_of_a_cell_whatever_the_diagonal() -> None:
    square = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    assert value_at(contour.mesh(square), [1.0, 0.0, 1.0, 0.0], (0.5, 0.5)) == pytest.approx(0.5)


@given(places, st.floats(-3, 3), st.floats(-3, 3), st.floats(-5, 5))
@settings(max_examples=150, deadline=None)
def test_linear_values_give_the_straight_line(points: list[tuple[float, float]], a: float, b: float, c: float) -> None:
    plane = contour.mesh(points)
    values = [a * x + b * y + c for x, y in points]
    for line in contour.lines(plane, values):
        assert len(line) >= 2
        for x, y in line:
            assert abs(a * x + b * y + c) < 1e-6 * max(1.0, *map(abs, values))
    for x, y in points[:3]:
        found = value_at(plane, values, (x, y))
        assert found is None or found == pytest.approx(a * x + b * y + c, abs=1e-6)


@given(places)
@settings(max_examples=150, deadline=None)
def test_scattered_points_are_covered_to_their_hull_once(points: list[tuple[float, float]]) -> None:
    triangles = contour._delaunay(points)
    area = sum(abs(_turn(*(points[i] for i in t))) / 2 for t in triangles)
    assert area == pytest.approx(hull_area(points))
    whole_points = contour._whole(points)
    for a, b, c in triangles:
        assert _turn(points[a], points[b], points[c]) > 0
        corners = (whole_points[a], whole_points[b], whole_points[c])
        assert all(contour._in_circle(*corners, d) <= 0 for d in whole_points)


@given(places, st.data())
@settings(max_examples=100, deadline=None)
def test_lines_separate_above_from_below(points: list[tuple[float, float]], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(-5, 5), min_size=len(points), max_size=len(points)))
    plane = contour.mesh(points)
    lines = contour.lines(plane, values)
    nodes, z = plane.nodes, plane.at_nodes(values)
    edges = {tuple(sorted(e)) for t in plane.triangles for e in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))}
    crossed = sum((z[i] > 0) != (z[j] > 0) for i, j in edges)
    corners = sum(len(line) - (line[0] == line[-1]) for line in lines)
    assert corners <= crossed
    xs, ys = [x for x, _ in nodes], [y for _, y in nodes]
    for line in lines:
        for x, y in line:
            assert min(xs) - 1e-9 <= x <= max(xs) + 1e-9
            assert min(ys) - 1e-9 <= y <= max(ys) + 1e-9
    above = sum(abs(polygon_area(p)) for p in contour.between(plane, [0.0] * len(values), values))
    below = sum(abs(polygon_area(p)) for p in contour.between(plane, values, [0.0] * len(values)))
    if any(v != 0 for v in values):
        flat = sum(abs(_turn(*(nodes[i] for i in t))) / 2 for t in plane.triangles if all(z[i] == 0 for i in t))
        assert above + below - flat == pytest.approx(plane.covered, abs=1e-6)


def polygon_area(ring: list[tuple[float, float]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)) / 2


def test_a_circle_is_one_closed_line() -> None:
    points = [(x / 4, y / 4) for x in range(-8, 9) for y in range(-8, 9)]
    (line,) = contour.lines(contour.mesh(points), [math.hypot(x, y) - 1.3 for x, y in points])
    assert line[0] == line[-1]
    assert all(abs(math.hypot(x, y) - 1.3) < 0.02 for x, y in line)
    assert max(math.dist(a, b) for a, b in pairwise(line)) < 0.3


def test_a_band_is_between_its_two_lines() -> None:
    plane = contour.mesh(GRID)
    polygons = contour.between(plane, [x - 3 for x, _ in GRID], [x - 1 for x, _ in GRID])
    assert sum(abs(polygon_area(p)) for p in polygons) == pytest.approx(2 * 3)
    assert all(1 - 1e-9 <= x <= 3 + 1e-9 for p in polygons for x, _ in p)


def test_nothing_is_extrapolated() -> None:
    values = [x - 10 for x, _ in STEPS]
    plane = contour.mesh(STEPS)
    assert contour.lines(plane, values) == []
    assert value_at(plane, values, (0.0, 2.0)) is None
    assert value_at(plane, values, (4.5, 1.0)) is None


def test_a_triangle_with_a_missing_point_inside_is_left_out() -> None:
    corners = [(0.0, 0.0), (3.0, 0.0), (0.0, 3.0), (7.0, 8.0)]
    whole_plane, cut = contour.mesh(corners), contour.mesh(corners, missing=[(0.7, 0.8)])
    assert len(whole_plane.triangles) == 2
    assert len(cut.triangles) == 1
    assert value_at(cut, [1.0] * 4, (1.0, 1.0)) is None


@pytest.mark.parametrize(
    "points", [[], [(1.0, 2.0)], [(0.0, 0.0), (1.0, 1.0)], [(float(i), 2.0 * i) for i in range(5)]]
)
def test_points_without_area_have_no_triangles(points: list[tuple[float, float]]) -> None:
    plane = contour.mesh(points)
    assert plane.triangles == ()
    assert contour.lines(plane, [0.5] * len(points)) == []


def test_what_cannot_be_covered_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"two values at \(1, 2\)"):
        contour.mesh([(1.0, 2.0), (0.0, 0.0), (1.0, 2.0)])
    with pytest.raises(InvalidInput, match="finite"):
        contour.mesh([(math.nan, 2.0), (0.0, 0.0)])
    with pytest.raises(InvalidInput, match="3 values for 20 points"):
        contour.lines(contour.mesh(GRID), [1.0] * 3)
    with pytest.raises(InvalidInput, match="ascend"):
        contour.crossings([1.0, 1.0], [-1.0, 1.0])


def test_decimal_places_stay_on_their_lines() -> None:
    # 0.1 * 3 is not 0.3; rounding must not make slivers between points of one line
    points = [(0.1 * i, 62.5 + 0.3 * i) for i in range(7)]
    assert contour._delaunay(points) == []


def test_crossings_have_their_direction_and_interval() -> None:
    up, down = contour.crossings([0.0, 2.0, 4.0, 6.0], [-1.0, 1.0, 0.5, -0.5])
    assert (up.at, up.low, up.high, up.upwards) == (1.0, 0.0, 2.0, True)
    assert (down.at, down.upwards) == (5.0, False)
