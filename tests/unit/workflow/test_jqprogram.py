"""jq programs: outputs, errors, and nothing of the world outside."""

from __future__ import annotations

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
