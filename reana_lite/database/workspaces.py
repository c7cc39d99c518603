"""Uploaded workspaces: versioned trees (path -> stored file), shared by a run and its restarts.

Every upload, move or removal makes a new revision, and is refused while a run of the workspace is queued or running. What
users gave and what runs made are two layers: the newer hides the older at a path, and a restart can start from what was
given alone. Bytes are in storage; here is only where. Functions of a Database for reading, of a Transaction for writing;
called by the server, which knows what a run has made. Their runs are workspace_runs.py's.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, func, or_, select

from reana_lite.artifact import Artifact, check_link, check_path
from reana_lite.database import statements, tables
from reana_lite.database.database import Database
from reana_lite.database.transaction import Transaction
from reana_lite.errors import Conflict, InvalidInput, NotFound
from reana_lite.event import RunState

_spaces, _files, _uses, _runs = tables.workspaces, tables.workspace_files, tables.workspace_runs, tables.runs
_OPEN = _files.c.until == 0
_ACTIVE = (RunState.QUEUED.value, RunState.RUNNING.value)

PATH_LIMIT_BYTES = 1000
"""Longest path in an uploaded workspace (bytes of UTF-8): the index of every database holds it."""

FILES_LIMIT = 200_000
"""Most entries that one call may add."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry of a workspace: the artifact as its path shows it, and the place and inner path where its bytes lie.

    `made`: by a run, else given by the user. `changed_at`: UTC seconds.
    """

    artifact: Artifact
    key: str = ""
    attempt: int = 0
    inner: str = ""
    made: bool = False
    changed_at: float = 0.0

    @property
    def path(self) -> str:
        """Where it stands in the workspace."""
        return self.artifact.path


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """A workspace as the database shows it; `size_bytes` is that of all files it shows now."""

    id: str
    owner: str
    revision: int
    size_bytes: int
    created_at: float


@dataclass(frozen=True, slots=True)
class WorkspaceRun:
    """What a run of a workspace was asked to be.

    `revision`: of the workspace, when it started (0: not yet). `taken`: what it made is in the workspace. `parameters` and
    `options` are what the start said over the specification. A deleted run without a workspace is one of the catalogue.
    """

    run: str
    workspace: str
    revision: int = 0
    specification: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    taken: bool = False
    deleted_at: float = 0.0


def clean_path(path: str) -> str:
    """The path as a workspace keeps it: without "/" or "./" before it; raises InvalidInput for one that no file may have."""
    plain = path.rstrip("/")
    while plain.startswith(("/", "./")):
        plain = plain.lstrip("/").removeprefix("./")
    if len(plain.encode("utf-8", "replace")) > PATH_LIMIT_BYTES:
        raise InvalidInput(f"path {plain[:60]!r}... is longer than {PATH_LIMIT_BYTES} bytes", field="file_name")
    if any(ord(letter) < 32 or ord(letter) == 127 or 0xD800 <= ord(letter) < 0xE000 for letter in plain):
        raise InvalidInput(f"path {plain!r} holds a control character", field="file_name", value=plain)
    return check_path(plain)


# -- reading -----------------------------------------------------------------------------------------------------------


def get(database: Database, workspace: str) -> WorkspaceRecord:
    """The record of a workspace; raises NotFound."""
    with database.reading() as connection:
        row = connection.execute(select(_spaces).where(_spaces.c.id == workspace)).first()
    if row is None:
        raise NotFound(f"there is no workspace {workspace!r}", workspace=workspace)
    return WorkspaceRecord(**row._mapping)


def files(
    database: Database, workspace: str, *, given_only: bool = False, revision: int | None = None
) -> dict[str, Stored]:
    """What a workspace shows, by path, sorted: now, or at a revision. `given_only`: without what runs have made."""
    at = _OPEN if revision is None else and_(
        _files.c.since <= revision, or_(_files.c.until == 0, _files.c.until > revision)
    )  # fmt: skip
    statement = select(_files).where(_files.c.workspace == workspace, at).order_by(_files.c.path, _files.c.made)
    if given_only:
        statement = statement.where(~_files.c.made)
    with database.reading() as connection:
        rows = connection.execute(statement).all()
    found = {row.path: _stored(row) for row in rows}  # what runs have made comes second
    gone = {row.path for row in rows if row.kind == "gone"}
    return {path: one for path, one in found.items() if path not in gone}


def usage(database: Database, owner: str) -> int:
    """Bytes that an owner has given to all workspaces, each once; with what was hidden or removed since, until they go.

    What runs have made is not among them, also where it was moved: it counts as their outputs.
    """
    given = (
        select(_files.c.key, _files.c.inner, _files.c.size_bytes)
        .join(_spaces, _spaces.c.id == _files.c.workspace)
        .where(_spaces.c.owner == owner, _files.c.key != "", _files.c.attempt == 0)
        .distinct()
        .subquery()
    )
    with database.reading() as connection:
        return int(connection.execute(select(func.coalesce(func.sum(given.c.size_bytes), 0))).scalar_one())


def places(database: Database, *, besides: Collection[str] = ()) -> set[tuple[str, int]]:
    """Every (key, attempt) that a workspace names, so that nobody removes it.

    Without what runs have made where all runs of the workspace are among `besides`; what its user gave stays named, also
    what a run has made and the user has moved.
    """
    columns = (_files.c.key, _files.c.attempt, _files.c.made, _files.c.workspace)
    with database.reading() as connection:
        rows = connection.execute(select(*columns).distinct().where(_files.c.key != "")).all()
        uses = connection.execute(select(_uses.c.workspace, _uses.c.run)).all() if besides else []
    in_use = {workspace for workspace, run in uses if run not in besides}
    return {(row.key, row.attempt) for row in rows if not besides or not row.made or row.workspace in in_use}


# -- writing -----------------------------------------------------------------------------------------------------------


def create(transaction: Transaction, owner: str) -> str:
    """An empty workspace; gives its id."""
    workspace = "w" + secrets.token_hex(8)
    values = {"id": workspace, "owner": owner, "created_at": transaction.clock()}
    transaction.connection.execute(_spaces.insert(), values)
    return workspace


def put(transaction: Transaction, workspace: str, entries: Sequence[Stored]) -> int:
    """Show these entries, given by the user, in place of what has their paths; the new revision.

    Raises Conflict while a run of it is queued or running, and InvalidInput where a folder stands in the place of a file or
    the other way round.
    """
    if len(entries) > FILES_LIMIT:
        raise InvalidInput(f"{len(entries)} files at once; {FILES_LIMIT} are the most", field="files")
    record = locked(transaction, workspace)
    paths = [entry.path for entry in entries]
    _check_places(transaction, workspace, paths)
    return _change(transaction, record, close=paths, show=entries)


def remove(transaction: Transaction, workspace: str, paths: Sequence[str]) -> int:
    """Show nothing at these paths any more; the new revision. Raises Conflict while a run is queued or running."""
    return _change(transaction, locked(transaction, workspace), close=paths, show=())


def move(transaction: Transaction, workspace: str, moves: Mapping[str, str]) -> int:
    """Show the entries of these paths at others (old -> new); the new revision.

    Raises Conflict while a run is queued or running, NotFound for a path that shows nothing, InvalidInput as `put` does.
    """
    record = locked(transaction, workspace)
    there = _shown(transaction, workspace, list(moves))
    absent = [old for old in moves if old not in there]
    if absent:
        raise NotFound(f"there is no file {absent[0]!r} in this workspace", path=absent[0])
    _check_places(transaction, workspace, list(moves.values()), besides=set(moves))
    shown = [_at(there[old], new) for old, new in moves.items()]
    return _change(transaction, record, close=[*moves, *moves.values()], show=shown)


def take(
    transaction: Transaction, run: WorkspaceRun, made: Sequence[Stored], gone: Sequence[str] = (), *, at: float
) -> None:
    """Show what a run that is over has made (`at`, UTC seconds), and hide what it has removed; once per run."""
    connection = transaction.connection
    row = connection.execute(select(_spaces).where(_spaces.c.id == run.workspace).with_for_update()).first()
    done = connection.execute(_uses.update().where(_uses.c.run == run.run, ~_uses.c.taken).values(taken=True))
    if row is None or done.rowcount == 0 or not (made or gone):
        return
    record = WorkspaceRecord(**row._mapping)
    revision = record.revision + 1
    paths = [*(one.path for one in made), *gone]
    before = sum(one.artifact.size for one in _shown(transaction, record.id, paths).values())
    for some in statements.chunks(paths):
        old = (_files.c.workspace == record.id, _OPEN, _files.c.made, _files.c.path.in_(some))
        connection.execute(_files.update().where(*old).values(until=revision))
    rows = [_row(record.id, revision, one, made=True, at=at) for one in made]
    rows += [
        {**_row(record.id, revision, Stored(Artifact(path)), made=True, at=at), "kind": "gone"} for path in gone
    ]  # fmt: skip
    connection.execute(_files.insert(), rows)
    size = record.size_bytes - before + sum(one.artifact.size for one in made)
    values = {"revision": revision, "size_bytes": size}
    connection.execute(_spaces.update().where(_spaces.c.id == record.id).values(values))


# -- inside ------------------------------------------------------------------------------------------------------------


def locked(transaction: Transaction, workspace: str) -> WorkspaceRecord:
    """The record, nobody else changing it until this transaction ends. Raises NotFound, and Conflict as check_idle does."""
    row = transaction.connection.execute(select(_spaces).where(_spaces.c.id == workspace).with_for_update()).first()
    if row is None:
        raise NotFound("this workspace has been deleted", workspace=workspace)
    check_idle(transaction, workspace)
    return WorkspaceRecord(**row._mapping)


def check_idle(transaction: Transaction, workspace: str) -> None:
    """Raises Conflict while a run of it is queued or running."""
    statement = (
        select(_runs.c.state)
        .join(_uses, _uses.c.run == _runs.c.id)
        .where(_uses.c.workspace == workspace, _runs.c.state.in_(_ACTIVE))
    )
    state = transaction.connection.execute(statement.limit(1)).scalar()
    if state is not None:
        raise Conflict(f"a workflow of this workspace is {state}: its files cannot be changed until it is over")


def _change(transaction: Transaction, record: WorkspaceRecord, *, close: Sequence[str], show: Sequence[Stored]) -> int:
    connection, revision = transaction.connection, record.revision + 1
    before = sum(one.artifact.size for one in _shown(transaction, record.id, close).values())
    for some in statements.chunks(close):
        old = (_files.c.workspace == record.id, _OPEN, _files.c.path.in_(some))
        connection.execute(_files.update().where(*old).values(until=revision))
    if show:
        now = transaction.clock()
        connection.execute(_files.insert(), [_row(record.id, revision, one, made=False, at=now) for one in show])
    size = record.size_bytes - before + sum(one.artifact.size for one in show)
    values = {"revision": revision, "size_bytes": size}
    connection.execute(_spaces.update().where(_spaces.c.id == record.id).values(values))
    return revision


def _shown(transaction: Transaction, workspace: str, paths: Sequence[str]) -> dict[str, Stored]:
    """What these paths show now."""
    found: dict[str, Stored] = {}
    gone = set()
    for some in statements.chunks(paths):
        statement = select(_files).where(_files.c.workspace == workspace, _OPEN, _files.c.path.in_(some))
        for row in transaction.connection.execute(statement.order_by(_files.c.path, _files.c.made)):
            found[row.path] = _stored(row)
            if row.kind == "gone":
                gone.add(row.path)
    return {path: one for path, one in found.items() if path not in gone}


def _check_places(
    transaction: Transaction, workspace: str, paths: Sequence[str], *, besides: Iterable[str] = ()
) -> None:
    """Raises InvalidInput if one of these paths lies below a file, or is a folder that holds something."""
    leaving = set(besides)
    above = {"/".join(path.split("/")[:n]) for path in paths for n in range(1, path.count("/") + 1)}
    if clash := above & set(paths):
        raise InvalidInput(f"{min(clash)!r} would be both a file and a folder", field="file_name", value=min(clash))
    for path, one in _shown(transaction, workspace, sorted(above - leaving)).items():
        if one.artifact.kind != "folder":
            raise InvalidInput(f"{path!r} is a file, so nothing can lie below it", field="file_name", value=path)
    for path in paths if len(paths) <= statements.CHUNK else ():
        inner = select(_files.c.path).where(
            _files.c.workspace == workspace, _OPEN, _files.c.kind != "gone",
            _files.c.path.startswith(path + "/", autoescape=True),
        )  # fmt: skip
        if any(row.path not in leaving for row in transaction.connection.execute(inner.limit(len(leaving) + 1))):
            raise InvalidInput(f"{path!r} is a folder", field="file_name", value=path)


def _at(one: Stored, path: str) -> Stored:
    """The same at another path; raises InvalidInput for a link that would lead out of the workspace from there."""
    old = one.artifact
    if old.kind == "link":
        check_link(path, old.target)
    return Stored(
        Artifact(path, old.kind, old.size, old.digest, old.executable, old.target), one.key, one.attempt, one.inner
    )


def _row(workspace: str, since: int, one: Stored, *, made: bool, at: float) -> dict[str, Any]:
    artifact = one.artifact
    return {
        "workspace": workspace, "path": artifact.path, "made": made, "since": since, "until": 0, "kind": artifact.kind,
        "key": one.key, "attempt": one.attempt, "inner": one.inner, "size_bytes": artifact.size,
        "digest": artifact.digest, "executable": artifact.executable, "target": artifact.target, "changed_at": at,
    }  # fmt: skip


def _stored(row: Any) -> Stored:
    kind: Any = "file" if row.kind == "gone" else row.kind
    artifact = Artifact(row.path, kind, row.size_bytes, row.digest, bool(row.executable), row.target)
    return Stored(artifact, row.key, row.attempt, row.inner, bool(row.made), row.changed_at)
