"""Runs come into a worker's hands and leave them: taken up from their logs, written, given up, lost to another worker.

What they do meanwhile is the business of beginnings.py and delivery.py. Only the loop calls this.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from operator import itemgetter
from typing import Any

from reana_lite import __version__
from reana_lite.backends.base import Backend, Say
from reana_lite.database import Database, Transaction, jobs, workers
from reana_lite.database.records import TERMINAL_RUN, Advance
from reana_lite.database.secrets import of_run
from reana_lite.drive import Drive
from reana_lite.engine import ENGINE_VERSION
from reana_lite.errors import Conflict, NotFound, ReanaLiteError, Unavailable
from reana_lite.event import RunState
from reana_lite.harvest import harvest
from reana_lite.job import JobOutcome, JobState
from reana_lite.storage.base import Storage
from reana_lite.worker.beginnings import forget_damaged
from reana_lite.worker.outbox import Outbox
from reana_lite.worker.turn import LEASE_S, Active, Aside, Hands, Turn

log = logging.getLogger(__name__)

Harvest = tuple[dict[str, dict[str, Any]], list[str]]
"""Documents of a run by kind, and a sentence for each that could not be read."""

ASIDE_S, LONGEST_ASIDE_S = 1.0, 60.0
"""How long a run is put aside the first time, and at most (seconds)."""

AT_ONCE_S = 0.1
"""How long the loop waits for the results of runs that have just succeeded (seconds): the usual ones are there at once."""

HARVESTED_AT_ONCE = 4
"""Runs whose results are read side by side."""

CHECK_S = 5.0
"""How long the storage is taken to be well after it has answered (seconds)."""


class Holding:
    """See the module. `worker` is its name in the database; `host`: whether steps see storage as it lies on this machine."""

    def __init__(
        self,
        worker: str,
        hands: Hands,
        *,
        database: Database,
        storage: Storage,
        harvested: Storage,
        backend: Backend,
        outbox: Outbox,
        say: Say,
        host: bool,
    ) -> None:
        self.worker = worker
        self.hands = hands
        self.database = database
        self.storage = storage
        self.harvested = harvested
        self.backend = backend
        self.outbox = outbox
        self.say = say
        self.host = host
        self._checked_at = -CHECK_S
        self._harvests: dict[str, tuple[Drive, Future[Harvest]]] = {}
        self._harvester = ThreadPoolExecutor(HARVESTED_AT_ONCE, thread_name_prefix="harvest")

    def adopt(self, wanted: set[str] | None, campaign: str, at_once: int | None) -> None:
        """Take up runs that are queued, or whose worker is gone."""
        if wanted is not None and not (wanted - self.hands.drives.keys()):
            return
        limit = None if at_once is None else max(0, at_once - self.hands.count)
        claimed = []
        if limit != 0 or (wanted is None and not campaign):
            claimed = workers.claim_runs(
                self.database, self.worker, lease_s=LEASE_S, only=wanted, campaign=campaign, limit=limit
            )
        stale = jobs.stale_attempts(self.database, self.worker, backend=self.backend.name)
        if stale:
            self.outbox.recover(stale)
        if claimed:
            self.take_up(claimed)
        now = time.monotonic()
        due = [run for run, aside in self.hands.aside.items() if aside.due <= now and run not in self.hands.drives]
        if due:
            self._try_again(due)

    def take_up(self, claimed: Sequence[tuple[str, int]], *, follow: bool = False) -> None:
        """Bring runs to where their logs left them; one that cannot be has failed, one that storage lacks is put aside.

        What had been begun for them is followed: with `follow` also where no other worker has had the run.
        """
        for run, epoch in claimed:  # ours, whatever happens now
            self.hands.aside.setdefault(run, Aside(epoch, 0.0, 0.0, ""))
        with self.database.peek() as peek:
            standing = workers.standing(peek, [run for run, _ in claimed])
        for run, epoch in claimed:
            rows: list[Any] = []
            owner, priority = standing.get(run, ("", 0))
            drive = Drive(run, epoch, self.storage, host=self.host, owner=owner, priority=priority)
            try:
                rows = self.database.read_events(run)
                drive.replay(rows)
                if drive.secret_names != ():
                    drive.secrets = of_run(self.database, owner, drive.secret_names)
            except Unavailable:
                raise
            except Exception as error:
                if _is_newer(rows):
                    waits = f"a newer version has begun it than this worker's ({__version__}), and goes on with it"
                    self._put_aside(drive, Unavailable(waits))
                    continue
                known = isinstance(error, ReanaLiteError)
                if not known:
                    log.error("%s: it cannot be taken up", run, exc_info=error)
                said = error.message if isinstance(error, ReanaLiteError) else f"{type(error).__name__}: {error}"
                said = said if known else f"the run could not be taken up: {said}"
                self.database.set_run_state(run, RunState.FAILED, error=said)
                self.hands.aside.pop(run, None)
                self.say(f"{run}: {said}")
                continue
            if drive.trouble is not None:
                self._put_aside(drive, drive.trouble)
                continue
            if not self.hands.aside[run].message:
                del self.hands.aside[run]
            self.outbox.bind_again(drive)
            self.hands.drives[run] = drive
            self.hands.adopted[run] = drive  # it may be over before anything runs
            if epoch > 1 or follow:
                self._follow(drive)

    def _try_again(self, runs: Sequence[str]) -> None:
        """Runs that were put aside go on, unless they are over or another worker's by now."""
        with self.database.peek() as peek:
            epochs = workers.epochs(peek, runs)
        mine = {run: self.hands.aside[run].epoch for run in runs}
        for run in runs:
            if epochs.get(run) != mine[run]:
                del self.hands.aside[run]
        self.take_up([(run, epoch) for run, epoch in mine.items() if epochs.get(run) == epoch], follow=True)

    def _put_aside(self, drive: Drive, trouble: Unavailable) -> None:
        """This run waits, the others go on; raises Unavailable if the storage as a whole does not answer."""
        now = time.monotonic()
        if now - self._checked_at >= CHECK_S:
            self.storage.check()
            self._checked_at = now
        before = self.hands.aside.get(drive.run)
        wait_s = min(LONGEST_ASIDE_S, 2 * before.wait_s) if before is not None and before.wait_s else ASIDE_S
        if before is None or before.message != trouble.message:
            self.say(f"{drive.run}: it waits and is tried again: {trouble.message}")
        self.hands.aside[drive.run] = Aside(drive.epoch, now + wait_s, wait_s, trouble.message)

    def _follow(self, drive: Drive) -> None:
        """Nodes of a run taken up whose attempts the log names: they are followed, not begun anew."""
        rows = {row.node: row for row in self.database.nodes_of(drive.run) if row.state in ("queued", "running")}
        for submit in list(drive.queue):
            row = rows.get(submit.node)
            if row is None or not row.attempt:
                continue
            active = self.hands.active.get(row.key)
            if active is not None and active.attempt != row.attempt:
                continue
            drive.queue.remove(submit)
            drive.waiting[submit.node] = submit
            if active is None:
                place = row.key, row.attempt
                self.hands.active[row.key] = Active(
                    row.attempt, [(drive, submit)], place in self.hands.held, row.state == "running", (drive, submit)
                )
            else:
                active.nodes.append((drive, submit))

    def take_up_again(self) -> None:
        """After a turn that could not be written: everything as the database has it."""
        runs = [(run, drive.epoch) for run, drive in self.hands.drives.items()]
        for held in (self.hands.drives, self.hands.adopted, self.hands.active, self.hands.over):
            held.clear()
        try:
            with self.database.peek() as peek:
                over = {run for run, _ in runs if peek.state_of(run) in TERMINAL_RUN}
            self.take_up([(run, epoch) for run, epoch in runs if run not in over], follow=True)
            mine = {(job.key, job.attempt) for job in self.database.running_jobs_of(self.worker)}
            ended = {(report.key, report.attempt) for report in self.hands.reports}
            unknown = sorted(mine - self.hands.held - ended)
            if unknown:
                self.outbox.recover(unknown)
        except BaseException:
            for run, epoch in runs:
                self.hands.drives.setdefault(run, Drive(run, epoch, self.storage))
            raise

    def release(self, turn: Turn) -> None:
        """Withdraw the interest of nodes in their jobs; the last one out stops the job."""
        for drive in self.hands.drives.values():
            if not drive.released:
                continue
            gone, drive.released = set(drive.released), []
            drive.withdraw(gone)
            for key, active in list(self.hands.active.items()):
                kept = [(d, s) for d, s in active.nodes if d is not drive or s.node not in gone]
                if len(kept) < len(active.nodes):
                    active.nodes = kept
                    if not kept:
                        if active.begun:
                            turn.stops.append((key, active.attempt))
                        else:
                            del self.hands.active[key]

    def set_aside(self, turn: Turn) -> None:
        """Runs that storage keeps from going on wait; raises Unavailable if it does not answer at all."""
        for drive in self.hands.drives.values():
            if drive.trouble is not None:
                turn.changed.pop(drive.run, None)
                self._put_aside(drive, drive.trouble)

    def write(self, transaction: Transaction, turn: Turn) -> None:
        """What became of the runs in this turn."""
        forget_damaged(transaction, turn, self.hands)
        for run, drive in list(self.hands.drives.items()):
            if drive.trouble is not None:  # a request to stop it, seen in this turn, has not come to anything
                turn.changed.pop(run, None)
                del self.hands.drives[run]
                self._give_up(transaction, turn, drive)
        for run in turn.dropped:
            with suppress(Conflict, NotFound):  # over already, by whoever took it for abandoned
                transaction.set_run_state(run, RunState.STOPPED)
        advances = [
            Advance(run, drive.epoch, drive.seq, drive.fresh, drive.nodes, drive.engine.progress())
            for run, drive in turn.changed.items()
        ]
        for run in sorted(transaction.advance(advances)):
            self.say(f"{run}: another worker has taken this run over, or stopped it")
            self.hands.drives.pop(run, None)
            self.hands.aside.pop(run, None)
            self._give_up(transaction, turn, turn.changed.pop(run))
        for run, drive in turn.changed.items():
            if run in turn.stop_requests:
                transaction.take_stop_request(run)
            if drive.fresh and self.hands.aside.pop(run, None) is not None:
                turn.said.append(f"{run}: it goes on")
            if drive.finish is not None and drive.finish.state is not RunState.FINISHED:
                transaction.set_run_state(run, drive.finish.state, error=drive.finish.error)

    def finish(self) -> list[Drive]:
        """Runs that have succeeded get their results, and are finished in the same instant; gives those that are.

        Should this process end before, the log tells the next worker that only this is left to be done.
        """
        finished: dict[str, Drive] = {}
        read: list[tuple[str, Drive, Harvest]] = []
        for run, drive, future in self._reaped():
            try:
                read.append((run, drive, future.result()))
            except Unavailable as error:
                self._put_aside(drive, error)
                del self.hands.over[run]
                self.hands.drives.pop(run, None)
        with self.database.transaction() as transaction:
            for run, drive, (documents, _) in sorted(read, key=itemgetter(0)):
                try:
                    transaction.append_events(run, drive.epoch, drive.seq, [])
                    assert drive.finish is not None
                    transaction.set_run_state(run, RunState.FINISHED, error=drive.finish.error)
                except (Conflict, NotFound):
                    self.say(f"{run}: another worker has taken this run over, or stopped it")
                    continue
                for kind, document in documents.items():
                    transaction.save_result(run, kind, document)
                finished[run] = drive
        for run, _, (_, problems) in read:
            for problem in problems if run in finished else ():
                self.say(f"{run}: {problem}")
            del self.hands.over[run]
            self.hands.drives.pop(run, None)
            self.hands.aside.pop(run, None)
        return list(finished.values())

    def _reaped(self) -> list[tuple[str, Drive, Future[Harvest]]]:
        """The runs whose results have been read, by threads beside the loop: others do not wait for storage."""
        over = self.hands.over
        new: list[Future[Harvest]] = []
        for run, drive in over.items():
            known = self._harvests.get(run)
            if known is None or known[0] is not drive:
                future = self._harvester.submit(self._harvest, drive)
                future.add_done_callback(lambda _: self.backend.wake())
                self._harvests[run] = drive, future
                new.append(future)
        for run in [run for run, (drive, _) in self._harvests.items() if over.get(run) is not drive]:
            del self._harvests[run]  # after a turn that was undone the run is another Drive
        wait(new, AT_ONCE_S)
        done = [(run, drive, future) for run, (drive, future) in self._harvests.items() if future.done()]
        for run, _, _ in done:
            del self._harvests[run]
        return done

    def _harvest(self, drive: Drive) -> Harvest:
        """What the run declares to give; a result that cannot be read does not undo the run."""
        drive.workspace.storage = self.harvested
        try:
            return harvest(drive, self.database.get_run(drive.run), self.database)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an analysis wrote, the other runs go on
            return {}, [f"its result could not be kept: {getattr(error, 'message', '') or error}"]

    def close(self) -> None:
        """Read no results any more."""
        self._harvester.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, transaction: Transaction, turn: Turn, lost: Drive) -> None:
        """Nothing is begun for a run that is ours no more. What runs goes on, for its new worker to follow, unless the
        run is over."""
        taken_back = {key: attempt for key, attempt, drive, _ in turn.begun if drive is lost}
        turn.begun = [begun for begun in turn.begun if begun[2] is not lost]
        turn.copies = [copy for copy in turn.copies if copy[0] is not lost]
        outcome = JobOutcome(JobState.STOPPED, message="its run was given up before it began")
        jobs.finish(transaction, [(key, attempt, outcome) for key, attempt in taken_back.items()])
        over = self._is_over(lost.run)
        for key, active in list(self.hands.active.items()):
            active.nodes = [(drive, submit) for drive, submit in active.nodes if drive is not lost]
            if key in taken_back:
                for drive, submit in active.nodes:
                    drive.waiting.pop(submit.node, None)
                    drive.queue.appendleft(submit)
            elif active.begun and not active.nodes and over:
                turn.stops.append((key, active.attempt))
            if key in taken_back or not (active.begun or active.nodes):
                del self.hands.active[key]

    def _is_over(self, run: str) -> bool:
        try:
            return self.database.get_run(run).state in TERMINAL_RUN
        except NotFound:
            return True


def _is_newer(rows: Sequence[tuple[int, str, dict[str, Any]]]) -> bool:
    """Whether a newer program than this one wrote the beginning of a log, as during an upgrade."""
    version = rows[0][2].get("engine_version") if rows else None
    return isinstance(version, int) and version > ENGINE_VERSION
