"""Campaigns: many theories as one request, followed, stopped, resumed, retried, extended, shared; plans."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from reana_lite.campaign import Progress
from reana_lite.database import campaigns as records
from reana_lite.database import listing, results
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.server import auth, submissions, uploads
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.paging import paged, place_of
from reana_lite.server.api.schemas import COUNT, FLAG, PAGING, SHARES, named, page, thing
from reana_lite.server.auth import Caller, Verb
from reana_lite.server.installation import here
from reana_lite.server.submissions import NewRun, NewScan


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""

    def route(method: str, path: str, **more: Any) -> Any:
        return endpoint(blueprint, method, path, tag="campaigns", **more)

    one = named("Campaign")
    route("POST", "/campaigns", takes=named("NewScan"), says=named("NewCampaign"), status=201, verb=Verb.SUBMIT)(
        submit_campaign
    )
    rows = page({"anyOf": [named("CampaignRow"), one]})
    include = {
        "type": "array",
        "items": {"type": "string", "enum": ["progress"]},
        "description": "Each as GET of it says.",
    }
    route("GET", "/campaigns", says=rows, query=PAGING | {"shared": FLAG, "all": FLAG, "include": include})(
        list_campaigns
    )
    route("GET", "/campaigns/<campaign>", says=one)(get_campaign)
    route("DELETE", "/campaigns/<campaign>", status=204)(delete_campaign)
    states = {"type": "array", "items": {"type": "string", "enum": list(records_states())}}
    route("GET", "/campaigns/<campaign>/points", query={
        "state": states, "after": COUNT | {"default": 0, "description": "`next` of the page before."},
        "limit": PAGING["limit"],
        "include": {"type": "array", "items": {"type": "string", "enum": ["result"]},
                    "description": "With the result document of each point that has one."},
    }, says=thing({"items": {"type": "array", "items": named("Point")}, "next": {"type": ["integer", "null"]}}),
    )(list_points)  # fmt: skip
    route("POST", "/campaigns/<campaign>/stop", says=one)(stop_campaign)
    route("POST", "/campaigns/<campaign>/resume", says=one, verb=Verb.SUBMIT)(resume_campaign)
    route("POST", "/campaigns/<campaign>/retry", says=one, verb=Verb.SUBMIT)(retry_campaign)
    route("POST", "/campaigns/<campaign>/extend", takes=named("Extension"), verb=Verb.SUBMIT,
          says=thing({"campaign": one, "added": COUNT, "again": COUNT}))(extend_campaign)  # fmt: skip
    route("GET", "/campaigns/<campaign>/shares", says=SHARES)(list_campaign_shares)
    route("PUT", "/campaigns/<campaign>/shares/<user>", says=SHARES)(share_campaign)
    route("DELETE", "/campaigns/<campaign>/shares/<user>", says=SHARES)(unshare_campaign)
    endpoint(blueprint, "POST", "/plan", tag="runs", takes=named("Plan"), says=named("Forecast"), verb=Verb.SUBMIT)(
        plan
    )


def records_states() -> tuple[str, ...]:
    """States of points."""
    from reana_lite.campaign import POINT_STATES

    return POINT_STATES


def document_of(record: CampaignRecord, who: Caller) -> dict[str, Any]:
    """A campaign in numbers. The targets are names of the catalogue."""
    return _in_full(record, records.progress(here().database, record.id), who)


def _in_full(record: CampaignRecord, progress: Progress, who: Caller) -> dict[str, Any]:
    return {
        **record.to_dict(),
        **progress.to_dict(),
        "axes": list(record.request.axes),
        "may_change": auth.may(who, Verb.CHANGE, record),
    }


def submit_campaign(call: Call) -> Any:
    """Queue a scan. An equal request again is the same campaign (`known`), and goes on with it."""
    record, known = submissions.submit_scan(NewScan(**dict(call.body)), who=call.who)
    return {**document_of(record, call.who), "known": known}, {"Location": f"/api/v1/campaigns/{record.id}"}


def list_campaigns(call: Call) -> dict[str, Any]:
    """One's own campaigns, the newest first."""
    owner, shared = call.who.name, None
    if call.query.get("shared"):
        owner, shared = None, call.who.name  # type: ignore[assignment]
    if call.query.get("all"):
        auth.need(Verb.ADMINISTER, call.who)
        owner = None  # type: ignore[assignment]
    rows = listing.campaign_page(
        here().database, owner=owner, shared_with=shared, after=place_of(call.query), limit=call.query["limit"] + 1
    )
    if "progress" not in call.query.get("include", ()):
        return paged(rows, call.query, lambda record: record.to_dict())
    known = records.progresses(here().database, [record.id for record in rows])
    return paged(rows, call.query, lambda record: _in_full(record, known[record.id], call.who))


def get_campaign(call: Call, campaign: str) -> dict[str, Any]:
    """How a campaign stands: points by state, steps."""
    return document_of(auth.campaign_named(campaign, who=call.who), call.who)


def list_points(call: Call, campaign: str) -> dict[str, Any]:
    """Its points in order, each with its run, or why it was refused."""
    record, limit = auth.campaign_named(campaign, who=call.who), call.query["limit"]
    rows = records.points(
        here().database, record.id, states=call.query.get("state", ()), after=call.query["after"], limit=limit + 1
    )
    found: dict[str, dict[str, Any]] = {}
    if with_results := "result" in call.query.get("include", ()):
        runs = [row.run for row in rows[:limit] if row.run and row.state == "finished"]
        found = dict(results.documents(here().database, runs))
    return {
        "items": [
            row.to_dict()
            | {"source": uploads.source_of(here(), row.point.source)}
            | ({"result": found.get(row.run)} if with_results else {})
            for row in rows[:limit]
        ],
        "next": rows[limit - 1].number if len(rows) > limit else None,
    }


def stop_campaign(call: Call, campaign: str) -> dict[str, Any]:
    """Ask for its end: what is finished is kept."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    submissions.stop_campaign(record, who=call.who)
    return document_of(record, call.who)


def delete_campaign(call: Call, campaign: str) -> None:
    """Remove a campaign that is over or stopped, and hide its runs; outputs are removed when nothing names them any more."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    submissions.delete_campaign(record, who=call.who)


def resume_campaign(call: Call, campaign: str) -> dict[str, Any]:
    """Go on where it was stopped; failed points stay failed."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    return document_of(submissions.reopen(record, ("stopped",), who=call.who, what="resume campaign"), call.who)


def retry_campaign(call: Call, campaign: str) -> dict[str, Any]:
    """Try failed, refused and stopped points again, the analysis being read again."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    again = submissions.reopen(record, ("stopped", "failed", "refused"), who=call.who, what="retry campaign")
    return document_of(again, call.who)


def extend_campaign(call: Call, campaign: str) -> dict[str, Any]:
    """Add points, or compute all with other parameters; nothing is computed twice."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    wanted = NewScan(analyses=record.request.targets, **dict(call.body))
    changed, added, again = submissions.extend(record, wanted, who=call.who)
    return {"campaign": document_of(changed, call.who), "added": added, "again": again}


def list_campaign_shares(call: Call, campaign: str) -> dict[str, Any]:
    """Who else may see a campaign and its runs."""
    return {"users": submissions.shares_of(auth.campaign_named(campaign, Verb.CHANGE, who=call.who))}


def share_campaign(call: Call, campaign: str, user: str) -> dict[str, Any]:
    """Let a user see a campaign and its runs."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    submissions.share(record, user, who=call.who)
    return {"users": submissions.shares_of(record)}


def unshare_campaign(call: Call, campaign: str, user: str) -> dict[str, Any]:
    """Take that back."""
    record = auth.campaign_named(campaign, Verb.CHANGE, who=call.who)
    submissions.unshare(record, user, who=call.who)
    return {"users": submissions.shares_of(record)}


def plan(call: Call) -> dict[str, Any]:
    """What a run or a scan would compute, what is there already, how long the rest may take. Nothing is queued."""
    body = call.body
    wanted: NewRun | NewScan = NewRun(**body["run"]) if "run" in body else NewScan(**body["scan"])
    return submissions.foresee(wanted, who=call.who).to_dict()
