"""API v1: JSON over HTTP below /api/v1, described by the OpenAPI document that it serves at /api/v1/openapi.json."""

from flask import Blueprint

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
