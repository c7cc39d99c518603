"""A Prepared target becomes a run: its files are kept, its first event is written, it is queued for a worker.

One way in for the command line and the server. Nothing is executed here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from reana_lite.database import Database
from reana_lite.engine import ENGINE_VERSION
from reana_lite.event import InitData, RunStarted, to_row
from reana_lite.storage.base import Storage
from reana_lite.target import Prepared, TargetKind

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def new_run_id() -> str:
    """Eight letters and digits that are hard to misread (no l, o, 0, 1), the first a letter."""
    return secrets.choice(_LETTERS[:24]) + "".join(secrets.choice(_LETTERS) for _ in range(7))


def submit(
    prepared: Prepared,
    *,
    database: Database,
    storage: Storage,
    owner: str,
    name: str = "",
    reuse: bool = True,
    parent: str = "",
    asked: Mapping[str, Any] | None = None,
) -> str:
    """Keep the files of a prepared target and queue a run of it; gives the run's id.

    `name` (default: that of the target) gets a number of its own per owner, as in `name.3`. With `reuse` False nothing
    of other runs is used, and nobody uses this run's. `parent` is the run that this one restarts. `asked` is what the user
    said, kept so that it can be asked again.
    """
    run = new_run_id()
    init = prepared.keep(storage)
    started = started_of(prepared, init, salt="" if reuse else run)
    if not prepared.reuse:
        started.options["salt"] = run
    theory = prepared.theory
    database.create_run(
        run=run,
        name=name or prepared.name.rpartition("/")[2],
        owner=owner,
        analysis=prepared.name,
        theory=theory.name if theory is not None else "",
        request=document_of(prepared, reuse=reuse and prepared.reuse, asked=asked),
        parent=parent,
        first_event=to_row(started),
    )
    return run


def started_of(prepared: Prepared, init: InitData, *, salt: str = "") -> RunStarted:
    """The first event of a run; with `salt` nothing of other runs is used."""
    options = {**prepared.options, "engine": prepared.engine}
    if salt:
        options["salt"] = salt
    if prepared.kind is TargetKind.ANALYSIS:
        options["strict"] = True  # Yadage itself takes no offence at a published file that is not there
    elif prepared.engine == "yadage":
        options["writable_inputs"] = True  # as Yadage mounts them; some workflows count on it
    return RunStarted(prepared.workflow, init, ENGINE_VERSION, options)


def document_of(prepared: Prepared, *, reuse: bool, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a run was created with, as its record keeps it."""
    theory = prepared.theory
    return {
        "target": prepared.origin,
        "kind": str(prepared.kind),
        "analysis": prepared.name,
        "parameters": dict(prepared.values),
        "results": [{name: getattr(one, name) for name in one.__dataclass_fields__} for one in prepared.results],
        "theory": theory.to_dict() if theory is not None else None,
        "example": prepared.example,
        "warnings": list(prepared.warnings),
        "reuse": reuse,
        "lumi_ifb": prepared.analysis.lumi_ifb if prepared.analysis is not None else None,
        "asked": dict(asked or {}),
    }
