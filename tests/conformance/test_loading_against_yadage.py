"""Random documents loaded by both: what yadage accepts, refuses, and makes of it."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_documents import Maker

from reana_lite.errors import InvalidWorkflow, NotFound
from reana_lite.reference import Reference
from reana_lite.workflow.loading import load_workflow

DRIVER = Path(__file__).parent / "loading_driver.py"

pytestmark = pytest.mark.slow

Load = Callable[[Path, str], dict[str, Any]]


@pytest.fixture(scope="module")
def yadage_load(reference: Reference) -> Iterator[Load]:
    """(toplevel, source) -> {"plain": ...} or {"error": ...}, as yadage loads it."""
    with subprocess.Popen(
        [reference.python, "-W", "ignore", "-u", DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(toplevel: Path, source: str) -> dict[str, Any]:
            process.stdin.write(json.dumps([str(toplevel), source]) + "\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(process.stdout.readline())
            return answer

        yield ask
        process.stdin.close()


def our_load(toplevel: Path, source: str) -> dict[str, Any]:
    def fetch(uri: str) -> bytes:
        try:
            return Path(unquote(urlsplit(uri).path)).read_bytes()
        except OSError as error:
            raise NotFound(str(error)) from error

    try:
        return {"plain": load_workflow(toplevel.as_uri(), source, fetch).to_json()}
    except InvalidWorkflow as error:
        return {"error": error.message}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), errors=st.sampled_from([0.0, 0.1, 0.5]))
def test_random_documents(yadage_load: Load, place: Path, seed: int, errors: float) -> None:
    for name, document in Maker(random.Random(seed), errors).documents().items():
        (place / name).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    theirs, ours = yadage_load(place, "workflow.yml"), our_load(place, "workflow.yml")
    assert json.dumps(theirs.get("plain")) == json.dumps(ours.get("plain")), (theirs.get("error"), ours.get("error"))
