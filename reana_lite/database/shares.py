"""Records of shares: which users may see a run or a campaign that is not theirs. Functions of a Database.

Whether they may is asked by server/auth.py; shared runs and campaigns are listed by listing.py.
"""

from __future__ import annotations

from sqlalchemy import or_, select

from reana_lite.database import statements, tables
from reana_lite.database.database import Database

_shares = tables.shares


def add(database: Database, kind: str, object_: str, user: str) -> None:
    """Let a user see a run (`kind` "run") or a campaign ("campaign"); no error if they may already."""
    row = {"kind": kind, "object": object_, "user": user, "created_at": database.clock()}
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(statements.insert(_shares, connection.dialect.name).values(row).on_conflict_do_nothing())


def remove(database: Database, kind: str, object_: str, user: str) -> None:
    """Take that back; no error if they may not see it anyway."""
    with database.transaction() as transaction:
        this = (_shares.c.kind == kind, _shares.c.object == object_, _shares.c.user == user)
        transaction.connection.execute(_shares.delete().where(*this))


def users_of(database: Database, kind: str, object_: str) -> list[str]:
    """Who else may see a run or a campaign."""
    statement = select(_shares.c.user).where(_shares.c.kind == kind, _shares.c.object == object_)
    with database.reading() as connection:
        return sorted(connection.execute(statement).scalars())


def is_shared(database: Database, user: str, *objects: tuple[str, str]) -> bool:
    """Whether any of these (kind, id) is shared with a user."""
    each = [(_shares.c.kind == kind) & (_shares.c.object == id_) for kind, id_ in objects if id_]
    if not each:
        return False
    with database.reading() as connection:
        return (
            connection.execute(select(_shares.c.user).where(_shares.c.user == user, or_(*each)).limit(1)).first()
            is not None
        )
