"""The command line of recast-atlas, as a public lesson teaches it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from steps import step, workflow

ENTRY = """
name: tutorial/lesson
metadata: {author: a, input requirements: none, short description: a lesson}
spec:
  toplevel: specs
  workflow: workflow.yml
example_inputs:
  default: {initdata: {signal: 3}}
results: []
"""


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("name", ["lesson", "les son"])
def test_the_lesson_of_recast_atlas_word_by_word(recast, write, tmp_path: Path, shell: str, name: str) -> None:
    write(f"{name}/recast.yml", ENTRY)
    text = workflow(a=step("echo {signal} > {out}", parameters={"signal": {"step": "init", "output": "signal"}}))
    write(f"{name}/specs/workflow.yml", text)
    binary = tmp_path / "bin"
    binary.mkdir()
    (binary / "recast").write_text(f'#!/bin/sh\nexec {sys.executable} -m reana_lite "$@"\n')
    (binary / "recast").chmod(0o755)
    script = """
        set -e
        $(recast catalogue add $PWD)
        recast catalogue ls
        recast catalogue check tutorial/lesson
        recast run tutorial/lesson --tag vhbb
        recast run tutorial/lesson --tag vhbb
    """
    if name != "lesson":
        script = script.replace("add $PWD", 'add "$PWD"')
    environment = recast.environment | {"PATH": f"{binary}:{recast.environment['PATH']}"}
    done = subprocess.run([shell, "-c", script], cwd=recast.folder / name, env=environment, capture_output=True, text=True,
                          timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done
    assert "tutorial/lesson" in done.stdout
    assert "vhbb.1) finished: 0 of 1 steps reused" in done.stdout
    assert "vhbb.2) finished: 1 of 1 steps reused" in done.stdout
