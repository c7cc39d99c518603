"""Who is next, how many at once, what is tried again and how, stops in every state; one run's fault is no other's."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from house import House, image
from steps import scatter, step, workflow

from reana_lite.backends.memory import FINISHED, MemoryBackend
from reana_lite.database import tables, users
from reana_lite.database.users import Quota, Role, User
from reana_lite.drive import Drive
from reana_lite.errors import Unavailable
from reana_lite.job import Cause, JobOutcome, JobState
from reana_lite.retry import LOST
from reana_lite.worker import Worker
from reana_lite.worker.admission import Line
from reana_lite.worker.program import patiently

GIB = 1 << 30


def waiting(run: str, owner: str, priority: int = 0) -> Drive:
    return Drive(run, 1, None, owner=owner, priority=priority)  # type: ignore[arg-type]


def taken(line: Line, count: int) -> list[str]:
    found = []
    while len(found) < count and (drive := line.next()) is not None:
        found.append(drive.run)
        line.took()
    return found


def test_owners_share_whatever_the_number_of_their_runs() -> None:
    drives = [*(waiting(f"a{n}", "ann") for n in range(50)), waiting("b", "bob"), waiting("c", "cid")]
    assert Counter(run[0] for run in taken(Line(drives, {}, {}), 30)) == {"a": 10, "b": 10, "c": 10}


def test_who_has_jobs_under_way_waits_until_others_have_as_many() -> None:
    line = Line([waiting("a", "ann"), waiting("b", "bob")], {"ann": 5}, {})
    assert taken(line, 7) == ["b"] * 5 + ["a", "b"]


def test_a_priority_orders_the_runs_of_an_owner_and_takes_nothing_from_others() -> None:
    drives = [waiting("low", "ann"), waiting("high", "ann", 9), waiting("b", "bob")]
    line = Line(drives, {}, {})
    assert taken(line, 4) == ["high", "b", "high", "b"]
    while (drive := line.next()) is not None and drive.run != "high":
        line.took()
    line.dropped()
    assert Counter(taken(line, 10)) == {"low": 5, "b": 5}


def test_runs_of_one_priority_take_turns() -> None:
    assert taken(Line([waiting("x", "ann"), waiting("y", "ann")], {}, {}), 4) == ["x", "y", "x", "y"]


def test_nobody_is_above_the_limit_per_user() -> None:
    line = Line([waiting("a", "ann"), waiting("b", "bob")], {"ann": 1}, {"ann": 2, "bob": 2})
    assert Counter(taken(line, 10)) == {"a": 1, "b": 2}
    assert taken(Line([waiting("a", "ann")], {"ann": 2}, {"ann": 2}), 1) == []


def holding(house: House, backend: MemoryBackend, **limits: Any) -> Worker:
    worker = Worker(house.database, house.storage, backend=backend, say=house.said.append, **limits)
    house.workers.append(worker)
    return worker


def many(house: House, name: str, count: int, at: int = 0) -> str:
    text = workflow(map=scatter("echo " + name + " {n} > {out}"))
    return house.begin(name, text, ns=list(range(at, at + count)))


def test_the_limit_per_user_holds_over_two_workers_and_all_is_done_in_the_end(house: House) -> None:
    backends = [MemoryBackend(house.storage, manual=True) for _ in range(2)]
    workers = [holding(house, backend, per_user=3) for backend in backends]
    runs = [many(house, "a", 6), many(house, "b", 6)]
    most = drain(house, workers, backends, runs)
    assert most == 3


def test_the_shared_limit_holds_over_two_workers_and_all_is_done_in_the_end(house: House) -> None:
    backends = [MemoryBackend(house.storage, manual=True) for _ in range(2)]
    workers = [holding(house, backend, jobs_at_most=4) for backend in backends]
    runs = [many(house, "a", 6), many(house, "b", 6)]
    most = drain(house, workers, backends, runs)
    assert most == 4


def test_the_quota_of_an_account_holds_over_two_workers_and_the_owner_sees_why_it_waits(house: House) -> None:
    users.add(house.database, User("me", Role.ADMIN, quota=Quota(running_jobs=2)))
    backends = [MemoryBackend(house.storage, manual=True) for _ in range(2)]
    workers = [holding(house, backend, per_user=5) for backend in backends]
    runs = [many(house, "a", 6), many(house, "b", 6)]
    house.turn(workers[0], until=lambda: len(backends[0].tasks) == 2)
    house.turn(workers[0], until=lambda: "quota" in workers[0]._doing)
    reasons = json.loads(workers[0]._doing)["waiting"]
    assert reasons == dict.fromkeys(runs, "5 wait: the quota of me is 2 running jobs, and 2 are under way")
    assert drain(house, workers, backends, runs) == 2


def test_a_quota_holds_back_nobody_else(house: House) -> None:
    users.add(house.database, User("me", Role.ADMIN, quota=Quota(running_jobs=1)))
    backend = MemoryBackend(house.storage, manual=True)
    limited, free = many(house, "a", 4), many(house, "b", 4)
    with house.database.transaction() as transaction:
        transaction.connection.execute(tables.runs.update().where(tables.runs.c.id == free).values(owner="you"))
    house.turn(holding(house, backend), until=lambda: len(backend.tasks) == 5)
    assert Counter(task.label[:8] for task in backend.tasks.values()) == {limited: 1, free: 4}


def drain(house: House, workers: list[Worker], backends: list[MemoryBackend], runs: list[str]) -> int:
    """Let workers take turns, ending one job a round, until the runs are over; the most jobs under way at once."""
    most = 0
    for _ in range(200):
        for worker in workers:
            left = iter([False, False, True])
            worker.drive(at_once=1, until=lambda left=left: next(left))
            worker._polled_at = 0.0
        under_way = [(backend, place) for backend in backends for place in backend.tasks]
        most = max(most, len(under_way))
        if under_way:
            backend, place = under_way[0]
            backend.begin(*place)
            backend.finish(*place)
        if not house.database.unfinished(runs):
            break
    assert [house.database.get_run(run).state for run in runs] == ["finished"] * len(runs)
    places = [place for backend in backends for place in backend.order]
    assert len(places) == len(set(places)) == 12
    return most


@pytest.mark.parametrize("reason", [reason for reason, rule in LOST.items() if rule.limit < 100])
def test_a_lost_job_is_tried_again_by_its_reason_after_a_while(
    house: House,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule = LOST[reason]
    waits: list[float] = []
    monkeypatch.setattr(Drive, "due", lambda drive, now: due(drive, now, waits))
    lost = JobOutcome(JobState.FAILED, Cause.LOST, message="gone", details={"reason": reason} if reason else {})
    backend = MemoryBackend(house.storage, script=lambda task: (lost, {}))
    run = house.begin("one", workflow(one=step("touch {out}")))
    worker = holding(house, backend)
    left = iter(range(200))
    worker.drive([run], until=lambda: next(left, None) is None)
    assert house.database.get_run(run).state == "failed"
    assert len(backend.order) == rule.limit + 1
    wanted = [min(300.0, rule.wait_s * 2**n) for n in range(rule.limit)] if rule.wait_s else []
    assert waits == pytest.approx(wanted, abs=0.9)


def due(drive: Drive, now: float, waits: list[float]) -> None:
    """Time passes at once."""
    waits += [at - now for at, _ in drive.later]
    drive.queue.extendleft(submit for _, submit in drive.later)
    drive.later = []


def test_what_ran_out_of_memory_gets_more_up_to_the_limit(house: House) -> None:
    asked = []

    def script(task: Any) -> tuple[JobOutcome, dict[str, bytes]]:
        has = task.job.resources.memory_bytes
        asked.append(has)
        short = JobOutcome(JobState.FAILED, Cause.MEMORY, 137, "it ran out of memory")
        return (FINISHED, {"out": b"x"}) if has >= 3 * GIB else (short, {})

    one = step("touch {out}")
    one["scheduler"]["step"]["environment"] = {
        "environment_type": "docker-encapsulated", "image": "any", "resources": [{"kubernetes_memory_limit": "1Gi"}],
    }  # fmt: skip
    run = house.begin("one", workflow(one=one))
    backend = MemoryBackend(house.storage, script=script)
    worker = holding(house, backend, memory_limit_bytes=3 * GIB)
    house.turn(worker, until=lambda: not house.database.unfinished([run]))
    assert house.database.get_run(run).state == "finished", (asked, house.said)
    assert asked == [GIB, 2 * GIB, 3 * GIB]
    assert sum("memory were not enough" in line for line in house.said) == 2


def test_an_engine_bug_fails_its_run_alone_and_stops_its_jobs(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = MemoryBackend(house.storage, manual=True)
    bad, good = many(house, "bad", 2), many(house, "good", 2)
    worker = holding(house, backend)
    house.turn(worker, until=lambda: len(backend.tasks) == 4)
    handle = worker.drives[bad].engine.handle

    def broken(event: Any) -> Any:
        if type(event).__name__ == "JobFinished":
            raise ZeroDivisionError("a bug")
        return handle(event)

    class Broken:
        handle = staticmethod(broken)

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = worker.drives[bad].engine
    worker.drives[bad].engine = Broken()  # type: ignore[assignment]
    of_bad = [place for place, task in backend.tasks.items() if task.label.startswith(bad)]
    backend.finish(*of_bad[0])
    house.turn(worker, until=lambda: of_bad[1] not in backend.tasks)
    record = house.database.get_run(bad)
    assert record.state == "failed"
    assert "ZeroDivisionError: a bug" in record.error
    for place in list(backend.tasks):
        backend.finish(*place)
    house.turn(worker, until=lambda: not house.database.unfinished([good]))
    assert house.database.get_run(good).state == "finished"


def test_what_does_not_answer_at_the_start_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Unavailable("the database is down"), None])

    def begin() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "made"

    class Quick(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return self.is_set()

    assert patiently(begin, asked_to_end=Quick()) == "made"
    ended = threading.Event()
    ended.set()
    assert patiently(begin, asked_to_end=ended) is None


def test_a_run_is_stopped_while_its_environment_is_prepared(house: House) -> None:
    entered, let_go = threading.Event(), threading.Event()

    class Slow(MemoryBackend):
        def prepare(self, environment: Any, stand_ins: Any, say: Any) -> str:
            entered.set()
            assert let_go.wait(30)
            return super().prepare(environment, stand_ins, say)

    backend = Slow(house.storage)
    run = house.begin("one", image("slow"), ns=[1, 2])
    worker = holding(house, backend)
    try:
        house.turn(worker, until=entered.is_set)
        house.database.request_stop(run)
        house.turn(worker, until=lambda: not house.database.unfinished([run]))
    finally:
        let_go.set()
    assert house.database.get_run(run).state == "stopped"
    assert backend.order == []


@pytest.mark.parametrize("when", ["queued", "submitted", "running", "waiting for a retry"])
def test_a_run_is_stopped_in_every_state(house: House, when: str) -> None:
    backend = MemoryBackend(house.storage, manual=True)
    run = many(house, "a", 2)
    worker = holding(house, backend)
    if when != "queued":
        house.turn(worker, until=lambda: len(backend.tasks) == 2)
    if when in ("running", "waiting for a retry"):
        for place in list(backend.tasks):
            backend.begin(*place)
    if when == "waiting for a retry":
        lost = JobOutcome(JobState.FAILED, Cause.LOST, message="evicted", details={"reason": "evicted"})
        for place in list(backend.tasks):
            backend.end(*place, lost)
        house.turn(worker, until=lambda: run in worker.drives and len(worker.drives[run].later) == 2)
    house.database.request_stop(run)
    house.turn(worker, until=lambda: not house.database.unfinished([run]) and not backend.tasks)
    assert house.database.get_run(run).state == "stopped"
    doing = json.loads(worker._doing or "{}")
    assert run not in doing.get("waiting", {}) or when != "queued"


def test_files_of_one_run_that_cannot_be_read_are_no_concern_of_others(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, good = many(house, "bad", 1), many(house, "good", 1)
    replay = Drive.replay

    def broken(drive: Drive, rows: Any) -> None:
        if drive.run == bad:
            raise OSError(5, "Input/output error", str(Path("somewhere")))
        replay(drive, rows)

    monkeypatch.setattr(Drive, "replay", broken)
    worker = holding(house, MemoryBackend(house.storage))
    house.turn(worker, until=lambda: not house.database.unfinished([bad, good]))
    assert [house.database.get_run(run).state for run in (bad, good)] == ["failed", "finished"]
    assert "Input/output error" in house.database.get_run(bad).error
