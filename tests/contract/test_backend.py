"""The one conformance suite of backends: whatever runs jobs must pass it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import on_cluster
import pytest

from reana_lite.artifact import digest_bytes
from reana_lite.backends.base import Backend, Report, Task
from reana_lite.backends.container import ContainerBackend
from reana_lite.backends.local import LocalBackend
from reana_lite.backends.memory import FINISHED, MemoryBackend
from reana_lite.errors import Unavailable
from reana_lite.job import (
    RUN_ROOT,
    Cause,
    Environment,
    EnvironmentKind,
    Input,
    JobOutcome,
    JobSpec,
    JobState,
    Resources,
)
from reana_lite.storage.local import LocalStorage

OWN = f"{RUN_ROOT}/own"
LIMIT_S = 60.0
IMAGE = os.environ.get("RECAST_TEST_IMAGE", "localhost/debian:bookworm")
"""Any small image with a shell and coreutils; RECAST_TEST_CONTAINER_FLAGS are options this machine's engine needs."""

WRITE = f"mkdir {OWN}/d; printf hello > {OWN}/d/out"
FAIL = f"printf half > {OWN}/part; exit 3"
HOLD = "exec sleep 1000"
READ = f"cat {RUN_ROOT}/up/d/out > {OWN}/copy"
CHANGE = f"printf changed > {RUN_ROOT}/up/d/out"
ADD = f"printf two > {OWN}/d/more; printf new > {OWN}/d/late"
LATER = f"cat {OWN}/d/out {OWN}/d/more > {OWN}/seen; printf three > {OWN}/d/more"
UNION = f"cd {RUN_ROOT}/both && cat d/out d/more d/late > {OWN}/seen && find . -type f | sort >> {OWN}/seen"


def pretend(task: Task) -> tuple[JobOutcome, Mapping[str, bytes]] | None:
    """What the lines of this suite do, for the backend that runs nothing."""
    if task.job.line == HOLD:
        return None
    if task.job.line == FAIL:
        return JobOutcome(JobState.FAILED, Cause.EXIT, 3, "exit code 3"), {"part": b"half"}
    if task.job.line == CHANGE:
        told = {"changed_inputs": [f"{RUN_ROOT}/up"]}
        return JobOutcome(JobState.FINISHED, exit_code=0, reusable=False, details=told), {}
    written = {
        READ: {"copy": b"hello"},
        ADD: {"d/more": b"two", "d/late": b"new"},
        LATER: {"seen": b"hellotwo", "d/more": b"three"},
        UNION: {"seen": b"hellothreenew./d/late\n./d/more\n./d/out\n./seen\n"},
    }
    return FINISHED, written.get(task.job.line, {"d/out": b"hello"})


ON_CLUSTER = {"kubernetes": on_cluster.storage, "kubernetes-volume": on_cluster.folder}
"""Kinds that are Jobs of a cluster, and their storage: a bucket, or a volume that pods share."""


def make(kind: str, storage: Any) -> Backend:
    if kind in ON_CLUSTER:
        return on_cluster.backend(storage)
    if kind == "memory":
        return MemoryBackend(storage, script=pretend, limit=20)
    if kind == "container":
        flags = os.environ.get("RECAST_TEST_CONTAINER_FLAGS", "").split()
        return ContainerBackend(storage, cpus=2, prefetch=16, grace_s=1.0, flags=flags)
    return LocalBackend(storage, cpus=2, prefetch=16, grace_s=1.0)


@pytest.fixture
def storage(kind: str, tmp_path: Path) -> Any:
    return ON_CLUSTER[kind]() if kind in ON_CLUSTER else LocalStorage(tmp_path / "storage")


@pytest.fixture(
    params=[
        "memory",
        "local",
        pytest.param("container", marks=pytest.mark.container),
        pytest.param("kubernetes", marks=pytest.mark.slow),
        pytest.param("kubernetes-volume", marks=pytest.mark.slow),
    ]
)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kind = str(request.param)
    if kind in ON_CLUSTER and on_cluster.reason(shared=kind == "kubernetes-volume"):
        pytest.skip(on_cluster.reason(shared=kind == "kubernetes-volume"))
    if kind == "container":
        monkeypatch.setitem(SETTING, "environment", Environment(EnvironmentKind.CONTAINER, IMAGE))
    return kind


@pytest.fixture
def backend(kind: str, storage: LocalStorage) -> Iterator[Backend]:
    backend = make(kind, storage)
    if kind == "container" and backend.unusable():
        pytest.skip(backend.unusable())
    assert backend.unusable() == ""
    try:
        backend.prepare(SETTING["environment"], {}, lambda _: None)
    except Unavailable as error:
        pytest.skip(error.message)
    yield backend
    backend.close()


SETTING = {"environment": Environment()}


def task(
    key: str, line: str = WRITE, attempt: int = 1, inputs: tuple[Input, ...] = (), *, writable: bool = False
) -> Task:
    job = JobSpec(OWN, line, environment=SETTING["environment"])
    return Task(key, attempt, job, inputs, writable_inputs=writable)


def end_of(backend: Backend, task: Task) -> JobOutcome:
    """Run one task; how it ended."""
    backend.submit([task])
    outcome = collect(backend, 1)[-1].outcome
    assert outcome is not None
    return outcome


def content(storage: LocalStorage, key: str) -> dict[str, bytes]:
    """The files that a job has left, by path."""
    manifest = storage.manifest(key, 1)
    assert manifest is not None
    assert storage.damage(key, 1) == []
    found = {}
    for artifact in manifest.artifacts:
        with storage.open(key, 1, artifact.path) as stream:
            found[artifact.path] = stream.read()
    return found


def collect(backend: Backend, ends: int) -> list[Report]:
    """Reports until so many tasks have ended."""
    reports: list[Report] = []
    deadline = time.monotonic() + LIMIT_S
    while sum(r.outcome is not None for r in reports) < ends:
        assert time.monotonic() < deadline, reports
        reports += backend.wait(1.0)
    return reports


def started(backend: Backend) -> None:
    """Return when a task has started."""
    deadline = time.monotonic() + LIMIT_S
    while not any(r.outcome is None for r in backend.wait(1.0)):
        assert time.monotonic() < deadline


def test_a_job_that_works_is_reported_as_started_then_finished(backend: Backend, storage: LocalStorage) -> None:
    backend.submit([task("good")])
    first, last = collect(backend, 1)
    assert (first.key, first.attempt, first.outcome) == ("good", 1, None)
    assert (last.key, last.attempt) == ("good", 1)
    assert last.outcome is not None
    assert (last.outcome.state, last.outcome.cause, last.outcome.exit_code) == (JobState.FINISHED, None, 0)
    assert last.manifest == storage.manifest("good", 1)
    assert last.manifest is not None
    assert last.outcome.digest == last.manifest.digest
    assert last.outcome.size_bytes == 5
    artifact = last.manifest.get("d/out")
    assert artifact is not None
    assert artifact.digest == digest_bytes(b"hello")
    assert storage.damage("good", 1) == []


def test_a_job_that_fails_keeps_its_outputs_and_tells_its_exit_code(backend: Backend, storage: LocalStorage) -> None:
    backend.submit([task("bad", FAIL)])
    outcome = collect(backend, 1)[-1].outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.FAILED, Cause.EXIT, 3)
    assert "3" in outcome.message
    with storage.open("bad", 1, "part") as stream:
        assert stream.read() == b"half"


def test_a_job_finds_its_inputs(backend: Backend, storage: LocalStorage) -> None:
    backend.submit([task("up")])
    up = collect(backend, 1)[-1].outcome
    assert up is not None
    backend.submit([task("down", READ, inputs=(Input(f"{RUN_ROOT}/up", "up", 1, up.digest),))])
    outcome = collect(backend, 1)[-1].outcome
    assert outcome is not None
    assert outcome.state is JobState.FINISHED
    assert outcome.reusable
    with storage.open("down", 1, "copy") as stream:
        assert stream.read() == b"hello"


def test_a_step_that_writes_into_an_input_is_refused_or_told(backend: Backend, storage: LocalStorage) -> None:
    up = end_of(backend, task("up"))
    outcome = end_of(backend, task("down", CHANGE, inputs=(Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)))
    if outcome.state is JobState.FINISHED:
        assert outcome.details["changed_inputs"] == [f"{RUN_ROOT}/up"]
        assert not outcome.reusable
    else:
        assert outcome.cause is Cause.EXIT
        assert "changed_inputs" not in outcome.details
        assert content(storage, "up") == {"d/out": b"hello"}


def test_a_step_may_write_into_inputs_that_are_writable_and_it_is_told(backend: Backend, storage: LocalStorage) -> None:
    up = end_of(backend, task("up"))
    inputs = (Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)
    outcome = end_of(backend, task("down", CHANGE, inputs=inputs, writable=True))
    assert (outcome.state, outcome.reusable) == (JobState.FINISHED, False)
    assert outcome.details["changed_inputs"] == [f"{RUN_ROOT}/up"]


def test_a_folder_of_several_jobs_begins_with_what_is_there_and_reads_as_one(
    backend: Backend, storage: LocalStorage
) -> None:
    first = end_of(backend, task("first"))
    second = end_of(backend, task("second", ADD, inputs=(Input(OWN, "first", 1, first.digest),)))
    assert content(storage, "second") == {"d/out": b"hello", "d/more": b"two", "d/late": b"new"}
    both = (Input(OWN, "first", 1, first.digest), Input(OWN, "second", 1, second.digest))
    third = end_of(backend, task("third", LATER, inputs=both))
    assert third.reusable
    late = {"d/out": b"hello", "d/more": b"three", "d/late": b"new", "seen": b"hellotwo"}
    assert content(storage, "third") == late
    places = (("first", first), ("second", second), ("third", third))
    inputs = tuple(Input(f"{RUN_ROOT}/both", key, 1, outcome.digest) for key, outcome in places)
    assert end_of(backend, task("reader", UNION, inputs=inputs)).exit_code == 0, storage.log("reader", 1)
    assert content(storage, "reader") == {"seen": b"hellothreenew./d/late\n./d/more\n./d/out\n./seen\n"}
    assert content(storage, "third") == late
    assert content(storage, "first") == {"d/out": b"hello"}


def test_a_task_already_known_is_left_as_it_is(backend: Backend) -> None:
    backend.submit([task("hold", HOLD)])
    backend.submit([task("hold", HOLD)])
    started(backend)
    backend.submit([task("hold", HOLD)])
    backend.submit([task("other")])
    reports = collect(backend, 1)
    assert [r.outcome is None for r in reports if r.key == "hold"] == []


def test_an_attempt_that_has_ended_is_told_again_and_not_run_again(backend: Backend, storage: LocalStorage) -> None:
    backend.submit([task("once")])
    first = collect(backend, 1)[-1]
    backend.submit([task("once", FAIL)])
    again = collect(backend, 1)
    assert [r.outcome for r in again if r.outcome] == [first.outcome]
    assert again[-1].manifest == first.manifest


def test_attempts_of_a_job_have_their_own_outputs(backend: Backend, storage: LocalStorage) -> None:
    backend.submit([task("again", FAIL, 1), task("again", WRITE, 2)])
    states = {r.attempt: r.outcome.state for r in collect(backend, 2) if r.outcome}
    assert states == {1: JobState.FAILED, 2: JobState.FINISHED}
    manifests = [storage.manifest("again", n) for n in (1, 2)]
    assert [[a.path for a in m.artifacts] for m in manifests if m] == [["part"], ["d/out"]]


def test_many_tasks_each_start_once_and_end_once_in_that_order(backend: Backend) -> None:
    todo = [task(f"many{n}") for n in range(60)]
    reports: list[Report] = []
    deadline = time.monotonic() + 5 * LIMIT_S  # 60 pods on two busy cores
    while sum(r.outcome is not None for r in reports) < 60:
        assert time.monotonic() < deadline
        room = backend.room()
        batch, todo = todo[:room], todo[room:]
        backend.submit(batch)
        reports += backend.wait(1.0)
    for n in range(60):
        assert [r.outcome is None for r in reports if r.key == f"many{n}"] == [True, False]


def test_room_is_taken_and_given_back(backend: Backend) -> None:
    before = backend.room()
    assert before > 1
    backend.submit([task("hold", HOLD)])
    assert backend.room() == before - 1
    started(backend)
    backend.stop("hold", 1)
    collect(backend, 1)
    assert backend.room() == before


def test_a_stopped_job_is_reported_as_stopped(backend: Backend) -> None:
    backend.submit([task("hold", HOLD)])
    started(backend)
    backend.stop("hold", 1)
    outcome = collect(backend, 1)[-1].outcome
    assert outcome is not None
    assert (outcome.state, outcome.cause) == (JobState.STOPPED, None)


def test_stopping_what_is_unknown_or_ended_does_nothing(backend: Backend) -> None:
    backend.stop("nobody", 1)
    backend.submit([task("good")])
    collect(backend, 1)
    backend.stop("good", 1)
    assert backend.wait(0.05) == []


def test_wait_returns_empty_when_nothing_happens(backend: Backend) -> None:
    begun = time.monotonic()
    assert backend.wait(0.05) == []
    assert time.monotonic() - begun >= 0.045


def test_wake_ends_a_wait(backend: Backend) -> None:
    begun = time.monotonic()
    thread = threading.Timer(0.05, backend.wake)
    thread.start()
    assert backend.wait(LIMIT_S) == []
    assert time.monotonic() - begun < LIMIT_S / 2
    thread.join()


def test_recover_tells_ended_ones_and_the_lost(kind: str, backend: Backend, storage: LocalStorage) -> None:
    backend.submit([task("good"), task("bad", FAIL), task("hold", HOLD)])
    before = {r.key: r for r in collect(backend, 2) if r.outcome}
    backend.close()
    successor = make(kind, storage)
    try:
        reports = {r.key: r for r in successor.recover([("good", 1), ("bad", 1), ("hold", 1), ("never", 1)])}
        assert reports["good"] == before["good"]
        assert reports["bad"] == before["bad"]
        for key in ("hold", "never"):
            outcome = reports[key].outcome
            assert outcome is not None
            assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.LOST)
        assert storage.manifest("hold", 1) is None
    finally:
        successor.close()


def test_close_is_idempotent(backend: Backend) -> None:
    backend.submit([task("hold", HOLD)])
    backend.close()
    backend.close()


def test_prepare_gives_the_same_digest_each_time(backend: Backend) -> None:
    digest = backend.prepare(Environment(), {}, lambda _: None)
    assert digest
    assert backend.prepare(Environment(), {}, lambda _: None) == digest
    image = backend.prepare(SETTING["environment"], {}, lambda _: None)
    assert backend.prepare(SETTING["environment"], {}, lambda _: None) == image


def test_missing_names_what_cannot_be_offered(backend: Backend) -> None:
    assert backend.missing(JobSpec(OWN, WRITE)) == []
    (phrase,) = backend.missing(JobSpec(OWN, WRITE, resources=Resources(other=("missing",))))
    assert "missing" in phrase
