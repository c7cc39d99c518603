"""How many requests a process works on at a time: as many as it has hands for, whatever the number of its threads.

Threads are many, because followers of events, slow senders and slow readers hold one each. Computing they share one
interpreter: where dozens of them try at once, they do several times the work of a few that take turns (benchmarks/README.md).
A turn is a courtesy, no lock: who has waited TURN_S for it goes on without, so that nobody can stop a server by holding all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, g, request

AT_ONCE = 6
"""Requests that are worked on at a time: some wait for the database meanwhile."""

TURN_S = 1.0
"""The longest that a request waits for its turn (seconds)."""

SMALL_BYTES = 1 << 16
"""Larger bodies take their time to come in, in which others have their turn."""


class Turns:
    """The turns of one application."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._free = threading.Semaphore(at_once)

    def take(self) -> None:
        """Wait for a turn, unless this request takes none."""
        g.has_turn = False
        if "Transfer-Encoding" not in request.headers and (request.content_length or 0) <= SMALL_BYTES:
            g.has_turn = self._free.acquire(timeout=TURN_S)

    def give(self) -> None:
        """The turn is over; no error if there was none."""
        if g.pop("has_turn", False):
            self._free.release()

    @contextmanager
    def without(self) -> Iterator[None]:
        """A time in which a request only waits."""
        had = g.get("has_turn", False)
        self.give()
        try:
            yield
        finally:
            if had:
                self.take()


_EXTENSION = "recast-turns"


def install(app: Flask) -> None:
    """Let the requests of an application take turns; a stream is sent outside of them."""
    turns = app.extensions[_EXTENSION] = Turns()
    app.before_request(turns.take)
    app.teardown_request(lambda error: turns.give())


@contextmanager
def out_of_turn() -> Iterator[None]:
    """A time in which the current request only waits, and somebody else has its turn."""
    from flask import current_app

    with current_app.extensions[_EXTENSION].without():
        yield
