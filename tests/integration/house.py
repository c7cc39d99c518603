"""A worker's surroundings without steps that run: a database, a storage, and backends that only pretend; no processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from steps import scatter, workflow

from reana_lite.backends.memory import MemoryBackend
from reana_lite.catalogue import Sources
from reana_lite.database import Database
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve
from reana_lite.worker import Worker


class House:
    """A database and a storage in a folder, runs of workflows, and workers with jobs that only pretend to run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.storage = LocalStorage(folder / "storage")
        self.storage.check()
        self.database = Database(f"sqlite:///{folder}/records.db")
        self.said: list[str] = []
        self.workers: list[Worker] = []

    def begin(self, name: str, text: str, **parameters: Any) -> str:
        """Queue a run of a workflow."""
        (self.folder / f"{name}.yml").write_text(text)
        options = TargetOptions(folder=self.folder, scratch=self.folder / "scratch", parameters=parameters)
        prepared = resolve(f"{name}.yml", options=options, sources=Sources(downloads=self.folder / "downloads"))
        return submit(prepared, database=self.database, storage=self.storage, owner="me", name=name)

    def worker(self, backend: MemoryBackend) -> Worker:
        """A worker on that backend."""
        worker = Worker(self.database, self.storage, backend=backend, say=self.said.append)
        self.workers.append(worker)
        return worker

    def turn(self, worker: Worker, until: Callable[[], Any]) -> None:
        """Let a worker turn until a condition holds, so many times at most."""
        left = iter(range(20))
        worker.drive(until=lambda: bool(until()) or next(left, None) is None)
        assert until(), self.said

    def states(self, run: str) -> dict[str, str]:
        return {node.node: node.state for node in self.database.nodes_of(run)}


def image(name: str) -> str:
    """A workflow whose steps run in that image."""
    stage = scatter("touch {out}")
    stage["scheduler"]["step"]["environment"] = {"environment_type": "docker-encapsulated", "image": name}
    return workflow(map=stage)
