"""Who else may see a run or a campaign: shown on its page, changed by its owner."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request, url_for

from reana_lite.database import RunRecord
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import InvalidInput
from reana_lite.server.pages.notice import onward
from reana_lite.server.pages.site import this_site


def add(pages: Blueprint) -> None:
    """Add what changes it."""
    pages.add_url_rule("/runs/<name>/share", "share_run", share_run, methods=["POST"])
    pages.add_url_rule("/campaigns/<name>/share", "share_campaign", share_campaign, methods=["POST"])


def shares_of(thing: RunRecord | CampaignRecord) -> list[str] | None:
    """Who may see it, for who may change that; None for others, and where there are no accounts."""
    site = this_site()
    return site.shares(thing) if site.accounts() and site.may_change(thing) else None


def share_run(name: str) -> Any:
    """Let somebody see a run, or (`end`) not any more."""
    record = this_site().run(name)
    return _share(record, url_for("pages.run", name=record.id))


def share_campaign(name: str) -> Any:
    """Let somebody see a campaign with its runs, or (`end`) not any more."""
    record = this_site().campaign(name)
    return _share(record, url_for("pages.campaign", name=record.id))


def _share(thing: RunRecord | CampaignRecord, address: str) -> Any:
    user = request.form.get("user", "").strip()
    try:
        return onward(address, this_site().share(thing, user, end=bool(request.form.get("end"))))
    except InvalidInput as error:
        return onward(address, error.message, bad=True)
