"""One computation as a value: what it runs, what it needs, what it is called (the job key), how it ended.

Pure. The workflow language makes JobSpecs, the worker gives them keys, backends execute them.
Paths in a JobSpec are virtual: plain strings under RUN_ROOT (folders of nodes) or INIT_ROOT (the files a run was
started with). A backend binds them to real folders when a job starts.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import Any

RUN_ROOT = "/reana-lite/run"
"""Virtual root of the folders of all nodes of a run: RUN_ROOT/<scope>/<node>."""

INIT_ROOT = "/reana-lite/init"
"""Virtual folder of the files that a run was started with."""


class JobState(StrEnum):
    """Where an attempt stands; terminal states are final (a new try is a new attempt)."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FINISHED, JobState.FAILED, JobState.STOPPED}),
    JobState.RUNNING: frozenset({JobState.FINISHED, JobState.FAILED, JobState.STOPPED}),
    JobState.FINISHED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.STOPPED: frozenset(),
}


class Cause(StrEnum):
    """Why a job failed; only LOST (the platform's fault) is tried again unasked."""

    EXIT = "exit"
    MEMORY = "memory"
    TIME = "time"
    DISK = "disk"
    IMAGE = "image"
    LOST = "lost"


class EnvironmentKind(StrEnum):
    """`process`: a plain process of this machine. `container`: the image named."""

    PROCESS = "process"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a job asks for; None is the installation's default.

    `cpus` (cores), `memory_bytes` and `timeout_s` (wall seconds) are also limits. `other` lists, as written, what the
    workflow asked for beyond that (CVMFS, GRIDProxy, kerberos, ...); a backend that cannot offer it says so once.
    """

    cpus: float = 1.0
    memory_bytes: int | None = None
    timeout_s: float | None = None
    other: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mount:
    """A small text that a container step finds at `path` (absolute, inside the container)."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Third-party software a job runs in. `image` is a full reference ("name:tag" or "name@sha256:...")."""

    kind: EnvironmentKind = EnvironmentKind.PROCESS
    image: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    workdir: str | None = None
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a job computes, in virtual paths.

    `folder` is the job's own writable folder (its current directory for processes). `line` runs as `sh -c LINE`;
    with `script` not None the text is what that line reads on standard input.
    """

    folder: str
    line: str
    script: str | None = None
    environment: Environment = Environment()
    resources: Resources = Resources()

    def texts(self) -> tuple[str, ...]:
        """Everything in which a virtual path may occur."""
        workdir = self.environment.workdir or ""
        return (self.line, self.script or "", workdir, *(m.text for m in self.environment.mounts))


@dataclass(frozen=True, slots=True)
class Input:
    """A finished folder a job reads: where it appears (`folder`, virtual), which bytes it holds (`digest` of its
    manifest), and where they lie: outputs of attempt `attempt` of job `key`; with attempt 0 the kept tree `key`."""

    folder: str
    key: str
    attempt: int
    digest: str


class SecretKind(StrEnum):
    """How a step is offered a secret: as a variable of that name, or as a file of that name in $RECAST_SECRETS."""

    ENV = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Secret:
    """What a step may know and nobody may read afterwards. `identity` tells whether it is the same as before; its value is
    in no text that is shown, logged or kept."""

    name: str
    kind: SecretKind
    value: bytes = field(repr=False)
    identity: str = ""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How an attempt ended.

    `state` is finished, failed or stopped. `exit_code` is the step's own (negative: killed by that signal). `digest`
    and `size_bytes` describe the outputs' manifest (also kept when the step failed). `message` is one sentence for the
    user. Times are UTC seconds since the epoch. `reusable` is False when a step changed its inputs.
    """

    state: JobState
    cause: Cause | None = None
    exit_code: int | None = None
    message: str = ""
    digest: str = ""
    size_bytes: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    reusable: bool = True
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> JobOutcome:
        """What an exit record tells."""
        rest = dict(document)
        cause = rest.pop("cause", None)
        return cls(JobState(rest.pop("state")), Cause(cause) if cause else None, **rest)

    def to_dict(self) -> dict[str, Any]:
        """The exit record; fields at their default are left out."""
        document: dict[str, Any] = {"state": self.state.value}
        for name in JobOutcome.__dataclass_fields__:
            value = getattr(self, name)
            if name not in ("state", "cause") and value not in (None, "", {}):
                document[name] = value
        if self.cause:
            document["cause"] = self.cause.value
        return document


def job_key(spec: JobSpec, environment_digest: str, inputs: tuple[Input, ...], salt: str = "") -> str:
    """Name of a computation: 32 lower-case base32 letters of the SHA-256 over all that it depends on.

    Command and script with virtual paths, the environment by digest, and inputs by content and the place where they
    appear (and their order, where several appear in one place). Resources do not count: they decide whether it ends, not
    with what. `salt` keeps apart what must not be shared (owner, `--no-cache`, secrets).
    """
    environment = asdict(spec.environment)
    if environment_digest:
        environment["image"] = ""
    parts = [
        spec.folder, spec.line, spec.script, environment, environment_digest,
        sorted(((i.folder, i.digest) for i in inputs), key=itemgetter(0)), salt,
    ]  # fmt: skip
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return base64.b32encode(hashlib.sha256(text.encode()).digest()[:20]).decode().lower()
