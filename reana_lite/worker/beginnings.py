"""Jobs are begun: who is next (admission.py), what is there already and is reused, what somebody else is computing.

What is chosen, and what is reused, is found out before the transaction of a turn; in it the jobs are claimed, and the
backend is told afterwards, by the outbox. Only the loop calls this.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from reana_lite.backends.base import Backend
from reana_lite.database import Database, Transaction, jobs
from reana_lite.database.records import Claim
from reana_lite.drive import Drive, NodeRow
from reana_lite.errors import Conflict, Unavailable
from reana_lite.event import JobFailed, SubmitJob
from reana_lite.inputs import Inputs, bound
from reana_lite.job import Cause, job_key
from reana_lite.retry import memory
from reana_lite.storage.base import Storage
from reana_lite.worker.admission import Line, why_waiting
from reana_lite.worker.environments import Environments, Refused
from reana_lite.worker.outbox import Outbox
from reana_lite.worker.turn import POLL_S, STAND_S, Active, Hands, Overtaken, Place, Turn


class Beginnings:
    """See the module. `worker` is its name in the database; the bounds are those of Worker.

    `under_way`: jobs of each owner, where that decides who is next: counted now and then, kept up by what is begun and ends
    here in between; `give_nothing`: a bound is reached.
    """

    def __init__(
        self,
        worker: str,
        hands: Hands,
        *,
        database: Database,
        backend: Backend,
        storage: Storage,
        environments: Environments,
        inputs: Inputs,
        outbox: Outbox,
        per_user: int,
        jobs_at_most: int,
        memory_limit_bytes: int,
    ) -> None:
        self.worker = worker
        self.hands = hands
        self.database = database
        self.backend = backend
        self.storage = storage
        self.environments = environments
        self.inputs = inputs
        self.outbox = outbox
        self.per_user = per_user
        self.jobs_at_most = jobs_at_most
        self.memory_limit_bytes = memory_limit_bytes
        self.under_way: dict[str, int] = {}
        self.give_nothing = False
        self._count_again_at = 0.0
        self._quotas: dict[str, int] = {}
        self._quotas_at = -POLL_S
        self._warned: set[tuple[str, str]] = set()

    def can_begin(self) -> bool:
        """Whether there is something to begin right now: no waiting then."""
        if self.outbox.copied:
            return True
        if self.environments.busy or not any(drive.queue for drive in self.hands.drives.values()):
            return self.environments.ready
        return not self.give_nothing and self.backend.room() > 0

    def choose(self, turn: Turn) -> None:
        """Choose jobs to begin, fairly between owners and runs, as long as there is room; what is there already is reused.

        Reads storage, and writes nothing; `begin` does.
        """
        now = time.monotonic()
        for drive in self.hands.drives.values():
            if drive.later:
                drive.due(now)
        for owner, count in turn.freed.items():
            self.under_way[owner] = self.under_way.get(owner, 0) - count
        drives = self._eager()
        room = self._room(drives, turn) if drives else 0
        gone: set[Place] = {*turn.spoiled}
        over = {(key, attempt) for key, attempt, _ in turn.ended}
        while (left := room - len(turn.chosen)) > 0 and not turn.stands:
            gone.update(place for drive in self.hands.drives.values() for place in drive.damaged)
            batch = self._next_jobs(left, turn)
            if not batch:
                return
            with self.database.peek() as peek:
                known = jobs.look_up(peek, [key for key, _, _ in batch])
            for number, (key, drive, submit) in enumerate(batch):
                if turn.stood_s >= STAND_S:  # the next turn goes on with the rest
                    for _, other, waiting in reversed(batch[number:]):
                        other.queue.appendleft(waiting)
                    return
                claim = known[key]
                place = (key, claim.attempt)
                if drive.trouble is not None or drive.finish is not None:
                    continue  # its engine is done with it, or its log is read again
                if claim.outcome is not None and place not in gone:
                    with turn.watching(drive):
                        there = self._reuse(drive, submit, claim, turn)
                    if there or drive.trouble is not None:
                        continue
                    gone.add(place)
                if claim.outcome is not None or (claim.begun and claim.attempt > 1) or place in over:
                    self.inputs.look_again(drive, submit)  # an attempt that was lost may have changed them
                    turn.looked.add(key)
                turn.chosen.append((key, drive, submit))
                self.under_way[drive.owner] = self.under_way.get(drive.owner, 0) + 1

    def begin(self, transaction: Transaction, turn: Turn) -> None:
        """Begin the jobs chosen, or follow them where somebody else has begun them. Reads no storage.

        Raises Overtaken if what was found to be there is gone by now.
        """
        gone = {*turn.spoiled, *turn.forgotten}
        gone.update(place for drive in self.hands.drives.values() for place in drive.damaged)
        forget_damaged(transaction, turn, self.hands)
        for key, attempt in turn.forgotten:
            jobs.forget(transaction, key, attempt)
        reused = [place for place in turn.reused if place not in gone]
        counted = self._allowed(transaction, turn)
        chosen = [
            (key, drive, submit)
            for key, drive, submit in counted
            if drive.trouble is None and drive.finish is None and submit.node not in drive.released
        ]
        try:
            claims = jobs.claim(
                transaction,
                [(key, drive.run) for key, drive, _ in chosen],
                self.worker,
                self.backend.name,
                reused=reused,
            )
        except Conflict as error:
            raise Overtaken from error
        anew = [(claim.key, claim.attempt) for claim in claims if claim.begun and claim.attempt > 1]
        if not turn.looked.issuperset(key for key, _ in anew):
            raise Overtaken
        tries = jobs.tries(transaction, [(key, attempt - 1) for key, attempt in anew]) if anew else {}
        for (key, drive, submit), claim in zip(chosen, claims, strict=True):
            turn.changed[drive.run] = drive
            if claim.outcome is not None:  # just now: the next turn takes it
                drive.queue.appendleft(submit)
                continue
            held = claim.begun or (key, claim.attempt) in self.hands.held
            digest = self.environments.known(drive, submit.job.environment)
            active = Active(claim.attempt, [(drive, submit)], held, first=(drive, submit), digest=digest)
            if (key, claim.attempt - 1) in tries:
                active.memory_bytes = memory(
                    tries[key, claim.attempt - 1],
                    submit.job.resources.memory_bytes,
                    memory_limit_bytes=self.memory_limit_bytes,
                )
            self.hands.active[key] = active
            drive.waiting[submit.node] = submit
            drive.nodes[submit.node] = NodeRow(key, claim.attempt, "queued")
            if claim.begun:
                turn.begun.append((key, claim.attempt, drive, submit))
        begun = {key for key, *_ in turn.begun}
        for key, drive, _ in counted:
            if key not in begun:
                self.under_way[drive.owner] -= 1

    def reasons(self) -> dict[str, str]:
        """Why runs that have jobs to begin have not begun them, for at most a hundred of them."""
        room = 0 if self.give_nothing else self.backend.room()
        waiting: dict[str, str] = {}
        for run, aside in self.hands.aside.items():
            if len(waiting) < 100 and run not in self.hands.drives and aside.message:
                waiting[run] = f"it waits and is tried again: {aside.message}"
        for drive in self.hands.drives.values():
            if len(waiting) < 100 and (drive.queue or drive.later):
                waiting[drive.run] = why_waiting(
                    drive, preparing=self.environments.busy, room=room,
                    of_owner=self.under_way.get(drive.owner, 0), limit=self._limit(drive.owner),
                    quota=self._quotas.get(drive.owner, 0) == self._limit(drive.owner),
                )  # fmt: skip
        return waiting

    def _eager(self) -> list[Drive]:
        """The runs that have jobs to begin."""
        drives = self.hands.drives.values()
        return [drive for drive in drives if drive.queue and drive.finish is None and drive.trouble is None]

    def _room(self, drives: Sequence[Drive], turn: Turn) -> int:
        """How many jobs may be chosen now; and who has how many under way, where that decides who is next."""
        room = self.backend.room() - self.outbox.waiting
        if room <= 0:
            return 0
        owners = {drive.owner for drive in drives}
        with self.database.peek() as peek:
            self._read_quotas(peek)
            if (len(owners) > 1 or self._is_limited(owners)) and time.monotonic() >= self._count_again_at:
                begun_at = time.monotonic()
                self.under_way = jobs.open_by_owner(peek)
                took_s = time.monotonic() - begun_at
                self._count_again_at = begun_at + max(POLL_S, 25 * took_s)  # at most a 25th of our time
                for owner, count in turn.freed.items():  # not written yet
                    self.under_way[owner] = self.under_way.get(owner, 0) - count
            if self.jobs_at_most:
                open_jobs = sum(jobs.open_by_owner(peek, self.backend.name).values()) - sum(turn.freed.values())
                room = min(room, self.jobs_at_most - open_jobs)
        allowed = any(self._may_begin(owner) for owner in owners)
        self.give_nothing = room <= 0 or not allowed
        return 0 if self.give_nothing else room

    def _allowed(self, transaction: Transaction, turn: Turn) -> list[tuple[str, Drive, SubmitJob]]:
        """Those of the jobs chosen that the bounds allow, which hold over all workers; the others wait."""
        chosen = turn.chosen
        if not chosen or not self._is_limited({drive.owner for _, drive, _ in chosen}):
            return chosen
        jobs.alone(transaction)
        self.under_way = jobs.open_by_owner(transaction)
        room = len(chosen)
        if self.jobs_at_most:
            room = self.jobs_at_most - sum(jobs.open_by_owner(transaction, self.backend.name).values())
        allowed: list[tuple[str, Drive, SubmitJob]] = []
        late: list[tuple[str, Drive, SubmitJob]] = []
        for one in chosen:
            owner = one[1].owner
            if len(allowed) < room and self._may_begin(owner):
                allowed.append(one)
                self.under_way[owner] = self.under_way.get(owner, 0) + 1
            else:
                late.append(one)
        for _, drive, submit in reversed(late):
            drive.queue.appendleft(submit)
        self.give_nothing = self.give_nothing or (bool(late) and not allowed)
        return allowed

    def _is_limited(self, owners: Collection[str]) -> bool:
        """Whether there are bounds to what these may begin, which others may reach at the same time."""
        return bool(self.per_user or self.jobs_at_most) or not self._quotas.keys().isdisjoint(owners)

    def _may_begin(self, owner: str) -> bool:
        limit = self._limit(owner)
        return limit is None or self.under_way.get(owner, 0) < limit

    def _limit(self, owner: str) -> int | None:
        """How many jobs an owner may have under way, on all workers; None: as many as there is room for."""
        limits = [limit for limit in (self.per_user, self._quotas.get(owner, 0)) if limit]
        return min(limits, default=None)

    def _read_quotas(self, transaction: Transaction) -> None:
        now = time.monotonic()
        if now - self._quotas_at >= POLL_S:
            self._quotas, self._quotas_at = jobs.quotas(transaction), now

    def _next_jobs(self, room: int, turn: Turn) -> list[tuple[str, Drive, SubmitJob]]:
        """Up to `room` jobs that nobody here is executing, in the order of the queue; the rest of their nodes just wait."""
        batch: list[tuple[str, Drive, SubmitJob]] = []
        taken = {key for key, _, _ in turn.chosen}
        drives = self._eager()
        limits = {drive.owner: limit for drive in drives if (limit := self._limit(drive.owner)) is not None}
        line = Line(drives, self.under_way, limits)
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
            elif key in self.hands.active:
                self._join(key, drive, submit)
                turn.changed[drive.run] = drive
                line.passed()
            else:
                taken.add(key)
                batch.append((key, drive, submit))
                line.took()
        return batch

    def _join(self, key: str, drive: Drive, submit: SubmitJob) -> None:
        active = self.hands.active[key]
        active.nodes.append((drive, submit))
        drive.waiting[submit.node] = submit
        drive.nodes[submit.node] = NodeRow(key, active.attempt, "running" if active.started else "queued")

    def _reuse(self, drive: Drive, submit: SubmitJob, claim: Claim, turn: Turn) -> bool:
        """Take the kept outputs of a job if they are there, and all that the run needs is among them; else they are to be
        forgotten, unless storage does not tell."""
        assert claim.outcome is not None
        missing: list[str] = []
        whole = self._is_whole(drive, claim.key, claim.attempt, claim.outcome.digest)
        if whole:
            missing = drive.missing_outputs(submit, claim.key, claim.attempt)
        if drive.trouble is not None:
            return False
        place = (claim.key, claim.attempt)
        if whole and not missing:
            turn.changed[drive.run] = drive
            turn.reused.append(place)
            reused_from = "" if claim.first_run == drive.run else claim.first_run
            drive.finished_job(submit, *place, digest=claim.outcome.digest, reused_from=reused_from)
            return True
        what = "lack what it is to publish" if missing else "are damaged"
        self.environments.say(f"{drive.run}: kept outputs of {submit.node} {what}: computing them again")
        turn.forgotten.append(place)
        return False

    def _is_whole(self, drive: Drive, key: str, attempt: int, digest: str) -> bool:
        """Kept outputs are still there as recorded (their bytes are checked by `recast cache verify`)."""
        try:
            manifest = self.storage.manifest(key, attempt)
        except Unavailable as error:
            drive.trouble = error
            return False
        except (OSError, ValueError):  # what cannot be read is computed again
            return False
        return manifest is not None and manifest.digest == digest

    def _fail_all(self, refused: Refused, turn: Turn) -> None:
        """Fail all nodes that wait for an environment that cannot be had: each would wait as long to learn the same."""
        for drive in self.hands.drives.values():
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
                self.environments.say(f"{drive.run}: {phrase}")


def forget_damaged(transaction: Transaction, turn: Turn, hands: Hands) -> None:
    """What storage has lost of kept outputs is nobody's any more: who needs it computes it again."""
    for drive in hands.drives.values():
        for key, attempt in drive.damaged:
            turn.said.append(
                f"{drive.run}: kept outputs {key}/{attempt} are damaged; who needs them computes them again"
            )
            jobs.forget(transaction, key, attempt)
        drive.damaged.clear()
