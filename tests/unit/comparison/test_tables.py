"""Tables of results, rankings, differences: what they say, and that every form of them can be read back."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
from outcome_samples import outcome

from reana_lite.comparison import (
    Status,
    axes_of,
    mass_limit,
    mass_limits_table,
    mass_plane,
    rank_analyses,
    rank_theories,
    results_table,
    what_changed,
)
from reana_lite.comparison.fields import quantity
from reana_lite.comparison.outcome import Efficiency
from reana_lite.comparison.tables import Table, contour_tables, to_csv, to_json, to_latex, to_text
from reana_lite.errors import InvalidInput

ROW = [outcome(mu, m_gluino=m, m_lsp=0.0, r_mc_error=0.1) for m, mu in ((1000.0, 1e-52), (2000.0, 0.4), (2400.0, 1.5))]
FAILED = outcome(
    None, status="failed", m_gluino=2600.0, m_lsp=0.0, theory="=cmd()", message="the generator\x1b[31m failed"
)


def rows_of_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_the_table_of_results_in_every_form() -> None:
    table = results_table([*ROW, FAILED])
    assert axes_of([*ROW, FAILED]) == ["m_gluino"]
    text = to_text(table)
    assert "2 excluded, 1 not-excluded, 1 failed" in text
    assert "1e-52" in text
    assert "\x1b" not in text
    rows = rows_of_csv(table)
    assert [row["m_gluino [GeV]"] for row in rows] == ["1000.0", "2000.0", "2400.0", "2600.0"]
    assert float(rows[0]["mu_limit_observed"]) == 1e-52
    assert rows[3]["theory"] == "'=cmd()"
    assert rows[3]["r_observed"] == ""
    document = json.loads(to_json(table))
    assert document["rows"][1]["r_observed"] == 2.5
    assert document["rows"][3]["status"] == "failed"
    assert document["summary"] == {"excluded": 2, "not-excluded": 1, "failed": 1}
    latex = to_latex(table)
    assert latex.count(r"\\") == 5
    assert r"$1 \times 10^{-52}$" in latex
    assert r"$m(\tilde{g})$ [GeV]" in latex
    assert "not-excluded" in latex


def test_latex_obeys_nothing_from_outside() -> None:
    latex = to_latex(results_table([replace(ROW[0], likelihood=r"\input{x}_&%$#~^{}")]))
    assert r"\textbackslash{}input\{x\}\_\&\%\$\#\textasciitilde{}\textasciicircum{}\{\}" in latex


def test_of_equal_axes_the_short_name_is_shown() -> None:
    both = [replace(o, parameters={"m_neutralino_1": v, "m_lsp": v, "m_gluino": 2000.0, "n": True, "tag": "x"})
            for o, v in zip(ROW, (0.0, 100.0, 200.0), strict=True)]  # fmt: skip
    assert axes_of(both) == ["m_lsp"]


def test_theories_are_ranked_by_expected_r_not_by_observed() -> None:
    weak, strong = outcome(0.2, expected=2.0, theory="lucky"), outcome(1.5, expected=0.8, theory="sensitive")
    table = rank_theories([weak, FAILED, strong], axes=[])
    assert table.column("theory") == ["sensitive", "lucky", "=cmd()"]
    assert table.column("rank") == [1, 2, None]
    assert table.notes == ("1 without an expected limit, last",)


def test_analyses_are_ranked_for_every_theory() -> None:
    a = [replace(o, analysis="A") for o in ROW]
    b = [
        replace(o, analysis="B", r_expected=(o.r_expected or 0) * f) for o, f in zip(ROW, (2.0, 0.5, 0.5), strict=True)
    ]
    table = rank_analyses([*a, *b], axes=["m_gluino"])
    assert table.column("analysis") == ["B", "A", "A", "B", "A", "B"]
    assert table.summary == {"most_sensitive": {"A": 2, "B": 1}}
    assert rank_theories([*a, *b], axes=["m_gluino"]).column("analysis") == ["B", "A", "A"]


def test_what_changed_between_two_versions() -> None:
    regions = {"SR1": Efficiency(0.10, 0.01, 1.0), "SR2": Efficiency(0.20, 0.01, 2.0)}
    moved = {"SR1": Efficiency(0.11, 0.01, 1.0), "SR2": Efficiency(0.30, 0.01, 3.0)}
    first = [replace(o, efficiencies=regions) for o in ROW]
    second = [
        first[0], replace(first[1], r_observed=2.0, efficiencies=moved, xsec_pb=4e-3),
        outcome(0.9, m_gluino=2400.0, m_lsp=0.0), outcome(3.0, m_gluino=2800.0, m_lsp=0.0),
    ]  # fmt: skip
    table = what_changed(first, second)
    assert table.column("m_gluino") == [1000, 2000, 2400, 2800]
    assert table.column("change") == ["same", "numbers", "verdict", "only in the second"]
    assert table.column("region") == [None, "SR2", None, None]
    assert table.rows[1][table_at(table, "r_ratio")] == pytest.approx(0.8)
    assert table.rows[1][table_at(table, "r_pull")] == pytest.approx(-0.5 / 0.1 / 2**0.5)
    assert table.rows[1][table_at(table, "xsec_ratio")] == pytest.approx(2.0)
    assert table.rows[1][table_at(table, "efficiency_pull")] == pytest.approx(0.1 / 0.01 / 2**0.5)
    assert table.summary["changes"] == {"same": 1, "numbers": 1, "verdict": 1, "only in the second": 1}
    back = what_changed(second, first[:1])
    assert back.column("change") == ["same", *["only in the first"] * 3]


def table_at(table: Table, name: str) -> int:
    return [c.name for c in table.columns].index(name)


def test_mass_limits_and_contours_as_tables() -> None:
    crossed, not_crossed = (
        mass_limit(ROW, "m_gluino", at={"m_lsp": 0.0}),
        mass_limit(ROW[:2], "m_gluino", at={"m_lsp": 100.0}),
    )
    table = mass_limits_table([crossed, not_crossed])
    assert table.column("m_lsp") == [0, 100]
    assert table.column("observed") == [pytest.approx(2277.3, abs=0.1), None]
    assert "not crossed" in str(table.column("note")[1])
    assert json.loads(to_json(table))["summary"]["limits"][0]["observed"]["between"] == [2000, 2400]
    plane = mass_plane([outcome(2.0 if m > 1 else 0.5, m_a=float(m), m_b=float(y)) for m in range(3) for y in range(2)],
                       "m_a", "m_b")  # fmt: skip
    tables = {t.name: t for t in contour_tables(plane)}
    assert set(tables) == {f"contour-{name}" for name in plane.curves}
    assert tables["contour-observed"].column("m_a") == [pytest.approx(1.5)] * len(tables["contour-observed"].rows)


def test_an_empty_table_is_said_to_be_empty() -> None:
    assert "(no rows)" in to_text(results_table([]))
    assert to_csv(results_table([])).count("\r\n") == 1


def test_quantities_and_regions_for_maps() -> None:
    outcomes = [replace(ROW[0], efficiencies={"SR1": Efficiency(0.1, None, None)}), FAILED]
    assert quantity("SR1", outcomes).values(outcomes) == [0.1, None]
    assert quantity("xsec-limit", outcomes).values(ROW)[1] == pytest.approx(0.8)
    with pytest.raises(InvalidInput, match=r"xsec-limit.*efficiencies of SR1"):
        quantity("SR9", outcomes)
    assert FAILED.status is Status.FAILED
