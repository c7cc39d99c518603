"""One job on the cluster: as a task, until it has begun, until it has ended."""

from __future__ import annotations

import time
from typing import Any

import on_cluster

from reana_lite.backends.base import Report, Task
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, JobSpec, Resources

OWN = f"{RUN_ROOT}/own"
IMAGE = Environment(EnvironmentKind.CONTAINER, on_cluster.STEP_IMAGE)
HOLD = f"printf x > {OWN}/begun; exec sleep 1000"
LIMIT_S = 120.0


def task(key: str, line: str, *, attempt: int = 1, environment: Environment = IMAGE, **resources: Any) -> Task:
    return Task(key, attempt, JobSpec(OWN, line, environment=environment, resources=Resources(**resources)))


def end(backend: Any) -> Report:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        for report in backend.wait(1.0):
            if report.outcome is not None:
                return report
    raise AssertionError("it did not end")


def begun(backend: Any) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if any(report.outcome is None for report in backend.wait(1.0)):
            return
    raise AssertionError("it did not start")
