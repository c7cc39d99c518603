"""What the records cost: CPU seconds for 20,000 events and 10,000 jobs claimed and finished, in turns of about 50.

    python benchmarks/bench_database.py [--jobs N] [--turn N] [--url URL]

As a worker writes them: per turn one transaction with the ends of the last jobs, claims of new ones, the events and nodes
of both, and the run's progress. Beside it the same rows by the bare sqlite3 module, which is the limit.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from reana_lite.database import Database, jobs, workers
from reana_lite.database.records import COUNTERS, Advance
from reana_lite.job import JobOutcome, JobState


@dataclass(slots=True)
class Node:
    """The row of a node."""

    key: str
    attempt: int
    state: str
    reused_from: str = ""


def body(node: str, key: str, state: str) -> tuple[str, dict[str, object]]:
    """An event of the size that a scatter's nodes have."""
    if state == "queued":
        return "JobStarted", {"node": node, "key": key, "attempt": 1}
    answers = {f"glob:/reana-lite/run{node}/*.root": [f"/reana-lite/run{node}/out.root"]}
    return "JobFinished", {
        "node": node, "key": key, "attempt": 1, "digest": "sha256:" + "0" * 64, "answers": answers, "reused_from": "",
    }  # fmt: skip


def ours(url: str, count: int, turn: int) -> float:
    """CPU seconds by the Database."""
    database = Database(url)
    database.create_run(run="bench", name="bench", owner="me", first_event=("RunStarted", {"init": {}}))
    ((run, epoch),) = workers.claim_runs(database, "w", lease_s=60)
    outcome = JobOutcome(
        JobState.FINISHED, exit_code=0, digest="sha256:" + "0" * 64, size_bytes=100, started_at=1.0, ended_at=2.0
    )
    started = time.process_time()
    seq, running = 1, []
    for first in range(0, count + turn, turn):
        new = [(f"/map/{i}", f"{i:032d}") for i in range(first, min(first + turn, count))]
        with database.transaction() as transaction:
            jobs.finish(transaction, [(key, 1, outcome) for _, key in running])
            claims = jobs.claim(transaction, [(key, run) for _, key in new], "w", "local")
            assert all(claim.begun for claim in claims)
            events = [body(n, k, "finished") for n, k in running] + [body(n, k, "queued") for n, k in new]
            nodes = {n: Node(k, 1, "finished") for n, k in running} | {n: Node(k, 1, "queued") for n, k in new}
            counts = dict.fromkeys(COUNTERS, 0) | {"total": count, "finished": first}
            transaction.advance([Advance(run, epoch, seq, events, nodes, counts)])
            seq += len(events)
        running = new
    spent = time.process_time() - started
    assert len(database.kept_jobs()) == count
    assert len(database.read_events(run)) == 2 * count + 1
    database.close()
    return spent


def bare(path: Path, jobs: int, turn: int) -> float:
    """CPU seconds by sqlite3 alone: the same number of rows, no checks."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        "CREATE TABLE e (run TEXT, seq INT, kind TEXT, body TEXT, PRIMARY KEY (run, seq)) WITHOUT ROWID;"
        "CREATE TABLE j (key TEXT, attempt INT, state TEXT, digest TEXT, PRIMARY KEY (key, attempt));"
        "CREATE TABLE n (run TEXT, node TEXT, key TEXT, state TEXT, PRIMARY KEY (run, node)) WITHOUT ROWID;"
    )
    started = time.process_time()
    seq, running = 0, []
    for first in range(0, jobs + turn, turn):
        new = [(f"/map/{i}", f"{i:032d}") for i in range(first, min(first + turn, jobs))]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "UPDATE j SET state = 'finished', digest = ? WHERE key = ?", [("0" * 71, k) for _, k in running]
        )
        connection.executemany("INSERT INTO j VALUES (?, 1, 'queued', '')", [(k,) for _, k in new])
        events = [body(n, k, "finished") for n, k in running] + [body(n, k, "queued") for n, k in new]
        rows = [("bench", i, kind, json.dumps(document)) for i, (kind, document) in enumerate(events, seq)]
        connection.executemany("INSERT INTO e VALUES (?, ?, ?, ?)", rows)
        nodes = [("bench", n, k, "finished") for n, k in running] + [("bench", n, k, "queued") for n, k in new]
        connection.executemany("INSERT OR REPLACE INTO n VALUES (?, ?, ?, ?)", nodes)
        connection.execute("COMMIT")
        seq += len(events)
        running = new
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--turn", type=int, default=50)
    parser.add_argument("--url", help="another database (default: a new SQLite file)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        opened = time.perf_counter()
        Database(f"sqlite:///{folder}/first.db").close()
        opened = time.perf_counter() - opened
        limit = bare(Path(folder, "bare.db"), options.jobs, options.turn)
        spent = ours(options.url or f"sqlite:///{folder}/ours.db", options.jobs, options.turn)
    print(f"a new database: {opened * 1e3:.0f} ms")  # noqa: T201
    print(f"{options.jobs} jobs, {2 * options.jobs} events, turns of {options.turn}:")  # noqa: T201
    print(f"  Database {spent:.2f} s CPU, {spent / options.jobs * 1e6:.0f} us per job")  # noqa: T201
    print(f"  sqlite3  {limit:.2f} s CPU, ratio {spent / limit:.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
