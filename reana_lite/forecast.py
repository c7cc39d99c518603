"""What a request would run, what is there already, how long the rest will take: the engine is asked, nothing is executed.

Each run's engine is driven without a backend: a job whose outputs are kept is answered from the database, as the worker
would, and the engine goes on; any other is counted as to be run, and what lies behind it is counted by stage, because its
key is not known yet. Durations are those of past steps of the same stage. Called by the command line and the server.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reana_lite.backends.base import StandIn
from reana_lite.database import Database, history
from reana_lite.drive import Drive
from reana_lite.engine import Engine
from reana_lite.event import RunStarted, SubmitJob
from reana_lite.job import Environment, job_key
from reana_lite.storage.base import Storage
from reana_lite.workflow.graph import NodeKind
from reana_lite.workflow.spec import MultiStep, Stage

DigestOf = Callable[[Environment, dict[str, StandIn]], str]
"""The digest of an environment, as the backend that would run it says."""


def stage_of(node: str) -> str:
    """The stage of a node by its path: /generate/3 is of generate, /sub/0/fit of sub/fit."""
    return "/".join(part for part in node.split("/") if part and not part.isdigit())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(slots=True)
class StageForecast:
    """One stage: steps whose outputs are there, steps to be run, steps that may follow these (their keys are not known
    yet, so some of them may turn out to be there, or the same), and the mean of past durations (seconds; None: no past)."""

    stage: str
    there: int = 0
    to_run: int = 0
    following: int = 0
    mean_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {name: getattr(self, name) for name in ("stage", "there", "to_run", "following", "mean_s")}


@dataclass(frozen=True, slots=True)
class Forecast:
    """The stages of all runs together, in order; `cores` that are to be used."""

    runs: int
    stages: tuple[StageForecast, ...]
    cores: float

    @property
    def there(self) -> int:
        """Steps whose outputs are there."""
        return sum(stage.there for stage in self.stages)

    @property
    def missing(self) -> int:
        """Steps to be run, with those that follow."""
        return sum(stage.to_run + stage.following for stage in self.stages)

    @property
    def seconds(self) -> float | None:
        """How long it may take on these cores, a core for each step; None if nothing is known about any stage."""
        known = [stage for stage in self.stages if stage.mean_s is not None and stage.to_run + stage.following]
        if not known:
            return 0.0 if not self.missing else None
        work_s = sum((stage.to_run + stage.following) * (stage.mean_s or 0.0) for stage in known)
        return max(work_s / self.cores, sum(stage.mean_s or 0.0 for stage in known))

    @property
    def unknown(self) -> list[str]:
        """Stages with something to run of which no past step is known."""
        return [s.stage for s in self.stages if s.mean_s is None and s.to_run + s.following]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "runs": self.runs, "there": self.there, "to_run": sum(stage.to_run for stage in self.stages),
            "following": sum(stage.following for stage in self.stages), "seconds": self.seconds, "cores": self.cores,
            "unknown": self.unknown, "stages": [stage.to_dict() for stage in self.stages],
        }  # fmt: skip


@dataclass(slots=True)
class Forecaster:
    """Takes the first events of runs, one after the other, and gives the Forecast of all. Nothing is written."""

    database: Database
    storage: Storage
    digest_of: DigestOf
    runs: int = 0
    _stages: dict[str, StageForecast] = field(default_factory=dict)
    _to_run: set[str] = field(default_factory=set)
    _there: set[str] = field(default_factory=set)
    _typical: dict[str, Counter[str]] = field(default_factory=dict)
    _newest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, started: RunStarted, *, analysis: str) -> None:
        """Count the steps of a run that would start so."""
        self.runs += 1
        drive = Drive("forecast", 0, self.storage, host=True)
        drive.take(started)
        pending: set[str] = set()
        while drive.queue:
            submits = list(drive.queue)
            drive.queue.clear()
            drive.fresh.clear()
            keys = [self._key(drive, submit) for submit in submits]
            kept = history.kept_outcomes(self.database, keys)
            for submit, key in zip(submits, keys, strict=True):
                stage = self._stage(stage_of(submit.node))
                if key in kept and (place := self._whole(drive, submit, key, kept[key])):
                    stage.there += key not in self._there
                    self._there.add(key)
                    drive.finished_job(submit, key, place[0], digest=place[1], reused_from="forecast")
                    continue
                pending.add(submit.node)
                if key not in self._to_run:
                    self._to_run.add(key)
                    stage.to_run += 1
        if pending:
            self._count_following(drive, pending, analysis, started.init.parameters)

    def forecast(self, *, cores: float, analyses: list[str]) -> Forecast:
        """All that was added, with durations of past steps of these analyses."""
        durations: dict[str, list[float]] = {}
        for analysis in analyses:
            for node, took_s in history.step_durations(self.database, analysis):
                durations.setdefault(stage_of(node), []).append(took_s)
        for stage in self._stages.values():
            past = durations.get(stage.stage)
            stage.mean_s = sum(past) / len(past) if past else None
        return Forecast(self.runs, tuple(self._stages.values()), cores)

    def _stage(self, name: str) -> StageForecast:
        return self._stages.setdefault(name, StageForecast(name))

    def _key(self, drive: Drive, submit: SubmitJob) -> str:
        environment = submit.job.environment
        return job_key(submit.job, self.digest_of(environment, drive.stand_ins), submit.inputs, drive.salt)

    def _whole(self, drive: Drive, submit: SubmitJob, key: str, place: tuple[int, str]) -> tuple[int, str] | None:
        """The place, if its outputs are there as recorded and hold what the run needs."""
        manifest = self.storage.manifest(key, place[0])
        whole = (
            manifest is not None and manifest.digest == place[1] and not drive.missing_outputs(submit, key, place[0])
        )
        return place if whole else None

    def _count_following(self, drive: Drive, submitted: set[str], analysis: str, parameters: Mapping[str, Any]) -> None:
        """Steps behind those that would run: laid out already, or, for stages that are not, as many as the newest past run
        had; of stages with many members more, if one number among the parameters (such as n_events) has grown since."""
        if not isinstance(drive.engine, Engine):
            counts = drive.engine.progress()
            self._stage("following").following += max(0, counts["total"] - counts["finished"] - len(submitted))
            return
        for node in drive.engine.graph.nodes.values():
            if node.kind is NodeKind.JOB and not node.ended and node.path not in submitted:
                self._stage(stage_of(node.path)).following += 1
        if analysis not in self._typical:
            self._typical[analysis] = self._past_counts(analysis)
        typical = self._typical[analysis]
        for open_stage in drive.engine.layout.open_stages():
            stage = stage_of(open_stage.path)
            inside = {name: count for name, count in typical.items() if name == stage or name.startswith(f"{stage}/")}
            several = isinstance(open_stage.stage, Stage) and isinstance(open_stage.stage.scheduler, MultiStep)
            factor = self._growth(analysis, parameters) if several else 1.0
            for name, count in (inside or ({stage: 1} if not typical else {})).items():
                self._stage(name).following += math.ceil(count * factor)

    def _growth(self, analysis: str, parameters: Mapping[str, Any]) -> float:
        """By how much the only number that is not as in the newest finished run has grown; else 1."""
        if analysis not in self._newest:
            newest = self.database.list_runs(states=["finished"], analysis=analysis, limit=1)
            request = self.database.get_run(newest[0].id).request if newest else {}
            self._newest[analysis] = dict(request.get("parameters") or {})
        before = self._newest[analysis]
        pairs = [(value, before[name]) for name, value in parameters.items() if name in before]
        ratios = [
            now / past for now, past in pairs if _is_number(now) and _is_number(past) and now != past and past > 0
        ]
        return max(1.0, ratios[0]) if len(ratios) == 1 else 1.0

    def _past_counts(self, analysis: str) -> Counter[str]:
        """How many nodes each stage had in the newest finished run of an analysis."""
        return Counter(stage_of(node) for node in history.nodes_of_newest(self.database, analysis))
