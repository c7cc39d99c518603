"""What storage, backend or database withhold from one run is no concern of the others; what is withheld from all is told."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from house import House
from steps import scatter, step, workflow

from reana_lite.artifact import Manifest
from reana_lite.backends.base import Task
from reana_lite.backends.memory import FINISHED, MemoryBackend
from reana_lite.errors import Unavailable
from reana_lite.job import Cause, JobOutcome, JobState
from reana_lite.worker import environments, holding
from reana_lite.worker.loop import Worker
from reana_lite.worker.program import Waits, keep_driving


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "ASIDE_S", 0.01)
    monkeypatch.setattr(holding, "CHECK_S", 0.0)


GLOB = {"publisher_type": "interpolated-pub", "publish": {"out": "{workdir}/*"}, "glob": True}
"""Only files tell what such a step has made: the run cannot go on without storage."""


def text(name: str) -> str:
    return workflow(one=step(f"echo {name} > {{out}}", publisher=GLOB), two=step("cat {input} > {out}", after="one"))


class Withheld:
    """Lets the manifests of some places not be had; `asked` counts how often they were wanted."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.places: Callable[[str, int], bool] = lambda key, attempt: False
        self.asked = 0
        there = house.storage.manifest

        def manifest(key: str, attempt: int) -> Manifest | None:
            if self.places(key, attempt):
                self.asked += 1
                raise Unavailable("its part of the storage does not answer")
            return there(key, attempt)

        monkeypatch.setattr(house.storage, "manifest", manifest)


@pytest.fixture
def withheld(house: House, monkeypatch: pytest.MonkeyPatch) -> Withheld:
    return Withheld(house, monkeypatch)


def keys_of(house: House, run: str) -> set[str]:
    return {node.key for node in house.database.nodes_of(run)}


def first_key(house: House, worker: Worker, run: str) -> str:
    house.turn(worker, until=lambda: keys_of(house, run))
    return min(keys_of(house, run))


def test_a_run_whose_storage_does_not_answer_waits_and_the_others_go_on(house: House, withheld: Withheld) -> None:
    backend = MemoryBackend(house.storage, manual=True)
    worker = house.worker(backend)
    ill = house.begin("ill", text("ill"))
    key = first_key(house, worker, ill)
    withheld.places = lambda k, a: k == key
    backend.manual = False
    backend.begin(key, 1)
    backend.finish(key, 1, {"out": b"1"})
    well = [house.begin(name, text(name)) for name in "abc"]
    house.turn(worker, until=lambda: not house.database.unfinished(well))
    assert [house.database.get_run(run).state for run in well] == ["finished"] * 3
    assert house.database.get_run(ill).state == "running"
    assert len(backend.order) == 7, "nothing is computed twice"
    assert any(f"{ill}: it waits" in line for line in house.said)

    withheld.places = lambda k, a: False
    house.turn(worker, until=lambda: not house.database.unfinished([ill]))
    assert house.database.get_run(ill).state == "finished"
    assert len(backend.order) == 8
    assert f"{ill}: it goes on" in house.said


def test_it_is_said_once_and_tried_less_and_less_often(
    house: House, withheld: Withheld, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    backend = MemoryBackend(house.storage, manual=True)
    worker = house.worker(backend)
    ill = house.begin("ill", text("ill"))
    key = first_key(house, worker, ill)
    withheld.places = lambda k, a: k == key
    monkeypatch.setattr(holding, "LONGEST_ASIDE_S", 0.04)
    backend.begin(key, 1)
    backend.finish(key, 1, {"out": b"1"})
    house.turn(worker, until=lambda: withheld.asked >= 5)
    assert worker.hands.aside[ill].wait_s == 0.04
    assert len([line for line in house.said if ill in line]) == 1


def test_a_user_sees_why_it_waits_and_can_stop_it(house: House, withheld: Withheld) -> None:
    backend = MemoryBackend(house.storage, manual=True)
    worker = house.worker(backend)
    ill = house.begin("ill", text("ill"))
    key = first_key(house, worker, ill)
    withheld.places = lambda k, a: True
    backend.begin(key, 1)
    backend.finish(key, 1, {"out": b"1"})
    house.turn(worker, until=lambda: "does not answer" in json.dumps(json.loads(worker._doing)["waiting"].get(ill)))
    assert worker.trouble == "1 runs wait: its part of the storage does not answer"
    house.database.request_stop(ill, by="me")
    house.turn(worker, until=lambda: not house.database.unfinished([ill]))
    assert house.database.get_run(ill).state == "stopped"
    house.turn(worker, until=lambda: not worker.hands.count)
    assert worker.trouble == ""


def test_what_runs_for_a_run_that_was_stopped_while_it_waited_is_ended(house: House, withheld: Withheld) -> None:
    publisher = GLOB
    wide = workflow(
        one=step("echo > {out}", publisher=publisher), other=step("echo other > {out}", publisher=publisher)
    )
    backend = MemoryBackend(house.storage, manual=True)
    worker = house.worker(backend)
    run = house.begin("wide", wide)
    house.turn(worker, until=lambda: len(backend.order) == 2)
    (key, attempt), other = backend.order
    withheld.places = lambda k, a: k == key
    backend.begin(key, attempt)
    backend.finish(key, attempt, {"out": b"1"})
    house.turn(worker, until=lambda: run in worker.hands.aside and run not in worker.drives)
    house.database.request_stop(run)
    house.turn(worker, until=lambda: not backend.tasks)
    assert backend.ended[other].outcome.state == "stopped"  # type: ignore[union-attr]


def test_a_run_that_cannot_be_read_when_it_is_taken_up_waits_and_is_not_forgotten(
    house: House, withheld: Withheld
) -> None:  # fmt: skip
    backend = MemoryBackend(house.storage, manual=True)
    first = house.worker(backend)
    ill = house.begin("ill", text("ill"))
    key = first_key(house, first, ill)
    first.close()
    house.workers.remove(first)
    withheld.places = lambda k, a: k == key
    second = house.worker(MemoryBackend(house.storage))
    well = house.begin("well", text("well"))
    house.turn(second, until=lambda: not house.database.unfinished([well]))
    withheld.places = lambda k, a: False
    house.turn(second, until=lambda: not house.database.unfinished([ill]))
    assert house.database.get_run(ill).state == "finished"


def test_runs_claimed_while_the_database_goes_away_are_taken_up_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    runs = [house.begin(name, text(name)) for name in "ab"]
    worker = house.worker(MemoryBackend(house.storage))
    there, fails = house.database.read_events, iter([False, True])

    def read_events(run: str, from_seq: int = 0) -> list[Any]:
        if next(fails, False):
            raise Unavailable("the database went away")
        return there(run, from_seq)

    monkeypatch.setattr(house.database, "read_events", read_events)
    with pytest.raises(Unavailable):
        worker.drive(runs)
    worker.drive(runs)
    assert [house.database.get_run(run).state for run in runs] == ["finished", "finished"]


def test_a_storage_that_does_not_answer_at_all_stops_the_turn_and_others_are_told(
    house: House, withheld: Withheld, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def check() -> None:
        raise Unavailable("there is no bucket b")

    backend = MemoryBackend(house.storage)
    worker = house.worker(backend)
    runs = [house.begin(name, text(name)) for name in "ab"]
    withheld.places = lambda k, a: True
    with monkeypatch.context() as patch:
        patch.setattr(house.storage, "check", check)
        for _ in range(3):
            with pytest.raises(Unavailable, match="no bucket"):
                worker.drive(runs)
        assert json.loads(worker._doing)["trouble"] == "there is no bucket b"
    withheld.places = lambda k, a: False
    worker.drive(runs)
    assert [house.database.get_run(run).state for run in runs] == ["finished", "finished"]
    assert len(set(backend.order)) == len(backend.order) == 4


def test_an_outage_is_logged_once_and_so_is_its_end(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    class Deaf(MemoryBackend):
        deaf = 4

        def submit(self, tasks: Any) -> None:
            if self.deaf:
                self.deaf -= 1
                raise Unavailable("the namespace recast-jobs is not there")
            super().submit(tasks)

    monkeypatch.setattr("reana_lite.worker.program.LONGEST_WAIT_S", 0.01)
    house.begin("a", workflow(map=scatter("echo {n} > {out}")), ns=[1, 2])
    with caplog.at_level(logging.INFO, "recast.worker"):
        keep_driving(house.worker(Deaf(house.storage)), at_once=5, asked_to_end=threading.Event(), drain=True)
    told = [record.message for record in caplog.records if record.name == "recast.worker"]
    assert told[:2] == [
        "the namespace recast-jobs is not there; it is tried again until it goes on",
        "it goes on: the namespace recast-jobs is not there",
    ]
    assert len([line for line in told if "namespace" in line]) == 2


def test_another_reason_is_logged_anew(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reana_lite.worker.program.LONGEST_WAIT_S", 0.0)
    ending = threading.Event()
    ending.set()
    waits = Waits(ending, None)
    with caplog.at_level(logging.INFO, "recast.worker"):
        for reason in ("one", "one", "two", "one"):
            assert waits.wait(reason)
    assert len(caplog.records) == 3


def test_a_step_whose_image_was_replaced_is_computed_in_the_new_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The tag was pushed again after its digest had been asked for: only the node that pulled it tells."""
    pushed = ["sha256:old"]

    class Registry(MemoryBackend):
        def prepare(self, *_: Any) -> str:
            return pushed[-1]

    def script(task: Task) -> tuple[JobOutcome, dict[str, bytes]]:
        if task.environment_digest != "sha256:new":
            pushed.append("sha256:new")
            details = {"reason": "image-changed"}
            return JobOutcome(JobState.FAILED, Cause.LOST, message="it means another image", details=details), {}
        return FINISHED, {"out": b"x"}

    monkeypatch.setattr(environments, "LEARNED_S", 0.0)
    document = json.loads(workflow(one=step("echo x > {out}")))
    document["stages"][0]["scheduler"]["step"]["environment"] = {
        "environment_type": "docker-encapsulated", "image": "tool", "imagetag": "1"
    }  # fmt: skip
    backend = Registry(house.storage, script=script)
    run = house.begin("pushed", json.dumps(document))
    house.worker(backend).drive([run])
    assert house.database.get_run(run).state == "finished"
    keys = [key for key, _ in backend.order]
    assert len(keys) == len(set(keys)) == 2, "another image is another job"
