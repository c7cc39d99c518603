"""All that is written about runs and jobs, as methods of one transaction.

A worker writes a whole turn of its loop through one of these; everything else goes through Database, which opens one per
call. It begins with its first statement, so an empty one costs nothing. State changes are compare-and-set by the tables
of transitions in event.py and job.py. Where rows are many, statements are executed in bulk.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, or_, select, text
from sqlalchemy.exc import IntegrityError

from reana_lite.database import statements, tables
from reana_lite.database.bell import Bell
from reana_lite.database.holders import Holder, alive, process_start
from reana_lite.database.records import COUNTERS, TERMINAL_RUN, Advance, Claim, clean, encode, outcome_of
from reana_lite.errors import Conflict, NotFound
from reana_lite.event import RUN_TRANSITIONS, RunState
from reana_lite.job import JobOutcome, JobState
from reana_lite.retry import SHUT_DOWN, Try

_runs, _jobs, _workers = tables.runs, tables.jobs, tables.workers

_GIVEN_UP = "its worker was shut down"
"""Message of an attempt that has not ended while nobody holds it, because its worker has given it up in good order."""

_ADMISSION = 0x7265616E62  # any number that nobody else locks

CHUNK = 500
"""Values in one IN list: far below the limits of both databases."""

_TIME_OF = {
    RunState.QUEUED: "queued_at", RunState.RUNNING: "started_at", RunState.FINISHED: "ended_at",
    RunState.FAILED: "ended_at", RunState.STOPPED: "ended_at",
}  # fmt: skip


class Transaction:
    """See the module. Made by Database.transaction() only; `host` and `clock` are the database's."""

    def __init__(
        self,
        begin: Callable[[], Connection],
        *,
        host: str,
        clock: Callable[[], float] = time.time,
        bell: Bell | None = None,
    ) -> None:
        self._begin = begin
        self._connection: Connection | None = None
        self.host = host
        self.clock = clock
        self._bell = bell
        self._rings = False

    @property
    def connection(self) -> Connection:
        """The connection, its transaction begun."""
        if self._connection is None:
            self._connection = self._begin()
        return self._connection

    def end(self, *, commit: bool) -> None:
        """Commit or roll back, and give the connection back."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            rings = self._bell if commit and self._rings else None
            try:
                if rings is not None:
                    rings.announce(connection)
                if commit:
                    connection.commit()
            finally:
                connection.close()
            if rings is not None:
                rings.ring()

    def ring(self) -> None:
        """Workers are to look at the database as soon as this transaction is committed."""
        self._rings = True

    # -- runs ----------------------------------------------------------------------------------------------------

    def create_run(
        self,
        *,
        run: str,
        name: str,
        owner: str,
        analysis: str = "",
        theory: str = "",
        request: Mapping[str, Any] | None = None,
        parent: str = "",
        campaign: str = "",
        priority: int = 0,
        state: RunState = RunState.QUEUED,
        first_event: tuple[str, dict[str, Any]] | None = None,
    ) -> None:
        """A new run, with its first event if that is known already; raises Conflict if the id is taken.

        It gets the next number of its name; a restart (`parent` of the same name) gets the number of its parent.
        """
        now = self.clock()
        values = {
            "id": run, "name": clean(name)[:255], "owner": clean(owner)[:255], "analysis": clean(analysis)[:255],
            "theory": clean(theory)[:255],
            "parent": parent, "campaign": campaign, "priority": priority, "state": state.value, "created_at": now,
            "queued_at": now if state is RunState.QUEUED else 0.0, "next_seq": 0 if first_event is None else 1,
        }  # fmt: skip
        for _ in range(100):
            try:
                with self.connection.begin_nested():
                    self.connection.execute(_runs.insert(), values | self._next_number(values))
                break
            except IntegrityError as error:
                if self.connection.execute(select(_runs.c.id).where(_runs.c.id == run)).first() is not None:
                    raise Conflict(f"a run {run} exists already", run=run) from error
        else:
            raise Conflict(f"too many runs named {name!r} are being created at once; try again")
        self.connection.execute(tables.requests.insert(), {"run": run, "document": encode(dict(request or {}))})
        if first_event is not None:
            self._insert_events(run, 0, 0, [first_event], now)
        if state is RunState.QUEUED:
            self.ring()

    def _next_number(self, values: Mapping[str, Any]) -> dict[str, int]:
        same_name = (_runs.c.owner == values["owner"]) & (_runs.c.name == values["name"])
        if values["parent"]:
            number = select(_runs.c.number).where(_runs.c.id == values["parent"], same_name).scalar_subquery()
            row = self.connection.execute(
                select(_runs.c.number, func.max(_runs.c.restart))
                .where(same_name, _runs.c.number == number)
                .group_by(_runs.c.number)
            ).first()
            if row is not None:
                return {"number": row[0], "restart": row[1] + 1}
        if self.connection.dialect.name == "postgresql":
            # many of one name at once stand in line here, instead of failing by the uniqueness of numbers and trying again
            line = func.hashtextextended(f"{values['owner']}/{values['name']}", 0)
            self.connection.execute(select(func.pg_advisory_xact_lock(line)))
        highest = self.connection.execute(select(func.max(_runs.c.number)).where(same_name)).scalar()
        return {"number": (highest or 0) + 1, "restart": 0}

    def set_run_state(self, run: str, state: RunState, *, error: str = "") -> None:
        """Compare-and-set by RUN_TRANSITIONS; raises Conflict if it may not go there from where it is, or NotFound."""
        before = [s.value for s, after in RUN_TRANSITIONS.items() if state in after]
        values: dict[str, Any] = {"state": state.value, "error": clean(error)}
        if state in _TIME_OF:
            values[_TIME_OF[state]] = self.clock()
        if state in TERMINAL_RUN:
            values["worker"] = ""
        done = self.connection.execute(
            _runs.update().where(_runs.c.id == run, _runs.c.state.in_(before)).values(values)
        )
        if done.rowcount == 0:
            raise Conflict(f"run {run} is {self.state_of(run)} and cannot become {state}", run=run, state=str(state))
        if state is RunState.QUEUED:
            self.ring()

    def request_stop(self, run: str, *, by: str = "") -> RunState:
        """Ask for the end of a run and give its state now: stopped if nobody was driving it, else it will be soon.

        Raises Conflict if it is over, except by a stop.
        """
        now = self.clock()
        row = self.connection.execute(
            select(_runs.c.state, _runs.c.worker, _runs.c.stop_requested_at).where(_runs.c.id == run).with_for_update()
        ).first()
        state = RunState(row.state) if row is not None else self.state_of(run)
        assert row is not None
        if state is RunState.STOPPED:
            return state
        if state in TERMINAL_RUN:
            raise Conflict(f"run {run} is {state} and cannot be stopped any more", run=run)
        values: dict[str, Any] = {}
        if not row.stop_requested_at:
            values |= {"stop_requested_at": now, "stop_by": clean(by)}
        if state is not RunState.RUNNING or row.worker not in self.live_workers():
            # a new epoch: should its worker still breathe, it finds itself shut out
            values |= {"state": "stopped", "ended_at": now, "worker": "", "epoch": _runs.c.epoch + 1}
            state = RunState.STOPPED
        if values:
            self.connection.execute(_runs.update().where(_runs.c.id == run).values(values))
            self.ring()
        return state

    def stop_requests(self, runs: Sequence[str]) -> list[tuple[str, str]]:
        """(run, who wants it) for requests among these runs that nobody has taken."""
        found: list[tuple[str, str]] = []
        for some in _chunks(runs):
            rows = self.connection.execute(
                select(_runs.c.id, _runs.c.stop_by).where(
                    _runs.c.id.in_(some), _runs.c.stop_requested_at > 0, ~_runs.c.stop_taken
                )
            ).all()
            found.extend((row.id, row.stop_by) for row in rows)
        return found

    def take_stop_request(self, run: str) -> None:
        """The request to stop this run has come to something: it is not given again."""
        self.connection.execute(_runs.update().where(_runs.c.id == run).values(stop_taken=True))

    def append_events(self, run: str, epoch: int, first_seq: int, events: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Append (kind, body) to the log of a run, numbered from `first_seq`.

        Raises Conflict, having written nothing, if the log does not end there or the epoch is not the newest: another
        worker has taken the run over. The transaction may go on.
        """
        next_seq = first_seq + len(events)
        done = self.connection.execute(
            statements.APPEND, {"run": run, "its_epoch": epoch, "first": first_seq, "next": next_seq}
        )
        if done.rowcount == 0:
            row = self.connection.execute(select(_runs.c.epoch, _runs.c.next_seq).where(_runs.c.id == run)).first()
            if row is None:
                raise NotFound(f"no run {run}", run=run)
            raise Conflict(
                f"run {run} is at event {row.next_seq} of epoch {row.epoch}: event {first_seq} of epoch {epoch} is refused",
                run=run,
            )
        self._insert_events(run, epoch, first_seq, events, self.clock())

    def _insert_events(
        self, run: str, epoch: int, first_seq: int, events: Sequence[tuple[str, dict[str, Any]]], at: float
    ) -> None:
        rows = [(run, seq, epoch, kind, encode(body), at) for seq, (kind, body) in enumerate(events, first_seq)]
        if rows:
            statements.ADD_EVENTS.run(self.connection, rows)

    def advance(self, runs: Sequence[Advance]) -> set[str]:
        """Write how far runs have come: four statements, however many there are.

        Gives those of which nothing is written, for the reasons for which append_events raises Conflict.
        """
        there: dict[str, tuple[int, int]] = {}
        for some in _chunks(
            sorted(one.run for one in runs)
        ):  # in order, so that two workers never wait for one another
            standing = select(_runs.c.id, _runs.c.epoch, _runs.c.next_seq).where(_runs.c.id.in_(some))
            for row in self.connection.execute(standing.order_by(_runs.c.id).with_for_update()):
                there[row.id] = row.epoch, row.next_seq
        going = [one for one in runs if there.get(one.run) == (one.epoch, one.first_seq)]
        counts = [
            (one.first_seq + len(one.events), *(one.progress[name] for name in COUNTERS), one.run) for one in going
        ]
        if counts:
            statements.ADVANCE.run(self.connection, counts)
        now = self.clock()
        events = [
            (one.run, seq, one.epoch, kind, encode(body), now)
            for one in going
            for seq, (kind, body) in enumerate(one.events, one.first_seq)
        ]
        if events:
            statements.ADD_EVENTS.run(self.connection, events)
        nodes = [
            (one.run, node, row.key, row.attempt, str(row.state), row.reused_from)
            for one in going
            for node, row in one.nodes.items()
        ]
        if nodes:
            statements.SET_NODES.run(self.connection, nodes)
        return {one.run for one in runs} - {one.run for one in going}

    # -- workers -------------------------------------------------------------------------------------------------

    def renew(self, worker: str, *, lease_s: float) -> None:
        """A sign of life: what this worker holds stays its own for `lease_s` seconds more.

        Raises Conflict if another process of that name is alive; a dead one's name may be used again.
        """
        now = self.clock()
        me = {"host": self.host, "pid": os.getpid(), "process": process_start(os.getpid())}
        mine = (_workers.c.id == worker) & (_workers.c.host == me["host"]) & (_workers.c.pid == me["pid"])
        signs = {"lease_until": now + lease_s, "seen_at": now}
        if self.connection.execute(
            _workers.update().where(mine, _workers.c.process == me["process"]).values(signs)
        ).rowcount:
            return
        holders = self._holders()
        live = alive(holders, host=self.host, now=now)
        if worker in live:
            raise Conflict(f"a worker named {worker} is alive already; give this one another name", worker=worker)
        # killed processes of this machine never come back, unlike those whose lease has merely run out
        dead = {h.id for h in holders if h.host == self.host and h.pid != os.getpid() and h.id not in live}
        for name in sorted({worker, *dead}):
            self._free(name)
        self.connection.execute(_workers.insert(), {"id": worker, "started_at": now, **signs, **me})

    def live_workers(self) -> list[str]:
        """Ids of the workers that hold what they have taken."""
        return alive(self._holders(), host=self.host, now=self.clock())

    def _holders(self) -> list[Holder]:
        columns = _workers.c.id, _workers.c.host, _workers.c.pid, _workers.c.process, _workers.c.lease_until
        return [Holder(*row) for row in self.connection.execute(select(*columns))]

    def release(self, worker: str) -> None:
        """Give up all that a worker holds: its runs may be driven, its attempts recovered by others at once.

        Should they turn out to be lost, that was nobody's fault (see `tries`).
        """
        mark = {"message": _GIVEN_UP}
        self.connection.execute(_jobs.update().where(_jobs.c.worker == worker, tables.JOB_OPEN).values(mark))
        self._free(worker)
        self.ring()

    def note_doing(self, worker: str, text: str) -> None:
        """What a worker is doing, for those who ask (JSON)."""
        self.connection.execute(_workers.update().where(_workers.c.id == worker).values(doing=clean(text)))

    def alone(self) -> None:
        """Until this transaction ends no other worker begins jobs (a writer of SQLite is alone anyway)."""
        if self.connection.dialect.name == "postgresql":
            self.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADMISSION})")

    def _free(self, worker: str) -> None:
        self.connection.execute(
            _runs.update().where(_runs.c.worker == worker, _runs.c.state == "running").values(worker="")
        )
        self.connection.execute(_jobs.update().where(_jobs.c.worker == worker, tables.JOB_OPEN).values(worker=""))
        self.connection.execute(_workers.delete().where(_workers.c.id == worker))

    def claim_runs(
        self,
        worker: str,
        *,
        lease_s: float,
        only: Iterable[str] | None = None,
        campaign: str = "",
        limit: int | None = None,
    ) -> list[tuple[str, int]]:
        """Take up runs that are queued or whose worker is gone, the most urgent and longest waiting first.

        Gives (run, epoch): all that this worker writes about the run must be of that epoch.
        """
        self.renew(worker, lease_s=lease_s)
        statement = self.claimable(only, campaign)
        if limit is None or only is not None or campaign:
            limited = statement if limit is None else statement.limit(limit)
            rows: Sequence[Any] = self.connection.execute(limited.with_for_update(skip_locked=True)).all()
        else:
            rows = self._fair_share(statement, limit)
        now = self.clock()
        for row in rows:
            values: dict[str, Any] = {"worker": worker, "epoch": row.epoch + 1, "state": "running"}
            if row.state == "queued":
                values["started_at"] = now
            self.connection.execute(_runs.update().where(_runs.c.id == row.id).values(values))
        return [(row.id, row.epoch + 1) for row in rows]

    def _fair_share(self, statement: Any, limit: int) -> list[Any]:
        """Of what may be claimed, that of the owner with the fewest runs under way, again and again.

        An owner with none gets one even if `limit` is used up: nobody waits for the end of another's campaign.
        """
        waiting: dict[str, deque[Any]] = {}
        live = self.live_workers()
        held = {owner: self._held_by(owner, live) for owner in self._owners()}
        for owner, count in held.items():
            some = limit if count or limit > 0 else 1
            if some > 0:
                its = statement.where(_runs.c.owner == owner).limit(some).with_for_update(skip_locked=True)
                if rows := self.connection.execute(its).all():
                    waiting[owner] = deque(rows)
        taken: list[Any] = []
        while waiting:
            owner = min(waiting, key=lambda one: (held[one], one))
            if len(taken) >= limit and held[owner]:
                break
            taken.append(waiting[owner].popleft())
            held[owner] += 1
            if not waiting[owner]:
                del waiting[owner]
        return taken

    def _held_by(self, owner: str, live: Sequence[str]) -> int:
        """How many runs of an owner live workers hold."""
        statement = select(func.count()).where(
            _runs.c.state == "running", _runs.c.owner == owner, _runs.c.worker.in_(live)
        )
        return int(self.connection.execute(statement).scalar_one())

    def _owners(self) -> list[str]:
        """Owners of runs that are queued or running: one look into the index for each, however many runs there are."""
        found: set[str] = set()
        for state in ("queued", "running"):
            last: str | None = None
            while True:
                statement = select(func.min(_runs.c.owner)).where(_runs.c.state == state)
                if last is not None:
                    statement = statement.where(_runs.c.owner > last)
                last = self.connection.execute(statement).scalar()
                if last is None:
                    break
                found.add(last)
        return sorted(found)

    def standing(self, runs: Sequence[str]) -> dict[str, tuple[str, int]]:
        """(owner, priority) of these runs."""
        found: dict[str, tuple[str, int]] = {}
        for some in _chunks(runs):
            rows = self.connection.execute(
                select(_runs.c.id, _runs.c.owner, _runs.c.priority).where(_runs.c.id.in_(some))
            )
            found.update((row.id, (row.owner, row.priority)) for row in rows)
        return found

    def epochs(self, runs: Sequence[str]) -> dict[str, int]:
        """The newest epoch of those of these runs that are not over."""
        found: dict[str, int] = {}
        for some in _chunks(runs):
            statement = select(_runs.c.id, _runs.c.epoch).where(_runs.c.id.in_(some), _runs.c.state == "running")
            found.update((row.id, row.epoch) for row in self.connection.execute(statement))
        return found

    def claimable(self, only: Iterable[str] | None, campaign: str = "") -> Any:
        """The query for runs that a worker may take up."""
        statement = (
            select(_runs.c.id, _runs.c.epoch, _runs.c.state)
            .where(
                _runs.c.state.in_(("queued", "running")),
                or_(_runs.c.state == "queued", _runs.c.worker.not_in(self.live_workers())),
            )
            .order_by(_runs.c.priority.desc(), _runs.c.queued_at, _runs.c.id)
        )
        if campaign:
            statement = statement.where(_runs.c.campaign == campaign)
        return statement if only is None else statement.where(_runs.c.id.in_(list(only)))

    # -- jobs ----------------------------------------------------------------------------------------------------

    def look_up(self, keys: Sequence[str]) -> dict[str, Claim]:
        """What `claim_jobs` would say of each job now; nothing is written, and nobody has to wait."""
        rows: dict[str, Any] = {}
        for some in _chunks(sorted(set(keys))):
            rows.update((row[0], row) for row in self.connection.execute(statements.CLAIMABLE_JOBS, {"keys": some}))
        return {key: _claim(rows[key], "") if key in rows else Claim(key, 1, True, None, "") for key in keys}

    def claim_jobs(
        self,
        wanted: Sequence[tuple[str, str]],
        worker: str,
        backend: str,
        *,
        reused: Sequence[tuple[str, int]] = (),
    ) -> list[Claim]:
        """What to do about each job of (key, run that needs it): reuse it, follow its attempt, or begin a new one.

        Whoever asks first begins; the row is there, in state queued, before the backend hears of it. Raises Conflict if one
        of `reused`, attempts that counted when they were looked up, does so no more; until the end of this transaction
        they do.
        """
        names = sorted({key for key, _ in wanted})
        if names:
            statements.ADD_KEYS.run(self.connection, [(key,) for key in names])
        rows: dict[str, Any] = {}
        for some in _chunks(sorted({*names, *(key for key, _ in reused)})):
            if self.connection.dialect.name == "postgresql":  # a writer of SQLite is alone anyway
                self.connection.execute(statements.LOCK_KEYS, {"keys": some})
            rows.update((row[0], row) for row in self.connection.execute(statements.CLAIMABLE_JOBS, {"keys": some}))
        for key, attempt in reused:
            if key not in rows or rows[key].counts != attempt:
                raise Conflict(f"outputs {key}/{attempt} are nobody's any more")
        now = self.clock()
        claims: dict[str, Claim] = {}
        again: list[Claim] = []
        new: list[tuple[Any, ...]] = []
        for key, run in wanted:
            if key in claims:
                first = claims[key]
                again.append(Claim(key, first.attempt, False, first.outcome, first.first_run))
                continue
            claims[key] = claim = _claim(rows[key], run)
            if claim.begun:
                new.append((key, claim.attempt, "queued", backend, now, worker, run))
        if new:
            statements.ADD_JOBS.run(self.connection, new)
            statements.SET_LATEST.run(self.connection, [(job[1], job[0]) for job in new])
        seen: set[str] = set()
        answers: list[Claim] = []
        for key, _ in wanted:
            answers.append(again.pop(0) if key in seen else claims[key])
            seen.add(key)
        return answers

    def start_jobs(self, attempts: Sequence[tuple[str, int]]) -> None:
        """These attempts execute now; those that have ended stay ended."""
        if attempts:
            now = self.clock()
            statements.START_JOBS.run(self.connection, [(now, key, attempt) for key, attempt in attempts])

    def finish_jobs(self, ended: Sequence[tuple[str, int, JobOutcome]]) -> None:
        """Write down how attempts ended. The first outcome of an attempt stands; a later one changes nothing.

        The first finished and reusable attempt of a job is the one that counts.
        """
        if not ended:
            return
        rows = [
            (
                str(outcome.state), str(outcome.cause or ""), outcome.exit_code, clean(outcome.message), outcome.digest,
                outcome.size_bytes, outcome.reusable, encode(dict(outcome.details)) if outcome.details else "",
                outcome.started_at, outcome.ended_at or self.clock(), key, attempt,
            )
            for key, attempt, outcome in ended
        ]  # fmt: skip
        statements.FINISH_JOBS.run(self.connection, rows)
        counting = [(a, key) for key, a, outcome in ended if outcome.state is JobState.FINISHED and outcome.reusable]
        if counting:
            statements.COUNT_JOBS.run(self.connection, counting)

    def ended(self, attempts: Sequence[tuple[str, int]]) -> list[tuple[str, int, JobOutcome]]:
        """Those of these attempts that have ended, with their outcome."""
        return [
            (row.key, row.attempt, outcome_of(row))
            for row in self._rows(attempts)
            if row.state not in ("queued", "running")
        ]

    def stale(self, attempts: Sequence[tuple[str, int]], worker: str) -> list[tuple[str, int]]:
        """Those of these attempts whose worker is gone; they are this worker's from now on, who must recover them."""
        open_rows = [row for row in self._rows(attempts) if row.state in ("queued", "running")]
        if not open_rows:
            return []
        live = set(self.live_workers())
        found = [(row.key, row.attempt, row.worker) for row in open_rows if row.worker not in live]
        return self._take_over(found, worker)

    def stale_attempts(self, worker: str, *, backend: str | None = None) -> list[tuple[str, int]]:
        """All attempts (of one backend) whose worker is gone; they are this worker's from now on, who must recover them."""
        return self._take_over([tuple(row) for row in self.connection.execute(self.abandoned(worker, backend))], worker)

    def abandoned(self, worker: str, backend: str | None) -> Any:
        """The query for attempts that have not ended and whose worker is gone, as `worker` sees it."""
        statement = select(_jobs.c.key, _jobs.c.attempt, _jobs.c.worker).where(
            tables.JOB_OPEN, _jobs.c.worker.not_in([worker, *self.live_workers()])
        )
        return statement if backend is None else statement.where(_jobs.c.backend == backend)

    def _take_over(self, rows: Sequence[tuple[Any, ...]], worker: str) -> list[tuple[str, int]]:
        """Compare-and-set of who holds an attempt: of two who see a dead worker, one gets it."""
        taken = []
        for key, attempt, before in rows:
            values = {"its_key": key, "its_attempt": attempt, "before": before, "after": worker}
            if self.connection.execute(statements.TAKE_OVER_JOB, values).rowcount:
                taken.append((key, attempt))
        return taken

    def open_jobs(self, backend: str | None = None) -> dict[str, int]:
        """How many attempts that have not ended each owner has (of the run that began them), on one backend or on all."""
        statement = (
            select(_runs.c.owner, func.count())
            .select_from(_jobs.join(_runs, _runs.c.id == _jobs.c.first_run))
            .where(text("jobs.state IN ('queued', 'running')"))
            .group_by(_runs.c.owner)
        )
        if backend is not None:
            statement = statement.where(_jobs.c.backend == backend)
        return {row[0]: row[1] for row in self.connection.execute(statement)}

    def job_quotas(self) -> dict[str, int]:
        """How many attempts may be open at once, of owners for whom that is limited."""
        users = tables.users
        statement = select(users.c.name, users.c.running_jobs).where(users.c.running_jobs > 0)
        return {row.name: row.running_jobs for row in self.connection.execute(statement)}

    def tries(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[Try]]:
        """For each attempt, those at the same job up to it that one run has begun, the oldest first.

        An attempt that has not ended is among them with no cause, or with that of a worker that was shut down.
        """
        columns = [_jobs.c[name] for name in ("key", "attempt", "cause", "message", "details", "first_run")]
        rows: dict[str, list[Any]] = {}
        for some in _chunks(sorted({key for key, _ in places})):
            statement = select(*columns).where(_jobs.c.key.in_(some)).order_by(_jobs.c.attempt)
            for row in self.connection.execute(statement):
                rows.setdefault(row.key, []).append(row)
        found = {}
        for key, attempt in places:
            run = next((row.first_run for row in rows.get(key, ()) if row.attempt == attempt), None)
            found[key, attempt] = [
                _try_of(row) for row in rows.get(key, ()) if row.first_run == run and row.attempt <= attempt
            ]
        return found

    def unwanted(self, places: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Those of these attempts that no run needs which is not over."""
        wanted: set[tuple[str, int]] = set()
        nodes = tables.nodes
        for some in _chunks(sorted({key for key, _ in places})):
            statement = (
                select(nodes.c.key, nodes.c.attempt)
                .join(_runs, _runs.c.id == nodes.c.run)
                .where(nodes.c.key.in_(some), _runs.c.state.in_(("queued", "running")))
            )
            wanted.update((row.key, row.attempt) for row in self.connection.execute(statement))
        return [place for place in places if place not in wanted]

    def spoil_job(self, key: str, attempt: int) -> None:
        """Nobody reuses this attempt any more; runs that have used it are not changed."""
        self.forget_job(key, attempt)

    def forget_job(self, key: str, attempt: int) -> None:
        """The outputs of this attempt are gone or wrong: the next run that needs the job computes it anew."""
        which = {"its_key": key, "its_attempt": attempt}
        self.connection.execute(statements.SPOIL_JOB, which)
        self.connection.execute(statements.UNCOUNT_JOB, which)

    def shared_places(self, places: Sequence[tuple[str, int]], *, besides: str) -> set[tuple[str, int]]:
        """Those of these places that runs other than `besides` name."""
        wanted = set(places)
        found: set[tuple[str, int]] = set()
        for some in _chunks(sorted({key for key, _ in wanted})):
            statement = select(tables.nodes.c.key, tables.nodes.c.attempt).distinct()
            others = statement.where(tables.nodes.c.key.in_(some), tables.nodes.c.run != besides)
            found.update((row.key, row.attempt) for row in self.connection.execute(others))
        return found & wanted

    def note_harmless(self, templates: Sequence[str]) -> None:
        """These templates of steps are known to leave their inputs alone."""
        statement = statements.insert(tables.meta, self.connection.dialect.name).on_conflict_do_nothing()
        self.connection.execute(statement, [{"name": f"harmless:{name}", "value": "1"} for name in templates])

    # -- other records -------------------------------------------------------------------------------------------

    def save_result(self, run: str, kind: str, document: Mapping[str, Any]) -> None:
        """Keep a result document of a run; one of the same kind is replaced."""
        values = {"run": run, "kind": kind, "document": encode(dict(document)), "at": self.clock()}
        statement = statements.insert(tables.results, self.connection.dialect.name).values(values)
        self.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["run", "kind"], set_={"document": values["document"], "at": values["at"]}
            )
        )

    # -- inside --------------------------------------------------------------------------------------------------

    def state_of(self, run: str) -> RunState:
        """Where a run stands; raises NotFound."""
        state = self.connection.execute(select(_runs.c.state).where(_runs.c.id == run)).scalar()
        if state is None:
            raise NotFound(f"no run {run}", run=run)
        return RunState(state)

    def _rows(self, attempts: Sequence[tuple[str, int]]) -> list[Any]:
        wanted = set(attempts)
        rows: list[Any] = []
        for some in _chunks(sorted({key for key, _ in wanted})):
            rows.extend(self.connection.execute(_jobs.select().where(_jobs.c.key.in_(some))))
        return [row for row in rows if (row.key, row.attempt) in wanted]


def _claim(row: Any, run: str) -> Claim:
    """What to do about a job, by its row of CLAIMABLE_JOBS, for a run that needs it."""
    if row.counts:
        return Claim(row[0], row.counts, False, outcome_of(row), row.first_run)
    if row.latest and row.state in ("queued", "running"):
        return Claim(row[0], row.latest, False, None, row.first_run)
    return Claim(row[0], row.latest + 1, True, None, run)


def _try_of(row: Any) -> Try:
    details = json.loads(row.details) if row.details else {}
    reason = SHUT_DOWN if row.message == _GIVEN_UP and not row.cause else str(details.get("reason", ""))
    memory = details.get("memory_bytes")
    return Try(row.cause, reason, memory if isinstance(memory, int) else None)


def _chunks(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[i : i + CHUNK] for i in range(0, len(values), CHUNK)]
