"""What the tests of the supervisor share: a backend on a folder, tasks from lines, waiting with limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reana_lite.backends import processes
from reana_lite.backends.base import Report, Task
from reana_lite.backends.local import LocalBackend
from reana_lite.job import RUN_ROOT, Environment, Input, JobOutcome, JobSpec, Resources

OWN = f"{RUN_ROOT}/own"
LIMIT_S = 30.0


def task(key: str, line: str, *, script: str | None = None, inputs: tuple[Input, ...] = (), **resources: Any) -> Task:
    """A task whose own folder is OWN."""
    environment = resources.pop("environment", Environment())
    spec = JobSpec(OWN, line, script, environment=environment, resources=Resources(**resources))
    return Task(key, 1, spec, inputs)


def end_of(backend: LocalBackend, *tasks: Task) -> JobOutcome:
    """Run tasks; the outcome of the last one to end."""
    backend.submit(tasks)
    return ends(backend, len(tasks))[-1].outcome  # type: ignore[return-value]


def ends(backend: LocalBackend, count: int) -> list[Report]:
    """The next ends of tasks, so many."""
    found: list[Report] = []
    deadline = time.monotonic() + LIMIT_S
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += [r for r in backend.wait(1.0) if r.outcome]
    return found


def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Return when a condition of the outer world holds (which tells nobody that it does), and its value."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.005)
    return value


def number_in(path: Path) -> int:
    """The number a step wrote into a file, waited for."""
    return int(until(lambda: path.exists() and path.read_text().strip(), str(path)))


def is_gone(pid: int) -> bool:
    """Whether no such process runs."""
    return not processes.is_alive(pid, "")
