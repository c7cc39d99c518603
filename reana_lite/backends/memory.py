"""Jobs that only pretend to run: for tests and for measuring the engine alone.

Deterministic. What a task does is a function of it (`script`), or decided step by step by the test that owns the
backend (`manual=True`: begin, finish, fail, lose). Outputs are written to a folder storage if one is given, else the
reports carry manifests only. No process, no clock of its own.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from reana_lite.artifact import Artifact, Manifest, digest_bytes
from reana_lite.backends import places, settle
from reana_lite.backends.base import Report, Say, StandIn, Task
from reana_lite.backends.places import Places
from reana_lite.job import Cause, Environment, JobOutcome, JobSpec, JobState

Script = Callable[[Task], tuple[JobOutcome, Mapping[str, bytes]] | None]
"""What becomes of a task: its outcome (digest and size are filled in) and the files it writes, by relative path; None:
it goes on until it is stopped or the test ends it."""

FINISHED = JobOutcome(JobState.FINISHED, exit_code=0)


def succeed(task: Task) -> tuple[JobOutcome, Mapping[str, bytes]]:
    """The default script: every task finishes, with its key in the file `out`."""
    return FINISHED, {"out": task.key.encode()}


class MemoryBackend:
    """See the module and backends.base.Backend. `order` is what was submitted, in order; `limit` bounds `room`."""

    name = "memory"

    def __init__(
        self, storage: Places | None = None, *, script: Script = succeed, manual: bool = False, limit: int = 1000
    ) -> None:
        self.storage = storage
        self.script = script
        self.manual = manual
        self.limit = limit
        self.order: list[tuple[str, int]] = []
        self.tasks: dict[tuple[str, int], Task] = {}
        self.ended: dict[tuple[str, int], Report] = {}
        self.closed = False
        self._reports: deque[Report] = deque()
        self._changed = threading.Condition()
        self._woken = False

    def unusable(self) -> str:
        """Always usable."""
        return ""

    def prepare(self, environment: Environment, stand_ins: Mapping[str, StandIn], say: Say) -> str:
        """A digest that depends on the image alone."""
        return digest_bytes(environment.image.encode()) if environment.image else "process:memory"

    def missing(self, job: JobSpec) -> list[str]:
        """Nothing is missing from a pretence, except what is called "missing"."""
        return [name for name in job.resources.other if name == "missing"]

    def room(self) -> int:
        """Tasks until `limit` are in flight."""
        return max(0, self.limit - len(self.tasks))

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks; without `manual` each begins and ends at once, as the script says."""
        for task in tasks:
            place = (task.key, task.attempt)
            if place in self.tasks:
                continue
            if place in self.ended:
                self._put(self.ended[place])
                continue
            self.order.append(place)
            self.tasks[place] = task
            if not self.manual:
                self.begin(*place)
                end = self.script(task)
                if end is not None:
                    self.end(*place, *end)

    def begin(self, key: str, attempt: int) -> None:
        """The task has started."""
        self._put(Report(key, attempt))

    def end(self, key: str, attempt: int, outcome: JobOutcome = FINISHED, files: Mapping[str, bytes] = {}) -> None:
        """The task has ended so, having written these files."""
        task = self.tasks.pop((key, attempt))
        manifest = None
        if outcome.state is not JobState.STOPPED and outcome.cause is not Cause.LOST:
            files = {**self._there(task), **files}
            manifest = Manifest.of(Artifact(p, "file", len(b), digest_bytes(b)) for p, b in files.items())
            outcome = replace(outcome, digest=manifest.digest, size_bytes=manifest.size_bytes)
            self._write(task, outcome, files, manifest)
        self.ended[key, attempt] = report = Report(key, attempt, outcome, manifest)
        self._put(report)

    def finish(self, key: str, attempt: int, files: Mapping[str, bytes] = {}) -> None:
        """The task has succeeded."""
        self.end(key, attempt, FINISHED, files)

    def fail(self, key: str, attempt: int, cause: Cause = Cause.EXIT, message: str = "exit code 1") -> None:
        """The task has failed."""
        self.end(key, attempt, JobOutcome(JobState.FAILED, cause, 1 if cause is Cause.EXIT else None, message))

    def lose(self, key: str, attempt: int) -> None:
        """The platform has lost the task."""
        self.fail(key, attempt, Cause.LOST, "the platform lost it")

    def stop(self, key: str, attempt: int) -> None:
        """End it as stopped."""
        if (key, attempt) in self.tasks:
            self.end(key, attempt, JobOutcome(JobState.STOPPED, message="stopped on request"))

    def wait(self, timeout_s: float) -> list[Report]:
        """Reports since the last call; blocks until there is one, a wake, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._reports or self._woken, timeout_s)
            self._woken = False
            reports = list(self._reports)
            self._reports.clear()
            return reports

    def wake(self) -> None:
        """Makes a `wait` of another thread return."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def recover(self, attempts: Iterable[tuple[str, int]]) -> list[Report]:
        """What the storage tells of them; the rest is lost."""
        reports = []
        for key, attempt in attempts:
            there = settle.recovered(str(self.storage.place(key, attempt))) if self.storage else None
            lost = JobOutcome(JobState.FAILED, Cause.LOST, message="its worker ended before it did")
            reports.append(Report(key, attempt, *there) if there else Report(key, attempt, lost))
        return reports

    def close(self) -> None:
        """Nothing runs, so nothing is left behind."""
        self.closed = True
        self.tasks.clear()

    def _put(self, report: Report) -> None:
        with self._changed:
            self._reports.append(report)
            self._changed.notify_all()

    def _there(self, task: Task) -> dict[str, bytes]:
        """What other nodes have left in the task's own folder: plain files are enough for a pretence."""
        found = {}
        for tree in task.inputs:
            if tree.folder == task.job.folder and self.storage is not None:
                folder = self.storage.folder(tree.key, tree.attempt)
                found.update({str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
        return found

    def _write(self, task: Task, outcome: JobOutcome, files: Mapping[str, bytes], manifest: Manifest) -> None:
        if self.storage is None:
            return
        folder = self.storage.folder(task.key, task.attempt)
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        place = str(self.storage.place(task.key, task.attempt))
        (folder.parent / places.LOG).touch()
        places.write_outcome(place, outcome.to_dict())
        places.write_manifest(place, manifest.to_json())
