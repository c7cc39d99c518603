"""Figures of comparisons: equal bytes, what must be said in them, hostile names, what cannot be drawn."""

from __future__ import annotations

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("mplhep")
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "comparison"))

from outcome_samples import outcome

from reana_lite import plots
from reana_lite.comparison import MassPlane, Outcome, Status, mass_limit, mass_plane, overlap
from reana_lite.comparison.axis import Axis
from reana_lite.comparison.fields import quantity
from reana_lite.errors import InvalidInput
from reana_lite.plots import interactive


def outcomes() -> list[Outcome]:
    made = [
        outcome(math.exp((m - 2150 + light / 2) / 200), m_gluino=float(m), m_lsp=float(light), lumi_ifb=139.0,
                analysis="atlas-susy-2018-22", within_validity=light < 1000)
        for m in range(1600, 2601, 200) for light in range(0, 1201, 400)
    ]  # fmt: skip
    made[0] = replace(made[0], status=Status.FAILED)
    made[5] = replace(made[5], status=Status.NO_SIGNAL)
    made[6] = replace(made[6], status=Status.MISSING)
    return made


def plane(rows: list[Outcome] | None = None) -> MassPlane:
    return mass_plane(rows or outcomes(), "m_gluino", "m_lsp")


OVERLAY = plots.Overlay("ATLAS $x_{", [[(1900.0, 0.0), (1800.0, 400.0)]])


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is drawn."""
    seen: list[str] = []
    module: Any = importlib.import_module("matplotlib.text")
    drawn = module.Text.draw

    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(self.get_text())
        return drawn(self, *args, **kwargs)

    monkeypatch.setattr(module.Text, "draw", draw)
    return seen


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_equal_planes_give_equal_bytes(ending: str, tmp_path: Path) -> None:
    for name in "ab":
        plots.plot_contour(plane(), tmp_path / f"{name}{ending}", overlays=[OVERLAY])
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_contour_says_what_it_is(texts: list[str], tmp_path: Path) -> None:
    plots.plot_contour(plane(), tmp_path / "c.png", overlays=[OVERLAY])
    said = set(texts)
    assert {"atlas-susy-2018-22", "139 fb$^{-1}$, 95% CL", "Observed limit", "Expected limit", "Expected ± 1σ",
            "Outside validity", "Observed, cross-section ± 1σ", "ATLAS $x_{", "Failed", "No event passes",
            "No result yet", "Excluded",
            "Log of the limit on μ interpolated", "(bilinear in cells), not extrapolated"} <= said  # fmt: skip
    assert any("m(\\tilde{g})" in text and "GeV" in text for text in said)


def test_maps_rows_and_rankings(texts: list[str], tmp_path: Path) -> None:
    plots.plot_map(plane(), quantity("mu-limit", outcomes()), tmp_path / "m.png")
    assert "0.174" in texts  # exp(-350 / 200), at 1800 GeV
    assert any("upper limit on $\\mu$" in text for text in texts)
    texts.clear()
    row = [o for o in outcomes() if o.number("m_lsp") == 0]
    plots.plot_row(row, mass_limit(row, "m_gluino", at={"m_lsp": 0.0}), tmp_path / "r.png")
    assert {"2150 GeV", "failed", "Theory ± 1σ"} <= set(texts)
    texts.clear()
    plots.plot_ranking([*row, *(replace(o, analysis="other") for o in row)], tmp_path / "k.png", axes=["m_gluino"])
    assert {"atlas-susy-2018-22", "other", "t_1800_0"} <= set(texts)


def test_hostile_names_and_extreme_numbers(tmp_path: Path) -> None:
    odd = [
        replace(o, analysis="$\\frac{1}{\x1b[31m", theory="a$_{", observed=(o.observed or 1) ** 60) for o in outcomes()
    ]
    plots.plot_contour(plane(odd), tmp_path / "c.png")
    plots.plot_map(plane(odd), quantity("mu-limit", odd), tmp_path / "m.png")
    row = [o for o in odd if o.number("m_lsp") == 400]
    plots.plot_row(row, mass_limit(row, "m_gluino"), tmp_path / "r.png")
    plots.plot_ranking(odd, tmp_path / "k.png", axes=["m_gluino", "m_lsp"])
    assert all(p.stat().st_size > 10_000 for p in tmp_path.iterdir())
    renamed = [replace(o, parameters={"$x_{": o.number("m_gluino"), "b": o.number("m_lsp")}) for o in outcomes()]
    plots.plot_contour(mass_plane(renamed, "$x_{", "b"), tmp_path / "n.png")


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    line = [o for o in outcomes() if o.number("m_lsp") == 400]
    with pytest.raises(InvalidInput, match="span no area of the plane m_gluino, m_lsp"):
        plots.plot_contour(plane(line), tmp_path / "c.png")
    with pytest.raises(InvalidInput, match="fewer than two points"):
        plots.plot_row(line[:1], mass_limit(line[:1], "m_gluino"), tmp_path / "r.png")
    without = [replace(o, xsec_limit_expected_pb=None) for o in outcomes()]
    with pytest.raises(InvalidInput, match="fewer than three points have xsec-limit-expected"):
        plots.plot_map(plane(without), quantity("xsec-limit-expected", without), tmp_path / "m.png")
    with pytest.raises(InvalidInput, match="no result has an expected limit"):
        plots.plot_ranking(outcomes()[:1], tmp_path / "k.png")
    with pytest.raises(InvalidInput, match="cannot write"):
        plots.plot_contour(plane(), tmp_path / "missing" / "c.png")
    assert not list(tmp_path.iterdir())


def test_a_page_does_not_obey_names(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    odd = [replace(o, theory="<script>alert(1)</script>", reasons=("<b>x",)) for o in outcomes()]
    plots.write_page(plane(odd), tmp_path / "p.html", overlays=[plots.Overlay("<img src=x>", OVERLAY.lines)])
    page = (tmp_path / "p.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<img src=x>" not in page
    with pytest.raises(InvalidInput, match="cannot write"):
        plots.write_page(plane(), tmp_path / "missing" / "p.html")


def test_several_campaigns_have_a_contour_each_in_one_figure(texts: list[str], tmp_path: Path) -> None:
    first = [replace(o, campaign="first scan") for o in outcomes()]
    second = [replace(o, campaign="second $x", observed=o.observed and o.observed / 2) for o in outcomes()]
    found = overlap([*first, *second], "m_gluino", "m_lsp")
    assert found is not None
    plots.plot_overlap(found, tmp_path / "both.png", overlays=[OVERLAY])
    assert {"first scan", "second $x", "Outside validity", "Observed limit", "Expected limit", "ATLAS $x_{"} <= set(
        texts
    )
    assert r"$m(\tilde{g})$ [GeV]" in texts
    assert "All together, observed" not in texts
    others = [replace(o, analysis="other") for o in second]
    merged = overlap([*first, *others], "m_gluino", "m_lsp")
    assert merged is not None
    texts.clear()
    plots.plot_overlap(merged, tmp_path / "merged.svg")
    assert "All together, observed" in texts
    figure = interactive.figure_of(merged)
    names = [trace["name"] for trace in figure["data"]]
    assert names[0] == "Outside validity"
    assert names[1:6] == ["first scan, observed", "first scan, expected", "second $x, observed", "second $x, expected",
                         "All together, observed"]  # fmt: skip
    assert figure["layout"]["xaxis"]["title"]["text"] == "m(g̃) [GeV]"


def test_latex_beyond_mathtext_becomes_the_title(texts: list[str], tmp_path: Path) -> None:
    axes = {
        "m_gluino": Axis("m_gluino", "GeV", "gluino mass", r"\slashed{g}"),
        "m_lsp": Axis("m_lsp", "TeV", "", "m_0"),
    }
    plots.plot_contour(plane([replace(o, axes=axes) for o in outcomes()]), tmp_path / "a.png")
    assert "gluino mass [GeV]" in texts
    assert "$m_0$ [TeV]" in texts
