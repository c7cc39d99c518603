"""The page of a mass plane (`recast compare ... --plot x.html`) from its file, offline, in Chromium."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "comparison"))

from outcome_samples import outcome

from reana_lite.comparison import mass_plane
from reana_lite.plots.interactive import write_page

LIMIT_MS = 60_000
HOSTILE = "<img src=x onerror='window.hit = 1'>"


@pytest.fixture
def page(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """The page in an offline browser that complained of nothing and asked nothing of the network."""
    pytest.importorskip("plotly")
    path = tmp_path / "plane.html"
    write_page(plane(), path)
    context = chromium.new_context(offline=True, viewport={"width": 1100, "height": 800})
    context.set_default_timeout(LIMIT_MS)
    opened = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(path.as_uri())
    opened.wait_for_selector("#plane .scatterlayer .trace")
    yield opened
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []


def plane() -> Any:
    outcomes = [
        outcome(
            math.exp((m - 2150 + light / 2) / 200), m_gluino=float(m), m_lsp=float(light), analysis=HOSTILE,
            theory=f"{HOSTILE}{m}_{light}", run=f"run{m}{light}", within_validity=light < 1000,
        )
        for m in range(1600, 2601, 200) for light in range(0, 1201, 400)
    ]  # fmt: skip
    return mass_plane(outcomes, "m_gluino", "m_lsp")


def test_it_draws_curves_bands_and_points(page: Any) -> None:
    legend = page.locator("#plane .legendtext").all_text_contents()
    assert {"Expected ± 1σ", "Expected limit", "Observed limit", "Excluded", "Not excluded", "Outside validity"} <= set(
        legend
    )
    assert page.locator("#plane .scatterlayer .point").count() == 24
    drawn = page.locator("#plane .scatterlayer path.js-line").evaluate_all(
        "all => all.map(p => p.getAttribute('d').length)"
    )
    assert len(drawn) >= 2
    assert min(drawn) > 20
    titles = page.locator("#plane .xtitle, #plane .ytitle").all_text_contents()
    assert titles == ["m(g̃) [GeV]", "m(χ̃⁰₁) [GeV]"]
    box = page.locator("#plane").bounding_box()
    assert box["width"] > 600
    assert box["height"] > 300


def test_a_point_tells_its_numbers_and_names_are_not_obeyed(page: Any) -> None:
    marker = page.locator("#plane .scatterlayer .point").first
    spot = marker.bounding_box()
    page.mouse.move(spot["x"] + spot["width"] / 2 - 30, spot["y"] + spot["height"] / 2 - 30)
    page.mouse.move(spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2, steps=5)
    hover = page.locator("#plane .hoverlayer .hovertext")
    hover.first.wait_for()
    text = hover.first.text_content()
    assert "CLs observed = 0.04" in text
    assert "run1600" in text
    assert "onerror" in text, "the name is shown as it is"
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0


def test_a_click_in_the_legend_hides_a_curve(page: Any) -> None:
    def shown() -> int:
        return int(page.locator("#plane .scatterlayer path.js-line").count())

    before = shown()
    page.locator("#plane .legendtoggle").nth(
        page.locator("#plane .legendtext").all_text_contents().index("Observed limit")
    ).click()
    page.wait_for_function(f"document.querySelectorAll('#plane .scatterlayer path.js-line').length < {before}")
