"""Init data and data options from text."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reana_lite.errors import InvalidInput
from reana_lite.workflow.initdata import DataOptions, InitOptions, assigned, init_file


def test_assignments_are_yaml_split_at_the_first_sign_and_the_last_of_a_key_stands() -> None:
    assert assigned(["z=1", "z=[1, 2]", "v={k: 1}", "u=a=b", "t="]) == {
        "z": [1, 2],
        "v": {"k": 1},
        "u": "a=b",
        "t": None,
    }


def test_values_are_json_and_encoded_strings_decoded() -> None:
    found = init_file("a.yml", "a: {1: on, ~: [!!omap [x: 1]]}\nb: b64json://eyJrIjogWzFdfQ==\nc: .nan\nd: 1e5\ne: 2.0")
    assert math.isnan(found.pop("c"))
    assert found == {"a": {"1": True, "null": [[["x", 1]]]}, "b": {"k": [1]}, "d": "1e5", "e": 2.0}


@pytest.mark.parametrize(
    ("text", "said", "field", "line"),
    [
        ("", "init file a.yml is empty; it must hold a mapping", "initfiles", None),
        ("[1]", "init file a.yml holds a list; it must hold a mapping", "initfiles", None),
        ("a: 1\n2: 3", "a.yml:2: key 2 must be text; quote it", "initfiles", 2),
        ("a: 1\nb: [", "a.yml:2: no valid YAML: while parsing a flow node expected the node content", "initfiles", 2),
        ("a: 1\nb:\n  c: 2020-01-01", "a.yml:3: a date is not JSON; quote it to keep it as text", "b", 3),
        ("a: 1\nb: !!binary aGk=", "a.yml:2: a bytes is not JSON", "b", 2),
        ("a: {2020-01-01: 1}", "a.yml:1: a date cannot be a key; write text", "a", 1),
        ("a: &x [*x]", "a.yml:1: an alias leads back into the value it stands in", "a", 1),
        ("a: b64json://x", "a.yml:1: the string 'b64json://x' does not carry base64 of JSON", "a", 1),
    ],
)
def test_init_files_that_cannot_be_used(text: str, said: str, field: str, line: int | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        init_file("a.yml", text)
    assert caught.value.message.startswith(said)
    assert (caught.value.details.get("field"), caught.value.details.get("line")) == (field, line)


def test_init_files_do_not_explode() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(InvalidInput, match="aliases expand to more than"):
        init_file("a.yml", "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "said", "field"),
    [
        ("word", "-p 'word' must be KEY=VALUE", "-p"),
        ("k=[", "-p k:1: no valid YAML", "k"),
        ("k=2020-01-01", "-p k: a date is not JSON; quote it to keep it as text", "k"),
    ],
)
def test_assignments_that_cannot_be_used(text: str, said: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        assigned([text])
    assert caught.value.message.startswith(said)
    assert caught.value.details["field"] == field


def test_data_options() -> None:
    assert DataOptions.of({}) == DataOptions(initdir="init", nest=True, ensure=True, overwrite=False)
    given = {"initdir": "/x", "pathbase": None, "subinits": {"a": "p", "b": {"_data": "q", "c_0": "r"}}, "nest": False}
    found = DataOptions.of(given)
    assert (found.initdir, found.pathbase, found.nest) == ("/x", None, False)
    assert found.subinits["b"]["c_0"] == "r"
    assert DataOptions.of({"inputarchive": "file:///z.zip", "archivematch": "*/"}).archivematch == "*/"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"initdri": "x"}, r"unknown data option 'initdri' \(is 'initdir' meant\?\); known: initdir, pathbase"),
        ({"read": "x"}, "data option 'read' cannot be given as text"),
        ({"initdir": 3}, "initdir must be text, not 3"),
        ({"nest": "no"}, "nest must be true or false, not 'no'"),
        ({"inputarchive": "u", "archivematch": "x"}, "archivematch 'x' must end in '/'"),
        ({"archivematch": "x/"}, "archivematch needs an inputarchive"),
        ({"subinits": "x"}, "subinits must be a mapping of stages to folders"),
        ({"subinits": {"a": {"b": 3}}}, "subinits/a/b must be a folder, not 3"),
        ({"subinits": {"a": {"_data": {"x": "y"}}}}, "subinits/a/_data must be a folder"),
    ],
)
def test_data_options_that_cannot_be_used(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        DataOptions.of(options)


def test_init_options() -> None:
    assert InitOptions.of({"discover": False}) == InitOptions(discover=False, relative=True)
    with pytest.raises(InvalidInput, match="unknown workflow option 'discovr'"):
        InitOptions.of({"discovr": False})
    with pytest.raises(InvalidInput, match="relative must be true or false"):
        InitOptions.of({"relative": 1})
