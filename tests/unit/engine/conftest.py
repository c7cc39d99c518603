"""Fixtures of the engine's tests: every engine is checked and replayed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from engine_run import Run


@pytest.fixture
def new_run() -> Iterator[Callable[[], Run]]:
    """Makes runs; after the test all invariants hold and a replay gives the same graph and the same commands."""
    runs: list[Run] = []

    def make() -> Run:
        runs.append(Run())
        return runs[-1]

    yield make
    for run in runs:
        other = run.replayed()
        assert other.engine.snapshot() == run.engine.snapshot()
        assert other.commands == run.commands
        assert other.engine.outstanding() == run.engine.outstanding()


@pytest.fixture
def run(new_run: Callable[[], Run]) -> Run:
    """One run."""
    return new_run()
