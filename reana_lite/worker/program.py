"""The worker as a program of a deployment: for ever, through outages, until it is asked to end.

What does not answer (database, storage, backend) is asked again, less and less often; nothing is lost by that. Asked to end,
it writes down what has ended, gives up its runs for others to take at once, and stops what runs in its own processes.
Called by cli/worker.py; no rule about runs is here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from reana_lite.errors import Unavailable
from reana_lite.worker.loop import Worker
from reana_lite.worker.telemetry import Health

log = logging.getLogger("recast.worker")

T = TypeVar("T")

LONGEST_WAIT_S = 15.0
"""The longest pause between two tries to reach what does not answer (seconds): below the lease of the worker."""


class Waits:
    """Waiting for what does not answer, longer and longer; the log and /readyz say why, the log once for each reason."""

    def __init__(self, asked_to_end: threading.Event, health: Health | None) -> None:
        self.asked_to_end = asked_to_end
        self.health = health
        self._wait_s = 0.5
        self._told = ""

    def wait(self, reason: str) -> bool:
        """Wait; True if asked to end meanwhile."""
        if reason != self._told:
            log.warning("%s; it is tried again until it goes on", reason)
            self._told = reason
        if self.health is not None:
            self.health.turned(reason)
        ends = self.asked_to_end.wait(self._wait_s)
        self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)
        return ends

    def over(self, trouble: str = "") -> None:
        """It goes on, but for what else is in the way."""
        if self._told:
            log.info("it goes on: %s", self._told)
        self._wait_s, self._told = 0.5, ""
        if self.health is not None:
            self.health.turned(trouble)


def keep_driving(
    worker: Worker, *, at_once: int, asked_to_end: threading.Event, drain: bool = False, health: Health | None = None
) -> None:
    """Drive all queued and abandoned runs until asked to end, or, with `drain`, until there are none."""
    waits = Waits(asked_to_end, health)

    turns = 0

    def until() -> bool:
        nonlocal turns
        if worker.counters.turns > turns:  # and not only tried
            turns = worker.counters.turns
            waits.over(worker.trouble)
        over = drain and not worker.drives and not worker.database.unfinished(None)
        return asked_to_end.is_set() or over

    while True:
        try:
            worker.drive(at_once=at_once, until=until)
            break
        except Unavailable as error:
            if waits.wait(error.message):
                break
    log.info("ending: its runs are given up for other workers")
    _try(lambda: worker.turn(begin=False))
    _try(worker.close)


def patiently(begin: Callable[[], T], *, asked_to_end: threading.Event, health: Health | None = None) -> T | None:
    """What `begin` makes, tried until what it needs answers; None if asked to end before."""
    waits = Waits(asked_to_end, health)
    while not asked_to_end.is_set():
        try:
            made = begin()
        except Unavailable as error:
            waits.wait(error.message)
        else:
            waits.over()
            return made
    return None


def _try(last: Callable[[], None]) -> None:
    """What is done while ending is done if it can be: leases run out by themselves."""
    try:
        last()
    except Unavailable as error:
        log.warning("%s", error.message)
