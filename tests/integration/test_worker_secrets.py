"""Secrets reach the step, on this machine and in containers, and are nowhere else, before, during and after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import test_containers
from running import OWN, end_of, ends, number_in, task, until

from reana_lite.backends import secret_files
from reana_lite.backends.local import LocalBackend
from reana_lite.job import Environment, JobState, Secret, SecretKind
from reana_lite.storage.local import LocalStorage

VALUE = b'it\'s "$HOME" & `two`\nlines \\n'
SECRETS = (
    Secret("PASSWORD", SecretKind.ENV, VALUE),
    Secret("CONTAINER_HOST", SecretKind.ENV, b"tcp://nobody-is-here:1"),
    Secret("key.pem", SecretKind.FILE, VALUE + b"\0\xff"),
)
LINE = (
    f'printf %s "$PASSWORD" | cksum > {OWN}/variable; cksum < "$RECAST_SECRETS/key.pem" > {OWN}/file; '
    f'printf %s "$CONTAINER_HOST" | wc -c > {OWN}/host; echo "$RECAST_SECRETS" > {OWN}/folder'
)


@pytest.fixture(params=["local", pytest.param("container", marks=pytest.mark.container)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def backend(kind: str, storage: LocalStorage) -> Iterator[LocalBackend]:
    backend = LocalBackend(storage, cpus=2, grace_s=1.0) if kind == "local" else test_containers.make(storage)
    yield backend
    backend.close()


def environment(kind: str) -> Environment:
    return Environment() if kind == "local" else test_containers.CONTAINER


def cksum(value: bytes) -> bytes:
    return subprocess.run(["cksum"], input=value, capture_output=True, check=True).stdout


def holding(folder: Path) -> list[Path]:
    """Files that hold the secret, in any form in which it may have been written."""
    forms = [b"nobody-is-here", b"`two`", json.dumps(VALUE.decode()).encode()]
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(form in path.read_bytes() for form in forms)]


def test_a_step_has_its_secrets_and_nobody_else(
    kind: str, backend: LocalBackend, storage: LocalStorage, tmp_path: Path
) -> None:
    one = replace(task("one", LINE, environment=environment(kind)), secrets=SECRETS)
    outcome = end_of(backend, one)
    assert outcome.state is JobState.FINISHED, (outcome, storage.log("one", 1))
    own = storage.folder("one", 1)
    assert (own / "variable").read_bytes() == cksum(VALUE)
    assert (own / "file").read_bytes() == cksum(VALUE + b"\0\xff")
    assert (own / "host").read_text().strip() == "22"
    if kind == "container":
        assert (own / "folder").read_text().strip() == secret_files.IN_CONTAINERS
    assert holding(tmp_path) == []
    assert "two" not in repr(one)
    assert "two" not in str(outcome)
    assert not list(Path(secret_files.folder_of(backend._instance)).glob("*"))


def test_a_step_without_secrets_has_no_folder_of_them(kind: str, backend: LocalBackend, storage: LocalStorage) -> None:
    end_of(backend, task("one", f'echo "x$RECAST_SECRETS" > {OWN}/folder', environment=environment(kind)))
    assert (storage.folder("one", 1) / "folder").read_text() == "x\n"


def test_while_it_runs_they_are_for_its_user_alone_and_in_no_command_line(
    kind: str, backend: LocalBackend, storage: LocalStorage, tmp_path: Path
) -> None:
    held = task("held", f"echo 1 > {OWN}/begun; exec sleep 1000", environment=environment(kind))
    backend.submit([replace(held, secrets=SECRETS)])
    number_in(storage.folder("held", 1) / "begun")
    folder = Path(secret_files.folder_of(backend._instance))
    below = [folder, *folder.rglob("*")]
    assert [path for path in below if path.stat().st_mode & 0o077] == []
    assert holding(tmp_path) == []
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes())
        except OSError:
            continue
    assert not [line for line in lines if b"nobody-is-here" in line or b"`two`" in line]
    backend.stop("held", 1)
    assert ends(backend, 1)[0].outcome.state is JobState.STOPPED  # type: ignore[union-attr]
    until(lambda: not list(folder.glob("*")), "the folder of a stopped step is removed")


def test_what_a_killed_supervisor_leaves_is_removed_with_its_processes(storage: LocalStorage) -> None:
    backend = LocalBackend(storage, cpus=2, grace_s=1.0)
    try:
        backend.submit([replace(task("held", f"echo 1 > {OWN}/begun; exec sleep 1000"), secrets=SECRETS)])
        number_in(storage.folder("held", 1) / "begun")
        folder = Path(secret_files.folder_of(backend._instance))
        assert folder.is_dir()
        assert backend._process is not None
        os.kill(backend._process.pid, signal.SIGKILL)
        ends(backend, 1)
        assert not folder.exists()
    finally:
        backend.close()


def test_nothing_is_left_when_the_worker_ends(storage: LocalStorage) -> None:
    backend = LocalBackend(storage, cpus=2, grace_s=1.0)
    backend.submit([replace(task("held", f"echo 1 > {OWN}/begun; exec sleep 1000"), secrets=SECRETS)])
    number_in(storage.folder("held", 1) / "begun")
    folder = Path(secret_files.folder_of(backend._instance))
    backend.close()
    assert not folder.exists()
