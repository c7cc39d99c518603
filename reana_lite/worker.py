"""ONE loop that drives MANY runs: backend reports -> engine -> commands; resumes after a crash.

A turn takes what the backend reports, lets the engines of the runs concerned decide, writes everything that this
decided in one transaction (events of the log, ends of jobs, beginnings of new ones), and only then tells the backend. So
at whatever instant the process dies, the log says what was decided, and doing it again is harmless. The command line
embeds this, a deployment runs it as a program; no rule of the language or of physics is here.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from reana_lite.backends.base import Backend, Report, Say, Task
from reana_lite.database import Database, Transaction
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.drive import Drive, NodeRow
from reana_lite.errors import Conflict, NotFound, ReanaLiteError
from reana_lite.event import JobFailed, JobStarted, RunState, StopRequested, SubmitJob
from reana_lite.harvest import harvest
from reana_lite.inputs import Inputs, bound
from reana_lite.job import Cause, Environment, EnvironmentKind, Input, JobOutcome, JobState, job_key
from reana_lite.storage.base import Storage

log = logging.getLogger(__name__)

LOST_LIMIT = 3
"""How often a job that the platform lost is begun again before its node counts as failed."""

LEASE_S = 20.0
"""How long a run stays this worker's without a sign of life (seconds): the longest wait for another one to take over."""

POLL_S = 0.5
"""How often requests of other processes (stop, new runs, their jobs' ends) are looked for in the database (seconds)."""


LINGER_ABOVE = 48
"""With more attempts under way than this, the backend has work in store and a turn may wait for more reports."""

LINGER_S = 0.03
"""How long such a turn waits (seconds): one transaction then serves many jobs."""


@dataclass(slots=True)
class Active:
    """An attempt that this worker has begun, or follows, and the nodes that wait for it; `first` is for whom it began."""

    attempt: int
    nodes: list[tuple[Drive, SubmitJob]]
    begun: bool
    tries: int = 1
    started: bool = False
    first: tuple[Drive, SubmitJob] | None = None


@dataclass(slots=True)
class Turn:
    """What one turn has to write and then to tell the backend."""

    started: list[tuple[str, int]] = field(default_factory=list)
    stops: list[tuple[str, int]] = field(default_factory=list)
    ended: list[tuple[str, int, JobOutcome]] = field(default_factory=list)
    spoiled: list[tuple[str, int]] = field(default_factory=list)
    begun: list[tuple[str, int, Drive, SubmitJob]] = field(default_factory=list)
    copies: list[tuple[Drive, Input]] = field(default_factory=list)


class Worker:
    """See the module. `say` takes lines for the user; `watch` is called with a Drive after each turn that changed it."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        *,
        backend: Backend,
        name: str = "",
        say: Say = log.info,
        watch: Callable[[Drive], None] = lambda drive: None,
        host: bool = False,
    ) -> None:
        self.database = database
        self.storage = storage
        self.backend = backend
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.say = say
        self.watch = watch
        self.host = host
        self.drives: dict[str, Drive] = {}
        self._adopted: dict[str, Drive] = {}
        self._active: dict[str, Active] = {}
        self._digests: dict[tuple[str, str], str] = {}
        self._preparing: dict[tuple[str, str], Future[str]] = {}
        self._builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copy")
        self._warned: set[tuple[str, str]] = set()
        self._polled_at = 0.0
        self._ended: list[Report] = []
        self._inputs = Inputs(database, storage)

    # -- the loop ------------------------------------------------------------------------------------------------

    def drive(
        self,
        runs: Collection[str] | None = None,
        *,
        campaign: str = "",
        at_once: int | None = None,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Drive the runs named, or those of a campaign, until all are over or `until` says so.

        With neither, all that are queued or abandoned, for ever. At most `at_once` runs are held at a time (None: all), so
        that memory stays bounded; another is taken up as soon as one is over.
        """
        wanted = set(runs) if runs is not None else None
        adopted_at = -POLL_S
        held = 0
        while not until():
            ended = at_once is not None and len(self.drives) < held
            if ended or time.monotonic() - adopted_at >= POLL_S:
                adopted_at = time.monotonic()
                self._adopt(wanted, campaign, at_once)
            held = len(self.drives)
            some = wanted is not None or campaign
            if some and not held and not self._begun() and not self.database.unfinished(wanted, campaign=campaign):
                return
            self.turn()

    def turn(self) -> None:
        """One turn of the loop: at most POLL_S of waiting."""
        reports = self._ended or self._wait()
        self._ended = []
        turn = Turn()
        changed, self._adopted = self._adopted, {}
        with self.database.transaction() as transaction:
            self._take_reports(reports, turn, changed)
            if self._is_due():
                self._poll(transaction, turn, changed)
            transaction.start_jobs(turn.started)
            transaction.finish_jobs(turn.ended)
            for key, attempt in turn.spoiled:
                transaction.spoil_job(key, attempt)
            self._admit(transaction, turn, changed)
            self._release(turn)
            turn.copies = self._inputs.to_copy(transaction, [(d, s, attempt) for _, attempt, d, s in turn.begun])
            self._inputs.write(transaction)
            self._write(transaction, turn, changed)
        self._copy(turn.copies)
        self.backend.submit([self._task(*begun) for begun in turn.begun])
        for key, attempt in turn.stops:
            self.backend.stop(key, attempt)
        for drive in changed.values():
            drive.written()
            if drive.finish is not None:
                del self.drives[drive.run]
                self._harvest(drive)
            self.watch(drive)

    def _copy(self, copies: Sequence[tuple[Drive, Input]]) -> None:
        """Copy inputs aside (see inputs.py), with a sign of life now and then: they may be large."""
        for drive, tree in copies:
            copying = self._copier.submit(self._inputs.copy, drive, tree)
            while not wait([copying], timeout=LEASE_S / 4).done:
                self.database.renew(self.name, lease_s=LEASE_S)
            copying.result()

    def _wait(self) -> list[Report]:
        """What the backend reports. While it has far more to do than it can do at once, a turn takes many reports."""
        reports = self.backend.wait(0.0 if self._adopted or self._can_begin() else POLL_S)
        if reports and len(self._active) > LINGER_ABOVE:
            until = time.monotonic() + LINGER_S
            while len(self._active) - len(reports) > LINGER_ABOVE and (left := until - time.monotonic()) > 0:
                reports.extend(self.backend.wait(left))
        return reports

    def _is_due(self) -> bool:
        return time.monotonic() - self._polled_at >= POLL_S

    def _can_begin(self) -> bool:
        """Whether there is something to begin right now: no waiting then."""
        if self._preparing or not any(drive.queue for drive in self.drives.values()):
            return any(future.done() for future in self._preparing.values())
        return self.backend.room() > 0

    def _harvest(self, drive: Drive) -> None:
        """What the run declares to give goes into the database; a result that cannot be read does not undo the run."""
        if drive.finish is not None and drive.finish.state is RunState.FINISHED:
            try:
                problems = harvest(drive, self.database.get_run(drive.run), self.database)
            except Exception as error:  # noqa: BLE001 - whatever an analysis wrote, the other runs go on
                problems = [f"its result could not be kept: {getattr(error, 'message', '') or error}"]
            for problem in problems:
                self.say(f"{drive.run}: {problem}")

    def close(self) -> None:
        """Stop what runs here and give up the runs, so that another worker may take them at once."""
        self.backend.close()
        self._builder.shutdown(wait=False, cancel_futures=True)
        self._copier.shutdown(wait=False, cancel_futures=True)
        self.database.release(self.name)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _adopt(self, wanted: set[str] | None, campaign: str, at_once: int | None) -> None:
        """Take up runs that are queued, or whose worker is gone."""
        if wanted is not None and not (wanted - self.drives.keys()):
            return
        limit = None if at_once is None else at_once - len(self.drives)
        claimed = []
        if limit is None or limit > 0:
            claimed = self.database.claim_runs(self.name, lease_s=LEASE_S, only=wanted, campaign=campaign, limit=limit)
        stale = self.database.stale_attempts(self.name, backend=self.backend.name)
        if stale:
            self._ended.extend(self.backend.recover(stale))
        for run, epoch in claimed:
            drive = Drive(run, epoch, self.storage, host=self.host)
            try:
                drive.replay(self.database.read_events(run))
            except ReanaLiteError as error:
                self.database.set_run_state(run, RunState.FAILED, error=error.message)
                self.say(f"{run}: {error.message}")
                continue
            self.drives[run] = drive
            self._adopted[run] = drive  # it may be over before anything runs

    def _poll(self, transaction: Transaction, turn: Turn, changed: dict[str, Drive]) -> None:
        """What other processes want or have done: stop requests, ends of jobs followed; and a sign of life of ours."""
        self._polled_at = time.monotonic()
        transaction.renew(self.name, lease_s=LEASE_S)
        for run, by in transaction.stop_requests(list(self.drives)):
            drive = self.drives[run]
            if drive.finish is None:
                drive.take(StopRequested(by))
                changed[run] = drive
        followed = [(key, active.attempt) for key, active in self._active.items() if not active.begun]
        for key, attempt, outcome in transaction.ended(followed):
            self._deliver(key, attempt, outcome, self._active.pop(key), turn, changed)
        for key, attempt in transaction.stale(followed):
            self._ended.extend(self.backend.recover([(key, attempt)]))

    # -- ends of jobs --------------------------------------------------------------------------------------------

    def _take_reports(self, reports: Sequence[Report], turn: Turn, changed: dict[str, Drive]) -> None:
        """Starts and ends; the start of what has ended as well by now is not worth an event."""
        over = {(report.key, report.attempt) for report in reports if report.outcome is not None}
        for report in reports:
            place = (report.key, report.attempt)
            active = self._active.get(report.key)
            mine = active is not None and active.attempt == report.attempt
            if report.outcome is None:
                if active is not None and mine and not active.started and place not in over:
                    active.started = True
                    turn.started.append(place)
                    for drive, submit in active.nodes:
                        drive.nodes[submit.node] = NodeRow(report.key, report.attempt, "running")
                        drive.take(JobStarted(submit.node, report.key, report.attempt))
                        changed[drive.run] = drive
                continue
            outcome = self._judged(report.key, report.attempt, report.outcome, active if mine else None)
            if active is not None and mine and active.nodes:
                outcome = self._with_environment(outcome, *active.nodes[0])
            turn.ended.append((report.key, report.attempt, outcome))
            if mine:
                self._deliver(report.key, report.attempt, outcome, self._active.pop(report.key), turn, changed)

    def _with_environment(self, outcome: JobOutcome, drive: Drive, submit: SubmitJob) -> JobOutcome:
        """The outcome with the software it ran in, for the provenance: the image itself, or what stood in for it."""
        environment = submit.job.environment
        if environment.kind is EnvironmentKind.PROCESS:
            return outcome
        digest = self._digests.get(self._environment_name(drive, environment), "")
        stood_in = self.backend.name == "local" and environment.image in drive.stand_ins
        used = f"{environment.image} by stand-in {digest}" if stood_in else f"{environment.image} {digest}".strip()
        return replace(outcome, details={**outcome.details, "environment": used})

    def _judged(self, key: str, attempt: int, outcome: JobOutcome, active: Active | None) -> JobOutcome:
        """The outcome, failed if a run that is strict misses an output; nobody reuses it then."""
        if active is None or outcome.state is not JobState.FINISHED:
            return outcome
        for drive, submit in active.nodes:
            missing = drive.missing_outputs(submit, key, attempt)
            if missing:
                names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
                text = f"it ended well but did not write what it is to publish: {names}"
                details = {**outcome.details, "missing_outputs": missing[:100]}
                return replace(
                    outcome, state=JobState.FAILED, cause=Cause.EXIT, message=text, details=details, reusable=False
                )
        return outcome

    def _deliver(
        self, key: str, attempt: int, outcome: JobOutcome, active: Active, turn: Turn, changed: dict[str, Drive]
    ) -> None:
        """Tell every node that waits for it how an attempt ended; a lost one goes back to the queue.

        So does a node of another run than the one whose inputs the job has changed: its own are to be changed.
        """
        lost = outcome.cause is Cause.LOST and active.tries < LOST_LIMIT
        again = lost or outcome.state is JobState.STOPPED  # stopped by another's withdrawal: these still want it
        if active.begun and active.first is not None:
            turn.spoiled += self._inputs.ended(*active.first, outcome)
        for drive, submit in active.nodes:
            changed[drive.run] = drive
            mine = active.begun and active.first is not None and drive is active.first[0]
            if again or (not mine and outcome.details.get("changed_inputs")):
                drive.queue.appendleft(submit)
                drive.waiting.pop(submit.node, None)
                if lost:
                    drive.lost[submit.node] = active.tries
            elif outcome.state is JobState.FINISHED or (outcome.details.get("missing_outputs") and not drive.strict):
                drive.finished_job(submit, key, attempt, digest=outcome.digest, reused_from="")
            else:
                drive.failed_job(submit, key, attempt, outcome=outcome)

    # -- beginnings of jobs --------------------------------------------------------------------------------------

    def _admit(self, transaction: Transaction, turn: Turn, changed: dict[str, Drive]) -> None:
        """Begin jobs, fairly between runs, as long as the backend has room; what is there already is reused."""
        room = self.backend.room()
        while room > 0:
            batch = self._next_jobs(room, changed)
            if not batch:
                return
            claims = transaction.claim_jobs([(key, drive.run) for key, drive, _ in batch], self.name, self.backend.name)
            for (key, drive, submit), claim in zip(batch, claims, strict=True):
                changed[drive.run] = drive
                whole = claim.outcome is not None and self._is_whole(key, claim.attempt, claim.outcome.digest)
                missing = drive.missing_outputs(submit, key, claim.attempt) if whole else []
                if claim.outcome is not None and whole and not missing:
                    reused_from = "" if claim.first_run == drive.run else claim.first_run
                    drive.finished_job(submit, key, claim.attempt, digest=claim.outcome.digest, reused_from=reused_from)
                    continue
                if claim.outcome is not None:
                    what = "lack what it is to publish" if missing else "are damaged"
                    self.say(f"kept outputs of {submit.node} {what}: computing them again")
                    transaction.forget_job(key, claim.attempt)
                    drive.queue.appendleft(submit)
                    continue
                tries = drive.lost.pop(submit.node, 0) + 1
                active = Active(claim.attempt, [(drive, submit)], claim.begun, tries, first=(drive, submit))
                self._active[key] = active
                drive.waiting[submit.node] = submit
                drive.nodes[submit.node] = NodeRow(key, claim.attempt, "queued")
                if claim.begun:
                    room -= 1
                    turn.begun.append((key, claim.attempt, drive, submit))

    def _next_jobs(self, room: int, changed: dict[str, Drive]) -> list[tuple[str, Drive, SubmitJob]]:
        """Up to `room` jobs that nobody here is executing, one run after the other; the rest of their nodes just wait."""
        batch: list[tuple[str, Drive, SubmitJob]] = []
        taken: set[str] = set()
        drives = [drive for drive in self.drives.values() if drive.queue and drive.finish is None]
        while drives and len(batch) < room:
            for drive in list(drives):
                submit = drive.queue.popleft() if drive.queue else None
                if submit is None:
                    drives.remove(drive)
                    continue
                digest = self._environment_digest(drive, submit, changed)
                if digest is None:
                    drives.remove(drive)
                    continue
                key = job_key(submit.job, digest, bound(drive, submit), drive.salt)
                if key in taken:
                    drive.queue.appendleft(submit)
                    drives.remove(drive)
                elif key in self._active:
                    self._join(key, drive, submit)
                    changed[drive.run] = drive
                else:
                    taken.add(key)
                    batch.append((key, drive, submit))
                if len(batch) >= room:
                    break
        return batch

    def _join(self, key: str, drive: Drive, submit: SubmitJob) -> None:
        active = self._active[key]
        active.nodes.append((drive, submit))
        drive.waiting[submit.node] = submit
        drive.nodes[submit.node] = NodeRow(key, active.attempt, "running" if active.started else "queued")

    def _task(self, key: str, attempt: int, drive: Drive, submit: SubmitJob) -> Task:
        environment = submit.job.environment
        digest = self._digests[self._environment_name(drive, environment)]
        label = f"{drive.run}{submit.node}"
        return Task(
            key, attempt, submit.job, bound(drive, submit), digest, drive.stand_ins, label=label,
            writable_inputs=drive.writable_inputs,
        )  # fmt: skip

    def _is_whole(self, key: str, attempt: int, digest: str) -> bool:
        """Kept outputs are still there as recorded (their bytes are checked by `recast cache verify`)."""
        manifest = self.storage.manifest(key, attempt)
        return manifest is not None and manifest.digest == digest

    # -- environments --------------------------------------------------------------------------------------------

    @staticmethod
    def _environment_name(drive: Drive, environment: Environment) -> tuple[str, str]:
        stand_in = drive.stand_ins.get(environment.image)
        return environment.image, stand_in.lock if stand_in else ""

    def _environment_digest(self, drive: Drive, submit: SubmitJob, changed: dict[str, Drive]) -> str | None:
        """Digest of a job's environment; None while it is being made ready, or if that failed (the node has failed then)."""
        environment = submit.job.environment
        name = self._environment_name(drive, environment)
        if name in self._digests:
            self._warn(drive, submit)
            return self._digests[name]
        future = self._preparing.get(name)
        if future is None:
            bare = Environment(environment.kind, environment.image)
            future = self._builder.submit(self.backend.prepare, bare, drive.stand_ins, self.say)
            future.add_done_callback(lambda _: self.backend.wake())
            self._preparing[name] = future
            if environment.kind is EnvironmentKind.PROCESS:
                future.exception()  # plain processes need nothing: it is there at once
        if not future.done():
            drive.queue.appendleft(submit)
            return None
        del self._preparing[name]
        error = future.exception()
        if error is None:
            self._digests[name] = future.result()
            return self._environment_digest(drive, submit, changed)
        if not isinstance(error, Exception):
            raise error
        message = f"its environment could not be made ready: {str(error) or type(error).__name__}"
        drive.queue.appendleft(submit)
        self._fail_all(name, error.message if isinstance(error, ReanaLiteError) else message, changed)
        return None

    def _fail_all(self, name: tuple[str, str], message: str, changed: dict[str, Drive]) -> None:
        """Fail all nodes that wait for an environment that cannot be had: each would wait as long to learn the same."""
        for drive in self.drives.values():
            waiting = [s for s in drive.queue if self._environment_name(drive, s.job.environment) == name]
            if not waiting:
                continue
            gone = {submit.node for submit in waiting}
            drive.queue = type(drive.queue)(s for s in drive.queue if s.node not in gone)
            changed[drive.run] = drive
            for submit in waiting:
                drive.nodes[submit.node] = NodeRow("", 0, "failed")
                drive.take(JobFailed(submit.node, "", 0, str(Cause.IMAGE), message))

    def _warn(self, drive: Drive, submit: SubmitJob) -> None:
        """Say once per run what a step asks for and this backend does not offer."""
        if not submit.job.resources.other and not submit.job.environment.variables:
            return
        for phrase in self.backend.missing(submit.job):
            if (drive.run, phrase) not in self._warned:
                self._warned.add((drive.run, phrase))
                self.say(f"{drive.run}: {phrase}")

    # -- ends of runs --------------------------------------------------------------------------------------------

    def _release(self, turn: Turn) -> None:
        """Withdraw the interest of nodes in their jobs; the last one out stops the job."""
        for drive in self.drives.values():
            if not drive.released:
                continue
            gone, drive.released = set(drive.released), []
            drive.queue = type(drive.queue)(s for s in drive.queue if s.node not in gone)
            for key, active in list(self._active.items()):
                kept = [(d, s) for d, s in active.nodes if d is not drive or s.node not in gone]
                if len(kept) < len(active.nodes):
                    active.nodes = kept
                    if not kept:
                        if active.begun:
                            turn.stops.append((key, active.attempt))
                        else:
                            del self._active[key]

    def _begun(self) -> bool:
        return any(active.begun for active in self._active.values())

    def _write(self, transaction: Transaction, turn: Turn, changed: dict[str, Drive]) -> None:
        """What became of the runs in this turn."""
        for run, drive in list(changed.items()):
            try:
                transaction.append_events(run, drive.epoch, drive.seq, drive.fresh)
            except (Conflict, NotFound):
                self.say(f"{run}: another worker has taken this run over, or stopped it")
                del changed[run]
                self.drives.pop(run, None)
                self._give_up(transaction, turn, drive)
                continue
            transaction.set_nodes(run, drive.nodes)
            transaction.set_progress(run, drive.engine.progress())
            if drive.finish is not None:
                transaction.set_run_state(run, drive.finish.state, error=drive.finish.error)

    def _give_up(self, transaction: Transaction, turn: Turn, lost: Drive) -> None:
        """Nothing is begun for a run that is ours no more. What runs goes on, for its new worker to follow, unless the
        run is over."""
        taken_back = {key: attempt for key, attempt, drive, _ in turn.begun if drive is lost}
        turn.begun = [begun for begun in turn.begun if begun[2] is not lost]
        turn.copies = [copy for copy in turn.copies if copy[0] is not lost]
        outcome = JobOutcome(JobState.STOPPED, message="its run was taken over before it began")
        transaction.finish_jobs([(key, attempt, outcome) for key, attempt in taken_back.items()])
        over = self._is_over(lost.run)
        for key, active in list(self._active.items()):
            active.nodes = [(drive, submit) for drive, submit in active.nodes if drive is not lost]
            if key in taken_back:
                for drive, submit in active.nodes:
                    drive.waiting.pop(submit.node, None)
                    drive.queue.appendleft(submit)
            elif active.begun and not active.nodes and over:
                turn.stops.append((key, active.attempt))
            if key in taken_back or not (active.begun or active.nodes):
                del self._active[key]

    def _is_over(self, run: str) -> bool:
        try:
            return self.database.get_run(run).state in TERMINAL_RUN
        except NotFound:
            return True
