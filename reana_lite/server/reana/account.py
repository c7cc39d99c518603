"""Endpoints about who asks and what is served: ping, you, info, secrets."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from reana_lite import __version__
from reana_lite.database import secrets
from reana_lite.errors import Conflict, InvalidInput
from reana_lite.server import quota, submissions
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here
from reana_lite.server.reana import asking, documents

CAPABILITIES = ("workflow-specification-bundles-v1",)
"""What newer clients ask for before they send a specification as a bundle."""

WORKSPACE = "/var/reana"
"""The one root that workspaces are said to have: nobody here depends on it."""


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    blueprint.get("/ping")(ping)
    blueprint.get("/you")(you)
    blueprint.get("/info")(info)
    for path in ("/secrets", "/secrets/"):
        blueprint.get(path, strict_slashes=True)(list_secrets)
        blueprint.post(path, strict_slashes=True)(add_secrets)
        blueprint.delete(path, strict_slashes=True)(delete_secrets)


def ping() -> ResponseReturnValue:
    """This is a server; needs no token."""
    return jsonify({"message": "OK", "status": "200", "api_capabilities": list(CAPABILITIES)})


def you() -> ResponseReturnValue:
    """Who asks, and their quota. The token is not repeated."""
    who = asking.caller()
    taken, limits = quota.usage(here(), who.name), who.user.quota
    return jsonify({
        "email": who.user.email or who.name,
        "full_name": who.user.full_name or who.name,
        "username": who.name,
        "reana_server_version": f"0.9 (reana-lite {__version__})",
        "reana_token": {"value": "", "status": "active", "requested_at": ""},
        "quota": {
            "disk": documents.quota(taken.disk_bytes, limits.disk_bytes, text=lambda raw: documents.size_text(int(raw))),
            "cpu": documents.quota(round(1000 * taken.cpu_s), 1000 * limits.cpu_s, text=documents.seconds_text),
        },
    })  # fmt: skip


def info() -> ResponseReturnValue:
    """What this server offers."""
    asking.caller()

    def item(title: str, value: Any) -> dict[str, Any]:
        return {"title": title, "value": value}

    return jsonify({
        "workspaces_available": item("List of available workspaces", [WORKSPACE]),
        "default_workspace": item("Default workspace", WORKSPACE),
        "compute_backends": item("List of supported compute backends", ["kubernetes"]),
        "default_kubernetes_cpu_request": item("Default CPU request of a step", "1"),
        "default_kubernetes_cpu_limit": item("Default CPU limit of a step", None),
        "default_kubernetes_memory_request": item("Default memory request of a step", None),
        "default_kubernetes_memory_limit": item("Default memory limit of a step", None),
        "kubernetes_max_cpu_request": item("Maximum CPU request of a step", None),
        "kubernetes_max_cpu_limit": item("Maximum CPU limit of a step", None),
        "kubernetes_max_memory_request": item("Maximum memory request of a step", None),
        "kubernetes_max_memory_limit": item("Maximum memory limit of a step", None),
        "default_kubernetes_jobs_timeout": item("Default timeout of a step in seconds", "none"),
        "maximum_kubernetes_jobs_timeout": item("Maximum timeout of a step in seconds", "none"),
        "maximum_workspace_retention_period": item("Maximum retention period of workspaces in days", None),
        "maximum_interactive_session_inactivity_period": item("Maximum inactivity of interactive sessions in days", None),
        "interactive_sessions": item("Interactive sessions", "not offered"),
        "supported_workflow_engines": item("Supported workflow engines", ["yadage", "serial"]),
    })  # fmt: skip


def list_secrets() -> ResponseReturnValue:
    """Names and kinds; never values."""
    who = asking.caller()
    return jsonify([{"name": one.name, "type": str(one.kind)} for one in secrets.listed(here().database, who.name)])


def add_secrets() -> ResponseReturnValue:
    """Keep secrets: {name: {value: base64, type}}."""
    who, given = asking.caller(Verb.SUBMIT), asking.fields()
    if not given:
        raise InvalidInput("no secrets were given")
    decoded = {}
    for name, one in given.items():
        if not isinstance(one, dict) or not isinstance(one.get("value"), str):
            raise InvalidInput(f"secret {name[:100]!r} has a `value` in base64 and a `type`", field="secrets")
        try:
            decoded[name] = base64.b64decode(one["value"], validate=True), str(one.get("type", "env"))
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f"the value of secret {name[:100]!r} is not base64", field="secrets") from error
    database, replace = here().database, asking.switch("overwrite")
    if not replace and (there := {one.name for one in secrets.listed(database, who.name)} & decoded.keys()):
        raise Conflict(
            f"The submitted secrets already exist: {', '.join(sorted(there))}. Use overwrite to replace them."
        )
    for name, (value, kind) in decoded.items():
        secrets.add(database, who.name, name, value=value, kind=kind, replace=replace)
    submissions.note(who, "add secrets", ", ".join(decoded)[:200])
    return jsonify({"message": "Secret(s) successfully added."}), 201


def delete_secrets() -> ResponseReturnValue:
    """Remove secrets by name; none of them if one is not there, and then the list of those."""
    who, given = asking.caller(Verb.SUBMIT), asking.body()
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise InvalidInput("the body is a list of names", field="secrets")
    there = {one.name for one in secrets.listed(here().database, who.name)}
    if missing := sorted(set(given) - there):
        return jsonify(missing), 404
    gone = secrets.delete(here().database, who.name, given) if given else []
    submissions.note(who, "delete secrets", ", ".join(gone)[:200])
    return jsonify(gone)
