"""ONE loop that drives MANY runs: backend reports -> engine -> commands; resumes after a crash.

A turn takes what the backend reports, lets the engines of the runs concerned decide, writes everything that this
decided in one transaction (events of the log, ends of jobs, beginnings of new ones), and only then tells the backend. So
at whatever instant the process dies, the log says what was decided, and doing it again is harmless. Should the database
or the storage not answer, the turn is undone by reading the log again, and its reports are kept. The command line
embeds this, program.py runs it for ever; no rule of the language or of physics is here.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from reana_lite.backends.base import Backend, Report, Say, Task
from reana_lite.database import Database, Transaction
from reana_lite.database.bell import Listener
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.database.secrets import of_run
from reana_lite.drive import Drive, NodeRow
from reana_lite.errors import Conflict, NotFound, ReanaLiteError, Unavailable
from reana_lite.event import JobFailed, JobStarted, RunState, StopRequested, SubmitJob
from reana_lite.harvest import harvest
from reana_lite.inputs import Inputs, bound
from reana_lite.job import Cause, Input, JobOutcome, JobState, job_key
from reana_lite.retry import Retry, memory
from reana_lite.storage.base import Storage
from reana_lite.worker import ends
from reana_lite.worker.admission import Line, why_waiting
from reana_lite.worker.environments import Environments, Refused
from reana_lite.worker.telemetry import Counters
from reana_lite.worker.turn import LEASE_S, LINGER_ABOVE, LINGER_S, POLL_S, Active, Place, Turn

log = logging.getLogger(__name__)


class Worker:
    """See the module. `say` takes lines for the user; `watch` is called with a Drive after each turn that changed it.

    `per_user` and `jobs_at_most` bound the jobs under way of an owner and of this backend over all workers of the database
    (0: only by the backend's room). `memory_limit_bytes`: up to which memory a job that ran out of it is tried again.
    """

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
        per_user: int = 0,
        jobs_at_most: int = 0,
        memory_limit_bytes: int = 0,
    ) -> None:
        self.database = database
        self.storage = storage
        self.backend = backend
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.say = say
        self.watch = watch
        self.host = host
        self.per_user = per_user
        self.jobs_at_most = jobs_at_most
        self.memory_limit_bytes = memory_limit_bytes
        self.drives: dict[str, Drive] = {}
        self.counters = Counters()
        self.environments = Environments(backend, say)
        self._adopted: dict[str, Drive] = {}
        self._active: dict[str, Active] = {}
        self._held: set[Place] = set()  # what this backend has
        self._unsent: dict[Place, Task] = {}
        self._unstopped: list[Place] = []
        self._unrecovered: list[Place] = []
        self._copying: dict[Place, tuple[list[Future[Input | None]], Drive, SubmitJob]] = {}
        self._copies: dict[tuple[str, Place], tuple[Future[Input | None], Drive, Input]] = {}
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copy")
        self._warned: set[tuple[str, str]] = set()
        self._polled_at = 0.0
        self._rung = False
        self._listener: Listener | None = None
        self._ended: list[Report] = []
        self._inputs = Inputs(database, storage)
        self._under_way: dict[str, int] = {}
        self._undone = False
        self._doing = ""
        self._give_nothing = False

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
        that memory stays bounded; another is taken up as soon as one is over. Raises Unavailable if database, storage or
        backend do not answer; nothing is lost by that, and it may be called again.
        """
        wanted = set(runs) if runs is not None else None
        adopted_at = -POLL_S
        held = 0
        if self._listener is None:
            self._listener = self.database.listen(self._hear)
        while not until():
            if self._rung:  # somebody has queued or stopped something: all is looked at now
                self._rung = False
                adopted_at = -POLL_S
                self._polled_at = -POLL_S
            if self._undone:
                self._take_up_again()
            if self._unrecovered:
                self._recover(())
            ended = at_once is not None and len(self.drives) < held
            if ended or time.monotonic() - adopted_at >= POLL_S:
                adopted_at = time.monotonic()
                self._adopt(wanted, campaign, at_once)
            held = len(self.drives)
            some = wanted is not None or campaign
            if some and not held and not self._begun() and not self.database.unfinished(wanted, campaign=campaign):
                return
            self.turn()

    def _hear(self) -> None:
        self._rung = True
        self.backend.wake()

    def turn(self, *, begin: bool = True) -> None:
        """One turn of the loop: at most POLL_S of waiting. Without `begin` it takes what has happened, and begins nothing."""
        reports = self._ended or self._wait(0.0 if not begin else None)
        self._ended = []
        turn = Turn(reports)
        begun_at = time.monotonic()
        turn.changed, self._adopted = self._adopted, {}
        try:
            with self.database.transaction() as transaction:
                self._take_copies(turn)
                self._take_reports(transaction, turn)
                if self._is_due():
                    self._poll(transaction, turn)
                transaction.start_jobs(turn.started)
                transaction.finish_jobs(turn.ended)
                for key, attempt in turn.spoiled:
                    transaction.spoil_job(key, attempt)
                if begin:
                    self._admit(transaction, turn)
                self._release(turn)
                turn.copies = self._inputs.to_copy(transaction, [(d, s, attempt) for _, attempt, d, s in turn.begun])
                self._inputs.write(transaction)
                self._write(transaction, turn)
        except BaseException:
            # what was decided is not in the log: it is decided again, from the log and with the same reports
            self._ended = [*turn.reports, *self._ended]
            self._undone = True
            raise
        self._after(turn)
        self.counters.turn_s(time.monotonic() - begun_at)

    def _after(self, turn: Turn) -> None:
        """It is in the log now: tell the backend, and those who watch."""
        for drive in turn.changed.values():
            drive.written()
            if drive.finish is not None:
                self.drives.pop(drive.run, None)
        for line in turn.said:
            self.say(line)
        self.counters.ended(turn.ended)
        for key, attempt, _ in turn.ended:
            self._held.discard((key, attempt))
        self._begin(turn)
        self._unstopped += turn.stops
        self._send()
        for drive in turn.changed.values():
            if drive.finish is not None:
                self._harvest(drive)
            self.watch(drive)

    def _begin(self, turn: Turn) -> None:
        """Hand jobs to the backend; those whose inputs are to be copied aside first, when that is done."""
        for drive, tree in turn.copies:
            name = drive.run, (tree.key, tree.attempt)
            if name not in self._copies:
                future = self._copier.submit(self._inputs.copy, drive.run, tree)
                future.add_done_callback(lambda _: self.backend.wake())
                self._copies[name] = future, drive, tree
        for key, attempt, drive, submit in turn.begun:
            self._held.add((key, attempt))
            trees = [(drive.run, (tree.key, tree.attempt)) for tree in submit.inputs] if self._copies else []
            futures = [self._copies[name][0] for name in trees if name in self._copies]
            if futures:
                self._copying[key, attempt] = futures, drive, submit
            else:
                self._unsent[key, attempt] = self._task(key, attempt, drive, submit)
        self.counters.launched += len(turn.begun)

    def _send(self) -> None:
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
            self._ended.append(Report(place[0], place[1], outcome))
        else:
            self.backend.stop(*place)

    def _take_copies(self, turn: Turn) -> None:
        """Bind the inputs that have been copied, and begin the jobs that waited for them; what failed, ends its job."""
        if not self._copying and not self._copies:
            return
        for name, (copied, drive, tree) in list(self._copies.items()):
            if copied.done():
                if copied.exception() is None and (own := copied.result()) is not None:
                    drive.rebind(tree, own)
                del self._copies[name]
        for place, (futures, drive, submit) in list(self._copying.items()):
            errors = [error for future in futures if future.done() and (error := future.exception()) is not None]
            if errors:
                turn.reports.append(Report(place[0], place[1], _not_copied(errors[0])))
                del self._copying[place]
            elif all(future.done() for future in futures):
                del self._copying[place]
                self._unsent[place] = self._task(*place, drive, submit)

    def _wait(self, timeout_s: float | None = None) -> list[Report]:
        """What the backend reports. While it has far more to do than it can do at once, a turn takes many reports."""
        self._send()
        if timeout_s is None:
            timeout_s = 0.0 if self._adopted or self._polled_at < 0 or self._can_begin() else POLL_S
        reports = self.backend.wait(timeout_s)
        if reports and len(self._active) > LINGER_ABOVE:
            until = time.monotonic() + LINGER_S
            while len(self._active) - len(reports) > LINGER_ABOVE and (left := until - time.monotonic()) > 0:
                reports.extend(self.backend.wait(left))
        return reports

    def _is_due(self) -> bool:
        return time.monotonic() - self._polled_at >= POLL_S

    def _can_begin(self) -> bool:
        """Whether there is something to begin right now: no waiting then."""
        if any(future.done() for future, _, _ in self._copies.values()):
            return True
        if self.environments.busy or not any(drive.queue for drive in self.drives.values()):
            return self.environments.ready
        return not self._give_nothing and self.backend.room() > 0

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
        """Stop what runs in this process and give up the runs, so that another worker may take them at once."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.backend.close()
        self.environments.close()
        self._copier.shutdown(wait=False, cancel_futures=True)
        self.database.release(self.name)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _adopt(self, wanted: set[str] | None, campaign: str, at_once: int | None) -> None:
        """Take up runs that are queued, or whose worker is gone."""
        if wanted is not None and not (wanted - self.drives.keys()):
            return
        limit = None if at_once is None else max(0, at_once - len(self.drives))
        claimed = []
        if limit != 0 or (wanted is None and not campaign):
            claimed = self.database.claim_runs(self.name, lease_s=LEASE_S, only=wanted, campaign=campaign, limit=limit)
        stale = self.database.stale_attempts(self.name, backend=self.backend.name)
        if stale:
            self._recover(stale)
        if claimed:
            self._take_up(claimed)

    def _take_up(self, claimed: Sequence[tuple[str, int]]) -> None:
        """Bring runs to where their logs left them; one that cannot be has failed."""
        with self.database._peek() as peek:
            standing = peek.standing([run for run, _ in claimed])
        for run, epoch in claimed:
            owner, priority = standing.get(run, ("", 0))
            drive = Drive(run, epoch, self.storage, host=self.host, owner=owner, priority=priority)
            try:
                drive.replay(self.database.read_events(run))
                if drive.secret_names != ():
                    drive.secrets = of_run(self.database, owner, drive.secret_names)
            except Unavailable:
                raise
            except Exception as error:
                known = isinstance(error, ReanaLiteError)
                if not known:
                    log.error("%s: it cannot be taken up", run, exc_info=error)
                said = error.message if isinstance(error, ReanaLiteError) else f"{type(error).__name__}: {error}"
                said = said if known else f"the run could not be taken up: {said}"
                self.database.set_run_state(run, RunState.FAILED, error=said)
                self.say(f"{run}: {said}")
                continue
            self.drives[run] = drive
            self._adopted[run] = drive  # it may be over before anything runs
            if epoch > 1:
                self._follow(drive)

    def _follow(self, drive: Drive) -> None:
        """Nodes of a run taken up whose attempts the log names: they are followed, not begun anew."""
        rows = {row.node: row for row in self.database.nodes_of(drive.run) if row.state in ("queued", "running")}
        for submit in list(drive.queue):
            row = rows.get(submit.node)
            if row is None or not row.attempt:
                continue
            active = self._active.get(row.key)
            if active is not None and active.attempt != row.attempt:
                continue
            drive.queue.remove(submit)
            drive.waiting[submit.node] = submit
            if active is None:
                place = row.key, row.attempt
                self._active[row.key] = Active(
                    row.attempt, [(drive, submit)], place in self._held, row.state == "running", (drive, submit)
                )
            else:
                active.nodes.append((drive, submit))

    def _recover(self, attempts: Sequence[Place]) -> None:
        """Ask what became of attempts that are this worker's now; those that still execute are its backend's from now on."""
        self._unrecovered = [*self._unrecovered, *(place for place in attempts if place not in self._unrecovered)]
        reports = self.backend.recover(self._unrecovered)
        self._unrecovered = []
        for report in reports:
            if report.outcome is None:
                self._held.add((report.key, report.attempt))
                active = self._active.get(report.key)
                if active is not None and active.attempt == report.attempt:
                    active.begun = True
        self._ended.extend(reports)

    def _take_up_again(self) -> None:
        """After a turn that could not be written: everything as the database has it."""
        runs = [(run, drive.epoch) for run, drive in self.drives.items()]
        self.drives, self._adopted, self._active = {}, {}, {}
        try:
            with self.database._peek() as peek:
                over = {run for run, _ in runs if peek._state(run) in TERMINAL_RUN}
            self._take_up([(run, epoch) for run, epoch in runs if run not in over])
            for run, epoch in runs:
                if run in self.drives and epoch == 1:
                    self._follow(self.drives[run])
            mine = {(job.key, job.attempt) for job in self.database.running_jobs_of(self.name)}
            ended = {(report.key, report.attempt) for report in self._ended}
            unknown = sorted(mine - self._held - ended)
            if unknown:
                self._recover(unknown)
        except BaseException:
            for run, epoch in runs:
                self.drives.setdefault(run, Drive(run, epoch, self.storage))
            raise
        self._undone = False

    def _poll(self, transaction: Transaction, turn: Turn) -> None:
        """What other processes want or have done: stop requests, ends of jobs followed; and a sign of life of ours."""
        self._polled_at = time.monotonic()
        transaction.renew(self.name, lease_s=LEASE_S)
        for run, by in transaction.stop_requests(list(self.drives)):
            drive = self.drives[run]
            if drive.finish is None:
                drive.take(StopRequested(by))
                turn.changed[run] = drive
        followed = [(key, active.attempt) for key, active in self._active.items() if not active.begun]
        self._deliver_all(transaction, turn, transaction.ended(followed))
        stale = transaction.stale(followed)
        if stale:
            self._recover(stale)
        over = {(key, attempt) for key, attempt, _ in turn.ended}
        orphans = [place for place in self._held - over if place[0] not in self._active]
        if orphans:
            turn.stops += transaction.unwanted(orphans)
        self._say_doing(transaction)

    def _say_doing(self, transaction: Transaction) -> None:
        """What this worker is doing, for those who ask why something waits; at most a hundred runs of it."""
        room = 0 if self._give_nothing else self.backend.room()
        waiting: dict[str, str] = {}
        queued = 0
        for drive in self.drives.values():
            queued += len(drive.queue) + len(drive.later)
            if len(waiting) < 100 and (drive.queue or drive.later):
                waiting[drive.run] = why_waiting(
                    drive, preparing=self.environments.busy, room=room,
                    of_owner=self._under_way.get(drive.owner, 0), limit=self.per_user,
                )  # fmt: skip
        counters = self.counters
        counters.queued, counters.running, counters.runs = queued, len(self._held), len(self.drives)
        doing = json.dumps(
            {"backend": self.backend.name, "runs": len(self.drives), "jobs": len(self._held), "waiting": waiting}
        )
        if doing != self._doing:
            self._doing = doing
            transaction.note_doing(self.name, doing)

    # -- ends of jobs --------------------------------------------------------------------------------------------

    def _take_reports(self, transaction: Transaction, turn: Turn) -> None:
        """Starts and ends; the start of what has ended as well by now is not worth an event."""
        over = {(report.key, report.attempt) for report in turn.reports if report.outcome is not None}
        ended: list[tuple[str, int, JobOutcome]] = []
        for report in turn.reports:
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
                        turn.changed[drive.run] = drive
                continue
            outcome = report.outcome
            if active is not None and mine:
                outcome = ends.judged(outcome, report.key, active=active)
                outcome = ends.with_environment(outcome, active, environments=self.environments)
            ended.append((report.key, report.attempt, outcome))
        turn.ended += self._deliver_all(transaction, turn, ended)

    def _deliver_all(
        self, transaction: Transaction, turn: Turn, ended: Sequence[tuple[str, int, JobOutcome]]
    ) -> list[tuple[str, int, JobOutcome]]:
        """Tell every node that waits for one of these attempts how it ended; gives the outcomes with their reasons."""
        if not ended:
            return []
        given: dict[Place, int] = {}
        for key, attempt, outcome in ended:
            active = self._active.get(key)
            if outcome.cause is Cause.MEMORY and active is not None and active.attempt == attempt and active.nodes:
                had = active.memory_bytes or active.nodes[0][1].job.resources.memory_bytes
                if had:
                    given[key, attempt] = had
        told = ends.with_reasons(transaction, ended, given=given)
        for key, attempt, outcome, tries in told:
            active = self._active.get(key)
            if active is not None and active.attempt == attempt:
                again = ends.decide(outcome, tries, memory_limit_bytes=self.memory_limit_bytes)
                self._deliver(key, self._active.pop(key), turn, outcome=outcome, again=again)
        return [(key, attempt, outcome) for key, attempt, outcome, _ in told]

    def _deliver(self, key: str, active: Active, turn: Turn, *, outcome: JobOutcome, again: Retry | None) -> None:
        """Tell every node that waits for it how an attempt ended; what is tried again goes back to the queue.

        So does a node of another run than the one whose inputs the job has changed: its own are to be changed.
        """
        attempt = active.attempt
        if active.begun and active.first is not None:
            turn.spoiled += self._inputs.ended(*active.first, outcome)
        for drive, submit in active.nodes:
            turn.changed[drive.run] = drive
            mine = active.begun and active.first is not None and drive is active.first[0]
            if again is not None and again.words:
                turn.said.append(ends.sentence(drive, submit, attempt, again=again, outcome=outcome))
                self.counters.retried += 1
            if again is not None or (not mine and outcome.details.get("changed_inputs")):
                drive.waiting.pop(submit.node, None)
                if again is not None and again.after_s:
                    drive.later.append((time.monotonic() + again.after_s, submit))
                    drive.nodes[submit.node] = NodeRow("", 0, "queued")
                else:
                    drive.queue.appendleft(submit)
            elif outcome.state is JobState.FINISHED or (outcome.details.get("missing_outputs") and not drive.strict):
                drive.finished_job(submit, key, attempt, digest=outcome.digest, reused_from="")
            else:
                drive.failed_job(submit, key, attempt, outcome=outcome)

    # -- beginnings of jobs --------------------------------------------------------------------------------------

    def _admit(self, transaction: Transaction, turn: Turn) -> None:
        """Begin jobs, fairly between owners and runs, as long as there is room; what is there already is reused."""
        now = time.monotonic()
        for drive in self.drives.values():
            if drive.later:
                drive.due(now)
        drives = [drive for drive in self.drives.values() if drive.queue and drive.finish is None]
        if not drives:
            return
        room = self._room(transaction, drives)
        while room > 0:
            batch = self._next_jobs(room, turn)
            if not batch:
                return
            claims = transaction.claim_jobs([(key, drive.run) for key, drive, _ in batch], self.name, self.backend.name)
            anew = [(claim.key, claim.attempt) for claim in claims if claim.begun and claim.attempt > 1]
            tries = transaction.tries([(key, attempt - 1) for key, attempt in anew]) if anew else {}
            for (key, drive, submit), claim in zip(batch, claims, strict=True):
                turn.changed[drive.run] = drive
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
                held = claim.begun or (key, claim.attempt) in self._held
                active = Active(claim.attempt, [(drive, submit)], held, first=(drive, submit))
                if (key, claim.attempt - 1) in tries:
                    active.memory_bytes = memory(
                        tries[key, claim.attempt - 1],
                        submit.job.resources.memory_bytes,
                        memory_limit_bytes=self.memory_limit_bytes,
                    )
                self._active[key] = active
                drive.waiting[submit.node] = submit
                drive.nodes[submit.node] = NodeRow(key, claim.attempt, "queued")
                if claim.begun:
                    room -= 1
                    self._under_way[drive.owner] = self._under_way.get(drive.owner, 0) + 1
                    turn.begun.append((key, claim.attempt, drive, submit))

    def _room(self, transaction: Transaction, drives: Sequence[Drive]) -> int:
        """How many jobs may be begun now; and who has how many under way, where that decides who is next."""
        room = self.backend.room() - len(self._copying) - len(self._unsent)
        if room <= 0:
            return 0
        if self.per_user or self.jobs_at_most:
            transaction.alone()
            if self.jobs_at_most:
                room = min(room, self.jobs_at_most - sum(transaction.open_jobs(self.backend.name).values()))
            self._under_way = transaction.open_jobs()
        elif len({drive.owner for drive in drives}) > 1:
            self._under_way = transaction.open_jobs()
        else:
            self._under_way = {}
        allowed = not self.per_user or any(self._under_way.get(d.owner, 0) < self.per_user for d in drives)
        self._give_nothing = room <= 0 or not allowed
        return 0 if self._give_nothing else room

    def _next_jobs(self, room: int, turn: Turn) -> list[tuple[str, Drive, SubmitJob]]:
        """Up to `room` jobs that nobody here is executing, in the order of the queue; the rest of their nodes just wait."""
        batch: list[tuple[str, Drive, SubmitJob]] = []
        taken: set[str] = set()
        drives = [drive for drive in self.drives.values() if drive.queue and drive.finish is None]
        line = Line(drives, self._under_way, limit=self.per_user)
        while len(batch) < room and (drive := line.next()) is not None:
            submit = drive.queue.popleft() if drive.queue else None
            if submit is None:
                line.dropped()
                continue
            digest = self.environments.digest(drive, submit.job.environment)
            if not isinstance(digest, str):
                drive.queue.appendleft(submit)
                line.dropped()
                if digest is not None:
                    self._fail_all(digest, turn)
                continue
            self._warn(drive, submit)
            key = job_key(submit.job, digest, bound(drive, submit), drive.key_salt)
            if key in taken:
                drive.queue.appendleft(submit)
                line.dropped()
            elif key in self._active:
                self._join(key, drive, submit)
                turn.changed[drive.run] = drive
                line.passed()
            else:
                taken.add(key)
                batch.append((key, drive, submit))
                line.took()
        return batch

    def _join(self, key: str, drive: Drive, submit: SubmitJob) -> None:
        active = self._active[key]
        active.nodes.append((drive, submit))
        drive.waiting[submit.node] = submit
        drive.nodes[submit.node] = NodeRow(key, active.attempt, "running" if active.started else "queued")

    def _task(self, key: str, attempt: int, drive: Drive, submit: SubmitJob) -> Task:
        job = submit.job
        active = self._active.get(key)
        if active is not None and active.memory_bytes != job.resources.memory_bytes and active.memory_bytes:
            job = replace(job, resources=replace(job.resources, memory_bytes=active.memory_bytes))
        return Task(
            key, attempt, job, bound(drive, submit), self.environments.known(drive, job.environment), drive.stand_ins,
            label=f"{drive.run}{submit.node}", writable_inputs=drive.writable_inputs, secrets=drive.secrets,
        )  # fmt: skip

    def _is_whole(self, key: str, attempt: int, digest: str) -> bool:
        """Kept outputs are still there as recorded (their bytes are checked by `recast cache verify`)."""
        try:
            manifest = self.storage.manifest(key, attempt)
        except (OSError, ValueError):  # what cannot be read is computed again
            return False
        return manifest is not None and manifest.digest == digest

    def _fail_all(self, refused: Refused, turn: Turn) -> None:
        """Fail all nodes that wait for an environment that cannot be had: each would wait as long to learn the same."""
        for drive in self.drives.values():
            waiting = [s for s in drive.queue if self.environments.name(drive, s.job.environment) == refused.name]
            if not waiting:
                continue
            drive.withdraw({submit.node for submit in waiting})
            turn.changed[drive.run] = drive
            for submit in waiting:
                drive.nodes[submit.node] = NodeRow("", 0, "failed")
                drive.take(JobFailed(submit.node, "", 0, str(Cause.IMAGE), refused.message))

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
            drive.withdraw(gone)
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

    def _write(self, transaction: Transaction, turn: Turn) -> None:
        """What became of the runs in this turn."""
        for run, drive in list(turn.changed.items()):
            try:
                transaction.append_events(run, drive.epoch, drive.seq, drive.fresh)
            except (Conflict, NotFound):
                self.say(f"{run}: another worker has taken this run over, or stopped it")
                del turn.changed[run]
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


def _not_copied(error: BaseException) -> JobOutcome:
    """How a job ends whose inputs could not be copied: its own fault it is not, but a full disk is not tried again."""
    full = isinstance(error, OSError) and error.errno == 28
    said = error.message if isinstance(error, ReanaLiteError) else getattr(error, "strerror", "") or str(error)
    return JobOutcome(
        JobState.FAILED, Cause.DISK if full else Cause.LOST, message=f"its inputs could not be copied: {said}"
    )
