"""Requests that are sent again with the same idempotency key get the answer they got. Functions of a Database.

Called by server/api, and by pages for forms that must not be sent twice.
"""

from __future__ import annotations

import secrets

from sqlalchemy import and_, or_, select

from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.errors import Conflict

UNANSWERED_S = 600.0
"""How long a request may take until the same one is answered anew (seconds)."""

AGAIN_S = 1.0
"""When to ask again for the answer to a request that is being answered (seconds)."""

SWEPT_EACH = 100
"""Requests, on the average, until answers that nobody will ask for again are removed: that reads the whole table."""


def begin(database: Database, owner: str, key: str, digest: str, *, valid_s: float = 86400) -> tuple[int, str] | None:
    """None if this request has not been sent before (it is noted now), else (status, body) of its answer.

    Raises Conflict if another request has this key, or (`pending`) the same one is still being answered; one that has not
    been after UNANSWERED_S never will be, because its process has died.
    """
    table, now = tables.idempotency, database.clock()
    row = {"owner": owner, "key": key, "digest": digest, "created_at": now}
    with database.transaction() as transaction:
        connection = transaction.connection
        died = and_(table.c.status == 0, table.c.created_at < now - UNANSWERED_S)
        gone = or_(table.c.created_at < now - valid_s, died)
        this = () if secrets.randbelow(SWEPT_EACH) == 0 else (table.c.owner == owner, table.c.key == key)
        connection.execute(table.delete().where(gone, *this))
        statement = statements.insert(table, connection.dialect.name).values(row).on_conflict_do_nothing()
        if connection.execute(statement).rowcount:
            return None
        found = connection.execute(select(table).where(table.c.owner == owner, table.c.key == key)).one()
    if found.digest != digest:
        raise Conflict(f"the idempotency key {key!r} belongs to another request", key=key)
    if not found.status:
        raise Conflict(
            f"the request with the idempotency key {key!r} is still being answered: send it again later", key=key,
            pending=True, retry_after_s=AGAIN_S,
        )  # fmt: skip
    return found.status, found.body


def end(database: Database, owner: str, key: str, status: int, body: str) -> None:
    """Keep the answer to a request; with status 0 it may be sent again."""
    table = tables.idempotency
    this = (table.c.owner == owner, table.c.key == key)
    with database.transaction() as transaction:
        if status:
            transaction.connection.execute(table.update().where(*this).values(status=status, body=body))
        else:
            transaction.connection.execute(table.delete().where(*this))
