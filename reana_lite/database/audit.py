"""The audit log: who did what to what, written by the command line and the server. Functions of a Database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from reana_lite.database import tables
from reana_lite.database.database import Database
from reana_lite.database.records import clean

_audit = tables.audit


def note(database: Database, who: str, what: str, object_: str = "", *, address: str = "") -> None:
    """Write into the audit log who did what to what."""
    row = {"at": database.clock(), "who": clean(who)[:100], "what": what[:32], "object": clean(object_)[:255],
           "address": address[:64]}  # fmt: skip
    with database.transaction() as transaction:
        transaction.connection.execute(_audit.insert(), row)


def listed(database: Database, *, before: int = 0, before_at: float = 0, limit: int = 100) -> list[dict[str, Any]]:
    """The audit log, the newest first; the page before that number, or that moment."""
    statement = select(_audit).order_by(_audit.c.number.desc()).limit(limit)
    if before:
        statement = statement.where(_audit.c.number < before)
    if before_at:
        statement = statement.where(_audit.c.at < before_at)
    with database.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(statement)]
