"""Fixtures of the tests of the server; what they are made of is in serving.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An installation with users of each role: alice, bob (user), root (admin), eve (read-only)."""
    made = make_world(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[World]:
    """An installation without accounts: one user, `laptop`."""
    made = make_world(tmp_path, users=False)
    yield made
    made.database.close()
