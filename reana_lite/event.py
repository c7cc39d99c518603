"""What happened and what is to be done: the events the engine takes, the commands it gives.

Events are facts in the past tense, frozen, JSON both ways: the log of a run is a list of them. Commands are imperatives
and are never stored: replaying the events gives them again. No rule of the language is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reana_lite.job import Input, JobSpec


class RunState(StrEnum):
    """Where a run stands; finished, failed and stopped are final (a restart is a new run that names the old one)."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.CREATED: frozenset({RunState.QUEUED, RunState.STOPPED}),
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.FAILED, RunState.STOPPED}),
    RunState.RUNNING: frozenset({RunState.FINISHED, RunState.FAILED, RunState.STOPPED}),
    RunState.FINISHED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
}


class QuestionKind(StrEnum):
    """`exists`: is there a file or folder (bool). `glob`: which paths match (sorted list of virtual paths).
    `document`: the YAML file's value (answer: {"value": JSON} or {"error": sentence})."""

    EXISTS = "exists"
    GLOB = "glob"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Question:
    """Something only files can answer. `path` is virtual and absolute (a pattern of glob2's dialect for GLOB)."""

    kind: QuestionKind
    path: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"


Answers = dict[str, Any]
"""str(question) -> answer."""


@dataclass(frozen=True, slots=True)
class InitData:
    """What a run starts with: the parameters of its init stage (none: no init stage), and the files beside them.

    `trees` are the folders brought along, by virtual path (INIT_ROOT or below it) and, as Inputs with attempt 0, by
    content; a job that names a path below one of them depends on that tree alone. `discover` and `relative` are the
    options of the init stage's publisher. `subinits`: init folders of sub-workflows (virtual), by scheduled name.
    """

    parameters: dict[str, Any] = field(default_factory=dict)
    trees: tuple[Input, ...] = ()
    discover: bool = True
    relative: bool = True
    subinits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first event: everything that decides the run. `workflow` is the loaded document as plain JSON."""

    workflow: dict[str, Any]
    init: InitData
    engine_version: int
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A backend has begun attempt `attempt` of job `key` for `node` (a path such as /map/3)."""

    node: str
    key: str
    attempt: int


@dataclass(frozen=True, slots=True)
class JobFinished:
    """The job of `node` succeeded. `digest`: of its outputs; `reused_from`: the run that computed it, or "".

    `moved`: inputs that this run has elsewhere from now on, or that hold something else: [folder, key, attempt, key now,
    attempt now, digest now]. The engine does not care.
    """

    node: str
    key: str
    attempt: int
    digest: str
    answers: Answers = field(default_factory=dict)
    reused_from: str = ""
    moved: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job of `node` failed for good, with its cause and a sentence for the user."""

    node: str
    key: str
    attempt: int
    cause: str
    message: str = ""
    digest: str = ""
    answers: Answers = field(default_factory=dict)
    moved: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Looked:
    """The questions of a Look command for `node`, answered."""

    node: str
    answers: Answers


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the run to end now."""

    by: str = ""


Event = RunStarted | JobStarted | JobFinished | JobFailed | Looked | StopRequested


@dataclass(frozen=True, slots=True)
class SubmitJob:
    """Run `job` for `node`. `inputs` are the finished folders it names; `questions` are to be answered when it ends."""

    node: str
    job: JobSpec
    inputs: tuple[Input, ...] = ()
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """Answer `questions` for `node` now; no job runs."""

    node: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class StopJob:
    """`node` has no more interest in its job."""

    node: str


@dataclass(frozen=True, slots=True)
class FinishRun:
    """The run is over: `state` is terminal; `error` is a sentence, unless it finished having done something."""

    state: RunState
    error: str = ""


Command = SubmitJob | Look | StopJob | FinishRun

_EVENTS: dict[str, type[Any]] = {
    c.__name__: c for c in (RunStarted, JobStarted, JobFinished, JobFailed, Looked, StopRequested)
}


def to_row(event: Event) -> tuple[str, dict[str, Any]]:
    """(kind, body) as the event log stores it; body is JSON."""
    body = {name: getattr(event, name) for name in event.__dataclass_fields__}
    if isinstance(event, RunStarted):
        init = event.init
        body["init"] = {
            "parameters": init.parameters, "discover": init.discover, "relative": init.relative,
            "subinits": init.subinits,
            "trees": [[t.folder, t.key, t.attempt, t.digest] for t in init.trees],
        }  # fmt: skip
    return type(event).__name__, body


def from_row(kind: str, body: dict[str, Any]) -> Event:
    """The event that `to_row` wrote."""
    if kind == "RunStarted":
        init = dict(body["init"])
        init["trees"] = tuple(Input(*row) for row in init["trees"])
        body = {**body, "init": InitData(**init)}
    event: Event = _EVENTS[kind](**body)
    return event
