"""Campaigns: the list, and one of them: its plane while it grows, its points, what failed and why, what can be done."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from reana_lite.campaign import POINT_STATES
from reana_lite.comparison import Status
from reana_lite.comparison.axis import axis_of
from reana_lite.database import campaigns
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.server.outcomes import Row, axes_declared, limits_of, plane_of, rows_of_campaign
from reana_lite.server.outcomes import axes as axes_of
from reana_lite.server.pages import plane
from reana_lite.server.pages.living import changed
from reana_lite.server.pages.notice import onward
from reana_lite.server.pages.row import row_of
from reana_lite.server.pages.sharing import shares_of
from reana_lite.server.pages.site import this_site

PAGE = 40
"""Points on one page of the table."""

LIMITS = 40
"""Rows of a plane whose mass limits are shown."""

ACTIONS = ("stop", "resume", "retry", "extend")


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/campaigns", "campaigns", listed)
    pages.add_url_rule("/campaigns/<name>", "campaign", campaign)
    pages.add_url_rule("/campaigns/<name>/live", "campaign_live", live)
    pages.add_url_rule("/campaigns/<name>/<action>", "change_campaign", change, methods=["POST"])


def listed() -> str:
    """Campaigns, the newest first; with `?shared` those of others."""
    shared = "shared" in request.args
    return render_template("campaigns.html", rows=this_site().campaigns(limit=60, shared=shared), shared=shared)


def campaign(name: str) -> Any:
    """One campaign."""
    site = this_site()
    record = site.campaign(name)
    return render_template("campaign.html", **_shown(record))


def live(name: str) -> Response:
    """What changes on the page of a campaign."""
    return changed("_campaign_live.html", **_shown(this_site().campaign(name)))


def change(name: str, action: str) -> Any:
    """Stop, resume, retry, extend."""
    site = this_site()
    if action not in ACTIONS:
        raise NotFound(f"no action {action!r}; there are {', '.join(ACTIONS)}", action=action)
    record = site.campaign(name)
    address = url_for("pages.campaign", name=record.id)
    try:
        return onward(address, site.change_campaign(record.id, action, _axes()))
    except InvalidInput as error:
        return onward(address, error.message, bad=True)


def _axes() -> list[tuple[str, str, str, str]]:
    """The ranges of a form: fields a.AXIS.from, .to, .step."""
    names = dict.fromkeys(
        key[2:].rpartition(".")[0] for key in request.form if key.startswith("a.") and key.count(".") > 1
    )
    rows = [
        (name, *(request.form.get(f"a.{name}.{end}", "").strip() for end in ("from", "to", "step"))) for name in names
    ]
    return [(name, low, high, step) for name, low, high, step in rows if low or high or step]


def _shown(record: CampaignRecord) -> dict[str, Any]:
    site = this_site()
    progress = campaigns.progress(site.database, record.id)
    named = axes_declared([record], site.catalogue())
    rows = rows_of_campaign(site.database, record, axes=named)
    outcomes = [row.outcome for row in rows]
    axes = axes_of(outcomes, [axis for row in rows[:1] for axis in row.point.point.values])
    analyses = list(dict.fromkeys(row.point.target.rpartition("/")[2] for row in rows))
    targets = [(target.rpartition("/")[2], target) for target in record.request.targets]
    x, y = request.args.get("x", ""), request.args.get("y", "")
    if x not in axes or y not in axes or x == y:
        x, y = (axes[0], axes[1]) if len(axes) > 1 else (axes[0] if axes else "", "")
    mass_plane = plane_of(outcomes, x, y) if y else None
    placed = plane.placed_points(rows, x, y) if x else []
    picture = plane.picture(placed, x, y, mass_plane, named=named) if y else None
    known = limits_of(outcomes, x, y)
    line = row_of(placed, x, known[0] if len(known) == 1 else None, named=named) if x and not y else None
    state = request.args.get("state", "")
    chosen = [row for row in rows if _is(row, state)] if state else rows
    page = max(0, request.args.get("page", 0, type=int))
    failed = [row for row in rows if row.point.state in ("failed", "refused")]
    return {
        **shown_points(chosen, axes, page), "row": line,
        "may_change": site.may_change(record),
        "campaign": record, "progress": progress, "state": state, "axes": axes, "x": x, "y": y, "picture": picture,
        "plane": mass_plane, "failed": failed[:20], "failures": len(failed), "analyses": analyses, "targets": targets,
        "point_states": POINT_STATES, "verdicts": Counter(str(o.verdict) for o in outcomes if o.verdict),
        "extend": extension_axes(record, rows), "many": len(rows) > plane.MANY, "shares": shares_of(record),
        "limits": known[:LIMITS], "axis_title": lambda axis: axis_of(axis, named).heading,
        "symbol": lambda axis: axis_of(axis, named).text, "unit_of": lambda axis: axis_of(axis, named).in_brackets,
        "bar": bar(progress.points, progress.total),
        "over": not progress.count("planned", "queued", "running", "created") or bool(progress.stopped),
        "invalid": sum(not o.within_validity for o in outcomes), "done": sum(o.status is Status.OK for o in outcomes),
    }  # fmt: skip


def extension_axes(record: CampaignRecord, rows: list[Row]) -> list[tuple[str, str]]:
    """(axis, its value if all points have the same) for every axis that points of the campaign are given on."""
    found = []
    for axis in record.request.axes:
        values = {str(value) for row in rows if (value := row.point.point.values.get(axis)) is not None}
        found.append((axis, values.pop() if len(values) == 1 else ""))
    return found


def shown_points(rows: list[Row], axes: list[str], page: int) -> dict[str, Any]:
    """One page of the table: its rows, and whether places on the axes say all that the names of the points do."""
    here_ = rows[page * PAGE : (page + 1) * PAGE]
    placed = bool(axes) and all("=" in row.point.point.name for row in here_)
    return {"rows": here_, "page": page, "pages": -(-len(rows) // PAGE), "named": not placed, "found": len(rows)}


def _is(row: Row, state: str) -> bool:
    return state in (row.point.state, str(row.outcome.verdict))


def bar(counts: Any, total: int) -> list[tuple[str, float, float, int]]:
    """The parts of a bar of width 1000: state, where it begins, how wide it is, how many."""
    parts = []
    at = 0.0
    for state in ("finished", "failed", "refused", "stopped", "running", "queued", "created", "planned"):
        if counts.get(state):
            width = 1000 * counts[state] / max(total, 1)
            parts.append((state, at, width, counts[state]))
            at += width
    return parts
