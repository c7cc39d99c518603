"""What keeps records in order over years: copies, which places records name, which runs are old.

Functions for prune.py and the commands of administrators (cli/admin.py, cli/upkeep.py); nothing here touches storage.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import uuid
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from reana_lite.database import jobs, opening, queue, tables, theory_files
from reana_lite.database.database import Database
from reana_lite.database.records import TERMINAL_RUN
from reana_lite.errors import Conflict, InvalidInput, Unavailable

_runs, _jobs, _keys, _nodes = tables.runs, tables.jobs, tables.keys, tables.nodes
_OVER = [state.value for state in TERMINAL_RUN]

Place = tuple[str, int]
"""(key, attempt) of what storage keeps."""

SQLITE, POSTGRESQL = "records.db", "records.dump"
"""What a copy is called, by the kind of database."""


def places_of(database: Database, runs: set[str]) -> set[Place]:
    """Every (key, attempt) of jobs that nodes of these runs name."""
    found: set[Place] = set()
    ids = sorted(runs)
    with database.reading() as connection:
        for start in range(0, len(ids), 500):
            some = _nodes.c.run.in_(ids[start : start + 500])
            rows = connection.execute(
                select(_nodes.c.key, _nodes.c.attempt).distinct().where(some, _nodes.c.attempt > 0)
            )
            found |= {(row.key, row.attempt) for row in rows}
    return found


def over_before(database: Database, at: float, *, campaign: str = "") -> set[str]:
    """The ids of runs that were over before a moment (UTC seconds), those of a campaign."""
    statement = select(_runs.c.id).where(_runs.c.state.in_(_OVER), _runs.c.ended_at < at)
    if campaign:
        statement = statement.where(_runs.c.campaign == campaign)
    with database.reading() as connection:
        return set(connection.execute(statement).scalars())


def trees_named(database: Database) -> set[Place]:
    """Kept trees (attempt 0) that runs, uploaded theories or workspaces name."""
    files = tables.workspace_files
    with database.reading() as connection:
        rows = connection.execute(select(files.c.key, files.c.attempt).distinct().where(files.c.key != ""))
        found = {(row.key, row.attempt) for row in rows if not row.attempt}
    found |= {place for place in places_of_runs(database) if not place[1]}
    return found | theory_files.places(database)


def attempts_known(database: Database) -> set[Place]:
    """Every attempt that has a record, however it ended."""
    with database.reading() as connection:
        return {(row.key, row.attempt) for row in connection.execute(select(_jobs.c.key, _jobs.c.attempt))}


def ended_since(database: Database, at: float) -> set[Place]:
    """Attempts that have ended at or after a moment (UTC seconds), however they ended."""
    with database.reading() as connection:
        rows = connection.execute(select(_jobs.c.key, _jobs.c.attempt).where(_jobs.c.ended_at >= at))
        return {(row.key, row.attempt) for row in rows}


def places_of_runs(database: Database, *, unfinished_only: bool = False) -> set[Place]:
    """Every (key, attempt) that runs name, kept trees (attempt 0) included; or only those of runs that are not over."""
    named = select(_nodes.c.key, _nodes.c.attempt).distinct().where(_nodes.c.attempt > 0)
    started = select(tables.events.c.body).where(tables.events.c.kind == "RunStarted", tables.events.c.seq == 0)
    if unfinished_only:
        open_runs = select(_runs.c.id).where(_runs.c.state.not_in(_OVER))
        named = named.where(_nodes.c.run.in_(open_runs))
        started = started.where(tables.events.c.run.in_(open_runs))
    with database.reading() as connection:
        places = {(key, attempt) for key, attempt in connection.execute(named)}
        for body in connection.execute(started).scalars():
            trees = json.loads(body).get("init", {}).get("trees", ())
            places |= {(key, attempt) for _, key, attempt, _ in trees}
    return places


def runs_by_id(database: Database, *, unfinished_only: bool = False) -> set[str]:
    """The ids of all runs, or of those that are not over."""
    statement = select(_runs.c.id)
    if unfinished_only:
        statement = statement.where(_runs.c.state.not_in(_OVER))
    with database.reading() as connection:
        return set(connection.execute(statement).scalars())


def forget_job(
    database: Database,
    key: str,
    attempt: int,
    *,
    damaged: bool = False,
    keep_runs: bool = False,
    besides: Collection[str] | None = None,
) -> bool:
    """The outputs of this attempt are about to be removed; True if they may be.

    False, and nothing is changed, while it executes, or while an uploaded workspace or a run that is not over names it,
    with `keep_runs` any run, with `besides` any but these and their workspaces (all of this unless `damaged`). An
    attempt without a record may always go.
    """
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.execute(select(_keys.c.key).where(_keys.c.key == key).with_for_update())
        executing = select(_jobs.c.key).where(
            _jobs.c.key == key, _jobs.c.attempt == attempt, _jobs.c.state.in_(("queued", "running"))
        )
        naming = (
            select(_nodes.c.run)
            .join(_runs, _runs.c.id == _nodes.c.run)
            .where(_nodes.c.key == key, _nodes.c.attempt == attempt)
        )
        if besides is None and not keep_runs:
            naming = naming.where(_runs.c.state.not_in(_OVER))
        if connection.execute(executing).first() is not None:
            return False
        if not damaged:
            if not set(connection.execute(naming).scalars()) <= set(besides or ()):
                return False
            if _in_workspaces(connection, key, attempt, besides):
                return False
        jobs.forget(transaction, key, attempt)
        return True


def _in_workspaces(connection: Connection, key: str, attempt: int, besides: Collection[str] | None) -> bool:
    """Whether an uploaded workspace names a place: what its user gave, or (unless all its runs are `besides`) runs made."""
    files, uses = tables.workspace_files, tables.workspace_runs
    statement = select(files.c.made, files.c.workspace).distinct()
    rows = connection.execute(statement.where(files.c.key == key, files.c.attempt == attempt)).all()
    if besides is None or not all(row.made for row in rows):
        return bool(rows)
    of_these = uses.c.workspace.in_({row.workspace for row in rows})
    return not set(connection.execute(select(uses.c.run).where(of_these)).scalars()) <= set(besides)


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
