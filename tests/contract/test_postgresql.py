"""What only a server of databases must do: come back after a restart, bound its connections and the time of statements."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from reana_lite.database import Database, jobs, opening, workers
from reana_lite.errors import Unavailable
from reana_lite.job import Cause, JobOutcome, JobState
from tests.contract.conftest import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def new_run(database: Database, run: str) -> None:
    database.create_run(run=run, name="scan", owner="me")


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_a_restarted_server_is_told_and_used_again(postgres: PostgresServer, database: Database, mode: str) -> None:
    new_run(database, "r1")
    ((_, epoch),) = workers.claim_runs(database, "w", lease_s=60)

    def interrupted() -> None:
        with database.transaction() as transaction:
            transaction.append_events("r1", epoch, 0, [("A", {"x": 1})])
            postgres.stop(mode)
            transaction.append_events("r1", epoch, 1, [("A", {"x": 2})])

    with pytest.raises(Unavailable) as caught:
        interrupted()
    assert caught.value.details["retry_after_s"] == 5
    with pytest.raises(Unavailable, match=r"database postgresql.*cannot be used"):
        database.list_runs()
    postgres.start()
    assert [run.id for run in database.list_runs()] == ["r1"], "by the same pool"
    assert database.read_events("r1") == [], "all of a transaction or nothing"
    with database.transaction() as transaction:
        transaction.append_events("r1", epoch, 0, [("A", {"x": 1})])
    assert len(database.read_events("r1")) == 1


def test_a_server_that_is_away_when_it_is_opened_is_told(postgres: PostgresServer, url: str) -> None:
    postgres.stop()
    try:
        with pytest.raises(Unavailable, match="cannot be used"):
            Database(url)
    finally:
        postgres.start()
    Database(url).close()


def test_a_statement_that_takes_too_long_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "STATEMENT_S", 0.1)
    database, other = Database(url), Database(url)
    new_run(database, "r1")
    with database.transaction() as holding:
        holding.append_events("r1", 0, 0, [("A", {})])
        with pytest.raises(Unavailable, match=r"longer than 0\.1 s") as caught, other.transaction() as waiting:
            waiting.append_events("r1", 0, 0, [("B", {})])
        assert caught.value.details["retry_after_s"] == 30
    assert [kind for _, kind, _ in database.read_events("r1")] == ["A"]
    for one in (database, other):
        one.close()


def test_a_transaction_that_stands_still_gives_its_locks_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(url)
    new_run(database, "r1")
    monkeypatch.setattr(opening, "IDLE_S", 0.2)
    still = Database(url)

    def stand() -> None:
        with still.transaction() as standing:
            standing.append_events("r1", 0, 0, [("A", {})])
            with database.transaction() as going:
                going.append_events("r1", 0, 0, [("B", {})])  # waits until the other one is ended by the server
            standing.append_events("r1", 0, 1, [("C", {})])

    with pytest.raises(Unavailable):
        stand()
    assert [kind for _, kind, _ in database.read_events("r1")] == ["B"]
    for one in (database, still):
        one.close()


def test_connections_are_bounded_and_those_in_want_are_told(url: str) -> None:
    engine = opening.make_engine(url)
    engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    with opening.told(engine):
        taken = [engine.connect() for _ in range(opening.CONNECTIONS)]
    with pytest.raises(Unavailable, match="all connections"), opening.told(engine):
        engine.connect()
    freed = threading.Thread(target=taken.pop().close)
    freed.start()
    freed.join(10)
    with opening.told(engine), engine.connect() as connection:
        assert connection.execute(text("SHOW application_name")).scalar() == "reana-lite"
    for connection in taken:
        connection.close()
    engine.dispose()


def test_migrations_may_take_longer_than_statements(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "STATEMENT_S", 0.3)
    engine = opening.make_engine(url)
    alone = threading.Event()
    done: list[tuple[str, str]] = []

    def migrate() -> None:
        alone.set()
        opening.upgrade(engine)
        done.append(("", ""))

    with engine.connect() as connection, connection.begin():
        opening._alone(connection)
        thread = threading.Thread(target=migrate)
        thread.start()
        assert alone.wait(10)
        thread.join(0.6)
        assert thread.is_alive(), "it waits for the other one"
    thread.join(60)
    assert done == [("", "")]
    engine.dispose()


def test_the_plain_name_of_the_database_is_enough(url: str) -> None:
    database = Database(url.replace("postgresql+psycopg:", "postgresql:") + "?connect_timeout=3")
    assert database.list_runs() == []
    database.close()


@pytest.mark.parametrize("ends", ["finished", "begun again"])
def test_a_worker_that_waited_for_another_one_sees_what_that_one_did_to_a_job(url: str, ends: str) -> None:
    with contextlib.closing(Database(url)) as database:
        database.create_run(run="r", name="r", owner="me")
        lost = JobOutcome(JobState.FAILED, Cause.LOST)
        with database.transaction() as transaction:
            (claim,) = jobs.claim(transaction, [("k", "r")], "one", "local")
            jobs.finish(transaction, [("k", claim.attempt, lost)])
        begun, waits, found = threading.Event(), threading.Event(), []

        def other() -> None:
            assert begun.wait(30)
            with database.transaction() as transaction:
                transaction.live_workers()  # its connection is there
                waits.set()
                found.extend(jobs.claim(transaction, [("k", "r")], "two", "local"))

        thread = threading.Thread(target=other)
        thread.start()
        with database.transaction() as transaction:
            (claim,) = jobs.claim(transaction, [("k", "r")], "one", "local")
            assert (claim.attempt, claim.begun) == (2, True)
            begun.set()
            assert waits.wait(30)
            _until_somebody_waits(url)
            if ends == "finished":
                done = JobOutcome(JobState.FINISHED, exit_code=0, digest="sha256:0")
                jobs.finish(transaction, [("k", 2, done)])
        thread.join(30)
        (theirs,) = found
        assert (theirs.attempt, theirs.begun) == (2, False)
        assert ends != "finished" or (theirs.outcome is not None and theirs.outcome.digest == "sha256:0")
        assert len(database.attempts("k")) == 2


def _until_somebody_waits(url: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    deadline = time.monotonic() + 30
    with engine.connect() as connection:
        while not connection.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").first():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    engine.dispose()
