"""What steps leave behind: which orphan belongs to which step, and when it is ended.

The supervisor is a subreaper, so an orphan of a step becomes its child. It is told by session, process group or marker
variable; one that hides all three ends with the last of the steps it may belong to. Called by the supervisor only.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping

from reana_lite.backends import processes
from reana_lite.backends.settle import Step


class Leftovers:
    """`running` (by pid of the leader), `known` (by key and attempt) and `helpers` (by pid) are the supervisor's own."""

    def __init__(
        self, running: Mapping[int, Step], known: Mapping[tuple[str, int], Step], helpers: Mapping[int, object]
    ) -> None:
        self._running = running
        self._known = known
        self._helpers = helpers
        self._main_thread = threading.get_native_id()
        self._owners: dict[int, Step] = {}
        self._draining: dict[Step, set[int]] = {}
        self._unclaimed: dict[int, set[int]] = {}

    def children(self) -> list[int]:
        """Children of the supervisor that are neither leaders of running steps nor its own helpers."""
        pids = processes.children(self._main_thread)
        return [pid for pid in pids if pid not in self._running and pid not in self._helpers]

    def members(self, step: Step) -> set[int]:
        """All processes of a running step: descendants, and orphans of it."""
        orphans = [pid for pid in self.children() if self._owner(pid) is step]
        return processes.descendants([step.pid, *orphans])

    def drain(self, step: Step) -> bool:
        """Kill what a step whose leader has ended left behind; True if nothing of it is left."""
        left = set()
        for pid in self.children():
            owner = self._owner(pid, step)
            if owner is step:
                left.add(pid)
                processes.send(pid, signal.SIGKILL)
            elif owner is None and pid not in self._unclaimed:
                self._unclaimed[pid] = set(self._running)
        self.release(step)
        if left:
            self._draining[step] = left
        else:
            self._draining.pop(step, None)
        return not left

    def release(self, step: Step) -> None:
        """A step is over: orphans that may have been its own and nobody else's are ended."""
        for pid, steps in self._unclaimed.items():
            steps.discard(step.pid)
            if not steps:
                processes.send(pid, signal.SIGKILL)

    def gone(self, pid: int) -> list[Step]:
        """An orphan has ended (its own children, if any, are ours now); the steps of which nothing is left thereby."""
        self._owners.pop(pid, None)
        self._unclaimed.pop(pid, None)
        drained = []
        for step, left in list(self._draining.items()):
            left.discard(pid)
            if not left and self.drain(step):
                drained.append(step)
        return drained

    def _owner(self, pid: int, ending: Step | None = None) -> Step | None:
        """The step an orphan belongs to; None if that cannot be told."""
        if pid in self._owners:
            return self._owners[pid]
        owner: Step | None = None
        try:
            groups = (os.getsid(pid), os.getpgid(pid))
        except ProcessLookupError:
            return None
        if ending is not None and ending.pid in groups:
            owner = ending
        for group in groups:
            owner = owner or self._running.get(group)
        if owner is None:
            marks = processes.environment(pid).split(f"\0{processes.JOB_VARIABLE}=".encode())
            if len(marks) > 1:
                key, _, attempt = marks[1].partition(b"\0")[0].decode(errors="replace").rpartition("/")
                owner = self._known.get((key, int(attempt))) if attempt.isdigit() else None
        if owner is not None:
            self._owners[pid] = owner
        return owner
