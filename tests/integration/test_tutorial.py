"""Every command of the tutorial, as a reader types it: in order, in one shell, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines after "$ " in the console blocks of a page; lines after "> " go on with the one above."""
    found: list[str] = []
    for block in BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(line[2:])
            elif line.startswith("> ") and found:
                found[-1] += "\n" + line[2:]
    return found


@pytest.mark.parametrize("page", sorted(DOCS.glob("tutorial*.md")), ids=lambda path: path.name)
def test_every_command_of_the_tutorial_works(page: Path, tmp_path: Path) -> None:
    lines = commands(page.read_text(encoding="utf-8"))
    assert len(lines) > 20
    assert "```\n$" not in page.read_text(encoding="utf-8"), "a block with commands is a console block"
    binaries = tmp_path / "bin"
    binaries.mkdir()
    program = binaries / "recast"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m reana_lite "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "folder"
    folder.mkdir()
    script = "set -e\n" + "".join(f"echo '@@@ {number}' >&2\n{line}\n" for number, line in enumerate(lines))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAST_")}
    ended = subprocess.run(
        ["bash", "-c", script], cwd=folder, text=True, capture_output=True, check=False, timeout=540,
        env=kept | {"RECAST_HOME": str(tmp_path / "home"), "PATH": f"{binaries}:{kept['PATH']}", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    reached = int(re.findall(r"@@@ (\d+)", ended.stderr)[-1])
    assert ended.returncode == 0, f"{lines[reached]}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    assert reached == len(lines) - 1
    assert (folder / "contour.png").stat().st_size > 10_000
    assert "excluded" in ended.stdout
    assert "Traceback" not in ended.stderr
