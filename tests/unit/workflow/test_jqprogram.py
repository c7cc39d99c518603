"""jq programs: outputs, errors, and nothing of the world outside."""

from __future__ import annotations

import os

import pytest

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow import jqprogram


def test_outputs() -> None:
    assert jqprogram.every(".[] | . + 1", [1, 2]) == [2, 3]
    assert jqprogram.first(".[] # a comment", [1, 2]) == 1
    assert jqprogram.every("empty", 1) == []
    assert jqprogram.text(".a, .b", {"a": "é", "b": [1, 2]}) == '"\\u00e9"\n[1, 2]'


def test_a_number_that_is_not_touched_keeps_its_text() -> None:
    assert jqprogram.first("tostring", 2.0) == "2.0"
    assert repr(jqprogram.first(".", 2.0)) == "2"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (".[", "is not valid"),
        (".a.b", "failed: Cannot index number"),
        ("empty", "gave no output"),
        ('error("because")', "failed: because"),
        ("now", "a run must be repeatable"),
        ('import "x" as x; .', "is not valid"),
        ('include "x"; .', "is not valid"),
        ('"x" | modulemeta', "modules are not available"),
        ("input", "failed"),
    ],
)
def test_refuses(program: str, reason: str) -> None:
    with pytest.raises(InvalidWorkflow, match=reason):
        jqprogram.first(program, {"a": 1})


def test_environment_variables_are_not_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    assert jqprogram.every("env, $ENV, (.. | $ENV.SECRET_OF_THE_SERVER), env.SECRET_OF_THE_SERVER", 1) == [
        {}, {}, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f: f; f", "processor time"),
        ("[limit(1e12; repeat(1))] | length", "processor time|memory"),
        ("[range(1e10)]", "processor time|memory"),
        ('"a" * 3e9', "memory|failed"),
        ("range(1e7)", "outputs"),
        ('"x" * 70000000', "bytes|memory"),
        ("reduce range(20000) as $i (null; [.])", "deep"),
        ('("a" * 40 + "b") | test("^(a|a)*$")', "processor time|failed"),
        (".".ljust(200_000), "characters"),
    ],
)
def test_what_takes_too_much_is_ended(program: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jqprogram, "LIMIT_S", 2.0)
    jqprogram._helper.close()  # the next one has the shorter limit
    try:
        with pytest.raises(InvalidWorkflow, match=reason):
            jqprogram.every(program, {"a": 1})
        assert jqprogram.every("1 + 1", None) == [2]
    finally:
        jqprogram._helper.close()


def test_a_helper_that_was_killed_is_started_anew() -> None:
    assert jqprogram.first("1 + 1", None) == 2
    process = jqprogram._helper._process
    assert process is not None
    process.kill()
    process.wait()
    assert jqprogram.first("1 + 2", None) == 3


def test_a_process_that_is_forked_off_has_a_helper_of_its_own() -> None:
    assert jqprogram.first("1 + 1", None) == 2
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if jqprogram.first("2 + 2", None) == 4 and jqprogram._helper.close() is None else 1)
        except BaseException:  # noqa: BLE001 - never back into pytest
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert jqprogram.first("1 + 3", None) == 4
