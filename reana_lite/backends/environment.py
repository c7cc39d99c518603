"""Virtual environments from locked requirement files, built once per lock: stand-ins for images, and yadage's own.

`<root>/environments/<digest>/` with a marker READY, written last. The digest is that of the lock, the Python version
and the platform. Called by the local backend and by whoever runs the reference engine. Nothing here knows of jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from reana_lite.errors import Unavailable

FOLDER, READY = "environments", "READY"


_building: set[subprocess.Popen[bytes]] = set()
"""Commands of builds that are under way in this process."""


def environment_digest(lock_text: str) -> str:
    """Digest ("sha256:...") of a virtual environment: its lock (comments aside), Python's version, the platform."""
    lines = [line.strip() for line in lock_text.splitlines()]
    text = "\n".join(line for line in lines if line and not line.startswith("#"))
    parts = [text, f"{sys.implementation.name}-{sys.version_info[0]}.{sys.version_info[1]}", sysconfig.get_platform()]
    return "sha256:" + hashlib.sha256("\0".join(parts).encode()).hexdigest()


def environment_folder(digest: str, root: Path) -> Path:
    """Where the environment of that digest is or would be."""
    return root / FOLDER / digest.removeprefix("sha256:")[:32]


def is_ready(folder: Path) -> bool:
    """Whether it was built to its end."""
    return (folder / READY).exists()


def build_environment(lock_text: str, root: Path, say: Callable[[str], None]) -> Path:
    """The folder of the virtual environment of a lock (pip's format with hashes), built if it is not there.

    One builder at a time; others wait for it. An interrupt leaves nothing that looks ready. Raises Unavailable with
    pip's own reason and the path of its log.
    """
    folder = environment_folder(environment_digest(lock_text), root)
    if is_ready(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(folder.name + ".lock"), say):
        if is_ready(folder):
            return folder
        _remove(folder)
        log = folder.with_name(folder.name + ".log")
        # Scripts name the interpreter by its path, so it is built where it will stay; READY tells when it is done.
        try:
            _build(folder, lock_text, log, say)
        except BaseException:
            _remove(folder)
            raise
        (folder / READY).write_text("", encoding="ascii")
    return folder


def _build(folder: Path, lock_text: str, log: Path, say: Callable[[str], None]) -> None:
    count = len(re.findall(r"(?m)^[A-Za-z0-9][\w.\[\],-]*\s*(?:==|@)", lock_text))
    say(f"building an environment of {count} packages (once; {folder})")
    with log.open("wb") as stream, tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as lock:
        lock.write(lock_text)
        lock.flush()
        left_out = ("PYTHONHOME", "PYTHONPATH", "PYTHONWARNINGS", "VIRTUAL_ENV")
        environ = {k: v for k, v in os.environ.items() if k not in left_out}
        base = getattr(sys, "_base_executable", None) or sys.executable
        _run([base, "-m", "venv", "--without-pip", str(folder)], stream, log, environ, "make a virtual environment")
        python = str(folder / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python]
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
            _run([python, "-m", "ensurepip"], stream, log, environ, "install pip")
            pip = [python, "-m", "pip"]
        options = [
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--no-deps",
            "--no-input",
            "--disable-pip-version-check",
        ]
        say(f"installing {count} packages")
        _run([*pip, "install", *options, "-r", lock.name], stream, log, environ, "install the locked packages")
    say("environment ready")


def _run(argv: list[str], stream: object, log: Path, environ: dict[str, str], what: str) -> None:
    """One command to its end, output to the log; raises Unavailable with the line that tells why it failed."""
    process = subprocess.Popen(  # type: ignore[call-overload]
        argv, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environ, start_new_session=True
    )
    _building.add(process)
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    finally:
        _building.discard(process)
    if code:
        raise Unavailable(f"could not {what}: {_reason(log)} (log: {log})", log=str(log))


def abandon() -> None:
    """End the builds of this process, of whatever thread: each raises, and removes what it has made.

    Called when a backend closes: the interpreter waits for its threads, and an interrupt is not to wait for pip.
    """
    for process in tuple(_building):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _reason(log: Path) -> str:
    """The line of pip's log that tells why, in plain words where we have them."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if "No space left on device" in text:
        return "the disk is full"
    errors = re.findall(r"(?m)^ERROR: (.+)$", text)
    reason: str = errors[0] if errors else (text.strip().splitlines() or ["no output"])[-1]
    offline = ("Temporary failure in name resolution", "Failed to establish a new connection", "Network is unreachable")
    if any(phrase in text for phrase in offline):
        return f"the package index cannot be reached; {reason}"
    if "(from versions: none)" in reason:
        reason += ": the package index does not have it, or cannot be reached"
    return reason[:500]


def _remove(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (folder / READY).unlink()
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a file lock; the lock falls with the process that holds it."""
    with path.open("w", encoding="ascii") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that builds the same environment")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
