"""Waiting for something to come true, with a limit; a module of its own because each folder has a `conftest`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def within(limit_s: float, condition: Callable[[], Any], what: str = "") -> Any:
    """Wait until a condition of the outer world holds, and give its value."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, what or condition
        time.sleep(0.02)
    return value
