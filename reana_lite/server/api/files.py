"""Files of runs: artifacts one by one or as an archive, logs of their steps."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request

from reana_lite.artifact import Artifact
from reana_lite.database import RunRecord
from reana_lite.database.records import TERMINAL_RUN, NodeRecord
from reana_lite.drive import Drive, replayed
from reana_lite.errors import NotFound
from reana_lite.job import INIT_ROOT, RUN_ROOT
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.schemas import COUNT, TEXT, named, thing
from reana_lite.server.api.sending import media_type, send, tarred, zipped
from reana_lite.server.installation import Installation, here

KEPT = 64
"""Runs whose files are kept in memory, as their logs tell them."""

WAIT_S = 20.0
"""The longest that a request for more of a log waits (seconds)."""

LINE_BYTES = 400
"""How long lines are taken to be when the last ones are looked for (bytes)."""

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
    route("/runs/<run>/log", media=["text/plain"], query={
        "node": TEXT | {"description": "Path of a node, such as /generate/3; without it those of all, one after the other."},
        "offset": COUNT | {"default": 0, "description": "From this byte on."},
        "tail": COUNT | {"maximum": 100000, "description": "Only the last lines."},
        "wait_s": {"type": "number", "minimum": 0, "maximum": WAIT_S, "default": 0, "description": "Wait for more."},
    })(get_log)  # fmt: skip


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


def get_log(call: Call, run: str) -> Response:
    """What the steps of a run have printed: of one node from a byte on, its last lines, or of all nodes.

    X-Log-Offset says where to go on, X-Log-Over whether there will be no more.
    """
    record = auth.run_named(run, who=call.who)
    node, query = call.query.get("node"), call.query
    if node is None:
        return _text(_all_logs(record, tail=query.get("tail")), over=record.state in TERMINAL_RUN)
    row = node_named(record, node)
    storage, offset = here().storage, query["offset"]
    if "tail" in query:
        lines = query["tail"]
        content = storage.log(row.key, row.attempt, -max(1, LINE_BYTES * lines)) if row.attempt and lines else b""
        text = b"".join(content.splitlines(keepends=True)[-lines:]) if lines else b""
        return _text(text, over=_is_over(row.state))
    until = time.monotonic() + query["wait_s"]
    while True:
        content = storage.log(row.key, row.attempt, offset) if row.attempt else b""
        left = until - time.monotonic()
        if content or _is_over(row.state) or left <= 0:
            return _text(content, offset=offset + len(content), over=_is_over(row.state))
        time.sleep(min(0.3, left))
        row = node_named(record, node)


def node_named(record: RunRecord, node: str) -> NodeRecord:
    """A node of a run by its path; raises NotFound."""
    for row in here().database.nodes_of(record.id):
        if row.node == node:
            return row
    raise NotFound(f"run {record.id} has no node {node[:200]!r} that has begun", node=node[:200])


def _all_logs(record: RunRecord, *, tail: int | None) -> bytes:
    parts = []
    for row in here().database.nodes_of(record.id):
        content = here().storage.log(row.key, row.attempt, -LINE_BYTES * tail if tail else 0) if row.attempt else b""
        if content:
            lines = content.splitlines(keepends=True)
            parts += [f"== {row.node}\n".encode(), *(lines[-tail:] if tail else lines)]
            if not content.endswith(b"\n"):
                parts.append(b"\n")
    return b"".join(parts)


def _is_over(state: str) -> bool:
    return str(state) in ("finished", "failed", "stopped")


def _text(content: bytes, *, over: bool, offset: int | None = None) -> Response:
    response = Response(content, mimetype="text/plain")
    response.headers["X-Log-Over"] = "true" if over else "false"
    if offset is not None:
        response.headers["X-Log-Offset"] = str(offset)
    else:
        response.add_etag()
        response.make_conditional(request)
    return response
