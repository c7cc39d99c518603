"""validation.json: what is read, what is refused, and numbers only beside their references."""

from __future__ import annotations

import json
from datetime import date

import pytest

from reana_lite.analysis import Analysis, Expectation, Found, Record, read_records, write_records
from reana_lite.analysis import Test as Declared
from reana_lite.comparison import found_in, in_words, quantity_name, recorded_rows, to_text, validation_of
from reana_lite.errors import InvalidAnalysis

STATE = "sha256:" + "0" * 64
RECORD = Record(STATE, date(2026, 1, 2), "reana-lite 0.1.0", (
    Found("regions/SR-A/efficiency", 0.15, 0.01), Found("verdict", "excluded"), Found("verdict", True, None, "second"),
))  # fmt: skip
WANTED = Expectation("regions/SR-A/efficiency", value=0.16, error=0.02, sigmas=2, source="HEPData")
TEST = Declared("one", expect=(WANTED, Expectation("verdict", equals="excluded"), Expectation("best", equals="A")))


def test_what_is_written_is_read() -> None:
    text = write_records({"one": RECORD, 'a "b"': RECORD}, analysis="x")
    assert read_records(text, "validation.json") == {"one": RECORD, 'a "b"': RECORD}
    assert text.count("\n") == 16, "one line per number"


def test_numbers_have_six_digits() -> None:
    record = Record(STATE, date(2026, 1, 2), "p", (Found("a", 0.1234567891), Found("b", 12345678)))
    assert [row.value for row in read_records(write_records({"t": record}, analysis="x"), "v")["t"].found] == [
        0.123457, 12345678,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=2), "/version"),
        (lambda d: d["tests"]["one"].pop("state"), "'state' is a required property"),
        (lambda d: d["tests"]["one"]["found"][0].update(value=[1]), "/tests/one/found/0/value"),
        (lambda d: d["tests"]["one"]["found"][0].update(reference=1), "'reference' was unexpected"),
        (lambda d: d["tests"]["one"].update(recorded_on="2026-13-01"), "month must be in"),
    ],
)
def test_a_file_that_is_none_is_refused(change, words: str) -> None:
    document = json.loads(write_records({"one": RECORD}, analysis="x"))
    change(document)
    with pytest.raises(InvalidAnalysis, match=words):
        read_records(json.dumps(document), "validation.json")
    with pytest.raises(InvalidAnalysis, match="not JSON"):
        read_records("{", "validation.json")


def test_recorded_numbers_are_judged_by_what_the_analysis_says_now() -> None:
    rows = recorded_rows(TEST, RECORD)
    assert [(row.got, row.passed) for row in rows] == [(0.15, True), ("excluded", True), (None, None)]
    assert (rows[0].reference_error, rows[0].got_error) == (0.02, 0.01)
    assert rows[0].pull == pytest.approx(-0.01 / 0.0223607, rel=1e-4)
    assert rows[0].tolerance == pytest.approx(0.0447214, rel=1e-4)
    assert in_words(rows) == "2 of 2 passed, 1 not recorded"
    assert in_words(recorded_rows(TEST, None)) == "3 references, not recorded"
    assert "0.16 ± 0.02" in to_text(rows)
    assert "0.15 ± 0.01" in to_text(rows)
    other = Declared("one", expect=(Expectation("regions/SR-A/efficiency", value=0.5, relative=0.1),))
    assert recorded_rows(other, RECORD)[0].passed is False


def test_nothing_is_shown_that_has_no_reference() -> None:
    told = validation_of(Analysis("x", "X", "w.yml", tests=(TEST,), records={"one": RECORD, "gone": RECORD}))
    assert [one["name"] for one in told] == ["one"]
    assert [row["value"] for row in told[0]["rows"]] == ["regions/SR-A/efficiency", "verdict", "best"]
    assert told[0]["recorded"] == {"on": "2026-01-02", "program": "reana-lite 0.1.0", "state": STATE}


def test_what_is_recorded_of_a_result() -> None:
    document = {"regions": [{"name": "A", "efficiency": 0.2, "efficiency_error": 0.01}], "verdict": "excluded"}
    wanted = [
        Expectation("regions/A/efficiency", value=0.2, sigmas=2), Expectation("verdict", equals="excluded"),
        Expectation("regions/A/efficiency", minimum=0.1), Expectation("regions/B/efficiency", value=1.0),
    ]  # fmt: skip
    assert found_in(document, wanted) == (Found("regions/A/efficiency", 0.2, 0.01), Found("verdict", "excluded"))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("regions/SR4j-2200/efficiency", "SR4j-2200: acceptance × efficiency"),
        ("limits/1Lbb/cls_expected/2", "1Lbb: expected CLs at μ = 1, median"),
        ("limits/MB-GGd/xsec_limit_observed_pb", "MB-GGd: observed upper limit on σ [pb]"),
        ("extra/s95/SR2j/expected/2", "SR2j: expected S95 [events], median"),
        ("cutflow/gluino-gluino/SR4j/nj4/efficiency", "gluino-gluino, SR4j / nj4: efficiency after the cut"),
        ("verdict", "verdict"),
        ("extra/own", "extra/own"),
    ],
)
def test_quantities_are_named_for_readers(path: str, name: str) -> None:
    assert quantity_name(path) == name
