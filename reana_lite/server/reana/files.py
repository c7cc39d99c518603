"""Endpoints about the files of a workflow: upload, list, download, remove, move, disk usage, prune."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from reana_lite.database import RunRecord, workspaces
from reana_lite.database.workspaces import WorkspaceRun, clean_path
from reana_lite.errors import Conflict, InvalidInput, NotAllowed, NotFound
from reana_lite.server import quota
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here
from reana_lite.server.reana import asking, documents
from reana_lite.server.reana.workspace import Files, entry_of, files_of, keep, matching, moves_of, opened, zipped
from reana_lite.server.sending import send

W = "/workflows/<workflow>"


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    blueprint.get(f"{W}/workspace")(list_files)
    blueprint.post(f"{W}/workspace")(upload)
    blueprint.get(f"{W}/workspace/<path:path>")(download)
    blueprint.delete(f"{W}/workspace/<path:path>")(remove)
    blueprint.put("/workflows/move_files/<workflow>")(move)
    blueprint.get(f"{W}/disk_usage")(disk_usage)
    blueprint.post(f"{W}/prune")(prune)


def _files(workflow: str, verb: Verb = Verb.SEE) -> tuple[RunRecord, WorkspaceRun | None, Files]:
    _, record, use = asking.workflow(workflow, verb)
    asking.alive(record, use)
    return record, use, files_of(here(), record, use)


def _changeable(record: RunRecord, use: WorkspaceRun | None) -> str:
    """The workspace whose files may be changed; raises NotAllowed for a run of the catalogue."""
    if use is None or not use.workspace:
        raise NotAllowed(f"{record.full_name} is a run of a catalogue analysis: its files cannot be changed")
    return use.workspace


def list_files(workflow: str) -> ResponseReturnValue:
    """The files, by path."""
    _, _, files = _files(workflow)
    pattern, searched = request.args.get("file_name", ""), asking.search(request.args.get("search", ""))
    items = [
        {"name": path, "size": documents.size_of(files[path].artifact.size),
         "last-modified": documents.time_text(files[path].changed_at)}
        for path in (matching(files, pattern) if pattern else files) if files[path].artifact.kind != "folder"
    ]  # fmt: skip
    for field, parts in searched.items():
        items = [item for item in items if any(part in _text(item.get(field)) for part in parts)]
    page, size = asking.number("page", 1) or 1, asking.number("size")
    return jsonify({"items": list(documents.page_of(items, page, size)), "total": len(items)})


def _text(value: Any) -> str:
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def upload(workflow: str) -> ResponseReturnValue:
    """One file; the body is its bytes."""
    who, record, use = asking.workflow(workflow, Verb.CHANGE)
    asking.alive(record, use)
    workspace, installation = _changeable(record, use), here()
    if "file_name" not in request.args:
        raise InvalidInput("file_name is needed", field="file_name")
    path = clean_path(request.args["file_name"])
    quota.check(installation, who.user)
    limit = installation.settings.upload_limit_bytes
    one = keep(installation.storage, installation.spool, path, request.stream, limit_bytes=limit,
               allow=partial(quota.store, installation, who.user))  # fmt: skip
    with installation.database.transaction() as transaction:
        workspaces.put(transaction, workspace, [one])
    return jsonify({"message": f"{path} has been successfully uploaded."})


def download(workflow: str, path: str) -> ResponseReturnValue:
    """A file; a folder or what fits a pattern as a zip archive."""
    record, _, files = _files(workflow)
    plain = path.strip("/").removeprefix("./")
    one = entry_of(files, plain)
    if one is not None:
        response = send(opened(here().storage, one), plain, size=one.artifact.size, etag=one.artifact.digest)
        response.headers["Content-Type"] = "application/octet-stream"  # a zip that is one file is not to be unpacked
        if re.fullmatch(r"[A-Za-z0-9_.+/ -]+", plain):  # with its folders, which the client makes
            response.headers["Content-Disposition"] = f'attachment; filename="{plain}"'
        return response
    paths = [name for name in matching(files, plain) if entry_of(files, name) is not None]
    if not paths:
        raise NotFound(f"{plain} does not exist.", path=plain[:200])
    archive = Response(zipped(here().storage, files, paths), content_type="application/zip")
    archive.headers["Content-Disposition"] = f'attachment; filename="{record.full_name}.zip"'
    return archive


def remove(workflow: str, path: str) -> ResponseReturnValue:
    """Remove a file, all below a folder, or what fits a pattern."""
    record, use, files = _files(workflow, Verb.CHANGE)
    workspace = _changeable(record, use)
    paths = matching(files, path)
    try:
        if paths:
            with here().database.transaction() as transaction:
                workspaces.remove(transaction, workspace, paths)
    except Conflict as error:  # as an error of the request the client would not show why
        return jsonify({"deleted": {}, "failed": {name: {"error": error.message} for name in paths}})
    return jsonify({"deleted": {name: {"size": files[name].artifact.size} for name in paths}, "failed": {}})


def move(workflow: str) -> ResponseReturnValue:
    """Move or rename files."""
    record, use, files = _files(workflow, Verb.CHANGE)
    workspace = _changeable(record, use)
    source, target = request.args.get("source", ""), request.args.get("target", "")
    if not source or not target:
        raise InvalidInput("source and target are needed", field="source")
    moves = moves_of(files, source, target)
    with here().database.transaction() as transaction:
        workspaces.move(transaction, workspace, moves)
    message = "Files were successfully moved"
    return jsonify({"message": message, "workflow_id": record.id, "workflow_name": record.full_name})


def disk_usage(workflow: str) -> ResponseReturnValue:
    """Bytes per file and folder, or their sum."""
    record, _, files = _files(workflow)
    given = asking.fields()
    text = given.get("search") or ""
    searched = asking.search(text if isinstance(text, str) else json.dumps(text))
    rows = documents.disk_usage(
        {path: one.artifact.size for path, one in files.items()}, summarize=bool(given.get("summarize"))
    )
    for field, parts in searched.items():
        rows = [row for row in rows if any(part in _text(row.get(field)) for part in parts)]
    said = {"user": record.owner, "workflow_id": record.id, "workflow_name": record.full_name}
    return jsonify({"disk_usage_info": rows, **said})


def prune(workflow: str) -> ResponseReturnValue:
    """Remove what is neither given nor a declared output; with the switches that, too."""
    record, use, files = _files(workflow, Verb.CHANGE)
    workspace = _changeable(record, use)
    outputs = (use.specification.get("outputs") or {}) if use is not None else {}
    declared = [
        name
        for kind in ("files", "directories")
        for one in outputs.get(kind) or ()
        for name in matching(files, str(one))
    ]
    kept: set[str] = set() if asking.switch("include_outputs") else set(declared)
    if not asking.switch("include_inputs"):
        kept |= {path for path, one in files.items() if not one.made}
    gone = [path for path in files if path not in kept]
    if gone:
        with here().database.transaction() as transaction:
            workspaces.remove(transaction, workspace, gone)
    message = "The workspace has been correctly pruned."
    return jsonify({"message": message, "workflow_id": record.id, "workflow_name": record.full_name})
