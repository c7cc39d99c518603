"""Waiting for something to come true, with a limit; a module of its own because each folder has a `conftest`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def within(limit_s: float, condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until a condition of the outer world holds, and give its value."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, what or condition
        time.sleep(0.02)
    return value


def alive(home: Path) -> list[int]:
    """Processes whose environment or command line names this installation."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(home).encode() in text and state != "Z":
                found.append(int(entry.name))
    return found


def wait_until_gone(home: Path, limit_s: float = 20.0) -> None:
    """Wait until no process names this installation any more."""
    within(limit_s, lambda: not alive(home), "processes are left behind")
