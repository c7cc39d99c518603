"""What the records must do on every database."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg  # noqa: F401 - makes postgresql.psycopg known

import reana_lite.database
from reana_lite.database import (
    Claim,
    Database,
    Transaction,
    history,
    jobs,
    opening,
    statements,
    tables,
    upkeep,
    workers,
)
from reana_lite.database.holders import Holder, alive, process_start
from reana_lite.database.records import COUNTERS, Advance
from reana_lite.errors import Conflict, InvalidInput, NotFound, Unavailable
from reana_lite.event import RUN_TRANSITIONS, RunState
from reana_lite.job import Cause, JobOutcome, JobState

K = [f"{n:032d}" for n in range(100)]
DONE = JobOutcome(
    JobState.FINISHED, exit_code=0, digest="sha256:1", size_bytes=5, started_at=1.0, ended_at=2.0,
    details={"changed_inputs": ["/x"]},
)  # fmt: skip
FAILED = JobOutcome(JobState.FAILED, Cause.EXIT, 3, "it said \0 no", ended_at=3.0)
LOST = JobOutcome(JobState.FAILED, Cause.LOST, ended_at=4.0)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Node:
    key: str
    attempt: int
    state: str
    reused_from: str = ""


Opener = Callable[..., Database]


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def opener(url: str) -> Iterator[Opener]:
    opened: list[Database] = []

    def open_(**options: Any) -> Database:
        opened.append(Database(url, **options))
        return opened[-1]

    yield open_
    for database in opened:
        database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(opener: Opener, clock: Clock) -> Database:
    return opener(clock=clock)


def new_run(database: Database, run: str = "r1", **values: Any) -> str:
    database.create_run(**{"run": run, "name": "scan", "owner": "me", **values})
    return run


def held(database: Database, run: str = "r1", worker: str = "w") -> int:
    """A new run in the hands of a worker; gives the epoch."""
    new_run(database, run)
    ((_, epoch),) = workers.claim_runs(database, worker, lease_s=60, only=[run])
    return epoch


def far(run: str, epoch: int, first: int, *events: tuple[str, Any], nodes: Any = None, **progress: int) -> Advance:
    """How far a run has come; counts that are not given are 0."""
    return Advance(run, epoch, first, events, nodes or {}, dict.fromkeys(COUNTERS, 0) | progress)


def claim(database: Database, keys: list[str], run: str = "r1", worker: str = "w") -> list[Claim]:
    with database.transaction() as transaction:
        return jobs.claim(transaction, [(key, run) for key in keys], worker, "local")


def finish(database: Database, key: str, attempt: int, outcome: JobOutcome = DONE) -> None:
    with database.transaction() as transaction:
        jobs.finish(transaction, [(key, attempt, outcome)])


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_new_run_is_queued_with_its_request_and_first_event(database: Database) -> None:
    record = database.create_run(
        run="abc", name="scan", owner="me", analysis="a", theory="t", request={"n": [1, None, "ü"]},
        first_event=("RunStarted", {"init": {}}), campaign="c", priority=3,
    )  # fmt: skip
    assert (record.id, record.full_name, record.state, record.created_at) == ("abc", "scan.1", RunState.QUEUED, 1000.0)
    assert record.request == {"n": [1, None, "ü"]}
    assert database.read_events("abc") == [(0, "RunStarted", {"init": {}})]
    assert database.get_run("abc") == record
    document = record.to_dict()
    assert document["started_at"] is None
    assert document["progress"] == {"total": 0, "finished": 0, "reused": 0, "failed": 0, "running": 0}
    with pytest.raises(Conflict, match="abc"):
        database.create_run(run="abc", name="x", owner="me")
    assert [run.id for run in database.list_runs()] == ["abc"]


def test_numbers_count_per_owner_and_name_and_restarts_below_them(database: Database) -> None:
    for run, values in {
        "a1": {}, "a2": {}, "b1": {"owner": "you"}, "c1": {"name": "other"}, "a1r": {"parent": "a1"},
        "a1rr": {"parent": "a1r"}, "a3": {}, "a9": {"parent": "c1"}, "d1": {"parent": "gone"},
    }.items():  # fmt: skip
        new_run(database, run, **values)
    names = {run.id: run.full_name for run in database.list_runs()}
    assert names == {
        "a1": "scan.1", "a2": "scan.2", "b1": "scan.1", "c1": "other.1", "a1r": "scan.1.1", "a1rr": "scan.1.2",
        "a3": "scan.3", "a9": "scan.4", "d1": "scan.5",
    }  # fmt: skip


def test_a_run_is_found_by_what_people_type(database: Database, clock: Clock) -> None:
    for n, (run, values) in enumerate({
        "ab11": {}, "ab22": {}, "cd33": {"owner": "you"}, "ef44": {"name": "scan.v2"}, "gh55": {"name": "50%_off"},
        "ij66": {"parent": "ab11"},
    }.items()):  # fmt: skip
        clock.now = 1000.0 + n
        new_run(database, run, **values)
    for typed, expected in {
        "ab11": "ab11", "latest": "ij66", "scan.1": "cd33", "scan.2": "ab22", "scan.1.1": "ij66", "scan": "ij66",
        "ef": "ef44", "scan.v2": "ef44", "scan.v": "ef44", "scan.v2.1": "ef44", "50%": "gh55", "50%_off.1": "gh55",
    }.items():  # fmt: skip
        assert database.get_run(typed).id == expected, typed
    assert database.get_run("scan.1", owner="me").id == "ab11"
    assert database.get_run("latest", owner="you").id == "cd33"
    for typed in ("", "nothing", "scan.99", "5_", "latest.1", "SCAN.7", "%", "scan.1.9"):
        with pytest.raises(NotFound):
            database.get_run(typed)
    with pytest.raises(NotFound):
        database.get_run("cd33", owner="me")
    for typed in ("ab", "sca"):
        with pytest.raises(InvalidInput, match="several"):
            database.get_run(typed)


def test_latest_of_nothing(database: Database) -> None:
    with pytest.raises(NotFound, match="no runs yet"):
        database.get_run("latest")


def test_lists_are_filtered_and_paged_newest_first(database: Database, clock: Clock) -> None:
    for n in range(25):
        clock.now = 1000.0 + n // 3  # several in one instant
        new_run(database, f"r{n:02d}", analysis="a" if n % 2 else "b", campaign="c" if n < 5 else "")
    database.set_run_state("r03", RunState.STOPPED)
    pages, last = [], None
    while page := database.list_runs(limit=4, before=last):
        pages.append([run.id for run in page])
        last = page[-1].id
    everything = [run for page in pages for run in page]
    assert everything == [run.id for run in database.list_runs()]
    assert len(set(everything)) == 25
    assert everything[0] == "r24"
    assert everything[-3:] == ["r02", "r01", "r00"]
    assert [run.id for run in database.list_runs(states=["stopped"])] == ["r03"]
    assert len(database.list_runs(analysis="b")) == 13
    assert len(database.list_runs(campaign="c", states=("queued", "stopped"))) == 5
    assert database.list_runs(owner="you") == []
    with pytest.raises(InvalidInput, match="sleeping"):
        database.list_runs(states=["sleeping"])
    with pytest.raises(NotFound):
        database.list_runs(before="nope")


@pytest.mark.parametrize("before", list(RunState))
@pytest.mark.parametrize("after", list(RunState))
def test_states_change_only_as_the_table_says(
    database: Database, clock: Clock, before: RunState, after: RunState
) -> None:
    new_run(database, state=before)
    clock.now = 2000.0
    if after in RUN_TRANSITIONS[before]:
        database.set_run_state("r1", after, error="because \0")
        record = database.get_run("r1")
        assert (record.state, record.error) == (after, "because \ufffd")
        at = {RunState.QUEUED: record.queued_at, RunState.RUNNING: record.started_at}.get(after, record.ended_at)
        assert at == 2000.0
    else:
        with pytest.raises(Conflict, match=f"is {before} and cannot become {after}"):
            database.set_run_state("r1", after)
        assert database.get_run("r1").state is before


def test_a_run_that_is_not_there(database: Database) -> None:
    with pytest.raises(NotFound):
        database.set_run_state("no", RunState.RUNNING)
    with pytest.raises(NotFound):
        database.request_stop("no")
    with pytest.raises(NotFound), database.transaction() as transaction:
        transaction.append_events("no", 1, 0, [("X", {})])
    assert database.read_events("no") == []
    assert database.nodes_of("no") == []
    assert database.jobs_of("no") == []
    assert database.get_result("no", "result") is None


# -- events --------------------------------------------------------------------------------------------------------


def test_events_are_read_as_written_over_many_pages(database: Database, clock: Clock, monkeypatch: Any) -> None:
    monkeypatch.setattr(sys.modules["reana_lite.database.database"], "PAGE", 7)
    epoch = held(database)
    events = [("Looked", {"n": n, "text": "ü \0 \ud800", "deep": [{"a": None}]}) for n in range(28)]
    with database.transaction() as transaction:
        transaction.append_events("r1", epoch, 0, events[:20])
        clock.now = 2000.0
        transaction.append_events("r1", epoch, 20, events[20:])
        transaction.append_events("r1", epoch, 28, [])
    assert database.read_events("r1") == [(n, *one) for n, one in enumerate(events)]
    assert database.read_events("r1", 25) == [(n, *events[n]) for n in (25, 26, 27)]
    assert database.read_events("r1", 28) == []
    assert [at for *_, at in database.timeline("r1", 19)][:2] == [1000.0, 2000.0]


@pytest.mark.parametrize(("epoch_off", "seq"), [(-1, 2), (1, 2), (0, 1), (0, 3), (0, 0)])
def test_an_event_out_of_turn_is_refused_and_the_transaction_goes_on(
    database: Database, epoch_off: int, seq: int
) -> None:
    epoch = held(database)
    with database.transaction() as transaction:
        transaction.append_events("r1", epoch, 0, [("A", {}), ("B", {})])
    with database.transaction() as transaction:
        with pytest.raises(Conflict, match="is at event 2"):
            transaction.append_events("r1", epoch + epoch_off, seq, [("C", {})])
        transaction.append_events("r1", epoch, 2, [("D", {})])
    assert [kind for _, kind, _ in database.read_events("r1")] == ["A", "B", "D"]


def test_of_many_runs_those_in_turn_advance_and_the_others_are_named(database: Database) -> None:
    epochs = {run: held(database, run) for run in ("a", "b", "c", "d")}
    with database.transaction() as transaction:
        transaction.append_events("b", epochs["b"], 0, [("Other", {})])
    with database.transaction() as transaction:
        refused = transaction.advance([
            far("d", epochs["d"], 0, ("D", {}), ("E", {}), nodes={"/n": Node(K[0], 1, "queued")}, total=3),
            far("b", epochs["b"], 0, ("B", {}), nodes={"/n": Node(K[0], 1, "queued")}, total=3),
            far("gone", 1, 0, ("G", {}), nodes={"/n": Node(K[0], 1, "queued")}),
            far("c", epochs["c"] + 1, 0, ("C", {})),
            far("a", epochs["a"], 0, total=2),
        ])  # fmt: skip
    assert refused == {"b", "c", "gone"}
    assert [kind for _, kind, _ in database.read_events("d")] == ["D", "E"]
    assert [kind for _, kind, _ in database.read_events("b")] == ["Other"]
    assert database.read_events("c") == database.read_events("a") == []
    assert [database.get_run(run).total for run in "abcd"] == [2, 0, 0, 3]
    assert [len(database.nodes_of(run)) for run in (*"abcd", "gone")] == [0, 0, 0, 1, 0]


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    epoch = held(database)

    def turn(transaction: Transaction) -> None:
        jobs.claim(transaction, [(K[0], "r1")], "w", "local")
        transaction.advance([far("r1", epoch, 0, ("A", {}), nodes={"/n": Node(K[0], 1, "queued")}, total=7)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.transaction() as transaction:
        turn(transaction)
    assert database.read_events("r1") == []
    assert database.attempts(K[0]) == []
    assert database.nodes_of("r1") == []
    assert database.get_run("r1").total == 0
    with database.transaction() as transaction:
        transaction.append_events("r1", epoch, 0, [("A", {})])


def test_progress_and_nodes(database: Database) -> None:
    epoch = held(database)
    claim(database, K[:2])
    with database.transaction() as transaction:
        nodes = {"/b": Node(K[1], 1, "queued"), "/a": Node(K[0], 1, "running")}
        transaction.advance([far("r1", epoch, 0, ("A", {}), nodes=nodes)])
        nodes = {"/b": Node(K[1], 1, "finished", "other")}
        counts = {"total": 9, "finished": 4, "reused": 2, "failed": 1, "running": 2}
        transaction.advance([far("r1", epoch, 1, nodes=nodes, **counts)])
    record = database.get_run("r1")
    assert (record.total, record.finished, record.reused, record.failed, record.running) == (9, 4, 2, 1, 2)
    assert [(n.node, n.key, n.attempt, n.state, n.reused_from) for n in database.nodes_of("r1")] == [
        ("/a", K[0], 1, "running", ""),
        ("/b", K[1], 1, "finished", "other"),
    ]
    finish(database, K[1], 1)
    first, second = database.jobs_of("r1")
    assert (first.node, first.key, first.state, first.counts) == ("/a", K[0], JobState.QUEUED, False)
    assert (second.node, second.reused_from, second.digest, second.counts) == ("/b", "other", "sha256:1", True)
    assert second.to_dict()["details"] == {"changed_inputs": ["/x"]}


def test_the_images_of_an_analysis_are_those_its_newest_steps_ran_in(database: Database, clock: Clock) -> None:
    for number, (run, used) in enumerate(
        [("r1", "tool:1 sha256:old"), ("r2", "tool:1 sha256:new"), ("r3", "tool:1 by stand-in sha256:x"), ("r4", "")]
    ):
        clock.now += 1
        new_run(database, run, analysis="search")
        ((_, epoch),) = workers.claim_runs(database, "w", lease_s=60, only=[run])
        claim(database, [K[number]], run)
        details = {"environment": used} if used else {}
        finish(database, K[number], 1, replace(DONE, details=details))
        with database.transaction() as transaction:
            transaction.advance([far(run, epoch, 0, ("A", {}), nodes={"/a": Node(K[number], 1, "finished")})])
    assert history.images_of(database, "search") == {"tool:1": "sha256:new"}
    assert history.images_of(database, "another") == {}


# -- workers and leases --------------------------------------------------------------------------------------------


def test_runs_are_taken_up_in_order_however_few_at_a_time(database: Database, clock: Clock) -> None:
    """By owner in turns; within an owner by priority, then the longest waiting, then by name: many wait since one moment."""
    wanted: dict[str, list[str]] = {"a": [], "b": []}
    for owner in wanted:
        for n in range(12):
            clock.now = 1000.0 + n // 5  # ties
            new_run(database, f"{owner}{n:02}", owner=owner, priority=n % 3)
            wanted[owner].append(f"{owner}{n:02}")
        wanted[owner].sort(key=lambda run: (-(int(run[1:]) % 3), int(run[1:]) // 5, run))
    taken: list[str] = []
    for limit in (1, 2, 3, 5, 7, 100):
        taken += [run for run, _ in workers.claim_runs(database, "w", lease_s=600, limit=limit)]
    assert len(taken) == len(set(taken)) == 24
    for owner, runs in wanted.items():
        assert [run for run in taken if run[0] == owner] == runs
    for end in range(2, 24, 2):
        assert abs(sum(run[0] == "a" for run in taken[:end]) - end / 2) <= 1, "they take turns"
    assert workers.claim_runs(database, "w", lease_s=600, limit=5) == []
    started = {database.get_run(run).started_at for run in taken}
    assert started == {clock.now}


def test_an_abandoned_run_keeps_its_place_and_its_start(database: Database, clock: Clock) -> None:
    for n in range(4):
        clock.now = 1000.0 + n
        new_run(database, f"r{n}", priority=int(n == 3))
    ((first, _),) = workers.claim_runs(database, "gone", lease_s=10, only=["r1"])
    began = database.get_run(first).started_at
    clock.now = 5000.0
    assert workers.claim_runs(database, "w", lease_s=60, limit=3) == [("r3", 1), ("r0", 1), ("r1", 2)]
    assert database.get_run("r1").started_at == began != clock.now


def test_runs_are_taken_once_the_urgent_and_early_first(database: Database, clock: Clock) -> None:
    for n, priority in enumerate((0, 5, 0, 5)):
        clock.now += 1
        new_run(database, f"r{n}", priority=priority)
    new_run(database, "made", state=RunState.CREATED)
    assert workers.claim_runs(database, "w1", lease_s=60, limit=3) == [("r1", 1), ("r3", 1), ("r0", 1)]
    assert workers.claim_runs(database, "w2", lease_s=60, only=["r0", "r1"]) == []
    assert workers.claim_runs(database, "w2", lease_s=60) == [("r2", 1)]
    assert workers.claim_runs(database, "w2", lease_s=60) == []
    record = database.get_run("r1")
    assert (record.state, record.worker, record.started_at) == (RunState.RUNNING, "w1", clock.now)
    assert sorted(database.unfinished(["r0", "r1", "made", "no"])) == ["made", "r0", "r1"]
    database.set_run_state("r1", RunState.FINISHED)
    assert database.unfinished(["r1"]) == []
    assert database.unfinished([]) == []


def test_a_silent_worker_loses_its_runs_and_is_shut_out(opener: Opener, clock: Clock) -> None:
    here, there = opener(clock=clock, host="here"), opener(clock=clock, host="there")
    epoch = held(here, worker="w1")
    claim(here, K[:1], worker="w1")
    clock.now += 50
    assert workers.claim_runs(there, "w2", lease_s=60) == []
    with here.transaction() as transaction:
        workers.renew(transaction, "w1", lease_s=60)
    clock.now += 50
    assert workers.claim_runs(there, "w2", lease_s=60) == []
    assert jobs.stale_attempts(there, "w2") == []
    clock.now += 20
    assert workers.claim_runs(there, "w2", lease_s=60) == [("r1", epoch + 1)]
    assert jobs.stale_attempts(there, "w2", backend="kubernetes") == []
    assert jobs.stale_attempts(there, "w2", backend="local") == [(K[0], 1)]
    assert jobs.stale_attempts(there, "w2") == []
    assert [job.key for job in there.running_jobs_of("w2")] == [K[0]]
    assert here.get_run("r1").started_at == 1000.0
    with here.transaction() as transaction:
        workers.renew(transaction, "w1", lease_s=60)
        with pytest.raises(Conflict):
            transaction.append_events("r1", epoch, 0, [("A", {})])
    with there.transaction() as transaction:
        transaction.append_events("r1", epoch + 1, 0, [("A", {})])


def test_a_worker_that_closes_gives_everything_up_at_once(database: Database) -> None:
    held(database, worker="w1")
    claim(database, K[:1], worker="w1")
    workers.release(database, "w1")
    assert workers.claim_runs(database, "w2", lease_s=60) == [("r1", 2)]
    assert jobs.stale_attempts(database, "w2") == [(K[0], 1)]


def test_the_name_of_a_living_worker_is_taken(opener: Opener, clock: Clock) -> None:
    here, there = opener(clock=clock, host="here"), opener(clock=clock, host="there")
    held(here, worker="w")
    claim(here, K[:1])
    new_run(there, "r2")
    with pytest.raises(Conflict, match="alive already"):
        workers.claim_runs(there, "w", lease_s=60)
    clock.now += 61
    assert sorted(workers.claim_runs(there, "w", lease_s=60)) == [("r1", 2), ("r2", 1)]
    assert jobs.stale_attempts(there, "w") == [(K[0], 1)], "those of the dead one of the same name"


def test_killed_workers_of_this_machine_leave_no_rows(database: Database) -> None:
    held(database, worker="w1")
    claim(database, K[:1], worker="w1")
    with database.transaction() as transaction:
        rows = tables.workers.update().where(tables.workers.c.id == "w1")
        transaction.connection.execute(rows.values(pid=2**22 + 1, process="5"))
    with database.transaction() as transaction:
        workers.renew(transaction, "w2", lease_s=60)
    with database.transaction() as transaction:
        assert list(transaction.connection.execute(select(tables.workers.c.id)).scalars()) == ["w2"]
    assert workers.claim_runs(database, "w2", lease_s=60) == [("r1", 2)]
    assert jobs.stale_attempts(database, "w2") == [(K[0], 1)]


def test_who_is_alive(clock: Clock) -> None:
    parent = os.getppid()
    rows = [
        Holder("killed", "here", 2**22 + 1, "5", 2000.0),
        Holder("reused pid", "here", parent, "5", 2000.0),
        Holder("late but alive", "here", parent, process_start(parent), 0.0),
        Holder("mine", "here", os.getpid(), process_start(os.getpid()), 2000.0),
        Holder("mine but silent", "here", os.getpid(), process_start(os.getpid()), 999.0),
        Holder("elsewhere", "there", 1, "5", 2000.0),
        Holder("elsewhere but silent", "there", 1, "5", 999.0),
    ]
    assert alive(rows, host="here", now=clock.now) == ["late but alive", "mine", "elsewhere"]
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(child.pid) == "", "a zombie is dead"
    child.wait()


def test_a_followed_attempt_goes_to_one_of_those_who_see_its_worker_dead(opener: Opener, clock: Clock) -> None:
    here, there = opener(clock=clock, host="here"), opener(clock=clock, host="there")
    held(here, worker="w1")
    claim(here, K[:2], worker="w1")
    clock.now += 30
    with there.transaction() as transaction:
        workers.renew(transaction, "w2", lease_s=600)
        assert jobs.stale(transaction, [(K[0], 1)], "w2") == []
    clock.now += 31
    with there.transaction() as transaction:
        workers.renew(transaction, "w2", lease_s=600)
        assert jobs.stale(transaction, [(K[0], 1), (K[0], 9)], "w2") == [(K[0], 1)]
        assert jobs.stale(transaction, [(K[0], 1)], "w2") == []
    finish(there, K[0], 1)
    with there.transaction() as transaction:
        assert jobs.ended(transaction, [(K[0], 1), (K[1], 1)]) == [(K[0], 1, DONE)]
        assert jobs.stale(transaction, [(K[0], 1)], "w2") == []


# -- stopping ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [RunState.CREATED, RunState.QUEUED])
def test_a_run_nobody_drives_stops_at_once(database: Database, state: RunState) -> None:
    new_run(database, state=state)
    assert database.request_stop("r1", by="me") is RunState.STOPPED
    assert database.request_stop("r1") is RunState.STOPPED
    assert database.get_run("r1").ended_at == 1000.0
    assert workers.claim_runs(database, "w", lease_s=60) == []


def test_a_job_is_looked_up_without_a_trace(database: Database) -> None:
    new_run(database)
    with database.peek() as peek:
        assert jobs.look_up(peek, [K[0]]) == {K[0]: Claim(K[0], 1, True, None, "")}
    (begun,) = claim(database, [K[0]])
    with database.peek() as peek:
        assert jobs.look_up(peek, [K[0], K[1]])[K[0]] == replace(begun, begun=False)
    assert database.attempts(K[1]) == []


def test_outputs_found_before_are_reused_only_if_they_count_still(database: Database) -> None:
    new_run(database)
    claim(database, [K[0]])
    finish(database, K[0], 1)
    with database.transaction() as transaction:
        assert jobs.claim(transaction, [], "w", "local", reused=[(K[0], 1)]) == []
        assert [c.begun for c in jobs.claim(transaction, [(K[1], "r1")], "w", "local", reused=[(K[0], 1)])] == [True]
    with database.transaction() as transaction:
        jobs.forget(transaction, K[0], 1)
    for wanted, place in ([], (K[0], 1)), ([(K[2], "r1")], (K[0], 1)), ([], (K[3], 1)):
        with pytest.raises(Conflict), database.transaction() as transaction:
            jobs.claim(transaction, wanted, "w", "local", reused=[place])
    assert database.attempts(K[2]) == []


def test_a_run_that_is_driven_is_asked_once(database: Database) -> None:
    held(database)
    assert database.request_stop("r1", by="me") is RunState.RUNNING
    assert database.request_stop("r1", by="you") is RunState.RUNNING

    def turn(transaction: Transaction) -> None:
        assert transaction.stop_requests(["r1", "other"]) == [("r1", "me")]
        transaction.take_stop_request("r1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.transaction() as transaction:
        turn(transaction)
    with database.transaction() as transaction:
        assert transaction.stop_requests(["r1"]) == [("r1", "me")]
        transaction.take_stop_request("r1")
    with database.transaction() as transaction:
        assert transaction.stop_requests(["r1"]) == []
        transaction.set_run_state("r1", RunState.STOPPED)
    with database.transaction() as transaction:
        assert transaction.stop_requests([]) == []


def test_an_abandoned_run_stops_at_once_and_its_worker_is_shut_out(database: Database, clock: Clock) -> None:
    epoch = held(database)
    clock.now += 61
    assert database.request_stop("r1") is RunState.STOPPED
    with pytest.raises(Conflict), database.transaction() as transaction:
        transaction.append_events("r1", epoch, 0, [("A", {})])


def test_what_is_over_cannot_be_stopped(database: Database) -> None:
    held(database)
    database.set_run_state("r1", RunState.FINISHED)
    with pytest.raises(Conflict, match="finished"):
        database.request_stop("r1")


# -- jobs ----------------------------------------------------------------------------------------------------------


def test_a_job_is_begun_once_followed_and_reused(database: Database) -> None:
    new_run(database)
    assert claim(database, K[:2]) == [Claim(K[0], 1, True, None, "r1"), Claim(K[1], 1, True, None, "r1")]
    assert claim(database, K[:1], run="r2", worker="w2") == [Claim(K[0], 1, False, None, "r1")]
    (job,) = database.attempts(K[0])
    assert (job.state, job.worker, job.backend, job.queued_at) == (JobState.QUEUED, "w", "local", 1000.0)
    with database.transaction() as transaction:
        jobs.start(transaction, [(K[0], 1), (K[5], 1)])
    assert database.attempts(K[0])[0].state is JobState.RUNNING
    assert claim(database, K[:1]) == [Claim(K[0], 1, False, None, "r1")]
    finish(database, K[0], 1)
    assert claim(database, [K[0], K[2]], run="r2") == [
        Claim(K[0], 1, False, DONE, "r1"),
        Claim(K[2], 1, True, None, "r2"),
    ]
    assert [(job.key, job.size_bytes, job.ended_at) for job in database.kept_jobs()] == [(K[0], 5, 2.0)]


def test_one_claim_of_the_same_job_twice_begins_it_once(database: Database) -> None:
    first, second, third = claim(database, [K[0], K[1], K[0]])
    assert (first.begun, second.begun, third.begun) == (True, True, False)
    assert (first.attempt, third.attempt) == (1, 1)
    assert claim(database, []) == []


@pytest.mark.parametrize("outcome", [FAILED, LOST, JobOutcome(JobState.STOPPED)])
def test_what_did_not_finish_is_tried_anew(database: Database, outcome: JobOutcome) -> None:
    claim(database, K[:1])
    finish(database, K[0], 1, outcome)
    assert claim(database, K[:1], run="r2") == [Claim(K[0], 2, True, None, "r2")]
    assert database.kept_jobs() == []
    first, second = database.attempts(K[0])
    assert (first.state, first.cause, first.exit_code) == (outcome.state, str(outcome.cause or ""), outcome.exit_code)
    assert first.message == outcome.message.replace("\0", "\ufffd")
    assert first.ended_at in (outcome.ended_at, 1000.0)
    assert second.state is JobState.QUEUED


def test_the_first_outcome_stands(database: Database) -> None:
    claim(database, K[:2])
    finish(database, K[0], 1, LOST)
    finish(database, K[0], 1, DONE)
    finish(database, K[9], 1, DONE)
    assert database.attempts(K[0])[0].state is JobState.FAILED
    assert database.kept_jobs() == []
    finish(database, K[1], 1, DONE)
    finish(database, K[1], 1, FAILED)
    with database.transaction() as transaction:
        jobs.start(transaction, [(K[1], 1)])
    assert database.attempts(K[1])[0].state is JobState.FINISHED


def test_which_attempt_counts_is_set_once(database: Database) -> None:
    claim(database, K[:1])
    finish(database, K[0], 1, LOST)
    claim(database, K[:1])
    finish(database, K[0], 2, DONE)
    with database.transaction() as transaction:
        transaction.connection.execute(
            tables.jobs.insert(), {"key": K[0], "attempt": 3, "state": "running", "worker": "w"}
        )
    finish(database, K[0], 3, DONE)
    assert [job.attempt for job in database.kept_jobs()] == [2]


def test_what_is_not_reusable_is_used_by_its_run_alone(database: Database) -> None:
    claim(database, K[:1])
    outcome = JobOutcome(JobState.FINISHED, digest="sha256:9", ended_at=2.0, reusable=False)
    finish(database, K[0], 1, outcome)
    with database.transaction() as transaction:
        assert jobs.ended(transaction, [(K[0], 1)]) == [(K[0], 1, outcome)]
    assert claim(database, K[:1])[0].attempt == 2


def test_spoiled_and_forgotten_outputs_are_computed_again(database: Database) -> None:
    claim(database, K[:2])
    for key in K[:2]:
        finish(database, key, 1)
    with database.transaction() as transaction:
        jobs.forget(transaction, K[0], 1)
        jobs.forget(transaction, K[7], 0)
        jobs.forget(transaction, K[1], 1)
    assert database.kept_jobs() == []
    assert [c.attempt for c in claim(database, K[:2])] == [2, 2]
    finish(database, K[0], 2)
    with database.transaction() as transaction:
        jobs.forget(transaction, K[0], 1)
    assert [(job.key, job.attempt) for job in database.kept_jobs()] == [(K[0], 2)]


def test_prune_never_takes_what_a_run_that_is_not_over_needs(database: Database) -> None:
    new_run(database, "r1", first_event=("RunStarted", {"init": {"trees": [["/in", "t" * 32, 0, "sha256:2"]]}}))
    new_run(database, "r2", first_event=("RunStarted", {"init": {"trees": [["/in", "u" * 32, 0, "sha256:3"]]}}))
    workers.claim_runs(database, "w", lease_s=60)
    claim(database, K[:3])
    for key in K[:2]:
        finish(database, key, 1)
    with database.transaction() as transaction:
        nodes = {"/a": Node(K[0], 1, "finished"), "/x": Node("", 0, "failed")}
        others = {"/b": Node(K[1], 1, "finished"), "/c": Node(K[2], 1, "running")}
        assert transaction.advance([far("r1", 1, 1, nodes=nodes), far("r2", 1, 1, nodes=others)]) == set()
    database.set_run_state("r1", RunState.FINISHED)
    assert upkeep.places_of_runs(database) == {(K[0], 1), (K[1], 1), (K[2], 1), ("t" * 32, 0), ("u" * 32, 0)}
    assert upkeep.places_of_runs(database, unfinished_only=True) == {(K[1], 1), (K[2], 1), ("u" * 32, 0)}
    assert [job.label for job in database.kept_jobs()] == ["r1/a", "r1"]
    assert upkeep.forget_job(database, K[0], 1, besides={"r2"}) is False, (
        "another run than those names it, though it is over"
    )
    assert upkeep.forget_job(database, K[0], 1, besides={"r1"}) is True
    assert upkeep.forget_job(database, K[0], 1) is True
    assert upkeep.forget_job(database, K[1], 1) is False, "an unfinished run names it"
    assert upkeep.forget_job(database, K[2], 1, damaged=True) is False, "it executes"
    assert [job.key for job in database.kept_jobs()] == [K[1]]
    assert upkeep.forget_job(database, K[1], 1, damaged=True) is True
    assert upkeep.forget_job(database, K[50], 4) is True, "nothing is known of it"


def test_results_and_the_installation(opener: Opener, database: Database) -> None:
    database.save_result("r1", "result", {"verdict": "excluded", "ü": [1.5, None]})
    database.save_result("r1", "result", {"verdict": "not-excluded"})
    database.save_result("r1", "declared", {})
    assert database.get_result("r1", "result") == {"verdict": "not-excluded"}
    assert database.get_result("r1", "declared") == {}
    assert len(database.installation()) == 32
    assert opener().installation() == database.installation()


# -- a model of claims, driven at random ---------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["claim", "done", "lost", "spoil"]), st.integers(0, 3)), max_size=40))
def test_claims_follow_the_simplest_model(steps: list[tuple[str, int]]) -> None:
    engine_url = f"sqlite:////dev/shm/reana-lite-{os.getpid()}-{random.getrandbits(60)}.db"
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no memory file system here")
    database = Database(engine_url)
    try:
        counts: dict[str, int] = {}
        latest: dict[str, int] = {}
        executing: set[str] = set()
        for what, n in steps:
            key = K[n]
            if what == "claim":
                (answer,) = claim(database, [key])
                if key in counts:
                    assert (answer.outcome, answer.attempt, answer.begun) == (DONE, counts[key], False)
                else:
                    assert answer.begun is (key not in executing)
                    if answer.begun:
                        latest[key] = latest.get(key, 0) + 1
                        executing.add(key)
                    assert (answer.outcome, answer.attempt) == (None, latest[key])
            elif what in ("done", "lost"):
                finish(database, key, latest.get(key, 1), DONE if what == "done" else LOST)
                if key in executing:
                    executing.remove(key)
                    if what == "done":
                        counts[key] = latest[key]
            else:
                with database.transaction() as transaction:
                    jobs.forget(transaction, key, counts.pop(key, 77))
        assert {job.key: job.attempt for job in database.kept_jobs()} == counts
    finally:
        database.close()
        for suffix in ("", "-wal", "-shm"):
            Path(engine_url.removeprefix("sqlite:///") + suffix).unlink(missing_ok=True)


# -- several processes ---------------------------------------------------------------------------------------------


def _claim_many(url: str, name: str, start: Any, out: Any) -> None:
    """Claim and finish the same jobs as everybody else; say which attempts were begun here."""
    database = Database(url)
    start.wait(30)
    begun = []
    for first in range(0, 60, 6):
        with database.transaction() as transaction:
            for claimed in jobs.claim(transaction, [(key, name) for key in K[first : first + 6]], name, "local"):
                if claimed.begun:
                    begun.append((claimed.key, claimed.attempt))
        with database.transaction() as transaction:
            jobs.finish(transaction, [(key, attempt, DONE) for key, attempt in begun[-6:]])
    out.put((name, begun))
    database.close()


def test_processes_that_need_the_same_jobs_compute_them_once(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    start, out = context.Event(), context.Queue()
    processes = [context.Process(target=_claim_many, args=(url, f"w{n}", start, out)) for n in range(3)]
    for process in processes:
        process.start()
    start.set()
    begun = [attempt for _ in processes for attempt in out.get(timeout=60)[1]]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert sorted(begun) == [(key, 1) for key in K[:60]]


def _work_until_killed(url: str, name: str, ready: Any) -> None:
    """Whole turns as a worker writes them, for ever."""
    database = Database(url)
    ((run, epoch),) = workers.claim_runs(database, name, lease_s=60)
    log = database.read_events(run)
    seq = len(log)
    ready.set()
    while True:
        with database.transaction() as transaction:
            keys = [f"{run}-{seq}-{n}" for n in range(5)]
            jobs.claim(transaction, [(key, run) for key in keys], name, "local")
            jobs.finish(transaction, [(key, 1, DONE) for key in keys])
            events = [("JobFinished", {"key": key}) for key in keys]
            nodes = {f"/{key}": Node(key, 1, "finished") for key in keys}
            transaction.advance([far(run, epoch, seq, *events, nodes=nodes, finished=seq + 5)])
        seq += 5


@pytest.mark.slow
def test_killed_at_any_instant_the_records_agree_and_another_worker_goes_on(url: str) -> None:
    database = Database(url)
    new_run(database, "r1")
    context = multiprocessing.get_context("fork")
    pause = random.Random(2)
    for turn in range(30):
        ready = context.Event()
        worker = context.Process(target=_work_until_killed, args=(url, f"w{turn}", ready))
        worker.start()
        assert ready.wait(30), "the run of a killed worker is free at once"
        worker.join(pause.uniform(0, 0.02))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join(30)
        record = database.get_run("r1")
        log = database.read_events("r1")
        assert [seq for seq, _, _ in log] == list(range(record.next_seq))
        keys = {body["key"] for _, _, body in log}
        assert record.finished == len(log) == len(keys)
        assert {node.key for node in database.nodes_of("r1")} == keys
        assert {job.key for job in database.kept_jobs()} == keys
        assert record.epoch == turn + 1
    database.close()


def test_processes_that_open_a_new_database_at_once_share_it(tmp_path: Path) -> None:
    code = "import sys; from reana_lite.database import Database; print(Database(sys.argv[1]).installation())"
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/sub/new.db"]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    said = {child.communicate(timeout=60)[0] for child in children}
    assert [child.returncode for child in children] == [0] * 4
    assert len(said) == 1


# -- versions and damage -------------------------------------------------------------------------------------------


def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    engine = opening.make_engine(f"sqlite:///{tmp_path}/migrated.db")
    opening.upgrade(engine)
    opening.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables.metadata) == []
        assert context.get_current_revision() == tables.VERSION
        migrated = _schema(connection)
    engine.dispose()
    Database(f"sqlite:///{tmp_path}/created.db").close()
    engine = opening.make_engine(f"sqlite:///{tmp_path}/created.db")
    with engine.connect() as connection:
        assert _schema(connection) == migrated
    engine.dispose()


def _schema(connection: Any) -> set[str]:
    rows = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").scalars()
    return {"".join(sql.split()) for sql in rows}


@pytest.mark.parametrize("version", ["", *(f"{n:04d}" for n in range(1, int(tables.VERSION) + 1))])
def test_a_database_of_every_older_version_is_migrated(url: str, version: str) -> None:
    engine = opening.make_engine(url)
    if version:
        config = Config()
        config.set_main_option("script_location", str(Path(reana_lite.database.__file__).parent / "migrations"))
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, version)
            # columns that have been there from the start
            connection.exec_driver_sql(
                "INSERT INTO runs (id, name, number, owner, state, created_at) "
                "VALUES ('old', 'scan', 1, 'me', 'finished', 5.0)"
            )
    assert Database.migrate(url) == (version, tables.VERSION)
    assert Database.migrate(url) == (tables.VERSION, tables.VERSION)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()
    database = Database(url)
    assert [(run.id, run.created_at) for run in database.list_runs()] == ([("old", 5.0)] if version else [])
    held(database, "new")
    database.close()


def test_the_newest_migration_is_the_version_of_the_tables() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(reana_lite.database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.VERSION]


def test_an_older_file_is_migrated_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    migrated: list[str] = []
    monkeypatch.setattr(opening, "upgrade", lambda engine: migrated.append(engine.url.database))
    Database(url).close()
    Database(url).close()
    assert migrated == []
    with closing(sqlite3.connect(tmp_path / "old.db")) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0000'")
        raw.commit()
    Database(url).close()
    assert migrated == [str(tmp_path / "old.db")]


@pytest.mark.parametrize("version", ["0099", "ae1027a6acf"])
def test_a_newer_database_is_refused(tmp_path: Path, version: str) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    Database(url).close()
    with closing(sqlite3.connect(tmp_path / "new.db")) as raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (version,))
        raw.commit()
    with pytest.raises(Conflict, match=f"{version}.*use a newer reana-lite"):
        Database(url)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to look like a header of one\n" * 50)
    with pytest.raises(Unavailable, match=r"text\.db is damaged"):
        Database(f"sqlite:///{tmp_path}/text.db")
    url = f"sqlite:///{tmp_path}/torn.db"
    database = Database(url)
    for n in range(200):
        new_run(database, f"r{n}", request={"x": "y" * 500})
    database.close()
    content = bytearray((tmp_path / "torn.db").read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    (tmp_path / "torn.db").write_bytes(content)
    with pytest.raises(Unavailable, match=r"torn\.db is damaged"):
        Database(url).list_runs()
    (tmp_path / "empty.db").touch()
    Database(f"sqlite:///{tmp_path}/empty.db").close()


def test_places_that_cannot_hold_a_database_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.db").mkdir()
    for path in ("file/x.db", "folder.db"):
        with pytest.raises(Unavailable, match=path.split("/")[0]):
            Database(f"sqlite:///{tmp_path}/{path}")
    for url in ("", "nonsense", "sqlite://", "sqlite:///", "sqlite:///:memory:", "nothing://u:secret@host/x"):
        with pytest.raises(InvalidInput) as caught:
            Database(url)
        assert "secret" not in caught.value.message


@pytest.mark.parametrize("name", ["a b", "a%20b", "what?", "a#b", "ü", "a@b:c"])
def test_a_file_lies_where_its_url_says(tmp_path: Path, name: str) -> None:
    Database(f"sqlite:///{tmp_path}/{name}/x.db").close()
    assert (tmp_path / name / "x.db").is_file()


def test_a_writer_that_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY_S", 0.05)
    url = f"sqlite:///{tmp_path}/busy.db"
    database, other = Database(url), Database(url)
    with database.transaction() as transaction:
        transaction.create_run(run="r1", name="x", owner="me")
        with pytest.raises(Unavailable, match="held by another process") as caught:
            new_run(other, "r2")
        assert caught.value.details["retry_after_s"] == 5
        assert other.list_runs() == [], "readers do not wait"
    assert [run.id for run in other.list_runs()] == ["r1"]
    database.close()
    other.close()


def test_a_full_disk_is_told_and_the_records_stay(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/full.db")
    held(database)

    def limit(connection: Any, *_: Any) -> None:
        connection.execute("PRAGMA max_page_count=120")

    event.listen(database._engine, "checkout", limit)

    def fill() -> None:
        for n in range(100):
            with database.transaction() as transaction:
                transaction.append_events("r1", 1, n, [("A", {"x": "y" * 20_000})])

    with pytest.raises(Unavailable, match="full"):
        fill()
    log = database.read_events("r1")
    assert 0 < len(log) < 100
    assert database.get_run("r1").next_seq == len(log)
    database.close()


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.psycopg.dialect()], ids=lambda d: d.name)
def test_bulk_statements_are_known_to_both_databases(dialect: Any) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.dialect = dialect
            self.rows: list[Any] = []

        def exec_driver_sql(self, sql: str, rows: list[Any]) -> Any:
            assert sql
            self.rows = rows
            return None

    bulks = [value for value in vars(statements).values() if isinstance(value, statements.Bulk)]
    assert len(bulks) >= 8
    for bulk in bulks:
        recorder: Any = Recorder()
        statements.Bulk(" ".join(bulk.names), bulk._build).run(recorder, [bulk.names])
        (row,) = recorder.rows
        assert isinstance(row, dict) is (dialect.name == "postgresql")
        assert set(row.values() if isinstance(row, dict) else row) == set(bulk.names)


# -- speed ---------------------------------------------------------------------------------------------------------


def test_a_new_database_opens_fast(tmp_path: Path) -> None:
    took = []
    for n in range(5):
        started = time.process_time()
        Database(f"sqlite:///{tmp_path}/{n}.db").close()
        took.append(time.process_time() - started)
    assert min(took) < 0.05


def test_an_empty_transaction_touches_nothing(database: Database) -> None:
    statements: list[str] = []
    event.listen(database._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with database.transaction() as transaction:
        jobs.finish(transaction, [])
        assert transaction.advance([]) == set()
        jobs.start(transaction, [])
        assert jobs.claim(transaction, [], "w", "local") == []
    assert statements == []
    workers.claim_runs(database, "w", lease_s=60)
    jobs.stale_attempts(database, "w")
    assert not [sql for sql in statements if not sql.startswith(("SELECT", "BEGIN"))]
    assert "BEGIN IMMEDIATE" not in statements


@pytest.mark.slow
def test_lists_stay_fast_with_many_runs(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/many.db")
    with database.transaction() as transaction:
        rows = [
            {"id": f"r{n:06d}", "name": "scan", "number": n, "owner": "me", "state": "finished", "created_at": float(n)}
            for n in range(100_000)
        ]
        transaction.connection.execute(tables.runs.insert(), rows)
    started = time.process_time()
    for _ in range(20):
        assert len(database.list_runs(limit=50)) == 50
        assert database.get_run("scan.77").id == "r000077"
        assert database.get_run("latest").id == "r099999"
        assert workers.claim_runs(database, "w", lease_s=60) == []
    assert (time.process_time() - started) / 20 < 0.1
    database.close()
