"""Where the cases are, which of them deviate on purpose, and the environment of the reference engine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reana_lite.reference import Reference, reference_python

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent


def root() -> Path:
    """Where the environment is kept between test runs: RECAST_HOME, else the folder for caches."""
    home = os.environ.get("RECAST_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) if home else Path(cache) / "reana-lite-tests"


@pytest.fixture(scope="session")
def reference() -> Iterator[Reference]:
    """The reference engine, running; its environment is built if need be."""
    with Reference(reference_python(root(), print)) as engine:
        yield engine


@pytest.fixture
def place() -> Iterator[Path]:
    """A new folder with a short path and no odd characters."""
    path = Path(tempfile.mkdtemp(prefix="case-")).resolve()
    yield path
    shutil.rmtree(path, ignore_errors=True)
