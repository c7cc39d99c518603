"""Records of accounts: users, tokens, shares, the audit log, repeated requests, uploaded theory files.

Functions of a Database. Secrets never come here: passwords are hashed before (server/passwords.py), tokens are stored and
found by their SHA-256, which is safe because they are 256 random bits. Who may do what is server/auth.py's.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.exc import IntegrityError

from reana_lite.database import statements, tables, workspaces
from reana_lite.database.database import Database
from reana_lite.database.records import clean
from reana_lite.database.transaction import Transaction
from reana_lite.errors import Conflict, InvalidInput, NotFound

_users, _tokens, _shares, _audit = tables.users, tables.tokens, tables.shares, tables.audit
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,100}@[^@\s\x00-\x1f]{1,150}")

REMOVED = "removed"
"""The role of what is left of an account that was removed, so that nobody else is given its name with what it owns."""

_IS_THERE = _users.c.role != REMOVED

USED_EVERY_S = 60.0
"""How exact the time of a token's last use is (seconds): not every request is a write."""

UNANSWERED_S = 600.0
"""How long a request may take until the same one is answered anew (seconds)."""

SWEPT_EACH = 100
"""Requests, on the average, until answers that nobody will ask for again are removed: that reads the whole table."""


class Role(StrEnum):
    """What an account is for: `read-only` looks at what it may see, `user` also submits, `admin` sees and does all."""

    READ_ONLY = "read-only"
    USER = "user"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """How much it may: a token never may more than its owner."""
        return (Role.READ_ONLY, Role.USER, Role.ADMIN).index(self)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a user may take, 0: no limit: bytes of kept outputs, jobs at once, seconds of steps that have run."""

    disk_bytes: int = 0
    running_jobs: int = 0
    cpu_s: int = 0

    def to_dict(self) -> dict[str, int | None]:
        """The JSON form; null is no limit."""
        return {name: getattr(self, name) or None for name in ("disk_bytes", "running_jobs", "cpu_s")}


@dataclass(frozen=True, slots=True)
class User:
    """An account. `password` is a hash, or "" if only tokens let in."""

    name: str
    role: Role = Role.USER
    email: str = ""
    full_name: str = ""
    password: str = ""
    disabled: bool = False
    quota: Quota = Quota()
    created_at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, without the hash."""
        return {"name": self.name, "role": str(self.role), "email": self.email, "full_name": self.full_name,
                "disabled": self.disabled, "quota": self.quota.to_dict(), "created_at": self.created_at}  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user has taken so far, in the units of Quota, and runs that are not over."""

    disk_bytes: int
    running_jobs: int
    cpu_s: float
    active_runs: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"disk_bytes": self.disk_bytes, "running_jobs": self.running_jobs, "cpu_s": self.cpu_s,
                "active_runs": self.active_runs}  # fmt: skip


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


# -- users -----------------------------------------------------------------------------------------------------------


def are_there(database: Database) -> bool:
    """Whether there are accounts: without any, one user works alone."""
    with database._reading() as connection:
        return connection.execute(select(_users.c.name).where(_IS_THERE).limit(1)).first() is not None


def add_user(database: Database, user: User) -> User:
    """A new account; raises Conflict if the name is or was taken, InvalidInput for a name that cannot be one."""
    if not _NAME.fullmatch(user.name):
        raise InvalidInput(
            f"{user.name!r} cannot be the name of a user; right are letters, digits and . _ @ -, at most 100",
            field="name", value=user.name,
        )  # fmt: skip
    if user.email and not _EMAIL.fullmatch(user.email):
        raise InvalidInput(f"{user.email!r} is no e-mail address", field="email", value=user.email)
    row = _user_row(replace(user, created_at=database._clock()))
    with database.transaction() as transaction:
        try:
            with transaction.connection.begin_nested():
                transaction.connection.execute(_users.insert(), row)
        except IntegrityError as error:
            there = bool(_users_where(database, _users.c.name == user.name))
            was = "is a user {} already" if there else "was a user {}, whose runs are kept: choose another name"
            raise Conflict("there " + was.format(user.name), user=user.name) from error
    return get_user(database, user.name)


def change_user(database: Database, user: User) -> None:
    """Keep what has changed of an account; what lets in is revoked if it is disabled.

    Raises NotFound, and Conflict if no administrator were left.
    """
    row = _user_row(user)
    with database.transaction() as transaction, _keeping_an_administrator(transaction, user.name):
        done = transaction.connection.execute(_users.update().where(_users.c.name == user.name, _IS_THERE).values(row))
        if not done.rowcount:
            raise NotFound(f"no user {user.name!r}", user=user.name)
        if user.disabled:
            transaction.connection.execute(_tokens.delete().where(_tokens.c.owner == user.name))


def get_user(database: Database, name: str) -> User:
    """The account of that name; raises NotFound."""
    rows = _users_where(database, _users.c.name == name)
    if not rows:
        raise NotFound(f"no user {name!r}", user=name)
    return rows[0]


def find_login(database: Database, name: str) -> User | None:
    """The account of that name or e-mail address, None if there is none, or several."""
    rows = _users_where(database, or_(_users.c.name == name, _users.c.email == name) if name else _users.c.name == "")
    exact = [row for row in rows if row.name == name]
    return (exact or rows)[0] if exact or len(rows) == 1 else None


def list_users(database: Database) -> list[User]:
    """All accounts by name."""
    return _users_where(database)


def remove_user(database: Database, name: str) -> None:
    """Remove an account with all that lets it in, its secrets, and what it may see of others; its runs stay.

    While it owns anything, nobody else is given its name. Raises NotFound, and Conflict if no administrator were left.
    """
    with database.transaction() as transaction, _keeping_an_administrator(transaction, name):
        connection = transaction.connection
        empty = {"role": REMOVED, "email": "", "full_name": "", "password": "", "disabled": True}  # nosec B105 - none fits an empty one
        if not connection.execute(_users.update().where(_users.c.name == name, _IS_THERE).values(empty)).rowcount:
            raise NotFound(f"no user {name!r}", user=name)
        connection.execute(_shares.delete().where(_shares.c.user == name))
        for table in (_tokens, tables.secrets, tables.idempotency):
            connection.execute(table.delete().where(table.c.owner == name))
        owned = (tables.runs, tables.campaigns, tables.workspaces, tables.theory_files)
        if not any(
            connection.execute(select(one.c.owner).where(one.c.owner == name).limit(1)).first() for one in owned
        ):
            connection.execute(_users.delete().where(_users.c.name == name))


@contextmanager
def _keeping_an_administrator(transaction: Transaction, name: str) -> Iterator[None]:
    """Raises Conflict if the block, which changes that account, leaves no administrator who is let in."""
    able = select(_users.c.name).where(_users.c.role == str(Role.ADMIN), ~_users.c.disabled)
    # locked, in one order: of two that remove each other at once, the second sees what the first has done
    before = transaction.connection.execute(able.order_by(_users.c.name).with_for_update()).scalars().all()
    yield
    if name in before and transaction.connection.execute(able.limit(1)).first() is None:
        raise Conflict(f"{name} is the last administrator", user=name)


def usage(database: Database, owner: str) -> Usage:
    """What a user has taken: runs (a job counts for whom it was computed first), uploaded workspaces and theory files."""
    runs, jobs = tables.runs, tables.jobs
    sums = (
        select(
            func.coalesce(func.sum(jobs.c.size_bytes), 0).label("disk"),
            func.coalesce(func.sum(jobs.c.ended_at - jobs.c.started_at).filter(
                jobs.c.ended_at > 0, jobs.c.started_at > 0), 0).label("cpu"),
            func.count().filter(jobs.c.state.in_(("queued", "running"))).label("open"),
        )
        .select_from(jobs.join(runs, runs.c.id == jobs.c.first_run))
        .where(runs.c.owner == owner)
    )  # fmt: skip
    active = select(func.count()).where(runs.c.owner == owner, runs.c.state.in_(("created", "queued", "running")))
    theories = select(func.coalesce(func.sum(tables.theory_files.c.size_bytes), 0))
    with database._reading() as connection:
        row = connection.execute(sums).one()
        sent = connection.execute(theories.where(tables.theory_files.c.owner == owner)).scalar_one()
        going = connection.execute(active).scalar_one()
    disk = int(row.disk) + int(sent) + workspaces.usage(database, owner)
    return Usage(disk, int(row.open), float(row.cpu), int(going))


def _users_where(database: Database, *conditions: Any) -> list[User]:
    with database._reading() as connection:
        rows = connection.execute(select(_users).where(_IS_THERE, *conditions).order_by(_users.c.name))
        return [_user_of(row) for row in rows]


def _user_of(row: Any) -> User:
    return User(
        row.name, Role(row.role), row.email, row.full_name, row.password, bool(row.disabled),
        Quota(row.disk_bytes, row.running_jobs, row.cpu_s), row.created_at,
    )  # fmt: skip


def _user_row(user: User) -> dict[str, Any]:
    names = ("name", "email", "full_name", "password", "disabled", "created_at")
    row: dict[str, Any] = {name: getattr(user, name) for name in names}
    row["full_name"] = clean(user.full_name)[:255]
    quota = user.quota
    return row | {"role": str(user.role), "disk_bytes": quota.disk_bytes, "running_jobs": quota.running_jobs,
                  "cpu_s": quota.cpu_s}  # fmt: skip


# -- tokens ------------------------------------------------------------------------------------------------------------


def digest_of(secret: str) -> str:
    """What is stored of a token: it cannot be turned back, and finding it by this tells nothing of others by its time."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def add_token(
    database: Database, owner: str, *, name: str = "", role: Role = Role.USER, kind: str = "token", valid_s: float = 0
) -> tuple[str, TokenRecord]:
    """(the secret, which is shown this once, its record); `valid_s` seconds, 0: until it is revoked."""
    secret, now = secrets.token_urlsafe(32), database._clock()
    record = TokenRecord(
        "t" + secrets.token_hex(6), owner, kind, clean(name)[:255], role, now, now + valid_s if valid_s else 0.0, 0.0
    )
    row = {field: getattr(record, field) for field in record.__dataclass_fields__} | {"role": str(role)}
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(_tokens.delete().where(_tokens.c.expires_at > 0, _tokens.c.expires_at < now - 86400))
        connection.execute(_tokens.insert(), row | {"digest": digest_of(secret)})
    return secret, record


def find_token(database: Database, secret: str, *, kinds: Iterable[str] = ("token",)) -> TokenRecord | None:
    """The token of that secret, if it is of one of these kinds and has not expired; its use is noted."""
    found = find_token_and_owner(database, secret, kinds=kinds)
    return found[0] if found is not None else None


def find_token_and_owner(
    database: Database, secret: str, *, kinds: Iterable[str] = ("token",)
) -> tuple[TokenRecord, User | None] | None:
    """The same, with its owner's account; no account where there are none at all."""
    digest, now, owner = digest_of(secret), database._clock(), None
    with database._reading() as connection:
        row = connection.execute(select(_tokens).where(_tokens.c.digest == digest)).first()
        if row is not None:
            owner = connection.execute(select(_users).where(_users.c.name == row.owner)).first()
    if row is None or row.kind not in set(kinds) or (row.expires_at and row.expires_at <= now):
        return None
    if now - row.used_at > USED_EVERY_S:
        with database.transaction() as transaction:
            transaction.connection.execute(_tokens.update().where(_tokens.c.digest == digest).values(used_at=now))
    return _token_of(row), _user_of(owner) if owner is not None else None


def find_token_by_id(database: Database, token: str) -> TokenRecord | None:
    """The token or session of that id, if it still lets in."""
    with database._reading() as connection:
        row = connection.execute(select(_tokens).where(_tokens.c.id == token)).first()
    return None if row is None or (row.expires_at and row.expires_at <= database._clock()) else _token_of(row)


def use_up(database: Database, secret: str, *, kind: str = "launch") -> TokenRecord | None:
    """The token of that secret, which lets in no second time; None if there is none (any more)."""
    found = find_token(database, secret, kinds=(kind,))
    if found is None:
        return None
    with database.transaction() as transaction:
        gone = transaction.connection.execute(_tokens.delete().where(_tokens.c.digest == digest_of(secret)))
        return found if gone.rowcount else None


def list_tokens(database: Database, owner: str) -> list[TokenRecord]:
    """The tokens of a user, without sessions, the newest first."""
    statement = select(_tokens).where(_tokens.c.owner == owner, _tokens.c.kind == "token")
    with database._reading() as connection:
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


def _token_of(row: Any) -> TokenRecord:
    values = dict(row._mapping)
    del values["digest"]
    return TokenRecord(**{**values, "role": Role(row.role)})


# -- shares ------------------------------------------------------------------------------------------------------------


def share(database: Database, kind: str, object_: str, user: str) -> None:
    """Let a user see a run (`kind` "run") or a campaign ("campaign"); no error if they may already."""
    row = {"kind": kind, "object": object_, "user": user, "created_at": database._clock()}
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(statements.insert(_shares, connection.dialect.name).values(row).on_conflict_do_nothing())


def unshare(database: Database, kind: str, object_: str, user: str) -> None:
    """Take that back; no error if they may not see it anyway."""
    with database.transaction() as transaction:
        this = (_shares.c.kind == kind, _shares.c.object == object_, _shares.c.user == user)
        transaction.connection.execute(_shares.delete().where(*this))


def shared_with(database: Database, kind: str, object_: str) -> list[str]:
    """Who else may see a run or a campaign."""
    statement = select(_shares.c.user).where(_shares.c.kind == kind, _shares.c.object == object_)
    with database._reading() as connection:
        return sorted(connection.execute(statement).scalars())


def is_shared(database: Database, user: str, *objects: tuple[str, str]) -> bool:
    """Whether any of these (kind, id) is shared with a user."""
    each = [(_shares.c.kind == kind) & (_shares.c.object == id_) for kind, id_ in objects if id_]
    if not each:
        return False
    with database._reading() as connection:
        return (
            connection.execute(select(_shares.c.user).where(_shares.c.user == user, or_(*each)).limit(1)).first()
            is not None
        )


def shared_objects(database: Database, kind: str, user: str) -> list[str]:
    """The ids of what is shared with a user, the newest first."""
    statement = select(_shares.c.object).where(_shares.c.kind == kind, _shares.c.user == user)
    with database._reading() as connection:
        return list(connection.execute(statement.order_by(_shares.c.created_at.desc())).scalars())


# -- audit, repeated requests ----------------------------------------------------------------------------------


def note(database: Database, who: str, what: str, object_: str = "", *, address: str = "") -> None:
    """Write into the audit log who did what to what."""
    row = {"at": database._clock(), "who": clean(who)[:100], "what": what[:32], "object": clean(object_)[:255],
           "address": address[:64]}  # fmt: skip
    with database.transaction() as transaction:
        transaction.connection.execute(_audit.insert(), row)


def audit_log(database: Database, *, before: int = 0, before_at: float = 0, limit: int = 100) -> list[dict[str, Any]]:
    """The audit log, the newest first; the page before that number, or that moment."""
    statement = select(_audit).order_by(_audit.c.number.desc()).limit(limit)
    if before:
        statement = statement.where(_audit.c.number < before)
    if before_at:
        statement = statement.where(_audit.c.at < before_at)
    with database._reading() as connection:
        return [dict(row._mapping) for row in connection.execute(statement)]


def begin_request(
    database: Database, owner: str, key: str, digest: str, *, valid_s: float = 86400
) -> tuple[int, str] | None:
    """None if this request has not been sent before (it is noted now), else (status, body) of its answer.

    Raises Conflict if another request has this key, or the same one is still being answered; one that has not been after
    UNANSWERED_S never will be, because its process has died.
    """
    table, now = tables.idempotency, database._clock()
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
        raise Conflict(f"the request with the idempotency key {key!r} is still being answered", key=key)
    return found.status, found.body


def end_request(database: Database, owner: str, key: str, status: int, body: str) -> None:
    """Keep the answer to a request; with status 0 it may be sent again."""
    table = tables.idempotency
    this = (table.c.owner == owner, table.c.key == key)
    with database.transaction() as transaction:
        if status:
            transaction.connection.execute(table.update().where(*this).values(status=status, body=body))
        else:
            transaction.connection.execute(table.delete().where(*this))


# -- uploaded theory files -----------------------------------------------------------------------------------------------


def add_theory_file(database: Database, record: TheoryFileRecord) -> TheoryFileRecord:
    """Note an uploaded file; the one that was there already, if its owner has uploaded the same bytes before."""
    table = tables.theory_files
    row = {field: getattr(record, field) for field in record.__dataclass_fields__} | {"created_at": database._clock()}
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(statements.insert(table, connection.dialect.name).values(row).on_conflict_do_nothing())
    return get_theory_file(database, record.owner, record.digest)


def get_theory_file(database: Database, owner: str, digest: str) -> TheoryFileRecord:
    """A file that this user has uploaded; raises NotFound."""
    table = tables.theory_files
    with database._reading() as connection:
        row = connection.execute(select(table).where(table.c.owner == owner, table.c.digest == digest)).first()
    if row is None:
        raise NotFound(f"no theory file {digest!r}; upload it first", theory=digest)
    return TheoryFileRecord(**row._mapping)


def list_theory_files(
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
    with database._reading() as connection:
        return [TheoryFileRecord(**row._mapping) for row in connection.execute(statement)]


def remove_theory_file(database: Database, owner: str, digest: str) -> None:
    """Forget an uploaded file; raises NotFound. What runs have kept of it stays."""
    table = tables.theory_files
    with database.transaction() as transaction:
        this = (table.c.owner == owner, table.c.digest == digest)
        if not transaction.connection.execute(table.delete().where(*this)).rowcount:
            raise NotFound(f"no theory file {digest!r}", theory=digest)


def theory_places(database: Database) -> set[tuple[str, int]]:
    """Every (key, attempt) that holds an uploaded file, so that nobody removes it."""
    with database._reading() as connection:
        return {(key, 0) for key in connection.execute(select(tables.theory_files.c.key).distinct()).scalars()}
