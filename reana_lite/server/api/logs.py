"""Logs of steps: of one node from a byte on, its last lines, or of all nodes. Read in blocks: a log may be of any size."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from flask import Blueprint, Response, request

from reana_lite.database import RunRecord
from reana_lite.database.records import TERMINAL_RUN, NodeRecord
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.files import node_named
from reana_lite.server.api.following import fan
from reana_lite.server.api.schemas import COUNT, TEXT
from reana_lite.server.installation import here
from reana_lite.server.turns import out_of_turn
from reana_lite.storage.base import Storage

WAIT_S = 20.0
"""The longest that a request for more of a log waits (seconds)."""

LOOK_S = 0.3
"""How often it looks whether there is more (seconds)."""

BLOCK = 1 << 18
"""Bytes of a log in memory at a time."""

PIECE = 1 << 23
"""The most bytes of a node's log that one answer with an offset holds; X-Log-Offset says where the next piece begins."""

LINE_BYTES, TAIL_BYTES = 400, 1 << 22
"""How long lines are taken to be when the last ones are looked for, and how far back that goes at most (bytes)."""


def add(blueprint: Blueprint) -> None:
    """Add the endpoint."""
    endpoint(blueprint, "GET", "/runs/<run>/log", tag="runs", media=["text/plain"], query={
        "node": TEXT | {"description": "Path of a node, such as /generate/3; without it those of all, one after the other."},
        "offset": COUNT | {"maximum": 2**53, "description": "From this byte on, in pieces: X-Log-Offset is where to go on."},
        "tail": COUNT | {"maximum": 100000, "description": "Only the last lines."},
        "wait_s": {"type": "number", "minimum": 0, "maximum": WAIT_S, "default": 0, "description": "Wait for more."},
    })(get_log)  # fmt: skip


def get_log(call: Call, run: str) -> Response:
    """What the steps of a run have printed: of one node, its last lines, a piece of it from a byte on, or of all nodes.

    X-Log-Offset says where to go on, X-Log-Over whether there will be no more.
    """
    record = auth.run_named(run, who=call.who)
    node, query, storage = call.query.get("node"), call.query, here().storage
    if node is None:
        rows = [row for row in here().database.nodes_of(record.id) if row.attempt]
        return _answer(_all(storage, rows, tail=query.get("tail")), over=record.state in TERMINAL_RUN)
    row = node_named(record, node)
    if "tail" in query:
        return _answer([_tail(storage, row, query["tail"])], over=_is_over(row))
    if "offset" not in query and not query["wait_s"]:
        return _answer(_blocks(storage, row), over=_is_over(row))
    return _piece(call, record, row)


def _piece(call: Call, record: RunRecord, row: NodeRecord) -> Response:
    """What there is from a byte on, waited for."""
    storage, offset = here().storage, call.query.get("offset", 0)
    until = time.monotonic() + call.query["wait_s"]

    def read() -> bytes:
        return storage.log(row.key, row.attempt, offset, limit=PIECE) if row.attempt else b""

    over, content = _is_over(row), read()
    if not content and not over and call.query["wait_s"]:
        with fan().place(call.who.name), out_of_turn():
            while not content and not over and not fan().ended and (left := until - time.monotonic()) > 0:
                time.sleep(min(LOOK_S, left))
                row = node_named(record, row.node)
                over, content = _is_over(row), read()  # in this order: what came before the end is not missed
    over = over and len(content) < PIECE
    return _answer([content], over=over, offset=offset + len(content))


def _blocks(storage: Storage, row: NodeRecord) -> Iterator[bytes]:
    """All of a log."""
    offset = 0
    while row.attempt and (block := storage.log(row.key, row.attempt, offset, limit=BLOCK)):
        offset += len(block)
        yield block


def _tail(storage: Storage, row: NodeRecord, lines: int) -> bytes:
    """The last lines of a log."""
    if not row.attempt or not lines:
        return b""
    content = storage.log(row.key, row.attempt, -min(TAIL_BYTES, LINE_BYTES * lines), limit=TAIL_BYTES)
    return b"".join(content.splitlines(keepends=True)[-lines:])


def _all(storage: Storage, rows: Sequence[NodeRecord], *, tail: int | None) -> Iterator[bytes]:
    """The logs of all nodes that have printed something, one after the other."""
    for row in rows:
        last = b""
        for block in [_tail(storage, row, tail)] if tail else _blocks(storage, row):
            if block:
                yield block if last else f"== {row.node}\n".encode() + block
                last = block
        if last and not last.endswith(b"\n"):
            yield b"\n"


def _is_over(row: NodeRecord) -> bool:
    return str(row.state) in ("finished", "failed", "stopped")


def _answer(content: Any, *, over: bool, offset: int | None = None) -> Response:
    response = Response(content, mimetype="text/plain")
    response.headers["X-Log-Over"] = "true" if over else "false"
    if offset is not None:
        response.headers["X-Log-Offset"] = str(offset)
    elif response.is_sequence:
        response.add_etag()
        response.make_conditional(request)
    return response
