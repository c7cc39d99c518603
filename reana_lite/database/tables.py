"""The tables: what a record is made of. Portable between SQLite and PostgreSQL; no statement is here.

Times are UTC seconds since the epoch, 0 where it has not happened. Documents are JSON text. There are no foreign keys:
every write goes through a Transaction, and rows outlive what they name (a node names an attempt that was pruned).
A change here needs a migration beside it; tests/contract/test_database.py compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

VERSION = "0009"
"""The newest migration that these tables equal; versions are numbers, so that a newer database can be told."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

JOB_OPEN = text("state IN ('queued', 'running')")
"""Attempts that have not ended. Literal, not bound, in index and queries alike: else the partial index is not used."""

JOB_OVER = text("ended_at > 0")
"""Attempts that have ended, in the same way."""


def _name(name: str, length: int = 255) -> Column[str]:
    return Column(name, String(length), nullable=False, server_default="")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _time(name: str) -> Column[float]:
    return Column(name, Double, nullable=False, server_default="0")


runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    _name("name"),
    # as in name.3 and, for its second restart, name.3.2
    _count("number"),
    _count("restart"),
    _name("owner"),
    _name("analysis"),
    _name("theory"),
    _name("campaign", 32),
    _name("parent", 32),
    Column("state", String(16), nullable=False),
    _count("priority"),
    _text("error"),
    _time("created_at"),
    _time("queued_at"),
    _time("started_at"),
    _time("ended_at"),
    _count("total"),
    _count("finished"),
    _count("reused"),
    _count("failed"),
    _count("running"),
    # who drives it: the epoch grows with every worker that takes it up, and only the newest may append events
    _name("worker"),
    _count("epoch"),
    _count("next_seq"),
    _time("stop_requested_at"),
    _name("stop_by"),
    Column("stop_taken", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("owner", "name", "number", "restart"),
    # who waits for a worker, owner by owner: the queue is shared fairly
    Index(None, "state", "owner", "priority", "queued_at"),
    Index(None, "created_at", "id"),
    Index(None, "owner", "created_at", "id"),
    Index(None, "owner", "state", "created_at", "id"),
    Index(None, "owner", "theory", "created_at", "id"),
    # what has just ended, for those who follow
    Index(None, "ended_at"),
    Index(None, "campaign"),
)

# apart from `runs`, whose rows are rewritten at every turn of the worker
requests = Table(
    "requests",
    metadata,
    Column("run", String(32), primary_key=True),
    _text("document"),
)

events = Table(
    "events",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _count("epoch"),
    Column("kind", String(32), nullable=False),
    _text("body"),
    _time("at"),
    sqlite_with_rowid=False,
)

keys = Table(
    "keys",
    metadata,
    Column("key", String(64), primary_key=True),
    # attempt whose outputs everybody uses (0: none), and the newest attempt there is
    _count("counts"),
    _count("latest"),
    sqlite_with_rowid=False,
)

jobs = Table(
    "jobs",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    _name("backend", 64),
    _name("cause", 16),
    Column("exit_code", Integer),
    _text("message"),
    _name("digest", 80),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    Column("reusable", Boolean, nullable=False, server_default=true()),
    _text("details"),
    _time("queued_at"),
    _time("started_at"),
    _time("ended_at"),
    _name("worker"),
    _name("first_run", 32),
    Index("ix_jobs_open", "worker", sqlite_where=JOB_OPEN, postgresql_where=JOB_OPEN),
    # what a user has taken is summed up from it alone; written once, when a job is over
    Index(
        "ix_jobs_taken",
        "first_run",
        "size_bytes",
        "started_at",
        "ended_at",
        sqlite_where=JOB_OVER,
        postgresql_where=JOB_OVER,
    ),
)

nodes = Table(
    "nodes",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("node", Text, primary_key=True),
    _name("key", 64),
    _count("attempt"),
    Column("state", String(16), nullable=False),
    _name("reused_from", 32),
    Index(None, "key"),
    sqlite_with_rowid=False,
)

results = Table(
    "results",
    metadata,
    Column("run", String(32), primary_key=True),
    Column("kind", String(64), primary_key=True),
    _text("document"),
    _time("at"),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", String(32), primary_key=True),
    _name("name"),
    _name("owner"),
    # of the request that made it: the same request again is the same campaign
    _name("digest", 64),
    _text("request"),
    _text("skipped"),
    _time("created_at"),
    _time("stopped_at"),
    UniqueConstraint("owner", "name"),
    UniqueConstraint("owner", "digest"),
)

# the points of a campaign in order; one without run and error waits for its run
points = Table(
    "points",
    metadata,
    Column("campaign", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _name("target"),
    _name("key", 64),
    _name("name"),
    _text("document"),
    _text("source"),
    _name("run", 32),
    _name("before", 32),
    _text("error"),
    UniqueConstraint("campaign", "target", "key"),
    Index(None, "campaign", "run"),
    Index(None, "run", "campaign"),
)

# uploaded workspaces: trees of paths, each upload, move or removal a new revision; shared by a run and its restarts
workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(32), primary_key=True),
    _name("owner"),
    _count("revision"),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    _time("created_at"),
    Index(None, "owner"),
)

# what a path was from revision `since` on, until (not including) `until`, 0: still. `made` rows come from runs and hide what
# was given at the same path; a row of kind "gone" hides it and is nothing itself
workspace_files = Table(
    "workspace_files",
    metadata,
    Column("workspace", String(32), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("made", Boolean, primary_key=True),
    Column("since", Integer, primary_key=True, autoincrement=False),
    _count("until"),
    _name("kind", 8),
    _name("key", 64),
    _count("attempt"),
    _text("inner"),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    _name("digest", 80),
    Column("executable", Boolean, nullable=False, server_default=false()),
    _text("target"),
    _time("changed_at"),
    Index(None, "key"),
    sqlite_with_rowid=False,
)

# what a run of an uploaded workspace was asked to be; `revision` is the one it started from
workspace_runs = Table(
    "workspace_runs",
    metadata,
    Column("run", String(32), primary_key=True),
    _name("workspace", 32),
    _count("revision"),
    _text("specification"),
    _text("parameters"),
    _text("options"),
    Column("taken", Boolean, nullable=False, server_default=false()),
    _time("deleted_at"),
    Index(None, "workspace"),
)

# a worker's one lease covers all runs and attempts that it holds
workers = Table(
    "workers",
    metadata,
    Column("id", String(255), primary_key=True),
    _name("host"),
    _count("pid"),
    _name("process", 64),
    _time("started_at"),
    _time("lease_until"),
    # what it is doing (JSON), for those who ask why something waits
    _text("doing"),
    _time("seen_at"),
)

# what steps of an owner's runs may know; values are read by workers alone, and never listed
secrets = Table(
    "secrets",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("name", String(255), primary_key=True),
    _name("kind", 8),
    _text("value"),
    _name("identity", 64),
    _time("created_at"),
)

# accounts of the server; without any it serves one user, the one of the settings. Quotas: 0 is no limit
users = Table(
    "users",
    metadata,
    Column("name", String(100), primary_key=True),
    _name("email"),
    _name("full_name"),
    _name("password"),
    _name("role", 16),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("disk_bytes", BigInteger, nullable=False, server_default="0"),
    _count("running_jobs"),
    Column("cpu_s", BigInteger, nullable=False, server_default="0"),
    _time("created_at"),
)

# what lets in: the SHA-256 of 256 random bits, never the bits; sessions of browsers are tokens of kind "session"
tokens = Table(
    "tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("id", String(32), nullable=False),
    _name("owner", 100),
    _name("kind", 8),
    _name("name"),
    _name("role", 16),
    _time("created_at"),
    _time("expires_at"),
    _time("used_at"),
    UniqueConstraint("id"),
    Index(None, "owner"),
)

# who else may see a run or a campaign
shares = Table(
    "shares",
    metadata,
    Column("kind", String(8), primary_key=True),
    Column("object", String(32), primary_key=True),
    Column("user", String(100), primary_key=True),
    _time("created_at"),
    Index(None, "user"),
)

# who did what, when, to what
audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    _time("at"),
    _name("who", 100),
    _name("what", 32),
    _name("object"),
    _name("address", 64),
    Index(None, "at"),
)

# answers to requests that may be sent twice
idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    _name("digest", 64),
    _count("status"),
    _text("body"),
    _time("created_at"),
    Index(None, "created_at"),
)

# tries to log in, by name and by address; `last_at` is when all of them are forgotten
throttle = Table(
    "throttle",
    metadata,
    Column("key", String(200), primary_key=True),
    _count("failures"),
    _time("last_at"),
)

# theory files that were uploaded, by content; each owner has a row of their own
theory_files = Table(
    "theory_files",
    metadata,
    Column("owner", String(100), primary_key=True),
    Column("digest", String(80), primary_key=True),
    _name("name"),
    _name("format", 32),
    Column("size_bytes", BigInteger, nullable=False, server_default="0"),
    _name("key", 64),
    _time("created_at"),
    Index(None, "key"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    _text("value"),
)
