"""Files of runs: artifacts one by one or as an archive."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, redirect

from reana_lite.artifact import Artifact
from reana_lite.database import RunRecord
from reana_lite.database.records import NodeRecord
from reana_lite.drive import Drive
from reana_lite.errors import NotFound
from reana_lite.media import media_type
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.schemas import TEXT, named, thing
from reana_lite.server.files import artifacts_of, drive_of
from reana_lite.server.installation import here
from reana_lite.server.sending import send, tarred, zipped

LINKED_BYTES = 1_000_000
"""Smaller files are sent rather than linked to: two requests would take longer."""

LINK_S = 60.0
"""How long a link to a file can be used (seconds)."""


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


def list_artifacts(call: Call, run: str) -> dict[str, Any]:
    """The files of a run by path."""
    drive = drive_of(here(), auth.run_named(run, who=call.who))
    return {"items": [
        {"path": name, "kind": artifact.kind, "size_bytes": artifact.size, "digest": artifact.digest,
         "executable": artifact.executable, "target": artifact.target, "media_type": media_type(name)}
        for name, _, artifact in artifacts_of(drive, call.query.get("under", ""))
    ]}  # fmt: skip


def get_artifact(call: Call, run: str, path: str) -> Response:
    """One file of a run, whole or in part (Range); always as a download that no browser executes.

    A large one may be answered by 303 and an address at the installation's object storage that is valid for a minute.
    """
    drive = drive_of(here(), auth.run_named(run, who=call.who))
    for name, virtual, artifact in artifacts_of(drive, path):
        if name == path and artifact.kind == "file":
            link = _link(drive, virtual, artifact, name)
            if link:
                response = redirect(link, 303)
                response.headers["Cache-Control"] = "no-store"
                return response  # type: ignore[return-value]
            return send(drive.workspace.open(virtual), name, size=artifact.size, etag=artifact.digest)
    raise NotFound(f"run {run} has no file {path[:200]!r}", path=path[:200])


def _link(drive: Drive, path: str, artifact: Artifact, name: str) -> str:
    """Where to get a large file without the detour over this server; "" if it is not to be had elsewhere.

    Whoever asks has been let in before. The storage is of another origin, and its answer says by signed headers that the file
    is to be saved, as octets: a page that a step has written is never shown as one, here or there.
    """
    s3, storage = here().settings.s3, here().storage
    if s3 is None or not s3.redirects or artifact.size < LINKED_BYTES:
        return ""
    from reana_lite.storage.s3 import S3Storage  # there only where a bucket is used

    if not isinstance(storage, S3Storage):
        return ""
    place = drive.workspace.stored(path)
    return storage.link(*place, valid_s=LINK_S, name=name.rpartition("/")[2]) if place is not None else ""


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
