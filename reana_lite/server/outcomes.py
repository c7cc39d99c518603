"""Results of runs and campaigns as outcomes, kept in memory for all doors: a result never changes, and long ones take time to
read. Who calls has looked whether they may be seen."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, TypeVar

from reana_lite.catalogue import Catalogue, axes_of
from reana_lite.comparison import (
    MassLimit,
    MassPlane,
    Outcome,
    Status,
    mass_limits,
    mass_plane,
    outcome_of,
)
from reana_lite.comparison.axis import Axes, Axis
from reana_lite.comparison.masslimit import NOTHING
from reana_lite.database import Database, RunRecord, campaigns, results
from reana_lite.database.campaigns import CampaignRecord, PointRecord
from reana_lite.errors import ReanaLiteError
from reana_lite.export import LIGHTEST, varying
from reana_lite.result import Result, result_of

KEPT = 20_000
"""Outcomes that are kept in memory (a few kB each)."""

PLANES = 200
"""Planes and lists of mass limits that are kept in memory (some 100 kB each for 1,000 points)."""

CAMPAIGNS = 50
"""Campaigns whose points are kept in memory."""

T = TypeVar("T")

_made: OrderedDict[tuple[str, ...], tuple[Any]] = OrderedDict()
_rows: OrderedDict[tuple[int, str], tuple[tuple[Any, ...], list[Row]]] = OrderedDict()
_kept: OrderedDict[tuple[int, str], Outcome] = OrderedDict()
_lock = Lock()


def result_of_run(database: Database, run: str) -> Result | None:
    """The result of a run, None while there is none."""
    document = database.get_result(run, "result")
    return None if document is None else result_of(document, known=True)


def outcome_of_run(database: Database, run: str) -> Outcome | None:
    """The outcome of a run."""
    with _lock:
        found = _kept.get((id(database), run))
    if found is None:
        result = result_of_run(database, run)
        if result is None:
            return None
        found = outcome_of(result)
        with _lock:
            _kept[id(database), run] = found
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """A point of a campaign and what its run says."""

    point: PointRecord
    outcome: Outcome


def rows_of_campaign(database: Database, campaign: CampaignRecord, *, axes: Axes) -> list[Row]:
    """All points of a campaign in order; read anew only if a run of it has begun or ended. `axes`: what they are called."""
    mark = results.mark(database, campaign.id)
    with _lock:
        found = _rows.get((id(database), campaign.id))
    if found is not None and found[0] == mark:
        kept = found[1]
        if kept and kept[0].outcome.axes != axes:  # with another analysis they may be called otherwise
            return [replace(row, outcome=replace(row.outcome, axes=axes)) for row in kept]
        return kept
    points = list(campaigns.all_points(database, campaign.id))
    _read_results(database, [p.run for p in points if p.run and p.state == "finished"])
    rows = [Row(point, replace(_of_point(database, point), campaign=campaign.name, axes=axes)) for point in points]
    complete = all(row.outcome.status is not Status.FAILED or row.point.state != "finished" for row in rows)
    with _lock:
        if complete:  # else a result is still to be read
            _rows[id(database), campaign.id] = mark, rows
        while len(_rows) > CAMPAIGNS:
            _rows.popitem(last=False)
    return rows


def rows_of_campaigns(
    database: Database, records: Sequence[CampaignRecord], *, axes: Axes
) -> Iterator[tuple[CampaignRecord, list[Row]]]:
    """The points of several campaigns. Two of one name, which are two users', are told apart by the owner's."""
    names = Counter(record.name for record in records)
    for record in records:
        rows = rows_of_campaign(database, record, axes=axes)
        if names[record.name] > 1:
            label = f"{record.name} ({record.owner})"
            rows = [replace(row, outcome=replace(row.outcome, campaign=label)) for row in rows]
        yield record, rows


def _read_results(database: Database, runs: Sequence[str]) -> None:
    """Read results that are not in memory, many with one question."""
    with _lock:
        wanted = [run for run in runs if (id(database), run) not in _kept]
    for run, document in results.documents(database, wanted):
        outcome = outcome_of(result_of(document, known=True))
        with _lock:
            _kept[id(database), run] = outcome
    with _lock:
        while len(_kept) > KEPT:
            _kept.popitem(last=False)


def _of_point(database: Database, point: PointRecord) -> Outcome:
    values = dict(point.point.values)
    if point.run and point.state == "finished":
        found = outcome_of_run(database, point.run)
        if found is not None:
            return replace(found, parameters={**found.parameters, **values})
    status = Status.FAILED if point.state in ("failed", "refused", "finished") else Status.MISSING
    analysis = point.analysis or point.target.rpartition("/")[2]
    return Outcome(point.point.name, analysis, point.run, values, status, message=point.error or point.state)


def outcome_of_record(database: Database, record: RunRecord, *, axes: Axes) -> Outcome:
    """What a run says, or why it says nothing. `axes`: what they are called."""
    found = outcome_of_run(database, record.id) if record.state == "finished" else None
    if found is not None:
        return replace(found, axes=axes)
    status = Status.FAILED if record.state in ("failed", "finished") else Status.MISSING
    return Outcome(record.theory, record.analysis, record.id, {}, status, message=record.error or str(record.state))


def axes_declared(things: Iterable[CampaignRecord | RunRecord], catalogue: Catalogue) -> dict[str, Axis]:
    """What the analyses of campaigns and runs call their axes."""
    targets: list[str] = []
    for thing in things:
        if isinstance(thing, CampaignRecord):
            targets += thing.request.targets
        else:
            targets += [str(thing.request.get("target", "")), thing.analysis]
    return axes_of([target for target in targets if target], catalogue)


def axes(outcomes: Sequence[Outcome], declared: Iterable[str] = ()) -> list[str]:
    """The axes that vary, the lightest particle's last."""
    return sorted(varying(outcomes, declared), key=lambda axis: axis in LIGHTEST)


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
        found = mass_limits(placed, x, [y] if y else [], least=2)
        return [limit for limit in found if limit.reach["observed"].why != NOTHING]

    return _remembered("limits", placed, x, y, limits) or []


def _remembered(kind: str, outcomes: Sequence[Outcome], x: str, y: str, make: Callable[[], T]) -> T | None:
    """What is made of these outcomes, once: a result never changes. None where they do not allow it."""
    state = [
        (o.run, o.campaign, o.analysis, str(o.status), o.number(x), o.number(y) if y else 0.0, o.theory)
        for o in outcomes
    ]
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
