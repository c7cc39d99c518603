"""Results against each other: the tables of `recast compare`, as JSON, CSV, text or LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, Response

from reana_lite.comparison import (
    Outcome,
    Table,
    mass_limit,
    mass_limits_table,
    rank_analyses,
    rank_theories,
    results_table,
    rows_of,
    tables,
    what_changed,
)
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.server import auth
from reana_lite.server.api.endpoint import Call, endpoint, finite
from reana_lite.server.api.schemas import named
from reana_lite.server.auth import Caller
from reana_lite.server.installation import here
from reana_lite.server.pages import gathering

MEDIA = {"csv": "text/csv", "text": "text/plain", "latex": "application/x-latex"}


def add(blueprint: Blueprint) -> None:
    """Add the endpoint."""
    endpoint(blueprint, "POST", "/comparisons", tag="results", takes=named("Comparison"), says=named("Tables"),
             media=list(MEDIA.values()))(compare)  # fmt: skip


def compare(call: Call) -> Any:
    """Runs and campaigns as a table, a ranking, mass limits, or what changed `against` another campaign."""
    body = call.body
    outcomes, axes = gathered(call.who, body)
    for axis, value in body.get("at", {}).items():
        outcomes = [one for one in outcomes if one.number(axis) == value]
    if not outcomes:
        raise NotFound("nothing is there to be compared" + (" at these places" if body.get("at") else ""))
    made = _tables(call.who, outcomes, axes, body)
    form = body.get("format", "json")
    if form == "json":
        return {"tables": [finite(tables.to_dict(table)) for table in made]}
    write = {"csv": tables.to_csv, "text": tables.to_text, "latex": tables.to_latex}[form]
    return Response("\n".join(write(table) for table in made), mimetype=MEDIA[form])


def gathered(who: Caller, body: Mapping[str, Any]) -> tuple[list[Outcome], list[str]]:
    """The outcomes of what is named, and the axes over which they spread; raises NotFound."""
    database, key = here().database, str(id(here().database))
    outcomes: list[Outcome] = []
    declared: list[str] = []
    for name in body.get("campaigns", ()):
        record = auth.campaign_named(name, who=who)
        outcomes += [row.outcome for row in gathering.rows_of_campaign(database, record, key=key)]
        declared += record.request.axes
    for name in body.get("runs", ()):
        outcomes.append(gathering.outcome_of_record(database, auth.run_named(name, who=who), key=key))
    if not outcomes:
        raise InvalidInput("name runs or campaigns that are to be compared", field="runs")
    return outcomes, gathering.axes(outcomes, declared)


def _tables(who: Caller, outcomes: list[Outcome], axes: Sequence[str], body: Mapping[str, Any]) -> list[Table]:
    if body.get("against"):
        other, more = gathered(who, {"campaigns": [body["against"]]})
        return [what_changed(outcomes, other, axes=[axis for axis in axes if axis in more])]
    if body.get("mass_limits"):
        x = body.get("x") or (axes[0] if axes else "")
        if not x:
            raise InvalidInput("mass limits need the axis x", field="x")
        others = list(dict.fromkeys(axis for axis in (*axes, body.get("y") or x) if axis != x))
        at = body.get("at", {})
        placed = [one for one in outcomes if all(one.number(axis) is not None for axis in (x, *others))]
        return [
            mass_limits_table([mass_limit(row, x, at={**at, **there}) for there, row in rows_of(placed, x, others)])
        ]
    if body.get("rank") == "analyses":
        return [rank_analyses(outcomes, axes=axes)]
    if body.get("rank") == "theories":
        return [rank_theories(outcomes, axes=axes)]
    return [results_table(outcomes, axes=axes)]
