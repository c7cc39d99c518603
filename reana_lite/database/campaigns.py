"""Records of campaigns and their points; the database is the queue of what has no run yet.

Functions of a Database for reading, and of a Transaction where several writes belong together. Called by planning.py,
the command line and the server; what a point becomes is planning.py's.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, bindparam, func, literal, or_, select
from sqlalchemy.exc import IntegrityError

from reana_lite.campaign import Progress, Request
from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.database.records import COUNTERS, TERMINAL_RUN, clean, encode
from reana_lite.database.transaction import Transaction
from reana_lite.errors import Conflict, InvalidInput, NotFound
from reana_lite.event import RunState
from reana_lite.theory.scan import Point

_runs, _campaigns, _points = tables.runs, tables.campaigns, tables.points
_OVER = [state.value for state in TERMINAL_RUN]
_PENDING = and_(_points.c.run == "", _points.c.error == "")


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """A campaign as the database shows it. `digest`: of the request that made it; `skipped`: points left out, by reason."""

    id: str
    name: str
    owner: str
    digest: str
    request: Request
    skipped: Mapping[str, int]
    created_at: float
    stopped_at: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"id": self.id, "name": self.name, "owner": self.owner, "targets": list(self.request.targets),
                "skipped": dict(self.skipped), "created_at": self.created_at}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PointRecord:
    """A point of a campaign: `run` computes it ("": none yet), `before` is the run it had before that one, `error` says
    why its theory was refused, or why the run failed. `state` is one of campaign.POINT_STATES."""

    campaign: str
    target: str
    number: int
    point: Point
    run: str = ""
    before: str = ""
    error: str = ""
    state: str = "planned"
    analysis: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"target": self.target, "number": self.number, "name": self.point.name, "values": dict(self.point.values),
                "source": self.point.source, "run": self.run or None, "state": self.state, "error": self.error}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run to be created for a point."""

    run: str
    analysis: str
    theory: str
    request: Mapping[str, Any] = field(repr=False)
    first_event: tuple[str, dict[str, Any]] = field(repr=False)


# -- campaigns -------------------------------------------------------------------------------------------------------


def create(
    database: Database,
    *,
    name: str,
    owner: str,
    digest: str,
    request: Request,
    points: Iterable[tuple[str, Point]],
    skipped: Mapping[str, int],
) -> CampaignRecord:
    """A campaign with its points (target, point), none of which has a run; or the one that an equal request has made.

    `name` gets a number if it is taken.
    """
    with database.transaction() as transaction:
        connection = transaction.connection
        equal = select(_campaigns).where(_campaigns.c.owner == owner, _campaigns.c.digest == digest)
        values: dict[str, Any] = {
            "id": "c" + secrets.token_hex(5), "owner": owner, "digest": digest, "created_at": transaction.clock(),
            "request": encode(request.to_dict()), "skipped": encode(dict(skipped)),
        }  # fmt: skip
        for _ in range(100):
            if (there := connection.execute(equal).first()) is not None:
                return campaign_of(there)
            values["name"] = _free_name(transaction, clean(name)[:200], owner)
            try:
                with connection.begin_nested():
                    connection.execute(_campaigns.insert(), values)
                break
            except IntegrityError:  # another process was quicker, with the request or the name
                continue
        else:
            raise Conflict(f"too many campaigns named {name!r} are being created at once; try again")
        add_points(transaction, values["id"], points)
    return get(database, values["id"], owner=owner)


def add_points(transaction: Transaction, campaign: str, points: Iterable[tuple[str, Point]]) -> int:
    """Add points that are not there yet; gives how many were added."""
    connection = transaction.connection
    last = connection.execute(select(func.max(_points.c.number)).where(_points.c.campaign == campaign)).scalar() or 0
    before = last
    there = connection.execute(select(_points.c.target, _points.c.key).where(_points.c.campaign == campaign))
    known = {(row.target, row.key) for row in there}
    rows: list[dict[str, Any]] = []
    for target, point in points:
        if (target, point.key) in known:
            continue
        known.add((target, point.key))
        last += 1
        rows.append({
            "campaign": campaign, "number": last, "target": target, "key": point.key, "name": clean(point.name)[:255],
            "document": encode(dict(point.values)), "source": point.source,
        })  # fmt: skip
        if len(rows) == 1000:
            connection.execute(_points.insert(), rows)
            rows = []
    if rows:
        connection.execute(_points.insert(), rows)
    return last - before


def update(
    transaction: Transaction, campaign: str, *, request: Request | None = None, skipped: Mapping[str, int] | None = None
) -> None:
    """Another request, or other numbers of points left out; it is not stopped any more."""
    values: dict[str, Any] = {"stopped_at": 0.0}
    if request is not None:
        values["request"] = encode(request.to_dict())
    if skipped is not None:
        values["skipped"] = encode(dict(skipped))
    transaction.connection.execute(_campaigns.update().where(_campaigns.c.id == campaign).values(values))


def find(database: Database, digest: str, *, owner: str) -> CampaignRecord | None:
    """The campaign that an equal request made, the newest."""
    rows = _select(database, _campaigns.c.digest == digest, _campaigns.c.owner == owner)
    return rows[0] if rows else None


def get(database: Database, name: str, *, owner: str | None = None) -> CampaignRecord:
    """The campaign of that id, name, beginning of one of them, or `latest`; raises NotFound, InvalidInput (several)."""
    conditions = [] if owner is None else [_campaigns.c.owner == owner]
    if name == "latest":
        rows = _select(database, *conditions)
        if not rows:
            raise NotFound("there are no campaigns yet", campaign=name)
        return rows[0]
    rows = _select(database, *conditions, or_(_campaigns.c.id == name, _campaigns.c.name == name))
    if rows:
        return rows[0]
    start = or_(_campaigns.c.id.startswith(name, autoescape=True), _campaigns.c.name.startswith(name, autoescape=True))
    rows = _select(database, *conditions, start) if name else []
    if len(rows) > 1:
        some = ", ".join(sorted(row.name for row in rows)[:3])
        raise InvalidInput(
            f"{name!r} may be several campaigns ({some}, ...): give more of it", field="campaign", value=name
        )
    if not rows:
        raise NotFound(f"no campaign {name!r}", campaign=name)
    return rows[0]


def listed(database: Database, *, owner: str | None = None, limit: int = 100) -> list[CampaignRecord]:
    """Campaigns, the newest first."""
    return _select(database, *([] if owner is None else [_campaigns.c.owner == owner]), limit=limit)


def waiting(database: Database) -> list[CampaignRecord]:
    """Campaigns that are not stopped and have points without a run."""
    theirs = select(_points.c.campaign).where(_PENDING).distinct()
    statement = select(_campaigns).where(_campaigns.c.id.in_(theirs), _campaigns.c.stopped_at == 0)
    with database.reading() as connection:
        return [campaign_of(row) for row in connection.execute(statement)]


def progress(database: Database, campaign: str) -> Progress:
    """A campaign in numbers."""
    return progresses(database, [campaign])[campaign]


def progresses(database: Database, ids: Sequence[str]) -> dict[str, Progress]:
    """Campaigns in numbers, by id; many with one question."""
    sums = [func.coalesce(func.sum(_runs.c[name]), 0).label(name) for name in COUNTERS]
    refused = _points.c.error != ""
    points: dict[str, dict[str, int]] = {one: {} for one in ids}
    steps = {one: dict.fromkeys(COUNTERS, 0) for one in ids}
    stopped: dict[str, bool] = {}
    for some in statements.chunks(list(points)):
        statement = (
            select(_points.c.campaign, _runs.c.state, refused.label("refused"), func.count().label("points"), *sums)
            .select_from(_points.outerjoin(_runs, _runs.c.id == _points.c.run))
            .where(_points.c.campaign.in_(some))
            .group_by(_points.c.campaign, _runs.c.state, refused)
        )
        with database.reading() as connection:
            ends = select(_campaigns.c.id, _campaigns.c.stopped_at).where(_campaigns.c.id.in_(some))
            stopped.update((row.id, bool(row.stopped_at)) for row in connection.execute(ends))
            for row in connection.execute(statement):
                state = row.state or ("refused" if row.refused else "planned")
                points[row.campaign][state] = points[row.campaign].get(state, 0) + row.points
                for name in COUNTERS:
                    steps[row.campaign][name] += getattr(row, name)
    return {one: Progress(points[one], steps[one], stopped.get(one, False)) for one in points}


def _select(database: Database, *conditions: Any, limit: int = 100) -> list[CampaignRecord]:
    statement = (
        select(_campaigns).where(*conditions).order_by(_campaigns.c.created_at.desc(), _campaigns.c.id).limit(limit)
    )
    with database.reading() as connection:
        return [campaign_of(row) for row in connection.execute(statement)]


def campaign_of(row: Any) -> CampaignRecord:
    """A row of `campaigns`."""
    values = dict(row._mapping)
    values["request"] = Request.from_dict(json.loads(row.request))
    values["skipped"] = json.loads(row.skipped or "{}")
    return CampaignRecord(**values)


def _free_name(transaction: Transaction, name: str, owner: str) -> str:
    alike = or_(_campaigns.c.name == name, _campaigns.c.name.startswith(f"{name}-", autoescape=True))
    statement = select(_campaigns.c.name).where(_campaigns.c.owner == owner, alike)
    known = set(transaction.connection.execute(statement).scalars())
    number = 1
    while (free := name if number == 1 else f"{name}-{number}") in known:
        number += 1
    return free


# -- points ----------------------------------------------------------------------------------------------------------


def points(
    database: Database, campaign: str, *, states: Iterable[str] = (), after: int = 0, limit: int = 1000
) -> list[PointRecord]:
    """A page of points in order, those after number `after`; of some states only."""
    statement = (
        _point_rows()
        .where(_points.c.campaign == campaign, _points.c.number > after)
        .order_by(_points.c.number)
        .limit(limit)
    )
    if wanted := list(states):
        tests: list[Any] = [_runs.c.state.in_([state for state in wanted if state in set(RunState)])]
        if "planned" in wanted:
            tests.append(_PENDING)
        if "refused" in wanted:
            tests.append(and_(_points.c.run == "", _points.c.error != ""))
        statement = statement.where(or_(*tests))
    with database.reading() as connection:
        return [_point_of(row) for row in connection.execute(statement)]


def all_points(database: Database, campaign: str, *, states: Iterable[str] = ()) -> Iterator[PointRecord]:
    """All points in order, read page by page."""
    after = 0
    wanted = list(states)
    while page := points(database, campaign, states=wanted, after=after):
        yield from page
        after = page[-1].number


def queue_length(database: Database, campaign: str) -> int:
    """How many runs of a campaign wait for a worker."""
    statement = select(func.count()).where(_runs.c.campaign == campaign, _runs.c.state == "queued")
    with database.reading() as connection:
        return int(connection.execute(statement).scalar() or 0)


def fill(
    transaction: Transaction,
    campaign: CampaignRecord,
    runs: Mapping[int, PlannedRun],
    refused: Mapping[int, str],
) -> list[str]:
    """Give points, by number, their runs, or say why they were refused; gives the ids of the runs that were created.

    A point that somebody else has given a run meanwhile keeps that one. Nothing is done if the campaign was stopped.
    """
    connection = transaction.connection
    stopped = connection.execute(
        select(_campaigns.c.stopped_at).where(_campaigns.c.id == campaign.id).with_for_update()
    ).scalar()
    if stopped:
        return []
    created: list[str] = []
    for some in statements.chunks([*runs, *refused]):
        statement = (
            select(_points.c.number, _points.c.before)
            .where(_points.c.campaign == campaign.id, _points.c.number.in_(some), _PENDING)
            .order_by(_points.c.number)
        )
        pending = {row.number: row.before for row in connection.execute(statement.with_for_update())}
        rows = [(number, runs[number], before) for number, before in pending.items() if number in runs]
        if rows:
            _create_runs(transaction, campaign, rows)
        created += [run.run for _, run, _ in rows]
        changes = [{"its_number": number, "run": run.run, "error": ""} for number, run, _ in rows]
        changes += [
            {"its_number": number, "run": "", "error": clean(refused[number]) or "refused"}
            for number in sorted(pending.keys() & refused.keys())
        ]
        if changes:
            this = (_points.c.campaign == campaign.id) & (_points.c.number == bindparam("its_number"))
            values: dict[str, Any] = {"run": bindparam("run"), "error": bindparam("error")}
            connection.execute(_points.update().where(this).values(values), changes)
    return created


def _create_runs(
    transaction: Transaction, campaign: CampaignRecord, rows: Sequence[tuple[int, PlannedRun, str]]
) -> None:
    """Runs in bulk. They are numbered in their order; one that follows another run of its point is a restart of that."""
    connection, now = transaction.connection, transaction.clock()
    mine = (_runs.c.owner == campaign.owner) & (_runs.c.name == campaign.name)
    highest = connection.execute(select(func.max(_runs.c.number)).where(mine)).scalar() or 0
    befores = [before for _, _, before in rows if before]
    numbers: dict[str, int] = {}
    for some in statements.chunks(befores):
        found = connection.execute(select(_runs.c.id, _runs.c.number).where(_runs.c.id.in_(some), mine))
        numbers.update((row.id, row.number) for row in found)
    restarts: dict[int, int] = {}
    for known in statements.chunks(list(numbers.values())):
        found = connection.execute(
            select(_runs.c.number, func.max(_runs.c.restart).label("restart"))
            .where(mine, _runs.c.number.in_(known))
            .group_by(_runs.c.number)
        )
        restarts.update((row.number, row.restart) for row in found)
    records, requests, events = [], [], []
    for _, run, before in rows:
        if before in numbers:
            number = numbers[before]
            restarts[number] = restart = restarts.get(number, 0) + 1
        else:
            highest, restart = highest + 1, 0
            number = highest
        records.append({
            "id": run.run, "name": campaign.name, "number": number, "restart": restart, "owner": campaign.owner,
            "analysis": clean(run.analysis)[:255], "theory": clean(run.theory)[:255], "parent": before,
            "campaign": campaign.id, "state": "queued", "created_at": now, "queued_at": now, "next_seq": 1,
        })  # fmt: skip
        requests.append({"run": run.run, "document": encode(dict(run.request))})
        kind, body = run.first_event
        events.append((run.run, 0, 0, kind, encode(body), now))
    connection.execute(_runs.insert(), records)
    connection.execute(tables.requests.insert(), requests)
    statements.ADD_EVENTS.run(connection, events)
    transaction.ring()


def reopen(transaction: Transaction, campaign: str, *, states: Iterable[str]) -> int:
    """Points in these states (of POINT_STATES, those that are over) have no run any more and wait for a new one."""
    wanted = list(states)
    tests: list[Any] = [
        _points.c.run.in_(select(_runs.c.id).where(_runs.c.campaign == campaign, _runs.c.state.in_(wanted)))
    ]
    if "refused" in wanted:
        tests.append(and_(_points.c.run == "", _points.c.error != ""))
    again = transaction.connection.execute(
        _points.update()
        .where(_points.c.campaign == campaign, or_(*tests))
        .values(before=func.coalesce(func.nullif(_points.c.run, ""), _points.c.before), run="", error="")
    )
    update(transaction, campaign)
    return int(again.rowcount)


def stop(database: Database, campaign: str, *, by: str) -> int:
    """No point gets a run any more, and the runs that are not over are to end; gives how many these were."""
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(
            _campaigns.update().where(_campaigns.c.id == campaign).values(stopped_at=transaction.clock())
        )
        statement = select(_runs.c.id).where(_runs.c.campaign == campaign, _runs.c.state.not_in(_OVER))
        runs = list(connection.execute(statement).scalars())
        for run in runs:
            transaction.request_stop(run, by=by)
    return len(runs)


def delete(transaction: Transaction, campaign: str) -> int:
    """Remove a campaign with its points, and mark its runs as deleted; gives how many runs these are.

    Raises Conflict while one of its runs is not over, or points wait for one and it is not stopped; NotFound if it is gone.
    """
    connection, now = transaction.connection, transaction.clock()
    locked = select(_campaigns.c.stopped_at).where(_campaigns.c.id == campaign).with_for_update()
    stopped = connection.execute(locked).scalar()
    if stopped is None:
        raise NotFound(f"no campaign {campaign!r}", campaign=campaign)
    waiting = select(_points.c.number).where(_points.c.campaign == campaign, _PENDING).limit(1)
    going = select(_runs.c.id).where(_runs.c.campaign == campaign, _runs.c.state.not_in(_OVER)).limit(1)
    if connection.execute(going).first() or (not stopped and connection.execute(waiting).first()):
        raise Conflict(
            f"campaign {campaign} is not over: stop it first, and wait until its runs have ended", campaign=campaign
        )
    uses, shares = tables.workspace_runs, tables.shares
    mine = _runs.c.campaign == campaign
    connection.execute(uses.update().where(uses.c.run.in_(select(_runs.c.id).where(mine))).values(deleted_at=now))
    bare = select(_runs.c.id, literal(now)).where(mine, _runs.c.id.not_in(select(uses.c.run)))
    connection.execute(uses.insert().from_select(["run", "deleted_at"], bare, include_defaults=False))
    connection.execute(_points.delete().where(_points.c.campaign == campaign))
    connection.execute(shares.delete().where(shares.c.kind == "campaign", shares.c.object == campaign))
    connection.execute(_campaigns.delete().where(_campaigns.c.id == campaign))
    return int(connection.execute(select(func.count()).where(mine)).scalar_one())


def stop_superseded(transaction: Transaction, campaign: str, *, by: str) -> None:
    """End the runs of a campaign that are not over and that none of its points has any more."""
    used = select(_points.c.run).where(_points.c.campaign == campaign, _points.c.run != "")
    statement = select(_runs.c.id).where(
        _runs.c.campaign == campaign, _runs.c.state.not_in(_OVER), _runs.c.id.not_in(used)
    )
    for run in list(transaction.connection.execute(statement).scalars()):
        transaction.request_stop(run, by=by)


def _point_rows() -> Any:
    columns = [_points.c[name] for name in ("campaign", "target", "number", "name", "document", "source", "run", "before",
                                            "error")]  # fmt: skip
    return select(*columns, _runs.c.state, _runs.c.error.label("failure"), _runs.c.analysis).select_from(
        _points.outerjoin(_runs, _runs.c.id == _points.c.run)
    )


def _point_of(row: Any) -> PointRecord:
    state = row.state or ("refused" if row.error else "planned")
    point = Point(row.name, json.loads(row.document or "{}"), row.source)
    error = row.error or row.failure or ""
    return PointRecord(
        row.campaign, row.target, row.number, point, row.run, row.before, error, state, row.analysis or ""
    )
