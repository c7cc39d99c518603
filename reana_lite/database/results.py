"""Result documents of many runs with few questions, and what tells whether a campaign has others than before.

Functions of a Database; called by the server alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import func, select

from reana_lite.database import tables
from reana_lite.database.database import Database

_results, _runs, _points = tables.results, tables.runs, tables.points

TOGETHER = 200
"""Documents that one question asks for (a few kB each)."""


def documents(database: Database, runs: Sequence[str], *, kind: str = "result") -> Iterator[tuple[str, dict[str, Any]]]:
    """(run, document) of those of the runs that have one, in no order."""
    for start in range(0, len(runs), TOGETHER):
        some = runs[start : start + TOGETHER]
        statement = select(_results.c.run, _results.c.document)
        with database.reading() as connection:
            found = connection.execute(statement.where(_results.c.kind == kind, _results.c.run.in_(some))).all()
        for run, document in found:
            yield run, json.loads(document)


def mark(database: Database, campaign: str) -> tuple[Any, ...]:
    """Changes whenever a point of a campaign does."""
    of = _points.c.campaign == campaign
    states = (
        select(_runs.c.state, func.count(), func.max(_runs.c.created_at), func.max(_runs.c.ended_at))
        .select_from(_points.outerjoin(_runs, _runs.c.id == _points.c.run))
        .where(of)
        .group_by(_runs.c.state)
        .order_by(_runs.c.state)
    )
    refused = select(func.count()).where(of, _points.c.error != "")
    with database.reading() as connection:
        return (*(tuple(row) for row in connection.execute(states)), connection.execute(refused).scalar_one())
