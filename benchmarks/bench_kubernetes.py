"""What the Kubernetes backend adds to a cluster's own speed: Jobs created per second, pods finished per second, staging.

    source /var/lib/reana-lite-dev/0/env; python benchmarks/bench_kubernetes.py [--jobs 20] [--rounds 3]

Ratios of one run on one machine, against the raw API with the same client: Jobs of the same shape (for creation: the
same Job and Secret; for ends: one container that does the same). The load of the machine is printed beside them.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import on_cluster

from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes import pod
from reana_lite.backends.kubernetes.paths import STEP
from reana_lite.backends.kubernetes.record import Pod
from reana_lite.backends.kubernetes.ticket import bind
from reana_lite.backends.kubernetes.wants import wants_of
from reana_lite.backends.kubernetes.watch import Watch
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, JobSpec

IMAGE = Environment(EnvironmentKind.CONTAINER, on_cluster.STEP_IMAGE)
LINE = f"printf x > {RUN_ROOT}/own/out"
LIMIT_S = 300.0


def task(key: str) -> Task:
    return Task(key, 1, JobSpec(f"{RUN_ROOT}/own", LINE, environment=IMAGE))


def bare(backend: Any, key: str) -> dict[str, Any]:
    """A Job of one container that does what the step does, without inputs and outputs."""
    made = pod.probe_of(on_cluster.STEP_IMAGE, backend.options, f"bare-{key}")
    spec = made["spec"]["template"]["spec"]
    spec["containers"][0]["command"] = ["sh", "-c", "printf x > /tmp/out"]
    spec["containers"][0]["resources"]["requests"] = {"cpu": "20m", "memory": "64Mi"}
    return made


def shape(backend: Any, key: str) -> dict[str, Any]:
    """A Job whose pod has the containers, images, volumes and mounts of ours, and nothing to bring or keep."""
    one = task(key)
    bound = bind(one)
    made = pod.job_of(one, bound, wants_of(one.job, backend.options), backend.options, submitted_at=0.0)
    template = made["spec"]["template"]
    template["metadata"] = {"labels": pod.probe_of("x", backend.options, "x")["metadata"]["labels"]}
    made["metadata"] = {"name": f"bare-{key}", "labels": template["metadata"]["labels"]}
    stager, step = template["spec"]["containers"]
    stager |= {"command": ["python", "-c", "pass"], "env": []}
    step["command"] = ["sh", "-c", f"printf x > {STEP}/out"]
    return made


def bare_ends(backend: Any, keys: list[str], made: Callable[[Any, str], dict[str, Any]] = bare) -> float:
    """Seconds from the first creation to the last end seen by a watch; as with ours, what has ended is removed at once."""
    selector = f"{pod.INSTALLATION}={pod.label_value(backend.options.installation)},reana-lite/probe"
    over: set[str] = set()
    all_over = threading.Event()

    def seen(one: Pod) -> None:
        job = one.name.rpartition("-")[0]
        if one.has_ended and job not in over:
            over.add(job)
            pool.submit(backend.api.delete_job, job)
            if len(over) == len(keys):
                all_over.set()

    with ThreadPoolExecutor(backend.options.create_threads) as pool:
        watch = Watch(backend.api, selector, seen=seen, gone=seen)
        watch.start()
        begun = time.monotonic()
        list(pool.map(lambda key: backend.api.create_job(made(backend, key)), keys))
        if not all_over.wait(LIMIT_S):
            raise TimeoutError(f"{len(over)} of {len(keys)} ended")
        took = time.monotonic() - begun
        watch.close()
    none_left(backend, selector)
    return took


def none_left(backend: Any, selector: str) -> None:
    """Wait until the last of these pods is removed, so that the next round begins on an idle node."""
    end = time.monotonic() + LIMIT_S
    while backend.api.list_pods(selector)[0] and time.monotonic() < end:
        time.sleep(0.2)


def our_ends(backend: Any, keys: list[str]) -> float:
    """Seconds from submission to the last report."""
    begun = time.monotonic()
    backend.submit([task(key) for key in keys])
    left = len(keys)
    while left and time.monotonic() - begun < LIMIT_S:
        left -= sum(report.outcome is not None for report in backend.wait(1.0))
    took = time.monotonic() - begun
    none_left(backend, backend.selector)
    return took


def busy_s() -> float:
    """CPU seconds of this machine so far, of all programs."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def creations(backend: Any, count: int) -> tuple[float, float]:
    """Jobs with Secrets per second: (raw API, ours), asked for by as many threads; on no node."""
    backend.options = backend._launch.options = backend.options.with_values(
        node_selector={"no": "node"}, create_per_s=10_000.0
    )
    backend._launch._rate._gap = 1e-4

    def raw(number: int) -> None:
        one = task(f"raw{number}")
        bound = bind(one)
        document = pod.job_of(one, bound, wants_of(one.job, backend.options), backend.options, submitted_at=0.0)
        backend.api.create_secret(pod.secret_of(backend.api.create_job(document), {"ticket": b"x" * 1500}))

    begun = time.monotonic()
    with ThreadPoolExecutor(backend.options.create_threads) as pool:
        list(pool.map(raw, range(count)))
    raw_s = time.monotonic() - begun
    begun = time.monotonic()
    backend.submit([task(f"our{number}") for number in range(count)])
    while sum(one.exists for one in list(backend._attempts.values())) < count:
        time.sleep(0.01)
    ours_s = time.monotonic() - begun
    for number in range(count):
        backend.api.delete_job(pod.job_name(backend.options.installation, f"raw{number}", 1))
    return count / raw_s, count / ours_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--single", type=int, default=5, help="rounds with one job")
    parser.add_argument("--rounds", type=int, default=3, help="rounds with many")
    asked = parser.parse_args()
    if on_cluster.reason():
        raise SystemExit(on_cluster.reason())
    backend = on_cluster.backend(on_cluster.storage())
    try:
        kinds: dict[str, Callable[[list[str]], float]] = {
            "bare": lambda keys: bare_ends(backend, keys),
            "bare of the same shape": lambda keys: bare_ends(backend, keys, shape),
            "ours": lambda keys: our_ends(backend, keys),
        }
        serial = itertools.count()
        our_ends(backend, ["warm"])
        for count, rounds, what in ((1, asked.single, "one job"), (asked.jobs, asked.rounds, f"{asked.jobs} at once")):
            took: dict[str, list[float]] = {kind: [] for kind in kinds}
            spent: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _, (kind, run) in itertools.product(range(rounds), kinds.items()):
                before = busy_s()
                took[kind].append(run([f"j{next(serial)}" for _ in range(count)]))
                spent[kind].append((busy_s() - before) / count)
            print(f"{what}, {rounds} rounds in turns, medians; load {os.getloadavg()[0]:.1f}")
            for kind in kinds:
                seconds = statistics.median(took[kind])
                print(
                    f"  {kind:24} {seconds:6.2f} s, {count / seconds:5.2f} ends per s, "
                    f"{statistics.median(spent[kind]):5.2f} CPU s of the machine per job, removal included"
                )
        raw, created = creations(backend, 10 * asked.jobs)
        print(f"creations per s: raw {raw:.0f}, ours {created:.0f} ({created / raw:.0%})")
    finally:
        backend.close()


if __name__ == "__main__":
    main()
