"""Files of runs: artifacts one by one or as an archive."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response

from reana_lite.artifact import Artifact
from reana_lite.database import RunRecord
from reana_lite.database.records import NodeRecord
from reana_lite.drive import Drive, replayed
from reana_lite.errors import NotFound
from reana_lite.job import INIT_ROOT, RUN_ROOT
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.schemas import TEXT, named, thing
from reana_lite.server.api.sending import media_type, send, tarred, zipped
from reana_lite.server.installation import Installation, here

KEPT = 64
"""Runs whose files are kept in memory, as their logs tell them."""

_drives: OrderedDict[tuple[int, str, int], Drive] = OrderedDict()
_lock = threading.Lock()


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""

    def route(path: str, **more: Any) -> Any:
        return endpoint(blueprint, "GET", path, tag="runs", **more)

    route("/runs/<run>/artifacts", says=thing({"items": {"type": "array", "items": named("Artifact")}}),
          query={"under": TEXT})(list_artifacts)  # fmt: skip
    route("/runs/<run>/artifacts/<path:path>", media=["application/octet-stream", "text/plain"])(get_artifact)
    route("/runs/<run>/archive", media=["application/zip", "application/x-tar"],
          query={"format": {"type": "string", "enum": ["zip", "tar"], "default": "zip"}, "under": TEXT},
          )(get_archive)  # fmt: skip


def drive_of(installation: Installation, record: RunRecord) -> Drive:
    """A run as its log tells it, kept in memory until it goes on."""
    name = (id(installation.database), record.id, record.next_seq)
    with _lock:
        found = _drives.get(name)
        if found is not None:
            _drives.move_to_end(name)
            return found
    found = replayed(record.id, installation.database.read_events(record.id), installation.storage)
    with _lock:
        _drives[name] = found
        while len(_drives) > KEPT:
            _drives.popitem(last=False)
    return found


def short(path: str) -> str:
    """A virtual path as users see it: relative to the workspace; files brought along are below `init/`."""
    if path == INIT_ROOT or path.startswith(INIT_ROOT + "/"):
        return "init" + path[len(INIT_ROOT) :]
    return path[len(RUN_ROOT) + 1 :]


def artifacts_of(drive: Drive, under: str = "") -> Iterator[tuple[str, str, Artifact]]:
    """(path as users see it, virtual path, artifact) of the files of a run, those below a folder."""
    folder = under.strip("/")
    for path, artifact in drive.workspace.artifacts().items():
        name = short(path)
        if not folder or name == folder or name.startswith(folder + "/"):
            yield name, path, artifact


def list_artifacts(call: Call, run: str) -> dict[str, Any]:
    """The files of a run by path."""
    drive = drive_of(here(), auth.run_named(run, who=call.who))
    return {"items": [
        {"path": name, "kind": artifact.kind, "size_bytes": artifact.size, "digest": artifact.digest,
         "executable": artifact.executable, "target": artifact.target, "media_type": media_type(name)}
        for name, _, artifact in artifacts_of(drive, call.query.get("under", ""))
    ]}  # fmt: skip


def get_artifact(call: Call, run: str, path: str) -> Response:
    """One file of a run, whole or in part (Range); always as a download that no browser executes."""
    drive = drive_of(here(), auth.run_named(run, who=call.who))
    for name, virtual, artifact in artifacts_of(drive, path):
        if name == path and artifact.kind == "file":
            return send(drive.workspace.open(virtual), name, size=artifact.size, etag=artifact.digest)
    raise NotFound(f"run {run} has no file {path[:200]!r}", path=path[:200])


def get_archive(call: Call, run: str) -> Response:
    """The files of a run, or those below a folder, as an archive that is made while it is sent."""
    record = auth.run_named(run, who=call.who)
    drive = drive_of(here(), record)
    members = list(artifacts_of(drive, call.query.get("under", "")))
    if not members:
        raise NotFound(f"run {record.id} has no files there", run=record.id)
    form = call.query["format"]
    stream = (zipped if form == "zip" else tarred)(drive.workspace, members)
    response = Response(stream, mimetype="application/zip" if form == "zip" else "application/x-tar")
    response.headers["Content-Disposition"] = f'attachment; filename="{record.id}.{form}"'
    return response


def node_named(record: RunRecord, node: str) -> NodeRecord:
    """A node of a run by its path; raises NotFound."""
    for row in here().database.nodes_of(record.id):
        if row.node == node:
            return row
    raise NotFound(f"run {record.id} has no node {node[:200]!r} that has begun", node=node[:200])
