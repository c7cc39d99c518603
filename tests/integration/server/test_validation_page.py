"""The validation of an analysis: recorded numbers beside their references, on its page and in the API."""

from __future__ import annotations

import re
from datetime import date
from html import unescape

from serving import World

from reana_lite.analysis import Found, Record, write_records


def test_the_page_and_the_api_show_recorded_numbers_beside_references(world: World) -> None:
    alice, browser = world.client("alice"), world.browser("alice")
    told = alice.get("/api/v1/analyses/counting").json["tests"]
    assert [one["recorded"] for one in told] == [None, None]
    assert "4 references, not recorded" in browser.get("/analyses/counting").text
    found = (Found("regions/tight/efficiency", 0.1333, 0.0054), Found("verdict", "not-excluded"))
    record = Record("sha256:" + "1" * 64, date(2026, 1, 2), "reana-lite 0.1.0", found)
    folder = world.settings.home / "catalogue" / "counting"
    (folder / "validation.json").write_text(write_records({"default": record}, analysis="counting"))
    told = alice.get("/api/v1/analyses/counting").json["tests"]
    assert told[0]["recorded"]["on"] == "2026-01-02"
    row = told[0]["rows"][0]
    assert (row["reference"], row["got"], row["got_error"], row["passed"]) == (0.1353, 0.1333, 0.0054, True)
    assert [row["passed"] for row in told[0]["rows"]] == [True, False, None]
    page = unescape(re.sub(r"<[^>]+>", " ", browser.get("/analyses/counting").text))
    words = " ".join(page.split())
    assert "1 of 2 passed, 2 not recorded" in words
    assert "tight: acceptance × efficiency 0.1353 0.1333 ± 0.0054 0.985 (−0.4σ) ± 0.016 ✓ passed" in words
    assert "verdict excluded not excluded ✕ failed" in words
    assert "Recorded on 2026-01-02 by reana-lite 0.1.0" in words
