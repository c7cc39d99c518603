"""Processes of this machine: who is whose child, who carries our marker, how all of them are ended.

What Linux offers (/proc, a subreaper, pidfd) is used where it is there; elsewhere only process groups are followed.
Called by the supervisor and, for what a dead supervisor left behind, by the local backend. Knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

INSTANCE_VARIABLE = "RECAST_INSTANCE"
"""Variable that every process of one supervisor carries: which supervisor it belongs to."""

JOB_VARIABLE = "RECAST_JOB"
"""Variable that every process of a step carries: <key>/<attempt>."""

_PR_SET_CHILD_SUBREAPER = 36

_EMPTY_LOOKS = 5
"""How often an environment must be seen empty to be believed so."""

_EXEC_S = 2.0
"""How long a process may be in the middle of an exec (seconds)."""


def become_subreaper() -> bool:
    """Make orphans of our descendants our children (Linux); False where that is not to be had."""
    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def start_time(pid: int) -> str:
    """When a process began (clock ticks since boot, as text): with the pid it names one process; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123
            return stream.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""


def boot_ticks() -> int:
    """The present as start_time counts it, without asking for a process: exact to a tick or two."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return int(time.clock_gettime(clock) * os.sysconf("SC_CLK_TCK"))


def is_alive(pid: int, start: str) -> bool:
    """Whether the process of that pid and start time still runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123
            fields = stream.read().rpartition(b")")[2].split()
    except OSError:
        if not os.path.exists("/proc/self/stat"):  # noqa: PTH110 - no /proc: only the pid is left to ask for
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 0)
                return True
        return False
    return fields[0] not in (b"Z", b"X") and (not start or fields[19].decode() == start)


def boot_id() -> str:
    """Names this boot of the machine: pids of another one mean nothing; "" where it is not known."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:  # noqa: PTH123
            return stream.read().strip()
    except OSError:
        return ""


def children(main_thread: int) -> list[int]:
    """Pids of our children, zombies and adopted orphans included; [] where the kernel does not tell."""
    try:
        with open(f"/proc/self/task/{main_thread}/children", "rb") as stream:  # noqa: PTH123
            return [int(pid) for pid in stream.read().split()]
    except FileNotFoundError:
        own = os.getpid()
        return [pid for pid, parent in _parents().items() if parent == own]


def environment(pid: int) -> bytes:
    """The environment a process began with (NUL between entries, one at the front); b"" if it cannot be read.

    In the middle of an exec the kernel shows neither environment nor arguments, and a file opened before it shows
    nothing after it: so an empty environment is believed only when seen several times.
    """
    deadline = time.monotonic() + _EXEC_S
    empty = 0
    try:
        while True:
            with open(f"/proc/{pid}/environ", "rb") as stream:  # noqa: PTH123
                content = stream.read()
            empty += not _in_exec(pid) if not content else 0
            if content or empty >= _EMPTY_LOOKS or time.monotonic() > deadline:
                return b"\0" + content + b"\0"
            time.sleep(0.001)
    except OSError:
        return b""


def _in_exec(pid: int) -> bool:
    """Whether a process without environment is about to get one: no arguments yet, and no thread of the kernel."""
    with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123
        if stream.read(1):
            return False
    Path(f"/proc/{pid}/exe").readlink()  # OSError: the kernel's own, or a zombie
    return True


def carries(pid: int, variable: str, value: str) -> bool:
    """Whether a process began with variable=value in its environment."""
    return f"\0{variable}={value}\0".encode() in environment(pid)


def pids() -> list[int]:
    """All processes of the machine that can be seen; [] without /proc."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []


def _parents() -> dict[int, int]:
    found = {}
    for pid in pids():
        try:
            with open(f"/proc/{pid}/stat", "rb") as stream:  # noqa: PTH123
                found[pid] = int(stream.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            continue
    return found


def descendants(roots: Iterable[int]) -> set[int]:
    """The given processes and all below them."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        below.setdefault(parent, []).append(pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo.extend(below.get(pid, ()))
    return found


def memory_bytes(members: Iterable[int], limit: int) -> int:
    """Memory a set of processes holds (bytes): resident sets, shared pages split if that is over `limit`."""
    members = list(members)
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for pid in members:
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as stream:  # noqa: PTH123
            total += int(stream.read().split()[1]) * page
    if total <= limit:
        return total
    shared = 0
    for pid in members:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as stream:  # noqa: PTH123
                lines = dict(line.split(b":", 1) for line in stream.read().splitlines()[1:])
            shared += int(lines[b"Pss"].split()[0]) * 1024
        except (OSError, KeyError, IndexError, ValueError):
            continue
    return min(total, shared) if shared else total


def send(pid: int, number: int) -> None:
    """A signal to one process, if it is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def send_group(group: int, number: int) -> None:
    """A signal to a process group, if it is there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def kill_all(find: Callable[[], Iterable[int]], limit_s: float) -> bool:
    """Kill what `find` finds until it finds nothing twice, and see them gone; False if some outlive `limit_s`.

    Used for processes that are not our children. It looks again because one of them may just have started another
    (and ended, unseen itself).
    """
    deadline = time.monotonic() + limit_s
    own = os.getpid()
    clean = 0
    while clean < 2:
        victims = {pid for pid in find() if pid != own}
        clean = 0 if victims else clean + 1
        for pid in victims:
            send(pid, signal.SIGKILL)
        for pid in victims:
            _await_end(pid, deadline)
        if time.monotonic() > deadline:
            return False
    return True


def _await_end(pid: int, deadline: float) -> None:
    """Return when a process has ended, or at the deadline."""
    left = max(0.0, deadline - time.monotonic())
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (OSError, AttributeError):
        while is_alive(pid, "") and time.monotonic() < deadline:
            time.sleep(0.005)
        return
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(left * 1000)
    finally:
        os.close(handle)
