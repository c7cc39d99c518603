"""The door to where jobs run: what every backend offers and what it reports.

One conformance suite (tests/contract/test_backend.py) holds for all of them. A backend knows nothing of runs, nodes or
the language; it gets Tasks by (key, attempt), executes each at most once, and writes outputs to storage, manifest last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reana_lite.artifact import Manifest
from reana_lite.job import Environment, Input, JobOutcome, JobSpec, Secret


@dataclass(frozen=True, slots=True)
class StandIn:
    """A locked requirements file from which a virtual environment is built where no container engine is at hand.

    It stands for `image`; `lock` is the text of the file (pip's format, with hashes).
    """

    image: str
    lock: str


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt to execute one job. `environment_digest` is what `prepare` said; `stand_ins` by image name.

    Where several inputs have one folder, it shows all of them, later over earlier; those of the job's own folder are
    copied into it before the job starts and are part of its outputs. `writable_inputs`: the job may write into its
    inputs, as Yadage lets it, and the backend tells what it has changed (JobOutcome.details `changed_inputs`); else
    they are read-only wherever that can be enforced, and a change is told where it cannot. `secrets` are offered to the
    step outside of its folders (variables, or files in the folder that $RECAST_SECRETS names) and written nowhere else.
    """

    key: str
    attempt: int
    job: JobSpec
    inputs: tuple[Input, ...] = ()
    environment_digest: str = ""
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    label: str = ""
    writable_inputs: bool = False
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a backend saw: with `outcome` None the attempt has started, else it has ended.

    `manifest` (of a job that ended) describes the outputs already in storage; None if nothing was kept.
    """

    key: str
    attempt: int
    outcome: JobOutcome | None = None
    manifest: Manifest | None = None


Say = Callable[[str], None]
"""Takes one line of progress for the user."""


class Backend(Protocol):
    """Where jobs run."""

    name: str

    def unusable(self) -> str:
        """Why it cannot be used here, in one sentence; "" if it can."""
        ...

    def prepare(self, environment: Environment, stand_ins: Mapping[str, StandIn], say: Say) -> str:
        """Make the environment ready (pull, build) and give its digest; may take minutes the first time.

        Raises Unavailable if it cannot be had, InvalidInput if this backend can never offer it.
        """
        ...

    def missing(self, job: JobSpec) -> list[str]:
        """What the job asks for that this backend cannot offer, a phrase each; [] if all is there."""
        ...

    def room(self) -> int:
        """How many more tasks it would take now (0: submit nothing until the next report)."""
        ...

    def submit(self, tasks: Sequence[Task]) -> None:
        """Begin them; one already known by (key, attempt) is left as it is."""
        ...

    def stop(self, key: str, attempt: int) -> None:
        """End it: TERM, then KILL after the grace; reported as stopped. Unknown or ended ones are left as they are."""
        ...

    def wait(self, timeout_s: float) -> list[Report]:
        """What happened since the last call, in order; blocks until there is something, at most `timeout_s`."""
        ...

    def wake(self) -> None:
        """Makes a `wait` of another thread return at once."""
        ...

    def recover(self, attempts: Iterable[tuple[str, int]]) -> list[Report]:
        """What became of attempts begun before this process: ended ones with their outcome, a vanished one as LOST.

        One that is still executing (on a cluster) gives a start report and is followed from now on. Nothing is left
        running that is not reported.
        """
        ...

    def close(self) -> None:
        """Stop everything that is running here and leave nothing behind; idempotent."""
        ...
