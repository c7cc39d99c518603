"""One worker and many runs: what befalls one of them is no concern of the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from house import House, image
from steps import scatter, step, workflow

from reana_lite.backends.memory import MemoryBackend
from reana_lite.database import tables, workers
from reana_lite.errors import Unavailable
from reana_lite.storage.local import LocalStorage


class Broken(MemoryBackend):
    """Images that are called broken cannot be had."""

    def __init__(self, storage: LocalStorage, error: Exception) -> None:
        super().__init__(storage)
        self.error = error
        self.asked: list[str] = []

    def prepare(self, environment: Any, stand_ins: Any, say: Any) -> str:
        self.asked.append(environment.image)
        if "broken" in environment.image:
            raise self.error
        return super().prepare(environment, stand_ins, say)


@pytest.mark.parametrize("error", [Unavailable("not there"), OSError(28, "No space left on device"), ValueError("odd")])
def test_an_environment_that_cannot_be_made_fails_its_own_runs_only(house: House, error: Exception) -> None:
    bad = house.begin("bad", image("broken"), ns=[1, 2, 3])
    good = house.begin("good", image("fine"), ns=[1, 2, 3])
    backend = Broken(house.storage, error)
    house.turn(house.worker(backend), until=lambda: not house.database.unfinished([bad, good]))
    assert house.database.get_run(good).state == "finished"
    record = house.database.get_run(bad)
    assert record.state == "failed"
    assert str(getattr(error, "message", None) or error) in record.error
    assert set(house.states(bad).values()) == {"failed"}
    assert sum("broken" in name for name in backend.asked) == 1, "it is not tried again for each node"


def test_nothing_is_begun_for_a_run_that_is_stopped(house: House) -> None:
    backend = MemoryBackend(house.storage, manual=True, limit=1)
    worker = house.worker(backend)
    run = house.begin("wide", workflow(map=scatter("echo {n} > {out}")), ns=[1, 2, 3])
    house.turn(worker, until=lambda: backend.order)
    house.database.request_stop(run, by="me")
    backend.limit, worker._polled_at = 3, 0.0  # room again in the very turn that sees the request
    house.turn(worker, until=lambda: not house.database.unfinished([run]))
    assert len(backend.order) == 1
    assert not backend.tasks


def test_jobs_of_a_run_that_was_taken_over_are_not_begun(house: House) -> None:
    backend = MemoryBackend(house.storage, manual=True, limit=0)
    worker = house.worker(backend)
    run = house.begin("lost", workflow(map=scatter("echo {n} > {out}")), ns=[1, 2])
    house.turn(worker, until=lambda: run in worker.drives)
    workers.release(house.database, worker.name)  # as after a silence longer than the lease
    other = MemoryBackend(house.storage)
    second = house.worker(other)
    assert workers.claim_runs(house.database, second.name, lease_s=60.0, only=[run])
    backend.limit = 5
    house.turn(worker, until=lambda: run not in worker.drives)
    assert backend.order == []
    assert any("taken this run over" in line for line in house.said)
    workers.release(house.database, second.name)
    house.turn(second, until=lambda: not house.database.unfinished([run]))
    assert house.database.get_run(run).state == "finished"
    assert len(other.order) == 2


def test_what_runs_for_a_run_that_was_stopped_by_others_is_ended(house: House) -> None:
    backend = MemoryBackend(house.storage, manual=True)
    worker = house.worker(backend)
    run = house.begin("gone", workflow(map=scatter("echo {n} > {out}")), ns=[1, 2])
    house.turn(worker, until=lambda: len(backend.order) == 2)
    with house.database.transaction() as transaction:  # as seen by one who holds this worker for dead
        transaction.connection.execute(tables.runs.update().values(worker=""))
    assert house.database.request_stop(run) == "stopped"
    backend.finish(*backend.order[0])
    house.turn(worker, until=lambda: run not in worker.drives)
    house.turn(worker, until=lambda: not backend.tasks)
    house.turn(worker, until=lambda: not worker.hands.active)
    assert house.database.get_run(run).state == "stopped"


def test_a_follower_goes_on_when_the_other_ones_job_is_stopped(house: House) -> None:
    text = workflow(one=step("echo shared > {out}"))
    first, second = MemoryBackend(house.storage, manual=True), MemoryBackend(house.storage)
    one, two = house.worker(first), house.worker(second)
    begun = house.begin("first", text)
    house.turn(one, until=lambda: first.order)
    follows = house.begin("second", text)
    house.turn(two, until=lambda: two.hands.active)
    assert second.order == []
    house.database.request_stop(begun)
    house.turn(one, until=lambda: not house.database.unfinished([begun]) and not one.hands.active)
    house.turn(two, until=lambda: not house.database.unfinished([follows]))
    assert house.database.get_run(follows).state == "finished"
    assert [attempt for _, attempt in second.order] == [2]


def test_a_result_that_cannot_be_kept_does_not_end_the_worker(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> list[str]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("reana_lite.worker.holding.harvest", broken)
    run = house.begin("plain", workflow(one=step("touch {out}")))
    house.turn(house.worker(MemoryBackend(house.storage)), until=lambda: not house.database.unfinished([run]))
    assert any("Input/output error" in line for line in house.said), house.said


def test_a_log_that_cannot_be_read_fails_its_own_run_only(house: House) -> None:
    odd, good = (house.begin(name, workflow(one=step("touch {out}"))) for name in ("odd", "good"))
    with house.database.transaction() as transaction:
        transaction.append_events(odd, 0, 1, [("NoSuchEvent", json.loads("{}"))])
    house.turn(house.worker(MemoryBackend(house.storage)), until=lambda: not house.database.unfinished([odd, good]))
    assert house.database.get_run(odd).state == "failed"
    assert "event 1" in house.database.get_run(odd).error
    assert house.database.get_run(good).state == "finished"
