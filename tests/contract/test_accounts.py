"""What must hold of accounts where several processes act at once, on every database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from reana_lite.database import Database, repeats, secrets, tables, theory_files, throttle, users
from reana_lite.database.throttle import Limit
from reana_lite.database.users import Role, User
from reana_lite.errors import Conflict, InvalidInput, Unavailable

THREADS = 8


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


def at_once(act: Callable[[int], object], count: int = THREADS) -> list[bool]:
    """Whether each of these that begin together succeeded."""
    together = threading.Barrier(count, timeout=30)

    def one(number: int) -> bool:
        together.wait()
        try:
            act(number)
        except (Conflict, Unavailable):
            return False
        return True

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_tries_are_counted_before_they_are_made(database: Database) -> None:
    limits = {"name:x": Limit(3, 60.0), "from:y": Limit(50, 60.0)}
    assert at_once(lambda _: throttle.take(database, limits, "too many")).count(True) == 3
    with pytest.raises(Unavailable, match="too many") as refused:
        throttle.take(database, limits, "too many")
    assert 0 < refused.value.details["retry_after_s"] <= 60
    throttle.give_back(database, limits)
    throttle.take(database, limits, "too many")
    throttle.forget(database, ["name:x"])
    assert at_once(lambda _: throttle.take(database, limits, "too many")).count(True) == 3


def test_the_first_account_and_the_last_one_are_administrators(database: Database) -> None:
    with pytest.raises(InvalidInput, match="first account must be an administrator's"):
        users.add(database, User("alice"))
    assert not users.are_there(database)
    users.add(database, User("root", Role.ADMIN))
    users.add(database, User("alice"))
    users.remove(database, "alice")
    with pytest.raises(Conflict, match="last administrator"):
        users.remove(database, "root")


def test_one_administrator_stays_whoever_is_removed_at_once(database: Database) -> None:
    for number in range(THREADS):
        users.add(database, User(f"root{number}", Role.ADMIN))
    assert at_once(lambda number: users.remove(database, f"root{number}")).count(False) == 1
    assert len(users.listed(database)) == 1


def test_a_request_is_begun_once(database: Database) -> None:
    begun = []
    at_once(lambda _: begun.append(repeats.begin(database, "alice", "key", "digest")))
    assert begun == [None]


def test_a_request_that_is_sent_again(database: Database) -> None:
    assert repeats.begin(database, "alice", "key", "digest") is None
    repeats.end(database, "alice", "key", 201, "body")
    assert repeats.begin(database, "alice", "key", "digest") == (201, "body")
    with pytest.raises(Conflict, match="belongs to another request"):
        repeats.begin(database, "alice", "key", "other")


def test_a_secret_is_not_replaced_unasked(database: Database) -> None:
    secrets.add(database, "alice", "WORD", value=b"one")
    with pytest.raises(Conflict):
        secrets.add(database, "alice", "WORD", value=b"two")
    secrets.add(database, "alice", "WORD", value=b"two", replace=True)


def test_the_sum_of_what_is_taken(database: Database) -> None:
    assert users.usage(database, "alice").disk_bytes == 0
    record = theory_files.TheoryFileRecord("alice", "sha256:a", "a.yml", "parameters", 7, "k", 0.0)
    theory_files.add(database, record)
    assert users.usage(database, "alice").disk_bytes == 7


def test_what_is_taken_counts_jobs_where_they_were_computed_first_from_an_index(database: Database) -> None:
    users.add(database, User("alice", Role.ADMIN))
    for run, owner in (("run-a", "alice"), ("run-b", "bob")):
        database.create_run(run=run, name=run, owner=owner)
    now = database.clock()
    rows = [
        {"key": f"k{number}", "attempt": 1, "state": state, "size_bytes": size, "started_at": started, "ended_at": ended,
         "first_run": run}
        for number, (run, state, size, started, ended) in enumerate([
            ("run-a", "finished", 10, now, now + 5), ("run-a", "failed", 1, 0.0, now), ("run-a", "running", 0, now, 0.0),
            ("run-a", "queued", 0, 0.0, 0.0), ("run-b", "finished", 1000, now, now + 100), ("run-b", "running", 0, now, 0.0),
        ])
    ]  # fmt: skip
    with database.transaction() as transaction:
        transaction.connection.execute(tables.jobs.insert(), rows)
    asked: list[tuple[str, Any]] = []
    with database.reading() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, text, values, *_: asked.append((text, values)))
    found = users.usage(database, "alice")
    assert (found.disk_bytes, found.running_jobs, round(found.cpu_s), found.active_runs) == (11, 2, 5, 1)
    if engine.dialect.name == "sqlite":
        text, values = next((text, values) for text, values in asked if "sum(jobs.size_bytes)" in text)
        with database.reading() as connection:
            plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values))
        assert "COVERING INDEX ix_jobs_taken" in plan
        assert "SCAN" not in plan
