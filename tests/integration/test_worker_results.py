"""A finished run has its results, whatever went away in between; what storage has lost is computed again."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from house import House
from steps import step, workflow

from reana_lite.backends.memory import MemoryBackend
from reana_lite.database import workers
from reana_lite.errors import Unavailable
from reana_lite.worker import holding

FROM_FILE = {"publisher_type": "fromyaml-pub", "yamlfile": "out.json"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "ASIDE_S", 0.01)
    monkeypatch.setattr(holding, "CHECK_S", 0.0)


class Busy(MemoryBackend):
    """Does not take stops or tasks while it is `deaf`."""

    deaf = False

    def submit(self, tasks: Any) -> None:
        if self.deaf:
            raise Unavailable("nobody answers")
        super().submit(tasks)


def declared(house: House, run: str) -> Any:
    return house.database.get_result(run, "declared")


def test_a_run_is_not_seen_finished_before_its_results_are_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    there = holding.harvest

    def look(drive: Any, record: Any, database: Any) -> Any:
        seen.append((str(record.state), declared(house, record.id)))
        return there(drive, record, database)

    monkeypatch.setattr(holding, "harvest", look)
    run = house.begin("a", workflow(one=step("touch {out}")))
    house.turn(house.worker(MemoryBackend(house.storage)), until=lambda: not house.database.unfinished([run]))
    assert seen == [("running", None)]
    assert declared(house, run) == {}


def test_storage_that_does_not_answer_delays_a_result_and_loses_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, fails = holding.harvest, iter([True, True])

    def harvest(*args: Any) -> Any:
        if next(fails, False):
            raise Unavailable("its part of the storage does not answer")
        return there(*args)

    monkeypatch.setattr(holding, "harvest", harvest)
    run = house.begin("a", workflow(one=step("touch {out}")))
    backend = MemoryBackend(house.storage)
    house.turn(house.worker(backend), until=lambda: not house.database.unfinished([run]))
    assert house.database.get_run(run).state == "finished"
    assert declared(house, run) == {}
    assert len(backend.order) == 1


def test_a_worker_that_dies_before_the_results_leaves_them_to_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def harvest(*args: Any) -> Any:
        raise Killed

    run = house.begin("a", workflow(one=step("touch {out}")))
    first = house.worker(MemoryBackend(house.storage))
    with monkeypatch.context() as patch:
        patch.setattr(holding, "harvest", harvest)
        with pytest.raises(Killed):
            first.drive([run])
    assert house.database.get_run(run).state == "running"
    workers.release(house.database, first.name)  # as whoever finds it dead does
    second = MemoryBackend(house.storage)
    house.turn(house.worker(second), until=lambda: not house.database.unfinished([run]))
    assert declared(house, run) == {}
    assert second.order == []


def test_a_backend_that_does_not_answer_keeps_no_result_back(house: House) -> None:
    backend = Busy(house.storage, manual=True)
    worker = house.worker(backend)
    run = house.begin("a", workflow(one=step("touch {out}")))
    house.turn(worker, until=lambda: backend.order)
    other = house.begin("b", workflow(two=step("touch {out} two")))
    backend.deaf = True
    for place in list(backend.tasks):
        backend.begin(*place)
        backend.finish(*place)
    for _ in range(3):
        with pytest.raises(Unavailable):
            worker.drive([run, other])
    backend.deaf, backend.manual = False, False
    worker.drive([run, other])
    assert [house.database.get_run(one).state for one in (run, other)] == ["finished", "finished"]
    assert declared(house, run) == {}


def reader(name: str) -> dict[str, Any]:
    """A step whose publisher reads what it has written."""
    return step(f"echo {name} > {{out}}", out="{workdir}/out.json", publisher=FROM_FILE)


def test_outputs_that_vanished_from_storage_are_computed_again(house: House) -> None:
    def script(task: Any) -> Any:
        from reana_lite.backends.memory import FINISHED

        return FINISHED, {"out.json": b'{"out": "1"}'}

    text = workflow(one=reader("one"))
    first = house.begin("first", text)
    backend = MemoryBackend(house.storage, script=script)
    worker = house.worker(backend)
    house.turn(worker, until=lambda: not house.database.unfinished([first]))
    assert house.database.get_run(first).state == "finished", house.database.get_run(first).error
    ((key, attempt),) = backend.order
    (house.storage.folder(key, attempt) / "out.json").unlink()  # by hand
    second = house.begin("second", text)
    well = house.begin("well", workflow(two=step("touch {out}")))
    house.turn(worker, until=lambda: not house.database.unfinished([second, well]))
    assert [house.database.get_run(run).state for run in (second, well)] == ["finished", "finished"]
    assert (key, 2) in backend.order
    assert any("are damaged" in line for line in house.said)


def test_a_storage_that_keeps_nothing_ends_the_run_and_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(task: Any) -> Any:
        from reana_lite.backends.memory import FINISHED

        return FINISHED, {"out.json": b'{"out": "1"}', "out": b""}

    backend = MemoryBackend(house.storage, script=script)
    there = backend._write

    def write(task: Any, *args: Any) -> None:
        there(task, *args)
        if "out.json" in task.job.line:
            shutil.rmtree(house.storage.folder(task.key, task.attempt))

    monkeypatch.setattr(backend, "_write", write)
    ill, well = house.begin("ill", workflow(one=reader("one"))), house.begin("well", workflow(two=step("touch {out}")))
    house.turn(house.worker(backend), until=lambda: not house.database.unfinished([ill, well]))
    assert [house.database.get_run(run).state for run in (ill, well)] == ["failed", "finished"]
    assert "damaged" in house.database.get_run(ill).error
    assert len(backend.order) == 4, "it was tried twice more"
