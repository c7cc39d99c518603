"""Mass limits and mass planes: right on known functions and on the published maps, and clear where there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome_samples import outcome, published_map

from reana_lite.comparison import Outcome, Status, mass_limit, mass_plane, rows_of
from reana_lite.errors import InvalidInput


def row(*pairs: tuple[float, float | None], **more: object) -> list[Outcome]:
    return [outcome(mu, m_gluino=m, status="ok" if mu is not None else "failed", **more) for m, mu in pairs]


@given(st.floats(1000, 2600), st.floats(1e-3, 0.05), st.integers(2, 12))
@settings(max_examples=100, deadline=None)
def test_an_exponential_limit_is_crossed_exactly(wanted: float, slope: float, n: int) -> None:
    masses = [900 + 1800 * i / n for i in range(n + 1)]
    found = mass_limit(row(*((m, math.exp(slope * (m - wanted))) for m in masses)), "m_gluino")
    assert found.observed == pytest.approx(wanted, abs=1e-6)
    reach = found.reach["observed"]
    assert reach.low is not None
    assert reach.high is not None
    assert reach.low <= wanted <= reach.high
    assert reach.excluded == ((None, reach.value),)
    # the cross-section 20 % up moves the limit by log(1.2) / slope
    up = found.reach["observed_xsec_up"].value
    if up is not None:
        assert up == pytest.approx(wanted + math.log(1.2) / slope, abs=1e-6)


def test_the_order_of_points_does_not_matter_and_bands_are_ordered() -> None:
    points = row((1400, 8.0), (1000, 0.1), (1200, 0.9))
    found = mass_limit(points, "m_gluino")
    assert found.observed == pytest.approx(1200 + 200 * math.log(1 / 0.9) / math.log(8 / 0.9))
    values = [found.reach[name].value for name in ("expected_plus_1", "expected", "expected_minus_1")]
    assert values == sorted(values, key=lambda v: v or 0.0)
    assert found.reach["observed_xsec_down"].value < found.observed < found.reach["observed_xsec_up"].value


def test_limits_fifty_orders_of_magnitude_below_one_are_no_trouble() -> None:
    found = mass_limit(row((1000, 1e-52), (1200, 1e52), (1400, 1e60)), "m_gluino")
    assert found.observed == pytest.approx(1100)
    zero = mass_limit(row((1000, 1e-310), (1200, 2.0)), "m_gluino")
    assert 1199 < (zero.observed or 0) < 1200


@pytest.mark.parametrize(
    ("mus", "why"),
    [((0.1, 0.2, 0.9), "everything is excluded from 1000 to 1400"),
     ((3.0, 1.2, 5.0), "nothing is excluded from 1000 to 1400"),
     ((5.0, 1.2, 0.5), "everything is excluded from 1"), ((None, None, None), "no point has this limit")],
)  # fmt: skip
def test_what_is_not_crossed_is_said(mus: tuple[float | None, ...], why: str) -> None:
    reach = mass_limit(row(*zip((1000.0, 1200.0, 1400.0), mus, strict=True)), "m_gluino").reach["observed"]
    assert reach.value is None
    assert why in reach.why


def test_one_point_alone_does_not_cross() -> None:
    assert "nothing is excluded from 2000 to 2000" in mass_limit(row((2000.0, 3.0)), "m_gluino").reach["observed"].why


def test_failed_points_and_validity_are_told() -> None:
    points = [*row((1000, 0.5), (1200, None)), outcome(2.0, m_gluino=1400.0, within_validity=False)]
    reach = mass_limit(points, "m_gluino").reach["observed"]
    assert reach.value == pytest.approx(1200)
    assert (reach.low, reach.high) == (1000, 1400)
    assert "1200 is failed" in reach.why
    assert "outside validity" in reach.why
    assert not reach.within_validity


def test_islands_are_listed() -> None:
    reach = mass_limit(row((1, 0.5), (2, 2.0), (3, 0.5), (4, 0.5), (5, 2.0)), "m_gluino").reach["observed"]
    assert reach.value == pytest.approx(1.5)
    assert [tuple(round(v, 6) if v else None for v in pair) for pair in reach.excluded] == [(None, 1.5), (2.5, 4.5)]
    assert "2 excluded intervals" in reach.why


def test_two_results_at_one_place() -> None:
    with pytest.raises(InvalidInput, match="same place m_gluino = 1000"):
        mass_limit(row((1000, 0.5), (1000, 2.0)), "m_gluino")
    weak = row((1000, 5.0), (1200, 8.0), analysis="weak")
    found = mass_limit([*weak, *row((1000, 0.5), (1200, 2.0), analysis="strong")], "m_gluino")
    assert found.observed == pytest.approx(1100)


def test_an_axis_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match=r"no number 'm_squark'; it has m_gluino"):
        mass_limit(row((1000, 0.5)), "m_squark")
    with pytest.raises(InvalidInput, match="both axes"):
        mass_plane(row((1000, 0.5)), "m_gluino", "m_gluino")


# -- planes ------------------------------------------------------------------------------------------------------------
def lattice() -> list[Outcome]:
    return [
        outcome(math.exp((m - 2150 + light / 2) / 200), m_gluino=float(m), m_lsp=float(light))
        for m in range(1000, 2601, 200) for light in range(0, 1201, 200) if light < m
    ]  # fmt: skip


def test_a_plane_has_the_curves_where_the_limits_are_one() -> None:
    plane = mass_plane(lattice(), "m_gluino", "m_lsp")
    assert plane.lattice
    (line,) = plane.curves["observed"]
    assert all(x + y / 2 == pytest.approx(2150) for x, y in line)
    assert {y for _, y in line} >= {0.0, 1200.0}
    shift = {"expected_plus_1": -200 * math.log(1.4), "expected_minus_1": 200 * math.log(1 / 0.7),
             "observed_xsec_up": 200 * math.log(1.2), "observed_xsec_down": 200 * math.log(0.8)}  # fmt: skip
    for name, by in shift.items():
        assert all(x + y / 2 == pytest.approx(2150 + by) for line in plane.curves[name] for x, y in line), name
    for polygon in plane.bands["expected"]:
        assert all(2150 + shift["expected_plus_1"] - 1e-6 <= x + y / 2 <= 2150 + shift["expected_minus_1"] + 1e-6
                   for x, y in polygon)  # fmt: skip
    assert plane.to_dict()["interpolation"] == "lattice cells"


def test_all_excluded_none_excluded_and_one_row() -> None:
    weak = [replace(o, observed=(o.observed or 0) + 2.0) for o in lattice()]
    assert mass_plane(weak, "m_gluino", "m_lsp").curves["observed"] == []
    strong = [replace(o, observed=1e-52) for o in lattice()]
    assert mass_plane(strong, "m_gluino", "m_lsp").curves["observed"] == []
    one_row = mass_plane([o for o in lattice() if o.number("m_lsp") == 0], "m_gluino", "m_lsp")
    assert not one_row.covered
    assert one_row.curves["observed"] == []


def test_missing_points_cut_the_contour_and_validity_is_an_area() -> None:
    def broken(o: Outcome) -> Outcome:
        bad = (o.number("m_gluino"), o.number("m_lsp")) == (2000.0, 400.0)
        return replace(o, status=Status.NO_SIGNAL if bad else o.status, within_validity=(o.number("m_lsp") or 0) < 1000)

    plane = mass_plane([broken(o) for o in lattice()], "m_gluino", "m_lsp")
    (whole,) = mass_plane(lattice(), "m_gluino", "m_lsp").curves["observed"]
    assert sum(len(line) for line in plane.curves["observed"]) < len(whole)
    assert all(max(y for _, y in polygon) > 800 for polygon in plane.invalid)
    assert plane.invalid


def test_rows_of_a_scan() -> None:
    rows = rows_of(lattice(), "m_gluino", ["m_lsp"])
    assert [at["m_lsp"] for at, _ in rows] == [0, 200, 400, 600, 800, 1000, 1200]
    assert len(rows[0][1]) == 9
    assert len(rows[-1][1]) == 7


@pytest.mark.parametrize(
    ("topology", "table", "factor", "axis", "wanted", "within"),
    [("T1", "gluino", 1.0, "m_gluino", 2295, 20), ("T2", "squark", 0.8, "m_squark", 1850, 30)],
)  # fmt: skip
def test_the_published_maps_give_the_published_mass_limits(
    topology: str, table: str, factor: float, axis: str, wanted: float, within: float
) -> None:
    # 2.295 TeV: the published map by this method; 1.85 TeV: arXiv:2010.14293, abstract
    outcomes = published_map(topology, table, factor, axis)
    massless = [o for o in outcomes if o.number("m_lsp") == 0]
    found = mass_limit(massless, axis)
    assert found.observed == pytest.approx(wanted, abs=within)
    plane = mass_plane(outcomes, axis, "m_lsp")
    ends = [x for line in plane.curves["observed"] for x, y in line if y == 0]
    assert ends == [pytest.approx(found.observed, abs=1e-6)]
