"""Pages of records as the server lists them: the newest first, from a place on, without what their owners have deleted.

Called by the server alone; the command line uses Database.list_runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import and_, func, or_, select

from reana_lite.database import tables
from reana_lite.database.campaigns import CampaignRecord, campaign_of
from reana_lite.database.database import RUN_WITH_REQUEST, Database
from reana_lite.database.records import RunRecord, run_of
from reana_lite.errors import InvalidInput
from reana_lite.event import RunState

_runs, _uses, _campaigns, _shares = tables.runs, tables.workspace_runs, tables.campaigns, tables.shares
_RUN = [column for column in _runs.c if column.name in RunRecord.__dataclass_fields__]

Place = tuple[float, str]
"""Where a page ends: (created_at, id) of its last row."""


def runs(
    database: Database,
    *,
    owner: str | None,
    states: Sequence[str] = (),
    analysis: str | None = None,
    campaign: str | None = None,
    name: str | None = None,
    theory: str | None = None,
    shared_with: str | None = None,
    after: Place | None = None,
    limit: int = 100,
) -> list[RunRecord]:
    """Runs of an owner (None: of all), or those that are shared with somebody; after a place."""
    gone = select(_uses.c.run).where(_uses.c.run == _runs.c.id, _uses.c.deleted_at > 0)
    statement = select(*_RUN).where(~gone.exists())
    for state in states:
        if state not in set(RunState):
            known = ", ".join(RunState)
            raise InvalidInput(f"{state!r} is not a state of a run; known: {known}", field="state", value=state)
    if states:
        statement = statement.where(_runs.c.state.in_(list(states)))
    if shared_with is not None:
        mine = select(_shares.c.object).where(_shares.c.user == shared_with, _shares.c.kind == "run")
        theirs = select(_shares.c.object).where(_shares.c.user == shared_with, _shares.c.kind == "campaign")
        statement = statement.where(or_(_runs.c.id.in_(mine), _runs.c.campaign.in_(theirs)))
    columns = ((_runs.c.owner, owner), (_runs.c.analysis, analysis), (_runs.c.campaign, campaign),
               (_runs.c.name, name), (_runs.c.theory, theory))  # fmt: skip
    for column, value in columns:
        if value is not None:
            statement = statement.where(column == value)
    statement = _page(statement, _runs, after, limit)
    with database.reading() as connection:
        return [run_of(row) for row in connection.execute(statement)]


def campaign_page(
    database: Database,
    *,
    owner: str | None,
    shared_with: str | None = None,
    after: Place | None = None,
    limit: int = 100,
) -> list[CampaignRecord]:
    """Campaigns, as `runs`."""
    statement = select(_campaigns)
    if owner is not None:
        statement = statement.where(_campaigns.c.owner == owner)
    if shared_with is not None:
        theirs = select(_shares.c.object).where(_shares.c.user == shared_with, _shares.c.kind == "campaign")
        statement = statement.where(_campaigns.c.id.in_(theirs))
    statement = _page(statement, _campaigns, after, limit)
    with database.reading() as connection:
        return [campaign_of(row) for row in connection.execute(statement)]


def find_run(database: Database, run: str) -> RunRecord | None:
    """The run of exactly that id, with its request; None if there is none, or its owner has deleted it."""
    gone = select(_uses.c.run).where(_uses.c.run == _runs.c.id, _uses.c.deleted_at > 0)
    with database.reading() as connection:
        row: Any = connection.execute(RUN_WITH_REQUEST.where(_runs.c.id == run, ~gone.exists())).first()
    return None if row is None else run_of(row, row.request or "")


def find_campaign(database: Database, campaign: str) -> CampaignRecord | None:
    """The campaign of exactly that id; None if there is none."""
    with database.reading() as connection:
        row = connection.execute(select(_campaigns).where(_campaigns.c.id == campaign)).first()
    return None if row is None else campaign_of(row)


def standings(database: Database, ids: Collection[str]) -> dict[str, RunRecord]:
    """The rows of these runs by id: one query for all who follow some of them."""
    found: dict[str, RunRecord] = {}
    wanted = sorted(ids)
    with database.reading() as connection:
        for first in range(0, len(wanted), 500):
            rows = connection.execute(select(*_RUN).where(_runs.c.id.in_(wanted[first : first + 500])))
            found.update((row.id, run_of(row)) for row in rows)
    return found


def stirring(database: Database, since: float, *, limit: int = 2000) -> list[RunRecord]:
    """Runs that are running, or were created or over since a moment (UTC seconds); at most `limit` of each."""
    found: dict[str, RunRecord] = {}
    with database.reading() as connection:
        for lately in (_runs.c.state == "running", _runs.c.created_at >= since, _runs.c.ended_at >= since):
            # one after the other, in no order: so that each finds its index
            rows = connection.execute(select(*_RUN).where(lately).limit(limit))
            found.update((row.id, run_of(row)) for row in rows)
    return sorted(found.values(), key=lambda run: run.created_at, reverse=True)


def standing(database: Database) -> tuple[dict[str, int], float]:
    """(runs by state, seconds that the run in the queue has waited which has waited longest)."""
    statement = select(_runs.c.state, func.count()).group_by(_runs.c.state)
    oldest = select(func.min(_runs.c.queued_at)).where(_runs.c.state == "queued", _runs.c.queued_at > 0)
    with database.reading() as connection:
        counts = {str(state): int(count) for state, count in connection.execute(statement)}
        first = connection.execute(oldest).scalar()
    return {str(state): counts.get(state, 0) for state in RunState}, database.clock() - first if first else 0.0


def runs_by_owner(database: Database) -> dict[str, int]:
    """How many runs each owner has."""
    with database.reading() as connection:
        rows = connection.execute(select(_runs.c.owner, func.count()).group_by(_runs.c.owner))
        return {str(owner): int(count) for owner, count in rows}


def workers(database: Database) -> list[dict[str, Any]]:
    """Workers whose lease has not run out: name, host, runs that they hold, when they started, what they are doing."""
    table = tables.workers
    held = (
        select(func.count()).where(_runs.c.worker == table.c.id, _runs.c.state == "running").scalar_subquery()
    ).label("runs")
    statement = select(table, held).where(table.c.lease_until > database.clock()).order_by(table.c.id)
    with database.reading() as connection:
        rows = connection.execute(statement).all()
    found = []
    for row in rows:
        doing = json.loads(row.doing) if row.doing else {}
        doing = doing if isinstance(doing, dict) else {}
        found.append({
            "name": row.id, "host": row.host, "runs": row.runs, "started_at": row.started_at,
            "seen_at": row.seen_at, "backend": str(doing.get("backend", "")), "doing": doing,
        })  # fmt: skip
    return found


def _page(statement: Any, table: Any, after: Place | None, limit: int) -> Any:
    if after is not None:
        at, id_ = after
        later = or_(table.c.created_at < at, and_(table.c.created_at == at, table.c.id < id_))
        statement = statement.where(later)
    return statement.order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
