"""What other processes want of a worker it does at once: it looks on its own only once in a long while here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from steps import step, workflow
from waiting import within

from reana_lite.backends.memory import MemoryBackend
from reana_lite.catalogue import Sources
from reana_lite.database import Database
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve
from reana_lite.worker import Worker, loop

LIMIT_S = 20.0


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "storage")
    storage.check()
    return storage


@pytest.fixture
def begin(tmp_path: Path, storage: LocalStorage) -> Iterator[Callable[[str], str]]:
    """Queues a run by a Database of its own, as another process does."""
    with contextlib.closing(Database(f"sqlite:///{tmp_path}/records.db")) as database:

        def one(name: str) -> str:
            (tmp_path / f"{name}.yml").write_text(workflow(only=step(f"echo {name} > {{out}}")))
            options = TargetOptions(folder=tmp_path, scratch=tmp_path / "scratch")
            prepared = resolve(f"{name}.yml", options=options, sources=Sources(downloads=tmp_path / "downloads"))
            return submit(prepared, database=database, storage=storage, owner="me", name=name)

        yield one


@pytest.fixture
def driven(tmp_path: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBackend]:
    """The backend of a worker that has nothing to do and looks around every ten minutes."""
    monkeypatch.setattr(loop, "POLL_S", 600.0)
    backend = MemoryBackend(storage, manual=True)
    database = Database(f"sqlite:///{tmp_path}/records.db")
    worker = Worker(database, storage, backend=backend)
    ending = threading.Event()
    thread = threading.Thread(target=lambda: worker.drive(until=ending.is_set))
    thread.start()
    within(LIMIT_S, lambda: list((tmp_path / "records.db-bell").glob("[!.]*")), "the worker listens")
    yield backend
    ending.set()
    backend.wake()
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    worker.close()
    database.close()


def test_a_run_is_begun_as_soon_as_it_is_queued(driven: MemoryBackend, begin: Callable[[str], str]) -> None:
    for name in "abc":
        run = begin(name)
        within(LIMIT_S, lambda run=run: any(task.label.startswith(run) for task in list(driven.tasks.values())), name)


def test_a_run_is_stopped_as_soon_as_that_is_asked(
    driven: MemoryBackend, begin: Callable[[str], str], tmp_path: Path
) -> None:
    run = begin("a")
    within(LIMIT_S, lambda: driven.tasks)
    with contextlib.closing(Database(f"sqlite:///{tmp_path}/records.db")) as database:
        database.request_stop(run)
        within(LIMIT_S, lambda: database.get_run(run).state == "stopped")
