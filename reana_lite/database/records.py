"""Rows as things: what the database says of runs, nodes, jobs and workers. No statement is executed here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Row

from reana_lite.event import RunState
from reana_lite.job import JOB_TRANSITIONS, Cause, JobOutcome, JobState

COUNTERS = ("total", "finished", "reused", "failed", "running")
"""Columns of `runs` that say how far it is, in nodes."""

TERMINAL_RUN = frozenset({RunState.FINISHED, RunState.FAILED, RunState.STOPPED})

OPEN_JOB = frozenset(state for state, after in JOB_TRANSITIONS.items() if after)
"""States of attempts that have not ended."""

encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
"""Compact JSON; ASCII, so that any string of Python fits into any database."""


def clean(text: str) -> str:
    """A text that every database takes: no NUL, no half characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the database shows it. Times are UTC seconds, 0 where it has not happened.

    `number` counts the runs of that name per owner; `restart` the restarts of one of them. `worker` and `epoch` say who
    drives it. `request` is what it was created with (empty in lists).
    """

    id: str
    name: str
    number: int
    restart: int
    owner: str
    analysis: str
    theory: str
    campaign: str
    parent: str
    state: RunState
    priority: int
    error: str
    created_at: float
    queued_at: float
    started_at: float
    ended_at: float
    total: int
    finished: int
    reused: int
    failed: int
    running: int
    worker: str
    epoch: int
    next_seq: int
    stop_requested_at: float
    stop_by: str
    request: Mapping[str, Any]

    @property
    def full_name(self) -> str:
        """`name.number`, and `name.number.restart` for a restart."""
        return f"{self.name}.{self.number}" + (f".{self.restart}" if self.restart else "")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; times that have not come are null."""
        return {
            "id": self.id,
            "name": self.full_name,
            "owner": self.owner,
            "analysis": self.analysis,
            "theory": self.theory,
            "campaign": self.campaign or None,
            "parent": self.parent or None,
            "state": str(self.state),
            "error": self.error,
            "created_at": self.created_at,
            "queued_at": self.queued_at or None,
            "started_at": self.started_at or None,
            "ended_at": self.ended_at or None,
            "stop_requested_at": self.stop_requested_at or None,
            "progress": {name: getattr(self, name) for name in COUNTERS},
        }


def run_of(row: Row[Any], request: str = "") -> RunRecord:
    """A row of `runs` (in the order of the table, without `stop_taken`)."""
    values = dict(row._mapping)
    values["state"] = RunState(values["state"])
    values["request"] = json.loads(request) if request else {}
    return RunRecord(**values)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One attempt. `counts`: its outputs are what everybody reuses.

    `node` needs it: one of the run asked about, `reused_from` then being the run that computed it ("": that run itself),
    or, where no run was asked about, the first one that needed it ("" if that is not known).
    """

    key: str
    attempt: int
    state: JobState
    backend: str
    cause: str
    exit_code: int | None
    message: str
    digest: str
    size_bytes: int
    reusable: bool
    details: Mapping[str, Any]
    queued_at: float
    started_at: float
    ended_at: float
    worker: str
    first_run: str
    counts: bool = False
    node: str = ""
    reused_from: str = ""

    @property
    def label(self) -> str:
        """What people may know it by."""
        return f"{self.first_run}{self.node}"

    @property
    def environment(self) -> str:
        """Digest or name of the environment it ran in, as the backend noted it in the details."""
        return str(self.details.get("environment", ""))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"state": str(self.state), "details": dict(self.details)}


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node of a run and the attempt it uses; `reused_from` is the run that computed it ("": this one)."""

    node: str
    key: str
    attempt: int
    state: str
    reused_from: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Claim:
    """What to do about a job: with an `outcome` its outputs are there, made by `first_run`; else attempt `attempt` is to
    be begun by the claimer (`begun`), or has been begun by somebody and is to be followed."""

    key: str
    attempt: int
    begun: bool
    outcome: JobOutcome | None
    first_run: str


class NodeState(Protocol):
    """What a node's row needs, whoever keeps it."""

    key: str
    attempt: int
    state: str
    reused_from: str


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a run has come since its log was written last: `events` (kind, body), numbered from `first_seq`, where the
    jobs of `nodes` stand, and COUNTERS by name."""

    run: str
    epoch: int
    first_seq: int
    events: Sequence[tuple[str, dict[str, Any]]]
    nodes: Mapping[str, NodeState]
    progress: Mapping[str, int]


_OUTCOME = (
    "state",
    "cause",
    "exit_code",
    "message",
    "digest",
    "size_bytes",
    "started_at",
    "ended_at",
    "reusable",
    "details",
)


def outcome_of(row: Any) -> JobOutcome:
    """How an attempt ended, from a row of `jobs`."""
    values = {name: getattr(row, name) for name in _OUTCOME}
    values["state"] = JobState(row.state)
    values["cause"] = Cause(row.cause) if row.cause else None
    values["reusable"] = bool(row.reusable)
    values["details"] = json.loads(row.details) if row.details else {}
    return JobOutcome(**values)


def job_of(row: Row[Any]) -> JobRecord:
    """A row with the columns of `jobs`, and `counts`, `node`, `reused_from` where they were asked for."""
    values = {name: value for name, value in row._mapping.items() if name in JobRecord.__dataclass_fields__}
    values["state"] = JobState(row.state)
    values["reusable"] = bool(row.reusable)
    values["details"] = json.loads(row.details) if row.details else {}
    values["node"] = values.get("node") or ""
    return JobRecord(**values)
