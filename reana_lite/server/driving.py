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

from sqlalchemy import select

from reana_lite.backends.base import Backend
from reana_lite.config import Settings
from reana_lite.database import Database, campaigns, tables
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import ReanaLiteError, Unavailable
from reana_lite.planning import Enrolment, planner
from reana_lite.server.installation import Installation
from reana_lite.server.uploads import bring_back_request
from reana_lite.storage.base import Storage
from reana_lite.worker import Worker

log = logging.getLogger(__name__)

RUNS_PER_CORE = 4
"""Runs that are held at a time, for each core: enough that no core waits for the next one to be taken up."""

ENROLLED = 200
"""Runs that wait in the queue of each campaign where workers are elsewhere."""

LOOK_S = 1.0
"""How often campaigns with points that have no run are looked for (seconds)."""

AGAIN_S = 5.0
"""How long the loop waits when the database or the storage does not answer (seconds)."""


class Campaigns:
    """Keeps the queue of every campaign filled, a few runs ahead; what cannot be read is told once and left alone."""

    def __init__(self, installation: Installation, *, ahead: int) -> None:
        self.installation = installation
        self.ahead = ahead
        self._stack = ExitStack()
        self._known: dict[tuple[str, float], Enrolment] = {}
        self._looked_at = 0.0

    def tick(self) -> None:
        """Look after the campaigns, if it is time to."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        for record in self._open():
            name = (record.id, record.stopped_at)
            enrolment = self._known.get(name)
            try:
                if enrolment is None or enrolment.record.request != record.request or enrolment.done:
                    enrolment = self._known[name] = self._enrolment(record)
                enrolment.top_up(self.ahead)
            except Unavailable:
                raise
            except ReanaLiteError as error:
                log.warning("campaign %s cannot be enrolled: %s", record.name, error.message)
                self._refuse(record, error.message)
        self._looked_at = time.monotonic()

    def close(self) -> None:
        """Remove scratch folders."""
        self._stack.close()

    def _open(self) -> list[CampaignRecord]:
        """Campaigns that are not stopped and have points without a run."""
        points, table = tables.points, tables.campaigns
        waiting = select(points.c.campaign).where(points.c.run == "", points.c.error == "").distinct()
        statement = select(table.c.id).where(table.c.id.in_(waiting), table.c.stopped_at == 0)
        database = self.installation.database
        with database._reading() as connection:
            ids = list(connection.execute(statement).scalars())
        return [campaigns.get(database, campaign) for campaign in ids]

    def _enrolment(self, record: CampaignRecord) -> Enrolment:
        bring_back_request(self.installation, record.request)
        installation = self.installation
        settings = replace(installation.settings, user=record.owner)
        planning = self._stack.enter_context(
            planner(installation.database, installation.storage, settings=settings, say=log.info)
        )
        return Enrolment(planning, record)

    def _refuse(self, record: CampaignRecord, reason: str) -> None:
        """Say at the points themselves why they get no run: `retry` tries them again."""
        database = self.installation.database
        while page := campaigns.points(database, record.id, states=("planned",)):
            with database.transaction() as transaction:
                campaigns.fill(transaction, record, {}, {row.number: reason for row in page})
            if campaigns.get(database, record.id).stopped_at:
                return


def backend_of(settings: Settings, storage: Storage) -> Backend:
    """The one backend of a worker that drives whatever comes: `auto` is processes of this machine with stand-ins."""
    from reana_lite.backends.choice import choose

    name = "local" if settings.backend == "auto" else settings.backend
    return choose(name, {"workflow": {}}, settings=settings, storage=storage)


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

    backend = backend or backend_of(settings, storage)
    at_once = max(RUNS_PER_CORE, round(RUNS_PER_CORE * (settings.cores or cores())))
    enrolled = Campaigns(Installation(settings, database, storage), ahead=2 * at_once)
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
    enrolled = Campaigns(Installation(settings, database, storage), ahead=ENROLLED)
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

    storage = open_storage(settings)
    act = enrol if only_enrol else drive
    act(settings, database=Database(settings.database), storage=storage, until=lambda: asked_to_end)
