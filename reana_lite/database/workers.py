"""What workers hold: signs of life, runs that they take up, fairly between owners, and give up again.

Functions of a Transaction, or of a Database where they are one by themselves; called by reana_lite/worker. Which workers
there are and what they do is told by queue.py.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import and_, case, func, or_, select

from reana_lite.database import jobs, statements, tables
from reana_lite.database.database import Database
from reana_lite.database.holders import alive, process_start
from reana_lite.database.records import clean
from reana_lite.database.transaction import Transaction
from reana_lite.errors import Conflict

_runs, _jobs, _workers = tables.runs, tables.jobs, tables.workers


def renew(transaction: Transaction, worker: str, *, lease_s: float) -> None:
    """A sign of life: what this worker holds stays its own for `lease_s` seconds more.

    Raises Conflict if another process of that name is alive; a dead one's name may be used again.
    """
    now = transaction.clock()
    me = {"host": transaction.host, "pid": os.getpid(), "process": process_start(os.getpid())}
    mine = (_workers.c.id == worker) & (_workers.c.host == me["host"]) & (_workers.c.pid == me["pid"])
    signs = {"lease_until": now + lease_s, "seen_at": now}
    if transaction.connection.execute(
        _workers.update().where(mine, _workers.c.process == me["process"]).values(signs)
    ).rowcount:
        return
    holders = transaction.workers()
    live = alive(holders, host=transaction.host, now=now)
    if worker in live:
        raise Conflict(f"a worker named {worker} is alive already; give this one another name", worker=worker)
    # killed processes of this machine never come back, unlike those whose lease has merely run out
    dead = {h.id for h in holders if h.host == transaction.host and h.pid != os.getpid() and h.id not in live}
    for name in sorted({worker, *dead}):
        _free(transaction, name)
    transaction.connection.execute(_workers.insert(), {"id": worker, "started_at": now, **signs, **me})


def release(database: Database, worker: str) -> None:
    """Give up all that a worker holds: its runs may be driven, its attempts recovered by others at once.

    Should they turn out to be lost, that was nobody's fault (see jobs.tries).
    """
    with database.transaction() as transaction:
        mark = {"message": jobs.GIVEN_UP}
        transaction.connection.execute(_jobs.update().where(_jobs.c.worker == worker, tables.JOB_OPEN).values(mark))
        _free(transaction, worker)
        transaction.ring()


def note_doing(transaction: Transaction, worker: str, text: str) -> None:
    """What a worker is doing, for those who ask (JSON)."""
    transaction.connection.execute(_workers.update().where(_workers.c.id == worker).values(doing=clean(text)))


def driver_of(database: Database, run: str) -> str:
    """The worker that drives a run and is alive; "" if nobody does."""
    with database.peek() as peek:
        worker = peek.connection.execute(select(_runs.c.worker).where(_runs.c.id == run)).scalar()
        return worker if worker and worker in peek.live_workers() else ""


def claim_runs(
    database: Database,
    worker: str,
    *,
    lease_s: float,
    only: Iterable[str] | None = None,
    campaign: str = "",
    limit: int | None = None,
) -> list[tuple[str, int]]:
    """Take up runs that are queued or whose worker is gone, the most urgent and longest waiting first.

    Gives (run, epoch): all that this worker writes about the run must be of that epoch. Costs one read where there is
    nothing to take.
    """
    only = None if only is None else list(only)
    with database.peek() as peek:
        if peek.connection.execute(_claimable(peek, only, campaign).order_by(None).limit(1)).first() is None:
            return []
    with database.transaction() as transaction:
        renew(transaction, worker, lease_s=lease_s)
        statement = _claimable(transaction, only, campaign)
        if limit is None or only is not None or campaign:
            limited = statement if limit is None else statement.limit(limit)
            rows: Sequence[Any] = transaction.connection.execute(limited.with_for_update(skip_locked=True)).all()
        else:
            rows = _fair_share(transaction, limit)
        ids = [row.id for row in rows]
        started = case((_runs.c.state == "queued", transaction.clock()), else_=_runs.c.started_at)
        values = {"worker": worker, "epoch": _runs.c.epoch + 1, "state": "running", "started_at": started}
        for some in statements.chunks(ids):
            transaction.connection.execute(_runs.update().where(_runs.c.id.in_(some)).values(values))
        return [(row.id, row.epoch + 1) for row in rows]


def _claimable(transaction: Transaction, only: Iterable[str] | None, campaign: str = "") -> Any:
    """The query for runs that a worker may take up."""
    statement = (
        select(_runs.c.id, _runs.c.epoch, _runs.c.state)
        .where(
            _runs.c.state.in_(("queued", "running")),
            or_(_runs.c.state == "queued", _runs.c.worker.not_in(transaction.live_workers())),
        )
        .order_by(_runs.c.priority.desc(), _runs.c.queued_at, _runs.c.id)
    )
    if campaign:
        statement = statement.where(_runs.c.campaign == campaign)
    return statement if only is None else statement.where(_runs.c.id.in_(list(only)))


def _fair_share(transaction: Transaction, limit: int) -> list[Any]:
    """Of what may be claimed, that of the owner with the fewest runs under way, again and again.

    An owner with none gets one even if `limit` is used up: nobody waits for the end of another's campaign. What it costs
    does not depend on how many runs wait: of each owner only the first ones are read, in the order of an index.
    """
    live = transaction.live_workers()
    held = _held(transaction, live)
    abandoned = _abandoned(transaction, live)
    owners = {*_owners(transaction), *abandoned}
    few = 1 + limit // max(1, len(owners))  # at a time: as many as fall to each, if all have enough
    lines = {
        owner: heapq.merge(abandoned.get(owner, ()), _queued(transaction, owner, few), key=_urgency) for owner in owners
    }
    order = [(held.get(owner, 0), owner) for owner in lines]
    heapq.heapify(order)
    taken: list[Any] = []
    while order:
        count, owner = order[0]
        if len(taken) >= limit and count:
            break
        row = next(lines[owner], None)
        if row is None:
            heapq.heappop(order)
        else:
            taken.append(row)
            heapq.heapreplace(order, (count + 1, owner))
    return taken


_CLAIMED = (_runs.c.id, _runs.c.epoch, _runs.c.state, _runs.c.priority, _runs.c.queued_at, _runs.c.owner)


def _urgency(row: Any) -> tuple[int, float, str]:
    return -row.priority, row.queued_at, row.id


def _held(transaction: Transaction, live: Sequence[str]) -> dict[str, int]:
    """How many runs of each owner live workers hold."""
    running = (_runs.c.state == "running") & _runs.c.worker.in_(live)
    statement = select(_runs.c.owner, func.count()).where(running).group_by(_runs.c.owner)
    return {row[0]: row[1] for row in transaction.connection.execute(statement)}


def _abandoned(transaction: Transaction, live: Sequence[str]) -> dict[str, list[Any]]:
    """Runs whose worker is gone, by owner, each in the order in which they are taken up."""
    gone = (_runs.c.state == "running") & _runs.c.worker.not_in(live)
    found: dict[str, list[Any]] = {}
    for row in transaction.connection.execute(select(*_CLAIMED).where(gone).with_for_update(skip_locked=True)):
        found.setdefault(row.owner, []).append(row)
    return {owner: sorted(rows, key=_urgency) for owner, rows in found.items()}


def _queued(transaction: Transaction, owner: str, few: int) -> Iterator[Any]:
    """Runs of an owner that are queued, the most urgent and longest waiting first; read so many at a time."""
    mine = (_runs.c.state == "queued") & (_runs.c.owner == owner)
    highest = select(func.max(_runs.c.priority)).where(mine)
    priority = transaction.connection.execute(highest).scalar()
    while priority is not None:
        level = select(*_CLAIMED).where(mine, _runs.c.priority == priority)
        level = level.order_by(_runs.c.queued_at, _runs.c.id).limit(few).with_for_update(skip_locked=True)
        rows = transaction.connection.execute(level).all()
        while rows:
            yield from rows
            if len(rows) < few:
                break
            later = or_(
                _runs.c.queued_at > rows[-1].queued_at,
                and_(_runs.c.queued_at == rows[-1].queued_at, _runs.c.id > rows[-1].id),
            )
            # said once more in a way that the index knows
            rows = transaction.connection.execute(level.where(_runs.c.queued_at >= rows[-1].queued_at, later)).all()
        priority = transaction.connection.execute(highest.where(_runs.c.priority < priority)).scalar()


def _owners(transaction: Transaction) -> list[str]:
    """Owners of runs that are queued: one look into the index for each, however many runs there are."""
    first = select(func.min(_runs.c.owner).label("owner")).where(_runs.c.state == "queued")
    owners = first.cte("owners", recursive=True)
    after = (
        select(func.min(_runs.c.owner))
        .where(_runs.c.state == "queued", _runs.c.owner > owners.c.owner)
        .correlate(owners)
        .scalar_subquery()
    )
    owners = owners.union_all(select(after).where(owners.c.owner.is_not(None)))
    return list(transaction.connection.execute(select(owners.c.owner).where(owners.c.owner.is_not(None))).scalars())


def standing(transaction: Transaction, runs: Sequence[str]) -> dict[str, tuple[str, int]]:
    """(owner, priority) of these runs."""
    found: dict[str, tuple[str, int]] = {}
    for some in statements.chunks(runs):
        rows = transaction.connection.execute(
            select(_runs.c.id, _runs.c.owner, _runs.c.priority).where(_runs.c.id.in_(some))
        )
        found.update((row.id, (row.owner, row.priority)) for row in rows)
    return found


def epochs(transaction: Transaction, runs: Sequence[str]) -> dict[str, int]:
    """The newest epoch of those of these runs that are not over."""
    found: dict[str, int] = {}
    for some in statements.chunks(runs):
        statement = select(_runs.c.id, _runs.c.epoch).where(_runs.c.id.in_(some), _runs.c.state == "running")
        found.update((row.id, row.epoch) for row in transaction.connection.execute(statement))
    return found


def _free(transaction: Transaction, worker: str) -> None:
    transaction.connection.execute(
        _runs.update().where(_runs.c.worker == worker, _runs.c.state == "running").values(worker="")
    )
    transaction.connection.execute(_jobs.update().where(_jobs.c.worker == worker, tables.JOB_OPEN).values(worker=""))
    transaction.connection.execute(_workers.delete().where(_workers.c.id == worker))
