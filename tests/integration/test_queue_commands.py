"""`recast queue`, `jobs`, `status`: what waits and why, as a user sees it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steps import step, workflow

from reana_lite.cli.queue import seconds
from reana_lite.database import Database, JobRecord
from reana_lite.job import JobState


def test_a_run_that_waits_says_why(recast: Any) -> None:
    assert "nothing waits\nno worker is running" in recast("queue")
    with contextlib.closing(Database(f"sqlite:///{recast.home}/records.db")) as database:
        database.create_run(run="abcdefgh", name="first", owner="somebody")
    told = recast("queue")
    assert "abcdefgh" in told
    assert "no worker is running: start recast worker" in told.replace("\n", " ")
    assert "nothing waits" in recast("queue", "--mine")
    document = json.loads(recast("queue", "--json"))
    assert document["queued"] == 1
    assert document["waiting"][0]["owner"] == "somebody"
    assert document["workers"] == []
    status = recast("status", "abcdefgh", env={"RECAST_USER": "somebody"})
    assert "waits: no worker is running" in status


def test_the_attempts_of_a_run_are_listed(recast: Any, write: Callable[[str, str], Path]) -> None:
    write("w.yml", workflow(good=step("echo 1 > {out}"), bad=step("echo 2 > {out}; exit 3")))
    recast("run", "w.yml", "--quiet", code=1)
    told = recast("jobs", "latest")
    assert "/good" in told
    assert "failed (exit)" in told
    assert "local" in told
    assert "/bad/0, attempt 1: exit code 3" in told
    (job,) = json.loads(recast("jobs", "latest", "/bad", "--json"))
    assert (job["node"], job["exit_code"], job["cause"]) == ("/bad/0", 3, "exit")
    write("again.yml", workflow(good=step("echo 1 > {out}")))
    recast("run", "again.yml", "--quiet")
    (job,) = json.loads(recast("jobs", "latest", "--json"))
    assert job["reused_from"]


def test_seconds_of_an_attempt_are_those_of_its_phases_or_of_its_times() -> None:
    def job(**values: Any) -> JobRecord:
        empty = dict.fromkeys(JobRecord.__dataclass_fields__, "")
        times = {"queued_at": 0.0, "started_at": 0.0, "ended_at": 0.0}
        return JobRecord(**{**empty, "state": JobState.RUNNING, "details": {}, **times, **values})

    assert seconds(job(details={"phases": {"pulling": 2.0, "step": 3.25}})) == "pulling 2.0, step 3.2"
    assert seconds(job(queued_at=10.0), now=12.0) == "queued 2.0"
    assert seconds(job(queued_at=10.0, started_at=11.0), now=15.0) == "queued 1.0, step 4.0"
    assert seconds(job(queued_at=10.0, started_at=11.0, ended_at=13.5), now=99.0) == "queued 1.0, step 2.5"
    assert seconds(job(queued_at=10.0, ended_at=13.5), now=99.0) == "queued 3.5"
