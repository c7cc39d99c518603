"""A busy worker keeps what it holds, a stuck one does not; a run of a newer version is left to newer workers."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from house import House
from sqlalchemy import select
from steps import step, workflow
from waiting import within

from reana_lite.backends.memory import MemoryBackend
from reana_lite.database import tables
from reana_lite.drive import Drive
from reana_lite.engine import ENGINE_VERSION
from reana_lite.worker import lease
from reana_lite.worker.lease import Lease

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.04)


def until(house: House, worker: str) -> float:
    """Until when a worker has its lease."""
    with house.database.reading() as connection:
        found = connection.execute(select(tables.workers.c.lease_until).where(tables.workers.c.id == worker)).scalar()
    return float(found or 0.0)


@contextlib.contextmanager
def leased(house: House) -> Iterator[Lease]:
    one = Lease(house.database, "w")
    try:
        yield one
    finally:
        one.close()
        one.close()


def test_a_loop_that_is_busy_gives_signs_of_life(house: House) -> None:
    with leased(house):
        for _ in range(3):
            before = until(house, "w")
            within(LIMIT_S, lambda before=before: until(house, "w") > before)
    before = until(house, "w")
    time.sleep(0.1)
    assert until(house, "w") == before, "none after its end"


def test_a_loop_that_is_stuck_gives_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STUCK_S", 0.0)
    with leased(house) as one:
        one._turned_at -= 1.0
        time.sleep(0.2)
        assert until(house, "w") == 0.0


def test_what_the_loop_has_just_told_the_thread_does_not_repeat(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 60.0)
    with leased(house) as one:
        one.renew('{"backend": "memory"}')
        before = until(house, "w")
        time.sleep(0.1)
        assert until(house, "w") == before


def test_a_worker_that_takes_long_to_take_up_a_run_stays_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, let_go = threading.Event(), threading.Event()
    there = Drive.replay

    def replay(drive: Drive, rows: Any) -> None:
        entered.set()
        assert let_go.wait(LIMIT_S)
        there(drive, rows)

    monkeypatch.setattr(Drive, "replay", replay)
    run = house.begin("a", workflow(one=step("touch {out}")))
    worker = house.worker(MemoryBackend(house.storage))
    thread = threading.Thread(target=lambda: worker.drive([run]))
    thread.start()
    try:
        assert entered.wait(LIMIT_S)
        before = until(house, worker.name)
        within(LIMIT_S, lambda: until(house, worker.name) > before)
    finally:
        let_go.set()
        thread.join(LIMIT_S)
    assert house.database.get_run(run).state == "finished"


def test_a_run_that_a_newer_version_has_begun_is_left_to_it(house: House) -> None:
    run = house.begin("a", workflow(one=step("touch {out}")))
    events = tables.events
    with house.database.transaction() as transaction:
        ((_, kind, body),) = house.database.read_events(run)
        assert kind == "RunStarted"
        newer = json.dumps({**body, "engine_version": ENGINE_VERSION + 1, "more": "that is not known here"})
        transaction.connection.execute(events.update().where(events.c.run == run).values(body=newer))
    worker = house.worker(MemoryBackend(house.storage))
    well = house.begin("b", workflow(two=step("touch {out}")))
    house.turn(worker, until=lambda: not house.database.unfinished([well]))
    assert house.database.get_run(run).state == "running"
    assert any("newer version" in line for line in house.said)
