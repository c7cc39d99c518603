"""What a run declares to give, read from its files when it is over, and the folder that shows them to people.

`harvest` makes the result document (result.py) out of the artifact that the analysis's last step wrote, with what only
the installation knows: the theory, the run, the provenance. `show_folder` lays out the run's workspace as links.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reana_lite import __version__
from reana_lite.database import Database, RunRecord
from reana_lite.drive import Drive, replayed
from reana_lite.errors import NotFound, ReanaLiteError, Unavailable
from reana_lite.job import RUN_ROOT
from reana_lite.storage.base import Storage
from reana_lite.storage.local import LocalStorage

RESULT_LIMIT_BYTES = 20_000_000
"""Largest result document an analysis may write (bytes)."""


def harvest(drive: Drive, record: RunRecord, database: Database) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """(documents of what a finished run declares, by kind; a sentence for each thing that could not be read).

    Raises Unavailable if storage or database do not answer: what is there is read when they do.
    """
    documents: dict[str, dict[str, Any]] = {}
    declared: dict[str, Any] = {}
    problems: list[str] = []
    for entry in record.request.get("results", []):
        name = entry["name"]
        try:
            value = declared_value(drive, entry)
        except NotFound as error:
            problems.append(f"declared result {name!r}: {error.message}")
            continue
        declared[name] = {"kind": entry["kind"], "media_type": entry["media_type"], "value": shown(value)}
        if entry["kind"] == "result":
            try:
                document = _result(drive, record, value, database)
            except Unavailable:
                raise
            except ReanaLiteError as error:
                problems.append(f"declared result {name!r}: {error.message}")
                continue
            documents["result"] = document
    return documents | {"declared": declared}, problems


def harvest_late(record: RunRecord, database: Database, storage: Storage) -> None:
    """What an older worker did not get to because it ended right after the run did."""
    if record.state == "finished" and database.get_result(record.id, "declared") is None:
        documents, _ = harvest(replayed(record.id, database.read_events(record.id), storage), record, database)
        for kind, document in documents.items():
            database.save_result(record.id, kind, document)


def declared_value(drive: Drive, entry: Mapping[str, Any]) -> Any:
    """The output a declaration names: of the one node of a stage, or the list over its nodes; or the path it names."""
    if entry.get("path"):
        return f"{RUN_ROOT}/{entry['path']}"
    outputs = drive.engine.outputs(entry["stage"])
    if not outputs:
        raise NotFound(f"stage {entry['stage']!r} made nothing")
    values = [output.get(entry["output"]) if isinstance(output, dict) else None for output in outputs]
    if all(value is None for value in values):
        raise NotFound(f"stage {entry['stage']!r} has no output {entry['output']!r}")
    return values[0] if len(values) == 1 else values


def shown(value: Any) -> Any:
    """A value with virtual paths relative to the workspace."""
    if isinstance(value, str):
        return value[len(RUN_ROOT) + 1 :] if value.startswith(RUN_ROOT + "/") else value
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return value


def _result(drive: Drive, record: RunRecord, path: Any, database: Database) -> dict[str, Any]:
    from reana_lite.result import assemble
    from reana_lite.theory import theory_of

    parts = []
    for one in path if isinstance(path, list) else [path]:
        if not isinstance(one, str):
            raise NotFound(f"the result is not a file but {one!r}")
        with drive.workspace.open(one) as stream:
            content = stream.read(RESULT_LIMIT_BYTES + 1)
        if len(content) > RESULT_LIMIT_BYTES:
            raise NotFound(f"{shown(one)} is larger than {RESULT_LIMIT_BYTES} bytes")
        parts.append((shown(one), content))
    result = assemble(
        parts,
        analysis=record.request["analysis"],
        theory=theory_of(record.request["theory"] or {"name": ""}),
        run=record.id,
        provenance=provenance(drive, record, database),
        lumi_ifb=record.request.get("lumi_ifb"),
    )
    return dict(result.document)


def provenance(drive: Drive, record: RunRecord, database: Database) -> dict[str, Any]:
    """Where a result comes from: versions, digests, environments, what was reused, parameters."""
    jobs = database.jobs_of(record.id)
    return {
        "reana_lite": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "target": record.request["target"],
        "parameters": record.request["parameters"],
        "inputs": {tree.folder.rpartition("/")[2]: tree.digest for tree in drive.engine.init.trees},
        "environments": sorted({job.environment for job in jobs if job.environment}),
        "backends": sorted({job.backend for job in jobs if job.backend}),
        "jobs": [
            {"node": job.node, "key": job.key, "attempt": job.attempt, "digest": job.digest,
             "reused_from": job.reused_from or None}
            for job in jobs
        ],
        "reused": record.reused,
        "total": record.total,
    }  # fmt: skip


def show_folder(drive: Drive, storage: Storage, *, runs: Path) -> Path | None:
    """A folder `runs`/<run> that shows the workspace: a link per node to where its files lie, a folder of links where
    several nodes share one or one lies in another's. Made anew each time; None if the files lie in a bucket."""
    if not isinstance(storage, LocalStorage):
        return None
    folder = runs / drive.run
    fresh = runs / f".{drive.run}.{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    linked: set[Path] = set()
    for virtual, key, attempt in drive.folders():
        link = fresh / virtual[len(RUN_ROOT) + 1 :]
        for above in reversed(link.parents[: len(link.parts) - len(fresh.parts)]):
            if above in linked:
                linked.remove(above)
                _open(above)
        _overlay(storage.folder(key, attempt), link)
        linked.add(link)
    fresh.mkdir(exist_ok=True)
    if folder.is_symlink():
        folder.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        fresh.rename(folder)
    except OSError as error:  # another process has just shown the same
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            raise
        if fresh.is_symlink():
            fresh.unlink()
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _overlay(real: Path, link: Path) -> None:
    """Let a place below the shown folder show `real`, too, over what it shows already."""
    try:
        link.symlink_to(real)
    except FileNotFoundError:
        link.parent.mkdir(parents=True)
        link.symlink_to(real)
    except FileExistsError:
        if link.is_dir() and real.is_dir():
            if link.is_symlink():
                _open(link)
            for child in real.iterdir():
                _overlay(child, link / child.name)
        elif real.exists():
            if link.is_symlink():
                link.unlink()
            else:
                shutil.rmtree(link)
            link.symlink_to(real)


def _open(link: Path) -> None:
    """Make of a link to a folder a folder of links."""
    real = link.readlink()
    link.unlink()
    link.mkdir()
    for child in real.iterdir():
        (link / child.name).symlink_to(child)
