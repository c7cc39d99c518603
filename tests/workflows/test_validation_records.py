"""What is recorded of the shipped analyses: all of their references, of the analysis as it is now, within tolerance."""

from __future__ import annotations

from pathlib import Path

import pytest

from reana_lite.catalogue import Sources, load_analysis
from reana_lite.comparison import recorded_rows, summary
from reana_lite.target.state import state_of

SHIPPED = sorted((Path(__file__).parents[2] / "workflows").glob("*/analysis.yml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_every_reference_has_a_recorded_number_of_this_state_within_its_tolerance(path: Path) -> None:
    analysis = load_analysis(path)
    assert analysis.tests
    assert analysis.records.keys() == {test.name for test in analysis.tests}
    for test in analysis.tests:
        record = analysis.records[test.name]
        again = f"{test.name}: run `recast test {analysis.name} --record`"
        assert record.state == state_of(analysis, test, Sources()), again
        rows = recorded_rows(test, record)
        assert rows
        assert [row.value for row in rows if not row.passed] == [], again


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_the_readme_has_the_recorded_summary(path: Path) -> None:
    analysis = load_analysis(path)
    rows = [row for test in analysis.tests for row in recorded_rows(test, analysis.records[test.name])]
    again = f"`recast catalogue validation {analysis.name} --summary` says what belongs there"
    assert summary(rows) in (path.parent / "README.md").read_text(encoding="utf-8"), again
