"""Documents in memory for the tests of loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from reana_lite.errors import InvalidWorkflow, NotFound
from reana_lite.workflow.loading import Loaded, read_workflow

TOP = "file:///top/"

STEP = "{process: {cmd: echo}, environment: null, publisher: {publisher_type: constant-pub, publish: {}}}"


def fetching(files: Mapping[str, str | bytes]) -> Callable[[str], bytes]:
    """A fetch of documents by their path below TOP."""

    def fetch(uri: str) -> bytes:
        name = uri.removeprefix(TOP)
        if name not in files:
            raise NotFound(f"no document {name}")
        text = files[name]
        return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")

    return fetch


def load(text: str | bytes, source: str = "workflow.yml", **others: str) -> Loaded:
    """The workflow of this text; other documents by name, `_yml` for `.yml`."""
    files: dict[str, str | bytes] = {name.replace("_yml", ".yml"): other for name, other in others.items()}
    return read_workflow(TOP, source, fetching({source: text, **files}))


def faults(text: str | bytes, **others: str) -> list[str]:
    """What is said about it; fails if nothing is."""
    with pytest.raises(InvalidWorkflow) as caught:
        load(text, **others)
    return [str(fault) for fault in caught.value.faults]


def one_stage(parameters: str = "{}", *, step: str = STEP, more: str = "") -> str:
    """A workflow of one singlestep stage, whose parameters begin on line 6."""
    return f"""stages:
- name: one
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {parameters}
    step: {step}
{more}"""
