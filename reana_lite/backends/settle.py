"""After a step's processes are gone: read its folder, judge its end, write its exit record and manifest.

Files only; runs in the supervisor's loop for small folders and in one of its threads for large ones, so it touches
nothing but the step it is given. `recovered` reads back what was written, for whoever comes after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import Any

from reana_lite.artifact import Manifest
from reana_lite.backends import places, verdict
from reana_lite.job import JobOutcome

FINGERPRINT_ENTRIES = 4_000
"""Inputs with more entries than this are not watched for changes."""

_TAIL_BYTES = 4_096
_FULL_BYTES = 256 * 1024
"""A disk with less left than this (bytes) is full: not even the log could say so."""


class Step:
    """One attempt inside the supervisor: what was asked, where it stands."""

    __slots__ = (
        "attempt", "begun", "cpus", "ended", "engine", "fingerprints", "key", "limit", "marks", "memory", "oom", "pid",
        "place", "reason", "spec", "status", "usage",
    )  # fmt: skip

    def __init__(self, spec: dict[str, Any], root: str) -> None:
        self.spec = spec
        self.key: str = spec["key"]
        self.attempt: int = spec["attempt"]
        self.place = f"{root}/jobs/{self.key}/{self.attempt}"
        self.cpus = float(spec.get("cpus") or 1.0)
        self.memory = int(spec.get("memory") or 0)
        self.engine: dict[str, Any] | None = spec.get("engine")
        self.pid = 0
        self.begun = 0.0
        self.ended = 0.0
        self.status = 0
        self.usage: dict[str, Any] = {}
        self.reason = ""
        self.limit: float | None = None
        self.oom = False
        self.marks: dict[str, int | None] = {}
        self.fingerprints: dict[str, int | None] = {}

    @property
    def files(self) -> str:
        """The step's own folder."""
        return self.place + "/files"


def mark_inputs(step: Step, known: dict[str, int | None]) -> None:
    """Remember what the inputs look like before the step; `known` spares reading those seen before."""
    for _, real, _ in step.spec.get("inputs", ()):
        if real not in known:
            known[real] = places.fingerprint(real, FINGERPRINT_ENTRIES)
        step.marks[real] = known[real]


def settle(step: Step, roots: tuple[str, ...], *, small: bool) -> tuple[dict[str, Any], list[list[Any]] | None]:
    """(exit record, rows of the manifest or None) of a step whose processes are gone; both are in storage then.

    With `small` raises TooBig, having written nothing, if that would take longer than a loop may be held up.
    """
    record = _judge(step)
    record.update(started_at=step.begun, ended_at=step.ended)
    details: dict[str, Any] = dict(step.usage)
    if record["state"] == "stopped":
        _write(step, record, None)
        return record, None
    limits = {"entries": 200, "size_bytes": 1_000_000} if small else {}
    try:
        if small and len(step.marks) > 50:
            raise places.TooBig(step.files)
        found = places.scan(step.files, roots, **limits)
    except OSError as error:
        _spoil(record, error)
        _write(step, record, None)
        return record, None
    if found.faults and record["state"] == "finished":
        record.update(state="failed", cause="exit", message="; ".join(found.faults[:5]))
    if found.copied:
        details["copied_links"] = found.copied[:100]
    if None in step.marks.values():
        details["unwatched_inputs"] = True
    changed = _changed_inputs(step)
    if changed:
        record["reusable"] = False
        details["changed_inputs"] = changed
    if details:
        record["details"] = details
    text, record["digest"] = places.manifest_text(found.artifacts)
    record["size_bytes"] = sum(a.size for a in found.artifacts)
    if not _write(step, record, text):
        return record, None
    for name in step.spec.get("folders", ()):
        shutil.rmtree(f"{step.place}/{name}", ignore_errors=True)
    step.fingerprints[step.files] = found.fingerprint if len(found.artifacts) <= FINGERPRINT_ENTRIES else None
    return record, [a.to_list() for a in found.artifacts] if len(found.artifacts) <= 200 else None


def _judge(step: Step) -> dict[str, Any]:
    tail, full = b"", False
    if step.status != 0 and not step.reason:
        tail = log_tail(step.place)
        with contextlib.suppress(OSError):
            stat = os.statvfs(step.place)
            full = stat.f_bavail * stat.f_frsize < _FULL_BYTES
    if step.engine and "verdict" in step.engine:
        return dict(step.engine["verdict"])
    return verdict.judge(
        exit_code=step.status, reason=step.reason, limit=step.limit, log_tail=tail, oom=step.oom, full=full
    )


def log_tail(place: str) -> bytes:
    """The last bytes of a step's log."""
    try:
        with open(f"{place}/{places.LOG}", "rb") as stream:  # noqa: PTH123
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            return stream.read()
    except OSError:
        return b""


def _changed_inputs(step: Step) -> list[str]:
    """Virtual folders of inputs whose content is not any more what their digest says."""
    changed = []
    for virtual, real, digest in step.spec.get("inputs", ()):
        before = step.marks.get(real)
        if before is None or places.fingerprint(real, FINGERPRINT_ENTRIES) == before:
            continue
        try:
            content = Manifest.of(places.scan(real).artifacts).digest
        except OSError:
            content = ""
        if content != digest:
            changed.append(virtual)
    return changed


def _spoil(record: dict[str, Any], error: OSError) -> None:
    """Make of an exit record one of a step whose outputs could not be kept."""
    cause, text = "lost", str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause, text = "disk", "the disk is full; make room, or use another storage"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        cause, text = "exit", "the step removed its own folder, or files in it while they were read"
    if record["state"] == "finished":
        record.update(state="failed", cause=cause, message=f"outputs could not be kept: {text}")
    for name in ("digest", "size_bytes"):
        record.pop(name, None)


def _write(step: Step, record: dict[str, Any], text: str | None) -> bool:
    """Exit record first, manifest last; False (and the record says so) if the disk did not take them."""
    try:
        places.write_outcome(step.place, record)
        if text is not None:
            places.write_manifest(step.place, text)
    except OSError as error:
        _spoil(record, error)
        return False
    return True


def recovered(place: str) -> tuple[JobOutcome, Manifest | None] | None:
    """What a place tells of an attempt that ended: outcome and manifest; None if it did not end.

    If the process died between exit record and manifest, the manifest is made again and must have the digest recorded.
    """
    document = places.read_outcome(place)
    if document is None:
        return None
    outcome = JobOutcome.from_dict(document)
    if not outcome.digest:
        return outcome, None
    try:
        with open(f"{place}/{places.MANIFEST}", "rb") as stream:  # noqa: PTH123
            return outcome, Manifest.from_json(stream.read())
    except (OSError, ValueError):
        pass
    try:
        artifacts = places.scan(f"{place}/{places.FILES}").artifacts
    except OSError:
        return None
    text, digest = places.manifest_text(artifacts)
    if digest != outcome.digest:
        return None
    places.write_manifest(place, text)
    return outcome, Manifest.of(artifacts)
