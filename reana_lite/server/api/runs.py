"""Runs: submitted, listed, looked at, stopped, done again, shared, deleted."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from reana_lite.advice import advice
from reana_lite.database import RunRecord, listing
from reana_lite.errors import NotFound
from reana_lite.server import auth, submissions
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.paging import paged, place_of
from reana_lite.server.api.schemas import FLAG, NAME, PAGING, SHARES, STATE, TEXT, named, page, thing
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here
from reana_lite.server.submissions import NewRun

FILTERS = {
    "state": {"type": "array", "items": STATE}, "analysis": NAME, "campaign": NAME, "name": NAME, "theory": NAME,
    "shared": FLAG | {"description": "Those that others share with one."},
    "all": FLAG | {"description": "Those of everybody (administrators)."},
}  # fmt: skip


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""

    def route(method: str, path: str, **more: Any) -> Any:
        return endpoint(blueprint, method, path, tag="runs", **more)

    run = named("Run")
    route("POST", "/runs", takes=named("NewRun"), says=run, status=201, verb=Verb.SUBMIT)(submit_run)
    route("GET", "/runs", says=page(run), query=PAGING | FILTERS)(list_runs)
    route("GET", "/runs/<run>", says=named("RunInFull"))(get_run)
    route("DELETE", "/runs/<run>", status=204)(delete_run)
    route("POST", "/runs/<run>/stop", says=run)(stop_run)
    route("POST", "/runs/<run>/rerun", takes=named("Rerun"), says=run, status=201, verb=Verb.SUBMIT)(rerun)
    route("GET", "/runs/<run>/nodes", says=thing({"items": {"type": "array", "items": named("Node")}}))(list_nodes)
    route("GET", "/runs/<run>/jobs", says=thing({"items": {"type": "array", "items": named("Attempt")}}),
          query={"node": TEXT, "attempts": FLAG | {"default": False, "description": "All attempts, not only those in use."}},
          )(list_jobs)  # fmt: skip
    route("GET", "/runs/<run>/result", says={"type": "object"})(get_result)
    route("GET", "/runs/<run>/declared", says={"type": "object"})(get_declared)
    route("GET", "/runs/<run>/shares", says=SHARES)(list_run_shares)
    route("PUT", "/runs/<run>/shares/<user>", says=SHARES)(share_run)
    route("DELETE", "/runs/<run>/shares/<user>", says=SHARES)(unshare_run)


def submit_run(call: Call) -> Any:
    """Queue a run of an analysis of the catalogue."""
    body = dict(call.body)
    record = submissions.submit_run(NewRun(**body), who=call.who)
    return record.to_dict(), {"Location": f"/api/v1/runs/{record.id}"}


def list_runs(call: Call) -> dict[str, Any]:
    """One's own runs, the newest first."""
    query = call.query
    owner: str | None = call.who.name
    shared = None
    if query.get("all"):
        auth.need(Verb.ADMINISTER, call.who)
        owner = None
    if query.get("shared"):
        owner, shared = None, call.who.name
    campaign = None
    if "campaign" in query:
        found = auth.campaign_named(query["campaign"], who=call.who)
        campaign, owner, shared = found.id, None, None
    rows = listing.runs(
        here().database, owner=owner, shared_with=shared, states=query.get("state", ()), campaign=campaign,
        analysis=query.get("analysis"), name=query.get("name"), theory=query.get("theory"), after=place_of(query),
        limit=query["limit"] + 1,
    )  # fmt: skip
    return paged(rows, query, lambda record: record.to_dict())


def get_run(call: Call, run: str) -> dict[str, Any]:
    """How a run stands, and with what it was created."""
    record = auth.run_named(run, who=call.who)
    request = record.request
    return {
        **record.to_dict(), "parameters": dict(request.get("parameters") or {}), "example": request.get("example") or "",
        "warnings": list(request.get("warnings") or ()), "reuse": bool(request.get("reuse", True)),
        "point": request.get("point"), "may_change": auth.may(call.who, Verb.CHANGE, record),
    }  # fmt: skip


def delete_run(call: Call, run: str) -> None:
    """Hide a run that is over; its outputs are removed when nothing names them any more."""
    record = auth.run_named(run, Verb.CHANGE, who=call.who)
    submissions.delete_run(record, who=call.who)


def stop_run(call: Call, run: str) -> dict[str, Any]:
    """Ask for the end of a run: its steps are ended, what is finished is kept."""
    record = auth.run_named(run, Verb.CHANGE, who=call.who)
    submissions.stop_run(record, who=call.who)
    return here().database.get_run(record.id).to_dict()


def rerun(call: Call, run: str) -> Any:
    """The same request again, as a new run that names this one as its parent; steps that are as before are reused."""
    record = submissions.rerun(
        auth.run_named(run, who=call.who), name=call.body.get("name", ""), reuse=call.body.get("reuse"), who=call.who
    )
    return record.to_dict(), {"Location": f"/api/v1/runs/{record.id}"}


def list_nodes(call: Call, run: str) -> dict[str, Any]:
    """The nodes of a run that have begun, and where they stand."""
    record = auth.run_named(run, who=call.who)
    rows = here().database.nodes_of(record.id)
    return {"items": [{**row.to_dict(), "reused_from": row.reused_from or None} for row in rows]}


def list_jobs(call: Call, run: str) -> dict[str, Any]:
    """The attempts that the nodes of a run use: causes, exit codes, times, and what can be done about a failure."""
    record = auth.run_named(run, who=call.who)
    database, node = here().database, call.query.get("node")
    rows = [row for row in database.jobs_of(record.id) if node is None or row.node == node]
    found = []
    for row in rows:
        for one in database.attempts(row.key) if call.query["attempts"] else (row,):
            found.append(attempt_document(one, record, node=row.node, reused_from=row.reused_from))
    return {"items": found}


def attempt_document(row: Any, record: RunRecord, *, node: str, reused_from: str) -> dict[str, Any]:
    """An attempt for programs."""
    names = ("key", "attempt", "backend", "cause", "exit_code", "message", "size_bytes", "counts", "environment")
    return {
        **{name: getattr(row, name) for name in names}, "node": node, "state": str(row.state),
        **{name: getattr(row, name) or None for name in ("queued_at", "started_at", "ended_at")},
        "reused_from": reused_from or None, "details": dict(row.details),
        "advice": advice(row.cause, node, record.id) if row.cause else "",
    }  # fmt: skip


def get_result(call: Call, run: str) -> dict[str, Any]:
    """The result document of a finished run: yields, CLs, upper limits, verdict, provenance."""
    record = auth.run_named(run, who=call.who)
    document = here().database.get_result(record.id, "result")
    if document is None:
        raise NotFound(
            f"run {record.id} is {record.state} and has no result document", run=record.id, state=str(record.state)
        )
    return document


def get_declared(call: Call, run: str) -> dict[str, Any]:
    """What the analysis declares to give, with the paths and values of this run."""
    record = auth.run_named(run, who=call.who)
    return here().database.get_result(record.id, "declared") or {}


def list_run_shares(call: Call, run: str) -> dict[str, Any]:
    """Who else may see a run."""
    return {"users": submissions.shares_of(auth.run_named(run, Verb.CHANGE, who=call.who))}


def share_run(call: Call, run: str, user: str) -> dict[str, Any]:
    """Let a user see a run."""
    record = auth.run_named(run, Verb.CHANGE, who=call.who)
    submissions.share(record, user, who=call.who)
    return {"users": submissions.shares_of(record)}


def unshare_run(call: Call, run: str, user: str) -> dict[str, Any]:
    """Take that back."""
    record = auth.run_named(run, Verb.CHANGE, who=call.who)
    submissions.unshare(record, user, who=call.who)
    return {"users": submissions.shares_of(record)}
