"""Workflows of REANA as runs: created with a specification, filled with files, started, restarted, stopped, deleted.

A restart is a new run that names the old one, on the same workspace. Rights are checked by the caller; what may be uploaded
is checked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from reana_lite import guest
from reana_lite.analysis import read_document
from reana_lite.config import Settings
from reana_lite.database import RunRecord, secrets, workspace_runs, workspaces
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.database.workspaces import Stored, WorkspaceRun
from reana_lite.errors import Conflict, InvalidAnalysis, InvalidInput, NotAllowed
from reana_lite.event import RunState, to_row
from reana_lite.job import INIT_ROOT
from reana_lite.server import quota, submissions
from reana_lite.server.auth import Caller
from reana_lite.server.installation import Installation
from reana_lite.server.reana import documents
from reana_lite.server.reana.workspace import files_of, laid_out
from reana_lite.submission import document_of, new_run_id, started_of
from reana_lite.target import Prepared
from reana_lite.target.reana import check_specification, resolve_uploaded

SPECIFICATION_BYTES = 5_000_000
"""The largest specification (bytes of JSON)."""

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)


def checked_name(name: str) -> str:
    """A name for a workflow; raises InvalidInput for one that could be taken for an id or a run number."""
    name = submissions.checked_name(name)
    if not name or "." in name or not name.isascii() or _UUID4.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a workflow: ASCII letters, no dot (it separates the run number), no UUID",
            field="workflow_name", value=name,
        )  # fmt: skip
    return name


def checked_specification(value: Any) -> dict[str, Any]:
    """A specification that can be run here once its files are there; raises InvalidInput with all that is wrong."""
    if not isinstance(value, dict) or not isinstance(value.get("workflow"), dict):
        raise InvalidInput("the specification is a JSON object with a `workflow`", field="reana_specification")
    plain = {name: one for name, one in value.items() if one is not None}
    for section in ("inputs", "outputs", "workflow"):
        if isinstance(plain.get(section), dict):
            plain[section] = {name: one for name, one in plain[section].items() if one is not None}
    text = json.dumps(plain)
    if len(text) > SPECIFICATION_BYTES:
        raise InvalidInput(f"the specification is larger than {SPECIFICATION_BYTES} bytes", field="reana_specification")
    try:
        check_specification(read_document(text, "reana.yaml"))
    except InvalidAnalysis as error:
        raise InvalidInput(error.message, field="reana_specification") from error
    return plain


def create(
    installation: Installation, who: Caller, *, name: str, specification: Any, entries: list[Stored]
) -> RunRecord:
    """A workflow with the files given (none: they are uploaded next); raises InvalidInput, NotAllowed."""
    name, plain = checked_name(name), checked_specification(specification)
    guest.refuse_uploads(installation.settings)
    quota.check(installation, who.user)
    run = new_run_id()
    request: dict[str, Any] = {
        "target": "reana.yaml", "kind": "reana", "analysis": name, "results": [], "theory": None, "example": "",
        "parameters": (plain.get("inputs") or {}).get("parameters") or {}, "warnings": [], "reuse": True, "asked": {},
    }  # fmt: skip
    with installation.database.transaction() as transaction:
        workspace = workspaces.create(transaction, who.name)
        transaction.create_run(run=run, name=name, owner=who.name, request=request, state=RunState.CREATED)
        workspace_runs.attach(transaction, run, workspace, specification=plain)
        if entries:
            workspaces.put(transaction, workspace, entries)
    submissions.note(who, "create workflow", run)
    return installation.database.get_run(run)


def start(
    installation: Installation, who: Caller, record: RunRecord, use: WorkspaceRun | None, body: Mapping[str, Any]
) -> RunRecord:
    """Start a workflow that was created, or with `restart` one that is over as a new run; gives the run that is queued.

    Raises NotAllowed where it cannot be started any more, InvalidInput with all that is wrong with its files.
    """
    restart = bool(body.get("restart"))
    if use is None or not use.workspace:
        raise NotAllowed(f"{record.full_name} is a run of a catalogue analysis: submit that again instead")
    if not restart and record.state is not RunState.CREATED:
        raise NotAllowed(f"Workflow {record.full_name} is already {record.state} and cannot be started again.")
    if restart and record.state not in TERMINAL_RUN:
        raise NotAllowed(f"Workflow {record.full_name} is {record.state}: only one that is over can be restarted.")
    guest.refuse_uploads(installation.settings)
    quota.check(installation, who.user)
    given = body.get("reana_specification")
    specification = checked_specification(given) if given else dict(use.specification)
    parameters = _mapping(body, "input_parameters")
    options = _mapping(body, "operational_options")
    wanted = documents.effective(specification, parameters, options)
    files_of(installation, record, use)  # what earlier runs have made is part of the workspace from now on
    revision = workspaces.get(installation.database, use.workspace).revision
    again_from = bool(((wanted.get("inputs") or {}).get("options") or {}).get("FROM"))
    tree = workspaces.files(installation.database, use.workspace, given_only=not again_from, revision=revision)
    with laid_out(installation.storage, installation.spool, tree) as folder:
        prepared = _prepared(installation, who, wanted, folder, name=record.name)
        check_processes(installation.settings, prepared)
        guest.check_images(installation.settings, prepared.workflow)
        init = prepared.keep(installation.storage)
    run = new_run_id() if restart else record.id
    started = started_of(prepared, init, salt="" if prepared.reuse else run)
    request = document_of(prepared, reuse=prepared.reuse)
    with installation.database.transaction() as transaction:
        if restart:
            transaction.create_run(
                run=run, name=record.name, owner=record.owner, parent=record.id, request=request, state=RunState.CREATED
            )
            workspace_runs.attach(transaction, run, use.workspace, specification=specification)
        workspace_runs.start(
            transaction, run, use.workspace, revision,
            specification=specification, parameters=parameters, options=options,
        )  # fmt: skip
        workspace_runs.queue(transaction, run, first_event=to_row(started), request=request)
    submissions.note(who, "restart workflow" if restart else "start workflow", run)
    return installation.database.get_run(run)


def _prepared(
    installation: Installation, who: Caller, wanted: Mapping[str, Any], folder: Any, *, name: str
) -> Prepared:
    try:
        prepared = resolve_uploaded(wanted, folder, installation.sources, name=name)
    except InvalidAnalysis as error:
        raise InvalidInput(error.message.replace(f"{folder}/", ""), field="workflow") from error
    options: dict[str, Any] = {"salt": f"owner:{who.name}", "max_nodes": installation.settings.node_limit}
    if secrets.listed(installation.database, who.name):
        options["secrets"] = True  # as REANA has it, every step knows all of its owner's secrets
    brought = tuple(one for one in prepared.brought if one.folder.startswith(INIT_ROOT))
    return replace(prepared, options={**options, **prepared.options}, brought=brought)


def check_processes(settings: Settings, prepared: Prepared) -> None:
    """Raises NotAllowed if a step of an uploaded workflow would be a plain process of this machine."""
    if settings.backend == "kubernetes" or settings.uploaded_processes:
        return
    names = list(dict.fromkeys(_plain_steps(prepared.workflow)))
    if names:
        raise NotAllowed(
            f"steps without a container image ({', '.join(names[:5])}) would be plain processes of the server, which it "
            f"does not run for uploaded workflows: name an image"
        )


def _plain_steps(value: Any, name: str = "") -> Iterator[str]:
    """The names around every step that names no image."""
    if isinstance(value, list):
        for one in value:
            yield from _plain_steps(one, name)
    elif isinstance(value, dict):
        name = str(value.get("name") or name)
        environment = value.get("environment")
        kind = environment.get("environment_type") if isinstance(environment, dict) else None
        if ("process" in value or "commands" in value) and kind != "docker-encapsulated":
            yield name
        for one in value.values():
            yield from _plain_steps(one, name)


def stop(installation: Installation, who: Caller, record: RunRecord) -> None:
    """Ask for the end of a workflow, wherever it stands; raises Conflict if it is over."""
    if record.state in TERMINAL_RUN:
        raise Conflict(f"Workflow {record.full_name} is not running.")
    submissions.stop_run(record, who=who)


def delete(installation: Installation, who: Caller, record: RunRecord) -> None:
    """Delete a workflow, and its workspace with the last run that has it; raises Conflict while it is running."""
    if record.state is RunState.QUEUED:
        installation.database.request_stop(record.id, by=who.name)
        record = installation.database.get_run(record.id)
    if record.state is RunState.RUNNING:
        raise Conflict(f"Workflow {record.full_name} cannot be deleted as it is currently running.")
    with installation.database.transaction() as transaction:
        if record.state is RunState.CREATED:
            transaction.set_run_state(record.id, RunState.STOPPED)
        workspace_runs.delete_run(transaction, record.id)
    submissions.note(who, "delete workflow", record.id)


def _mapping(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} is a JSON object", field=name)
    return value
