"""The catalogue: what can be run, what it takes and gives; and in the form that HEPData harvests."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, request

from reana_lite import __version__
from reana_lite.analysis import Analysis
from reana_lite.catalogue import EntryKind, known_analysis
from reana_lite.comparison import validation_of
from reana_lite.errors import InvalidAnalysis, NotFound
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.schemas import ANY, NAME, named, thing
from reana_lite.server.installation import here

HEPDATA_VERSION = "1.0.0"
"""Of the analyses JSON (github.com/HEPData/hepdata, hepdata/templates/analyses_schema)."""


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""
    endpoint(blueprint, "GET", "/analyses", tag="analyses", query={"q": NAME, "tag": NAME},
             says=thing({"items": {"type": "array", "items": named("AnalysisRow")}}))(list_analyses)  # fmt: skip
    endpoint(blueprint, "GET", "/analyses/<analysis>", tag="analyses", says=named("Analysis"))(get_analysis)
    endpoint(blueprint, "GET", "/hepdata/analyses.json", tag="analyses", says=ANY, verb=None)(hepdata_analyses)


def list_analyses(call: Call) -> dict[str, Any]:
    """The analyses of the catalogue, those with `q` in their name, title or tags, or with that tag."""
    words, tag = call.query.get("q", "").lower(), call.query.get("tag")
    rows = []
    for entry in here().catalogue().entries():
        text = " ".join((entry.name, entry.title, *entry.tags)).lower()
        if words in text and (tag is None or tag in entry.tags):
            rows.append({"name": entry.name, "title": entry.title, "kind": str(entry.kind), "tags": list(entry.tags)})
    return {"items": rows}


def get_analysis(call: Call, analysis: str) -> dict[str, Any]:
    """One analysis: its parameters as a JSON Schema, its scans, results, examples and references."""
    return document_of(named_analysis(analysis))


def named_analysis(name: str) -> Analysis:
    """The analysis of that name of the catalogue; raises NotFound, InvalidAnalysis."""
    entry = here().catalogue().find(name)
    if entry.kind is not EntryKind.ANALYSIS:
        raise NotFound(f"{name} is an entry of recast-atlas, which the API cannot describe", name=name)
    return known_analysis(entry.path)


def document_of(analysis: Analysis) -> dict[str, Any]:
    """An analysis for programs. No path of this machine is in it."""
    need = analysis.theory
    return {
        "name": analysis.name, "title": analysis.title, "description": analysis.description,
        "collaboration": analysis.collaboration,
        "references": [{name: text for name, text in asdict(one).items() if text} for one in analysis.references],
        "tags": list(analysis.tags), "lumi_ifb": analysis.lumi_ifb, "sqrts_tev": analysis.sqrts_tev,
        "theory": None if need is None else {"formats": list(need.formats), "required": need.required,
                                             "description": need.description},
        "parameters": {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": False,
            "properties": {one.name: dict(one.schema) for one in analysis.parameters},
            "required": [one.name for one in analysis.parameters if one.required],
        },
        "scans": {
            scan.name: {"axes": {axis.name: dict(axis.schema) for axis in scan.axes}, "physical": scan.physical,
                        "has_points": bool(scan.points), "description": scan.description}
            for scan in analysis.scans
        },
        "results": [
            {"name": one.name, "kind": one.kind, "stage": one.stage, "media_type": one.media_type,
             "description": one.description}
            for one in analysis.results
        ],
        "examples": {
            name: {"description": one.description, "parameters": dict(one.parameters), "theory": list(one.theory)}
            for name, one in analysis.examples.items()
        },
        "environments": [{"image": one.image, "description": one.description} for one in analysis.environments],
        "tests": validation_of(analysis),
    }  # fmt: skip


def hepdata_analyses() -> dict[str, Any]:
    """The catalogue as HEPData harvests it (analyses JSON, version 1.0.0), for records that INSPIRE knows."""
    rows, newest = [], 0.0
    for entry in here().catalogue().entries():
        if entry.kind is not EntryKind.ANALYSIS:
            continue
        newest = max(newest, entry.path.stat().st_mtime)
        try:
            analysis = known_analysis(entry.path)
        except (InvalidAnalysis, NotFound):
            continue
        for reference in analysis.references:
            number = inspire_id(reference.inspire, reference.hepdata)
            if number is None:
                continue
            row: dict[str, Any] = {"inspire_id": number, "implementations": [{"name": analysis.name}],
                                   "title": reference.title}  # fmt: skip
            row |= {
                key: text for key, text in (("arXiv_id", reference.arxiv), ("publication_doi", reference.doi)) if text
            }
            rows.append(row)
            break
    return {
        "schema_version": HEPDATA_VERSION, "tool": "reana-lite", "version": __version__,
        "date_created": datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds"),
        "implementations_description": "reana-lite analysis",
        "url_templates": {"main_url": f"{request.host_url}analyses/{{name}}"},
        "analyses": rows,
    }  # fmt: skip


def inspire_id(*texts: str) -> int | None:
    """The number of a record of INSPIRE in one of these texts: 1827025, ins1827025 or an address that ends so."""
    for text in texts:
        match = re.search(r"(?:^|ins|/)(\d{3,10})/?$", text.strip())
        if match:
            return int(match[1])
    return None
