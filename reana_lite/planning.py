"""A scan becomes a campaign, and the points of a campaign become runs, a few at a time: the database is the queue.

One way in for the command line and the server. Nothing is executed here: the worker drives the runs, and calls for more
of them while it does, so that a campaign of any size takes little memory and begins at once.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from reana_lite.campaign import Request, identity
from reana_lite.catalogue import Sources
from reana_lite.config import Settings
from reana_lite.database import Database, campaigns
from reana_lite.database.campaigns import CampaignRecord, PlannedRun, PointRecord
from reana_lite.errors import InvalidAnalysis, InvalidInput, NotAllowed, NotFound, ReanaLiteError
from reana_lite.event import RunStarted, RunState, to_row
from reana_lite.storage.base import Storage
from reana_lite.submission import document_of, new_run_id, started_of
from reana_lite.target.files import Scratch
from reana_lite.target.points import Frame, frame, prepare
from reana_lite.target.prepared import Prepared, TargetOptions
from reana_lite.theory import read_theory
from reana_lite.theory.condition import Expression
from reana_lite.theory.parameters import Value
from reana_lite.theory.scan import Point, Scan, scan_of

CHUNK = 100
"""Points that become runs in one transaction."""

REFUSING = (InvalidInput, InvalidAnalysis, NotFound, NotAllowed)
"""What is wrong with a point itself, or with what it names; anything else is the world's, and may be right the next time."""

WARNINGS = 20
"""Different warnings that are said; all of them are in the records of the runs."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A request, read: the frames of its targets and the points that all of them share."""

    request: Request
    frames: tuple[Frame, ...]
    scan: Scan

    @property
    def digest(self) -> str:
        """Names the request by content."""
        return identity([one.content for one in self.frames], self.scan, reuse=self.request.reuse)

    @property
    def skipped(self) -> dict[str, int]:
        """How many points were left out, by reason."""
        counts = {"unphysical": self.scan.unphysical, "excluded": self.scan.excluded, "repeated": self.scan.repeated}
        return {name: count for name, count in counts.items() if count}

    def points(self) -> Iterator[tuple[str, Point]]:
        """Every (target, point), one target after the other."""
        for one in self.frames:
            for point in self.scan.points:
                yield one.target, point


class Planner:
    """Reads requests and makes runs. `scratch` is a folder for what must be put together; `say` takes warnings."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        *,
        settings: Settings,
        scratch: Path,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.database = database
        self.storage = storage
        self.settings = settings
        self.say = say
        self._scratch = scratch
        self._said: set[str] = set()

    def plan(self, request: Request, points: Iterable[Point], *, where: Sequence[Expression] = ()) -> Planned:
        """Read what a request names; raises InvalidInput for a scan without points, or with too many."""
        stream = iter(points)
        first = list(islice(stream, 1000))
        points = chain(first, stream)
        axes = tuple(dict.fromkeys([*request.axes, *(name for point in first for name in point.values)]))
        frames = self.frames(request, axes, files_follow=any(point.source for point in first[:1]))
        physical = [rule for one in frames for rule in one.physical]
        limit = max(1, self.settings.scan_limit // len(frames))
        request = replace(request, axes=axes, contents=tuple(one.content for one in frames))
        known = partial(_of_file, Path(request.folder)) if not request.patchset else None
        return Planned(request, frames, scan_of(points, where=where, physical=physical, limit=limit, known=known))

    def frames(self, request: Request, axes: Sequence[str], *, files_follow: bool) -> tuple[Frame, ...]:
        """The targets of a request, read, their files kept."""
        sources = Sources.of(self.settings)
        options = TargetOptions(
            files=request.files,
            assignments=request.assignments,
            example=request.example,
            stand_ins=request.stand_ins,
            folder=Path(request.folder),
            scratch=self._scratch,
        )
        found: list[Frame] = []
        for target in request.targets:
            if target in [one.target for one in found]:
                raise InvalidInput(f"the target {target} is named twice", field="target", value=target)
            one = frame(
                target,
                options=options,
                sources=sources,
                storage=self.storage,
                axes=axes,
                template=request.template,
                patchset=request.patchset,
                files_follow=files_follow and not request.patchset,
            )
            self._warn(one.prepared)
            found.append(one)
        return tuple(found)

    def campaign(self, planned: Planned, *, name: str = "") -> tuple[CampaignRecord, bool]:
        """(the campaign of an equal request, True), or a new one with all its points and False."""
        digest = planned.digest
        owner = self.settings.user
        found = campaigns.find(self.database, digest, owner=owner)
        if found is not None:
            return found, True
        first = planned.frames[0].prepared.name.rpartition("/")[2]
        more = f"+{len(planned.frames) - 1}" if len(planned.frames) > 1 else ""
        record = campaigns.create(
            self.database,
            name=name or f"{first}{more}-scan",
            owner=owner,
            digest=digest,
            request=planned.request,
            points=planned.points(),
            skipped=planned.skipped,
        )
        return record, False

    def extend(self, record: CampaignRecord, planned: Planned) -> tuple[int, int]:
        """(points added, points computed anew because parameters, or the analysis itself, have changed).

        Raises InvalidInput for new points that have not a value for each axis of the campaign, or for others: they would lie
        in another plane, and be drawn in the same.
        """
        known = {(row.target, row.point.key) for row in campaigns.all_points(self.database, record.id)}
        _check_axes(record, (point for target, point in planned.points() if (target, point.key) not in known))
        changed = planned.request != replace(record.request, axes=planned.request.axes)
        again = 0
        with self.database.transaction() as transaction:
            added = campaigns.add_points(transaction, record.id, planned.points())
            campaigns.update(transaction, record.id, request=planned.request, skipped=planned.skipped)
            if changed:
                again = campaigns.reopen(transaction, record.id, states=(*RunState, "refused"))
                campaigns.stop_superseded(transaction, record.id, by=self.settings.user)
        return added, again

    def started(
        self, one: Frame, point: Point, request: Request, scratch: Scratch, *, run: str = ""
    ) -> tuple[Prepared, RunStarted]:
        """(prepared, first event) of the run of a point, its files kept; raises InvalidInput if its theory is refused."""
        prepared = prepare(one, point, folder=Path(request.folder), scratch=scratch)
        self._warn(prepared)
        own = prepared.keep(self.storage)
        init = replace(own, trees=(*one.init.trees, *own.trees))
        return prepared, started_of(prepared, init, salt="" if request.reuse else run)

    def _warn(self, prepared: Prepared) -> None:
        for warning in prepared.warnings:
            if warning not in self._said and len(self._said) < WARNINGS:
                self._said.add(warning)
                self.say(warning)


def _check_axes(record: CampaignRecord, points: Iterable[Point]) -> None:
    """See Planner.extend; theory files say themselves what they are of."""
    axes = record.request.axes
    for point in points if axes else ():
        if point.source:
            continue
        if missing := [axis for axis in axes if axis not in point.values]:
            raise InvalidInput(f"{', '.join(missing)} has no value: give every axis one, or a range; the axes of campaign "
                               f"{record.name} are {', '.join(axes)}", field=missing[0])  # fmt: skip
        if unknown := [name for name in point.values if name not in axes]:
            raise InvalidInput(
                f"{', '.join(unknown)} is no axis of campaign {record.name}, which are {', '.join(axes)}",
                field=unknown[0],
            )


def _of_file(folder: Path, point: Point) -> Mapping[str, Value]:
    """The parameters in a point's theory file, such as its masses; {} where it has none, or is refused when it is run."""
    if not point.source:
        return {}
    path = folder / point.source
    try:
        with path.open("rb") as stream:
            return read_theory(point.name, [(path.name, stream)]).values
    except (OSError, InvalidInput):
        return {}


class Enrolment:
    """Makes runs of the points of one campaign that have none, a few at a time.

    `bring` sees that a file which stands for a point is on this machine.
    """

    def __init__(
        self,
        planner: Planner,
        record: CampaignRecord,
        frames: Sequence[Frame] = (),
        *,
        bring: Callable[[Sequence[str]], None] = lambda paths: None,
    ) -> None:
        self.planner = planner
        self.record = record
        self.bring = bring
        self.done = False
        self._frames = {one.target: one for one in frames}

    def top_up(self, waiting: int, *, limit_s: float = math.inf) -> bool:
        """See that so many runs wait for a worker, as long as there are points without one.

        After `limit_s` seconds the rest is left for the next time: then it gives False.
        """
        until = time.monotonic() + limit_s
        while not self.done and campaigns.queue_length(self.planner.database, self.record.id) < waiting:
            self.enrol(CHUNK, until=until)
            if time.monotonic() >= until:
                return self.done
        return True

    def enrol(self, limit: int, *, until: float = math.inf) -> int:
        """Turn up to `limit` points into runs (or refusals); gives how many there were. `done` when none is left.

        It begins no further one after `until` (of time.monotonic). Raises Unavailable, and refuses none, if what is needed
        does not answer; points that were read before are runs then.
        """
        planner = self.planner
        page = campaigns.points(planner.database, self.record.id, states=("planned",), limit=limit)
        if not page:
            self.done = True
            return 0
        if not self._frames:
            self._read(page)
        runs: dict[int, PlannedRun] = {}
        refused: dict[int, str] = {}
        outage: ReanaLiteError | None = None
        with tempfile.TemporaryDirectory(prefix="recast-") as folder:
            scratch = Scratch(Path(folder))
            for row in page:
                try:
                    runs[row.number] = self.run_of(row, scratch)
                except REFUSING as error:
                    refused[row.number] = error.message
                except ReanaLiteError as error:
                    outage = error
                    break
                if time.monotonic() >= until:
                    break
            with planner.database.transaction() as transaction:
                created = campaigns.fill(transaction, self.record, runs, refused)
        if not created and not refused:  # stopped, or others were quicker
            self.done = bool(campaigns.get(planner.database, self.record.id).stopped_at)
        if outage is not None:
            raise outage
        return len(page)

    def run_of(self, row: PointRecord, scratch: Scratch) -> PlannedRun:
        """The run of one point, its files kept."""
        if row.target not in self._frames:
            raise NotFound(f"{row.target} is not part of campaign {self.record.name} any more", target=row.target)
        if row.point.source:
            self.bring([row.point.source])
        run = new_run_id()
        request = self.record.request
        prepared, started = self.planner.started(self._frames[row.target], row.point, request, scratch, run=run)
        asked = {"campaign": self.record.id, "point": row.number}
        theory = prepared.theory.name if prepared.theory is not None else row.point.name
        document = document_of(prepared, reuse=request.reuse, asked=asked) | {"point": dict(row.point.values)}
        return PlannedRun(run, prepared.name, theory, document, to_row(started))

    def _read(self, page: Sequence[PointRecord]) -> None:
        request = self.record.request
        follow = any(row.point.source for row in page)
        for one in self.planner.frames(request, request.axes, files_follow=follow):
            self._frames[one.target] = one
        if tuple(one.content for one in self._frames.values()) != request.contents:
            self.planner.say(
                f"what campaign {self.record.name} computes has changed since it was planned: only new runs are of the "
                f"analysis as it is now (recast campaign extend, or the same scan again, computes all of it)"
            )


@contextmanager
def planner(
    database: Database, storage: Storage, *, settings: Settings, say: Callable[[str], None] = lambda line: None
) -> Iterator[Planner]:
    """A Planner with a scratch folder that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="recast-") as folder:
        yield Planner(database, storage, settings=settings, scratch=Path(folder), say=say)
