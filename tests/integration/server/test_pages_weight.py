"""What pages weigh where there is much to show: 1,000 points, 1,000 steps. Bytes, not seconds (see bench_pages.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from pages_filling import pages, site, without_plots

LIMIT = 50_000
MARK = 110
"""Bytes of a mark where there are many (its link, its shape, its place)."""


@pytest.fixture(scope="module", params=[53, 1000])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, str], int]:
    client, ids = site(tmp_path_factory.mktemp("site"), points=request.param, steps=500)
    return client, ids, request.param


def test_every_page_is_light(full: tuple[Any, dict[str, str], int]) -> None:
    client, ids, points = full
    heavy = {}
    for name, address in pages(ids).items():
        answer = client.get(address)
        assert answer.status_code == 200, (name, answer.text)
        light = without_plots(answer.data)
        drawn = len(answer.data) - len(light)
        if len(light) > LIMIT or drawn > 60_000 + 2 * MARK * points:
            heavy[name] = len(light), drawn
    assert not heavy


def test_a_plane_as_a_paper_has_it_fits_with_its_plot(full: tuple[Any, dict[str, str], int]) -> None:
    client, ids, points = full
    page = client.get(f"/campaigns/{ids['plane']}").data
    assert page.count(b"<use href=") == points
    assert len(page) < (LIMIT if points < 100 else LIMIT + 150 * points)


def test_many_points_are_in_the_table_and_no_stops_of_the_keyboard(full: tuple[Any, dict[str, str], int]) -> None:
    client, ids, points = full
    page = client.get(f"/campaigns/{ids['plane']}").text
    assert page.count('tabindex="-1"') == (1 + points if points > 400 else 1)
    found: set[str] = set()
    for at in range(-(-points // 40)):
        table = client.get(f"/campaigns/{ids['plane']}?page={at}").text.partition('id="points"')[2]
        found |= {part.partition('"')[0] for part in table.split('href="/runs/')[1:]}
    assert len(found) == points
