"""Results against each other, and what came out of one run or campaign, as files: what `recast compare` and `recast results`
write, as JSON, CSV, text, LaTeX, figures, HEPData, pyhf or SModelS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from reana_lite import export
from reana_lite.comparison import Published, read_published, tables
from reana_lite.errors import InvalidInput, NotFound
from reana_lite.export import Gathering, places_of
from reana_lite.server import auth, exporting
from reana_lite.server.api.endpoint import Call, endpoint, finite
from reana_lite.server.api.schemas import COMPONENTS, named
from reana_lite.server.auth import Caller
from reana_lite.server.exporting import Exported, Options
from reana_lite.server.installation import here
from reana_lite.server.outcomes import result_of_run
from reana_lite.server.sending import attached

_OPTIONS = COMPONENTS["Comparison"]["properties"]
_AT = {"type": "array", "items": {"type": "string", "maxLength": 200}, "description": "AXIS=VALUE, may be repeated."}
_QUERY = {name: _OPTIONS[name] for name in ("x", "y", "rank", "against", "mass_limits", "map", "topology")} | {
    "at": _AT
}
_NEEDS = ("pyhf", "smodels")
"""Forms that need whole results."""


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    endpoint(blueprint, "POST", "/comparisons", tag="results", takes=named("Comparison"), says=named("Tables"),
             media=list(exporting.MEDIA[1:]))(compare)  # fmt: skip
    forms = {"type": "string", "enum": list(exporting.FORMS), "default": "csv"}
    media = list(exporting.MEDIA)
    endpoint(blueprint, "GET", "/campaigns/<campaign>/export", tag="results", media=media,
             query={"format": forms, **_QUERY})(export_campaign)  # fmt: skip
    plot = {"type": "string", "enum": ["yields", "limits"], "default": "yields", "description": "Which figure."}
    endpoint(blueprint, "GET", "/runs/<run>/export", tag="results", media=media,
             query={"format": forms, "plot": plot, "x": _QUERY["x"], "y": _QUERY["y"], "topology": _QUERY["topology"]},
             )(export_run)  # fmt: skip


def compare(call: Call) -> Any:
    """Runs and campaigns as a table, a ranking, mass limits, or what changed `against` another campaign.

    `format` makes a file of it: figures (pdf, png, svg), an interactive page (html), archives (hepdata, pyhf, smodels).
    """
    body = call.body
    form = body.get("format", "json")
    found = _compared(call.who, form, body, campaigns=body.get("campaigns", ()), runs=body.get("runs", ()))
    if form == "json":
        made = exporting.tables_of(found[0], found[1])
        return {"tables": [finite(tables.to_dict(table)) for table in made]}
    return _sent(exporting.exported(here(), *found, form))


def export_campaign(call: Call, campaign: str) -> Response:
    """What came out of a campaign as a file.

    Tables (csv, json, text, latex), the plane or row as a figure (pdf, png, svg) or an interactive page (html), a HEPData
    submission, a pyhf patch set, SModelS efficiency maps (hepdata, pyhf, smodels: zip archives).
    """
    query = {**call.query, "at": places_of(call.query.get("at", ()))}
    form = str(query["format"])
    found = _compared(call.who, form, query, campaigns=[campaign])
    return _sent(exporting.exported(here(), *found, form))


def export_run(call: Call, run: str) -> Response:
    """What came out of a run as a file.

    Its result (json, csv, text), its yields or limits as a figure (pdf, png, svg), or what a comparison writes of it alone
    (latex, hepdata, pyhf, smodels).
    """
    record, form = auth.run_named(run, who=call.who), str(call.query["format"])
    if form in ("latex", *exporting.ARCHIVES):
        found = _compared(call.who, form, call.query, runs=[record.id])
        return _sent(exporting.exported(here(), *found, form))
    result = result_of_run(here().database, record.id)
    if result is None:
        state = str(record.state)
        raise NotFound(f"run {record.id} is {state} and has no result document", run=record.id, state=state)
    if form in exporting.FIGURES:
        return _sent(exporting.figure_of(result, str(call.query["plot"]), form), prefix=f"{record.id}-")
    if form not in exporting.TEXTS:
        raise InvalidInput(f"one run is not drawn as {form}: right are {', '.join(exporting.FIGURES)}", field="format")
    return _sent(exporting.result_in(result, form), prefix=f"{record.id}-")


def _compared(
    who: Caller, form: str, asked: Mapping[str, Any], *, campaigns: Any = (), runs: Any = ()
) -> tuple[export.Compared, Options]:
    """What is named, over the axes that are asked for, and what is to be made of it; raises NotFound."""
    gathering = _gathered(who, campaigns, runs, whole=form in _NEEDS)
    found = export.compared(
        gathering, x=asked.get("x", ""), y=asked.get("y", ""), at=asked.get("at") or {},
        published=[(label, _published(label, text)) for label, text in asked.get("published", {}).items()],
    )  # fmt: skip
    against = _gathered(who, [asked["against"]], ()) if asked.get("against") else None
    return found, Options(
        rank=asked.get("rank", ""), mass_limits=bool(asked.get("mass_limits")), against=against,
        quantity=asked.get("map", ""), topology=asked.get("topology", ""),
    )  # fmt: skip


def _gathered(who: Caller, campaigns: Any, runs: Any, *, whole: bool = False) -> Gathering:
    return exporting.gathered(
        here(), campaigns=[auth.campaign_named(name, who=who) for name in campaigns],
        runs=[auth.run_named(name, who=who) for name in runs], whole=whole,
    )  # fmt: skip


def _published(label: str, text: str) -> Published:
    return read_published(text.encode(), label)


def _sent(found: Exported, *, prefix: str = "") -> Response:
    return attached(found.content, found.media_type, prefix + found.name)
