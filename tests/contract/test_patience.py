"""How long a bucket that does not answer is waited for is said by who asks: a turn of a worker has little time."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reana_lite.backends.memory import MemoryBackend
from reana_lite.config import S3Settings
from reana_lite.database import Database
from reana_lite.errors import Unavailable
from reana_lite.storage import bucket
from reana_lite.storage.local import LocalStorage
from reana_lite.storage.s3 import S3Storage
from reana_lite.worker import Worker, turn

KEY = "k" * 32


@pytest.fixture
def deaf() -> Iterator[S3Settings]:
    """A service that takes connections and never answers."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(64)
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        yield S3Settings(bucket="bucket", prefix="", endpoint=url, access_key="a", secret_key="s")


@pytest.fixture
def closed() -> S3Settings:
    """No service at all."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
    return S3Settings(bucket="bucket", prefix="", endpoint=url, access_key="a", secret_key="s")


def took_s(storage: S3Storage) -> float:
    begun_at = time.monotonic()
    with pytest.raises(Unavailable, match="does not answer"):
        storage.manifest(KEY, 1)
    return time.monotonic() - begun_at


def test_one_who_cannot_wait_learns_soon_that_a_service_does_not_answer(
    deaf: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "ANSWER_S", 0.5)
    patient = S3Storage(deaf, patience_s=60.0)
    assert took_s(patient.within(0.2)) < 5.0
    assert took_s(patient.within(0.2).within(1.2)) >= 1.2


def test_one_who_cannot_wait_learns_soon_that_there_is_no_service(closed: S3Settings) -> None:
    patient = S3Storage(closed, patience_s=60.0)
    assert took_s(patient.within(0.2)) < 5.0
    assert took_s(patient.within(1.2)) >= 1.2


def test_a_folder_is_as_patient_as_it_is(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.within(0.1) is storage


def test_a_turn_waits_for_less_than_whoever_reads_results(
    closed: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    there = S3Storage.within

    def within(self: S3Storage, patience_s: float) -> S3Storage:
        asked.append(patience_s)
        return there(self, patience_s)

    monkeypatch.setattr(S3Storage, "within", within)
    database = Database(f"sqlite:///{tmp_path}/records.db")
    worker = Worker(database, S3Storage(closed, patience_s=60.0), backend=MemoryBackend())
    assert asked == [turn.PATIENCE_S, turn.HARVEST_S]
    assert turn.PATIENCE_S + bucket.ANSWER_S < turn.LEASE_S
    assert took_s(worker._beginnings.storage) < 10.0  # type: ignore[arg-type]
    worker.close()
    database.close()
