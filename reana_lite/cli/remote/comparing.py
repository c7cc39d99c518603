"""`compare` against a server: its results come here, tables, figures and exports are made on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reana_lite.cli.compare import compare_by
from reana_lite.cli.gathering import gathered, named, of_point, of_run
from reana_lite.comparison.axis import Axis, described_axes, joined
from reana_lite.errors import InvalidAnalysis, NotFound
from reana_lite.export import Described, Gathered, Gathering

if TYPE_CHECKING:
    from reana_lite.client import Client


def compare(client: Client, names: tuple[str, ...], form: str, output: Path | None, **options: Any) -> None:
    """As on this machine."""
    compare_by(There(client), names, form, output, options)


class There:
    """The results of a server, as compare_by asks for them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def gather(self, names: Sequence[str], *, whole: bool = False) -> Gathering:
        """The results behind names."""
        return gathered(names, self._of_name, whole=whole)

    def likelihoods(self, run: str) -> Iterator[tuple[str, bytes]]:
        """The files that a run declares as likelihoods: name and content."""
        for name, row in self._client.declared(run).items():
            if row["kind"] == "likelihood":
                yield name, self._client.read(run, str(row["value"]))

    def analysis(self, run: str) -> Described | None:
        """What must be known of the analysis of a run; None if the server does not have it any more."""
        try:
            found = self._client.analysis(self._client.run(run).analysis.rpartition("/")[2])
        except NotFound:
            return None
        records = [(str(r.get("hepdata") or ""), str(r.get("inspire") or "")) for r in found["references"]]
        return Described(found["sqrts_tev"], tuple(records))

    def _of_name(self, name: str) -> tuple[dict[str, Gathered], list[str]]:
        """(items by run or point, axes) of a campaign, or of a run."""
        try:
            campaign = self._client.campaign(name)
        except NotFound:
            run = self._client.run(name)
            item = of_run(run.id, run.theory, run.analysis, run.state, run.error, self._result(run.id))
            return {run.id: named(item, self._axes([run.analysis]))}, []
        items = {}
        axes = self._axes(campaign.targets)
        for point, document in self._client.outcomes(campaign.id):
            analysis = point.target.rpartition("/")[2]
            item = of_point(
                point.name, analysis, dict(point.values), point.run or "", point.state, point.error, document
            )
            items[point.run or f"{campaign.id}/{point.target}/{point.number}"] = named(
                item, axes, campaign=campaign.name
            )
        return items, list(campaign.axes)

    def _axes(self, analyses: Sequence[str]) -> dict[str, Axis]:
        """What these analyses call their axes; {} of those that the server does not describe."""
        found = []
        for name in analyses:
            with contextlib.suppress(NotFound, InvalidAnalysis):
                found.append(described_axes(self._client.analysis(name.rpartition("/")[2])))
        return joined(found)

    def _result(self, run: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.result(run).document)
        except NotFound:
            return None
