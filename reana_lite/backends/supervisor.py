"""The supervisor: one process per worker that starts steps, watches over them and ends them.

It is a subreaper: whatever a step leaves behind becomes its child and is killed. It ends everything when its worker's
pipe closes. One thread, driven by events (messages, SIGCHLD, deadlines); further threads only hash large outputs.
Started as `python -m reana_lite.backends.supervisor` by the local backend, which speaks to it over the socket that is
its standard input: JSON lines, a batch each. From the worker {"hello": ...} first, then {"run": [task...]} and
{"stop": [[key, attempt]...]}; from here lists of [key, attempt] (started) and [key, attempt, outcome, rows] (ended).
Few imports, so that it is there in less than 100 ms.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import heapq
import json
import os
import queue
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from reana_lite.backends import machine, places, processes, secret_files
from reana_lite.backends.journal import Journal, kill_job
from reana_lite.backends.leftovers import Leftovers
from reana_lite.backends.settle import Step, mark_inputs, recovered, settle
from reana_lite.backends.spawn import Spawner

_WATCH_S = 0.2
"""How often the memory of steps with a limit is looked at (seconds)."""

_BATCH_S = 0.01
"""How long reports may wait for others to come along (seconds), if the worker is not needed to go on."""

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode

_BYPASS = 64
"""How many smaller tasks may overtake one that waits for room, before all wait for it."""


class Supervisor:
    """State and loop of the process."""

    def __init__(self, channel: socket.socket, hello: dict[str, Any]) -> None:
        self.channel = channel
        self.root: str = hello["root"]
        self.roots = tuple(hello["roots"])
        self.grace_s: float = hello["grace_s"]
        self.free_cpus = self.cpus = float(hello["cpus"])
        self.free_memory = self.memory = int(hello["memory"])
        self.instance: str = hello["instance"]
        self.spawner = Spawner(hello["environ"], hello["instance"])
        self.journal = Journal(hello["journals"], hello["instance"], os.getppid())
        self.queue: deque[Step] = deque()
        self.known: dict[tuple[str, int], Step] = {}
        self.running: dict[int, Step] = {}
        self.helpers: dict[int, Callable[[int], None]] = {}
        self.leftovers = Leftovers(self.running, self.known, self.helpers)
        self.ended: list[Step] = []
        self.fingerprints: dict[str, int | None] = {}
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.watching = self.flushing = False
        self.flush_at = 0.0
        self.bypassed = 0
        self.sequence = 0
        self.oom_kills = machine.oom_kills()
        self.out: list[list[Any]] = []
        self.unsent = b""
        self.received = b""
        self.over = False
        self.work: queue.SimpleQueue[Step] = queue.SimpleQueue()
        self.settled: queue.SimpleQueue[tuple[Step, dict[str, Any], list[list[Any]] | None]] = queue.SimpleQueue()
        self.threads = 0
        self.selector = selectors.DefaultSelector()
        self.wake_read, self.wake_write = socket.socketpair()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, received: bytes) -> None:
        """Work until the worker is gone, then end everything; `received` has come already."""
        for handle in (self.channel, self.wake_read, self.wake_write):
            handle.setblocking(False)
        signal.set_wakeup_fd(self.wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._end)
        self.selector.register(self.channel, selectors.EVENT_READ, self._receive)
        self.selector.register(self.wake_read, selectors.EVENT_READ, self._woken)
        self._follow_parent()
        self._read(received)
        while not self.over:
            self._fill()
            for step in self.ended:
                self._settle(step)
            self.ended.clear()
            self._flush()
            for key, _ in self.selector.select(self._until_timer()):
                key.data()
        self._shutdown()

    def _end(self, *_: object) -> None:
        self.over = True

    def _follow_parent(self) -> None:
        """See the worker's death even where a forked child of it holds the pipe open."""
        try:
            handle = os.pidfd_open(os.getppid())
        except (OSError, AttributeError):
            return
        self.selector.register(handle, selectors.EVENT_READ, self._end)

    def _woken(self) -> None:
        """A signal has come, or a thread is done."""
        with contextlib.suppress(BlockingIOError):
            self.wake_read.recv(65536)
        while not self.settled.empty():
            self._report(*self.settled.get())
        self._reap()

    def _receive(self) -> None:
        try:
            chunk = self.channel.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.over = True
            return
        self._read(chunk)

    def _read(self, chunk: bytes) -> None:
        *lines, self.received = (self.received + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            for spec in message.get("run", ()):
                self._submit(Step(spec, self.root))
            for key, attempt in message.get("stop", ()):
                self._stop(key, attempt)

    def _flush(self) -> None:
        """Send reports, in batches while there is work waiting here that does not need the worker."""
        if self.out and self.queue and time.monotonic() < self.flush_at:
            if not self.flushing:
                self.flushing = True
                self._after(_BATCH_S, self._flushed)
        elif self.out:
            self.flush_at = time.monotonic() + _BATCH_S
            self.unsent += _ENCODE(self.out).encode() + b"\n"
            self.out.clear()
        if self.unsent:
            try:
                self.unsent = self.unsent[self.channel.send(self.unsent) :]
            except BlockingIOError:
                pass
            except OSError:
                self.over = True
                return
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.unsent else 0)
            if self.selector.get_key(self.channel).events != mask:
                self.selector.modify(self.channel, mask, self._receive)

    def _flushed(self) -> None:
        self.flushing = False
        self.flush_at = 0.0
        self._flush()

    def _until_timer(self) -> float | None:
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()
        return max(0.0, self.timers[0][0] - now) if self.timers else None

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self.sequence += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.sequence, action))

    # -- beginnings --------------------------------------------------------------------------------------------------

    def _submit(self, step: Step) -> None:
        if (step.key, step.attempt) in self.known:
            return
        self.known[step.key, step.attempt] = step
        if self.memory and step.memory > self.memory:
            from reana_lite.backends.verdict import size

            self._refuse(
                step, "memory", f"asks for {size(step.memory)} of memory, this machine offers {size(self.memory)}"
            )
            return
        step.cpus = min(step.cpus, self.cpus)
        self.queue.append(step)

    def _fill(self) -> None:
        """Start what there is room for: first come first served, small ones may pass a large one for a while."""
        begun: list[Step] = []
        waiting: list[Step] = []
        while self.queue and self.free_cpus > 1e-9:
            step = self.queue.popleft()
            if step.cpus <= self.free_cpus + 1e-9 and (not self.memory or step.memory <= self.free_memory):
                if waiting:
                    self.bypassed += 1
                if self._start(step):
                    begun.append(step)
                if not waiting:
                    self.bypassed = 0
            else:
                waiting.append(step)
                if self.bypassed >= _BYPASS or len(waiting) >= _BYPASS:
                    break
        self.queue.extendleft(reversed(waiting))
        if begun:
            self.journal.note(
                [(s.pid, s.key, s.attempt) for s in begun],
                lambda: [(s.pid, s.key, s.attempt) for s in self.running.values()],
            )

    def _start(self, step: Step) -> bool:
        """Begin a step; False if it ended at once."""
        try:
            if not self.spawner.make_place(step, self.root):
                self._found(step)
                return False
            mark_inputs(step, self.fingerprints)
            secret_files.write(step.spec)
            self.spawner.start(step)
        except OSError as error:
            secret_files.remove(step.spec)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            cause = "disk" if full else "exit" if error.errno in (errno.E2BIG, errno.ENOENT) else "lost"
            self._refuse(step, cause, f"could not be started: {error.strerror} ({error.filename or 'no file'})")
            return False
        self.free_cpus -= step.cpus
        self.free_memory -= step.memory
        self.running[step.pid] = step
        self.out.append([step.key, step.attempt])
        if step.spec.get("timeout"):
            self._after(step.spec["timeout"], lambda: self._end_step(step, "time", step.spec["timeout"]))
        if step.memory and not step.engine and not self.watching:
            self.watching = True
            self._after(_WATCH_S, self._watch)
        return True

    def _found(self, step: Step) -> None:
        """The place is there already: an earlier process had this attempt. Its end is told, it is never run twice."""
        kill_job(step.key, step.attempt)
        there = recovered(step.place)
        if there is None:
            self._refuse(step, "lost", "an earlier process had begun this attempt and did not end it")
            return
        self.known.pop((step.key, step.attempt), None)
        self.out.append([step.key, step.attempt, there[0].to_dict(), None])

    def _refuse(self, step: Step, cause: str, message: str) -> None:
        now = time.time()
        record = {"state": "failed", "cause": cause, "message": message, "started_at": now, "ended_at": now}
        self.known.pop((step.key, step.attempt), None)
        self.out.append([step.key, step.attempt, record, None])

    # -- ends --------------------------------------------------------------------------------------------------------

    def _stop(self, key: str, attempt: int) -> None:
        step = self.known.get((key, attempt))
        if step is None:
            return
        if step in self.queue:
            self.queue.remove(step)
            self.known.pop((key, attempt))
            self.out.append([key, attempt, {"state": "stopped", "message": "stopped before it began"}, None])
        else:
            self._end_step(step, "stopped")

    def _end_step(self, step: Step, reason: str, limit: float | None = None) -> None:
        """TERM now, KILL after the grace."""
        if step.pid not in self.running or step.reason:
            return
        step.reason, step.limit = reason, limit
        if step.engine:
            self._stop_container(step)
            self._after(self.grace_s + 10.0, lambda: self._kill(step, signal.SIGKILL))
            return
        self._kill(step, signal.SIGTERM)
        self._after(self.grace_s, lambda: self._kill(step, signal.SIGKILL))

    def _stop_container(self, step: Step) -> None:
        """Ask the engine to stop a container; again in a moment while it does not know it yet."""

        def again(code: int) -> None:
            if code and self.running.get(step.pid) is step:
                self._after(0.2, lambda: self._stop_container(step))

        if self.running.get(step.pid) is step and step.engine:
            self._helper(step.engine["stop"], again)

    def _kill(self, step: Step, number: int) -> None:
        if self.running.get(step.pid) is not step:
            return
        processes.send_group(step.pid, number)
        for pid in self.leftovers.members(step) - {step.pid}:
            processes.send(pid, number)
        if number == signal.SIGKILL and step.engine:
            self._helper(step.engine["remove"], lambda _: None)

    def _reap(self) -> None:
        """Take note of every child that has ended."""
        while True:
            try:
                info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if info is None:
                return
            pid = info.si_pid
            step = self.running.get(pid)
            if step is not None:
                # The zombie keeps its pid, so this group is surely the step's own.
                processes.send_group(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            if step is not None:
                step.ended = time.time()
                step.status = os.waitstatus_to_exitcode(status)
                step.usage = {
                    "cpu_s": round(usage.ru_utime + usage.ru_stime, 4),
                    "largest_process_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
                }
                del self.running[pid]
                # What belongs to a container (its monitor) is ended by the engine, in _inspect.
                if step.engine or self.leftovers.drain(step):
                    self._ended(step)
            elif pid in self.helpers:
                self.helpers.pop(pid)(os.waitstatus_to_exitcode(status))
            else:
                for drained in self.leftovers.gone(pid):
                    self._ended(drained)

    def _ended(self, step: Step) -> None:
        """All processes of a step are gone: its cores are free, and its outputs can be read."""
        secret_files.remove(step.spec)
        self.free_cpus += step.cpus
        self.free_memory += step.memory
        if step.status in (-signal.SIGKILL, 128 + signal.SIGKILL) and not step.reason:
            kills, self.oom_kills = self.oom_kills, machine.oom_kills()
            step.oom = self.oom_kills > kills
        if step.engine and "inspect" in step.engine:
            self._inspect(step)
        else:
            self.ended.append(step)

    def _inspect(self, step: Step) -> None:
        """Ask the container engine how a step ended, then let it go on."""
        from reana_lite.backends.engines import read_verdict

        engine = step.engine or {}
        answer = f"{step.place}/inspect"

        def judged(_: int) -> None:
            engine["verdict"] = read_verdict(step, answer)
            self._helper(engine["remove"], lambda _: self.leftovers.release(step))
            self.ended.append(step)

        self._helper(engine["inspect"], judged, answer)

    def _helper(self, argv: list[str], done: Callable[[int], None], output: str = "/dev/null") -> None:
        """Run a short command of a container engine; `done` gets its exit code."""
        try:
            self.helpers[self.spawner.helper(argv, output)] = done
        except OSError:
            done(127)

    def _settle(self, step: Step) -> None:
        try:
            self._report(step, *settle(step, self.roots, small=True))
        except places.TooBig:
            if self.threads < 2:
                self.threads += 1
                threading.Thread(target=self._hash, daemon=True).start()
            self.work.put(step)

    def _hash(self) -> None:
        """A thread: settle steps with large outputs."""
        while True:
            step = self.work.get()
            self.settled.put((step, *settle(step, self.roots, small=False)))
            self.wake_write.send(b"\0")

    def _report(self, step: Step, record: dict[str, Any], rows: list[list[Any]] | None) -> None:
        self.known.pop((step.key, step.attempt), None)
        self.fingerprints.update(step.fingerprints)
        if len(self.fingerprints) > 200_000:
            self.fingerprints.clear()
        self.out.append([step.key, step.attempt, record, rows])

    # -- memory ------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Look at the memory of all steps with a limit, and again in a while if there are any."""
        limited = [step for step in self.running.values() if step.memory and not step.engine]
        self.watching = bool(limited)
        if not limited:
            return
        for step in limited:
            if not step.reason and processes.memory_bytes(self.leftovers.members(step), step.memory) > step.memory:
                step.reason, step.limit = "memory", step.memory
                self._kill(step, signal.SIGKILL)
        self._after(_WATCH_S, self._watch)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _shutdown(self) -> None:
        """Kill every process below us; steps killed so have no exit record, their attempt is lost."""
        limit = time.monotonic() + 30.0
        for step in self.running.values():
            if step.engine:
                self._helper(step.engine["remove"], lambda _: None)
        for pid in self.running:
            processes.send_group(pid, signal.SIGKILL)
        while time.monotonic() < limit:
            for pid in [*self.running, *self.leftovers.children()]:
                processes.send_group(pid, signal.SIGKILL)
                processes.send(pid, signal.SIGKILL)
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                secret_files.remove_all(self.instance)
                self.journal.end()
                return
            self.helpers.pop(pid, None)
            self.running.pop(pid, None)
            if pid == 0:
                self.selector.select(0.05)
                with contextlib.suppress(BlockingIOError):
                    self.wake_read.recv(65536)


def main() -> None:
    """Read the greeting and serve until the worker is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    gc.set_threshold(50_000)  # nothing here is a cycle but what is kept anyway
    processes.become_subreaper()
    channel = socket.socket(fileno=0)
    received = b""
    while b"\n" not in received:
        chunk = channel.recv(1 << 20)
        if not chunk:
            return
        received += chunk
    line, rest = received.split(b"\n", 1)
    supervisor = Supervisor(channel, json.loads(line)["hello"])
    supervisor.run(rest)


if __name__ == "__main__":
    main()
