"""The statements that a worker executes at every turn, for many rows at once.

Compiled once per database and handed to its driver as they are: going through SQLAlchemy's parameters for each row took
half of the time of a turn (benchmarks/bench_database.py). Only this package executes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, exists, func, select, text

from reana_lite.database import tables
from reana_lite.database.records import COUNTERS

_runs, _jobs, _keys, _nodes = tables.runs, tables.jobs, tables.keys, tables.nodes


CHUNK = 500
"""Values in one IN list: far below the limits of both databases."""

V = TypeVar("V")


def chunks(values: Sequence[V]) -> list[Sequence[V]]:
    """The values in parts, each for one IN list."""
    return [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]


class Bulk:
    """One statement for rows given as tuples in the order of `names`.

    `build` makes the statement, given the name of the database's dialect; its parameters are `names` and nothing else.
    """

    def __init__(self, names: str, build: Callable[[str], Any]) -> None:
        self.names = tuple(names.split())
        self._build = build
        self._compiled: dict[str, tuple[str, Callable[[tuple[Any, ...]], Any] | None]] = {}

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for all rows, of which there is at least one."""
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            compiled = self._build(dialect.name).compile(dialect=dialect, column_keys=list(self.names))
            assert set(compiled.params) == set(self.names), "every parameter is given"
            self._compiled[dialect.name] = str(compiled), self._arranger(compiled.positiontup)
        sql, arrange = self._compiled[dialect.name]
        connection.exec_driver_sql(sql, list(rows) if arrange is None else [arrange(row) for row in rows])

    def _arranger(self, order: Sequence[str] | None) -> Callable[[tuple[Any, ...]], Any] | None:
        """What makes of a row what the driver wants: a tuple in its order, or a dict; None if it is right already."""
        if order is None:
            return lambda row: dict(zip(self.names, row, strict=True))
        if tuple(order) == self.names:
            return None
        return itemgetter(*map(self.names.index, order))


def insert(table: Table, dialect: str) -> Any:
    """An INSERT that knows ON CONFLICT, which both databases spell alike but SQLAlchemy keeps apart.

    Its `rowcount` is how many rows came; without being asked to, SQLAlchemy gives -1 for an INSERT in PostgreSQL.
    """
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).execution_options(preserve_rowcount=True)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table).execution_options(preserve_rowcount=True)


def _columns(table: Table) -> str:
    return " ".join(column.name for column in table.columns)


def _attempt() -> tuple[Any, Any]:
    return _jobs.c.key == bindparam("its_key"), _jobs.c.attempt == bindparam("its_attempt")


ADD_EVENTS = Bulk(_columns(tables.events), lambda _: tables.events.insert())

_OUTCOME = "state cause exit_code message digest size_bytes reusable details started_at ended_at"

ADD_KEYS = Bulk(
    "key",
    lambda dialect: (
        insert(_keys, dialect).values(key=bindparam("key"), counts=text("0"), latest=text("0")).on_conflict_do_nothing()
    ),
)

ADD_JOBS = Bulk("key attempt state backend queued_at worker first_run", lambda _: _jobs.insert())

SET_LATEST = Bulk(
    "latest its_key",
    lambda _: _keys.update().where(_keys.c.key == bindparam("its_key")).values(latest=bindparam("latest")),
)

START_JOBS = Bulk(
    "started_at its_key its_attempt",
    lambda _: (
        _jobs.update()
        .where(*_attempt(), tables.JOB_OPEN)
        .values(state=text("'running'"), started_at=bindparam("started_at"))
    ),
)

FINISH_JOBS = Bulk(
    f"{_OUTCOME} its_key its_attempt",
    lambda _: (
        _jobs.update().where(*_attempt(), tables.JOB_OPEN).values({name: bindparam(name) for name in _OUTCOME.split()})
    ),
)

COUNT_JOBS = Bulk(
    "its_attempt its_key",
    lambda _: (
        _keys.update()
        .where(
            _keys.c.key == bindparam("its_key"),
            text("keys.counts = 0"),
            # the outcome just offered may have come too late
            exists(text("1")).where(*_attempt(), text("jobs.state = 'finished'"), _jobs.c.reusable).select_from(_jobs),
        )
        .values(counts=bindparam("its_attempt"))
    ),
)


def _set_nodes(dialect: str) -> Any:
    statement = insert(_nodes, dialect)
    new = {name: statement.excluded[name] for name in ("key", "attempt", "state", "reused_from")}
    return statement.on_conflict_do_update(index_elements=["run", "node"], set_=new)


SET_NODES = Bulk(_columns(_nodes), _set_nodes)

ADVANCE = Bulk(
    f"next {' '.join(COUNTERS)} run",
    lambda _: (
        _runs.update()
        .where(_runs.c.id == bindparam("run"))
        .values(next_seq=bindparam("next"), **{name: bindparam(name) for name in COUNTERS})
    ),
)

# these are executed once per turn, and go the usual way

APPEND = (
    _runs.update()
    .where(
        _runs.c.id == bindparam("run"), _runs.c.epoch == bindparam("its_epoch"), _runs.c.next_seq == bindparam("first")
    )
    .values(next_seq=bindparam("next"))
)

LOCK_KEYS = (
    select(_keys.c.key)
    .where(_keys.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(_keys.c.key)
    .with_for_update()
)

# a statement of its own after the one above: PostgreSQL, having waited for a lock, reads the locked row anew, but not what
# is joined to it
CLAIMABLE_JOBS = (
    select(_keys.c.key, _keys.c.counts, _keys.c.latest, _jobs)
    .select_from(
        _keys.outerjoin(
            _jobs,
            (_jobs.c.key == _keys.c.key)
            & (_jobs.c.attempt == func.coalesce(func.nullif(_keys.c.counts, 0), _keys.c.latest)),
        )
    )
    .where(_keys.c.key.in_(bindparam("keys", expanding=True)))
)

UNCOUNT_JOB = (
    _keys.update()
    .where(_keys.c.key == bindparam("its_key"), _keys.c.counts == bindparam("its_attempt"))
    .values(counts=0)
)

SPOIL_JOB = _jobs.update().where(*_attempt()).values(reusable=False)

TAKE_OVER_JOB = (
    _jobs.update()
    .where(*_attempt(), _jobs.c.worker == bindparam("before"), tables.JOB_OPEN)
    .values(worker=bindparam("after"))
)
