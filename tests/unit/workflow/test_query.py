"""The JSONPath dialect: precedence, values found, and the errors it has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow.query import Binary, Fields, Index, Query, Slice, parse
from reana_lite.workflow.value import Reference

DATA: Any = {
    "a": [{"x": 1, "b": {"c": [1, 2]}}, {"x": 2}],
    "b": {"a": {"x": "s"}, "c": [[1], [2, 3]]},
    "one": 5,
    "odd name": [7],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one", [5]),
        ("$.one", [5]),
        ("a[0].x", [1]),
        ("a[-1].x", [2]),
        ("a[5]", []),
        ("a[*].x", [1, 2]),
        ("a.[*].x", [1, 2]),
        ("a[0:1].x", [1]),
        ("a[1:].x", [2]),
        ("a[*].b.c[1]", [2]),
        ("one,nothing,b", [5, DATA["b"]]),
        ("a[*].x,b", [1, {"c": [1, 2]}, 2]),
        ("b..x", ["s"]),
        ("..x", None),
        ("$..x", [1, 2, "s"]),
        ("one | one", [5, 5]),
        ("b.a | c", [{"x": "s"}, [[1], [2, 3]]]),
        ("((a[0]) | (a[1])).x", [1, 2]),
        ("a[1] | a[0]", "KeyError"),
        ("'odd name'", [[7]]),
        ('"odd name"[0]', [7]),
        ("'it\\'s'", []),
        ("b[a,c]", [{"x": "s"}, [[1], [2, 3]]]),
        ("b[*]", [DATA["b"]]),
        ("b.*", [{"x": "s"}, [[1], [2, 3]]]),
        ("b where a", [DATA["b"]]),
        ("b where nothing", []),
        ("a[0].b.`parent`.x", [1]),
        ("b.`this`.a.x", ["s"]),
        ("a[0].b.$.one", [5]),
        ("one[*]", [5]),
        ("b\n.\ta", [{"x": "s"}]),
    ],
)
def test_finds(text: str, found: Any) -> None:
    if found is None:
        with pytest.raises(InvalidWorkflow, match=r"unexpected '\.\.' at column 1"):
            parse(text)
    elif found == "KeyError":  # it is (a[1] | a)[0], and an index does not go with a mapping
        with pytest.raises(InvalidWorkflow, match="an index is applied to a mapping"):
            parse(text).find(DATA)
    else:
        assert parse(text).find(DATA) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "ends too early"),
        ("1st", "unexpected '1' at column 1"),
        ("a.", "ends too early"),
        ("a b", "unexpected 'b' at column 3"),
        ("é", "unexpected character at column 1"),
        ("a['x", "unexpected character"),
        ("a[", "ends too early"),
        ("a[]", "unexpected ']'"),
        ("a,*", "unexpected '\\*'"),
        ("where", "unexpected 'where'"),
        ("`other`", "unexpected 'other'"),
        ("(a", "ends too early"),
        ("a)", "unexpected '\\)'"),
    ],
)
def test_does_not_parse(text: str, reason: str) -> None:
    with pytest.raises(InvalidWorkflow, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("b[0]", "an index is applied to a mapping"),
        ("one[0]", "applied to a single value"),
        ("a[0].b.c[-3]", "beyond the beginning"),
        ("`parent`", "above the top"),
        ("a & b", "not available"),
    ],
)
def test_cannot_be_applied(text: str, reason: str) -> None:
    query = parse(text)
    with pytest.raises(InvalidWorkflow, match=reason):
        query.find(DATA)


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": 1}])
def test_only_a_text_is_a_query(value: Any) -> None:
    with pytest.raises(InvalidWorkflow, match="must be a string"):
        parse(value)


def test_a_reference_is_a_single_value() -> None:
    tree = {"x": Reference("/a/0", "/x", "text")}
    with pytest.raises(InvalidWorkflow, match="single value"):
        parse("x[*]").find(tree)
    assert parse("x.y").find(tree) == []


def test_brackets_are_the_loosest_operator() -> None:
    union = Binary("|", Fields(("b",)), Fields(("c",)))
    assert parse("a.b|c[0]").path == Binary(".", Binary(".", Fields(("a",)), union), Index(0))
    assert parse("a..b[*].c").path == Binary(
        ".", Binary(".", Binary("..", Fields(("a",)), Fields(("b",))), Slice()), Fields(("c",))
    )


@pytest.mark.parametrize(
    ("text", "roots", "plain", "grows"),
    [
        ("map", {"map"}, True, True),
        ("a,b", {"a", "b"}, True, True),
        ("$.map", {"map"}, True, True),
        ("sub[*].leaf", {"sub"}, False, True),
        ("(a | b)[0].x", {"a", "b"}, False, True),
        ("sub[-1].leaf", {"sub"}, False, False),
        ("sub[:-1]", {"sub"}, False, False),
        ("*", None, False, True),
        ("a.$.b", None, False, True),
        ("a[0].`parent`.b", None, False, True),
        ("[*]", None, False, True),
        ("a & b", {"a"}, False, False),
        ("a where b", {"a"}, False, True),
    ],
)
def test_what_a_query_depends_on(text: str, roots: set[str] | None, plain: bool, grows: bool) -> None:
    query = parse(text)
    assert (query.roots, query.plain, query.grows) == (None if roots is None else frozenset(roots), plain, grows)


PATHS = st.recursive(
    st.sampled_from(["a", "b", "x", "*", "[0]", "[*]", "[1:]", "a,b", "$", "'x'"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([".", "..", "|", " where "]), inner).map("".join),
        st.tuples(inner, st.sampled_from(["[0]", "[*]", "[a]"])).map("".join),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.sampled_from([1, "s", None, False]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=8,
)


@given(PATHS, st.dictionaries(st.sampled_from("abxy"), VALUES, max_size=4))
def test_only_its_roots_matter(text: str, data: dict[str, Any]) -> None:
    """A query finds the same when everything but its roots is taken away."""
    query = parse(text)
    if query.roots is None:
        return
    assert _found(query, data) == _found(query, {name: data[name] for name in data if name in query.roots})


def _found(query: Query, data: Any) -> Any:
    try:
        return query.find(data)
    except InvalidWorkflow as error:
        return error.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("*" + "..*" * 12, "values"),
        ("(a|a)" + ".(a|a)" * 40, "values"),
        ("(" * 4000 + "a" + ")" * 4000, "nested"),
        ("a." * 6000 + "a", "characters"),
        ("a" + ".a" * 4000, "nested|recursion"),
    ],
)
def test_queries_that_explode_are_ended(text: str, reason: str) -> None:
    data: dict[str, Any] = {}
    for _ in range(60):
        data = {"a": data, "b": [data]} if len(str(data)) < 5000 else {"a": data}
    with pytest.raises(InvalidWorkflow, match=reason):
        parse(text).find(data)
