"""Analyses x scan, planned as many runs and followed as one: identity, states, progress. Pure.

A campaign's points are rows: (analysis, point of the scan), each with the run that computes it, or why it was refused.
Points that have no run yet are its queue. planning.py makes runs of them, the worker drives these; the command line and
the server show what is counted here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reana_lite.theory.scan import Scan


class CampaignState(StrEnum):
    """Where a campaign stands, as its points say: `planned` (nothing has begun), `running`, and when all is over
    `finished`, `failed` (a point failed or was refused) or `stopped`. Nothing is final: it can be extended or retried."""

    PLANNED = "planned"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


POINT_STATES = ("planned", "created", "queued", "running", "finished", "failed", "stopped", "refused")
"""States of points: `planned` (no run yet), `refused` (its theory cannot be used), else the state of its run."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asked for, kept so that it can be planned again: see planning.py. All of it is JSON.

    `targets` as named; `files` fixed theory files of all points; `template` the named scan template; `patchset` the file
    that the points' patches are in; `folder` what relative paths are relative to. `axes` are the names that points have
    values for, `contents` the digests of the targets when it was planned.
    """

    targets: tuple[str, ...]
    files: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    template: str = ""
    patchset: str = ""
    example: str = ""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    reuse: bool = True
    axes: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Request:
        """What `to_dict` wrote, also after a turn through JSON."""
        values: dict[str, Any] = {
            n: tuple(value) if isinstance(value, list) else value for n, value in document.items()
        }
        return cls(**values)


def identity(contents: Sequence[str], scan: Scan, *, reuse: bool = True) -> str:
    """Names a request: the same analyses by content (in any order) with the same parameters and points, the same name.

    `contents` are the digests of what all points of an analysis share: workflow, files, environments, parameters.
    """
    text = json.dumps([sorted(contents), scan.digest, reuse])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Progress:
    """A campaign in numbers: points by state, and steps of the runs that there are."""

    points: Mapping[str, int]
    steps: Mapping[str, int]
    stopped: bool = False
    """Somebody asked for its end."""

    @property
    def total(self) -> int:
        """All points."""
        return sum(self.points.values())

    def count(self, *states: str) -> int:
        """Points in these states."""
        return sum(self.points.get(state, 0) for state in states)

    @property
    def over(self) -> int:
        """Points that nothing more happens to."""
        return self.count("finished", "failed", "stopped", "refused")

    @property
    def state(self) -> CampaignState:
        """Where the campaign stands."""
        if self.count("queued", "running", "created") and not (self.stopped and not self.count("running")):
            begun = self.over or self.count("running")
            return CampaignState.RUNNING if begun else CampaignState.PLANNED
        if self.stopped or self.count("stopped"):
            return CampaignState.STOPPED
        if self.count("planned"):
            return CampaignState.RUNNING if self.over else CampaignState.PLANNED
        return CampaignState.FAILED if self.count("failed", "refused") else CampaignState.FINISHED

    def left_s(self, *, took_s: float, done: int) -> float | None:
        """Seconds until all is over if it goes on as with the `done` points of the last `took_s` seconds; None: unknown."""
        if done <= 0:
            return None
        return took_s / done * (self.total - self.over)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "state": str(self.state),
            "points": {"total": self.total, **{state: self.count(state) for state in POINT_STATES}},
            "steps": dict(self.steps),
        }
