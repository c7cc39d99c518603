"""Theory files: uploaded once, then named by the digest of their content."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from reana_lite.database import theory_files
from reana_lite.errors import InvalidInput
from reana_lite.server import submissions, uploads
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.paging import paged, place_of
from reana_lite.server.api.schemas import PAGING, named, page, thing
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here
from reana_lite.server.sending import send


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    many = thing({"items": {"type": "array", "items": named("Theory")}})
    endpoint(blueprint, "POST", "/theories", tag="theories", uploads=True, says=many, status=201, verb=Verb.SUBMIT)(
        upload_theories
    )
    endpoint(blueprint, "GET", "/theories", tag="theories", says=page(named("Theory")), query=PAGING)(list_theories)
    endpoint(blueprint, "GET", "/theories/<digest>", tag="theories", says=named("Theory"))(get_theory)
    endpoint(blueprint, "GET", "/theories/<digest>/content", tag="theories", media=["application/octet-stream"])(
        get_theory_content
    )
    endpoint(blueprint, "DELETE", "/theories/<digest>", tag="theories", status=204, verb=Verb.SUBMIT)(delete_theory)


def upload_theories(call: Call) -> dict[str, Any]:
    """Keep theory files (SLHA, LHE, HepMC, pyhf patch or patchset, parameters), one or more fields `file`.

    The same bytes again are the same file.
    """
    files = request.files.getlist("file")
    if not files:
        raise InvalidInput("send one or more files as multipart/form-data in fields named `file`", field="file")
    if len(files) > 100:
        raise InvalidInput("at most 100 files are taken at once", field="file")
    found = []
    for file in files:
        name = file.filename or "theory"
        found.append(uploads.keep_theory_file(here(), call.who.name, file.stream, name))  # type: ignore[arg-type]
    submissions.note(call.who, "upload theory", found[0].digest)
    return {"items": [record.to_dict() for record in found]}


def list_theories(call: Call) -> dict[str, Any]:
    """One's own theory files, the newest first."""
    before = place_of(call.query)
    rows = theory_files.listed(here().database, call.who.name, before=before, limit=call.query["limit"] + 1)
    return paged(rows, call.query, lambda record: record.to_dict(), by="digest")


def get_theory(call: Call, digest: str) -> dict[str, Any]:
    """What is known of a theory file."""
    return theory_files.get(here().database, call.who.name, digest).to_dict()


def get_theory_content(call: Call, digest: str) -> Response:
    """Its bytes."""
    record = theory_files.get(here().database, call.who.name, digest)
    path = uploads.path_of(here(), record)
    return send(path.open("rb"), record.name, size=record.size_bytes, etag=record.digest)


def delete_theory(call: Call, digest: str) -> None:
    """Forget an uploaded file. What runs have kept of it stays."""
    theory_files.remove(here().database, call.who.name, digest)
    submissions.note(call.who, "delete theory", digest)
