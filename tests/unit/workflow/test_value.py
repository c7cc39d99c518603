"""The data model: numbers as jq gives them, encoded strings, references to leaves."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow import jqprogram
from reana_lite.workflow.value import Reference, canonical, decoded, read_pointer, references, resolve, through_jq

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.0, 2),
        (1e5, 100000),
        (1e21, 1000000000000000000000),
        (123456789012345678901, 123456789012345683968),
        (-0.0, 0),
        (0.1, 0.1),
        (math.inf, 1.7976931348623157e308),
        (-math.inf, -1.7976931348623157e308),
        (10**400, 1.7976931348623157e308),
        (True, True),
    ],
)
def test_numbers_through_jq(value: Any, expected: Any) -> None:
    assert repr(through_jq(value)) == repr(expected)


def test_not_a_number_is_null() -> None:
    assert through_jq([math.nan]) == [None]


@given(JSON)
def test_through_jq_is_what_jq_does(value: Any) -> None:
    assert repr(through_jq(value)) == repr(canonical(jqprogram.first(".", value)))


def encoded(value: Any) -> str:
    return "b64json://" + base64.b64encode(json.dumps(value).encode()).decode()


def test_encoded_strings_are_replaced_wherever_they_are() -> None:
    value = {"b": [encoded({"z": 1, "y": encoded([2])})], "a": "x " + encoded(1)}
    assert decoded(value) == {"b": [{"z": 1, "y": [2]}], "a": "x " + encoded(1)}
    assert list(decoded(value)) == ["b", "a"]
    assert list(canonical(value)) == ["a", "b"]


@pytest.mark.parametrize("text", ["b64json://%%%", "b64json://YWJj", "b64json://A", "b64json:///w=="])
def test_a_broken_encoded_string_is_refused(text: str) -> None:
    with pytest.raises(InvalidWorkflow, match="does not carry base64 of JSON"):
        decoded([text])


def test_encoding_upon_encoding_is_taken_apart_up_to_a_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoded(encoded(encoded(encoded(5)))) == 5
    monkeypatch.setattr("reana_lite.workflow.value._DEPTH", 2)
    with pytest.raises(InvalidWorkflow, match="more than 2 times"):
        decoded(encoded(encoded(encoded(5))))


def test_leaves_are_references_but_null_and_false_are_not() -> None:
    tree = references("/a/0", {"x": None, "y": False, "z": True, "e": [], "s/t~": [0, ""]})
    assert tree == {
        "x": None,
        "y": False,
        "z": Reference("/a/0", "/z", True),
        "e": [],
        "s/t~": [Reference("/a/0", "/s~1t~0/0", 0), Reference("/a/0", "/s~1t~0/1", "")],
    }
    inputs: list[tuple[str, str]] = []
    assert resolve(tree, inputs) == {"x": None, "y": False, "z": True, "e": [], "s/t~": [0, ""]}
    assert inputs == [("/a/0", "/z"), ("/a/0", "/s~1t~0/0"), ("/a/0", "/s~1t~0/1")]


@pytest.mark.parametrize("value", [None, False, 1, "x"])
def test_a_result_that_is_a_single_value_is_one_reference(value: Any) -> None:
    assert references("/a/0", value) == Reference("/a/0", "", value)


@given(JSON)
def test_references_read_back_what_they_point_at(value: Any) -> None:
    value = canonical(value)
    inputs: list[tuple[str, str]] = []
    assert resolve(references("/n", value), inputs) == value
    for _, pointer in inputs:
        assert not isinstance(read_pointer(value, pointer), list | dict)
