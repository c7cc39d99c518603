"""Trivial steps per second through the local backend, against `xargs -P` that makes a folder and a file per step.

    python benchmarks/bench_local_backend.py [--jobs N] [--rounds N]

Both in turn on the same disk, each with as many processes at once as there are cores. The backend's side includes place,
log, digest of the outputs, exit record and manifest of every step, and the start and end of its supervisor. CPU seconds
are given beside the wall time, because they do not depend on what else the machine is doing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reana_lite.backends.base import Task
from reana_lite.backends.local import LocalBackend
from reana_lite.job import RUN_ROOT, JobSpec
from reana_lite.storage.local import LocalStorage

CORES = len(os.sched_getaffinity(0))


def run_xargs(folder: Path, jobs: int) -> None:
    """The limit: nothing but the processes, their folders and files."""
    (folder / "d").mkdir()
    names = "\n".join(map(str, range(jobs)))
    argv = ["xargs", "-P", str(CORES), "-I{}", "sh", "-c", "mkdir d/{}; echo {} > d/{}/out"]
    subprocess.run(argv, input=names, text=True, cwd=folder, check=True)


def run_backend(folder: Path, jobs: int) -> None:
    """The same through submit and wait."""
    backend = LocalBackend(LocalStorage(folder))
    own = f"{RUN_ROOT}/map"
    todo = [
        Task(f"k{n}", 1, JobSpec(f"{own}/{n}", f"mkdir {own}/{n}/d; echo {n} > {own}/{n}/d/out")) for n in range(jobs)
    ]
    done = 0
    try:
        while done < jobs:
            if room := backend.room():
                backend.submit(todo[:room])
                del todo[:room]
            for report in backend.wait(10.0):
                if report.outcome is not None:
                    assert report.outcome.exit_code == 0, report
                    done += 1
    finally:
        backend.close()


def measure(run: Callable[[Path, int], None], jobs: int) -> tuple[float, float]:
    """(wall seconds, CPU seconds of this process and all below it)."""
    with tempfile.TemporaryDirectory() as folder:
        before = _cpu_s()
        begun = time.monotonic()
        run(Path(folder), jobs)
        return time.monotonic() - begun, _cpu_s() - before


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Print the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"xargs": [], "backend": []}
    for _ in range(options.rounds):
        found["xargs"].append(measure(run_xargs, options.jobs))
        found["backend"].append(measure(run_backend, options.jobs))
    for name, rows in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:8} {options.jobs / wall:7.0f} steps/s   {1000 * cpu / options.jobs:5.2f} ms of CPU per step")  # noqa: T201
    ratios = sorted(x[0] / b[0] for x, b in zip(found["xargs"], found["backend"], strict=True))
    text = f"{statistics.median(ratios):.2f} (median of {options.rounds}, {ratios[0]:.2f}-{ratios[-1]:.2f})"
    print(f"backend / xargs: {text}")  # noqa: T201


if __name__ == "__main__":
    main()
