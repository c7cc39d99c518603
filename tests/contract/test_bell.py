"""The bell: who queues or stops a run is heard by other processes, however they end, and never waits for them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reana_lite.database import Database, workers

LIMIT_S = 20.0

SUBMIT = """
import sys
from reana_lite.database import Database
database = Database(sys.argv[1])
exec(sys.argv[2])
database.close()
"""


class Ear:
    """Counts what a listener hears."""

    def __init__(self) -> None:
        self.rung = threading.Event()

    def __call__(self) -> None:
        self.rung.set()

    def hears(self) -> bool:
        heard = self.rung.wait(LIMIT_S)
        self.rung.clear()
        return heard


def elsewhere(url: str, line: str) -> None:
    """Do something with the database in another process."""
    subprocess.run([sys.executable, "-c", SUBMIT, url, line], check=True, timeout=60)


@contextlib.contextmanager
def listening(database: Database) -> Iterator[Ear]:
    """An ear that has been connected."""
    ear = Ear()
    listener = database.listen(ear)
    try:
        if not database_is_file(database):
            assert ear.hears()  # told once it is connected
        yield ear
    finally:
        listener.close()
        listener.close()


def database_is_file(database: Database) -> bool:
    return database._engine.dialect.name == "sqlite"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with contextlib.closing(Database(database_url)) as one:
        yield one


def test_another_process_that_queues_or_stops_a_run_is_heard(database: Database, database_url: str) -> None:
    with listening(database) as ear:
        elsewhere(database_url, "database.create_run(run='a', name='a', owner='me')")
        assert ear.hears()
        elsewhere(database_url, "database.request_stop('a')")
        assert ear.hears()


def test_several_listeners_hear_one_ring(database: Database) -> None:
    with listening(database) as one, listening(database) as other:
        database.create_run(run="a", name="a", owner="me")
        assert one.hears()
        assert other.hears()


def test_what_is_rolled_back_does_not_ring(database: Database) -> None:
    with listening(database) as ear:
        with contextlib.suppress(RuntimeError), database.transaction() as transaction:
            transaction.create_run(run="a", name="a", owner="me")
            raise RuntimeError
        assert not ear.rung.wait(0.2)


def test_a_turn_that_only_writes_rings_nobody(database: Database) -> None:
    database.create_run(run="a", name="a", owner="me", first_event=("RunStarted", {}))
    with listening(database) as ear:
        ((run, epoch),) = workers.claim_runs(database, "w", lease_s=60)
        with database.transaction() as transaction:
            transaction.append_events(run, epoch, 1, [("Looked", {})])
        assert not ear.rung.wait(0.2)


def test_a_worker_that_gives_up_its_runs_is_heard(database: Database) -> None:
    database.create_run(run="a", name="a", owner="me")
    workers.claim_runs(database, "w", lease_s=60)
    with listening(database) as ear:
        workers.release(database, "w")
        assert ear.hears()


def test_the_fifo_of_a_killed_listener_is_removed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/records.db"
    line = "database.listen(print); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", SUBMIT, url, line], check=False, timeout=60)
    assert done.returncode == -9
    folder = tmp_path / "records.db-bell"
    assert len(list(folder.iterdir())) == 1
    with contextlib.closing(Database(url)) as database, listening(database) as ear:
        database.create_run(run="a", name="a", owner="me")
        assert ear.hears()
        assert len(list(folder.iterdir())) == 1  # that of the living one
    assert not list(folder.iterdir())


def test_what_is_no_fifo_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "records.db-bell"
    folder.mkdir()
    (folder / "a").write_text("text")
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "elsewhere")
    with contextlib.closing(Database(f"sqlite:///{tmp_path}/records.db")) as database:
        database.create_run(run="a", name="a", owner="me")
    assert (folder / "a").read_text() == "text"
    assert (folder / "b").is_symlink()


def test_where_no_fifo_can_be_made_all_else_works(tmp_path: Path) -> None:
    (tmp_path / "records.db-bell").write_text("in its place")
    with contextlib.closing(Database(f"sqlite:///{tmp_path}/records.db")) as database, listening(database) as ear:
        database.create_run(run="a", name="a", owner="me")
        assert not ear.rung.wait(0.2)


def test_a_listener_hears_again_after_postgresql_was_restarted(postgres: Any) -> None:
    with contextlib.closing(Database(postgres.new_database())) as database, listening(database) as ear:
        postgres.stop()
        postgres.start()
        assert ear.hears()  # the new connection
        database.create_run(run="a", name="a", owner="me")
        assert ear.hears()
