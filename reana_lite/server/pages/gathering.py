"""Results of runs and campaigns as outcomes, kept in memory: a result never changes, and long ones take time to read."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import func, select

from reana_lite.comparison import (
    MassLimit,
    MassPlane,
    Outcome,
    Status,
    axes_of,
    mass_limit,
    mass_plane,
    outcome_of,
    rows_of,
)
from reana_lite.database import Database, RunRecord, campaigns, tables
from reana_lite.database.campaigns import CampaignRecord, PointRecord
from reana_lite.errors import ReanaLiteError
from reana_lite.result import Result, result_of
from reana_lite.server.pages.plane import PlacedPoint

KEPT = 20_000
"""Outcomes that are kept in memory (a few kB each)."""

PLANES = 200
"""Planes and lists of mass limits that are kept in memory (some 100 kB each for 1,000 points)."""

CAMPAIGNS = 50
"""Campaigns whose points are kept in memory."""

T = TypeVar("T")

_made: OrderedDict[tuple[str, ...], tuple[Any]] = OrderedDict()
_rows: OrderedDict[tuple[str, str], tuple[tuple[Any, ...], list[Row]]] = OrderedDict()
_kept: OrderedDict[tuple[str, str], Outcome] = OrderedDict()
_lock = Lock()


def result_of_run(database: Database, run: str) -> Result | None:
    """The result of a run, None while there is none."""
    document = database.get_result(run, "result")
    return None if document is None else result_of(document, known=True)


def outcome_of_run(database: Database, run: str, *, key: str) -> Outcome | None:
    """The outcome of a run; `key` tells installations apart."""
    with _lock:
        found = _kept.get((key, run))
    if found is None:
        result = result_of_run(database, run)
        if result is None:
            return None
        found = outcome_of(result)
        with _lock:
            _kept[key, run] = found
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """A point of a campaign and what its run says."""

    point: PointRecord
    outcome: Outcome


def rows_of_campaign(database: Database, campaign: CampaignRecord, *, key: str) -> list[Row]:
    """All points of a campaign in order; read anew only if a run of it has begun or ended."""
    mark = _mark(database, campaign.id)
    with _lock:
        found = _rows.get((key, campaign.id))
    if found is not None and found[0] == mark:
        return found[1]
    points = list(campaigns.all_points(database, campaign.id))
    _read_results(database, [p.run for p in points if p.run and p.state == "finished"], key)
    rows = [Row(point, _of_point(database, point, key)) for point in points]
    complete = all(row.outcome.status is not Status.FAILED or row.point.state != "finished" for row in rows)
    with _lock:
        if complete:  # else a result is still to be read
            _rows[key, campaign.id] = mark, rows
        while len(_rows) > CAMPAIGNS:
            _rows.popitem(last=False)
    return rows


def _mark(database: Database, campaign: str) -> tuple[Any, ...]:
    """Changes whenever a point of a campaign does."""
    runs, points = tables.runs, tables.points
    of = points.c.campaign == campaign
    states = (
        select(runs.c.state, func.count(), func.max(runs.c.created_at), func.max(runs.c.ended_at))
        .select_from(points.outerjoin(runs, runs.c.id == points.c.run))
        .where(of)
        .group_by(runs.c.state)
        .order_by(runs.c.state)
    )
    refused = select(func.count()).where(of, points.c.error != "")
    with database._reading() as connection:
        return (*(tuple(row) for row in connection.execute(states)), connection.execute(refused).scalar_one())


def _read_results(database: Database, runs: Sequence[str], key: str) -> None:
    """Read results that are not in memory, many with one question."""
    with _lock:
        wanted = [run for run in runs if (key, run) not in _kept]
    results = tables.results
    for start in range(0, len(wanted), 200):
        some = wanted[start : start + 200]
        statement = select(results.c.run, results.c.document).where(results.c.kind == "result", results.c.run.in_(some))
        with database._reading() as connection:
            found = connection.execute(statement).all()
        for run, document in found:
            outcome = outcome_of(result_of(json.loads(document), known=True))
            with _lock:
                _kept[key, run] = outcome
    with _lock:
        while len(_kept) > KEPT:
            _kept.popitem(last=False)


def _of_point(database: Database, point: PointRecord, key: str) -> Outcome:
    values = dict(point.point.values)
    if point.run and point.state == "finished":
        found = outcome_of_run(database, point.run, key=key)
        if found is not None:
            return replace(found, parameters={**found.parameters, **values})
    status = Status.FAILED if point.state in ("failed", "refused", "finished") else Status.MISSING
    analysis = point.analysis or point.target.rpartition("/")[2]
    return Outcome(point.point.name, analysis, point.run, values, status, message=point.error or point.state)


def outcome_of_record(database: Database, record: RunRecord, *, key: str) -> Outcome:
    """What a run says, or why it says nothing."""
    found = outcome_of_run(database, record.id, key=key) if record.state == "finished" else None
    if found is not None:
        return found
    status = Status.FAILED if record.state in ("failed", "finished") else Status.MISSING
    return Outcome(record.theory, record.analysis, record.id, {}, status, message=record.error or str(record.state))


def axes(outcomes: Sequence[Outcome], declared: Iterable[str] = ()) -> list[str]:
    """The axes that vary, the lightest particle's last."""
    named = [axis for axis in dict.fromkeys(declared) if len({o.number(axis) for o in outcomes} - {None}) > 1]
    found = named or axes_of([o for o in outcomes if o.status is Status.OK] or outcomes)
    return sorted(found, key=lambda axis: axis in ("m_lsp", "m_neutralino_1"))


def plane_of(outcomes: Sequence[Outcome], x: str, y: str) -> MassPlane | None:
    """The plane of outcomes that have a place in it; None while nothing can be said of it. The newest are remembered."""
    placed = [o for o in outcomes if o.number(x) is not None and o.number(y) is not None]
    if sum(o.status is Status.OK for o in placed) < 3:
        return None
    return _remembered("plane", placed, x, y, lambda: mass_plane(placed, x, y))


def limits_of(outcomes: Sequence[Outcome], x: str, y: str) -> list[MassLimit]:
    """The mass limit of every row of a scan along `x` (`y` "": of the one there is), those that can be told."""
    if not x:
        return []
    placed = [o for o in outcomes if o.number(x) is not None and (not y or o.number(y) is not None)]

    def limits() -> list[MassLimit]:
        rows = rows_of(placed, x, [y] if y else [])
        known = [(at, row) for at, row in rows if len(row) > 1 and any(o.status is Status.OK for o in row)]
        return [mass_limit(row, x, at=at) for at, row in known]

    return _remembered("limits", placed, x, y, limits) or []


def _remembered(kind: str, outcomes: Sequence[Outcome], x: str, y: str, make: Callable[[], T]) -> T | None:
    """What is made of these outcomes, once: a result never changes. None where they do not allow it."""
    state = [(o.run, o.analysis, str(o.status), o.number(x), o.number(y) if y else 0.0, o.theory) for o in outcomes]
    key = kind, x, y, hashlib.sha256(repr(state).encode()).hexdigest()
    with _lock:
        found = _made.get(key)
    if found is None:
        try:
            made = make()
        except ReanaLiteError:
            made = None
        found = (made,)
        with _lock:
            _made[key] = found
            while len(_made) > PLANES:
                _made.popitem(last=False)
    one: T | None = found[0]
    return one


def placed_points(rows: Sequence[Row], x: str, y: str) -> list[PlacedPoint]:
    """Points of a campaign that have a place on the axes (`y` "": on one); of several analyses the most sensitive one."""
    found: dict[tuple[float, float], PlacedPoint] = {}
    for row in rows:
        across, up = row.outcome.number(x), row.outcome.number(y) if y else 0.0
        if across is None or up is None:
            continue
        known = row.outcome if row.outcome.status in (Status.OK, Status.NO_SIGNAL) else None
        one = PlacedPoint(row.point.point.name, across, up, row.point.state, row.point.run, known, row.point.error)
        before = found.get((across, up))
        if before is None or _worth(one) > _worth(before):
            found[across, up] = one
    return list(found.values())


def _worth(point: PlacedPoint) -> float:
    o = point.outcome
    return -1.0 if o is None or o.r_expected is None else o.r_expected
