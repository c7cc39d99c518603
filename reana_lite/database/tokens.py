"""Records of tokens: what lets a user in. Functions of a Database, called by the command line and the server.

The secret itself never comes here: a token is stored and found by its SHA-256, which is safe because it is 256 random bits.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from reana_lite.database import tables
from reana_lite.database.database import Database
from reana_lite.database.records import clean
from reana_lite.database.users import Role, User, user_of
from reana_lite.errors import NotFound

_tokens, _users = tables.tokens, tables.users
_WITH_OWNER = select(  # one way to the database for each request of a program
    *(column.label(f"token_{column.name}") for column in _tokens.c),
    *(column.label(f"user_{column.name}") for column in _users.c),
).select_from(_tokens.outerjoin(_users, _users.c.name == _tokens.c.owner))

USED_EVERY_S = 60.0
"""How exact the time of a token's last use is (seconds): not every request is a write."""


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its bits. `kind`: "token", or "session" of a browser, or "launch", a link that works once."""

    id: str
    owner: str
    kind: str
    name: str
    role: Role
    created_at: float
    expires_at: float
    used_at: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"id": self.id, "name": self.name, "role": str(self.role), "created_at": self.created_at,
                "expires_at": self.expires_at or None, "used_at": self.used_at or None}  # fmt: skip


def digest_of(secret: str) -> str:
    """What is stored of a token: it cannot be turned back, and finding it by this tells nothing of others by its time."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def add(
    database: Database, owner: str, *, name: str = "", role: Role = Role.USER, kind: str = "token", valid_s: float = 0
) -> tuple[str, TokenRecord]:
    """(the secret, which is shown this once, its record); `valid_s` seconds, 0: until it is revoked."""
    secret, now = secrets.token_urlsafe(32), database.clock()
    record = TokenRecord(
        "t" + secrets.token_hex(6), owner, kind, clean(name)[:255], role, now, now + valid_s if valid_s else 0.0, 0.0
    )
    row = {field: getattr(record, field) for field in record.__dataclass_fields__} | {"role": str(role)}
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(_tokens.delete().where(_tokens.c.expires_at > 0, _tokens.c.expires_at < now - 86400))
        connection.execute(_tokens.insert(), row | {"digest": digest_of(secret)})
    return secret, record


def find_with_owner(
    database: Database, secret: str, *, kinds: Iterable[str] = ("token",)
) -> tuple[TokenRecord, User | None] | None:
    """The token of that secret, if it is of one of these kinds and has not expired, and its owner's account.

    No account where there are none at all. Its use is noted.
    """
    digest, now = digest_of(secret), database.clock()
    with database.reading() as connection:
        both = connection.execute(_WITH_OWNER.where(_tokens.c.digest == digest)).first()
    if both is None:
        return None
    row, owner = _part(both, "token"), _part(both, "user")
    if row.kind not in set(kinds) or (row.expires_at and row.expires_at <= now):
        return None
    if now - row.used_at > USED_EVERY_S:
        with database.transaction() as transaction:
            transaction.connection.execute(_tokens.update().where(_tokens.c.digest == digest).values(used_at=now))
    return _token_of(row), user_of(owner) if owner.name is not None else None


def find_by_id(database: Database, token: str) -> TokenRecord | None:
    """The token or session of that id, if it still lets in."""
    with database.reading() as connection:
        row = connection.execute(select(_tokens).where(_tokens.c.id == token)).first()
    return None if row is None or (row.expires_at and row.expires_at <= database.clock()) else _token_of(row)


def use_up(database: Database, secret: str, *, kind: str = "launch") -> TokenRecord | None:
    """The token of that secret, which lets in no second time; None if there is none (any more)."""
    found = find_with_owner(database, secret, kinds=(kind,))
    if found is None:
        return None
    with database.transaction() as transaction:
        gone = transaction.connection.execute(_tokens.delete().where(_tokens.c.digest == digest_of(secret)))
        return found[0] if gone.rowcount else None


def listed(database: Database, owner: str) -> list[TokenRecord]:
    """The tokens of a user, without sessions, the newest first."""
    statement = select(_tokens).where(_tokens.c.owner == owner, _tokens.c.kind == "token")
    with database.reading() as connection:
        return [_token_of(row) for row in connection.execute(statement.order_by(_tokens.c.created_at.desc()))]


def revoke(database: Database, owner: str, token: str) -> None:
    """Let a token (by its id) in no more; raises NotFound if that user has none of that id."""
    with database.transaction() as transaction:
        this = (_tokens.c.owner == owner, _tokens.c.id == token)
        if not transaction.connection.execute(_tokens.delete().where(*this)).rowcount:
            raise NotFound(f"no token {token!r}", token=token)


def revoke_all(database: Database, owner: str, *, kind: str = "session") -> None:
    """End all sessions of a user, or all tokens of another kind."""
    with database.transaction() as transaction:
        transaction.connection.execute(_tokens.delete().where(_tokens.c.owner == owner, _tokens.c.kind == kind))


def _part(row: Any, name: str) -> SimpleNamespace:
    """The columns of one of the tables of _WITH_OWNER."""
    start = f"{name}_"
    return SimpleNamespace(
        **{key.removeprefix(start): row[at] for at, key in enumerate(row._fields) if key.startswith(start)}
    )


def _token_of(row: Any) -> TokenRecord:
    values = {name: getattr(row, name) for name in TokenRecord.__dataclass_fields__}
    return TokenRecord(**{**values, "role": Role(row.role)})
