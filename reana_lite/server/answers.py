"""Errors as answers, for each door in its own form: the one table is errors.HTTP_STATUS.

API: {"error": {"error", "message", "details"}}; REANA: {"message"}; pages: HTML, made by pages if they are there. An error of
ours is logged with its trace and answered without one.
"""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, Response, g, jsonify, make_response, request
from markupsafe import escape
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from reana_lite.errors import HTTP_STATUS, NotFound, ReanaLiteError
from reana_lite.server import auth

log = logging.getLogger(__name__)

ERROR_PAGE = "recast-error-page"
"""app.extensions[ERROR_PAGE](status, title, message) -> a page, if pages are there."""


def install(app: Flask) -> None:
    """Answer all errors of an application."""
    app.register_error_handler(ReanaLiteError, _ours)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _unexpected)


def status_of(error: ReanaLiteError) -> int:
    """The HTTP status of an error."""
    if error.details.get("login"):
        return 401
    if error.details.get("throttled"):
        return 429
    return HTTP_STATUS[type(error)]


def answer(status: int, document: dict[str, Any], *, retry_after_s: float | None = None) -> Response:
    """An error as the door that was asked says it; `document` as ReanaLiteError.to_dict."""
    if auth.is_reana(request.path):
        response = jsonify({"message": document["message"]})
    elif auth.is_api(request.path) or request.path.startswith("/events"):
        response = jsonify({"error": document | {"request": getattr(g, "request_id", "")}})
    else:
        response = make_response(_page(status, document))
        response.mimetype = "text/html"
    response.status_code = status
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after_s)))
    if status == 401 and not (response.mimetype or "").startswith("text/html"):
        response.headers["WWW-Authenticate"] = "Bearer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _ours(error: ReanaLiteError) -> Response:
    return answer(status_of(error), error.to_dict(), retry_after_s=error.details.get("retry_after_s"))


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status < 400:
        return make_response(error.get_response())
    if isinstance(error, RequestEntityTooLarge):
        message = "the request is larger than this server takes (RECAST_UPLOAD_LIMIT)"
    elif status == 404:
        message = f"there is nothing at {request.path}"
    elif status == 405:
        message = f"{request.path} does not take {request.method}"
    else:
        message = (error.description or error.name).strip()
    kind = NotFound.__name__ if status == 404 else "InvalidInput"
    response = answer(status, {"error": kind, "message": message, "details": {}})
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After", "Content-Range"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    log.exception("error of ours while answering %s %s", request.method, request.path)
    message = f"an error of this server, please report it (request {getattr(g, 'request_id', '')})"
    return answer(500, {"error": "InternalError", "message": message, "details": {}})


def _page(status: int, document: dict[str, Any]) -> str:
    from flask import current_app

    make = current_app.extensions.get(ERROR_PAGE)
    if make is not None:
        return str(make(status, document["error"], document["message"]))
    return f"<!doctype html><html lang=en><title>{status}</title><h1>{status}</h1><p>{escape(document['message'])}</p>"
