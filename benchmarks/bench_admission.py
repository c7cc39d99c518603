"""What admission costs where much waits: 50 owners, 20,000 runs in the queue, 20,000 jobs that may begin.

    python benchmarks/bench_admission.py [--owners N] [--waiting N] [--turns N] [--url URL] [--explain]

Milliseconds: of one `claim_runs` for 200 runs; of counting open jobs by owner, with as many open as wait; of the admission
of a worker's turn (choosing and beginning 50 jobs, fairly) and of the whole turn, over so many turns. No process is started:
jobs only pretend to run, and end when the benchmark says so. `--url`: a PostgreSQL that is empty; else SQLite in a
temporary folder. `--explain`: what the database does for the statements that look at everything that waits.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event

from reana_lite.backends.memory import MemoryBackend
from reana_lite.catalogue import Sources
from reana_lite.database import Database, jobs, tables, workers
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve
from reana_lite.worker import Worker

ROOM = 50
HELD = 200


def fill(database: Database, owners: int, count: int) -> None:
    """So many runs in the queue, and as many jobs of other runs that have not ended."""
    now = time.time()
    run = {
        "name": "waits", "analysis": "", "theory": "", "parent": "", "campaign": "", "priority": 0, "created_at": now,
        "next_seq": 0, "restart": 0,
    }  # fmt: skip
    queued = [
        {**run, "id": f"q{n:07d}", "owner": f"user{n % owners}", "state": "queued", "queued_at": now + n, "number": n}
        for n in range(count)
    ]
    driven = [
        {**run, "id": f"d{n:07d}", "owner": f"user{n % owners}", "state": "running", "queued_at": now, "worker": "other",
         "number": count + n, "epoch": 1}
        for n in range(HELD)
    ]  # fmt: skip
    held = [
        {"key": f"k{n:031d}", "attempt": 1, "state": "queued", "backend": "elsewhere", "queued_at": now,
         "worker": "other", "first_run": f"d{n % HELD:07d}"}
        for n in range(count)
    ]  # fmt: skip
    with database.transaction() as transaction:
        workers.renew(transaction, "other", lease_s=86400)
        for rows, table in ((queued, tables.runs), (driven, tables.runs), (held, tables.jobs)):
            transaction.connection.execute(table.insert(), rows)
        keys = [{"key": row["key"], "counts": 0, "latest": 1} for row in held]
        transaction.connection.execute(tables.keys.insert(), keys)


def took_ms(act: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        found.append(1e3 * (time.perf_counter() - begun))
    return found


def told(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    print(
        f"{what:52s} median {statistics.median(times):7.1f} ms, 95 % {ordered[int(0.95 * (len(ordered) - 1))]:7.1f} ms, "
        f"most {ordered[-1]:7.1f} ms"
    )


class Timed:
    """A worker whose admission is timed by the turn."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.admission: list[float] = []
        beginnings = worker._beginnings
        self._choose, self._begin = beginnings.choose, beginnings.begin
        beginnings.choose = self.choose  # type: ignore[method-assign]
        beginnings.begin = self.begin  # type: ignore[method-assign]

    def choose(self, turn: Any) -> None:
        begun = time.perf_counter()
        self._choose(turn)
        self.admission.append(1e3 * (time.perf_counter() - begun))

    def begin(self, transaction: Any, turn: Any) -> None:
        begun = time.perf_counter()
        self._begin(transaction, turn)
        self.admission[-1] += 1e3 * (time.perf_counter() - begun)


def begin(database: Database, storage: LocalStorage, folder: Path, *, owner: str, nodes: int) -> str:
    """A run of so many nodes that may all begin at once."""
    parameters = {"n": {"step": "init", "output": "ns"}, "out": "{workdir}/out"}
    step = {
        "process": {"process_type": "string-interpolated-cmd", "cmd": f"echo {owner} {{n}} > {{out}}"},
        "environment": {"environment_type": "localproc-env"},
        "publisher": {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}},
    }
    scheduler: dict[str, Any] = {"scheduler_type": "multistep-stage", "parameters": parameters, "step": step}
    scheduler["scatter"] = {"method": "zip", "parameters": ["n"]}
    (folder / "w.yml").write_text(
        json.dumps({"stages": [{"name": "map", "dependencies": ["init"], "scheduler": scheduler}]})
    )
    numbers = {"ns": [f"{owner}-{time.time_ns()}-{n}" for n in range(nodes)]}
    options = TargetOptions(folder=folder, scratch=folder / "scratch", parameters=numbers)
    prepared = resolve("w.yml", options=options, sources=Sources(downloads=folder / "downloads"))
    return submit(prepared, database=database, storage=storage, owner=owner, name="w")


def turns(database: Database, folder: Path, *, owners: int, count: int, turns: int) -> None:
    """Turns of a worker that holds 200 runs with `count` jobs in all, 50 of which end in each turn."""
    storage = LocalStorage(folder / "storage")
    storage.check()
    runs = [begin(database, storage, folder, owner=f"user{n % owners}", nodes=count // HELD) for n in range(HELD)]
    backend = MemoryBackend(storage, manual=True, limit=ROOM)
    worker = Worker(database, storage, backend=backend, say=lambda _: None)
    timed = Timed(worker)
    steps = iter(range(1_000_000))
    worker.drive(runs, until=lambda: len(backend.tasks) == ROOM or next(steps) > 100)
    timed.admission.clear()
    whole = []
    for _ in range(turns):
        for place in list(backend.tasks):
            backend.end(*place, files={"out": b"1"})
        whole += took_ms(worker.turn, 1)
        assert len(backend.tasks) == ROOM, "as many begin as have ended"
    told(f"admission of a turn ({count} jobs may begin)", timed.admission)
    told(f"the whole turn ({ROOM} ends, {ROOM} beginnings)", whole)
    worker.close()


def explain(database: Database) -> None:
    """The plans of the statements of one look at the queue and one count of open jobs."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(database._engine, "before_cursor_execute", note)
    with database.peek() as peek:
        jobs.open_by_owner(peek)
        jobs.open_by_owner(peek, "elsewhere")
    workers.claim_runs(database, "explaining", lease_s=60, limit=1)
    event.remove(database._engine, "before_cursor_execute", note)
    with database.peek() as peek:
        prefix = "EXPLAIN QUERY PLAN " if peek.connection.dialect.name == "sqlite" else "EXPLAIN ANALYZE "
        for statement, parameters in dict(seen).items():
            print(f"\n{' '.join(statement.split())[:200]}")
            for row in peek.connection.exec_driver_sql(
                prefix + statement.replace("FOR UPDATE SKIP LOCKED", ""), parameters
            ):
                print("   ", *(row[3:] if prefix.endswith("PLAN ") else row))
    workers.release(database, "explaining")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--owners", type=int, default=50)
    parser.add_argument("--waiting", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--url", default="")
    parser.add_argument("--explain", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = Database(given.url or f"sqlite:///{folder}/records.db")
        fill(database, given.owners, given.waiting)
        if given.explain:
            explain(database)

        def claim() -> None:
            assert len(workers.claim_runs(database, "w", lease_s=60, limit=HELD)) >= HELD
            workers.release(database, "w")

        def count() -> None:
            with database.peek() as peek:
                assert sum(jobs.open_by_owner(peek).values()) == given.waiting

        told(f"claim of {HELD} of {given.waiting} runs, {given.owners} owners", took_ms(claim, 10))
        told(f"count of {given.waiting} open jobs by owner", took_ms(count, 10))
        turns(database, folder, owners=given.owners, count=given.waiting, turns=given.turns)
        database.close()


if __name__ == "__main__":
    main()
