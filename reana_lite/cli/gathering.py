"""What `recast compare` compares: runs, campaigns and result files by name, as results and outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reana_lite.comparison import Outcome, Status, outcome_of
from reana_lite.errors import Conflict, InvalidInput, NotFound
from reana_lite.export import Gathered, Gathering, declared_likelihoods, varying
from reana_lite.result import read_result, result_of

if TYPE_CHECKING:
    from reana_lite.cli.screen import Installation
    from reana_lite.comparison.axis import Axes
    from reana_lite.database import RunRecord
    from reana_lite.database.campaigns import CampaignRecord, PointRecord
    from reana_lite.theory.parameters import Value


def gather(installation: Installation, names: Sequence[str], *, whole: bool = False) -> Gathering:
    """The results behind names of this installation: see `gathered`."""

    def of_name(name: str) -> tuple[dict[str, Gathered], list[str]]:
        from reana_lite.catalogue import Catalogue, Sources, axes_of

        catalogue = Catalogue(Sources.from_environment())
        campaign = _campaign(installation, name)
        if campaign is None:
            record = installation.database.get_run(name, owner=installation.settings.user)
            targets = [str(record.request.get("target", "")), record.analysis]
            return {record.id: named(_of_run(installation, record), axes_of(targets, catalogue))}, []
        from reana_lite.database import campaigns

        items: dict[str, Gathered] = {}
        axes: list[str] = []
        known = axes_of([*campaign.request.targets], catalogue)
        for point in campaigns.all_points(installation.database, campaign.id):
            item = named(_of_point(installation, point), known, campaign=campaign.name)
            items[point.run or f"{campaign.id}/{point.target}/{point.number}"] = item
            axes += [axis for axis in point.point.values if axis not in axes]
        return items, axes

    return gathered(names, of_name, whole=whole)


def named(item: Gathered, axes: Axes, *, campaign: str = "") -> Gathered:
    """The same with what its axes are called, as analyses declare them, and the campaign that it is a point of."""
    outcome = replace(item.outcome, campaign=campaign, axes={**item.outcome.axes, **axes})
    return replace(item, outcome=outcome)


def gathered(
    names: Sequence[str], of_name: Callable[[str], tuple[dict[str, Gathered], list[str]]], *, whole: bool
) -> Gathering:
    """The results behind names: a file (*.json), a campaign or a run (id, name, beginning, `latest`).

    `of_name` gives those of a campaign or run by a key of their own, and axes. A campaign comes before a run of the same
    name; `latest` is the newest campaign, else the newest run. With `whole` the results are kept, too (thousands of them
    are large).
    """
    items: dict[str, Gathered] = {}
    axes: list[str] = []
    for name in names:
        if name.endswith(".json") and Path(name).is_file():
            result = read_result(Path(name).read_bytes(), name)
            items[f"file {name}"] = Gathered(outcome_of(result), result if whole else None)
            continue
        found, more = of_name(name)
        items |= {key: item if whole else replace(item, result=None) for key, item in found.items()}
        axes += [axis for axis in more if axis not in axes]
    listed = tuple(items.values())
    return Gathering(listed, varying([item.outcome for item in listed], axes))


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
    document = installation.database.get_result(point.run, "result") if point.run else None
    analysis = point.analysis or point.target.rpartition("/")[2]
    return of_point(point.point.name, analysis, point.point.values, point.run, point.state, point.error, document)


def of_point(
    name: str, analysis: str, values: Mapping[str, Value], run: str, state: str, error: str,
    document: Mapping[str, Any] | None,
) -> Gathered:  # fmt: skip
    """A point of a campaign with its result document, or why there is none."""
    if document is not None:
        result = result_of(document, known=True)
        return Gathered(outcome_of(result, values=values), result, run)
    status = Status.FAILED if state in ("failed", "refused") else Status.MISSING
    message = error if status is Status.FAILED else state
    return Gathered(Outcome(name, analysis, run, dict(values), status, message=message), run=run)


def _of_run(installation: Installation, record: RunRecord) -> Gathered:
    document = installation.database.get_result(record.id, "result")
    return of_run(record.id, record.theory, record.analysis, str(record.state), record.error, document)


def of_run(
    run: str, theory: str, analysis: str, state: str, error: str, document: Mapping[str, Any] | None
) -> Gathered:
    """A run with its result document, or why there is none; raises Conflict if it declares none."""
    if document is not None:
        result = result_of(document, known=True)
        return Gathered(outcome_of(result), result, run)
    if state == "finished":
        raise Conflict(f"run {run} declares no result document: there is nothing to compare", run=run)
    status = Status.FAILED if state == "failed" else Status.MISSING
    return Gathered(Outcome(theory, analysis, run, {}, status, message=error or state), run=run)


def likelihoods_of(installation: Installation, run: str) -> Iterator[tuple[str, bytes]]:
    """The files that a run declares as likelihoods: name and content."""
    from reana_lite.drive import replayed
    from reana_lite.job import RUN_ROOT

    declared = installation.database.get_result(run, "declared") or {}
    wanted = declared_likelihoods(declared)
    if not wanted:
        return
    drive = replayed(run, installation.database.read_events(run), installation.storage)
    for name, path in wanted:
        with drive.workspace.open(f"{RUN_ROOT}/{path}") as source:
            yield name, source.read()
