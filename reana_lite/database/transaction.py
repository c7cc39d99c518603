"""Many writes as one, and all that is written about runs: their states, logs, nodes and results.

A worker writes a whole turn of its loop through one of these, what it holds by workers.py, attempts by jobs.py; everything
else goes through Database, which opens one per call. It begins with its first statement, so an empty one costs nothing.
State changes are compare-and-set by RUN_TRANSITIONS. Where rows are many, statements are executed in bulk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from reana_lite.database import statements, tables
from reana_lite.database.bell import Bell
from reana_lite.database.holders import Holder, alive
from reana_lite.database.records import COUNTERS, TERMINAL_RUN, Advance, clean, encode
from reana_lite.errors import Conflict, NotFound
from reana_lite.event import RUN_TRANSITIONS, RunState

_runs, _workers = tables.runs, tables.workers

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
        for some in statements.chunks(runs):
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
        for some in statements.chunks(
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

    def live_workers(self) -> list[str]:
        """Ids of the workers that hold what they have taken."""
        return alive(self.workers(), host=self.host, now=self.clock())

    def workers(self) -> list[Holder]:
        """All rows of workers, of the dead ones as well."""
        columns = _workers.c.id, _workers.c.host, _workers.c.pid, _workers.c.process, _workers.c.lease_until
        return [Holder(*row) for row in self.connection.execute(select(*columns))]

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
