"""Events: what happens to runs and campaigns, as server-sent events that go on after the last one that was heard."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, request

from reana_lite.errors import NotFound
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.files import node_named
from reana_lite.server.api.schemas import COUNT, TEXT
from reana_lite.server.events import Fan
from reana_lite.server.installation import here

FOLLOWERS = "RECAST_FOLLOWERS"
"""How many may follow events of this process at a time."""

_EXTENSION = "recast-fan"
_lock = threading.Lock()
_STREAM = ["text/event-stream"]


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    once = {"once": {"type": "boolean", "default": False, "description": "Only what is there now, then the end."}}
    endpoint(blueprint, "GET", "/events", tag="events", media=_STREAM, query=once)(follow)
    endpoint(blueprint, "GET", "/runs/<run>/events", tag="events", media=_STREAM, query=once)(follow_run)
    endpoint(blueprint, "GET", "/campaigns/<campaign>/events", tag="events", media=_STREAM, query=once)(follow_campaign)
    endpoint(blueprint, "GET", "/runs/<run>/log/events", tag="events", media=_STREAM,
             query={"node": TEXT, "offset": COUNT | {"default": 0}, **once})(follow_log)  # fmt: skip


def fan() -> Fan:
    """The one of this application."""
    with _lock:
        found = current_app.extensions.get(_EXTENSION)
        if found is None:
            installation = here()
            most = int(current_app.config.get(FOLLOWERS, 1000))
            found = current_app.extensions[_EXTENSION] = Fan(installation.database, installation.storage, most=most)
    assert isinstance(found, Fan)
    return found


def follow(call: Call) -> Response:
    """One's own runs, each as soon as it changes."""
    return _stream(call, fan().user(call.who.name, _last(0.0)))


def follow_run(call: Call, run: str) -> Response:
    """The log of a run event by event, and how it stands; `end` when it is over."""
    record = auth.run_named(run, who=call.who)
    return _stream(call, fan().run(record.id, int(_last(-1))))


def follow_campaign(call: Call, campaign: str) -> Response:
    """How a campaign stands, and each of its runs that begins or ends."""
    record = auth.campaign_named(campaign, who=call.who)
    return _stream(call, fan().campaign(record.id))


def follow_log(call: Call, run: str) -> Response:
    """What a node prints, as it prints it; `end` when it is over."""
    record = auth.run_named(run, who=call.who)
    row = node_named(record, call.query.get("node", ""))
    if not row.attempt:
        raise NotFound(f"node {row.node} has not begun", node=row.node)
    return _stream(call, fan().log(row.key, row.attempt, int(_last(call.query["offset"]))))


def _last(default: float) -> float:
    """The id of the last event that was heard."""
    text = request.headers.get("Last-Event-ID", "")
    try:
        value = float(text) if text else default
    except ValueError:
        return default
    return value if -1 <= value < 1e15 else default


def _stream(call: Call, events: Iterator[str]) -> Response:
    first = next(events)  # what is wrong is answered as an error, before the stream begins
    rest = _short(first, events) if call.query["once"] else _long(first, events)
    response = Response(rest, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _long(first: str, events: Iterator[str]) -> Iterator[str]:
    try:
        yield first
        yield from events
    finally:
        _close(events)


def _short(first: str, events: Iterator[str]) -> Iterator[str]:
    _close(events)
    yield first


def _close(events: Iterator[str]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
