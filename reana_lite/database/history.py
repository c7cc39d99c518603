"""What earlier runs have shown: how long the steps of an analysis took, which images they ran in, what is kept of jobs.

Functions of a Database, called by forecast.py and foresight.py; nothing is decided by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import and_, select

from reana_lite.database import tables
from reana_lite.database.database import PAGE, Database

_runs, _jobs, _keys, _nodes = tables.runs, tables.jobs, tables.keys, tables.nodes


def step_durations(database: Database, analysis: str, *, limit: int = 2000) -> list[tuple[str, float]]:
    """(node, seconds) of the newest finished steps that runs of an analysis have computed themselves."""
    statement = (
        select(_nodes.c.node, (_jobs.c.ended_at - _jobs.c.started_at).label("took_s"))
        .select_from(_nodes)
        .join(_runs, _runs.c.id == _nodes.c.run)
        .join(_jobs, and_(_jobs.c.key == _nodes.c.key, _jobs.c.attempt == _nodes.c.attempt))
        .where(
            _runs.c.analysis == analysis,
            _jobs.c.first_run == _nodes.c.run,
            _jobs.c.state == "finished",
            _jobs.c.started_at > 0,
        )
        .order_by(_runs.c.created_at.desc())
        .limit(limit)
    )
    with database.reading() as connection:
        return [(row.node, max(0.0, row.took_s)) for row in connection.execute(statement)]


def images_of(database: Database, analysis: str, *, limit: int = 500) -> dict[str, str]:
    """Digest by name of each image that the newest steps of an analysis ran in."""
    statement = (
        select(_jobs.c.details)
        .select_from(_nodes)
        .join(_runs, _runs.c.id == _nodes.c.run)
        .join(_jobs, and_(_jobs.c.key == _nodes.c.key, _jobs.c.attempt == _nodes.c.attempt))
        .where(_runs.c.analysis == analysis, _jobs.c.details != "")
        .order_by(_runs.c.created_at.desc())
        .limit(limit)
    )
    found: dict[str, str] = {}
    with database.reading() as connection:
        for text in connection.execute(statement).scalars():
            words = str(json.loads(text).get("environment", "")).split()
            if len(words) == 2:
                found.setdefault(words[0], words[1])
    return found


def nodes_of_newest(database: Database, analysis: str) -> list[str]:
    """The nodes of the newest finished run of an analysis; [] if there is none."""
    newest = (
        select(_runs.c.id)
        .where(_runs.c.analysis == analysis, _runs.c.state == "finished")
        .order_by(_runs.c.created_at.desc())
        .limit(1)
    )
    with database.reading() as connection:
        return list(connection.execute(select(_nodes.c.node).where(_nodes.c.run.in_(newest))).scalars())


def kept_outcomes(database: Database, keys: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Those of these jobs whose outputs are there to be reused: key -> (attempt, digest of the outputs)."""
    wanted = sorted(set(keys))
    found: dict[str, tuple[int, str]] = {}
    statement = select(_jobs.c.key, _jobs.c.attempt, _jobs.c.digest).join(
        _keys, and_(_keys.c.key == _jobs.c.key, _keys.c.counts == _jobs.c.attempt)
    )
    with database.reading() as connection:
        for first in range(0, len(wanted), PAGE):
            rows = connection.execute(statement.where(_jobs.c.key.in_(wanted[first : first + PAGE])))
            found.update((row.key, (row.attempt, row.digest)) for row in rows)
    return found
