"""API v1: JSON over HTTP below /api/v1, described by the OpenAPI document that it serves at /api/v1/openapi.json.

endpoint.py: how an endpoint is declared. schemas.py: what is taken and said. openapi.py: the document. The others are the
endpoints: analyses, theories, runs, files (artifacts), logs, campaigns, comparisons, following (events), people.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from flask import Blueprint

from reana_lite import __version__
from reana_lite.server.api import analyses, campaigns, comparisons, files, following, logs, people, runs, theories
from reana_lite.server.api.endpoint import ENDPOINTS, endpoint
from reana_lite.server.api.openapi import document
from reana_lite.server.api.schemas import ANY, TEXT, thing

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

for _part in (analyses, theories, runs, files, logs, campaigns, comparisons, following, people):
    _part.add(blueprint)


@endpoint(blueprint, "GET", "/openapi.json", tag="server", says=ANY, verb=None)
def openapi() -> dict[str, Any]:
    """This document."""
    return described()


@endpoint(blueprint, "GET", "/version", tag="server", says=thing({"version": TEXT, "api": TEXT}), verb=None)
def version() -> dict[str, Any]:
    """Which version answers."""
    return {"version": __version__, "api": "1"}


@cache
def described() -> dict[str, Any]:
    """The OpenAPI document of all endpoints."""
    return document(ENDPOINTS)
