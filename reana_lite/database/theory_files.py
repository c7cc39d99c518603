"""Records of theory files that users have uploaded; their bytes are in storage. Functions of a Database, for the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.errors import NotFound


@dataclass(frozen=True, slots=True)
class TheoryFileRecord:
    """An uploaded theory file: the digest of its bytes, and the kept tree that holds it."""

    owner: str
    digest: str
    name: str
    format: str
    size_bytes: int
    key: str
    created_at: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"digest": self.digest, "name": self.name, "format": self.format, "size_bytes": self.size_bytes,
                "created_at": self.created_at}  # fmt: skip


def add(database: Database, record: TheoryFileRecord) -> TheoryFileRecord:
    """Note an uploaded file; the one that was there already, if its owner has uploaded the same bytes before."""
    table = tables.theory_files
    row = {field: getattr(record, field) for field in record.__dataclass_fields__} | {"created_at": database.clock()}
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(statements.insert(table, connection.dialect.name).values(row).on_conflict_do_nothing())
    return get(database, record.owner, record.digest)


def get(database: Database, owner: str, digest: str) -> TheoryFileRecord:
    """A file that this user has uploaded; raises NotFound."""
    table = tables.theory_files
    with database.reading() as connection:
        row = connection.execute(select(table).where(table.c.owner == owner, table.c.digest == digest)).first()
    if row is None:
        raise NotFound(f"no theory file {digest!r}; upload it first", theory=digest)
    return TheoryFileRecord(**row._mapping)


def find(database: Database, digest: str, *, name: str) -> TheoryFileRecord | None:
    """A file with these bytes that somebody has uploaded under that name; None if nobody has, or it was removed."""
    table = tables.theory_files
    with database.reading() as connection:
        row = connection.execute(select(table).where(table.c.digest == digest, table.c.name == name)).first()
    return None if row is None else TheoryFileRecord(**row._mapping)


def listed(
    database: Database, owner: str, *, before: tuple[float, str] | None = None, limit: int = 100
) -> list[TheoryFileRecord]:
    """The files that a user has uploaded, the newest first; those after (created_at, digest)."""
    table = tables.theory_files
    statement = select(table).where(table.c.owner == owner)
    if before is not None:
        at, digest = before
        statement = statement.where(
            or_(table.c.created_at < at, (table.c.created_at == at) & (table.c.digest < digest))
        )
    statement = statement.order_by(table.c.created_at.desc(), table.c.digest.desc()).limit(limit)
    with database.reading() as connection:
        return [TheoryFileRecord(**row._mapping) for row in connection.execute(statement)]


def remove(database: Database, owner: str, digest: str) -> None:
    """Forget an uploaded file; raises NotFound. What runs have kept of it stays."""
    table = tables.theory_files
    with database.transaction() as transaction:
        this = (table.c.owner == owner, table.c.digest == digest)
        if not transaction.connection.execute(table.delete().where(*this)).rowcount:
            raise NotFound(f"no theory file {digest!r}", theory=digest)


def places(database: Database) -> set[tuple[str, int]]:
    """Every (key, attempt) that holds an uploaded file, so that nobody removes it."""
    with database.reading() as connection:
        return {(key, 0) for key in connection.execute(select(tables.theory_files.c.key).distinct()).scalars()}
