"""How often something may be tried: tries are counted before they are made, so that those at the same time count, too.

A limit lets `burst` tries through at once and one more every `every_s` seconds: kept per key is the moment at which all
tries are forgotten (GCRA, as in ITU-T I.371). Called by server/auth.py for sign-ins.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import case, select

from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.errors import Unavailable

_table = tables.throttle

KEY_LENGTH = 200

SWEPT_EACH = 100
"""Tries, on the average, until keys whose tries are forgotten are removed: that reads the whole table."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` tries at once, then one every `every_s` seconds."""

    burst: int
    every_s: float


def take(database: Database, limits: Mapping[str, Limit], what: str) -> None:
    """Count a try under each of these keys; raises Unavailable (429), and counts none, if one of them has had too many."""
    now, wait_s = database.clock(), 0.0
    with database.transaction() as transaction:
        connection = transaction.connection
        for key, limit in sorted(limits.items()):  # in one order, so that nobody waits for each other
            begun = case((_table.c.last_at > now, _table.c.last_at), else_=now)
            row = {"key": key[:KEY_LENGTH], "failures": 1, "last_at": now + limit.every_s}
            more = {"failures": _table.c.failures + 1, "last_at": begun + limit.every_s}
            statement = statements.insert(_table, connection.dialect.name).values(row)
            connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=more))
            forgotten_at = connection.execute(select(_table.c.last_at).where(_table.c.key == row["key"])).scalar_one()
            wait_s = max(wait_s, forgotten_at - limit.burst * limit.every_s - now)
        if (
            wait_s > 1e-3
        ):  # raised in here, so that what was counted is not kept: who waits need not wait longer for asking
            raise Unavailable(f"{what}; try again later", retry_after_s=math.ceil(wait_s), throttled=True)
    if secrets.randbelow(SWEPT_EACH) == 0:
        with database.transaction() as transaction:
            transaction.connection.execute(_table.delete().where(_table.c.last_at < now))


def give_back(database: Database, limits: Mapping[str, Limit]) -> None:
    """Take back one try of each of these keys: it was none."""
    with database.transaction() as transaction:
        for key, limit in sorted(limits.items()):
            less = {"failures": _table.c.failures - 1, "last_at": _table.c.last_at - limit.every_s}
            this = (_table.c.key == key[:KEY_LENGTH], _table.c.failures > 0)
            transaction.connection.execute(_table.update().where(*this).values(less))


def forget(database: Database, keys: Iterable[str]) -> None:
    """Count from the beginning again."""
    with database.transaction() as transaction:
        names = sorted(key[:KEY_LENGTH] for key in keys)
        transaction.connection.execute(_table.delete().where(_table.c.key.in_(names)))
