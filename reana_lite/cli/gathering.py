"""What `recast compare` compares: runs, campaigns and result files by name, as results and outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reana_lite.comparison import Outcome, Status, axes_of, outcome_of
from reana_lite.errors import Conflict, InvalidInput, NotFound
from reana_lite.result import Result, read_result, result_of

if TYPE_CHECKING:
    from reana_lite.cli.screen import Installation
    from reana_lite.database import RunRecord
    from reana_lite.database.campaigns import CampaignRecord, PointRecord
    from reana_lite.theory.parameters import Value


@dataclass(frozen=True, slots=True)
class Gathered:
    """One theory by one analysis: its outcome, the whole result where it is wanted and there is one, and its run."""

    outcome: Outcome
    result: Result | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class Gathering:
    """All that was named, in order, and the axes over which it spreads."""

    items: tuple[Gathered, ...]
    axes: tuple[str, ...] = field(default=())

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes."""
        return [item.outcome for item in self.items]

    def at(self, places: Mapping[str, float]) -> Gathering:
        """Only what is at these places; NotFound says which there are."""
        items = self.items
        for axis, value in places.items():
            kept = tuple(item for item in items if item.outcome.number(axis) == value)
            if not kept:
                there = sorted({v for item in items if (v := item.outcome.number(axis)) is not None})
                some = ", ".join(f"{v:g}" for v in there[:10]) + (", ..." if len(there) > 10 else "")
                raise NotFound(f"nothing is at {axis} = {value:g}; there are {some or 'no such numbers'}")
            items = kept
        return Gathering(items, tuple(axis for axis in self.axes if axis not in places))


def gather(installation: Installation, names: Sequence[str], *, whole: bool = False) -> Gathering:
    """The results behind names: a file (*.json), a campaign or a run (id, name, beginning, `latest`).

    A campaign comes before a run of the same name; `latest` is the newest campaign, else the newest run. With `whole`
    the results are kept, too (thousands of them are large).
    """

    def slim(item: Gathered) -> Gathered:
        return item if whole else replace(item, result=None)

    items: dict[str, Gathered] = {}
    axes: list[str] = []
    for name in names:
        if name.endswith(".json") and Path(name).is_file():
            result = read_result(Path(name).read_bytes(), name)
            items[f"file {name}"] = slim(Gathered(outcome_of(result), result))
            continue
        campaign = _campaign(installation, name)
        if campaign is not None:
            from reana_lite.database import campaigns

            for point in campaigns.all_points(installation.database, campaign.id):
                key = point.run or f"{campaign.id}/{point.target}/{point.number}"
                items[key] = slim(_of_point(installation, point))
                axes += [axis for axis in point.point.values if axis not in axes]
        else:
            record = installation.database.get_run(name, owner=installation.settings.user)
            items[record.id] = slim(_of_run(installation, record))
    found = tuple(items.values())
    return Gathering(found, _axes([item.outcome for item in found], axes))


def _axes(outcomes: Sequence[Outcome], declared: Sequence[str]) -> tuple[str, ...]:
    """The axes of the scans, those that vary; without scans, what varies."""
    varying = [axis for axis in declared if len({o.number(axis) for o in outcomes} - {None}) > 1]
    if varying:
        return tuple(varying)
    return tuple(axes_of([o for o in outcomes if o.status is Status.OK] or outcomes))


def _campaign(installation: Installation, name: str) -> CampaignRecord | None:
    """The campaign of that name; of a beginning of a name only if no run is meant."""
    from reana_lite.database import campaigns

    try:
        found = campaigns.get(installation.database, name, owner=installation.settings.user)
    except NotFound:
        return None
    if name in (found.id, found.name, "latest"):
        return found
    try:
        installation.database.get_run(name, owner=installation.settings.user)
    except (NotFound, InvalidInput):
        return found
    return None


def _of_point(installation: Installation, point: PointRecord) -> Gathered:
    values: Mapping[str, Value] = point.point.values
    document = installation.database.get_result(point.run, "result") if point.run else None
    if document is not None:
        result = result_of(document, known=True)
        return Gathered(outcome_of(result, values=values), result, point.run)
    status = Status.FAILED if point.state in ("failed", "refused") else Status.MISSING
    message = point.error if status is Status.FAILED else point.state
    analysis = point.analysis or point.target.rpartition("/")[2]
    return Gathered(
        Outcome(point.point.name, analysis, point.run, dict(values), status, message=message), run=point.run
    )


def _of_run(installation: Installation, record: RunRecord) -> Gathered:
    document = installation.database.get_result(record.id, "result")
    if document is not None:
        result = result_of(document, known=True)
        return Gathered(outcome_of(result), result, record.id)
    if record.state == "finished":
        raise Conflict(f"run {record.id} declares no result document: there is nothing to compare", run=record.id)
    status = Status.FAILED if record.state == "failed" else Status.MISSING
    message = record.error or str(record.state)
    return Gathered(Outcome(record.theory, record.analysis, record.id, {}, status, message=message), run=record.id)


def likelihoods_of(installation: Installation, run: str) -> Iterator[tuple[str, bytes]]:
    """The files that a run declares as likelihoods: name and content."""
    from reana_lite.drive import replayed
    from reana_lite.job import RUN_ROOT

    declared = installation.database.get_result(run, "declared") or {}
    wanted = [(name, row["value"]) for name, row in declared.items() if row["kind"] == "likelihood"]
    if not wanted:
        return
    drive = replayed(run, installation.database.read_events(run), installation.storage)
    for name, path in wanted:
        with drive.workspace.open(f"{RUN_ROOT}/{path}") as source:
            yield name, source.read()
