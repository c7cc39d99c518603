"""What keeps records in order over years: copies, which places records name, which runs are old.

Functions for the commands of administrators (cli/admin.py, cli/upkeep.py); nothing here touches storage.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import uuid
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, select

from reana_lite.database import opening, queue, tables, theory_files
from reana_lite.database.database import Database
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.errors import Conflict, InvalidInput, Unavailable

Place = tuple[str, int]
"""(key, attempt) of what storage keeps."""

SQLITE, POSTGRESQL = "records.db", "records.dump"
"""What a copy is called, by the kind of database."""


def places_of(database: Database, runs: set[str]) -> set[Place]:
    """Every (key, attempt) of jobs that nodes of these runs name."""
    found: set[Place] = set()
    ids = sorted(runs)
    nodes = tables.nodes
    with database.reading() as connection:
        for start in range(0, len(ids), 500):
            some = nodes.c.run.in_(ids[start : start + 500])
            rows = connection.execute(select(nodes.c.key, nodes.c.attempt).distinct().where(some, nodes.c.attempt > 0))
            found |= {(row.key, row.attempt) for row in rows}
    return found


def over_before(database: Database, at: float, *, campaign: str = "") -> set[str]:
    """The ids of runs that were over before a moment (UTC seconds), those of a campaign."""
    runs = tables.runs
    over = [str(state) for state in TERMINAL_RUN]
    statement = select(runs.c.id).where(runs.c.state.in_(over), runs.c.ended_at < at)
    if campaign:
        statement = statement.where(runs.c.campaign == campaign)
    with database.reading() as connection:
        return set(connection.execute(statement).scalars())


def trees_named(database: Database) -> set[Place]:
    """Kept trees (attempt 0) that runs, uploaded theories or workspaces name."""
    files = tables.workspace_files
    with database.reading() as connection:
        rows = connection.execute(select(files.c.key, files.c.attempt).distinct().where(files.c.key != ""))
        found = {(row.key, row.attempt) for row in rows if not row.attempt}
    found |= {place for place in database.places_of_runs() if not place[1]}
    return found | theory_files.places(database)


def attempts_known(database: Database) -> set[Place]:
    """Every attempt that has a record, however it ended."""
    with database.reading() as connection:
        return {(row.key, row.attempt) for row in connection.execute(select(tables.jobs.c.key, tables.jobs.c.attempt))}


# -- copies ---------------------------------------------------------------------------------------------------------


def copy_to(url: str, folder: Path) -> Path:
    """Write a copy of a database, as it is at one moment while it is in use, into a folder; the file.

    PostgreSQL is copied by its own pg_dump; raises Unavailable without it.
    """
    engine = opening.make_engine(url)
    try:
        with opening.told(engine):
            version = opening.version_there(engine)
            if version is None:
                raise Conflict("the database has no tables yet: there is nothing to be copied")
            if engine.dialect.name == "sqlite":
                return _copy_sqlite(Path(str(engine.url.database)), folder / SQLITE)
    finally:
        engine.dispose()
    target = folder / POSTGRESQL
    _program(engine, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
    return target


def _copy_sqlite(source: Path, target: Path) -> Path:
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(new)) as other:
            one.backup(other)
            other.execute("PRAGMA journal_mode=DELETE").fetchone()  # one file that is whole by itself
        check_sqlite(new)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
    return target


def check_sqlite(path: Path) -> None:
    """Raises InvalidInput unless a file is a whole database of ours that this program can read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    except sqlite3.Error as error:
        raise InvalidInput(f"{path} is no database of reana-lite ({error})", field="backup") from error
    if said != "ok":
        raise InvalidInput(f"{path} is damaged ({said})", field="backup")
    opening.check_known(str(version))


def restore_from(folder: Path, url: str, *, keep_id: bool = False) -> None:
    """Make a new database from a copy, and bring it up to date. Raises Conflict if there is one already.

    It is another installation than the one that was copied, unless that is gone for good (`keep_id`).
    """
    engine = opening.make_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            _restore_sqlite(folder / SQLITE, Path(str(engine.url.database)))
        else:
            with opening.told(engine):
                if opening.version_there(engine) is not None:
                    raise Conflict("the database has tables already: restore into an empty one (createdb)")
            if not (folder / POSTGRESQL).is_file():
                raise InvalidInput(f"{folder} holds no copy of a PostgreSQL database", field="backup")
            options = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
            _program(engine, "pg_restore", *options, str(folder / POSTGRESQL))
    finally:
        engine.dispose()
    Database.migrate(url)
    with closing(Database(url)) as database:
        _free(database)
        if not keep_id:
            renew_id(database)


def renew_id(database: Database) -> str:
    """Let a database be an installation of its own, as a copy of another one's must be: else both take the Jobs of either in
    a cluster for theirs, and end what they do not know. Gives the new id; raises Conflict while a worker drives its runs."""
    if any(worker.alive for worker in queue.workers(database)):
        raise Conflict("a worker drives the runs of this database: end it first")
    new = uuid.uuid4().hex
    with database.transaction() as transaction:
        which = tables.meta.c.name == "installation"
        transaction.connection.execute(tables.meta.update().where(which).values(value=new))
    return new


def _free(database: Database) -> None:
    """What workers of the original held is nobody's here, though they may be alive, and on this machine."""
    runs, jobs = tables.runs, tables.jobs
    with database.transaction() as transaction:
        for table in (runs, jobs):
            transaction.connection.execute(table.update().where(table.c.worker != "").values(worker=""))
        transaction.connection.execute(tables.workers.delete())


def _restore_sqlite(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InvalidInput(
            f"{source} is not there: {source.parent} holds no copy of an SQLite database", field="backup"
        )
    if target.exists():
        raise Conflict(f"there is a database already, {target}: move it away first")
    check_sqlite(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(target.name + ".new")
    shutil.copyfile(source, new)
    for rest in ("-wal", "-shm"):  # of a database that was moved away: they would be taken for parts of this one
        target.with_name(target.name + rest).unlink(missing_ok=True)
    new.replace(target)


def _program(engine: Engine, name: str, *options: str) -> None:
    """Run a program of PostgreSQL on the database; its password is in no list of processes."""
    if shutil.which(name) is None:
        raise Unavailable(f"{name} is not installed: it comes with the clients of PostgreSQL")
    url = engine.url
    where = {"--host": url.host, "--port": url.port, "--username": url.username, "--dbname": url.database}
    given = [f"{option}={value}" for option, value in where.items() if value]
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    done = subprocess.run([name, *options, *given], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{name} failed: {' '.join(done.stderr.split())[-500:]}")
