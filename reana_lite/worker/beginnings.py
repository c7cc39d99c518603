"""Jobs are begun: who is next (admission.py), what is there already and is reused, what somebody else is computing.

All of it is written in the turn's transaction; the backend is told afterwards, by the outbox. Only the loop calls this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from reana_lite.backends.base import Backend
from reana_lite.database import Transaction
from reana_lite.drive import Drive, NodeRow
from reana_lite.errors import Unavailable
from reana_lite.event import JobFailed, SubmitJob
from reana_lite.inputs import bound
from reana_lite.job import Cause, job_key
from reana_lite.retry import memory
from reana_lite.storage.base import Storage
from reana_lite.worker.admission import Line, why_waiting
from reana_lite.worker.environments import Environments, Refused
from reana_lite.worker.outbox import Outbox
from reana_lite.worker.turn import POLL_S, Active, Hands, Turn


class Beginnings:
    """See the module. `worker` is its name in the database; the bounds are those of Worker.

    `under_way`: jobs of each owner, where that decided who was next; `give_nothing`: a bound is reached.
    """

    def __init__(
        self,
        worker: str,
        hands: Hands,
        *,
        backend: Backend,
        storage: Storage,
        environments: Environments,
        outbox: Outbox,
        per_user: int,
        jobs_at_most: int,
        memory_limit_bytes: int,
    ) -> None:
        self.worker = worker
        self.hands = hands
        self.backend = backend
        self.storage = storage
        self.environments = environments
        self.outbox = outbox
        self.per_user = per_user
        self.jobs_at_most = jobs_at_most
        self.memory_limit_bytes = memory_limit_bytes
        self.under_way: dict[str, int] = {}
        self.give_nothing = False
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

    def admit(self, transaction: Transaction, turn: Turn) -> None:
        """Begin jobs, fairly between owners and runs, as long as there is room; what is there already is reused."""
        now = time.monotonic()
        for drive in self.hands.drives.values():
            if drive.later:
                drive.due(now)
        drives = self._eager()
        if not drives:
            return
        room = self._room(transaction, drives)
        while room > 0:
            forget_damaged(transaction, turn, self.hands)
            batch = self._next_jobs(room, turn)
            if not batch:
                return
            claims = transaction.claim_jobs(
                [(key, drive.run) for key, drive, _ in batch], self.worker, self.backend.name
            )
            anew = [(claim.key, claim.attempt) for claim in claims if claim.begun and claim.attempt > 1]
            tries = transaction.tries([(key, attempt - 1) for key, attempt in anew]) if anew else {}
            for (key, drive, submit), claim in zip(batch, claims, strict=True):
                turn.changed[drive.run] = drive
                whole = claim.outcome is not None and self._is_whole(drive, key, claim.attempt, claim.outcome.digest)
                missing = drive.missing_outputs(submit, key, claim.attempt) if whole else []
                if drive.trouble is not None and not claim.begun:
                    room = 0  # nothing more is asked of this storage in this turn, which others wait for
                    continue
                if claim.outcome is not None and whole and not missing:
                    reused_from = "" if claim.first_run == drive.run else claim.first_run
                    drive.finished_job(submit, key, claim.attempt, digest=claim.outcome.digest, reused_from=reused_from)
                    continue
                if claim.outcome is not None:
                    what = "lack what it is to publish" if missing else "are damaged"
                    self.environments.say(f"{drive.run}: kept outputs of {submit.node} {what}: computing them again")
                    transaction.forget_job(key, claim.attempt)
                    drive.queue.appendleft(submit)
                    continue
                held = claim.begun or (key, claim.attempt) in self.hands.held
                active = Active(claim.attempt, [(drive, submit)], held, first=(drive, submit))
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
                    room -= 1
                    self.under_way[drive.owner] = self.under_way.get(drive.owner, 0) + 1
                    turn.begun.append((key, claim.attempt, drive, submit))

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

    def _room(self, transaction: Transaction, drives: Sequence[Drive]) -> int:
        """How many jobs may be begun now; and who has how many under way, where that decides who is next."""
        room = self.backend.room() - self.outbox.waiting
        if room <= 0:
            return 0
        owners = {drive.owner for drive in drives}
        self._read_quotas(transaction)
        if self.per_user or self.jobs_at_most or not owners.isdisjoint(self._quotas):
            transaction.alone()
            if self.jobs_at_most:
                room = min(room, self.jobs_at_most - sum(transaction.open_jobs(self.backend.name).values()))
            self.under_way = transaction.open_jobs()
        elif len(owners) > 1:
            self.under_way = transaction.open_jobs()
        else:
            self.under_way = {}
        limits = {owner: limit for owner in owners if (limit := self._limit(owner)) is not None}
        allowed = any(owner not in limits or self.under_way.get(owner, 0) < limits[owner] for owner in owners)
        self.give_nothing = room <= 0 or not allowed
        return 0 if self.give_nothing else room

    def _limit(self, owner: str) -> int | None:
        """How many jobs an owner may have under way, on all workers; None: as many as there is room for."""
        limits = [limit for limit in (self.per_user, self._quotas.get(owner, 0)) if limit]
        return min(limits, default=None)

    def _read_quotas(self, transaction: Transaction) -> None:
        now = time.monotonic()
        if now - self._quotas_at >= POLL_S:
            self._quotas, self._quotas_at = transaction.job_quotas(), now

    def _next_jobs(self, room: int, turn: Turn) -> list[tuple[str, Drive, SubmitJob]]:
        """Up to `room` jobs that nobody here is executing, in the order of the queue; the rest of their nodes just wait."""
        batch: list[tuple[str, Drive, SubmitJob]] = []
        taken: set[str] = set()
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
            transaction.forget_job(key, attempt)
        drive.damaged.clear()
