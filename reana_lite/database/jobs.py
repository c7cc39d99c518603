"""What workers do with jobs: claim them, begin, end, follow, recover and forget their attempts.

Functions of a Transaction, or of a Database where they are one by themselves; called by reana_lite/worker and inputs.py.
What everybody may read about jobs is database.py's. State changes are compare-and-set by the table of transitions in job.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text

from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.database.records import OPEN_JOB, Claim, clean, encode, outcome_of
from reana_lite.database.transaction import Transaction
from reana_lite.errors import Conflict
from reana_lite.job import JobOutcome, JobState
from reana_lite.retry import SHUT_DOWN, Try

_runs, _jobs = tables.runs, tables.jobs

GIVEN_UP = "its worker was shut down"
"""Message of an attempt that has not ended while nobody holds it, because its worker has given it up in good order."""

_ADMISSION = 0x7265616E62  # any number that nobody else locks


def look_up(transaction: Transaction, keys: Sequence[str]) -> dict[str, Claim]:
    """What `claim` would say of each job now; nothing is written, and nobody has to wait."""
    rows: dict[str, Any] = {}
    for some in statements.chunks(sorted(set(keys))):
        rows.update((row[0], row) for row in transaction.connection.execute(statements.CLAIMABLE_JOBS, {"keys": some}))
    return {key: _claim(rows[key], "") if key in rows else Claim(key, 1, True, None, "") for key in keys}


def claim(
    transaction: Transaction,
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
        statements.ADD_KEYS.run(transaction.connection, [(key,) for key in names])
    rows: dict[str, Any] = {}
    for some in statements.chunks(sorted({*names, *(key for key, _ in reused)})):
        if transaction.connection.dialect.name == "postgresql":  # a writer of SQLite is alone anyway
            transaction.connection.execute(statements.LOCK_KEYS, {"keys": some})
        rows.update((row[0], row) for row in transaction.connection.execute(statements.CLAIMABLE_JOBS, {"keys": some}))
    for key, attempt in reused:
        if key not in rows or rows[key].counts != attempt:
            raise Conflict(f"outputs {key}/{attempt} are nobody's any more")
    now = transaction.clock()
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
        statements.ADD_JOBS.run(transaction.connection, new)
        statements.SET_LATEST.run(transaction.connection, [(job[1], job[0]) for job in new])
    seen: set[str] = set()
    answers: list[Claim] = []
    for key, _ in wanted:
        answers.append(again.pop(0) if key in seen else claims[key])
        seen.add(key)
    return answers


def _claim(row: Any, run: str) -> Claim:
    """What to do about a job, by its row of CLAIMABLE_JOBS, for a run that needs it."""
    if row.counts:
        return Claim(row[0], row.counts, False, outcome_of(row), row.first_run)
    if row.latest and row.state in OPEN_JOB:
        return Claim(row[0], row.latest, False, None, row.first_run)
    return Claim(row[0], row.latest + 1, True, None, run)


def start(transaction: Transaction, attempts: Sequence[tuple[str, int]]) -> None:
    """These attempts execute now; those that have ended stay ended."""
    if attempts:
        now = transaction.clock()
        statements.START_JOBS.run(transaction.connection, [(now, key, attempt) for key, attempt in attempts])


def finish(transaction: Transaction, ended: Sequence[tuple[str, int, JobOutcome]]) -> None:
    """Write down how attempts ended. The first outcome of an attempt stands; a later one changes nothing.

    The first finished and reusable attempt of a job is the one that counts.
    """
    if not ended:
        return
    rows = [
        (
            str(outcome.state), str(outcome.cause or ""), outcome.exit_code, clean(outcome.message), outcome.digest,
            outcome.size_bytes, outcome.reusable, encode(dict(outcome.details)) if outcome.details else "",
            outcome.started_at, outcome.ended_at or transaction.clock(), key, attempt,
        )
        for key, attempt, outcome in ended
    ]  # fmt: skip
    statements.FINISH_JOBS.run(transaction.connection, rows)
    counting = [(a, key) for key, a, outcome in ended if outcome.state is JobState.FINISHED and outcome.reusable]
    if counting:
        statements.COUNT_JOBS.run(transaction.connection, counting)


def ended(transaction: Transaction, attempts: Sequence[tuple[str, int]]) -> list[tuple[str, int, JobOutcome]]:
    """Those of these attempts that have ended, with their outcome."""
    return [
        (row.key, row.attempt, outcome_of(row)) for row in _rows(transaction, attempts) if row.state not in OPEN_JOB
    ]


def stale(transaction: Transaction, attempts: Sequence[tuple[str, int]], worker: str) -> list[tuple[str, int]]:
    """Those of these attempts whose worker is gone; they are this worker's from now on, who must recover them."""
    open_rows = [row for row in _rows(transaction, attempts) if row.state in OPEN_JOB]
    if not open_rows:
        return []
    live = set(transaction.live_workers())
    found = [(row.key, row.attempt, row.worker) for row in open_rows if row.worker not in live]
    return _take_over(transaction, found, worker)


def stale_attempts(database: Database, worker: str, *, backend: str | None = None) -> list[tuple[str, int]]:
    """All attempts (of one backend) whose worker is gone; they are this worker's from now on, who must recover them.

    Costs one read where there are none.
    """
    with database.peek() as peek:
        if peek.connection.execute(_abandoned(peek, worker, backend).limit(1)).first() is None:
            return []
    with database.transaction() as transaction:
        rows = transaction.connection.execute(_abandoned(transaction, worker, backend)).all()
        return _take_over(transaction, [tuple(row) for row in rows], worker)


def _abandoned(transaction: Transaction, worker: str, backend: str | None) -> Any:
    """The query for attempts that have not ended and whose worker is gone, as `worker` sees it."""
    statement = select(_jobs.c.key, _jobs.c.attempt, _jobs.c.worker).where(
        tables.JOB_OPEN, _jobs.c.worker.not_in([worker, *transaction.live_workers()])
    )
    return statement if backend is None else statement.where(_jobs.c.backend == backend)


def _take_over(transaction: Transaction, rows: Sequence[tuple[Any, ...]], worker: str) -> list[tuple[str, int]]:
    """Compare-and-set of who holds an attempt: of two who see a dead worker, one gets it."""
    taken = []
    for key, attempt, before in rows:
        values = {"its_key": key, "its_attempt": attempt, "before": before, "after": worker}
        if transaction.connection.execute(statements.TAKE_OVER_JOB, values).rowcount:
            taken.append((key, attempt))
    return taken


def alone(transaction: Transaction) -> None:
    """Until this transaction ends no other worker begins jobs (a writer of SQLite is alone anyway)."""
    if transaction.connection.dialect.name == "postgresql":
        transaction.connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADMISSION})")


def open_by_owner(transaction: Transaction, backend: str | None = None) -> dict[str, int]:
    """How many attempts that have not ended each owner has (of the run that began them), on one backend or on all."""
    statement = (
        select(_runs.c.owner, func.count())
        .select_from(_jobs.join(_runs, _runs.c.id == _jobs.c.first_run))
        .where(text("jobs.state IN ('queued', 'running')"))
        .group_by(_runs.c.owner)
    )
    if backend is not None:
        statement = statement.where(_jobs.c.backend == backend)
    return {row[0]: row[1] for row in transaction.connection.execute(statement)}


def quotas(transaction: Transaction) -> dict[str, int]:
    """How many attempts may be open at once, of owners for whom that is limited."""
    users = tables.users
    statement = select(users.c.name, users.c.running_jobs).where(users.c.running_jobs > 0)
    return {row.name: row.running_jobs for row in transaction.connection.execute(statement)}


def tries(transaction: Transaction, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], list[Try]]:
    """For each attempt, those at the same job up to it that one run has begun, the oldest first.

    An attempt that has not ended is among them with no cause, or with that of a worker that was shut down.
    """
    columns = [_jobs.c[name] for name in ("key", "attempt", "cause", "message", "details", "first_run")]
    rows: dict[str, list[Any]] = {}
    for some in statements.chunks(sorted({key for key, _ in places})):
        statement = select(*columns).where(_jobs.c.key.in_(some)).order_by(_jobs.c.attempt)
        for row in transaction.connection.execute(statement):
            rows.setdefault(row.key, []).append(row)
    found = {}
    for key, attempt in places:
        run = next((row.first_run for row in rows.get(key, ()) if row.attempt == attempt), None)
        found[key, attempt] = [
            _try_of(row) for row in rows.get(key, ()) if row.first_run == run and row.attempt <= attempt
        ]
    return found


def _try_of(row: Any) -> Try:
    details = json.loads(row.details) if row.details else {}
    reason = SHUT_DOWN if row.message == GIVEN_UP and not row.cause else str(details.get("reason", ""))
    memory = details.get("memory_bytes")
    return Try(row.cause, reason, memory if isinstance(memory, int) else None)


def unwanted(transaction: Transaction, places: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those of these attempts that no run needs which is not over."""
    wanted: set[tuple[str, int]] = set()
    nodes = tables.nodes
    for some in statements.chunks(sorted({key for key, _ in places})):
        statement = (
            select(nodes.c.key, nodes.c.attempt)
            .join(_runs, _runs.c.id == nodes.c.run)
            .where(nodes.c.key.in_(some), _runs.c.state.in_(("queued", "running")))
        )
        wanted.update((row.key, row.attempt) for row in transaction.connection.execute(statement))
    return [place for place in places if place not in wanted]


def forget(transaction: Transaction, key: str, attempt: int) -> None:
    """The outputs of this attempt are gone or wrong: the next run that needs the job computes it anew."""
    which = {"its_key": key, "its_attempt": attempt}
    transaction.connection.execute(statements.SPOIL_JOB, which)
    transaction.connection.execute(statements.UNCOUNT_JOB, which)


def shared_places(transaction: Transaction, places: Sequence[tuple[str, int]], *, besides: str) -> set[tuple[str, int]]:
    """Those of these places that runs other than `besides` name."""
    wanted = set(places)
    found: set[tuple[str, int]] = set()
    for some in statements.chunks(sorted({key for key, _ in wanted})):
        statement = select(tables.nodes.c.key, tables.nodes.c.attempt).distinct()
        others = statement.where(tables.nodes.c.key.in_(some), tables.nodes.c.run != besides)
        found.update((row.key, row.attempt) for row in transaction.connection.execute(others))
    return found & wanted


def harmless_templates(database: Database) -> set[str]:
    """Templates of steps that are known to leave their inputs alone (see inputs.py)."""
    statement = select(tables.meta.c.name).where(tables.meta.c.name.like("harmless:%"))
    with database.reading() as connection:
        return {name.partition(":")[2] for name in connection.execute(statement).scalars()}


def note_harmless(transaction: Transaction, templates: Sequence[str]) -> None:
    """These templates of steps are known to leave their inputs alone."""
    statement = statements.insert(tables.meta, transaction.connection.dialect.name).on_conflict_do_nothing()
    transaction.connection.execute(statement, [{"name": f"harmless:{name}", "value": "1"} for name in templates])


def _rows(transaction: Transaction, attempts: Sequence[tuple[str, int]]) -> list[Any]:
    wanted = set(attempts)
    rows: list[Any] = []
    for some in statements.chunks(sorted({key for key, _ in wanted})):
        rows.extend(transaction.connection.execute(_jobs.select().where(_jobs.c.key.in_(some))))
    return [row for row in rows if (row.key, row.attempt) in wanted]
