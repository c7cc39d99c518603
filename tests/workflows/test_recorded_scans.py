"""Scans of the shipped analyses, as recorded (`recast compare CAMPAIGN --format csv`): mass limits and verdicts as published.

The rows were made by `recast scan` with 5,000 events a point:

    recast scan atlas-susy-2018-22 --grid m_gluino=2000:2600:100 --grid m_lsp=0 -p n_events=5000
    recast scan atlas-susy-2018-22 --grid m_gluino=1200:2600:200 --grid m_lsp=0,400,600,800,1000,1200,1400
                --where 'm_lsp <= m_gluino - 200' -p n_events=5000
    recast scan atlas-susy-2018-22 --grid m_squark=1000:1950:50 --grid m_lsp=0 -p n_events=5000
    recast scan atlas-susy-2019-08 --where 'm_lsp == 0' --where 'm_c1n2 >= 550'

Published: mass limits at massless neutralino from arXiv:2010.14293 and arXiv:1909.09226, r = cross-section over the upper
limit on it from HEPData ins1827025. The slow test makes three points anew.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from reana_lite.comparison import Outcome, Status, cross_check, mass_limit
from reana_lite.comparison.published import NEAR, Published, PublishedPoint
from reana_lite.result import Verdict

RECORDED = Path(__file__).parent / "recorded"

SQUARKS = {(1200, 0): 8.095, (1200, 400): 3.92, (1200, 600): 2.51, (1400, 400): 2.935, (1600, 0): 2.56, (1600, 400): 1.986,
           (1800, 200): 1.177, (2000, 0): 0.5, (2000, 400): 0.462}  # fmt: skip
GLUINOS = {(1800, 600): 2.764, (2000, 0): 2.658, (2000, 400): 2.295, (2000, 800): 1.074, (2200, 0): 1.424,
           (2200, 400): 1.228, (2200, 600): 0.937, (2400, 0): 0.674, (2400, 400): 0.64}  # fmt: skip


def read(content: str, axis: str) -> list[Outcome]:
    """The outcomes of a table that have a limit; masses are in its columns, the neutralino is massless where it has none."""
    found = []
    for row in csv.DictReader(content.splitlines()):
        if row["status"] != "ok":
            continue
        place = {"m_lsp": 0.0} | {
            name.partition(" ")[0]: float(value) for name, value in row.items() if name.endswith("[GeV]")
        }
        middle, minus, plus = (float(row[f"mu_limit_expected{end}"]) for end in ("", "_minus_1", "_plus_1"))
        found.append(Outcome(
            row["theory"], row["analysis"], parameters=place, status=Status.OK, verdict=Verdict(row["verdict"]),
            observed=float(row["mu_limit_observed"]), expected=(minus, minus, middle, plus, plus),
            cls_observed=float(row["cls_observed"]), cls_expected=float(row["cls_expected"]),
            r_observed=float(row["r_observed"]), xsec_pb=float(row["xsec_pb"]), xsec_error_pb=float(row["xsec_error_pb"]),
        ))  # fmt: skip
    assert found
    assert all(o.number(axis) is not None for o in found)
    return found


def recorded(name: str, axis: str) -> list[Outcome]:
    return read((RECORDED / f"{name}.csv").read_text(), axis)


@pytest.mark.parametrize(
    ("name", "axis", "published", "tolerance"),
    [("gluino_row", "m_gluino", 2300, 80), ("squark_row", "m_squark", 1850, 80)],
)
def test_mass_limits_at_massless_neutralino_are_the_published_ones(
    name: str, axis: str, published: float, tolerance: float
) -> None:
    limit = mass_limit(recorded(name, axis), axis)
    assert limit.observed == pytest.approx(published, abs=tolerance)
    assert limit.reach["observed_cls"].value == pytest.approx(published, abs=tolerance)
    assert limit.reach["observed_xsec_down"].value < limit.observed < limit.reach["observed_xsec_up"].value
    assert limit.reach["expected_plus_1"].value < limit.expected < limit.reach["expected_minus_1"].value


def test_where_a_signal_is_missing_both_ways_of_interpolation_are_told() -> None:
    """No signal at 750 GeV is published: between 700 and 800 GeV the two ways differ by 9 GeV; ln CLs gives 740."""
    limit = mass_limit(recorded("wh_row", "m_c1n2"), "m_c1n2")
    assert limit.reach["observed_cls"].value == pytest.approx(740, abs=5)
    assert limit.observed == pytest.approx(732, abs=2)
    assert (limit.reach["observed"].low, limit.reach["observed"].high) == (700, 800)
    assert limit.reach["expected_cls"].value == pytest.approx(840, abs=5)


@pytest.mark.parametrize(
    ("files", "axis", "published"),
    [(("squark_row", "squark_points"), "m_squark", SQUARKS), (("gluino_row", "gluino_points"), "m_gluino", GLUINOS)],
    ids=["squarks", "gluinos"],
)
def test_verdicts_are_the_published_ones(
    files: tuple[str, ...], axis: str, published: dict[tuple[int, int], float]
) -> None:
    ours = {(o.number(axis), o.number("m_lsp")): o for name in files for o in recorded(name, axis)}
    points = tuple(
        PublishedPoint({axis: mass, "m_lsp": lsp}, r=r)
        for (mass, lsp), r in published.items()
        if (mass, lsp) in ours and not NEAR[0] <= r <= NEAR[1]
    )
    assert len(points) == {"m_gluino": 7, "m_squark": 8}[axis]
    table = cross_check(list(ours.values()), Published("published", (axis, "m_lsp"), points))
    assert table.column("agreement") == ["agree"] * len(points)


@pytest.mark.slow
def test_three_points_made_anew_are_as_recorded(tmp_path: Path) -> None:
    import os

    environment = {**os.environ, "RECAST_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "reana_lite"]
    scan = [
        "scan",
        "atlas-susy-2018-22",
        "--grid",
        "m_gluino=2200:2400:100",
        "--grid",
        "m_lsp=0",
        "-p",
        "n_events=5000",
    ]
    subprocess.run([*command, *scan, "--name", "anew", "-q"], check=True, env=environment, timeout=1200)
    table = subprocess.run(
        [*command, "compare", "anew", "--format", "csv"], check=True, env=environment, timeout=120, text=True,
        capture_output=True,
    ).stdout  # fmt: skip
    before = {o.theory: o for o in recorded("gluino_row", "m_gluino")}
    found = read(table, "m_gluino")
    assert len(found) == 3
    for outcome in found:
        assert outcome.observed == pytest.approx(before[outcome.theory].observed, rel=0.02)
    assert mass_limit(found, "m_gluino").observed == pytest.approx(2300, abs=80)
