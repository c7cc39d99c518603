"""What waits, for whom and why, and which workers do what: for people who wonder. Nothing is decided by it.

Functions of a Database; called by the command line and the server. Why a run waits that a worker has, that worker has
written down (workers.doing); why one waits that nobody has taken up, follows from the workers there are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import and_, func, or_, select

from reana_lite.database import tables
from reana_lite.database.database import RUN_COLUMNS, Database
from reana_lite.database.holders import Holder, alive
from reana_lite.database.records import JobRecord, RunRecord, job_of, run_of

_runs, _jobs, _keys, _nodes = tables.runs, tables.jobs, tables.keys, tables.nodes

GONE_S = 600.0
"""How long a worker is shown that gives no sign of life (seconds)."""


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker: what it holds (`runs`), what its backend has (`jobs`), and what keeps it from going on, if anything does.

    `waiting`: by run, why it waits. `seen_at`: its last sign of life (UTC seconds); it may not be `alive` any more.
    """

    name: str
    host: str
    backend: str
    alive: bool
    started_at: float
    seen_at: float
    runs: int
    jobs: int
    trouble: str
    waiting: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without other people's runs."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "waiting"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that has something to begin and has not begun it, and why."""

    run: RunRecord
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**self.run.to_dict(), "reason": self.reason}


def workers(database: Database) -> list[WorkerRecord]:
    """The workers that are alive, or were a short while ago, by name."""
    table = tables.workers
    statement = select(table).where(table.c.lease_until > database.clock() - GONE_S).order_by(table.c.id)
    with database.reading() as connection:
        rows = connection.execute(statement).all()
    holders = [Holder(row.id, row.host, row.pid, row.process, row.lease_until) for row in rows]
    living = set(alive(holders, host=database.host, now=database.clock()))
    return [_worker_of(row, alive=row.id in living) for row in rows]


def _worker_of(row: Any, *, alive: bool) -> WorkerRecord:
    doing: dict[str, Any] = json.loads(row.doing) if row.doing else {}
    return WorkerRecord(
        row.id, row.host.partition("/")[0], str(doing.get("backend", "")), alive, row.started_at,
        row.seen_at, int(doing.get("runs", 0)), int(doing.get("jobs", 0)), str(doing.get("trouble", "")),
        dict(doing.get("waiting", {})),
    )  # fmt: skip


def waiting(
    database: Database, *, owner: str | None = None, limit: int = 100, known: Sequence[WorkerRecord] | None = None
) -> list[Waiting]:
    """Runs of an owner (None: of everybody) that wait: those that are being driven first, then those of the queue in order.

    `known`: the workers, if they have been looked at already.
    """
    there = workers(database) if known is None else known
    reasons = _reasons(there)
    mine = [] if owner is None else [_runs.c.owner == owner]
    driven = select(*RUN_COLUMNS).where(_runs.c.id.in_(sorted(reasons)), _runs.c.state == "running", *mine)
    queued = select(*RUN_COLUMNS).where(_runs.c.state == "queued", *mine)
    order = (_runs.c.priority.desc(), _runs.c.queued_at, _runs.c.id)
    with database.reading() as connection:
        records = [run_of(row) for row in connection.execute(driven.order_by(*order).limit(limit))]
        found = [Waiting(record, reasons[record.id]) for record in records]
        rows = connection.execute(queued.order_by(*order).limit(limit - len(found))).all()
    before: Counter[str] = Counter()
    for record in map(run_of, rows):
        found.append(Waiting(record, _why_queued(there, before[record.owner])))
        before[record.owner] += 1
    return found


def reason(database: Database, record: RunRecord) -> str:
    """Why a run waits; "" if it does not, or it is not known."""
    if record.state not in ("queued", "running"):
        return ""
    there = workers(database)
    if record.state == "running":
        found = _reasons(there).get(record.id, "")
        holder = next((worker for worker in there if worker.name == record.worker), None)
        if not found and holder is not None:
            return holder.trouble
        if not found and record.worker and holder is None and not any(worker.alive for worker in there):
            return "its worker is gone, and no other one is running"
        return found
    earlier = or_(
        _runs.c.priority > record.priority,
        and_(_runs.c.priority == record.priority, _runs.c.queued_at < record.queued_at),
    )
    statement = select(func.count()).where(_runs.c.state == "queued", _runs.c.owner == record.owner, earlier)
    with database.reading() as connection:
        return _why_queued(there, int(connection.execute(statement).scalar_one()))


def length(database: Database, *, owner: str | None = None) -> int:
    """How many runs wait for a worker."""
    statement = select(func.count()).where(_runs.c.state == "queued")
    if owner is not None:
        statement = statement.where(_runs.c.owner == owner)
    with database.reading() as connection:
        return int(connection.execute(statement).scalar_one())


def points_without_run(database: Database, *, owner: str | None = None) -> int:
    """How many points of campaigns that are not stopped have no run yet: they get one when the queue has room."""
    points, campaigns = tables.points, tables.campaigns
    statement = (
        select(func.count())
        .select_from(points.join(campaigns, campaigns.c.id == points.c.campaign))
        .where(points.c.run == "", points.c.error == "", campaigns.c.stopped_at == 0)
    )
    if owner is not None:
        statement = statement.where(campaigns.c.owner == owner)
    with database.reading() as connection:
        return int(connection.execute(statement).scalar_one())


def _reasons(there: Iterable[WorkerRecord]) -> dict[str, str]:
    return {run: text for worker in there if worker.alive for run, text in worker.waiting.items()}


def _why_queued(there: Iterable[WorkerRecord], before: int) -> str:
    living = [worker for worker in there if worker.alive]
    if not living:
        return "no worker is running: start recast worker, or recast serve"
    well = [worker for worker in living if not worker.trouble]
    if not well:
        return living[0].trouble
    runs = sum(worker.runs for worker in well)
    ahead = f"; {before} more of the same owner are before it" if before else ""
    return f"a worker takes it up when it is its turn: {runs} runs are being driven{ahead}"


def attempts(database: Database, run: str) -> list[JobRecord]:
    """All attempts that a run has begun, and those of other runs that it uses, by node and number."""
    statement = (
        select(_jobs, (_keys.c.counts == _jobs.c.attempt).label("counts"), _nodes.c.node, _nodes.c.reused_from)
        .select_from(_nodes)
        .join(_jobs, _jobs.c.key == _nodes.c.key)
        .join(_keys, _keys.c.key == _jobs.c.key)
        .where(_nodes.c.run == run, or_(_jobs.c.attempt == _nodes.c.attempt, _jobs.c.first_run == run))
        .order_by(_nodes.c.node, _jobs.c.attempt)
    )
    with database.reading() as connection:
        found = [job_of(row) for row in connection.execute(statement)]
    return [replace(job, reused_from="") if job.first_run == run else job for job in found]
