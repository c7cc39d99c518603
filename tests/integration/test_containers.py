"""Steps in real containers: what they see, how their ends are told, that nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from running import OWN, end_of, ends, task, until

from reana_lite.backends import engines
from reana_lite.backends.container import MANY_INPUTS, ContainerBackend
from reana_lite.errors import Unavailable
from reana_lite.job import RUN_ROOT, Cause, Environment, EnvironmentKind, Input, JobState, Mount
from reana_lite.storage.local import LocalStorage

IMAGE = os.environ.get("RECAST_TEST_IMAGE", "localhost/debian:bookworm")
FLAGS = os.environ.get("RECAST_TEST_CONTAINER_FLAGS", "").split()
CONTAINER = Environment(EnvironmentKind.CONTAINER, IMAGE)

pytestmark = pytest.mark.container


def make(storage: LocalStorage, **settings: Any) -> ContainerBackend:
    backend = ContainerBackend(storage, **{"flags": FLAGS, "grace_s": 1.0, "cpus": 2, **settings})
    reason = backend.unusable()
    if not reason:
        try:
            backend.prepare(CONTAINER, {}, lambda _: None)
        except Unavailable as error:
            reason = error.message
    if reason:
        backend.close()
        pytest.skip(reason)
    return backend


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "my storage")


@pytest.fixture
def backend(storage: LocalStorage) -> Iterator[ContainerBackend]:
    backend = make(storage)
    yield backend
    backend.close()
    assert containers(backend) == []


def containers(backend: ContainerBackend) -> list[tuple[str, str]]:
    return engines.names_of(backend.engine, f"recast.installation={backend._installation()}")


def test_what_a_step_sees(backend: ContainerBackend, storage: LocalStorage) -> None:
    up = end_of(backend, task("up", f"echo one > {OWN}/a", environment=CONTAINER))
    inputs = (Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)
    environment = Environment(
        EnvironmentKind.CONTAINER,
        IMAGE,
        variables=(("NAME", "a b"),),
        workdir=OWN,
        mounts=(Mount("/x/p.json", f'["{OWN}"]'),),
    )
    line = (
        f"cat {RUN_ROOT}/up/a; cat /x/p.json; echo; echo $NAME; pwd; id -u; touch $HOME/h && cat; "
        f"ls /sys/class/net; echo no > {RUN_ROOT}/up/a"
    )
    outcome = end_of(backend, task("down", line, script="from script\n", inputs=inputs, environment=environment))
    log = storage.log("down", 1).decode().splitlines()
    own = log[3]
    assert log[0] == "one"
    assert log[1] == f'["{own}"]'
    assert log[2] == "a b"
    assert " " not in own
    assert os.path.realpath(own) == os.path.realpath(storage.folder("down", 1))
    assert log[4] == str(os.getuid())
    assert log[5:7] == ["from script", "lo"]
    assert "Read-only" in log[7]
    assert outcome.exit_code == 2
    assert storage.manifest("up", 1) is not None
    assert storage.damage("up", 1) == []


def test_outputs_belong_to_the_caller(backend: ContainerBackend, storage: LocalStorage) -> None:
    assert end_of(backend, task("o", f"mkdir {OWN}/d; touch {OWN}/d/f", environment=CONTAINER)).exit_code == 0
    for path in ("d", "d/f"):
        assert (storage.folder("o", 1) / path).stat().st_uid == os.getuid()
    assert sorted(p.name for p in storage.place("o", 1).iterdir()) == ["files", "log", "manifest.json", "outcome.json"]


def test_too_much_memory_is_told_as_such(backend: ContainerBackend) -> None:
    line = "head -c 300000000 /dev/zero | tail > /dev/null"
    outcome = end_of(backend, task("hog", line, environment=CONTAINER, memory_bytes=50_000_000))
    assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.FAILED, Cause.MEMORY, 137)


def test_137_alone_is_not_memory(backend: ContainerBackend) -> None:
    outcome = end_of(backend, task("k", "sh -c 'kill -9 $$'; exit $?", environment=CONTAINER, memory_bytes=500_000_000))
    assert (outcome.cause, outcome.exit_code) == (Cause.EXIT, 137)


def test_a_time_limit_removes_the_container(backend: ContainerBackend, storage: LocalStorage) -> None:
    line = f"trap '' TERM; echo half > {OWN}/half; sleep 1000; sleep 1000"
    outcome = end_of(backend, task("slow", line, environment=CONTAINER, timeout_s=1.0))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.TIME)
    until(lambda: containers(backend) == [])
    with storage.open("slow", 1, "half") as stream:
        assert stream.read() == b"half\n"


@pytest.mark.parametrize("image", ["localhost/no-such-image:1", "localhost/Not A Reference"])
def test_an_image_that_is_not_to_be_had(backend: ContainerBackend, image: str) -> None:
    environment = Environment(EnvironmentKind.CONTAINER, image)
    with pytest.raises(Unavailable, match="cannot be had"):
        backend.prepare(environment, {}, lambda _: None)
    outcome = end_of(backend, task("i", "true", environment=environment))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.IMAGE)


def test_a_long_line_and_many_inputs(backend: ContainerBackend, storage: LocalStorage) -> None:
    up = [task(f"up{n}", f"echo {n} > {OWN}/a") for n in range(MANY_INPUTS + 50)]
    todo, digests = up, {}
    while todo:
        batch, todo = todo[: backend.room()], todo[backend.room() :]
        backend.submit(batch)
        digests |= {r.key: r.outcome.digest for r in ends(backend, len(batch)) if r.outcome}
    inputs = tuple(Input(f"{RUN_ROOT}/{t.key}", t.key, 1, digests[t.key]) for t in up)
    names = " ".join(f"{i.folder}/a" for i in inputs for _ in range(8))
    outcome = end_of(backend, task("down", f"cat {names} > {OWN}/all", inputs=inputs, environment=CONTAINER))
    assert outcome.exit_code == 0, storage.log("down", 1)
    with storage.open("down", 1, "all") as stream:
        assert stream.read().count(b"\n") == len(up) * 8


def test_plain_processes_run_beside(backend: ContainerBackend, storage: LocalStorage) -> None:
    assert end_of(backend, task("p", "pwd; echo $$ > pid")).exit_code == 0
    assert storage.manifest("p", 1) is not None


def test_an_input_may_be_writable_and_its_change_is_found_out(storage: LocalStorage) -> None:
    backend = make(storage)
    try:
        up = end_of(backend, task("up", f"echo one > {OWN}/a"))
        inputs = (Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)
        line = f"echo two >> {RUN_ROOT}/up/a"
        down = task("down", line, inputs=inputs, environment=CONTAINER)
        outcome = end_of(backend, replace(down, writable_inputs=True))
        assert (outcome.state, outcome.reusable) == (JobState.FINISHED, False)
    finally:
        backend.close()


def test_when_worker_or_supervisor_are_killed_the_container_goes_too(storage: LocalStorage) -> None:
    backend = make(storage)
    try:
        backend.submit([task("a", "sleep 1000", environment=CONTAINER)])
        until(lambda: containers(backend))
        assert backend._process is not None
        backend._process.kill()
        (report,) = ends(backend, 1)
        assert report.outcome is not None
        assert report.outcome.cause is Cause.LOST
        assert containers(backend) == []
        code = (
            "import sys, time; from pathlib import Path\n"
            f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from test_containers import CONTAINER, FLAGS, ContainerBackend, LocalStorage, containers, task, until\n"
            f"backend = ContainerBackend(LocalStorage(Path({str(storage.root)!r})), flags=FLAGS)\n"
            "assert not backend.unusable()\n"
            "backend.submit([task('b', 'sleep 1000', environment=CONTAINER)])\n"
            "until(lambda: containers(backend))\nimport os; os.kill(os.getpid(), 9)\n"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
        (report,) = backend.recover([("b", 1)])
        assert report.outcome is not None
        assert report.outcome.cause is Cause.LOST
        assert containers(backend) == []
    finally:
        backend.close()


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_closing_while_a_container_is_being_made_leaves_none(storage: LocalStorage, delay_s: float) -> None:
    backend = make(storage)
    backend.submit([task("a", "sleep 1000", environment=CONTAINER)])
    backend.wait(10.0)
    time.sleep(delay_s)  # the instant is the point of this test
    backend.close()
    assert containers(backend) == []


def test_an_engine_that_does_not_answer_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    backend = ContainerBackend(LocalStorage(tmp_path / "storage"))
    reason = backend.unusable()
    backend.close()
    assert reason == (
        "podman is not installed; docker is installed but does not work: Cannot connect to the Docker daemon; "
        "apptainer is not installed"
    )
