"""`recast test --record`, and where what it recorded is shown: the catalogue, `recast check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def search(recast) -> Path:
    recast("catalogue", "create", "my-search")
    return recast.folder / "my-search"


def test_recorded_numbers_stand_beside_their_references(recast, search: Path) -> None:
    env = {"RECAST_CATALOGUE": str(recast.folder)}
    assert "3 references, not recorded" in recast("catalogue", "show", "my-search", env=env)
    recast("test", "./my-search", "default", "--record")
    written = json.loads((search / "validation.json").read_text())
    assert list(written["tests"]) == ["default"]
    rows = {row["path"]: row for row in written["tests"]["default"]["found"]}
    assert rows["verdict"]["value"] == "excluded"
    assert rows["regions/tight/efficiency"]["error"] > 0
    shown = recast("catalogue", "validation", "my-search", env=env)
    assert "default: 3 of 3 passed" in shown
    assert "heavy: 1 references, not recorded" in shown
    assert f"{rows['regions/tight/efficiency']['value']:.4g} ± " in shown
    document = json.loads(recast("catalogue", "validation", "my-search", "--json", env=env))
    assert [one["recorded"] is None for one in document] == [False, True]
    assert document[0]["rows"][0]["reference"] == 0.1353
    assert "default: The efficiency of the tight region" in recast("catalogue", "show", "my-search", env=env)
    # the other test is added, the first one stays
    recast("test", "./my-search", "heavy", "--record")
    assert list(json.loads((search / "validation.json").read_text())["tests"]) == ["default", "heavy"]
    assert "0 warnings" in recast("check", "./my-search")


def test_check_says_when_recorded_numbers_are_of_another_state(recast, search: Path) -> None:
    recast("test", "./my-search", "default", "--record")
    assert "nothing is recorded of test 'heavy'" in recast("check", "./my-search")
    code = search / "code" / "selection.py"
    code.write_text(code.read_text() + "\n# changed\n")
    assert "recorded of test 'default' is of another state of the analysis" in recast("check", "./my-search")
    document = search / "analysis.yml"
    document.write_text(document.read_text().replace("- name: default\n", "- name: other\n"))
    assert "validation.json has numbers of 'default', which is no test" in recast("check", "./my-search")


def test_a_broken_record_is_refused_with_its_place(recast, search: Path) -> None:
    (search / "validation.json").write_text('{"version": 1, "analysis": "my-search", "tests": {"default": {}}}')
    said = recast("check", "./my-search", code=3)
    assert "validation.json /tests/default" in said
    assert "'state' is a required property" in said
