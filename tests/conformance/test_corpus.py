"""Every case of the conformance corpus, with the real local backend, gives what yadage gave (or deviates on purpose).

The cases in tests/conformance/cases are always run; further folders of the same form beside the checkout
(../shared/conformance/public, or RECAST_SHARED) are run when they are there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from compare import compare
from run_case import run_case

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("RECAST_SHARED") or HERE.parent.parent.parent / "shared")
DEVIATIONS: dict[str, str] = yaml.safe_load((HERE / "deviations.yml").read_text(encoding="utf-8")) or {}


def case_folders() -> list[Path]:
    """All cases that are here, by name."""
    roots = [HERE / "cases", SHARED / "conformance" / "public"]
    return [
        folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()) if (folder / "case.yml").exists()
    ]


@cache
def missing_container_engine() -> str:
    """Why cases with containers cannot be run here; "" if they can."""
    if shutil.which("podman") is None:
        return "no podman"
    flags = shlex.split(os.environ.get("RECAST_TEST_CONTAINER_FLAGS", ""))
    command = ["podman", "run", "--rm", "--pull=never", *flags, "localhost/debian:bookworm", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    last = tried.stderr.strip().splitlines()[-1:] or ["no reason given"]
    return f"podman cannot run localhost/debian:bookworm: {last[0]}" if tried.returncode else ""


def as_parameter(folder: Path) -> Any:
    settings = yaml.safe_load((folder / "case.yml").read_text(encoding="utf-8")) or {}
    marks = [pytest.mark.container] if "container" in (settings.get("requires") or []) else []
    return pytest.param(folder, id=folder.name, marks=marks)


@pytest.mark.parametrize("folder", [as_parameter(folder) for folder in case_folders()])
def test_case(folder: Path, request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("container") and missing_container_engine():
        pytest.skip(missing_container_engine())
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    found = compare(expected, run_case(folder))
    if folder.name in DEVIATIONS:
        assert found, f"{folder.name} agrees with yadage now: take it out of deviations.yml"
        return
    assert not found, "\n".join(found)


def test_deviations_have_reasons_and_cases() -> None:
    known = {folder.name for folder in case_folders()}
    own = {folder.name for folder in (HERE / "cases").iterdir()}
    if (SHARED / "conformance" / "public").is_dir():
        assert known >= DEVIATIONS.keys()
    assert own & DEVIATIONS.keys()
    assert all(len(reason.split()) >= 5 for reason in DEVIATIONS.values())
