"""Events: what happens to runs and campaigns, as server-sent events that go on after the last one that was heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from flask import Blueprint, Flask, Response, current_app, request

from reana_lite.database import RunRecord
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import NotFound
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.files import node_named
from reana_lite.server.api.schemas import COUNT, TEXT
from reana_lite.server.auth import Caller
from reana_lite.server.events import Fan
from reana_lite.server.installation import here

FOLLOWERS = "RECAST_FOLLOWERS"
"""How many may follow events of this process at a time."""

RIGHTS_S = 30.0
"""How often it is asked whether a follower may still see what they follow (seconds)."""

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


def end(app: Flask) -> None:
    """The application is about to end: its followers are let go."""
    found = app.extensions.get(_EXTENSION)
    if isinstance(found, Fan):
        found.end()


def followers(app: Flask) -> int:
    """How many follow events of this process now."""
    found = app.extensions.get(_EXTENSION)
    return found.followers if isinstance(found, Fan) else 0


def follow(call: Call) -> Response:
    """One's own runs, each as soon as it changes."""
    return _stream(call, fan().user(call.who.name, _last(0.0)), None)


def follow_run(call: Call, run: str) -> Response:
    """The log of a run event by event, and how it stands; `end` when it is over."""
    record = auth.run_named(run, who=call.who)
    return _stream(call, fan().run(record.id, int(_last(-1))), record)


def follow_campaign(call: Call, campaign: str) -> Response:
    """How a campaign stands, and each of its runs that begins or ends."""
    record = auth.campaign_named(campaign, who=call.who)
    return _stream(call, fan().campaign(record.id), record)


def follow_log(call: Call, run: str) -> Response:
    """What a node prints, as it prints it; `end` when it is over."""
    record = auth.run_named(run, who=call.who)
    row = node_named(record, call.query.get("node", ""))
    if not row.attempt:
        raise NotFound(f"node {row.node} has not begun", node=row.node)
    return _stream(call, fan().log(row.key, row.attempt, max(0, int(_last(call.query["offset"])))), record)


def _last(default: float) -> float:
    """The id of the last event that was heard."""
    text = request.headers.get("Last-Event-ID", "")
    try:
        value = float(text) if text else default
    except ValueError:
        return default
    return value if -1 <= value < 1e15 else default


def _stream(call: Call, events: Iterator[str], thing: RunRecord | CampaignRecord | None) -> Response:
    if call.query["once"]:
        first = next(events)  # what is wrong is answered as an error, before the stream begins
        _close(events)
        return _answer([first])
    place = ExitStack()
    try:
        place.enter_context(fan().place(call.who.name))
        place.callback(_close, events)
        first = next(events)
    except BaseException:
        place.close()
        raise
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    response = _answer(_long(app, call.who, thing, first, events))
    response.call_on_close(place.close)  # also where nothing of the stream is ever read
    return response


def _answer(events: Iterable[str]) -> Response:
    response = Response(events, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _long(
    app: Flask, who: Caller, thing: RunRecord | CampaignRecord | None, first: str, events: Iterator[str]
) -> Iterator[str]:
    """The stream, for as long as its follower may see what it tells: shares, accounts and tokens may go meanwhile."""
    yield first
    looked_at = time.monotonic()
    for text in events:
        if time.monotonic() - looked_at > RIGHTS_S:
            with app.app_context():
                if not auth.is_still(who, thing):
                    return
            looked_at = time.monotonic()
        yield text


def _close(events: Iterator[str]) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()
