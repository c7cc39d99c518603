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


def keep_driving(
    worker: Worker, *, at_once: int, asked_to_end: threading.Event, drain: bool = False, health: Health | None = None
) -> None:
    """Drive all queued and abandoned runs until asked to end, or, with `drain`, until there are none."""
    wait_s = 0.5

    def until() -> bool:
        nonlocal wait_s
        wait_s = 0.5
        if health is not None:
            health.turned()
        over = drain and not worker.drives and not worker.database.unfinished(None)
        return asked_to_end.is_set() or over

    while True:
        try:
            worker.drive(at_once=at_once, until=until)
            break
        except Unavailable as error:
            log.warning("%s; trying again in %.1f s", error.message, wait_s)
            if health is not None:
                health.turned(error.message)
            if asked_to_end.wait(wait_s):
                break
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
    log.info("ending: its runs are given up for other workers")
    _try(lambda: worker.turn(begin=False))
    _try(worker.close)


def patiently(begin: Callable[[], T], *, asked_to_end: threading.Event, health: Health | None = None) -> T | None:
    """What `begin` makes, tried until what it needs answers; None if asked to end before."""
    wait_s = 0.5
    while not asked_to_end.is_set():
        try:
            return begin()
        except Unavailable as error:
            log.warning("%s; trying again in %.1f s", error.message, wait_s)
            if health is not None:
                health.turned(error.message)
            asked_to_end.wait(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
    return None


def _try(last: Callable[[], None]) -> None:
    """What is done while ending is done if it can be: leases run out by themselves."""
    try:
        last()
    except Unavailable as error:
        log.warning("%s", error.message)
