"""Plots of results: written in every format, equal bytes for equal results, hostile names, clear errors."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("mplhep")
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "result"))

from result_samples import document, limit, no_limit

from reana_lite import plots
from reana_lite.errors import InvalidInput, NotAllowed
from reana_lite.result import Result, result_of

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def result(**changes: Any) -> Result:
    return result_of(document() | changes)


@pytest.mark.parametrize("ending", sorted(STARTS))
@pytest.mark.parametrize("draw", [plots.plot_yields, plots.plot_limits])
def test_equal_results_give_equal_bytes(draw: Any, ending: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    draw(result(), first)
    draw(result(), second)
    assert first.read_bytes().startswith(STARTS[ending])
    assert first.read_bytes() == second.read_bytes()
    assert b"CreationDate" not in first.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{ending}", f"b{ending}"]


def test_texts_and_numbers_are_in_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    figures: Any = importlib.import_module("matplotlib.text")
    drawn = figures.Text.draw

    def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
        texts.append(self.get_text())
        return drawn(self, *args, **kwargs)

    monkeypatch.setattr(figures.Text, "draw", draw)
    plots.plot_yields(result(), tmp_path / "y.png")
    assert {"atlas-susy-2018-22", "r = 2.63 (MB-GGd)", "Excluded at 95% CL", "Observed", "Background", "Events"} <= set(
        texts
    )
    texts.clear()
    plots.plot_yields(result(), tmp_path / "y.png", regions=["SR4j-2200", "SR4j-3400"])
    assert {"SR4j-2200", "SR4j-3400"} <= set(texts)
    assert "SR2j-1600" not in texts
    texts.clear()
    plots.plot_limits(result(), tmp_path / "l.png")
    assert {"MB-GGd (decides)", "MB-SSd", "no simulated event passes"} <= set(texts)


def test_hostile_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    made = document()
    made["regions"][0]["name"] = "$\\frac{1}{"
    made["theory"]["name"] = "$x_{ \x1b[31m 日本 " + "long " * 50
    made["limits"][0]["name"] = "a$_b\\"
    plots.plot_yields(result_of(made), tmp_path / "y.png", regions=["$\\frac{1}{", "SR4j-2200"])
    plots.plot_limits(result_of(made), tmp_path / "l.svg")
    assert (tmp_path / "y.png").stat().st_size > 10_000
    assert (tmp_path / "l.svg").stat().st_size > 10_000


def test_extreme_numbers_are_drawn(tmp_path: Path) -> None:
    made = document()
    made["regions"] = made["regions"][:1]
    made["regions"][0] |= {"observed": 0, "background": 0, "background_error": 0, "signal": 0.0}
    made["limits"] = [limit("MB-GGd", 1e-9, 0.0), no_limit("X", "failed")]
    plots.plot_yields(result_of(made), tmp_path / "y.png")
    plots.plot_limits(result_of(made), tmp_path / "l.png")
    made["regions"][0] |= {"observed": 10**7, "background": 1e-6, "background_error": 3.0, "signal": -2.0}
    plots.plot_yields(result_of(made), tmp_path / "y2.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_plotted_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"\.pdf, \.svg, \.png"):
        plots.plot_yields(result(), tmp_path / "y.docx")
    with pytest.raises(InvalidInput, match="no region"):
        plots.plot_yields(result(regions=[]), tmp_path / "y.png")
    empty = result(limits=[no_limit("a")], best=None, verdict="undetermined")
    with pytest.raises(InvalidInput, match="no upper limit"):
        plots.plot_limits(empty, tmp_path / "l.png")
    with pytest.raises(InvalidInput, match="cannot write"):
        plots.plot_yields(result(), tmp_path / "missing" / "y.png")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mplhep", None)
    with pytest.raises(NotAllowed, match=r"pip install 'reana-lite\[plots\]'"):
        plots.plot_yields(result(), tmp_path / "y.png")


@pytest.mark.parametrize(
    ("n", "low", "high"), [(0, 0.0, 1.841), (1, 0.173, 3.300), (5, 2.840, 8.382), (100, 90.02, 111.03)]
)
def test_poisson_intervals_are_those_of_the_tables(n: int, low: float, high: float) -> None:
    # central 68.27 % intervals, Review of Particle Physics, statistics
    found = plots.poisson_interval(n)
    assert math.isclose(found[0], low, rel_tol=0.01, abs_tol=1e-9)
    assert math.isclose(found[1], high, rel_tol=0.01)
