"""A storage that takes its time, or fails in the middle of a turn: others write meanwhile, and nothing is lost."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, cast

import pytest
from house import House
from steps import scatter, step, workflow

from reana_lite.backends.base import Report
from reana_lite.backends.memory import MemoryBackend
from reana_lite.database import jobs
from reana_lite.drive import Drive
from reana_lite.errors import Unavailable
from reana_lite.job import RUN_ROOT, Cause, Input, JobOutcome, JobState
from reana_lite.worker import Worker, beginnings, holding, turn
from reana_lite.worker.outbox import Outbox

READS = ("manifest", "open", "log", "rescan", "check", "damage", "size_bytes", "kept_at")

GLOB = {"publisher_type": "interpolated-pub", "publish": {"out": "{workdir}/*"}, "glob": True}
FROM_FILE = {"publisher_type": "fromyaml-pub", "yamlfile": "out"}
DOCUMENT = workflow(
    one=step("echo one > {out}", publisher=GLOB),
    two=step("cat {input} > {out}", after="one", publisher=FROM_FILE),
    map=scatter("echo {n} > {out}"),
)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "ASIDE_S", 0.01)
    monkeypatch.setattr(holding, "CHECK_S", 0.0)


class Slow:
    """Calls `during` while any read of the storage lasts; `count` of them so far."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.during: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        for name in READS:
            monkeypatch.setattr(house.storage, name, self._slow(getattr(house.storage, name)))

    def _slow(self, there: Callable[..., Any]) -> Callable[..., Any]:
        def read(*arguments: Any, **more: Any) -> Any:
            with self._lock:
                self.count += 1
                self.during()
            return there(*arguments, **more)

        return read


@pytest.fixture
def slow(house: House, monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(house, monkeypatch)


def files(task: Any) -> tuple[JobOutcome, dict[str, bytes]]:
    return JobOutcome(JobState.FINISHED, exit_code=0), {"out": b'{"a": 1}'}


def end(house: House, worker: Any, *runs: str) -> None:
    house.turn(worker, until=lambda: not house.database.unfinished(runs))


def test_others_write_while_a_turn_reads_storage(house: House, slow: Slow) -> None:
    """A run from nothing, one that reuses it all, one whose jobs are lost and tried again, one that is stopped."""
    refused: list[str] = []

    def write() -> None:
        with sqlite3.connect(house.folder / "records.db", timeout=0.0, isolation_level=None) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                refused.append(str(error))
        other.close()

    slow.during = write
    worker = house.worker(MemoryBackend(house.storage, script=files))
    for name in ("new", "reused"):
        end(house, worker, house.begin(name, DOCUMENT, ns=[1, 2]))
    assert slow.count > 6

    losing = MemoryBackend(house.storage, script=files, manual=True)
    other = house.worker(losing)
    worker.close()
    again = house.begin("again", DOCUMENT.replace("echo one", "echo two"), ns=[3])
    house.turn(other, until=lambda: losing.tasks)
    for place in list(losing.tasks):
        losing.begin(*place)
        losing.lose(*place)
    losing.manual = False
    end(house, other, again)
    losing.manual = True
    stopped = house.begin("stopped", DOCUMENT.replace("echo one", "echo three"), ns=[4])
    house.turn(other, until=lambda: losing.tasks)
    house.database.request_stop(stopped)
    end(house, other, stopped)
    assert refused == []
    assert [house.database.get_run(run).state for run in (again, stopped)] == ["finished", "stopped"]


def test_a_storage_that_fails_at_any_read_loses_nothing(house: House, slow: Slow) -> None:
    """Whichever of its reads fails, a run ends well, and nothing is computed twice or forgotten."""
    fails = -1

    def fail() -> None:
        if slow.count == fails:
            raise Unavailable("the storage went away")

    slow.during = fail
    done: list[tuple[str, MemoryBackend]] = []
    for number in range(100):
        backend = MemoryBackend(house.storage, script=files)
        worker = house.worker(backend)
        text = DOCUMENT.replace("echo", f"echo {number};").replace("cat ", f": {number}; cat ")
        run = house.begin(f"r{number}", text, ns=[1, 2])
        slow.count, fails = 0, number
        while house.database.unfinished([run]):
            try:
                end(house, worker, run)
            except Unavailable:
                continue
        worker.close()
        done.append((run, backend))
        if slow.count < fails:
            break
    else:
        pytest.fail("there is no end of reads")
    assert len(done) > 4, "it reads that often at least"
    for run, backend in done:
        assert house.database.get_run(run).state == "finished"
        assert len(backend.order) == len(set(backend.order)) == 4
        assert {attempt for _, attempt in backend.order} == {1}
        assert {node.state for node in house.database.nodes_of(run)} == {"finished"}


def test_outputs_that_are_forgotten_while_they_are_looked_at_are_computed_again(house: House, slow: Slow) -> None:
    backend = MemoryBackend(house.storage, script=files)
    worker = house.worker(backend)
    first = house.begin("first", DOCUMENT, ns=[1])
    end(house, worker, first)
    keys = {node.node: node.key for node in house.database.nodes_of(first)}
    left = [keys["/map/0"]] if "/map/0" in keys else [max(keys.values())]

    def forget() -> None:
        if left:
            key = left.pop()
            with house.database.transaction() as transaction:
                jobs.forget(transaction, key, 1)

    slow.during = forget
    second = house.begin("second", DOCUMENT, ns=[1])
    end(house, worker, second)
    assert house.database.get_run(second).state == "finished"
    again = [place for place in backend.order if place[1] == 2]
    assert len(again) == 1
    assert again[0] in {(node.key, node.attempt) for node in house.database.nodes_of(second)}


def apart() -> dict[str, str]:
    """Three workflows whose jobs have nothing in common, by name."""
    return {name: DOCUMENT.replace("echo", f"echo {name}").replace("cat ", f": {name}; cat ") for name in "abc"}


def three_under_way(house: House, backend: MemoryBackend) -> tuple[Worker, list[str]]:
    """Three runs, each with its first job under way."""
    worker = house.worker(backend)
    texts = apart()
    runs = [house.begin(name, text, ns=[]) for name, text in texts.items()]
    house.turn(worker, until=lambda: len(backend.tasks) == 3)
    return worker, runs


def test_a_turn_stands_still_for_a_storage_only_so_long(
    house: House, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "STAND_S", 1e-9)
    backend = MemoryBackend(house.storage, manual=True)
    worker, runs = three_under_way(house, backend)
    for place in list(backend.tasks):
        backend.begin(*place)
        backend.end(*place, files={"out": b"1"})

    def fail() -> None:
        raise Unavailable("this part of the storage does not answer")

    reads: list[int] = []
    monkeypatch.setattr(house.storage, "check", lambda: None)
    slow.during = fail
    slow.count = 0
    for _ in range(3):
        before = slow.count
        worker.turn()
        reads.append(slow.count - before)
    assert reads == [1, 1, 1], "the others have to wait for the next turn"
    slow.during = lambda: None
    backend.manual, backend.script = False, files
    end(house, worker, *runs)
    assert {house.database.get_run(run).state for run in runs} == {"finished"}
    assert len(backend.order) == len(set(backend.order)) == 6


def test_runs_that_reuse_much_are_held_up_only_so_long(
    house: House, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = apart()
    first = [house.begin(f"first-{name}", text, ns=[]) for name, text in texts.items()]
    end(house, house.worker(MemoryBackend(house.storage, script=files)), *first)
    for module in (turn, beginnings):
        monkeypatch.setattr(module, "STAND_S", 1e-9)
    monkeypatch.setattr(house.storage, "check", lambda: None)
    backend = MemoryBackend(house.storage, script=files)
    worker = house.worker(backend)
    runs = [house.begin(name, text, ns=[]) for name, text in texts.items()]

    def fail() -> None:
        raise Unavailable("this part of the storage does not answer")

    slow.during = fail
    counts = [slow.count]
    worker.drive(until=lambda: counts.append(slow.count) or len(counts) > 8)  # type: ignore[func-returns-value]
    reads = [after - before for before, after in itertools.pairwise(counts)]
    assert max(reads) == 1, "the others have to wait for the next turn"
    slow.during = lambda: None
    end(house, worker, *runs)
    assert {house.database.get_run(run).state for run in runs} == {"finished"}
    assert backend.order == [], "all of it was there"


def test_a_copy_of_an_input_stays_a_run_s_own_when_a_turn_is_undone(house: House) -> None:
    tree = Input(f"{RUN_ROOT}/init", "k" * 32, 1, "sha256:0")
    own = Input(tree.folder, "run-copy", 1, "sha256:0")
    hands = turn.Hands()

    class Copies:
        def copy(self, run: str, which: Input) -> Input:
            return own

    backend = MemoryBackend(house.storage)
    outbox = Outbox(backend, hands, environments=cast(Any, None), inputs=cast(Any, Copies()))
    before, after = (Drive("r", 1, house.storage) for _ in range(2))
    hands.drives["r"] = before
    outbox.take(turn.Turn(copies=[(before, tree)]))
    hands.drives["r"] = after  # the turn was undone, and the run read from its log
    while not outbox.copied:
        backend.wait(1.0)
    outbox.take_copies(turn.Turn())
    assert bound_place(after, tree) == own
    again = Drive("r", 1, house.storage)
    outbox.bind_again(again)
    assert bound_place(again, tree) == own
    del hands.drives["r"]
    outbox.take_copies(turn.Turn())
    late = Drive("r", 1, house.storage)
    outbox.bind_again(late)
    assert bound_place(late, tree) is None, "nothing is kept of a run that is over"
    outbox.close()


def bound_place(drive: Drive, tree: Input) -> Input | None:
    return drive.bound.get((tree.folder, tree.key, tree.attempt))


def test_what_was_kept_back_is_in_the_next_turn_even_if_this_one_fails(
    house: House, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "STAND_S", 1e-9)
    backend = MemoryBackend(house.storage, manual=True)
    worker, runs = three_under_way(house, backend)
    for place in list(backend.tasks):
        backend.end(*place, files={"out": b"1"})

    def fail() -> None:
        raise Unavailable("the storage does not answer at all")

    slow.during = fail
    with pytest.raises(Unavailable):  # its check fails, too
        worker.turn()
    kept: list[Report] = worker.hands.reports
    assert len([report for report in kept if report.outcome is not None]) == 3
    slow.during = lambda: None
    backend.manual, backend.script = False, files
    end(house, worker, *runs)
    assert len(backend.order) == len(set(backend.order)) == 6


def test_a_result_that_takes_its_time_holds_up_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    there = holding.harvest

    def harvest(drive: Any, record: Any, database: Any) -> Any:
        if record.name == "slow":
            assert goes_on.wait(30)
        return there(drive, record, database)

    monkeypatch.setattr(holding, "harvest", harvest)
    worker = house.worker(MemoryBackend(house.storage, script=files))
    first = house.begin("slow", DOCUMENT, ns=[1])
    house.turn(worker, until=lambda: first in worker.hands.over)
    others = [house.begin(name, DOCUMENT, ns=[1]) for name in "ab"]
    end(house, worker, *others)
    assert house.database.get_run(first).state == "running"
    goes_on.set()
    end(house, worker, first)
    assert house.database.get_run(first).state == "finished"


def test_a_run_without_storage_for_its_result_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    there, fails = holding.harvest, iter([True, True])

    def harvest(drive: Any, record: Any, database: Any) -> Any:
        if next(fails, False):
            raise Unavailable("the storage went away")
        return there(drive, record, database)

    monkeypatch.setattr(holding, "harvest", harvest)
    backend = MemoryBackend(house.storage, script=files)
    run = house.begin("a", DOCUMENT, ns=[1])
    end(house, house.worker(backend), run)
    assert house.database.get_run(run).state == "finished"
    assert len(backend.order) == 3


def test_what_a_failed_attempt_did_to_its_inputs_is_looked_at_before_the_next(house: House, slow: Slow) -> None:
    """The digest that the next attempt is told is that of what is there, though another run shows the same place."""
    backend = MemoryBackend(house.storage, script=files, manual=True)
    worker = house.worker(backend)
    run = house.begin("a", DOCUMENT, ns=[])
    house.turn(worker, until=lambda: backend.tasks)
    (first,) = backend.tasks
    backend.end(*first, files={"out": b"1"})
    house.turn(worker, until=lambda: [place for place in backend.tasks if place != first])
    (second,) = backend.tasks
    task = backend.tasks[second]
    (house.storage.folder(*first) / "out").write_bytes(b"2")
    backend.fail(*second, cause=Cause.LOST, message="it was lost")
    house.turn(worker, until=lambda: worker.drives[run].later)
    worker.drives[run].later = [(0.0, submit) for _, submit in worker.drives[run].later]
    house.turn(worker, until=lambda: backend.tasks)
    ((now,),) = (task.inputs for task in backend.tasks.values())
    assert now.digest == house.storage.rescan(now.key, now.attempt)
    assert now.digest != task.inputs[0].digest
    assert house.database.get_run(run).state == "running"
