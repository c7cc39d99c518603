"""What every request passes and every answer carries: hosts, CSRF, request ids, security headers, a log without secrets."""

from __future__ import annotations

import contextvars
import json
import logging
import re
import secrets
import time
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from reana_lite.config import Settings
from reana_lite.errors import InvalidInput
from reana_lite.legible import one_line
from reana_lite.server import auth

log = logging.getLogger("reana_lite.server.access")

THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of pages: nothing inline, nothing from elsewhere."""

SANDBOX = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"
"""Content-Security-Policy of files that users or steps have written: they run nothing, and are of no origin."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_SECRET = re.compile(r"((?:access_|csrf_)?token|password)=[^&\s\"']*|(bearer)\s+[^\s\"',]+", re.IGNORECASE)
_PROBES = ("/healthz", "/readyz", "/metrics")
_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


def install(app: Flask, settings: Settings) -> None:
    """Guard an application."""
    allowed = settings.hosts or THIS_MACHINE
    app.config["MAX_CONTENT_LENGTH"] = settings.upload_limit_bytes
    app.config["MAX_FORM_PARTS"] = 2000
    if settings.proxies:
        n = settings.proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n, x_prefix=n)  # type: ignore[method-assign]

    def before() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if re.fullmatch(r"[A-Za-z0-9-]{8,64}", given) else secrets.token_hex(8)
        _request_id.set(g.request_id)
        g.begun_at = time.monotonic()
        if request.path not in _PROBES and not is_allowed(request.host, allowed):
            name = request.host[:100]
            raise InvalidInput(f"this server is not known as {name!r}; RECAST_HOSTS says its names", field="Host")
        auth.check_origin()

    def after(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("X-Request-ID", getattr(g, "request_id", ""))
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if "Cache-Control" not in response.headers and not request.path.startswith("/static/"):
            response.headers["Cache-Control"] = "private, no-cache"
        if request.path not in _PROBES:
            _log(response)
        return response

    app.before_request(before)
    app.after_request(after)


def is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a Host header (its port aside) names one of these; "*" allows all."""
    name = host.rsplit(":", 1)[0] if re.search(r":\d*$", host) and not host.endswith("]") else host
    return "*" in allowed or name.lower().rstrip(".") in allowed


def scrubbed(text: str) -> str:
    """A text for logs: no tokens or passwords of addresses and headers."""
    return _SECRET.sub(lambda found: f"{found[1]}=***" if found[1] else f"{found[2]} ***", text)


def _log(response: Response) -> None:
    who = getattr(g, "caller", None)
    took_s = time.monotonic() - getattr(g, "begun_at", time.monotonic())
    fields = {
        "request": getattr(g, "request_id", ""), "method": request.method, "path": request.path,
        "status": response.status_code, "took_ms": round(took_s * 1000, 1), "user": who.name if who is not None else "",
        "address": request.remote_addr or "",
    }  # fmt: skip
    fields = (request.view_args or {}) | fields
    log.info("%s %s %s", request.method, request.path, response.status_code, extra={"fields": fields})


class JsonLines(logging.Formatter):
    """Log records as JSON, a line each, with the id of the request; without tokens."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields: dict[str, Any] = {
            "at": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name,
            "message": record.getMessage(), "request": _request_id.get(), **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        return scrubbed(json.dumps({name: value for name, value in fields.items() if value != ""}, default=str))


class Plain(logging.Formatter):
    """Log records for people; without tokens and what a terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace of an error."""
        text = scrubbed(f"{record.name}: {record.getMessage()}")
        text = one_line(text)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
