"""The OpenAPI 3.1 document of the API, made from its endpoints as they are declared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reana_lite import __version__
from reana_lite.server.api.endpoint import Endpoint
from reana_lite.server.api.schemas import COMPONENTS, named
from reana_lite.server.auth import Verb

ROOT = "/api/v1"
_TAGS = {
    "analyses": "Preserved searches: what they take, what they give.",
    "theories": "Theory files, by the digest of their content.",
    "runs": "One analysis, one theory.",
    "campaigns": "Many theories, followed as one.",
    "results": "Results against each other and against what is published.",
    "events": "What happens, as server-sent events.",
    "accounts": "Who one is, tokens.",
    "administration": "For administrators.",
    "server": "The server itself.",
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        path = ROOT + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", one.path)
        paths.setdefault(path, {})[one.method.lower()] = operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "reana-lite", "version": __version__,
                 "description": "Preserved LHC analyses, run for new theories."},
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def operation(one: Endpoint) -> dict[str, Any]:
    """One operation."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema} for name, schema in one.parameters.items()
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in one.query.items()]
    if one.method == "POST":
        again = "is refused (409), because secrets are not kept" if one.secret else "gives the same answer"
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255},
                           "description": f"The same key again {again}; nothing is done twice."})  # fmt: skip
    content: dict[str, Any] = {media: {} for media in one.media}
    if one.says is not None:
        content["application/json"] = {"schema": one.says}
    good: dict[str, Any] = {"description": "Done."} | ({"content": content} if content else {})
    error = {"description": "What was wrong.", "content": {"application/json": {"schema": named("Error")}}}
    found: dict[str, Any] = {
        "operationId": one.name, "tags": [one.tag], "summary": one.summary, "description": one.description,
        "parameters": parameters, "responses": {str(one.status): good, "default": error},
    }  # fmt: skip
    if one.verb is None:
        found["security"] = []
    else:
        found["x-needs"] = str(one.verb)
    if one.method == "GET" and one.verb is not None:
        found["responses"]["304"] = {"description": "Not changed since (If-None-Match)."}
    if one.verb in (Verb.SUBMIT, Verb.ADMINISTER):
        found["description"] += f" Needs the right to {one.verb}."
    if one.takes is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": one.takes}}}
    if one.uploads:
        form = {"type": "object", "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                "required": ["file"]}  # fmt: skip
        found["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return found
