"""Records of users: who they are, what they may, what they have taken. Functions of a Database.

Passwords are hashed before they come here (server/passwords.py); what lets in are tokens.py's. Who may do what is
server/auth.py's. Called by the command line and the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, or_, select, text
from sqlalchemy.exc import IntegrityError

from reana_lite.database import tables, workspaces
from reana_lite.database.database import Database
from reana_lite.database.records import clean
from reana_lite.database.transaction import Transaction
from reana_lite.errors import Conflict, InvalidInput, NotFound

_users, _tokens, _shares = tables.users, tables.tokens, tables.shares
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,100}@[^@\s\x00-\x1f]{1,150}")

REMOVED = "removed"
"""The role of what is left of an account that was removed, so that nobody else is given its name with what it owns."""

_IS_THERE = _users.c.role != REMOVED


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


def are_there(database: Database) -> bool:
    """Whether there are accounts: without any, one user works alone."""
    with database.reading() as connection:
        return _any(connection)


def _any(connection: Connection) -> bool:
    return connection.execute(select(_users.c.name).where(_IS_THERE).limit(1)).first() is not None


def add(database: Database, user: User) -> User:
    """A new account. Raises Conflict if the name is or was taken, and InvalidInput for a name that cannot be one, or if
    it is the first one and no administrator's.
    """
    if not _NAME.fullmatch(user.name):
        raise InvalidInput(
            f"{user.name!r} cannot be the name of a user; right are letters, digits and . _ @ -, at most 100",
            field="name", value=user.name,
        )  # fmt: skip
    if user.email and not _EMAIL.fullmatch(user.email):
        raise InvalidInput(f"{user.email!r} is no e-mail address", field="email", value=user.email)
    row = _user_row(replace(user, created_at=database.clock()))
    with database.transaction() as transaction:
        if user.role is not Role.ADMIN and not _any(transaction.connection):
            raise InvalidInput(
                "the first account must be an administrator's (role admin): nobody else could make more",
                field="role", value=str(user.role),
            )  # fmt: skip
        try:
            with transaction.connection.begin_nested():
                transaction.connection.execute(_users.insert(), row)
        except IntegrityError as error:
            there = bool(_users_where(database, _users.c.name == user.name))
            was = "is a user {} already" if there else "was a user {}, whose runs are kept: choose another name"
            raise Conflict("there " + was.format(user.name), user=user.name) from error
    return get(database, user.name)


def change(database: Database, user: User) -> None:
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


def get(database: Database, name: str) -> User:
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


def listed(database: Database) -> list[User]:
    """All accounts by name."""
    return _users_where(database)


def remove(database: Database, name: str) -> None:
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
    theirs = jobs.join(runs, runs.c.id == jobs.c.first_run)
    took = func.sum(jobs.c.ended_at - jobs.c.started_at).filter(jobs.c.started_at > 0)
    sums = (  # of an index alone (ix_jobs_taken); jobs that are not over have no size yet
        select(func.coalesce(func.sum(jobs.c.size_bytes), 0).label("disk"), func.coalesce(took, 0).label("cpu"))
        .select_from(theirs)
        .where(runs.c.owner == owner, text(f"jobs.{tables.JOB_OVER}"))
    )
    going_on = select(func.count()).select_from(theirs).where(runs.c.owner == owner, text(f"jobs.{tables.JOB_OPEN}"))
    active = select(func.count()).where(runs.c.owner == owner, runs.c.state.in_(("created", "queued", "running")))
    theories = select(func.coalesce(func.sum(tables.theory_files.c.size_bytes), 0))
    with database.reading() as connection:
        row = connection.execute(sums).one()
        sent = connection.execute(theories.where(tables.theory_files.c.owner == owner)).scalar_one()
        going = connection.execute(active).scalar_one()
        waiting = connection.execute(going_on).scalar_one()
    disk = int(row.disk) + int(sent) + workspaces.usage(database, owner)
    return Usage(disk, int(waiting), float(row.cpu), int(going))


def _users_where(database: Database, *conditions: Any) -> list[User]:
    with database.reading() as connection:
        rows = connection.execute(select(_users).where(_IS_THERE, *conditions).order_by(_users.c.name))
        return [user_of(row) for row in rows]


def user_of(row: Any) -> User:
    """A row of `users`."""
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
