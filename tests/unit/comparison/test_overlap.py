"""Several campaigns in one plane: a contour of each, one of all where that means something, sentences where it does not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from outcome_samples import outcome

from reana_lite.comparison import Outcome, mass_limits, mass_limits_table, overlap, results_table
from reana_lite.errors import InvalidInput
from reana_lite.export import Compared, Gathered, Gathering, write_hepdata
from reana_lite.plots import hepdata


def campaign(name: str, end: float, **more: Any) -> list[Outcome]:
    """A plane in which exclusion ends at `end` for a massless neutralino."""
    return [
        outcome(math.exp((m - end + light / 4) / 150), m_gluino=float(m), m_lsp=float(light), campaign=name, **more)
        for m in range(1600, 2601, 200) for light in range(0, 801, 400)
    ]  # fmt: skip


def ends(plane: Any) -> float:
    """Where the observed contour meets the lower edge."""
    return next(x for line in plane.curves["observed"] for x, y in line if y == 0)


def test_one_campaign_is_no_overlap() -> None:
    assert overlap(campaign("a", 2100), "m_gluino", "m_lsp") is None


def test_single_runs_are_points_of_the_whole_and_no_campaign() -> None:
    single = outcome(0.9, m_gluino=2700.0, m_lsp=0.0)
    assert overlap([*campaign("a", 2100), single], "m_gluino", "m_lsp") is None
    found = overlap([*campaign("a", 2100), *campaign("b", 2300, analysis="b"), single], "m_gluino", "m_lsp")
    assert found is not None
    assert [name for name, _ in found.parts] == ["a", "b"]
    assert single in found.whole.outcomes
    assert {one.campaign for one in mass_limits([*campaign("a", 2100), single], "m_gluino", ["m_lsp"])} == {""}


def test_contours_of_several_campaigns_are_tables_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[Any] = []
    monkeypatch.setattr(hepdata, "write_submission", lambda found, folder, **more: written.extend(found))
    items = tuple(Gathered(one) for one in (*campaign("a", 2100), *campaign("b", 2300)))
    write_hepdata(Compared(Gathering(items), "m_gluino", "m_lsp", {}), [], tmp_path)
    titles = [table.title for table in written]
    assert len(set(titles)) == len(titles)
    assert {"exclusion contour observed of campaign a", "exclusion contour observed of campaign b"} <= set(titles)


def test_two_campaigns_of_one_analysis_have_a_contour_each() -> None:
    found = overlap([*campaign("a", 2100), *campaign("b", 2300)], "m_gluino", "m_lsp")
    assert found is not None
    assert [name for name, _ in found.parts] == ["a", "b"]
    assert [ends(plane) for _, plane in found.parts] == pytest.approx([2100, 2300])
    assert not found.merged
    assert found.whole.curves["observed"] == []
    assert len(found.whole.outcomes) == 18, "a mark for every place, once"


def test_two_analyses_have_a_contour_together_too() -> None:
    found = overlap([*campaign("a", 2100), *campaign("b", 2300, analysis="b")], "m_gluino", "m_lsp")
    assert found is not None
    assert found.merged
    assert ends(found.whole) == pytest.approx(2300), "the better expected limit"


def test_campaigns_of_other_axes_are_told() -> None:
    squarks = [outcome(1.0, m_squark=float(m), m_lsp=0.0, campaign="squarks") for m in (1000, 1200, 1400)]
    with pytest.raises(
        InvalidInput, match="campaign squarks has no m_gluino and does not lie in the plane m_gluino, m_lsp"
    ):
        overlap([*campaign("a", 2100), *squarks], "m_gluino", "m_lsp")


def test_a_campaign_without_a_contour_is_told() -> None:
    row = [one for one in campaign("row", 2200) if one.number("m_lsp") == 0]
    with pytest.raises(InvalidInput, match=r"campaign row has no contour .* three points"):
        overlap([*campaign("a", 2100), *row], "m_gluino", "m_lsp")


def test_mass_limits_and_results_name_the_campaign() -> None:
    both = [*campaign("a", 2100), *campaign("b", 2300)]
    found = mass_limits(both, "m_gluino", ["m_lsp"])
    assert [(one.campaign, one.at["m_lsp"]) for one in found] == [
        ("a", 0), ("a", 400), ("a", 800), ("b", 0), ("b", 400), ("b", 800),
    ]  # fmt: skip
    assert [one.observed for one in found[::3]] == pytest.approx([2100, 2300])
    table = mass_limits_table(found)
    assert table.column("campaign") == ["a"] * 3 + ["b"] * 3
    assert table.column("observed")[::3] == pytest.approx([2100, 2300])
    analyses = mass_limits([*campaign("a", 2100), *campaign("b", 2300, analysis="b")], "m_gluino", ["m_lsp"])
    assert [one.campaign for one in analyses[::3]] == ["", "a", "b"]
    assert mass_limits_table(analyses).column("campaign")[0] == "all together"
    results = results_table(both)
    assert results.column("campaign") == ["a"] * 18 + ["b"] * 18
    assert "campaign" not in [column.name for column in results_table(campaign("a", 2100)).columns]
    with pytest.raises(InvalidInput, match="same place"):
        mass_limits([*campaign("a", 2100), *campaign("a", 2300)], "m_gluino", ["m_lsp"])
