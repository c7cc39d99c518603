"""Published grids and lines: read strictly, and results held against them point by point."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from outcome_samples import SHARED, outcome, published_map

from reana_lite.comparison import cross_check, read_published
from reana_lite.comparison.published import Published
from reana_lite.errors import InvalidInput
from reana_lite.result import Verdict

GRID = b"""# HEPData ins1827025
m_gluino,m_lsp,r,xsec_limit_fb
2000,0,2.658,0.38
2200,600,0.937,0.38
2400,0,0.674,0.19
2600,0,0.3,0.15
"""


def ours() -> list:
    at = {"m_lsp": 0.0}
    return [
        outcome(0.36, m_gluino=2000.0, **at), outcome(0.97, m_gluino=2200.0, m_lsp=600.0),
        outcome(0.9, m_gluino=2400.0, **at), outcome(5.0, m_gluino=1.0, **at),
    ]  # fmt: skip


def test_a_grid_from_csv_and_json_is_the_same() -> None:
    from_csv = read_published(GRID, "grid.csv")
    assert from_csv.axes == ("m_gluino", "m_lsp")
    rows = [dict(p.place) | {"r": p.r, "xsec_limit_pb": p.xsec_limit_pb} for p in from_csv.points]
    assert rows[0] == {"m_gluino": 2000, "m_lsp": 0, "r": 2.658, "xsec_limit_pb": pytest.approx(0.38e-3)}
    for document in (rows, {"source": "x", "points": rows}):
        assert read_published(json.dumps(document).encode(), "grid.json").points == from_csv.points


def test_verdicts_point_by_point() -> None:
    table = cross_check(ours(), read_published(GRID, "grid.csv"))
    assert table.column("agreement") == ["agree", "near", "differ", "not computed"]
    assert table.column("r_pull") == [None] * 4
    measured = [replace(o, r_mc_error=0.05) for o in ours()]
    pulls = cross_check(measured, read_published(GRID, "grid.csv")).column("r_pull")
    assert pulls[0] == pytest.approx((1 / 0.36 - 2.658) / 0.05)
    assert pulls[3] is None
    assert table.column("verdict_published") == ["excluded", "not-excluded", "not-excluded", "not-excluded"]
    assert table.column("limit_ratio")[0] == pytest.approx(0.36 * 2e-3 / 0.38e-3)
    assert table.summary["agreement"] == {"agree": 1, "near": 1, "differ": 1, "not computed": 1}
    assert table.summary["not_published"] == 1
    assert "verdicts: 1 of 3 agree, 1 differ where published r is within 0.85-1.18, 1 differ elsewhere" in table.notes


def test_other_outcomes_of_a_point() -> None:
    undecided = replace(ours()[0], verdict=Verdict.UNDETERMINED)
    failed = outcome(None, status="failed", m_gluino=2400.0, m_lsp=0.0)
    grid = read_published(b"m_gluino,m_lsp,excluded\n2000,0,true\n2400,0,no\n", "v.csv")
    assert cross_check([undecided, failed], grid).column("agreement") == ["undetermined", "failed"]
    only_limits = read_published(b"m_gluino,m_lsp,xsec_limit_pb\n2000,0,0.0004\n", "l.csv")
    assert cross_check(ours(), only_limits).column("agreement") == ["no published verdict"]
    mu = read_published(b"m_gluino,m_lsp,mu_limit,mu_limit_expected\n2000,0,0.5,0.25\n", "m.csv").points[0]
    assert (mu.r, mu.r_expected, mu.said()) == (2.0, 4.0, Verdict.EXCLUDED)


def test_lines_have_pieces() -> None:
    line = read_published(b"m_gluino,m_lsp\n1000,0\n1100,50\n\n1500,0\n1600,20\n", "line.csv")
    assert line == Published(
        "line.csv", ("m_gluino", "m_lsp"), lines=(((1000, 0), (1100, 50)), ((1500, 0), (1600, 20)))
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no rows"), (b"m_gluino,r\n", "no rows"), (b"m_gluino,m_lsp,r\n1,2\n", "row 1 has 2 cells"),
        (b"m_gluino,r\n1000,abc\n", "row 1, r: 'abc' is not a number"), (b"m_gluino,r\n1000,nan\n", "not a number"),
        (b"m_gluino,r\n1000,0\n", "r: 0 is not above 0"), (b"m_gluino,r\n1,2\n1.0,3\n", "two rows at m_gluino = 1"),
        (b"m_gluino,verdict\n1000,maybe\n", "none of excluded"), (b"m_gluino,excluded\n1000,perhaps\n", "not true or false"),
        (b"name,r\nx,2\n", "where the points are"), (b"a,b,c\n1,2,3\n", "two columns"), (b"[1, 2]", "list of objects"),
        (b"\xff\xfe", "UTF-8"), (b"{", "JSON"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_with_its_place(content: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read_published(content, "p.csv")
    assert "p.csv" in caught.value.message


def test_axes_that_do_not_match_are_named() -> None:
    with pytest.raises(InvalidInput, match="is over m_stop; the results have m_gluino, m_lsp"):
        cross_check(ours(), read_published(b"m_stop,r\n1000,2\n", "stop.csv"))


def test_the_published_points_agree_with_the_published_map() -> None:
    outcomes = published_map("T1", "gluino", 1.0, "m_gluino")
    points = json.loads((SHARED / "ATLAS-SUSY-2018-22" / "validation.json").read_text())["points"]
    rows = [
        {"m_gluino": p["m_parent"], "m_lsp": p["m_lsp"], "r": p["published_r"], "xsec_limit_fb": p["published_ul_fb"],
         "excluded": p["published_excluded"]} for p in points if p["topology"] == "T1"
    ]  # fmt: skip
    table = cross_check(outcomes, read_published(json.dumps(rows).encode(), "validation.json"))
    assert set(table.column("agreement")) == {"agree"}
    assert table.summary["limit_ratio"]["median"] == pytest.approx(1.0)
