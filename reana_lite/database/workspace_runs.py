"""Runs of workspaces, as REANA knows them: created first, started later, deleted at the end; found by exact names.

Functions of a Database for reading, of a Transaction for writing; called by the server (server/reana, api/runs.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, or_, select

from reana_lite.database import tables
from reana_lite.database.database import RUN_COLUMNS, Database, full_name
from reana_lite.database.records import RunRecord, encode
from reana_lite.database.transaction import Transaction
from reana_lite.database.workspaces import WorkspaceRun, check_idle, locked
from reana_lite.errors import Conflict, NotFound
from reana_lite.event import RunState

_spaces, _files, _uses, _runs = tables.workspaces, tables.workspace_files, tables.workspace_runs, tables.runs


def of_run(database: Database, run: str) -> WorkspaceRun | None:
    """What a run of a workspace was asked to be; None if it has none."""
    with database.reading() as connection:
        row = connection.execute(select(_uses).where(_uses.c.run == run)).first()
    return None if row is None else _run_of(row)


def runs_of(database: Database, workspace: str) -> list[tuple[str, str, bool]]:
    """(run, state, deleted) of all runs of a workspace, the first one first."""
    statement = (
        select(_uses.c.run, _runs.c.state, _uses.c.deleted_at)
        .join(_runs, _runs.c.id == _uses.c.run)
        .where(_uses.c.workspace == workspace)
        .order_by(_runs.c.created_at, _runs.c.id)
    )
    with database.reading() as connection:
        return [(run, state, deleted > 0) for run, state, deleted in connection.execute(statement)]


def find_run(database: Database, owner: str, name: str) -> RunRecord:
    """The run of an owner with that id, `name.number[.restart]`, or the newest of that name; raises NotFound.

    Unlike Database.get_run nothing is completed: what is named here may be deleted next.
    """
    kept = select(_uses.c.run).where(_uses.c.deleted_at > 0)
    statement = select(_runs.c.id).where(_runs.c.owner == owner)
    newest = statement.order_by(_runs.c.id.in_(kept), _runs.c.created_at.desc(), _runs.c.id).limit(1)
    with database.reading() as connection:
        for condition in (_runs.c.id == name, full_name(name), _runs.c.name == name):
            found = connection.execute(newest.where(condition)).scalar()
            if found is not None:
                return database.exact_run(found)
    raise NotFound(f"there is no workflow {name!r}", run=name)


def list_runs(
    database: Database,
    owner: str,
    *,
    states: Sequence[str] = (),
    names: Sequence[str] = (),
    run: str = "",
    oldest_first: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> tuple[list[tuple[RunRecord, bool, int]], int]:
    """([(run, whether it is deleted, bytes in its workspace)], how many there are without limits), the newest first.

    `states` may hold "deleted"; `names` are parts of names.
    """
    gone = func.coalesce(_uses.c.deleted_at, 0) > 0
    conditions: list[Any] = [_runs.c.owner == owner]
    if states:
        wanted = [and_(~gone, _runs.c.state.in_([state for state in states if state != "deleted"]))]
        conditions.append(or_(*wanted, *([gone] if "deleted" in states else [])))
    if names:
        conditions.append(or_(*(_runs.c.name.contains(name, autoescape=True) for name in names)))
    if run:
        conditions.append(_runs.c.id == run)
    joined = _runs.outerjoin(_uses, _uses.c.run == _runs.c.id).outerjoin(_spaces, _spaces.c.id == _uses.c.workspace)
    order = (_runs.c.created_at, _runs.c.id) if oldest_first else (_runs.c.created_at.desc(), _runs.c.id.desc())
    columns = [*RUN_COLUMNS, gone.label("gone"), func.coalesce(_spaces.c.size_bytes, 0).label("stored_bytes")]
    statement = select(*columns).select_from(joined).where(*conditions).order_by(*order).offset(offset).limit(limit)
    with database.reading() as connection:
        rows = connection.execute(statement).all()
        counted = select(func.count()).select_from(joined).where(*conditions)
        total = len(rows) + offset if limit is None else int(connection.execute(counted).scalar_one())
    size = len(RUN_COLUMNS)
    return [(_record(row[:size]), bool(row[size]), int(row[size + 1])) for row in rows], total


def attach(
    transaction: Transaction,
    run: str,
    workspace: str,
    *,
    specification: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Let a run have a workspace."""
    values = {
        "run": run, "workspace": workspace, "specification": encode(dict(specification)),
        "parameters": encode(dict(parameters or {})), "options": encode(dict(options or {})),
    }  # fmt: skip
    transaction.connection.execute(_uses.insert(), values)


def start(
    transaction: Transaction,
    run: str,
    workspace: str,
    revision: int,
    *,
    specification: Mapping[str, Any],
    parameters: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Note from which revision a run starts; raises Conflict if the workspace has another by now, or a run under way."""
    record = locked(transaction, workspace)
    if record.revision != revision:
        raise Conflict("files of the workspace were changed while the workflow was being started; start it again")
    values = {
        "revision": revision, "specification": encode(dict(specification)),
        "parameters": encode(dict(parameters)), "options": encode(dict(options)),
    }  # fmt: skip
    transaction.connection.execute(_uses.update().where(_uses.c.run == run).values(values))


def queue(
    transaction: Transaction, run: str, *, first_event: tuple[str, dict[str, Any]], request: Mapping[str, Any]
) -> None:
    """Queue a run that was created before: its first event and what it was asked to be; raises Conflict if it was queued."""
    transaction.set_run_state(run, RunState.QUEUED)
    transaction.append_events(run, 0, 0, [first_event])
    document = {"document": encode(dict(request))}
    transaction.connection.execute(tables.requests.update().where(tables.requests.c.run == run).values(document))


def delete_run(transaction: Transaction, run: str) -> None:
    """Mark a run as deleted, and forget its workspace if no other run has it; what it shows goes with it.

    Raises Conflict while a run of that workspace is queued or running.
    """
    connection, now = transaction.connection, transaction.clock()
    workspace = connection.execute(select(_uses.c.workspace).where(_uses.c.run == run)).scalar()
    if workspace is None:
        connection.execute(_uses.insert(), {"run": run, "deleted_at": now})
        return
    if workspace:
        connection.execute(select(_spaces.c.id).where(_spaces.c.id == workspace).with_for_update())
        check_idle(transaction, workspace)
    connection.execute(_uses.update().where(_uses.c.run == run, _uses.c.deleted_at == 0).values(deleted_at=now))
    others = select(_uses.c.run).where(_uses.c.workspace == workspace, _uses.c.deleted_at == 0)
    if workspace and connection.execute(others.limit(1)).first() is None:
        connection.execute(_files.delete().where(_files.c.workspace == workspace))
        connection.execute(_spaces.delete().where(_spaces.c.id == workspace))


def _run_of(row: Any) -> WorkspaceRun:
    documents = {name: json.loads(getattr(row, name) or "{}") for name in ("specification", "parameters", "options")}
    return WorkspaceRun(
        row.run, row.workspace, row.revision, taken=bool(row.taken), deleted_at=row.deleted_at, **documents
    )


def _record(values: Sequence[Any]) -> RunRecord:
    named = {column.name: value for column, value in zip(RUN_COLUMNS, values, strict=True)}
    return RunRecord(**{**named, "state": RunState(named["state"])}, request={})
