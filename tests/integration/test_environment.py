"""Virtual environments from locks: built once, whole or not at all, with a reason when it fails. Needs no network."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from running import OWN, end_of, until

from reana_lite.backends.base import StandIn, Task
from reana_lite.backends.environment import build_environment, environment_digest, environment_folder, is_ready
from reana_lite.backends.local import LocalBackend
from reana_lite.errors import Unavailable
from reana_lite.job import Environment, EnvironmentKind, JobSpec, JobState
from reana_lite.storage.local import LocalStorage


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A tiny package with a module and a command."""
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", "def main():\n    print('tiny says hello')\n")
        info = "tiny-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntiny = tiny:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def lock_of(wheel: Path, digest: str = "") -> str:
    digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"# made by hand\ntiny @ {wheel.as_uri()} \\\n    --hash=sha256:{digest}\n"


def test_a_stand_in_is_built_once_and_steps_find_it_first(tmp_path: Path, wheel: Path) -> None:
    storage = LocalStorage(tmp_path / "a storage")
    backend = LocalBackend(storage)
    stand_ins = {"some/image:1": StandIn("some/image:1", lock_of(wheel))}
    environment = Environment(EnvironmentKind.CONTAINER, "some/image:1")
    said: list[str] = []
    try:
        digest = backend.prepare(environment, stand_ins, said.append)
        assert any("1 packages" in line for line in said)
        count = len(said)
        assert backend.prepare(environment, stand_ins, said.append) == digest == environment_digest(lock_of(wheel))
        assert len(said) == count
        line = f"tiny > {OWN}/out; python -c 'import tiny, sys; print(sys.prefix)'; echo $OMP_NUM_THREADS"
        outcome = end_of(backend, Task("t", 1, JobSpec(OWN, line, environment=environment), stand_ins=stand_ins))
        assert outcome.state is JobState.FINISHED, storage.log("t", 1)
        with storage.open("t", 1, "out") as stream:
            assert stream.read() == b"tiny says hello\n"
        prefix, threads = storage.log("t", 1).decode().split()
        assert os.path.realpath(prefix).startswith(str(storage.root / "environments"))
        assert threads == "1"
    finally:
        backend.close()


def test_the_digest_is_that_of_what_counts() -> None:
    lock = "a==1 --hash=sha256:00\n"
    assert environment_digest(f"# a comment\n\n{lock}") == environment_digest(lock)
    assert environment_digest(lock.replace("==1", "==2")) != environment_digest(lock)


def test_a_wrong_hash_is_told_and_nothing_is_left(tmp_path: Path, wheel: Path) -> None:
    lock = lock_of(wheel, "0" * 64)
    with pytest.raises(Unavailable, match=r"(?i)do not match the hashes.*log: "):
        build_environment(lock, tmp_path, lambda _: None)
    folder = environment_folder(environment_digest(lock), tmp_path)
    assert not folder.exists()
    assert folder.with_name(folder.name + ".log").exists()


def test_an_index_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unavailable, match="the package index cannot be reached"):
        build_environment("tiny-not-there==1.0 --hash=sha256:" + "0" * 64, tmp_path, lambda _: None)


def test_two_builders_build_once(tmp_path: Path, wheel: Path) -> None:
    said: list[str] = []
    folders: list[Path] = []
    threads = [
        threading.Thread(target=lambda: folders.append(build_environment(lock_of(wheel), tmp_path, said.append)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders[0] == folders[1]
    assert sum("building" in line for line in said) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_build_is_begun_anew(tmp_path: Path, wheel: Path, number: int) -> None:
    code = (
        "import sys; from pathlib import Path; from reana_lite.backends.environment import build_environment\n"
        f"build_environment({lock_of(wheel)!r}, Path({str(tmp_path)!r}), lambda line: print(line, flush=True))\n"
    )
    builder = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert builder.stdout is not None
    assert "building" in builder.stdout.readline()
    builder.send_signal(number)
    builder.wait()
    builder.stdout.close()
    folder = environment_folder(environment_digest(lock_of(wheel)), tmp_path)
    assert not is_ready(folder)
    assert build_environment(lock_of(wheel), tmp_path, lambda _: None) == folder
    assert is_ready(folder)
    until(lambda: (folder / "bin" / "tiny").exists())
