"""ONE loop that drives MANY runs; resumes after a crash.

A turn takes what the backend reports (delivery.py), lets the engines of the runs concerned decide, begins jobs
(beginnings.py), writes everything that this decided in one transaction (events of the log, ends of jobs, beginnings of new
ones; holding.py), and only then tells the backend (outbox.py). So at whatever instant the process dies, the log says what
was decided, and doing it again is harmless. Should the database or the storage not answer, the turn is undone by reading
the log again, and its reports are kept. The command line embeds this, program.py runs it for ever; no rule of the language
or of physics is here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Collection

from reana_lite.backends.base import Backend, Report, Say
from reana_lite.database import Database, Transaction, jobs, workers
from reana_lite.database.bell import Listener
from reana_lite.drive import Drive
from reana_lite.errors import Unavailable
from reana_lite.event import RunState, StopRequested
from reana_lite.inputs import Inputs
from reana_lite.storage.base import Storage
from reana_lite.worker.beginnings import Beginnings
from reana_lite.worker.delivery import Delivery
from reana_lite.worker.environments import Environments
from reana_lite.worker.holding import Holding
from reana_lite.worker.lease import Lease
from reana_lite.worker.outbox import Outbox
from reana_lite.worker.telemetry import Counters
from reana_lite.worker.turn import (
    HARVEST_S,
    LEASE_S,
    LINGER_ABOVE,
    LINGER_S,
    PATIENCE_S,
    POLL_S,
    Hands,
    Overtaken,
    Turn,
)

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
        self.counters = Counters()
        self.hands = hands = Hands()
        self.environments = environments = Environments(backend, say)
        quick = storage.within(PATIENCE_S)
        self._inputs = inputs = Inputs(database, quick)
        self._outbox = outbox = Outbox(backend, hands, environments=environments, inputs=inputs)
        self._holding = Holding(
            self.name, hands, database=database, storage=quick, harvested=storage.within(HARVEST_S), backend=backend,
            outbox=outbox, say=say, host=host,
        )  # fmt: skip
        self._delivery = Delivery(
            hands,
            database=database,
            environments=environments,
            inputs=inputs,
            counters=self.counters,
            memory_limit_bytes=memory_limit_bytes,
        )
        self._beginnings = Beginnings(
            self.name, hands, database=database, backend=backend, storage=quick, environments=environments,
            inputs=inputs, outbox=outbox, per_user=per_user, jobs_at_most=jobs_at_most, memory_limit_bytes=memory_limit_bytes,
        )  # fmt: skip
        self._polled_at = 0.0
        self._rung = False
        self._listener: Listener | None = None
        self._lease: Lease | None = None
        self._undone = False
        self._doing = ""

    @property
    def drives(self) -> dict[str, Drive]:
        """The runs in its hands."""
        return self.hands.drives

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
        try:
            self._drive(set(runs) if runs is not None else None, campaign, at_once, until)
        except Unavailable as error:
            self._tell(error.message)
            raise

    def _drive(self, wanted: set[str] | None, campaign: str, at_once: int | None, until: Callable[[], bool]) -> None:
        adopted_at = -POLL_S
        held = 0
        if self._listener is None:
            self._listener = self.database.listen(self._hear)
        if self._lease is None:
            self._lease = Lease(self.database, self.name)
        while not until():
            self._lease.turned()
            if self._rung:  # somebody has queued or stopped something: all is looked at now
                self._rung = False
                adopted_at = -POLL_S
                self._polled_at = -POLL_S
            if self._undone:  # before anything is looked at that was not written
                self._holding.take_up_again()
                self._undone = False
            self._outbox.recover()
            self._finish()
            ended = at_once is not None and self.hands.count < held
            if ended or time.monotonic() - adopted_at >= POLL_S:
                adopted_at = time.monotonic()
                self._holding.adopt(wanted, campaign, at_once)
            held = self.hands.count
            some = wanted is not None or campaign
            if some and not held and not self._has_begun() and not self.database.unfinished(wanted, campaign=campaign):
                return
            self.turn()

    @property
    def trouble(self) -> str:
        """Why nothing goes on although there are runs in its hands; "" if something does, or there is nothing to do."""
        waiting = [aside.message for aside in self.hands.aside.values() if aside.message]
        if self.drives or not waiting:
            return ""
        return f"{len(waiting)} runs wait: {waiting[0]}"

    def _hear(self) -> None:
        self._rung = True
        self.backend.wake()

    def turn(self, *, begin: bool = True) -> None:
        """One turn of the loop: at most POLL_S of waiting. Without `begin` it takes what has happened, and begins nothing."""
        if self._undone:
            self._holding.take_up_again()
            self._undone = False
        reports = self.hands.reports or self._wait(0.0 if not begin else None)
        self.hands.reports = []
        turn = Turn(reports)
        begun_at = time.monotonic()
        turn.changed, self.hands.adopted = self.hands.adopted, {}
        try:
            if due := self._is_due():
                self._give_sign()
            self._decide(turn, due=due, begin=begin)
            with self.database.transaction() as transaction:
                self._write(transaction, turn, due=due)
        except BaseException as error:
            # what was decided is not in the log: it is decided again, from the log and with the same reports
            self.hands.reports = [*turn.reports, *self.hands.reports]
            self._undone = True
            if isinstance(error, Overtaken):
                return
            raise
        self._after(turn)
        self.counters.turn_s(time.monotonic() - begun_at)

    def _decide(self, turn: Turn, *, due: bool, begin: bool) -> None:
        """All that reads storage, and what follows from it: while a transaction is open nobody else can write (SQLite), or
        others wait for its locks (PostgreSQL), and a storage may take its time."""
        self._outbox.take_copies(turn)
        self._delivery.take_reports(turn)
        if due:
            self._poll(turn)
        if begin:
            self._beginnings.choose(turn)
        self._holding.set_aside(turn)

    def _write(self, transaction: Transaction, turn: Turn, *, due: bool) -> None:
        """What was decided, and which of the jobs chosen are begun here. Reads no storage."""
        jobs.start(transaction, turn.started)
        jobs.finish(transaction, turn.ended)
        for key, attempt in turn.spoiled:
            jobs.forget(transaction, key, attempt)
        if due:
            followed = [(key, active.attempt) for key, active in self.hands.active.items() if not active.begun]
            turn.stale = jobs.stale(transaction, followed, self.name)
        self._beginnings.begin(transaction, turn)
        self._holding.release(turn)
        turn.copies = self._inputs.to_copy(transaction, [(drive, submit) for _, _, drive, submit in turn.begun])
        self._inputs.write(transaction)
        self._holding.write(transaction, turn)

    def _after(self, turn: Turn) -> None:
        """It is in the log now: tell the backend, and those who watch."""
        for drive in turn.changed.values():
            drive.written()
            if drive.finish is not None:
                if drive.finish.state is RunState.FINISHED:
                    self.hands.over[drive.run] = drive
                else:
                    self.drives.pop(drive.run, None)
        for run in turn.dropped:
            self.hands.aside.pop(run, None)
        for line in turn.said:
            self.say(line)
        self.counters.ended(turn.ended)
        for key, attempt, _ in turn.ended:
            self.hands.held.discard((key, attempt))
        self.counters.launched += len(turn.begun)
        self._outbox.take(turn)
        self._outbox.send()
        for drive in turn.changed.values():
            if drive.run not in self.hands.over:
                self.watch(drive)
        self._finish()

    def _finish(self) -> None:
        if self.hands.over:
            for drive in self._holding.finish():
                self.watch(drive)

    def _wait(self, timeout_s: float | None = None) -> list[Report]:
        """What the backend reports. While it has far more to do than it can do at once, a turn takes many reports."""
        self._outbox.send()
        if timeout_s is None:
            timeout_s = 0.0 if self.hands.adopted or self._polled_at < 0 or self._beginnings.can_begin() else POLL_S
        reports = self.backend.wait(timeout_s)
        if reports and len(self.hands.active) > LINGER_ABOVE:
            until = time.monotonic() + LINGER_S
            while len(self.hands.active) - len(reports) > LINGER_ABOVE and (left := until - time.monotonic()) > 0:
                reports.extend(self.backend.wait(left))
        return reports

    def _is_due(self) -> bool:
        return time.monotonic() - self._polled_at >= POLL_S

    def close(self) -> None:
        """Stop what runs in this process and give up the runs, so that another worker may take them at once."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._lease is not None:
            self._lease.close()
            self._lease = None
        self.backend.close()
        self.environments.close()
        self._outbox.close()
        self._holding.close()
        workers.release(self.database, self.name)

    def _poll(self, turn: Turn) -> None:
        """What other processes want or have done: stop requests, ends of jobs followed."""
        self._polled_at = time.monotonic()
        followed = [(key, active.attempt) for key, active in self.hands.active.items() if not active.begun]
        with self.database.peek() as peek:
            requests = peek.stop_requests([*self.drives.keys() | self.hands.aside.keys()])
            ended = jobs.ended(peek, followed)
        for run, by in requests:
            turn.stop_requests.append(run)
            drive = self.drives.get(run)
            if drive is None:
                turn.dropped.append(run)
            elif drive.finish is None:
                if run in self.hands.aside:
                    drive.cut_off()
                else:
                    with turn.watching(drive):
                        drive.take(StopRequested(by))
                turn.changed[run] = drive
        self._delivery.deliver_followed(turn, ended)
        over = {(key, attempt) for key, attempt, _ in turn.ended}
        needed = {key for key, active in self.hands.active.items() if active.nodes}
        orphans = [place for place in self.hands.held - over if place[0] not in needed]
        if orphans:
            with self.database.peek() as peek:
                turn.stops += jobs.unwanted(peek, orphans)

    def _give_sign(self) -> None:
        """A sign of life, with what this worker is doing, for those who ask why something waits."""
        waiting = self._beginnings.reasons()
        queued = sum(len(drive.queue) + len(drive.later) for drive in self.drives.values())
        counters = self.counters
        counters.queued, counters.running, counters.runs = queued, len(self.hands.held), self.hands.count
        self._tell_doing(waiting, trouble=self.trouble)

    def _tell(self, trouble: str) -> None:
        """Let others know what keeps this worker from doing anything, if the database can be told."""
        with contextlib.suppress(Unavailable):
            self._tell_doing({}, trouble=trouble, alive=False)

    def _tell_doing(self, waiting: dict[str, str], *, trouble: str, alive: bool = True) -> None:
        doing = {
            "backend": self.backend.name,
            "runs": self.hands.count,
            "jobs": len(self.hands.held),
            "waiting": waiting,
        }
        text = json.dumps(doing | ({"trouble": trouble} if trouble else {}))
        changed = text if text != self._doing else None
        if alive and self._lease is not None:
            self._lease.renew(changed)
        else:
            with self.database.transaction() as transaction:
                if alive:
                    workers.renew(transaction, self.name, lease_s=LEASE_S)
                if changed is not None:
                    workers.note_doing(transaction, self.name, changed)
        self._doing = text

    def _has_begun(self) -> bool:
        return any(active.begun for active in self.hands.active.values())
