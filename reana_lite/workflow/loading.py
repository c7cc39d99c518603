"""How a workflow enters: documents -> the workflow, or every fault of them together.

`load_workflow` is what a catalogue, the server and the command line call; `read_workflow` also gives what is worth a
warning and the place of every value, which check.py uses. Nothing is opened here: `fetch` is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reana_lite.errors import Fault, InvalidWorkflow
from reana_lite.workflow import validation
from reana_lite.workflow.document import Documents, Fetch
from reana_lite.workflow.spec import Workflow
from reana_lite.workflow.yaml_text import Place

_DIALECT = "raw_with_defaults"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A workflow, warnings about its documents, and `locate`: pointer in `workflow.to_json()` -> where it stands."""

    workflow: Workflow
    warnings: tuple[Fault, ...]
    locate: Callable[[str], Place]


def load_workflow(uri_of_toplevel: str, source: str, fetch: Fetch) -> Workflow:
    """The workflow in document `source` below the toplevel's URI; raises InvalidWorkflow with all faults."""
    return read_workflow(uri_of_toplevel, source, fetch).workflow


def read_workflow(uri_of_toplevel: str, source: str, fetch: Fetch) -> Loaded:
    """The same, with warnings and places. References of the first document are relative to the toplevel."""
    dialect, colon, path = source.partition(":")
    if colon and dialect != _DIALECT:
        raise InvalidWorkflow.of([Fault(source, "", f"unknown dialect {dialect!r}; known: {_DIALECT}")])
    documents = Documents(uri_of_toplevel, fetch)
    plain = None
    faults: list[Fault] = []
    try:
        if documents.read(path if colon else source):
            filled = validation.fill(documents)
            faults += filled.faults
            if documents.complete():
                plain = documents.to_json()
                found = validation.faults(plain, documents.locate)
                faults += _plainer(found, filled.untyped, spoilt=documents.faults)
    except RecursionError:
        faults.append(Fault(source, "", "the workflow is nested too deeply"))
    faults += documents.faults
    if not faults:
        faults += _without_dependencies(plain, documents.locate)
    if faults or plain is None:
        raise InvalidWorkflow.of(sorted(set(faults), key=lambda f: (f.source, f.line or 0, f.path, f.reason)))
    return Loaded(Workflow.from_json(plain, validate=False), tuple(documents.warnings), documents.locate)


def _plainer(found: list[Fault], untyped: tuple[Fault, ...], *, spoilt: list[Fault]) -> list[Fault]:
    """The schema's findings without those about values that could not be read, the untyped ones said plainly."""
    kept = [fault for fault in found if not any(_within(fault, other) for other in spoilt)]
    return [next((other for other in untyped if _within(fault, other)), fault) for fault in kept]


def _within(fault: Fault, other: Fault) -> bool:
    return fault.source == other.source and f"{fault.path}/".startswith(f"{other.path}/")


def _without_dependencies(plain: Any, locate: Callable[[str], Place]) -> list[Fault]:
    """A stage reached by `$ref` gets no defaults; yadage cannot make a workflow of stages without dependencies."""
    reason = "a stage reached by $ref needs its `dependencies` written out; write `dependencies: []` if there are none"
    return [
        locate(f"/stages/{index}").fault(reason)
        for index, stage in enumerate(plain["stages"])
        if "dependencies" not in stage
    ]
