"""A forecast of what somebody asks for: each run it would become is looked at, none is queued.

Called by `recast plan` and the server.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from reana_lite.config import Settings
from reana_lite.database import Database, history
from reana_lite.errors import InvalidInput
from reana_lite.event import RunStarted, to_row
from reana_lite.forecast import DigestOf, Forecast, Forecaster
from reana_lite.intake import Asked, AskedScan, Say, planned, prepared
from reana_lite.planning import planner
from reana_lite.storage.base import Storage
from reana_lite.submission import started_of
from reana_lite.target.files import Scratch

FORECAST_POINTS = 200
"""Points of a scan that a server's forecast looks at (the others are taken to be like them)."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A forecast; `refused` points and `of` points in all, of which `looked_at` were looked at."""

    forecast: Forecast
    refused: int = 0
    of: int = 1
    looked_at: int = 1

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; `seconds` is for all points."""
        document = self.forecast.to_dict()
        if document["seconds"] is not None and self.looked_at:
            document["seconds"] *= self.of / self.looked_at
        return {**document, "refused": self.refused, "points": self.of, "looked_at": self.looked_at}


def foresee(
    asked: Sequence[Asked] | AskedScan,
    *,
    database: Database,
    storage: Storage,
    settings: Settings,
    guest: bool = False,
    backend: str = "",
    cores: float | None = None,
    say: Say = lambda line: None,
) -> Foreseen:
    """What runs or a scan would compute, what is there already, how long the rest may take. Nothing is queued."""
    from reana_lite.backends.machine import cores as usable

    forecaster: Forecaster | None = None
    analyses: list[str] = []
    refused = of = looked_at = 0
    with ExitStack() as stack:
        for start in _starts(asked, database, storage, settings, guest, say):
            of += 1
            looked_at += start is not LATER
            refused += start is REFUSED
            if isinstance(start, tuple):
                analysis, started = start
                if forecaster is None:
                    seen = history.images_of(database, analysis)
                    naming = environment_digests(
                        started, settings, storage, seen=seen, backend=backend, cores=cores, say=say
                    )
                    forecaster = Forecaster(database, storage, stack.enter_context(naming))
                forecaster.add(started, analysis=analysis)
                analyses += [analysis] if analysis not in analyses else []
    empty = forecaster or Forecaster(database, storage, lambda *_: "")
    forecast = empty.forecast(cores=cores or settings.cores or usable(), analyses=analyses)
    return Foreseen(forecast, refused, of, looked_at)


class _Start(Enum):
    """What a point is for a forecast if not a run: its theory is refused, or it is beyond the limit."""

    REFUSED = auto()
    LATER = auto()


REFUSED, LATER = _Start.REFUSED, _Start.LATER


def _starts(
    asked: Sequence[Asked] | AskedScan, database: Database, storage: Storage, settings: Settings, guest: bool, say: Say
) -> Iterator[tuple[str, RunStarted] | _Start]:
    """(analysis, first event) of each run that would be."""
    if not isinstance(asked, AskedScan):
        for one in asked:
            with prepared(one, settings, guest=guest) as found:
                for warning in found.warnings:
                    say(f"warning: {warning}")
                yield found.name, started_of(found, found.keep(storage))
        return
    with planner(database, storage, settings=settings) as planning:
        plan = planned(asked, planning, guest=guest)
        step = max(1, len(plan.frames) * len(plan.scan.points) // FORECAST_POINTS) if guest else 1
        for at, (frame, point) in enumerate((one, point) for one in plan.frames for point in plan.scan.points):
            if at % step:
                yield LATER
                continue
            with tempfile.TemporaryDirectory(prefix="recast-") as folder:
                try:
                    ready, started = planning.started(frame, point, plan.request, Scratch(Path(folder)))
                except InvalidInput as error:
                    say(f"{point.name} would be refused: {error.message}")
                    yield REFUSED
                else:
                    yield ready.name, started


@contextmanager
def environment_digests(
    started: RunStarted,
    settings: Settings,
    storage: Storage,
    *,
    seen: Mapping[str, str],
    backend: str = "",
    cores: float | None = None,
    say: Say = lambda line: None,
) -> Iterator[DigestOf]:
    """How the backend that would run it names environments: "" for those it would have to look for first; nothing is built.

    A cluster is not asked (who forecasts need not have rights there): there an image is what it was when it was `seen` last.
    """
    from reana_lite.backends.choice import choose, on_cluster
    from reana_lite.backends.environment import environment_digest
    from reana_lite.job import EnvironmentKind

    name = backend or settings.backend
    if on_cluster(name, storage):
        yield lambda environment, _: environment.image.partition("@")[2] or seen.get(environment.image, "")
        return
    known: dict[tuple[str, str], str] = {}
    with closing(choose(name, to_row(started)[1], settings=settings, storage=storage, cores=cores)) as chosen:

        def digest_of(environment: Any, stand_ins: Any) -> str:
            stand_in = stand_ins.get(environment.image)
            if chosen.name == "local" and environment.kind is not EnvironmentKind.PROCESS and stand_in is not None:
                return environment_digest(stand_in.lock)
            key = (environment.image, stand_in.lock if stand_in else "")
            if key not in known:
                known[key] = chosen.prepare(environment, stand_ins, say)
            return known[key]

        yield digest_of
