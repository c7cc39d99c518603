"""What users see of the queue: what waits and why, the workers, and every attempt of a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from reana_lite.database import Database, jobs, queue, workers
from reana_lite.database.records import COUNTERS, Advance
from reana_lite.event import RunState
from reana_lite.job import Cause, JobOutcome, JobState


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with contextlib.closing(Database(database_url, clock=lambda: CLOCK.now)) as one:
        yield one


@dataclass
class Clock:
    now: float = 1000.0


CLOCK = Clock()


@dataclass
class Node:
    key: str
    attempt: int
    state: str
    reused_from: str = ""


def run(database: Database, name: str, owner: str = "me", **more: object) -> None:
    CLOCK.now += 1
    database.create_run(run=name, name=name, owner=owner, first_event=("RunStarted", {}), **more)


def doing(database: Database, worker: str, **what: object) -> None:
    with database.transaction() as transaction:
        workers.note_doing(transaction, worker, json.dumps({"backend": "local", **what}))


def reasons(database: Database, owner: str | None = None) -> dict[str, str]:
    return {one.run.id: one.reason for one in queue.waiting(database, owner=owner)}


def test_without_a_worker_it_is_said_so(database: Database) -> None:
    run(database, "a")
    assert reasons(database) == {"a": "no worker is running: start recast worker, or recast serve"}
    assert queue.reason(database, database.get_run("a")) == reasons(database)["a"]
    assert queue.workers(database) == []


def test_runs_are_told_in_order_with_those_of_the_same_owner_before_them(database: Database) -> None:
    with database.transaction() as transaction:
        workers.renew(transaction, "w", lease_s=60)
    doing(database, "w", runs=7, jobs=2)
    run(database, "a")
    run(database, "b", owner="you")
    run(database, "c", priority=1)
    told = reasons(database)
    assert list(told) == ["c", "a", "b"]
    assert told["a"].endswith("7 runs are being driven; 1 more of the same owner are before it")
    assert told["b"].endswith("7 runs are being driven")
    assert list(reasons(database, "you")) == ["b"]
    for name, text in told.items():
        assert queue.reason(database, database.get_run(name)) == text
    assert queue.length(database) == 3
    assert queue.length(database, owner="you") == 1


def test_why_a_driven_run_waits_its_worker_says(database: Database) -> None:
    run(database, "a")
    run(database, "b")
    workers.claim_runs(database, "w", lease_s=60)
    doing(database, "w", runs=2, waiting={"a": "3 wait for room"})
    assert reasons(database) == {"a": "3 wait for room"}
    assert queue.reason(database, database.get_run("a")) == "3 wait for room"
    assert queue.reason(database, database.get_run("b")) == ""
    database.set_run_state("a", RunState.FINISHED)
    assert reasons(database) == {}
    assert queue.reason(database, database.get_run("a")) == ""


def test_what_keeps_all_workers_is_told_to_those_who_wait(database: Database) -> None:
    run(database, "driven")
    workers.claim_runs(database, "w", lease_s=60)
    doing(database, "w", runs=1, trouble="there is no bucket b")
    run(database, "queued")
    assert reasons(database) == {"queued": "there is no bucket b"}
    assert queue.reason(database, database.get_run("driven")) == "there is no bucket b"
    (worker,) = queue.workers(database)
    assert worker.seen_at == CLOCK.now - 1, "whatever its lease"
    assert (worker.backend, worker.runs, worker.trouble, worker.alive) == ("local", 1, "there is no bucket b", True)


def test_a_silent_worker_is_shown_for_a_while_and_its_words_do_not_count(database: Database) -> None:
    run(database, "a")
    workers.claim_runs(database, "w", lease_s=20)
    doing(database, "w", runs=1, waiting={"a": "1 wait for room"})
    CLOCK.now += 30
    assert [worker.alive for worker in queue.workers(database)] == [False]
    assert reasons(database) == {}
    CLOCK.now += 600
    assert queue.workers(database) == []
    assert "no other one" in queue.reason(database, database.get_run("a"))


def test_every_attempt_of_a_run_is_told_and_what_it_uses_of_others(database: Database) -> None:
    for name in ("a", "b"):
        run(database, name)
        ((_, epoch),) = workers.claim_runs(database, "w", lease_s=60)
        assert epoch == 1
    lost = JobOutcome(JobState.FAILED, Cause.LOST, message="it was lost")
    finished = JobOutcome(JobState.FINISHED, exit_code=0, started_at=1.0, ended_at=3.0)
    with database.transaction() as transaction:
        for outcome in (lost, finished):
            (claim,) = jobs.claim(transaction, [("k", "a")], "w", "local")
            jobs.finish(transaction, [("k", claim.attempt, outcome)])
        advances = [
            Advance(name, 1, 1, (), {node: Node("k", 2, "finished", of)}, dict.fromkeys(COUNTERS, 0))
            for name, node, of in (("a", "/one", ""), ("b", "/other", "a"))
        ]
        assert transaction.advance(advances) == set()
    told = [(job.node, job.attempt, job.cause, job.reused_from) for job in queue.attempts(database, "a")]
    assert told == [("/one", 1, "lost", ""), ("/one", 2, "", "")]
    assert [(job.node, job.attempt, job.reused_from) for job in queue.attempts(database, "b")] == [("/other", 2, "a")]
