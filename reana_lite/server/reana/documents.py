"""Our records as the documents that a REANA client reads. Pure: no request, no database, no file.

The client checks every answer against the description it brought along: no null where it expects a text, whole numbers
where it says so. What a document may hold was read from reana-commons 0.9.11 (openapi_specifications/reana_server.json).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from reana_lite.database.records import JobRecord, RunRecord
from reana_lite.event import RunState
from reana_lite.legible import printed

STATUSES = ("created", "queued", "pending", "running", "finished", "failed", "stopped", "deleted")
"""REANA's words for where a run stands."""

LOG_LIMIT_BYTES = 200_000
"""How much of the end of one step's log is shown (bytes)."""

_UNITS = ("Bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def time_text(at: float) -> str:
    """UTC seconds in REANA's form, 2026-01-31T12:00:00."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _time_or_none(at: float) -> str | None:
    return time_text(at) if at else None


def size_text(size_bytes: int) -> str:
    """A size in the form of REANA's own server: 0 Bytes, 1.5 KiB, 3 GiB."""
    value, unit = float(max(size_bytes, 0)), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.2f}".rstrip("0").rstrip(".") + f" {_UNITS[unit]}"


def size_of(size_bytes: int) -> dict[str, Any]:
    """A size as REANA gives it."""
    return {"raw": int(size_bytes), "human_readable": size_text(size_bytes)}


def plain_text(text: str) -> str:
    """What a step printed, so that it does nothing to a terminal that shows it; lines and tabs stay."""
    return printed(text)


def status_word(record: RunRecord, *, deleted: bool = False) -> str:
    """Where a run stands, in REANA's words."""
    return "deleted" if deleted else str(record.state)


def progress_of(record: RunRecord, *, step: str | None = None) -> dict[str, Any]:
    """How far a run is; `step` is the name of one that is running."""

    def some(count: int) -> dict[str, Any]:
        return {"total": count, "job_ids": []}

    stopped = record.state is RunState.STOPPED
    return {
        "total": some(record.total),
        "running": some(record.running),
        "finished": some(record.finished),
        "failed": some(record.failed),
        "current_command": None,
        "current_step_name": step,
        "run_started_at": _time_or_none(record.started_at),
        "run_finished_at": None if stopped else _time_or_none(record.ended_at),
        "run_stopped_at": _time_or_none(record.ended_at) if stopped else None,
    }


def list_item(
    record: RunRecord, *, deleted: bool, size_bytes: int | None, progress: bool
) -> dict[str, Any]:  # fmt: skip
    """A run in a list; without `progress` only its times."""
    shown = progress_of(record)
    if not progress:
        shown = {name: value for name, value in shown.items() if name.startswith("run_")}
    return {
        "id": record.id,
        "name": record.full_name,
        "status": status_word(record, deleted=deleted),
        "user": record.owner,
        "created": time_text(record.created_at),
        "launcher_url": None,
        "progress": shown,
        "size": {"raw": -1, "human_readable": ""} if size_bytes is None else size_of(size_bytes),
    }


def status_document(record: RunRecord, *, deleted: bool = False, step: str | None = None) -> dict[str, Any]:
    """GET status."""
    return {
        "id": record.id,
        "name": record.full_name,
        "created": time_text(record.created_at),
        "status": status_word(record, deleted=deleted),
        "user": record.owner,
        "progress": progress_of(record, step=step),
        "logs": record.error,
    }


def step_name(node: str) -> str:
    """The step a node belongs to, by which `logs --filter step=` finds it: /fit/0 -> fit, /sub/0/fit/1 -> sub/0/fit."""
    path = node.strip("/").rpartition("/")[0] or node.strip("/")
    return path.replace("~1", "/").replace("~0", "~")


def job_log(run: RunRecord, job: JobRecord, *, log: str, command: str = "") -> dict[str, Any]:
    """One step in the logs; the client knows no other keys."""
    image = job.environment.partition(" ")[0]
    text = log
    if job.message:
        text = f"{log.rstrip()}\n{job.message}\n" if log.strip() else job.message + "\n"
    return {
        "workflow_uuid": run.id,
        "job_name": step_name(job.node),
        "compute_backend": job.backend,
        "backend_job_id": f"{job.key}-{job.attempt}",
        "docker_img": image,
        "cmd": plain_text(command),
        "status": str(job.state),
        "logs": plain_text(text),
        "started_at": _time_or_none(job.started_at),
        "finished_at": _time_or_none(job.ended_at),
    }


def engine_log(events: Iterable[tuple[int, str, Mapping[str, Any], float]], error: str) -> str:
    """What the engine saw, a line each, from (number, kind, body, time)."""
    lines = []
    for _, kind, body, at in events:
        node = str(body.get("node", ""))
        match kind:
            case "RunStarted":
                text = "run started"
            case "JobFinished":
                reused = f" (reused from {body['reused_from']})" if body.get("reused_from") else ""
                text = f"{node} finished{reused}"
            case "JobFailed":
                text = f"{node} failed: {body.get('message') or body.get('cause', '')}"
            case "StopRequested":
                text = f"stop requested{' by ' + body['by'] if body.get('by') else ''}"
            case _:
                continue
        lines.append(f"{time_text(at)} {text}")
    if error:
        lines.append(error)
    return plain_text("\n".join(lines))


def full_specification(given: Mapping[str, Any]) -> dict[str, Any]:
    """A specification with all that the client reads of it, whatever was left out or null."""
    inputs = {name: value for name, value in (given.get("inputs") or {}).items() if value is not None}
    outputs = {name: value for name, value in (given.get("outputs") or {}).items() if value is not None}
    workflow = {name: value for name, value in given["workflow"].items() if value is not None}
    return {
        **{name: value for name, value in given.items() if value is not None},
        "version": str(given.get("version") or ""),
        "inputs": {"files": [], "directories": [], "parameters": {}, "options": {}, **inputs},
        "outputs": {"files": [], "directories": [], **outputs},
        "workflow": {"file": "", "specification": None, **workflow},
    }


def effective(
    given: Mapping[str, Any], parameters: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """A specification with what a start says over its parameters and options."""
    inputs = dict(given.get("inputs") or {})
    inputs["parameters"] = {**(inputs.get("parameters") or {}), **parameters}
    inputs["options"] = {**(inputs.get("options") or {}), **options}
    return {**given, "inputs": {name: value for name, value in inputs.items() if value is not None}}


def specification_diff(a: Mapping[str, Any], b: Mapping[str, Any], *, context: int) -> dict[str, list[str]]:
    """Where two specifications differ: section -> lines of a unified diff; [] where they do not."""
    found = {}
    for section in ("version", "workflow", "inputs", "outputs"):
        old, new = (_lines(one.get(section)) for one in (a, b))
        lines = list(difflib.unified_diff(old, new, n=context, lineterm=""))
        found[section] = [line for line in lines if not line.startswith(("---", "+++"))]
    return found


def listing_diff(a: Mapping[str, str], b: Mapping[str, str], *, names: tuple[str, str]) -> str:
    """Where two workspaces (path -> digest) differ, in the words of `diff -q`."""
    lines = []
    for path in sorted({*a, *b}):
        if path not in b:
            lines.append(f"Only in {names[0]}: {path}")
        elif path not in a:
            lines.append(f"Only in {names[1]}: {path}")
        elif a[path] != b[path]:
            lines.append(f"Files {names[0]}/{path} and {names[1]}/{path} differ")
    return "\n".join(lines)


def disk_usage(sizes: Mapping[str, int], *, summarize: bool) -> list[dict[str, Any]]:
    """Bytes per file and per folder above them (path -> bytes), names beginning with "/"; or the sum alone, named ""."""
    total = sum(sizes.values())
    if summarize:
        return [{"name": "", "size": size_of(total)}]
    found: dict[str, int] = {"": total}
    for path, size in sizes.items():
        parts = path.split("/")
        for cut in range(1, len(parts)):
            folder = "/".join(parts[:cut])
            found[folder] = found.get(folder, 0) + size
        found[path] = size
    rows = sorted(found.items(), key=lambda row: (-row[1], row[0]))
    return [{"name": "/" + path if path else "", "size": size_of(size)} for path, size in rows]


def quota(used: float, limit: float, *, text: Any) -> dict[str, Any]:
    """Usage of one resource; a limit of 0 is none."""
    share = used / limit if limit else 0.0
    health = "critical" if share >= 1 else "warning" if share >= 0.8 else "healthy"
    shown = {"usage": {"raw": used, "human_readable": text(used)}, "health": health}
    return {**shown, "limit": {"raw": limit, "human_readable": text(limit) if limit else "-"}}


def seconds_text(milliseconds: float) -> str:
    """A time of processors for people: 1h 2m 3s."""
    minutes, seconds = divmod(int(milliseconds // 1000), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}h"] * bool(hours) + [f"{minutes}m"] * bool(minutes) + [f"{seconds}s"]
    return " ".join(parts)


def page_of(rows: Sequence[Any], page: int, size: int | None) -> Sequence[Any]:
    """One page, counted from 1; without a size all of it."""
    return rows if size is None else rows[(page - 1) * size : page * size]


def _lines(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines() if value is not None else []
