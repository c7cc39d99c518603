"""The worker that `recast serve` starts: drives all runs of the database, and enrols the points of its campaigns.

It is a process of its own, so that no request waits for it and it outlives none of them. The same loop fits a worker that is
started by hand; several of them share the work through the database.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from reana_lite.backends.base import Backend
from reana_lite.config import Settings
from reana_lite.database import Database, campaigns
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import ReanaLiteError, Unavailable
from reana_lite.planning import REFUSING, Enrolment, planner
from reana_lite.server.installation import Installation
from reana_lite.server.uploads import bring_back, bring_back_request, clear
from reana_lite.storage.base import Storage
from reana_lite.worker import Worker

log = logging.getLogger(__name__)

RUNS_PER_CORE = 4
"""Runs that are held at a time, for each core: enough that no core waits for the next one to be taken up."""

ENROLLED = 200
"""Runs that wait in the queue of each campaign where workers are elsewhere."""

LOOK_S = 1.0
"""How often campaigns with points that have no run are looked for (seconds)."""

TURN_S = 0.25
"""How long a worker's loop is held up by enrolment at a time (seconds); one point may take longer."""

LATER_S = 30.0
"""When a campaign that could not be read is looked at again (seconds)."""

CLEARED_S = 86400.0
"""How often copies of uploaded files that nobody uses are removed (seconds)."""

PATIENCE_S = 10.0
"""How long this process waits for a bucket that does not answer (seconds); later it asks again. Turns wait for less."""

AGAIN_S = 5.0
"""How long the loop waits when the database or the storage does not answer (seconds)."""


class Enroller:
    """Keeps the queue of every campaign filled, a few runs ahead; what cannot be read is told once and left alone."""

    def __init__(self, installation: Installation, *, ahead: int) -> None:
        self.installation = installation
        self.ahead = ahead
        self._known: dict[str, tuple[Enrolment, ExitStack]] = {}  # while points have no run; with the scratch folders
        self._waiting: list[CampaignRecord] = []  # whose turn has not come since the last look
        self._looked_at = -LOOK_S
        self._not_before: dict[str, float] = {}
        self._cleared_at = -CLEARED_S

    def tick(self) -> None:
        """Look after the campaigns, if it is time to, for at most TURN_S: ends of steps must not wait for it.

        A campaign whose needs do not answer waits on its own; Unavailable is raised only where the database does not.
        """
        now = time.monotonic()
        if not self._waiting:
            if now - self._looked_at < LOOK_S:
                return
            self._waiting, self._looked_at = campaigns.waiting(self.installation.database), now
            self._not_before = {name: at for name, at in self._not_before.items() if at > now}
            for gone in self._known.keys() - {record.id for record in self._waiting}:
                self._forget(gone)
            if now - self._cleared_at >= CLEARED_S:
                self._cleared_at = now
                clear(self.installation.spool)
        until = now + TURN_S
        while self._waiting:
            record = self._waiting[0]
            if record.id in self._not_before or self._enrol(record, until):
                self._waiting.pop(0)
            else:
                self._waiting.append(self._waiting.pop(0))
            if time.monotonic() >= until:
                return

    def close(self) -> None:
        """Remove scratch folders."""
        for name in list(self._known):
            self._forget(name)

    def _enrol(self, record: CampaignRecord, until: float) -> bool:
        """Let a campaign have its runs; whether there was time for all that it needs now."""
        try:
            known = self._known.get(record.id)
            if known is None or known[0].record.request != record.request or known[0].done:
                self._forget(record.id)
                known = self._known[record.id] = self._enrolment(record)
            return known[0].top_up(self.ahead, limit_s=max(0.0, until - time.monotonic()))
        except Unavailable as error:
            # what it needs does not answer: the others may need something else; it goes on with what was read before
            log.warning("campaign %s waits: %s", record.name, error.message)
            self._wait(record.id, error.details.get("retry_after_s") or AGAIN_S)
            return True
        except REFUSING as error:
            log.warning("campaign %s cannot be enrolled: %s", record.name, error.message)
            self._refuse(record, error.message)
        except ReanaLiteError as error:  # such as what is being changed at this moment
            log.warning("campaign %s is enrolled later: %s", record.name, error.message)
            self._wait(record.id, LATER_S)
        self._forget(record.id)
        return True

    def _wait(self, campaign: str, wait_s: float) -> None:
        self._not_before[campaign] = time.monotonic() + min(wait_s, LATER_S)

    def _forget(self, campaign: str) -> None:
        known = self._known.pop(campaign, None)
        if known is not None:
            known[1].close()

    def _enrolment(self, record: CampaignRecord) -> tuple[Enrolment, ExitStack]:
        bring_back_request(self.installation, record.request)
        installation, scratch = self.installation, ExitStack()
        settings = replace(installation.settings, user=record.owner)
        planning = scratch.enter_context(
            planner(installation.database, installation.storage, settings=settings, say=log.info)
        )
        return Enrolment(planning, record, bring=partial(bring_back, installation)), scratch

    def _refuse(self, record: CampaignRecord, reason: str) -> None:
        """Say at the points themselves why they get no run: `retry` tries them again."""
        database = self.installation.database
        while page := campaigns.points(database, record.id, states=("planned",)):
            with database.transaction() as transaction:
                campaigns.fill(transaction, record, {}, {row.number: reason for row in page})
            if campaigns.get(database, record.id).stopped_at:
                return


def backend_of(settings: Settings, storage: Storage, *, installation: str = "") -> Backend:
    """The one backend of a worker that drives whatever comes: `auto` is processes of this machine with stand-ins."""
    from reana_lite.backends.choice import choose

    name = "local" if settings.backend == "auto" else settings.backend
    return choose(name, {"workflow": {}}, settings=settings, storage=storage, installation=installation)


def drive(
    settings: Settings,
    *,
    database: Database,
    storage: Storage,
    until: Callable[[], bool],
    backend: Backend | None = None,
) -> None:
    """Drive all runs and campaigns until `until` says so; what does not answer is waited for."""
    from reana_lite.backends.machine import cores

    backend = backend or backend_of(settings, storage, installation=database.installation())
    at_once = max(RUNS_PER_CORE, round(RUNS_PER_CORE * (settings.cores or cores())))
    enrolled = Enroller(Installation(settings, database, storage), ahead=2 * at_once)
    worker = Worker(database, storage, backend=backend, host=False)

    def between_turns() -> bool:
        enrolled.tick()
        return until()

    try:
        while not until():
            try:
                worker.drive(at_once=at_once, until=between_turns)
            except Unavailable as error:
                log.warning("the worker waits: %s", error.message)
                waited_until = time.monotonic() + (error.details.get("retry_after_s") or AGAIN_S)
                while time.monotonic() < waited_until and not until():
                    time.sleep(0.1)
    finally:
        worker.close()
        enrolled.close()


def enrol(settings: Settings, *, database: Database, storage: Storage, until: Callable[[], bool]) -> None:
    """Only keep the queues of campaigns filled, for workers that are started elsewhere."""
    enrolled = Enroller(Installation(settings, database, storage), ahead=ENROLLED)
    try:
        while not until():
            try:
                enrolled.tick()
            except Unavailable as error:
                log.warning("enrolment waits: %s", error.message)
            time.sleep(0.2)
    finally:
        enrolled.close()


def main(settings: Settings, *, only_enrol: bool = False) -> None:
    """The worker as a process: until SIGTERM, then it gives up what it holds in good order."""
    asked_to_end = False

    def end(number: int, frame: object) -> None:
        nonlocal asked_to_end
        asked_to_end = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the server, which then ends this
    from reana_lite.server.app import open_storage

    storage = open_storage(settings).within(PATIENCE_S)
    act = enrol if only_enrol else drive
    act(settings, database=Database(settings.database), storage=storage, until=lambda: asked_to_end)
