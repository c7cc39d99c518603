"""What a worker has in its hands, and what one turn of it has to write and to tell the backend.

Plain data for the other modules of this package.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reana_lite.backends.base import Report
from reana_lite.drive import Drive
from reana_lite.event import SubmitJob
from reana_lite.job import Input, JobOutcome

LEASE_S = 20.0
"""How long a run stays this worker's without a sign of life (seconds): the longest wait for another one to take over."""

POLL_S = 0.5
"""How often requests of other processes (stop, new runs, their jobs' ends) are looked for in the database (seconds)."""

LINGER_ABOVE = 48
"""With more attempts under way than this, the backend has work in store and a turn may wait for more reports."""

PATIENCE_S = 3.0
"""How long a turn waits for a bucket that does not answer (seconds); then the run that needs it waits, and is tried again."""

HARVEST_S = 15.0
"""How long a bucket is waited for that does not answer when results are read, beside the turns (seconds)."""

STAND_S = 5.0
"""How long a turn lets itself be held up by a storage that does not answer (seconds): then the rest has to wait."""

LINGER_S = 0.03
"""How long such a turn waits (seconds): one transaction then serves many jobs."""

Place = tuple[str, int]
"""An attempt: key and number."""


class Overtaken(Exception):
    """What a turn has found before its transaction is not so any more: it is undone, and all is looked at again."""


@dataclass(slots=True)
class Active:
    """An attempt that this worker's backend has (`begun`), or that is followed, and the nodes that wait for it.

    `first` is for whom it was begun here; `digest` is that of the software it was begun with; `memory_bytes` is what it was
    given if that is not what it asked for.
    """

    attempt: int
    nodes: list[tuple[Drive, SubmitJob]]
    begun: bool
    started: bool = False
    first: tuple[Drive, SubmitJob] | None = None
    digest: str = ""
    memory_bytes: int | None = None


@dataclass(slots=True)
class Turn:
    """What one turn has to write and then to tell the backend. `reports` are what it takes, kept should it fail.

    `chosen`: jobs to begin if nobody else does (key, run, node); `reused`: attempts whose outputs were found to be there
    instead; `forgotten`: those that were not; `looked`: keys of jobs that have been tried before, whose inputs were looked at
    since. `freed`: how many jobs of each owner have ended. `stop_requests`: runs that users want stopped. `dropped`: those of
    them that were aside and are over. `stale`: attempts that are this worker's now. `stood_s`: how long storage that did not
    answer has held up the turn (seconds).
    """

    reports: list[Report] = field(default_factory=list)
    chosen: list[tuple[str, Drive, SubmitJob]] = field(default_factory=list)
    reused: list[Place] = field(default_factory=list)
    forgotten: list[Place] = field(default_factory=list)
    looked: set[str] = field(default_factory=set)
    freed: Counter[str] = field(default_factory=Counter)
    stop_requests: list[str] = field(default_factory=list)
    stale: list[Place] = field(default_factory=list)
    stood_s: float = 0.0
    started: list[Place] = field(default_factory=list)
    stops: list[Place] = field(default_factory=list)
    ended: list[tuple[str, int, JobOutcome]] = field(default_factory=list)
    spoiled: list[Place] = field(default_factory=list)
    begun: list[tuple[str, int, Drive, SubmitJob]] = field(default_factory=list)
    copies: list[tuple[Drive, Input]] = field(default_factory=list)
    changed: dict[str, Drive] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self, drive: Drive) -> Iterator[None]:
        """Take note of how long storage held up the turn, if it withholds what this run needs."""
        begun_at = time.monotonic()
        yield
        if drive.trouble is not None:
            self.stood_s += time.monotonic() - begun_at

    @property
    def stands(self) -> bool:
        """Whether storage has held up this turn for long enough."""
        return self.stood_s >= STAND_S


@dataclass(slots=True)
class Aside:
    """A run that storage keeps from going on: of which epoch it is ours, and when it is tried again (the worker's clock)."""

    epoch: int
    due: float
    wait_s: float
    message: str


@dataclass(slots=True)
class Hands:
    """What a worker has in its hands between turns.

    `drives`: its runs; `adopted`: those taken up since the last turn. `active`: by key, the attempts that nodes of its runs
    wait for; `held`: the attempts that its backend has. `reports`: what became of attempts, for the next turn. `over`: runs
    among `drives` that have succeeded, as their logs say, but for their results. `aside`: its runs that cannot go on for
    now, until they have; those tried again just now are among `drives` as well. Every run that is this worker's, as the
    database says, is in one of the two.
    """

    drives: dict[str, Drive] = field(default_factory=dict)
    adopted: dict[str, Drive] = field(default_factory=dict)
    active: dict[str, Active] = field(default_factory=dict)
    held: set[Place] = field(default_factory=set)
    reports: list[Report] = field(default_factory=list)
    over: dict[str, Drive] = field(default_factory=dict)
    aside: dict[str, Aside] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many runs these are."""
        return len(self.drives.keys() | self.aside.keys())
