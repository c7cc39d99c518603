"""Placeholders: what Python's formatting gives, and what it must not give."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.workflow.template import FILL_ERRORS, as_given, fill, flattened

VALUES: dict[str, Any] = {
    "n": 5,
    "x": 1.5,
    "s": "it's",
    "none": None,
    "yes": True,
    "list": [1, "x", [2]],
    "map": {"a": 1, "b.c": 2},
    "width": 3,
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("{n:05d}|{x:.2f}|{s!r}|{none}|{yes}", '00005|1.50|"it\'s"|None|True'),
        ("{list}", "[1, 'x', [2]]"),
        ("{map}", "{'a': 1, 'b.c': 2}"),
        ("{map[a]}{map[b.c]}", "12"),
        ("{list[1]}", "x"),
        ("{n:{width}d}", "  5"),
        ("{n.real}", "5"),
        ("{{n}} {{", "{n} {"),
        ("1.5{n}2.x", "1.552.x"),
    ],
)
def test_fills_in(template: str, expected: str) -> None:
    assert fill(template, (), VALUES) == expected


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{nothere}", KeyError),
        ("{}", IndexError),
        ("{0}", IndexError),
        ("{n", ValueError),
        ("}", ValueError),
        ("{n:q}", ValueError),
        ("{map[nothere]}", KeyError),
        ("{n[0]}", TypeError),
        ("{s.__class__}", AttributeError),
        ("{s.__class__.__mro__[1].__subclasses__}", AttributeError),
        ("{n:{s.__class__}}", AttributeError),
        ("{s.upper}", AttributeError),
        ("{list.append}", AttributeError),
        ("{map[b.c].__init__}", AttributeError),
        ("{n:999999999d}", ValueError),
        ("{n:{big}d}", ValueError),
        ("{x:.999999999f}", ValueError),
    ],
)
def test_refuses(template: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        fill(template, (), {**VALUES, "big": 999999999})


@given(st.text(st.sampled_from("{}[].:!rsn0_ad x"), max_size=12))
def test_as_str_format_does_wherever_that_is_harmless(template: str) -> None:
    values = {"n": 5, "s": "text", "a": [1, 2], "d": {"n": 1}}
    try:
        got: Any = fill(template, (), values)
    except FILL_ERRORS as error:
        got = type(error)
    try:
        expected: Any = template.format(**values)
    except FILL_ERRORS as error:
        expected = type(error)
    if isinstance(expected, str) and "<" in expected:  # an address or a class: refused here
        assert got is AttributeError
    elif isinstance(expected, type):
        assert isinstance(got, type)
    else:
        assert got == expected


def test_a_very_long_text_of_braces_is_quick() -> None:
    text = "{" * 50_000
    before = time.process_time()
    with pytest.raises(FILL_ERRORS):
        fill(text + "{", (), VALUES)
    with pytest.raises(FILL_ERRORS):
        fill("{" + ":" * 100_000, (), VALUES)
    assert fill(text + text, (), VALUES) == text
    assert time.process_time() - before < 2


def test_commands_join_lists_of_the_first_level() -> None:
    assert flattened({"a": [1, "x", None], "b": [[1, 2]], "c": {"d": [1]}, "e": []}) == (
        [],
        {"a": "1 x None", "b": "[1, 2]", "c": {"d": [1]}, "e": ""},
    )
    assert flattened([1, [2, 3]]) == ([1, "2 3"], {})
    assert flattened("x") == ([], {"value": "x"})


def test_published_texts_keep_lists() -> None:
    assert as_given({"a": [1]}) == ([], {"a": [1]})
    assert as_given([[1]]) == ([[1]], {})
    assert as_given(3) == ([], {"value": 3})
