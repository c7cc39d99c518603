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

READING, WRITING = 6, 3
"""Requests that are worked on at a time: those that only look, and those that change something. The latter wait for the
database's lock and for the disk, which those that look shall not."""

TURN_S = 30.0
"""The longest that a request waits for its turn (seconds)."""

SMALL_BYTES = 1 << 20
"""Documents up to this size are read before the turn, so that nobody has one while their bytes come in by drops; larger ones,
and files, take none."""

DOCUMENTS = ("application/json", "application/x-www-form-urlencoded")


class Turns:
    """The turns of one application."""

    def __init__(self, reading: int = READING, writing: int = WRITING) -> None:
        self._reading, self._writing = threading.Semaphore(reading), threading.Semaphore(writing)

    def take(self) -> None:
        """Wait for a turn, unless this request takes none."""
        g.turn = None
        size = request.content_length or 0
        if "Transfer-Encoding" not in request.headers and (
            not size or (size <= SMALL_BYTES and request.mimetype in DOCUMENTS)
        ):
            if size:
                request.get_data()
            free = self._reading if request.method in ("GET", "HEAD", "OPTIONS") else self._writing
            if free.acquire(timeout=TURN_S):
                g.turn = free

    def give(self) -> None:
        """The turn is over; no error if there was none."""
        if (turn := g.pop("turn", None)) is not None:
            turn.release()

    @contextmanager
    def without(self) -> Iterator[None]:
        """A time in which a request only waits."""
        had = g.get("turn") is not None
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
