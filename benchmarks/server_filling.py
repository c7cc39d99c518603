"""A database as a busy installation has it after a year: many runs of several owners, in all states, with campaigns.

Called by bench_server.py. Rows are written straight into the tables: what is measured later is reading them.
"""

from __future__ import annotations

import itertools
import json
import random
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from reana_lite.database import Database, tables, tokens, users
from reana_lite.database.users import Role, User

OWNERS = 20
ANALYSES = ("atlas-susy-2018-22", "atlas-susy-2019-08", "counting", "cms-sus-19-006")
STATES = ("finished",) * 90 + ("failed",) * 5 + ("stopped",) * 3 + ("queued",) * 2
STEPS = ("/prepare/0", "/generate/0", "/select/0", "/limit/0")
CAMPAIGN = 500
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Filled:
    """What requests are made of: tokens by user, ids of runs of the first user by state, ids of campaigns."""

    tokens: dict[str, str]
    runs: dict[str, list[str]]
    campaigns: list[str]


def fill(database: Database, count: int) -> Filled:
    """Write `count` runs: half of them of the first user, the others spread; every second in a campaign of 500."""
    owners = [f"user{number:02d}" for number in range(OWNERS)]
    given = {}
    users.add(database, User("root", Role.ADMIN))
    for owner in owners:
        users.add(database, User(owner, Role.USER, email=f"{owner}@example.org"))
        given[owner] = tokens.add(database, owner, name="benchmark", role=Role.USER)[0]
    filled = Filled(given, {}, [])
    draw = random.Random(1)
    numbers = itertools.count()
    while (first := next(numbers) * CHUNK) < count:
        with database.transaction() as transaction:
            _write(transaction.connection, draw, owners, range(first, min(first + CHUNK, count)), filled)
    with database._engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
    return filled


def _write(connection: Connection, draw: random.Random, owners: list[str], numbers: range, filled: Filled) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("runs", "requests", "events", "keys", "jobs", "nodes", "results", "campaigns", "points")
    }
    begun = time.time() - 365 * 86400
    for number in numbers:
        owner = owners[0] if number % 2 else owners[draw.randrange(len(owners))]
        at = begun + number * 300.0
        if number % (2 * CAMPAIGN) == 0:
            filled.campaigns.append(secrets.token_hex(4))
            rows["campaigns"].append(
                {
                    "id": filled.campaigns[-1],
                    "name": f"scan{number}",
                    "owner": owners[0],
                    "digest": secrets.token_hex(32),
                    "request": json.dumps({"targets": [ANALYSES[0]]}),
                    "skipped": "{}",
                    "created_at": at,
                }
            )
        run, state = "b" + secrets.token_hex(5), draw.choice(STATES)
        campaign = filled.campaigns[-1] if number % 2 else ""
        analysis = ANALYSES[0] if campaign else draw.choice(ANALYSES)
        if owner == owners[0]:
            filled.runs.setdefault(state, []).append(run)
        over = state in ("finished", "failed", "stopped")
        rows["runs"].append(
            {
                "id": run,
                "name": analysis,
                "number": number,
                "restart": 0,
                "owner": owner,
                "analysis": analysis,
                "theory": f"gg_{number % 700}",
                "campaign": campaign,
                "state": state,
                "error": "select: exit 1" if state == "failed" else "",
                "created_at": at,
                "queued_at": at,
                "started_at": at + 1 if over else 0.0,
                "ended_at": at + 60 if over else 0.0,
                "total": len(STEPS),
                "finished": len(STEPS) if state == "finished" else 1 if over else 0,
                "failed": int(state == "failed"),
                "next_seq": len(_events(run, at, state)),
            }
        )
        if campaign:
            rows["points"].append(
                {
                    "campaign": campaign,
                    "target": ANALYSES[0],
                    "number": number,
                    "key": secrets.token_hex(8),
                    "name": f"gg_{number}",
                    "document": json.dumps({"m_gluino": 1000 + number % 700}),
                    "run": run,
                }
            )
        rows["requests"].append({"run": run, "document": _REQUEST})
        rows["events"] += _events(run, at, state)
        for step in STEPS if over else ():
            key = secrets.token_hex(32)
            rows["keys"].append({"key": key, "counts": 1, "latest": 1})
            rows["jobs"].append(
                {
                    "key": key,
                    "attempt": 1,
                    "state": "finished",
                    "backend": "local",
                    "exit_code": 0,
                    "digest": "sha256:" + key,
                    "size_bytes": 100_000,
                    "started_at": at + 1,
                    "ended_at": at + 20,
                    "first_run": run,
                }
            )
            rows["nodes"].append({"run": run, "node": step, "key": key, "attempt": 1, "state": "finished"})
        if state == "finished":
            rows["results"].append({"run": run, "kind": "result", "document": _RESULT, "at": at})
    for name, some in rows.items():
        if some:
            connection.execute(getattr(tables, name).insert(), some)


def _events(run: str, at: float, state: str) -> list[dict[str, Any]]:
    kinds: Iterator[tuple[str, dict[str, Any]]] = itertools.chain(
        [("RunStarted", {"workflow": {"stages": ["x" * 1500]}, "init": {}, "version": 1, "options": {}})],
        (("JobFinished", {"node": step, "digest": "0" * 64}) for step in STEPS if state == "finished"),
    )
    return [
        {"run": run, "seq": seq, "kind": kind, "body": json.dumps(body), "at": at}
        for seq, (kind, body) in enumerate(kinds)
    ]


_REQUEST = json.dumps(
    {
        "target": ANALYSES[0],
        "kind": "analysis",
        "analysis": ANALYSES[0],
        "parameters": {"m_gluino": 2000, "m_lsp": 0, "events": 10000},
        "reuse": True,
        "asked": {"target": ANALYSES[0]},
    }
)
_RESULT = json.dumps(
    {
        "analysis": ANALYSES[0],
        "cls": 0.03,
        "excluded": True,
        "regions": [
            {
                "name": f"SR{number}",
                "yield": 3.14159 * number,
                "error": 0.271828,
                "observed": number,
                "background": 2.5 * number,
                "background_error": 0.7,
                "upper_limit": 7.1,
                "cls": 0.2,
            }
            for number in range(24)
        ],
    }
)
