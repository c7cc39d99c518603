"""Expressions over values: what they come to, held against Python's own arithmetic, and that nothing else gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.errors import InvalidInput
from reana_lite.theory.condition import MAX_DEPTH, MAX_LENGTH, Expression

VALUES = {"m_gluino": 2000, "m_lsp": 100.0, "x": 0.5, "decay": "qq", "prompt": True}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m_lsp < m_gluino - 100", True),
        ("m_lsp < m_gluino - 1900", False),
        ("m_lsp <= m_gluino - 1900", True),
        ("0 < m_lsp < m_gluino", True),
        ("0 < m_gluino < m_lsp", False),
        ("m_gluino == 2000.0", True),
        ("not m_lsp > 50 or m_gluino > 1e3", True),
        ("not (m_lsp > 50 or m_gluino > 1e3)", False),
        ("m_lsp > 50 and m_gluino > 1e4", False),
        ("decay == 'qq' and prompt", True),
        ('decay != "tt"', True),
        ("decay == 2", False),
        ("prompt == true", True),
        ("-m_lsp < -50", True),
        ("abs(m_lsp - m_gluino) > 1899.5", True),
        ("exp(log(m_gluino)) > 1999 and sqrt(4) == 2", True),
        ("1 - 2 - 3 == -4 and 8 / 4 / 2 == 1 and 2 + 3 * 4 == 14", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert Expression.of(text).holds(VALUES) is expected


def test_numbers_and_names() -> None:
    expression = Expression.of("(m_gluino + m_lsp) / 2")
    assert expression.number(VALUES) == 1050.0
    assert expression.names == {"m_gluino", "m_lsp"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing in it"),
        ("m_lsp <", "missing at the end"),
        ("m_lsp < < 3", "before '<'"),
        ("(m_lsp < 3", "closing parenthesis"),
        ("m_lsp < 3)", "not expected"),
        ("m_gluino ** 2 > 1", "before '*'"),
        ("m_lsp = 3", "'=' means nothing"),
        ("__import__('os')", "not expected"),
        ("m_lsp.real()", "not expected"),
        ("[1]", "'[' means nothing"),
        ("lambda: 1", "':' means nothing"),
        ("'open", "means nothing"),
        ("1 and", "missing at the end"),
        ("(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1), "nested deeper"),
        ("1 + " * MAX_LENGTH + "1", "longer than"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=r"right is such as") as caught:
        Expression.of(text)
    assert words in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m_stop > 1", "no 'm_stop'; there are decay, m_gluino"),
        ("m_lsp / (m_gluino - 2000) > 1", "division by zero"),
        ("m_lsp + decay > 1", "'qq' is not a number"),
        ("decay < 3", "have no order"),
        ("m_lsp", "not to true or false"),
        ("m_lsp and true", "neither true nor false"),
        ("log(0) > 1", "log of 0"),
        ("exp(100000) > 1", "too large"),
    ],
)
def test_what_cannot_be_evaluated_is_told(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Expression.of(text).holds(VALUES)
    assert words in caught.value.message


NUMBERS = st.integers(0, 999).map(str)
SUMS = st.recursive(
    NUMBERS | st.sampled_from(["m_gluino", "m_lsp", "x"]),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    | inner.map(lambda t: f"-{t}"),
    max_leaves=12,
)  # fmt: skip
CONDITIONS = st.recursive(
    st.tuples(SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS).map(" ".join),
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})")
    | inner.map(lambda t: f"not ({t})"),
    max_leaves=4,
)  # fmt: skip


@given(CONDITIONS)
def test_it_agrees_with_python(text: str) -> None:
    if len(text) > MAX_LENGTH or text.count("(") >= MAX_DEPTH:
        return
    values = {"m_gluino": 2000, "m_lsp": 100.0, "x": 0.5}
    try:
        expected = eval(text, {}, values)
    except ZeroDivisionError:
        with pytest.raises(InvalidInput, match="division by zero"):
            Expression.of(text).holds(values)
    else:
        assert Expression.of(text).holds(values) is expected


@given(st.text(max_size=80) | st.text("a<>=()+-*/.'0123456789 andornot", max_size=30))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    said = ""
    value: object = None
    try:
        value = Expression.of(text).value({"a": 1})
    except InvalidInput as error:
        said = error.message
    assert (value is None) is bool(said)
    assert len(said) < 400
