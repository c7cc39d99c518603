"""JSON Schemas (draft 2020-12) of what the API takes and says; `COMPONENTS` are those that the OpenAPI document names."""

from __future__ import annotations

from typing import Any

from reana_lite.campaign import POINT_STATES, CampaignState
from reana_lite.database.users import Role
from reana_lite.event import RunState

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "maxLength": 200}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "number", "description": "UTC seconds since 1970."}
MAYBE_TIME: Schema = {"type": ["number", "null"], "description": "UTC seconds since 1970; null: it has not happened."}
ANY: Schema = {"type": "object"}
DIGEST: Schema = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
ROLE: Schema = {"type": "string", "enum": [str(role) for role in Role]}
STATE: Schema = {"type": "string", "enum": [str(state) for state in RunState]}


def texts(schema: Schema = TEXT, **more: Any) -> Schema:
    """A list of texts."""
    return {"type": "array", "items": schema, **more}


def table(values: Schema) -> Schema:
    """A mapping from names to values of one kind."""
    return {"type": "object", "additionalProperties": values}


def maybe(schema: Schema) -> Schema:
    """Such a value, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def thing(required: Schema, optional: Schema | None = None, *, more: bool = False) -> Schema:
    """An object of these properties and (unless `more`) no others."""
    found: Schema = {"type": "object", "properties": {**required, **(optional or {})}, "additionalProperties": more}
    if required:
        found["required"] = list(required)
    return found


def named(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def page(of: Schema) -> Schema:
    """A page of a list: `next` is the cursor of the page after it, null on the last one."""
    return thing({"items": {"type": "array", "items": of}, "next": {"type": ["string", "null"]}})


SHARES = thing({"users": texts()})

PAGING: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100, "description": "Rows of a page."},
    "cursor": {"type": "string", "maxLength": 200, "description": "`next` of the page before."},
}

PATHS: dict[str, Schema] = {
    "run": {**NAME, "minLength": 1, "description": "Id of a run; of one's own also its name, or `latest`."},
    "campaign": {**NAME, "minLength": 1, "description": "Id of a campaign; of one's own also its name, or `latest`."},
    "analysis": {**NAME, "minLength": 1, "description": "Name of an analysis of the catalogue."},
    "digest": {**DIGEST, "description": "Digest of an uploaded theory file."},
    "path": {"type": "string", "minLength": 1, "maxLength": 4000, "description": "Path of an artifact."},
    "user": {"type": "string", "minLength": 1, "maxLength": 100, "description": "Name of a user."},
    "token": {"type": "string", "minLength": 1, "maxLength": 32, "description": "Id of a token."},
}

_PROGRESS = thing(dict.fromkeys(("total", "finished", "reused", "failed", "running"), COUNT))
_QUOTAS = ("disk_bytes", "running_jobs", "cpu_s")
_SHARED: Schema = {
    "theories": texts(DIGEST, maxItems=20, description="Digests of uploaded theory files (POST /theories)."),
    "parameters": {"type": "object", "description": "Values by name, as the analysis declares them."},
    "texts": table({"type": "string", "maxLength": 10000}) | {"description": "Values as typed, such as \"2 TeV\"."},
    "example": NAME | {"description": "An example of the analysis, as theory and parameters."},
    "name": NAME | {"description": "Default: that of the analysis."},
    "reuse": FLAG | {"default": True, "description": "Use kept outputs of other runs."},
}  # fmt: skip
_VALUE: Schema = {"type": ["number", "string", "boolean"], "maxLength": 1000}
_POINTS: Schema = {
    "axes": table({"anyOf": [{"type": "string", "maxLength": 1000}, {"type": "array", "items": _VALUE, "minItems": 1}]})
    | {"description": "Axis -> START:STOP:STEP, log:START:STOP:NUMBER, or a list of values."},
    "points": {"type": "array", "items": table(_VALUE), "description": "Points written out."},
    "table": {"type": "string", "description": "Points as CSV; its first line names the axes."},
    "theory_points": texts(DIGEST, description="A point for each of these theory files."),
    "patchset": DIGEST | {"description": "A point for each patch of this uploaded pyhf patchset."},
    "where": texts(
        {"type": "string", "maxLength": 1000}, maxItems=50, description="Conditions such as m_lsp < m_gluino."
    ),
    "template": NAME | {"description": "How axes become a theory (`scans` of the analysis)."},
}

COMPONENTS: dict[str, Schema] = {
    "Error": thing({
        "error": thing({"error": TEXT, "message": TEXT, "details": ANY}, {"request": TEXT}),
    }),
    "Run": thing({
        "id": TEXT, "name": TEXT, "owner": TEXT, "analysis": TEXT, "theory": TEXT, "campaign": maybe(TEXT),
        "parent": maybe(TEXT), "state": STATE, "error": TEXT, "created_at": TIME, "queued_at": MAYBE_TIME,
        "started_at": MAYBE_TIME, "ended_at": MAYBE_TIME, "stop_requested_at": MAYBE_TIME, "progress": _PROGRESS,
    }),
    "NewRun": thing({"analysis": NAME}, _SHARED),
    "Rerun": thing({}, {"name": NAME, "reuse": FLAG}),
    "Node": thing({"node": TEXT, "key": TEXT, "attempt": COUNT, "state": TEXT, "reused_from": maybe(TEXT)}, more=True),
    "Attempt": thing({
        "node": TEXT, "key": TEXT, "attempt": COUNT, "state": TEXT, "backend": TEXT, "cause": TEXT,
        "exit_code": maybe({"type": "integer"}), "message": TEXT, "advice": TEXT, "size_bytes": COUNT,
        "queued_at": MAYBE_TIME,
        "started_at": MAYBE_TIME, "ended_at": MAYBE_TIME, "reused_from": maybe(TEXT), "counts": FLAG, "environment": TEXT,
        "details": ANY,
    }),
    "Artifact": thing({"path": TEXT, "kind": {"type": "string", "enum": ["file", "link", "folder"]}, "size_bytes": COUNT,
                       "digest": TEXT, "executable": FLAG, "target": TEXT, "media_type": TEXT}),
    "Campaign": thing({
        "id": TEXT, "name": TEXT, "owner": TEXT, "targets": texts(), "skipped": table(COUNT), "created_at": TIME,
        "state": {"type": "string", "enum": [str(state) for state in CampaignState]},
        "points": thing({"total": COUNT, **dict.fromkeys(POINT_STATES, COUNT)}), "steps": _PROGRESS,
        "axes": texts(), "may_change": FLAG,
    }),
    "CampaignRow": thing({"id": TEXT, "name": TEXT, "owner": TEXT, "targets": texts(), "skipped": table(COUNT),
                          "created_at": TIME}),
    "Point": thing({"target": TEXT, "number": COUNT, "name": TEXT, "values": ANY, "source": TEXT, "run": maybe(TEXT),
                    "state": {"type": "string", "enum": list(POINT_STATES)}, "error": TEXT},
                   {"result": {"type": ["object", "null"]}}),
    "NewScan": thing({"analyses": texts(NAME, minItems=1, maxItems=50)}, {**_SHARED, **_POINTS}),
    "Extension": thing({}, {**_POINTS, "parameters": _SHARED["parameters"], "texts": _SHARED["texts"]}),
    "Theory": thing({"digest": DIGEST, "name": TEXT, "format": TEXT, "size_bytes": COUNT, "created_at": TIME}),
    "AnalysisRow": thing({"name": TEXT, "title": TEXT, "kind": {"type": "string", "enum": ["analysis", "recast"]},
                          "tags": texts()}),
    "Analysis": thing({
        "name": TEXT, "title": TEXT, "description": TEXT, "collaboration": TEXT,
        "references": {"type": "array", "items": ANY},
        "tags": texts(), "lumi_ifb": maybe(NUMBER), "sqrts_tev": maybe(NUMBER), "theory": {"type": ["object", "null"]},
        "parameters": ANY, "scans": table(ANY), "results": {"type": "array", "items": ANY}, "examples": table(ANY),
        "environments": {"type": "array", "items": ANY}, "tests": {"type": "array", "items": ANY},
    }),
    "Forecast": thing({
        "runs": COUNT, "there": COUNT, "to_run": COUNT, "following": COUNT, "seconds": maybe(NUMBER), "cores": NUMBER,
        "unknown": texts(), "refused": COUNT, "points": COUNT, "looked_at": COUNT,
        "stages": {"type": "array", "items": thing({"stage": TEXT, "there": COUNT, "to_run": COUNT, "following": COUNT,
                                                    "mean_s": maybe(NUMBER)})},
    }),
    "Plan": {"type": "object", "properties": {"run": {"$ref": "#/components/schemas/NewRun"},
             "scan": {"$ref": "#/components/schemas/NewScan"}}, "additionalProperties": False, "minProperties": 1,
             "maxProperties": 1},
    "Comparison": thing({}, {
        "runs": texts(NAME, maxItems=1000), "campaigns": texts(NAME, maxItems=50),
        "x": NAME, "y": NAME, "rank": {"type": "string", "enum": ["theories", "analyses"]}, "against": NAME,
        "mass_limits": FLAG, "at": table(NUMBER), "format": {"type": "string", "enum": [
            "json", "csv", "text", "latex", "pdf", "png", "svg", "html", "hepdata", "pyhf", "smodels",
        ]},
        "map": NAME | {"description": "Draw this over the plane: xsec-limit, mu-limit, r, or a region."},
        "topology": NAME | {"description": "Of the SModelS map: T1, T2, ..., or NAME=CONSTRAINT."},
        "published": table({"type": "string", "maxLength": 2_000_000})
        | {"description": "Label -> a published grid or contour (CSV or JSON as text), to be held against or drawn over."},
    }),
    "Tables": thing({"tables": {"type": "array", "items": ANY}}),
    "Quota": thing(dict.fromkeys(_QUOTAS, maybe(COUNT))),
    "Usage": thing({"disk_bytes": COUNT, "running_jobs": COUNT, "cpu_s": NUMBER, "active_runs": COUNT}),
    "User": thing({"name": TEXT, "role": ROLE, "email": TEXT, "full_name": TEXT, "disabled": FLAG, "quota": named("Quota"),
                   "created_at": TIME}),
    "Me": thing({"user": named("User"), "role": ROLE, "usage": named("Usage"), "single_user": FLAG}),
    "NewUser": thing({"name": {"type": "string", "minLength": 1, "maxLength": 100}}, {
        "role": ROLE, "email": NAME, "full_name": NAME, "password": {"type": "string", "maxLength": 1000},
        "quota": thing({}, dict.fromkeys(_QUOTAS, COUNT | {"maximum": 2**53})),
    }),
    "UserChange": thing({}, {
        "role": ROLE, "email": NAME, "full_name": NAME, "password": {"type": "string", "maxLength": 1000}, "disabled": FLAG,
        "quota": thing({}, dict.fromkeys(_QUOTAS, COUNT | {"maximum": 2**53})),
    }),
    "Token": thing({"id": TEXT, "name": TEXT, "role": ROLE, "created_at": TIME, "expires_at": MAYBE_TIME,
                    "used_at": MAYBE_TIME}, {"token": TEXT | {"description": "The secret: shown this once."}}),
    "NewToken": thing({"name": NAME}, {"role": ROLE, "days": NUMBER | {"minimum": 0, "maximum": 3650, "default": 90}}),
    "Worker": thing({"name": TEXT, "host": TEXT, "runs": COUNT, "started_at": TIME, "seen_at": TIME, "backend": TEXT,
                     "doing": ANY}),
    "Audit": thing({"number": COUNT, "at": TIME, "who": TEXT, "what": TEXT, "object": TEXT, "address": TEXT}),
}  # fmt: skip
COMPONENTS["RunInFull"] = thing(
    {
        **COMPONENTS["Run"]["properties"],
        "parameters": ANY,
        "example": TEXT,
        "warnings": texts(),
        "reuse": FLAG,
        "point": {"type": ["object", "null"]},
        "may_change": FLAG,
    }
)
COMPONENTS["NewCampaign"] = thing({**COMPONENTS["Campaign"]["properties"], "known": FLAG})
