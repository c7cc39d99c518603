"""A database is opened: engine, settings of SQLite, creation and migration, errors in our words.

Only database.py calls this. No record is read here except the version.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from reana_lite.database import tables
from reana_lite.errors import Conflict, InvalidInput, Unavailable

BUSY_S = 60.0
"""How long a writer waits for another one (seconds); a turn of a worker holds the lock for milliseconds."""

CONNECTIONS = 15
"""Most connections of one process to a PostgreSQL (its own limit for everybody is 100 unless changed)."""

STATEMENT_S = 60.0
"""How long one statement may take on PostgreSQL, waiting for locks included (seconds); migrations may take any time."""

IDLE_S = 120.0
"""How long a transaction may do nothing on PostgreSQL (seconds): a process that was stopped holds its locks no longer."""

PROVEN_S = 2.0
"""A connection that was given back so recently is taken without a question whether it still is one (seconds)."""

_REACHING: dict[str, object] = {
    "connect_timeout": 10, "application_name": "reana-lite", "keepalives_idle": 30, "keepalives_interval": 10,
    "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip
"""What libpq is told unless the URL says otherwise: a server that vanished is noticed within a minute."""

_LOCK = 0x7265616E61  # any number that nobody else locks; this is "reana"

_FIRST_STAMP = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def make_engine(url: str) -> Engine:
    """An engine whose transactions begin as writers (`writes` in its execution options) or as readers."""
    _, sign, path = url.partition(":///")
    if not url.startswith(("sqlite:", "sqlite+pysqlite:")):
        return _network_engine(url)
    if not sign or not path or path == ":memory:":
        raise InvalidInput(f"{url!r} names no file, such as sqlite:////path/file.db", field="database", value=url)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make the folder of database {path}: {error.strerror}") from error
    # the path as it is written: % and ? in it mean nothing
    engine = create_engine(
        URL.create("sqlite", database=path), connect_args={"timeout": BUSY_S, "cached_statements": 256},
        max_overflow=-1,  # a connection is an open file: whoever waits shall wait for the lock, not for one of these
    )  # fmt: skip

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _: Any) -> None:
        # transactions are begun below, not by the driver's guess at what writes
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA cache_size=-16000")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _network_engine(text: str) -> Engine:
    try:
        url = make_url(text)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")  # the one that comes with the package
        ours = url.drivername == "postgresql+psycopg"
        engine = create_engine(
            url,
            pool_size=5,
            max_overflow=CONNECTIONS - 5,
            connect_args={name: value for name, value in _REACHING.items() if name not in url.query} if ours else {},
        )
    except exc.NoSuchModuleError as error:
        raise InvalidInput("only sqlite and postgresql databases are known", field="database") from error
    except exc.ArgumentError as error:
        raise InvalidInput("this is no database URL, such as sqlite:////path/file.db", field="database") from error
    except ModuleNotFoundError as error:
        raise Unavailable(f"the driver of this database is not installed ({error.name})") from error

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {int(STATEMENT_S * 1000)}")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {int(IDLE_S * 1000)}")
        connection.commit()

    @event.listens_for(engine, "checkin")
    def given_back(_: Any, record: Any) -> None:
        record.info["given_back_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, record: Any, _: Any) -> None:
        # SQLAlchemy's own pre-ping asks at every checkout, which is one way to the server in three; one that was in use a
        # moment ago has told by an error if it was cut
        if time.monotonic() - record.info.get("given_back_at", -PROVEN_S) < PROVEN_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise exc.DisconnectionError("it was cut while nobody used it") from error

    return engine


def reader_of(engine: Engine) -> Engine:
    """The same engine for reading. On PostgreSQL each statement stands for itself, as it does there anyway unless a
    transaction asks for more: that spares two ways to the server."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def told(engine: Engine) -> Iterator[None]:
    """Turns errors of the database into Unavailable, naming it (never its password)."""
    try:
        yield
    except exc.TimeoutError as error:  # of the pool
        where = engine.url.render_as_string()
        raise Unavailable(f"all connections of this process to database {where} are in use", retry_after_s=5) from error
    except (exc.DBAPIError, sqlite3.Error) as error:
        name = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        words = " ".join(str(cause).split())
        if "not a database" in words or "malformed" in words:
            raise Unavailable(f"database {name} is damaged ({words}); restore it from a copy") from error
        if "statement timeout" in words:
            reason = f"a statement took longer than {STATEMENT_S:g} s; it is overloaded, or somebody holds a lock"
            raise Unavailable(f"database {name} is too slow: {reason}", retry_after_s=30) from error
        if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
            raise Unavailable(f"database {name} has cut the connection: {words}", retry_after_s=5) from error
        if "locked" in words:
            raise Unavailable(f"database {name} is held by another process", retry_after_s=5) from error
        raise Unavailable(f"database {name} cannot be used: {words}") from error


def create_or_check(engine: Engine) -> None:
    """Make the tables of a new database; bring an older SQLite file up to date; refuse a newer database."""
    if engine.dialect.name == "sqlite":
        _write_ahead(engine)
    version = version_there(engine)
    if version is None:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            _alone(connection)
            if _version_of(connection) is None:
                _create(connection)
        version = version_there(engine)
    assert version is not None
    check_known(version)
    if version != tables.VERSION:
        if engine.dialect.name != "sqlite":
            raise Conflict(f"the database has version {version} and needs {tables.VERSION}: migrate it first")
        upgrade(engine)


def migrate(engine: Engine) -> tuple[str, str]:
    """Make the tables of a new database, or run the migrations it has not seen; its version before ("": none) and now."""
    before = version_there(engine)
    if before is not None:
        check_known(before)
    if before is not None and before != tables.VERSION:
        upgrade(engine)
    create_or_check(engine)
    return before or "", tables.VERSION


def check_known(version: str) -> None:
    """Raises Conflict if a newer program has made this database."""
    if not version.isdecimal() or int(version) > int(tables.VERSION):
        raise Conflict(
            f"the database has version {version}, this program knows {tables.VERSION} and older: use a newer reana-lite",
            version=version,
        )


def upgrade(engine: Engine) -> None:
    """Run all migrations that this database has not seen; with two processes at once one waits for the other."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        _alone(connection)
        version = _version_of(connection)
        if version is not None:
            check_known(version)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _first_rows(connection)


def _alone(connection: Connection) -> None:
    """Until this transaction ends nobody else creates or migrates; a writer of SQLite is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _create(connection: Connection) -> None:
    tables.metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(_FIRST_STAMP)
    connection.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{tables.VERSION}')")  # nosec B608 - a constant
    _first_rows(connection)


def _first_rows(connection: Connection) -> None:
    known = connection.execute(tables.meta.select().where(tables.meta.c.name == "installation")).first()
    if known is None:
        connection.execute(tables.meta.insert(), {"name": "installation", "value": uuid.uuid4().hex})


def _write_ahead(engine: Engine) -> None:
    """Write-ahead log: readers never wait. The change needs the file for itself, and does not wait by itself."""
    limit = time.monotonic() + BUSY_S
    while True:
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > limit:
                raise
            time.sleep(0.01)
        else:
            return
        finally:
            raw.close()


def version_there(engine: Engine) -> str | None:
    """The version of the tables that are there; None if there are none."""
    with engine.connect() as connection:
        return _version_of(connection)


def _version_of(connection: Connection) -> str | None:
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
        if found is None:
            return None
    elif not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
