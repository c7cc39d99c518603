"""What the backend is to be told, and when: at once, when copies of inputs are made, or when it answers again.

What it has been told is in the log already, so telling it twice is harmless. Only the loop calls this.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from reana_lite.backends.base import Backend, Report, Task
from reana_lite.drive import Drive
from reana_lite.errors import ReanaLiteError, Unavailable
from reana_lite.event import SubmitJob
from reana_lite.inputs import Inputs, bound
from reana_lite.job import Cause, Input, JobOutcome, JobState
from reana_lite.retry import INPUTS_AWAY
from reana_lite.worker.environments import Environments
from reana_lite.worker.turn import Hands, Place, Turn


class Outbox:
    """See the module."""

    def __init__(self, backend: Backend, hands: Hands, *, environments: Environments, inputs: Inputs) -> None:
        self.backend = backend
        self.hands = hands
        self.environments = environments
        self.inputs = inputs
        self._unsent: dict[Place, Task] = {}
        self._unstopped: list[Place] = []
        self._unrecovered: list[Place] = []
        self._copying: dict[Place, tuple[list[Future[Input | None]], Drive, SubmitJob]] = {}
        self._copies: dict[tuple[str, Place], tuple[Future[Input | None], Input]] = {}
        self._own: dict[str, list[tuple[Input, Input]]] = {}  # by run: (input, its copy); the log tells of some of them
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copy")

    @property
    def waiting(self) -> int:
        """Jobs that have begun, as the log says, and that the backend has not been told of."""
        return len(self._copying) + len(self._unsent)

    @property
    def copied(self) -> bool:
        """Whether a copy has been made that nobody has taken."""
        return any(future.done() for future, _ in self._copies.values())

    def take(self, turn: Turn) -> None:
        """What a turn has decided: jobs begin, those whose inputs are to be copied aside first when that is done."""
        for drive, tree in turn.copies:
            name = drive.run, (tree.key, tree.attempt)
            if name not in self._copies:
                future = self._copier.submit(self.inputs.copy, drive.run, tree)
                future.add_done_callback(lambda _: self.backend.wake())
                self._copies[name] = future, tree
        for key, attempt, drive, submit in turn.begun:
            self.hands.held.add((key, attempt))
            trees = [(drive.run, (tree.key, tree.attempt)) for tree in submit.inputs] if self._copies else []
            futures = [self._copies[name][0] for name in trees if name in self._copies]
            if futures:
                self._copying[key, attempt] = futures, drive, submit
            else:
                self._unsent[key, attempt] = self._task(key, attempt, drive, submit)
        self._unstopped += turn.stops
        self._unrecovered += turn.stale

    def send(self) -> None:
        """Tell the backend what it has not been told yet; if it does not answer, it is told again."""
        if self._unsent:
            self.backend.submit(list(self._unsent.values()))
            self._unsent.clear()
        while self._unstopped:
            self._stop(self._unstopped[0])
            self._unstopped.pop(0)

    def _stop(self, place: Place) -> None:
        """End an attempt, also one that the backend has not heard of."""
        if self._copying.pop(place, None) or self._unsent.pop(place, None):
            outcome = JobOutcome(JobState.STOPPED, message="it was stopped before it began")
            self.hands.reports.append(Report(place[0], place[1], outcome))
        else:
            self.backend.stop(*place)

    def take_copies(self, turn: Turn) -> None:
        """Bind the inputs that have been copied, and begin the jobs that waited for them; what failed, ends its job."""
        for run in self._own.keys() - self.hands.drives.keys() - self.hands.aside.keys():
            del self._own[run]
        if not self._copying and not self._copies:
            return
        for name, (copied, tree) in list(self._copies.items()):
            if copied.done():
                if copied.exception() is None and (own := copied.result()) is not None:
                    self._own.setdefault(name[0], []).append((tree, own))
                    if (mine := self.hands.drives.get(name[0])) is not None:
                        mine.rebind(tree, own)
                del self._copies[name]
        for place, (futures, drive, submit) in list(self._copying.items()):
            errors = [error for future in futures if future.done() and (error := future.exception()) is not None]
            if errors:
                turn.reports.append(Report(place[0], place[1], _not_copied(errors[0])))
                del self._copying[place]
            elif all(future.done() for future in futures):
                del self._copying[place]
                # after a turn that was undone the run is another Drive
                self._unsent[place] = self._task(*place, self.hands.drives.get(drive.run, drive), submit)

    def bind_again(self, drive: Drive) -> None:
        """A run that was read from its log anew has its own copies, also those of which the log does not tell yet."""
        for tree, own in self._own.get(drive.run, ()):
            known = drive.bound.get((tree.folder, tree.key, tree.attempt))
            if known is None or (known.key, known.attempt) != (own.key, own.attempt):
                drive.rebind(tree, own)

    def recover(self, attempts: Sequence[Place] = ()) -> None:
        """Ask what became of attempts that are this worker's now; those that still execute are its backend's from now on.

        If the backend does not answer, they are asked about again by the next call.
        """
        if not attempts and not self._unrecovered:
            return
        self._unrecovered = [*self._unrecovered, *(place for place in attempts if place not in self._unrecovered)]
        reports = self.backend.recover(list(dict.fromkeys(self._unrecovered)))
        self._unrecovered = []
        for report in reports:
            if report.outcome is None:
                self.hands.held.add((report.key, report.attempt))
                active = self.hands.active.get(report.key)
                if active is not None and active.attempt == report.attempt:
                    active.begun = True
        self.hands.reports.extend(reports)

    def close(self) -> None:
        """Copy nothing more."""
        self._copier.shutdown(wait=False, cancel_futures=True)

    def _task(self, key: str, attempt: int, drive: Drive, submit: SubmitJob) -> Task:
        job = submit.job
        active = self.hands.active.get(key)
        begun_with = active.digest if active is not None else ""  # the tag of an image may mean another one by now
        digest = begun_with or self.environments.known(drive, job.environment)
        if active is not None and active.memory_bytes != job.resources.memory_bytes and active.memory_bytes:
            job = replace(job, resources=replace(job.resources, memory_bytes=active.memory_bytes))
        return Task(
            key, attempt, job, bound(drive, submit), digest, drive.stand_ins,
            label=f"{drive.run}{submit.node}", writable_inputs=drive.writable_inputs, secrets=drive.secrets,
        )  # fmt: skip


def _not_copied(error: BaseException) -> JobOutcome:
    """How a job ends whose inputs could not be copied: its own fault it is not, but a full disk is not tried again."""
    full = isinstance(error, OSError) and error.errno == 28
    said = error.message if isinstance(error, ReanaLiteError) else getattr(error, "strerror", "") or str(error)
    cause, details = (Cause.DISK, {}) if full else (Cause.LOST, {})
    if isinstance(error, Unavailable):
        details = {"reason": INPUTS_AWAY}
    return JobOutcome(JobState.FAILED, cause, message=f"its inputs could not be copied: {said}", details=details)
