"""Runs and campaigns are deleted: asked once more on a page of its own, then done; it is shown to nobody any more."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, url_for

from reana_lite.database import RunRecord
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import Conflict, NotAllowed
from reana_lite.server import submissions
from reana_lite.server.auth import Verb, caller, campaign_named, run_named
from reana_lite.server.pages.notice import onward
from reana_lite.server.pages.site import this_site


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/runs/<name>/delete", "ask_delete_run", ask_run)
    pages.add_url_rule("/runs/<name>/delete", "delete_run", delete_run, methods=["POST"])
    pages.add_url_rule("/campaigns/<name>/delete", "ask_delete_campaign", ask_campaign)
    pages.add_url_rule("/campaigns/<name>/delete", "delete_campaign", delete_campaign, methods=["POST"])


def ask_run(name: str) -> str:
    """Whether it is really meant."""
    return _ask("run", run_named(name, Verb.CHANGE))


def ask_campaign(name: str) -> str:
    """The same of a campaign with all of its runs."""
    record = campaign_named(name, Verb.CHANGE)
    return _ask("campaign", record)


def _ask(kind: str, thing: RunRecord | CampaignRecord) -> str:
    if not this_site().may_change(thing):
        raise NotAllowed(f"only its owner may delete this {kind}")
    return render_template("delete.html", kind=kind, thing=thing)


def delete_run(name: str) -> Any:
    """Delete it; it must be over."""
    record = run_named(name, Verb.CHANGE)
    try:
        submissions.delete_run(record, who=caller())
    except Conflict as error:
        return onward(url_for("pages.run", name=record.id), error.message, bad=True)
    return onward(url_for("pages.runs"), f"Run {record.full_name} is deleted.")


def delete_campaign(name: str) -> Any:
    """Delete it with its runs; all must be over, or it must be stopped."""
    record = campaign_named(name, Verb.CHANGE)
    try:
        runs = submissions.delete_campaign(record, who=caller())
    except Conflict as error:
        return onward(url_for("pages.campaign", name=record.id), error.message, bad=True)
    return onward(url_for("pages.campaigns"), f"Campaign {record.name} is deleted with {runs} runs.")
