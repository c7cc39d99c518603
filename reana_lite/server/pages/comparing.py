"""Comparison of runs and campaigns: what is chosen, tables, contours, figures, downloads, an interactive plane."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, Response, make_response, render_template, request

from reana_lite import comparison, export
from reana_lite.comparison import MassLimit, MassPlane, Outcome, Overlap, Status, Table
from reana_lite.comparison import tables as written
from reana_lite.comparison.axis import Axes, axis_of
from reana_lite.database import RunRecord
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import InvalidInput, NotFound, ReanaLiteError
from reana_lite.export import Compared, Gathered, Gathering
from reana_lite.server import exporting
from reana_lite.server.outcomes import Row, axes_declared, limits_of, outcome_of_record, plane_of, rows_of_campaigns
from reana_lite.server.outcomes import axes as axes_of
from reana_lite.server.pages import headers, plane
from reana_lite.server.pages.campaigns import LIMITS
from reana_lite.server.pages.row import row_of
from reana_lite.server.pages.site import this_site
from reana_lite.server.sending import attached

MOST = 40
"""Runs and campaigns that are compared at once."""

ROWS = 40
"""Rows of a table on one page."""

TABLES = {
    "csv": ("text/csv", written.to_csv),
    "tex": ("text/plain", written.to_latex),
    "txt": ("text/plain", written.to_text),
}


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/compare", "compare", compare)
    pages.add_url_rule("/compare/<what>.<form>", "compare_file", file)
    pages.add_url_rule("/compare/interactive", "interactive", interactive)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is compared: names as given, their outcomes, the axes they have, the plane if there is one.

    `together`: the contours of several campaigns in that plane, or `why` there are none. `named`: what axes are called.
    """

    names: tuple[str, ...]
    titles: tuple[tuple[str, str, str], ...]
    outcomes: tuple[Outcome, ...]
    points: tuple[plane.PlacedPoint, ...]
    axes: tuple[str, ...]
    x: str
    y: str
    mass_plane: MassPlane | None
    together: Overlap | None
    why: str
    named: Axes

    @property
    def drawn(self) -> MassPlane | Overlap | None:
        """What is drawn of the plane."""
        return self.together or self.mass_plane


def chosen() -> Chosen:
    """What the address names: `of` (ids or names of campaigns and runs), `x`, `y`."""
    site = this_site()
    names = tuple(dict.fromkeys(name for name in request.args.getlist("of") if name))[:MOST]
    titles: list[tuple[str, str, str]] = []
    rows: list[Row] = []
    records: list[RunRecord] = []
    scans: list[CampaignRecord] = []
    for name in names:
        try:
            campaign = site.campaign(name)
        except (NotFound, InvalidInput):
            record = site.run(name)
            titles.append(("run", record.id, record.full_name))
            records.append(record)
        else:
            titles.append(("campaign", campaign.id, campaign.name))
            scans.append(campaign)
    named = axes_declared([*scans, *records], site.catalogue())
    single = [outcome_of_record(site.database, record, axes=named) for record in records]
    for _, its_rows in rows_of_campaigns(site.database, scans, axes=named):
        rows += its_rows
    outcomes = [*(row.outcome for row in rows), *single]
    axes = axes_of(outcomes, [axis for row in rows for axis in row.point.point.values])
    x, y = request.args.get("x", ""), request.args.get("y", "")
    if x not in axes or y not in axes or x == y:
        x, y = (axes[0], axes[1]) if len(axes) > 1 else (axes[0] if axes else "", "")
    together, why = _together(outcomes, x, y) if len(scans) > 1 and y else (None, "")
    found = plane_of(outcomes, x, y) if y else None
    points = plane.placed_points(rows, x, y) if x else []
    return Chosen(names, tuple(titles), tuple(outcomes), tuple(points), tuple(axes), x, y, found, together, why, named)


def _together(outcomes: Sequence[Outcome], x: str, y: str) -> tuple[Overlap | None, str]:
    """Several campaigns in one plane, or why they cannot be drawn in one."""
    try:
        return comparison.overlap(outcomes, x, y), ""
    except InvalidInput as error:
        return None, error.message


def tables_of(one: Chosen) -> dict[str, Table]:
    """The tables of a comparison, by the name of their file."""
    made = {"results": comparison.results_table(one.outcomes, axes=list(one.axes))}
    known = limits_of(one.outcomes, one.x, one.y)
    if known:
        made["mass-limits"] = comparison.mass_limits_table(known)
    if len({o.analysis for o in one.outcomes}) > 1:
        with contextlib.suppress(ReanaLiteError):
            made["ranking"] = comparison.rank_analyses(one.outcomes, axes=list(one.axes))
    return made


def compare() -> str:
    """Choose, and see."""
    site = this_site()
    one = chosen()
    picture = line = None
    if one.drawn is not None:
        whole = one.together.whole if one.together is not None else one.mass_plane
        assert whole is not None
        points = list(one.points) or [
            plane.PlacedPoint(o.theory, *whole.place(o), "finished", o.run, o) for o in whole.outcomes
        ]
        picture = plane.picture(points, one.x, one.y, one.drawn, named=one.named)
    elif one.x and not one.y:
        line = row_of(one.points or _placed(one.outcomes, one.x), one.x, _limit_of(one), named=one.named)
    made = tables_of(one) if one.outcomes else {}
    page = max(0, request.args.get("page", 0, type=int))
    runs = site.runs(states=("finished",), campaign="", limit=40)
    offered = [one for one, _ in site.campaigns(limit=40)]
    return render_template(
        "compare.html", one=one, tables=made, picture=picture, row=line, runs=runs, campaigns=offered,
        figures=list(exporting.FIGURES),
        limits=limits_of(one.outcomes, one.x, one.y)[:LIMITS], page=page, rows_shown=ROWS,
        unit_of=lambda axis: axis_of(axis, one.named).in_brackets,
        axis_title=lambda axis: axis_of(axis, one.named).heading, compared=sum(o.status is Status.OK for o in one.outcomes),
    )  # fmt: skip


def _placed(outcomes: Sequence[Outcome], axis: str) -> list[plane.PlacedPoint]:
    """Runs that are of no campaign, along one axis."""
    return [
        plane.PlacedPoint(o.theory, place, 0.0, "finished", o.run, o)
        for o in outcomes
        if (place := o.number(axis)) is not None
    ]


def _limit_of(one: Chosen) -> MassLimit | None:
    """The mass limit of a scan over one axis."""
    found = limits_of(one.outcomes, one.x, "")
    return found[0] if len(found) == 1 else None


def file(what: str, form: str) -> Response:
    """A table or figure of a comparison as a file."""
    one = chosen()
    if not one.outcomes:
        raise InvalidInput("nothing is chosen: name runs or campaigns with `of`", field="of")
    made = tables_of(one)
    if what in ("contour", "row") and form in exporting.FIGURES:
        return _figure(one, what, form)
    if what == "all" and form == "json":
        return attached(written.to_json(*made.values()).encode(), "application/json", "comparison.json")
    if what == "hepdata" and form == "zip":
        return _sent(exporting.hepdata(_compared(one), list(made.values())))
    if what in made and form in TABLES:
        kind, write = TABLES[form]
        return attached(write(made[what]).encode(), kind, f"{what}.{form}")
    raise NotFound(f"no {what}.{form} of this comparison; there are {', '.join(made)} as {', '.join(TABLES)}, all.json, "
                   f"hepdata.zip, contour and row as {', '.join(exporting.FIGURES)}")  # fmt: skip


def _sent(found: exporting.Exported) -> Response:
    return attached(found.content, found.media_type, found.name)


def _compared(one: Chosen) -> Compared:
    """What is chosen, as exports take it; without a plane where nothing can be said of it."""
    items = tuple(Gathered(outcome, run=outcome.run) for outcome in one.outcomes)
    return Compared(Gathering(items, one.axes), one.x, one.y if one.drawn is not None else "", {})


def _figure(one: Chosen, what: str, form: str) -> Response:
    if what == "contour" and one.drawn is None:
        raise InvalidInput("a contour needs three results in a plane of two axes", field="of")
    if what == "row" and (one.y or _limit_of(one) is None):
        raise InvalidInput("limits along an axis need two results that differ along one axis alone", field="of")
    compared = _compared(one)
    return _sent(exporting.drawn(f"{what}.{form}", lambda path: export.draw(compared, path)))


def interactive() -> Response:
    """The plane in plotly, which shows every number under the pointer; a click opens the run."""
    from reana_lite.plots.interactive import figure_of

    one = chosen()
    figure = figure_of(one.drawn) if one.drawn is not None else None
    answer = make_response(
        render_template(
            "interactive.html", one=one, figure=figure, axis_title=lambda axis: axis_of(axis, one.named).heading
        )
    )
    answer.headers["Content-Security-Policy"] = headers.PLOT
    return answer
