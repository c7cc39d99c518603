"""The database as worker, command line and server see it: one object per URL, safe to share between threads.

Reads are here; each write opens one transaction of its own (transaction.py). No rule about runs or jobs is here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, and_, false, func, or_, select

from reana_lite.database import opening, tables
from reana_lite.database.bell import Heard, Listener, bell_of
from reana_lite.database.holders import this_host
from reana_lite.database.records import TERMINAL_RUN, JobRecord, NodeRecord, RunRecord, job_of, run_of
from reana_lite.database.transaction import Transaction
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.event import RunState

_runs, _jobs, _keys, _nodes = tables.runs, tables.jobs, tables.keys, tables.nodes
RUN_COLUMNS = [column for column in _runs.c if column.name != "stop_taken"]
RUN_WITH_REQUEST = select(*RUN_COLUMNS, tables.requests.c.document.label("request")).select_from(
    _runs.outerjoin(tables.requests, tables.requests.c.run == _runs.c.id)
)
"""With what it was asked for with: one way to the database for both."""
_OVER = [state.value for state in TERMINAL_RUN]

PAGE = 1000
"""Events read at a time."""


class Database:
    """Records at a URL, such as sqlite:////path/file.db; a new file gets its tables, an older one is brought up to date.

    `host` (where process ids mean the same) and `clock` (UTC seconds) are for tests.
    """

    def __init__(self, url: str, *, host: str = "", clock: Callable[[], float] = time.time) -> None:
        self.host = host or this_host()
        self.clock = clock
        self._engine = opening.make_engine(url)
        self._reader = opening.reader_of(self._engine)
        self._bell = bell_of(self._engine)
        try:
            with opening.told(self._engine):
                opening.create_or_check(self._engine)
        except BaseException:
            self._engine.dispose()
            raise

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def upgrade(self) -> None:
        """Run the migrations that this database has not seen."""
        with opening.told(self._engine):
            opening.upgrade(self._engine)

    @staticmethod
    def migrate(url: str) -> tuple[str, str]:
        """Bring the database at a URL up to date, or make its tables; gives its version before ("": none) and now."""
        engine = opening.make_engine(url)
        try:
            with opening.told(engine):
                return opening.migrate(engine)
        finally:
            engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Many writes as one: all of them, or none if the block raises."""
        transaction = Transaction(self._begin, host=self.host, clock=self.clock, bell=self._bell)
        with opening.told(self._engine):
            try:
                yield transaction
            except BaseException:
                transaction.end(commit=False)
                raise
            transaction.end(commit=True)

    def listen(self, heard: Heard) -> Listener:
        """Call `heard`, from a thread of its own, whenever a process has queued, stopped or given up runs.

        It may be called without need, and need not be called at all: who waits for something still looks now and then.
        """
        return self._bell.listen(heard)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for the statements of this package that only read."""
        with opening.told(self._engine), self._reader.connect() as connection:
            yield connection

    def _begin(self) -> Connection:
        connection = self._engine.connect().execution_options(writes=True)
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        return connection

    # -- runs ----------------------------------------------------------------------------------------------------

    def create_run(self, **values: Any) -> RunRecord:
        """A new run, as Transaction.create_run says."""
        with self.transaction() as transaction:
            transaction.create_run(**values)
        return self.exact_run(values["run"])

    def get_run(self, name: str, *, owner: str | None = None) -> RunRecord:
        """The run of that id, `name.number`, name (its newest), beginning of one of them, or `latest`.

        With `owner`, only theirs. Raises NotFound, and InvalidInput if a beginning fits several.
        """
        with self.reading() as connection:
            found = self._find(connection, name, [] if owner is None else [_runs.c.owner == owner])
        if found is None:
            raise NotFound(f"no run {name!r}" if name != "latest" else "there are no runs yet", run=name)
        return self.exact_run(found)

    def _find(self, connection: Connection, name: str, conditions: list[Any]) -> str | None:
        def newest(*more: Any) -> str | None:
            statement = select(_runs.c.id).where(*conditions, *more)
            return connection.execute(statement.order_by(_runs.c.created_at.desc(), _runs.c.id).limit(1)).scalar()

        if name == "latest":
            return newest()
        exact = newest(_runs.c.id == name) or newest(full_name(name)) or newest(_runs.c.name == name)
        if exact is not None or not name:
            return exact
        ids = connection.execute(
            select(_runs.c.id).where(*conditions, _runs.c.id.startswith(name, autoescape=True)).limit(4)
        ).scalars().all()  # fmt: skip
        names = connection.execute(
            select(_runs.c.name).distinct().where(*conditions, _runs.c.name.startswith(name, autoescape=True)).limit(4)
        ).scalars().all()  # fmt: skip
        if len(ids) + len(names) > 1:
            some = ", ".join(sorted([*ids, *names])[:3])
            raise InvalidInput(f"{name!r} may be several runs ({some}, ...): give more of it", field="run", value=name)
        return ids[0] if ids else newest(_runs.c.name == names[0]) if names else None

    def exact_run(self, run: str) -> RunRecord:
        """The run of exactly that id; raises NotFound."""
        with self.reading() as connection:
            row: Any = connection.execute(RUN_WITH_REQUEST.where(_runs.c.id == run)).first()
        if row is None:
            raise NotFound(f"no run {run!r}", run=run)
        return run_of(row, row.request or "")

    def list_runs(
        self,
        *,
        states: Iterable[str] = (),
        analysis: str | None = None,
        owner: str | None = None,
        name: str | None = None,
        campaign: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[RunRecord]:
        """Runs, the newest first, without their requests; the page after the run `before`."""
        states = [RunState(state).value if state in set(RunState) else _no_state(state) for state in states]
        statement = select(*RUN_COLUMNS).order_by(_runs.c.created_at.desc(), _runs.c.id.desc()).limit(limit)
        if states:
            statement = statement.where(_runs.c.state.in_(states))
        for column, value in ((_runs.c.analysis, analysis), (_runs.c.owner, owner), (_runs.c.name, name),
                              (_runs.c.campaign, campaign)):  # fmt: skip
            if value is not None:
                statement = statement.where(column == value)
        if before is not None:
            last = self.exact_run(before)
            statement = statement.where(
                or_(
                    _runs.c.created_at < last.created_at,
                    and_(_runs.c.created_at == last.created_at, _runs.c.id < last.id),
                )
            )
        with self.reading() as connection:
            return [run_of(row) for row in connection.execute(statement)]

    def unfinished(self, runs: Iterable[str] | None = None, *, campaign: str = "") -> list[str]:
        """Those of these runs, or of a campaign's, that are not over; of the latter only some."""
        statement = select(_runs.c.id).where(_runs.c.state.not_in(_OVER))
        if runs is not None:
            statement = statement.where(_runs.c.id.in_(list(runs)))
        if campaign:
            statement = statement.where(_runs.c.campaign == campaign).limit(100)
        with self.reading() as connection:
            return list(connection.execute(statement).scalars())

    def set_run_state(self, run: str, state: RunState, *, error: str = "") -> None:
        """Compare-and-set, as Transaction.set_run_state says."""
        with self.transaction() as transaction:
            transaction.set_run_state(run, state, error=error)

    def request_stop(self, run: str, *, by: str = "") -> RunState:
        """Ask for the end of a run, as Transaction.request_stop says."""
        with self.transaction() as transaction:
            return transaction.request_stop(run, by=by)

    def read_events(self, run: str, from_seq: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
        """The log of a run from `from_seq` on: (seq, kind, body)."""
        return [(seq, kind, body) for seq, kind, body, _ in self.timeline(run, from_seq)]

    def timeline(self, run: str, from_seq: int = 0) -> Iterator[tuple[int, str, dict[str, Any], float]]:
        """The log of a run with the time of each event: (seq, kind, body, UTC seconds), read page by page."""
        columns = [tables.events.c[name] for name in ("seq", "kind", "body", "at")]
        while True:
            statement = (
                select(*columns)
                .where(tables.events.c.run == run, tables.events.c.seq >= from_seq)
                .order_by(tables.events.c.seq)
                .limit(PAGE)
            )
            with self.reading() as connection:
                rows = connection.execute(statement).all()
            for row in rows:
                yield row.seq, row.kind, json.loads(row.body), row.at
            if len(rows) < PAGE:
                return
            from_seq = rows[-1].seq + 1

    def nodes_of(self, run: str) -> list[NodeRecord]:
        """The nodes of a run, by name."""
        columns = [_nodes.c[name] for name in NodeRecord.__dataclass_fields__]
        with self.reading() as connection:
            rows = connection.execute(select(*columns).where(_nodes.c.run == run).order_by(_nodes.c.node)).all()
        return [NodeRecord(*row) for row in rows]

    # -- workers -------------------------------------------------------------------------------------------------

    @contextmanager
    def peek(self) -> Iterator[Transaction]:
        """A transaction that only reads and makes nobody wait."""
        transaction = Transaction(self._engine.connect, host=self.host, clock=self.clock)
        with opening.told(self._engine):
            try:
                yield transaction
            finally:
                transaction.end(commit=False)

    # -- jobs ----------------------------------------------------------------------------------------------------

    def attempts(self, key: str) -> list[JobRecord]:
        """All attempts at a job, the first one first."""
        statement = _job_rows().where(_jobs.c.key == key).order_by(_jobs.c.attempt)
        with self.reading() as connection:
            return [job_of(row) for row in connection.execute(statement)]

    def kept_jobs(self) -> list[JobRecord]:
        """Attempts whose outputs are there to be reused."""
        with self.reading() as connection:
            return [job_of(row) for row in connection.execute(_job_rows().where(_keys.c.counts == _jobs.c.attempt))]

    def running_jobs_of(self, worker: str) -> list[JobRecord]:
        """Attempts that this worker has begun and that have not ended."""
        statement = _job_rows().where(_jobs.c.worker == worker, tables.JOB_OPEN)
        with self.reading() as connection:
            return [job_of(row) for row in connection.execute(statement)]

    def jobs_of(self, run: str) -> list[JobRecord]:
        """The attempts that the nodes of a run use, by node; `reused_from` as the node says."""
        statement = (
            select(_jobs, (_keys.c.counts == _jobs.c.attempt).label("counts"), _nodes.c.node, _nodes.c.reused_from)
            .join(_nodes, and_(_nodes.c.key == _jobs.c.key, _nodes.c.attempt == _jobs.c.attempt))
            .join(_keys, _keys.c.key == _jobs.c.key)
            .where(_nodes.c.run == run)
            .order_by(_nodes.c.node)
        )
        with self.reading() as connection:
            return [job_of(row) for row in connection.execute(statement)]

    # -- other records -------------------------------------------------------------------------------------------

    def save_result(self, run: str, kind: str, document: Mapping[str, Any]) -> None:
        """Keep a result document of a run; one of the same kind is replaced."""
        with self.transaction() as transaction:
            transaction.save_result(run, kind, document)

    def get_result(self, run: str, kind: str) -> dict[str, Any] | None:
        """A result document of a run, or None."""
        results = tables.results
        statement = select(results.c.document).where(results.c.run == run, results.c.kind == kind)
        with self.reading() as connection:
            text = connection.execute(statement).scalar()
        document: dict[str, Any] | None = None if text is None else json.loads(text)
        return document

    def installation(self) -> str:
        """The id this database got when it was made."""
        with self.reading() as connection:
            return str(
                connection.execute(select(tables.meta.c.value).where(tables.meta.c.name == "installation")).scalar_one()
            )


def _job_rows() -> Any:
    """Attempts with whether they count and the first node that needed them."""
    node = (
        select(func.min(_nodes.c.node))
        .where(_nodes.c.key == _jobs.c.key, _nodes.c.run == _jobs.c.first_run)
        .scalar_subquery()
        .label("node")
    )
    return select(_jobs, (_keys.c.counts == _jobs.c.attempt).label("counts"), node).join(
        _keys, _keys.c.key == _jobs.c.key
    )


def full_name(name: str) -> Any:
    """The condition for `name.number` and `name.number.restart` (a name may itself end like that)."""
    fitting: list[Any] = [false()]
    for dots in (1, 2):
        stem, *numbers = name.rsplit(".", dots)
        if len(numbers) == dots and all(number.isdecimal() and len(number) < 10 for number in numbers):
            number, restart = [*map(int, numbers), 0][:2]
            fitting.append(and_(_runs.c.name == stem, _runs.c.number == number, _runs.c.restart == restart))
    return or_(*fitting)


def _no_state(state: str) -> str:
    raise InvalidInput(f"{state!r} is not a state of a run; known: {', '.join(RunState)}", field="state", value=state)
