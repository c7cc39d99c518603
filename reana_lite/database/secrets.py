"""Secrets of owners: names, kinds and when they came are for everybody who may ask; values are for workers alone.

Functions of a Database. Nothing here logs, and no error names a value. A file of SQLite that holds secrets is made
readable by its owner only; in PostgreSQL they are as safe as the database.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.errors import Conflict, InvalidInput, NotFound
from reana_lite.job import Secret, SecretKind

_secrets = tables.secrets
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,250}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORBIDDEN = re.compile(r"(LD_|RECAST_|PYTHON).*|PATH|HOME|IFS|ENV|BASH_ENV")

LIMIT_BYTES = 1 << 20
"""The largest secret."""


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret without its value."""

    owner: str
    name: str
    kind: SecretKind
    created_at: float


def add(
    database: Database, owner: str, name: str, *, value: bytes, kind: str = "env", replace: bool = False
) -> SecretRecord:
    """Keep a secret of an owner; raises InvalidInput, and Conflict if one of that name is there and `replace` is not set."""
    _check(name, kind, value)
    at = database.clock()
    # with what nobody outside knows: the identity alone must not tell a short value
    identity = hashlib.sha256(b"\0".join([database.installation().encode(), owner.encode(), value])).hexdigest()
    row = {"owner": owner, "name": name, "kind": kind, "value": base64.b64encode(value).decode(), "identity": identity,
           "created_at": at}  # fmt: skip
    with database.transaction() as transaction:
        connection = transaction.connection
        statement = statements.insert(_secrets, connection.dialect.name).values(row)
        if replace:
            statement = statement.on_conflict_do_update(index_elements=["owner", "name"], set_=row)
        else:
            statement = statement.on_conflict_do_nothing()
        if not connection.execute(statement).rowcount:
            raise Conflict(
                f"there is a secret {name!r} already: delete it first, or replace it", field="name", value=name
            )
        if connection.dialect.name == "sqlite":
            path = Path(str(connection.engine.url.database))
            for part in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                with contextlib.suppress(OSError):
                    part.chmod(0o600)
    return SecretRecord(owner, name, SecretKind(kind), at)


def listed(database: Database, owner: str) -> list[SecretRecord]:
    """The secrets of an owner by name, without values."""
    columns = _secrets.c.owner, _secrets.c.name, _secrets.c.kind, _secrets.c.created_at
    with database.reading() as connection:
        rows = connection.execute(select(*columns).where(_secrets.c.owner == owner).order_by(_secrets.c.name)).all()
    return [SecretRecord(row.owner, row.name, SecretKind(row.kind), row.created_at) for row in rows]


def delete(database: Database, owner: str, names: Collection[str]) -> list[str]:
    """Remove secrets of an owner; gives those that were there, raises NotFound if none of them was."""
    there = sorted({record.name for record in listed(database, owner)} & set(names))
    if not there:
        raise NotFound(f"no secret {', '.join(sorted(names))}")
    with database.transaction() as transaction:
        transaction.connection.execute(_secrets.delete().where(_secrets.c.owner == owner, _secrets.c.name.in_(there)))
    return there


def of_run(database: Database, owner: str, names: Iterable[str] | None) -> tuple[Secret, ...]:
    """Those secrets with their values, for a worker (None: all of the owner's); raises NotFound if one is not there."""
    with database.reading() as connection:
        statement = select(_secrets).where(_secrets.c.owner == owner).order_by(_secrets.c.name)
        there = {
            row.name: Secret(row.name, SecretKind(row.kind), base64.b64decode(row.value), row.identity)
            for row in connection.execute(statement)
        }
    wanted = list(there) if names is None else sorted(set(names))
    missing = [name for name in wanted if name not in there]
    if missing:
        raise NotFound(f"no secret {', '.join(missing)}: add it, then run it again", field="secrets")
    return tuple(there[name] for name in wanted)


def _check(name: str, kind: str, value: bytes) -> None:
    if kind not in set(SecretKind):
        raise InvalidInput(f"a secret is of kind env or file, not {kind!r}", field="kind", value=kind)
    if not _NAME.fullmatch(name) or (kind == "env" and not _VARIABLE.fullmatch(name)):
        raise InvalidInput(f"{name[:100]!r} cannot name a secret of kind {kind}", field="name", value=name[:100])
    if kind == "env" and _FORBIDDEN.fullmatch(name):
        raise InvalidInput(f"the variable {name} is not for secrets", field="name", value=name)
    if len(value) > LIMIT_BYTES or (kind == "env" and (b"\0" in value or len(value) > 100_000)):
        raise InvalidInput(f"secret {name!r} is too large, or no text for a variable", field="value")
