"""Endpoints about workflows: create, list, status, start, stop, delete, logs, specification, diff, sharing."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from reana_lite.analysis import read_document
from reana_lite.database import RunRecord, shares, users, workspace_runs
from reana_lite.database.workspaces import WorkspaceRun
from reana_lite.drive import Drive
from reana_lite.errors import Conflict, InvalidInput, NotAllowed, NotFound, ReanaLiteError
from reana_lite.event import RunState, SubmitJob, from_row
from reana_lite.server import quota, submissions
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here
from reana_lite.server.reana import asking, documents, runs
from reana_lite.server.reana.workspace import files_of, keep_bundle, opened

W = "/workflows/<workflow>"
LOG_PAGE = 1000
"""Steps whose logs one answer holds, unless the client asks for pages of its own."""

LOGS_BYTES = 20_000_000
"""All logs of one answer: of many steps the ends of their logs are shorter."""

LIST_MOST = 5000
"""Workflows in one answer, also where no `size` is asked for."""

COMMAND_BYTES = 4000
"""How much of a command is shown in the logs."""


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    blueprint.post("/workflows")(create)
    blueprint.get("/workflows")(list_workflows)
    blueprint.get(f"{W}/status")(status)
    blueprint.put(f"{W}/status")(set_status)
    blueprint.post(f"{W}/start")(start)
    blueprint.get(f"{W}/logs")(logs)
    blueprint.get(f"{W}/parameters")(parameters)
    blueprint.get(f"{W}/specification")(specification)
    blueprint.get("/workflows/<workflow>/diff/<other>")(diff)
    blueprint.get(f"{W}/retention_rules")(retention_rules)
    blueprint.post(f"{W}/open/<kind>")(open_session)
    blueprint.post(f"{W}/close/")(close_session)
    blueprint.post(f"{W}/share")(share)
    blueprint.post(f"{W}/unshare")(unshare)
    blueprint.get(f"{W}/share-status")(share_status)


def create() -> ResponseReturnValue:
    """A workflow from a specification: JSON, or a bundle of the specification and its files (newer clients)."""
    who, installation = asking.caller(Verb.SUBMIT), here()
    name = request.args.get("workflow_name", "") or "workflow"
    runs.checked_name(name)
    if request.mimetype == "multipart/form-data":
        bundle = request.files.get("bundle")
        if bundle is None:
            raise InvalidInput("the form has no field `bundle`", field="bundle")
        quota.check(installation, who.user)
        allow = partial(quota.store, installation, who.user)
        entries = keep_bundle(installation.storage, installation.spool, bundle.stream, allow=allow)
        written = next((one for one in entries if one.path == "reana.yaml"), None)
        if written is None:
            raise InvalidInput("the bundle holds no reana.yaml", field="bundle")
        with opened(installation.storage, written) as source:
            text = source.read(runs.SPECIFICATION_BYTES + 1)
        given = read_document(text, "reana.yaml").value
    else:
        given, entries = asking.body(), []
    if given is None:
        raise InvalidInput("the body is the specification of a workflow as JSON", field="reana_specification")
    record = runs.create(installation, who, name=name, specification=given, entries=entries)
    message = {"message": "The workflow has been successfully created."}
    return jsonify({**message, "workflow_id": record.id, "workflow_name": record.full_name}), 201


def list_workflows() -> ResponseReturnValue:
    """The workflows of who asks, the newest first."""
    who, database = asking.caller(), here().database
    verbose = asking.switch("verbose")
    kind, page, size = request.args.get("type", "batch"), asking.number("page", 1) or 1, asking.number("size")
    limit = min(size or LIST_MOST, LIST_MOST)
    states = [one for one in request.args.get("status", "").split(",") if one]
    for state in states:
        if state not in documents.STATUSES:
            raise InvalidInput(f"{state[:40]!r} is no status; known: {', '.join(documents.STATUSES)}", field="status")
    names = asking.search(request.args.get("search", "")).get("name", [])
    run = request.args.get("workflow_id_or_name", "")
    if run:
        run = asking.workflow(run)[1].id
    rows, total = ([], 0) if kind == "interactive" else workspace_runs.list_runs(
        database, who.name, states=states, names=names, run=run, limit=limit, offset=(page - 1) * limit,
        oldest_first=request.args.get("sort") == "asc",
    )  # fmt: skip
    with_size = verbose or asking.switch("include_workspace_size")
    progress = verbose or asking.switch("include_progress")
    items = [
        documents.list_item(record, deleted=gone, size_bytes=taken if with_size else None, progress=progress)
        for record, gone, taken in rows
    ]
    shown = {"page": page, "size": limit if size else len(items), "has_prev": page > 1}
    more = page * limit < total
    return jsonify({"items": items, "total": total, "user_has_workflows": total > 0, "has_next": more, **shown})


def status(workflow: str) -> ResponseReturnValue:
    """Where a workflow stands."""
    _, record, use = asking.workflow(workflow)
    step = None
    if record.state is RunState.RUNNING and record.running:
        going = [row.node for row in here().database.nodes_of(record.id) if str(row.state) == "running"]
        step = documents.step_name(going[0]) if going else None
    return jsonify(documents.status_document(record, deleted=_gone(use), step=step))


def start(workflow: str) -> ResponseReturnValue:
    """Start a workflow, or restart it as another run."""
    who, record, use = asking.workflow(workflow, Verb.CHANGE)
    asking.alive(record, use)
    record = runs.start(here(), who, record, use, asking.fields())
    number = record.full_name.removeprefix(record.name + ".")
    said = {"message": "Workflow submitted.", "status": str(record.state), "user": record.owner}
    return jsonify({**said, "workflow_id": record.id, "workflow_name": record.name, "run_number": number})


def set_status(workflow: str) -> ResponseReturnValue:
    """Stop or delete a workflow."""
    who, record, use = asking.workflow(workflow, Verb.CHANGE)
    wanted, given = request.args.get("status", ""), asking.fields()
    asking.alive(record, use)
    if wanted == "stop":
        runs.stop(here(), who, record)
        return jsonify(_said(record, "Workflow successfully stopped.", status="stopped"))
    if wanted != "deleted":
        raise InvalidInput(f"status is `stop` or `deleted`, not {wanted[:40]!r}", field="status")
    if given.get("workspace") is False:
        raise InvalidInput("Workspace must always be deleted when deleting a workflow.", field="workspace")
    if not given.get("all_runs"):
        runs.delete(here(), who, record)
        return jsonify(_said(record, "Workflow successfully deleted.", status="deleted"))
    rows, _ = workspace_runs.list_runs(here().database, who.name, names=[record.name])
    for other, gone, _ in rows:
        if other.name == record.name and not gone and other.state is not RunState.RUNNING:
            runs.delete(here(), who, other)
    message = f"All workflows named {record.name} successfully deleted."
    return jsonify(_said(record, message, status="deleted"))


def logs(workflow: str) -> ResponseReturnValue:
    """What the engine saw and the steps printed; with names of steps in the body only those."""
    _, record, _ = asking.workflow(workflow)
    wanted, installation = asking.body(), here()
    if wanted is not None and not isinstance(wanted, list):
        raise InvalidInput("the body is a list of names of steps", field="steps")
    names = set(map(str, wanted or ()))
    jobs = [
        job for job in installation.database.jobs_of(record.id) if not names or documents.step_name(job.node) in names
    ]
    jobs.sort(key=lambda job: (job.started_at or job.queued_at, job.node))
    page, size = asking.number("page", 1) or 1, min(asking.number("size") or LOG_PAGE, LOG_PAGE)
    timeline = list(installation.database.timeline(record.id))
    commands = _commands(record, timeline)
    shown = {}
    some = documents.page_of(jobs, page, size)
    limit = min(documents.LOG_LIMIT_BYTES, LOGS_BYTES // max(1, len(some)))
    for job in some:
        log = installation.storage.log(job.key, job.attempt, -limit).decode("utf-8", "replace")
        command = commands.get(job.node, "")[:COMMAND_BYTES]
        shown[f"{job.key}-{job.attempt}"] = documents.job_log(record, job, log=log, command=command)
    text = {
        "workflow_logs": "" if names else documents.engine_log(timeline, record.error),
        "job_logs": shown,
        "engine_specific": None,
    }
    said = {"workflow_id": record.id, "workflow_name": record.full_name, "user": record.owner}
    return jsonify({**said, "logs": json.dumps(text), "live_logs_enabled": False})


def _commands(record: RunRecord, timeline: list[tuple[int, str, dict[str, Any], float]]) -> dict[str, str]:
    """The command of each node, as the engine gave it; {} for a log that cannot be read any more."""
    drive = Drive(record.id, 0, here().storage)
    found: dict[str, str] = {}
    try:
        for _, kind, body, _ in timeline:
            event = from_row(kind, body)
            drive.show(event)
            for command in drive.engine.handle(event):
                if isinstance(command, SubmitJob):
                    found[command.node] = command.job.script or command.job.line
    except (ReanaLiteError, LookupError, TypeError, ValueError):
        return found
    return found


def parameters(workflow: str) -> ResponseReturnValue:
    """The parameters a workflow was or would be started with."""
    _, record, use = asking.workflow(workflow)
    plain = _specification(record, use)
    return jsonify({"id": record.id, "name": record.full_name, "type": plain["workflow"].get("type", "yadage"),
                    "parameters": plain["inputs"]["parameters"]})  # fmt: skip


def specification(workflow: str) -> ResponseReturnValue:
    """The specification, with what a start has said over it as `parameters`."""
    _, record, use = asking.workflow(workflow)
    said = dict(use.parameters) if use is not None else {}
    return jsonify({"specification": _specification(record, use), "parameters": said})


def _specification(record: RunRecord, use: WorkspaceRun | None) -> dict[str, Any]:
    """A run of the catalogue has one, too: its parameters, and its declared results as outputs."""
    if use is not None and use.specification:
        return documents.full_specification(documents.effective(use.specification, use.parameters, {}))
    names = [str(one["path"]) for one in record.request.get("results", ()) if one.get("path")]
    parameters = dict(record.request.get("parameters") or {})
    return documents.full_specification(
        {"workflow": {"type": "yadage"}, "inputs": {"parameters": parameters}, "outputs": {"files": names}}
    )


def diff(workflow: str, other: str) -> ResponseReturnValue:
    """Where two workflows differ: in their specification, and in their files."""
    _, a, use_a = asking.workflow(workflow)
    _, b, use_b = asking.workflow(other)
    text = request.args.get("context_lines", "5")
    context = min(int(text), 1000) if text.isascii() and text.isdecimal() and len(text) < 6 else 5
    plain = documents.specification_diff(_specification(a, use_a), _specification(b, use_b), context=context)
    if asking.switch("brief"):
        plain = {name: [f"{name} differs"] if lines else [] for name, lines in plain.items()}
    listings = [
        {path: one.artifact.digest or one.artifact.target for path, one in files_of(here(), record, use).items()}
        for record, use in ((a, use_a), (b, use_b))
    ]
    listing = documents.listing_diff(*listings, names=(a.full_name, b.full_name))
    return jsonify({"reana_specification": json.dumps(plain), "workspace_listing": json.dumps(listing)})


def retention_rules(workflow: str) -> ResponseReturnValue:
    """There are none: what is kept for how long is the installation's."""
    _, record, _ = asking.workflow(workflow)
    return jsonify({"retention_rules": [], "workflow_id": record.id, "workflow_name": record.full_name})


def open_session(workflow: str, kind: str) -> ResponseReturnValue:
    """Interactive sessions are not offered; says what to do instead."""
    asking.workflow(workflow)
    raise NotAllowed(
        "This server offers no interactive sessions. Download the workspace (reana-client download) and open it locally."
    )


def close_session(workflow: str) -> ResponseReturnValue:
    """There is never one."""
    _, record, _ = asking.workflow(workflow)
    raise NotFound(f"Workflow {record.full_name} has no open interactive session.")


def share(workflow: str) -> ResponseReturnValue:
    """Let somebody else look at a workflow (newer clients)."""
    who, record, _ = asking.workflow(workflow, Verb.CHANGE)
    given = asking.fields()
    shares.add(here().database, "run", record.id, _user(str(given.get("user_email_to_share_with", ""))))
    submissions.note(who, "share workflow", record.id)
    return jsonify({"message": "The workflow has been shared with the user.", **_ids(record)})


def unshare(workflow: str) -> ResponseReturnValue:
    """Take that back."""
    who, record, _ = asking.workflow(workflow, Verb.CHANGE)
    user = _user(request.args.get("user_email_to_unshare_with", ""))
    if user not in shares.users_of(here().database, "run", record.id):
        raise Conflict(f"{record.full_name} is not shared with {user}.")
    shares.remove(here().database, "run", record.id, user)
    submissions.note(who, "unshare workflow", record.id)
    return jsonify({"message": "The workflow has been unshared with the user.", **_ids(record)})


def share_status(workflow: str) -> ResponseReturnValue:
    """Who else may look at a workflow."""
    _, record, _ = asking.workflow(workflow, Verb.CHANGE)
    names = shares.users_of(here().database, "run", record.id)
    return jsonify({**_ids(record), "shared_with": [{"user_email": name, "valid_until": None} for name in names]})


def _user(email: str) -> str:
    """The name of the account with that name or address; raises NotFound."""
    for user in users.listed(here().database):
        if email and email in (user.name, user.email):
            return user.name
    raise NotFound(f"there is no user {email[:100]!r}")


def _ids(record: RunRecord) -> dict[str, Any]:
    return {"workflow_id": record.id, "workflow_name": record.full_name}


def _said(record: RunRecord, message: str, *, status: str) -> dict[str, Any]:
    return {"message": message, "status": status, "user": record.owner, **_ids(record)}


def _gone(use: WorkspaceRun | None) -> bool:
    return use is not None and use.deleted_at > 0
