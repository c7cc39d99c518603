"""The journal of a supervisor: a file that says which processes are its own, and is locked while it lives.

`<root>/supervisors/<instance>`: first a JSON line (boot, pid and start time of the worker and of the supervisor), then
one line per step begun: pid, start time, key, attempt. Whoever finds the file unlocked knows that its supervisor is
dead, and finds here and by the marker variable what it left running. Called by the supervisor and the local backend.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from reana_lite.backends import processes

FOLDER = "supervisors"

_COMPACT_LINES = 20_000

_SLACK_TICKS = 100
"""How long before its line was written a step may have begun (clock ticks, 1 s): its start blocks on a busy machine."""


class Journal:
    """The side that writes: one per supervisor."""

    def __init__(self, root: str, instance: str, worker: int) -> None:
        folder = Path(root) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / instance
        self._head = json.dumps(
            {
                "boot": processes.boot_id(),
                "worker": [worker, processes.start_time(worker)],
                "supervisor": [os.getpid(), processes.start_time(os.getpid())],
            }
        )
        self._lines = 0
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        os.write(self._handle, self._head.encode() + b"\n")

    def note(self, begun: list[tuple[int, str, int]], running: Callable[[], Iterable[tuple[int, str, int]]]) -> None:
        """Write down steps begun this moment (pid, key, attempt); now and then forget all but the `running` ones."""
        now = processes.boot_ticks()  # asking /proc for the start time of each would cost more than all the rest here
        lines = [f"{pid} {now} {key} {attempt}\n" for pid, key, attempt in begun]
        self._lines += len(lines)
        if self._lines > _COMPACT_LINES:
            lines = [f"{pid} {processes.start_time(pid)} {key} {attempt}\n" for pid, key, attempt in running()]
            self._lines = len(lines)
            # The lock belongs to this very file, so it is shortened in place; the marker covers the instant between.
            os.ftruncate(self._handle, 0)
            lines.insert(0, self._head + "\n")
        with contextlib.suppress(OSError):  # a full disk: the marker variable still tells
            os.write(self._handle, "".join(lines).encode())

    def end(self) -> None:
        """Nothing is left running: the journal goes away."""
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._handle)


def clean(root: str, *, limit_s: float = 10.0, only: str | None = None) -> list[str]:
    """Kill what dead supervisors left running and drop their journals; the names of those cleaned up after.

    A supervisor whose worker is dead is about to end by itself and is waited for. Those of living workers are left
    alone. `only` limits it to one instance.
    """
    folder = Path(root) / FOLDER
    cleaned = []
    deadline = time.monotonic() + limit_s
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if only is not None and path.name != only:
            continue
        handle = _lock_of_dead(path, deadline)
        if handle is None:
            continue
        try:
            groups = _groups(path)
            processes.kill_all(lambda name=path.name, groups=groups: _of_instance(name, groups), limit_s)  # type: ignore[misc]
            path.unlink(missing_ok=True)
            cleaned.append(path.name)
        finally:
            os.close(handle)
    return cleaned


def kill_job(key: str, attempt: int, *, limit_s: float = 10.0) -> bool:
    """Kill every process that carries the marker of an attempt, whoever started it; False if some live on."""
    value = f"{key}/{attempt}"
    return processes.kill_all(
        lambda: [pid for pid in processes.pids() if processes.carries(pid, processes.JOB_VARIABLE, value)], limit_s
    )


def _lock_of_dead(path: Path, deadline: float) -> int | None:
    """The lock of a journal whose supervisor is dead (an open handle); None if it lives and its worker does too.

    A lock alone proves no life: a step that was just being started holds it too, until its program is loaded.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            head = _head(path)
            alive = processes.is_alive(*head["supervisor"]) if "supervisor" in head else True
            if alive and (not head or processes.is_alive(*head["worker"])):
                os.close(handle)
                return None
            if time.monotonic() > deadline:
                if not alive:
                    return handle
                processes.send(head["supervisor"][0], signal.SIGKILL)
                deadline += 1.0
            time.sleep(0.002)


def _head(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            head = json.loads(stream.readline())
    except (OSError, ValueError):
        return {}
    return head if isinstance(head, dict) else {}


def _groups(path: Path) -> dict[int, str]:
    """pid -> start time of the steps a journal names, if it is of this boot."""
    if _head(path).get("boot") != processes.boot_id():
        return {}
    groups = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        fields = line.split()
        if len(fields) == 4 and fields[0].isdigit():
            groups[int(fields[0])] = fields[1]
    return groups


def _is_same(pid: int, start: str) -> bool:
    """Whether a pid is still (or was last) the process noted: one that got the pid later has another start time."""
    now = processes.start_time(pid)
    return not now or not start or abs(int(now) - int(start)) <= _SLACK_TICKS


def _of_instance(instance: str, groups: dict[int, str]) -> list[int]:
    """Processes with the marker of an instance, or in the session or group of one of its steps."""
    found = []
    for pid in processes.pids():
        if processes.carries(pid, processes.INSTANCE_VARIABLE, instance):
            found.append(pid)
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            leader = next((n for n in (os.getsid(pid), os.getpgid(pid)) if n in groups), None)
            if leader is not None and _is_same(leader, groups[leader]):
                found.append(pid)
    return [pid for pid in found if processes.is_alive(pid, "")]
