"""Many runs on simulated nodes with one worker: its cores, its memory, how fast it goes on after each step.

    . "$(k8s/dev/up --print-env)"; python benchmarks/bench_cluster.py [--runs 500] [--steps 7] [--nodes 100] [--limit 900]
    python benchmarks/bench_cluster.py --steps 1 [--bare] --qps 20,100,200,1000

The worker is `recast worker` as it is; pods run on nodes that kwok plays, and end when this program has written what
their stagers would have. `latency` is from the moment a pod's end is sent to the API server to the moment the next step of
that run is handed to the backend, both on this machine's clock: API server, watch, storage, database and worker are in it.
What the cluster then takes to start a pod is not.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import on_cluster
import simulated

from reana_lite.backends.kubernetes import pod
from reana_lite.backends.kubernetes.api import RealApi
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.record import Pod
from reana_lite.backends.kubernetes.watch import Watch
from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.storage import open_storage

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Its memory now (MB)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def programs() -> dict[str, float]:
    """CPU seconds of the programs of the dev cluster."""
    found = {}
    for path in (Path(on_cluster.settings()["RECAST_DEV_STATE"]) / "run").glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            found[path.stem] = cpu_s(int(path.read_text()))
    return found


@contextlib.contextmanager
def database() -> Iterator[str]:
    """An empty PostgreSQL database of its own."""
    import psycopg

    url = on_cluster.settings()["RECAST_DATABASE"]
    name = f"bench_{secrets.token_hex(4)}"
    admin = url.replace("postgresql+psycopg", "postgresql", 1)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    try:
        yield url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


def latencies(steps: dict[tuple[str, int], simulated.Seen]) -> list[tuple[float, float]]:
    """(when a step ended, seconds until the next one of its run was submitted), in the order of time."""
    found = []
    for (run, number), seen in list(steps.items()):
        after = steps.get((run, number + 1))
        if after is not None and seen.ended_at and after.submitted_at:
            found.append((seen.ended_at, after.submitted_at - seen.ended_at))
    return sorted(found)


def launches(steps: dict[tuple[str, int], simulated.Seen]) -> str:
    """Pods that began to run, and steps that ended, per second: from the first submission on, and between 10 and 90 %."""
    seen = [one for one in steps.values() if one.running_at]
    if len(seen) < 10:
        return "-"
    begun = min(one.submitted_at for one in seen)
    told = []
    for what, moments in (
        ("launches", [s.running_at for s in seen]),
        ("ends", [s.ended_at for s in seen if s.ended_at]),
    ):
        at = sorted(moments)
        low, high = at[len(at) // 10], at[9 * len(at) // 10]
        told.append(
            f"{what} per s {len(at) / (at[-1] - begun):.1f} (inner four fifths {0.8 * len(at) / max(1e-3, high - low):.1f})"
        )
    return ", ".join(told)


def waits(steps: dict[tuple[str, int], simulated.Seen]) -> str:
    """Median seconds of what a step waits for: its Job, its pod's start, its end."""
    seen = [one for one in steps.values() if one.ended_at and one.created_at]
    if not seen:
        return "-"
    parts = (
        ("submitted to created", [one.created_at - one.submitted_at for one in seen]),  # created: whole seconds
        ("created to running", [one.running_at - one.created_at for one in seen]),
        ("running to ended", [one.ended_at - one.running_at for one in seen]),
    )
    return "median s: " + ", ".join(f"{what} {statistics.median(values):.1f}" for what, values in parts)


def quantiles(rows: list[tuple[float, float]]) -> str:
    values = sorted(value for _, value in rows)
    if len(values) < 2:
        return "-"
    return f"{statistics.median(values):.2f} / {values[int(0.95 * len(values))]:.2f}"


def watch(worker: subprocess.Popen[bytes], stagers: simulated.Stagers, *, total: int, limit_s: float) -> list[str]:
    """Until the worker ends, or for the limit; a line now and then, and the measured ones."""
    begun, before, peak, told_at = time.monotonic(), programs(), 0.0, 0.0
    own = time.process_time()
    spent = 0.0
    half: tuple[float, float] = (0.0, 0.0)
    while worker.poll() is None and time.monotonic() - begun < limit_s:
        with contextlib.suppress(OSError, StopIteration):
            spent, memory = cpu_s(worker.pid), rss_mb(worker.pid)
            peak = max(peak, memory)
            ended = sum(1 for seen in list(stagers.steps.values()) if seen.ended_at)
            if time.monotonic() - told_at >= 15:
                told_at = time.monotonic()
                took = told_at - begun
                print(
                    f"{took:5.0f} s  {ended:6} steps ended  worker {spent / took:.2f} cores, {memory:.0f} MB  load "
                    f"{os.getloadavg()[0]:.1f}",
                    flush=True,
                )
            half = (half[0] + 0.5, half[1] + memory)
        time.sleep(0.5)
    wall = time.monotonic() - begun
    ended = sum(1 for seen in stagers.steps.values() if seen.ended_at)
    rows = latencies(stagers.steps)
    tenth = max(1, len(rows) // 10)
    later = programs()
    beside = {name: later[name] - before.get(name, 0.0) for name in later}
    beside["this program"] = time.process_time() - own
    busiest = sorted(beside.items(), key=lambda pair: -pair[1])[:7]
    return [
        f"{ended} of {total} steps ended in {wall:.0f} s ({ended / wall:.1f} per s); load {os.getloadavg()[0]:.1f}",
        f"worker: {spent / wall:.2f} cores, {1000 * spent / max(1, ended):.1f} ms of CPU per step, at most {peak:.0f} MB",
        f"latency of the next step, s, median / 95 %: first tenth {quantiles(rows[:tenth])}, middle "
        f"{quantiles(rows[len(rows) // 2 - tenth // 2 : len(rows) // 2 + tenth // 2 + 1])}, last tenth "
        f"{quantiles(rows[-tenth:])}",
        launches(stagers.steps),
        waits(stagers.steps),
        "cores of the others: " + ", ".join(f"{name} {spent_s / wall:.2f}" for name, spent_s in busiest),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--in-flight", type=int, default=500, help="Jobs at a time, and runs held")
    parser.add_argument("--create-per-s", type=float, default=200.0, help="option create_per_s of the backend")
    parser.add_argument("--limit", type=float, default=900, help="seconds")
    parser.add_argument("--profile", type=Path, help="write the worker's profile (cProfile of its loop's thread) here")
    parser.add_argument("--qps", default="", help="one round for each of these client limits of the controllers")
    parser.add_argument("--bare", action="store_true", help="so many bare Jobs in place of runs, no worker")
    asked = parser.parse_args()
    if on_cluster.reason():
        raise SystemExit(on_cluster.reason())
    for qps in asked.qps.split(",") if asked.qps else [""]:
        if qps:
            environment = {**os.environ, **on_cluster.settings()}
            command = [simulated.DEV / "up", "--qps", qps]
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=180)
            print(f"-- controller manager and scheduler: {qps} requests per s", flush=True)
        if asked.bare:
            print(f"bare Jobs: {bare_jobs(asked.runs, nodes=asked.nodes, limit_s=asked.limit)}", flush=True)
            continue
        measure(asked)


def bare_jobs(count: int, *, nodes: int, limit_s: float) -> str:
    """So many Jobs of one container by the raw API, removed when they have ended: what the cluster itself can do."""
    api = RealApi(on_cluster.NAMESPACE, kubeconfig=on_cluster.settings()["KUBECONFIG"], threads=34)
    name = f"bare{secrets.token_hex(3)}"
    options = Options(
        installation=name,
        node_selector={"type": "simulated"},
        tolerations=({"key": "recast-dev/simulated", "operator": "Exists"},),
    )
    steps: dict[tuple[str, int], simulated.Seen] = {}
    over = threading.Event()

    def seen(there: Pod) -> None:
        job = there.name.rpartition("-")[0]
        one = steps.setdefault((job, 0), simulated.Seen(submitted_at=begun, created_at=there.created_at))
        one.running_at = one.running_at or (time.time() if there.phase != "Pending" else 0.0)
        if there.has_ended and not one.ended_at:
            one.ended_at = time.time()
            pool.submit(api.delete_job, job)
            if len(steps) == count and all(row.ended_at for row in steps.values()):
                over.set()

    with simulated.nodes(nodes), ThreadPoolExecutor(16) as pool:
        watch = Watch(api, f"{pod.INSTALLATION}={name}", seen=seen, gone=seen)
        begun = time.time()
        watch.start()
        list(pool.map(lambda n: api.create_job(pod.probe_of("none:1", options, f"{name}-{n}")), range(count)))
        over.wait(limit_s)
        watch.close()
    return launches(steps)


def measure(asked: argparse.Namespace) -> None:
    """One round: submit all, let the worker do them, tell."""
    name = f"bench{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as scratch, simulated.nodes(asked.nodes), database() as url:
        folder = Path(scratch)
        environment = simulated.settings(
            name, namespace=on_cluster.NAMESPACE, database=url, folder=folder, in_flight=asked.in_flight,
            create_per_s=asked.create_per_s,
        )  # fmt: skip
        settings = Settings.from_environment(environment)
        storage = open_storage(settings)
        Database.migrate(url)
        records = Database(url)
        begun = time.monotonic()
        runs = simulated.submit_chains(asked.runs, steps=asked.steps, database=records, storage=storage, folder=folder)
        print(f"{asked.runs} runs submitted in {time.monotonic() - begun:.0f} s", flush=True)
        stagers = simulated.Stagers(storage, name, namespace=on_cluster.NAMESPACE)
        how = ["-m", "cProfile", "-o", str(asked.profile)] if asked.profile else []
        command = [
            sys.executable, *how, "-m", "reana_lite", "worker", "--drain", "--at-once", str(asked.in_flight),
        ]  # fmt: skip
        with (folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                lines = watch(worker, stagers, total=asked.runs * asked.steps, limit_s=asked.limit)
            finally:
                worker.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.wait(60)
                worker.kill()
                stagers.close()
        print("\n".join(lines))
        more = sum(len(seen.pods) > 1 for seen in stagers.steps.values())
        left = len(records.unfinished(None))
        print(
            f"runs that are not over: {left}; steps with more than one pod: {more}; faults here: {stagers.faults[:3]}"
        )
        rows = [records.get_run(run) for run in runs]
        print("runs: " + ", ".join(f"{count} {state}" for state, count in Counter(row.state for row in rows).items()))
        print(
            "".join(f"{row.error}\n" for row in rows if row.error)[:1000] + (folder / "worker.log").read_text()[-1000:]
        )
        records.close()


if __name__ == "__main__":
    main()
