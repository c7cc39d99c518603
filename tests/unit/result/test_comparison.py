"""Results against references: rows, ratios, pulls, tolerances, tables."""

from __future__ import annotations

import csv
import io
import json

import pytest
from result_samples import document

from reana_lite.analysis import Expectation
from reana_lite.comparison import Row, compare_to_references, passed, to_csv, to_json, to_markdown, to_text

PUBLISHED = Expectation(
    "regions/SR4j-2200/efficiency",
    value=0.172,
    relative=0.15,
    sigmas=2,
    source="HEPData ins1827025",
    reason="shower only",
)


def one(expectation: Expectation, **changes: float) -> Row:
    made = document()
    made["regions"][1] |= changes
    (row,) = compare_to_references(made, [expectation])
    return row


def test_a_number_within_its_tolerance_passes() -> None:
    row = one(PUBLISHED, efficiency=0.154, efficiency_error=0.004)
    assert row.passed
    assert row.ratio == pytest.approx(0.154 / 0.172)
    assert row.got_error == pytest.approx(0.004)
    assert row.pull == pytest.approx(-4.5)
    assert row.tolerance == pytest.approx(0.15 * 0.172 + 2 * 0.004)
    assert (row.source, row.reason) == ("HEPData ins1827025", "shower only")


def test_the_monte_carlo_error_widens_the_tolerance() -> None:
    assert not one(PUBLISHED, efficiency=0.14, efficiency_error=0.001).passed
    assert one(PUBLISHED, efficiency=0.14, efficiency_error=0.004).passed


def test_a_number_outside_fails_with_both_numbers() -> None:
    row = one(PUBLISHED, efficiency=0.3)
    assert not row.passed
    assert "0.3 instead of 0.172" in row.message


def test_words_bounds_and_missing_values() -> None:
    rows = compare_to_references(
        document(),
        [
            Expectation("verdict", equals="excluded"),
            Expectation("verdict", equals="not-excluded"),
            Expectation("limits/MB-GGd/cls_observed", maximum=0.05),
            Expectation("regions/SR9/efficiency", value=0.1, sigmas=2),
            Expectation("regions/SR6j-3400/efficiency", value=0.0, absolute=0.01),
        ],
    )
    assert [row.passed for row in rows] == [True, False, True, False, True]
    assert "SR9" in rows[3].message
    assert rows[4].ratio is None
    assert not passed(rows)
    assert not passed([])
    assert passed(rows[:1])


def test_tables() -> None:
    rows = compare_to_references(document(), [PUBLISHED, Expectation("verdict", equals="not-excluded", source="a|b")])
    text = to_text(rows)
    assert "regions/SR4j-2200/efficiency  0.172" in text
    assert "failed: verdict: 'excluded' instead of 'not-excluded'" in text
    assert text.endswith("1 of 2 passed\n")
    markdown = to_markdown(rows).splitlines()
    assert markdown[2].startswith(
        "| regions/SR4j-2200/efficiency | 0.172 | 0.172 ± 0.0041 | 1.000 | ± 0.034 | passed |"
    )
    assert markdown[3].endswith("| FAILED | a\\|b |")
    loaded = json.loads(to_json(rows))
    assert (loaded["passed"], loaded["rows"][0]["reference"]) == (False, 0.172)
    table = list(csv.reader(io.StringIO(to_csv(rows))))
    assert table[0][:3] == ["value", "reference", "got"]
    assert len(table) == 3
