"""For administrators: users and quotas, the queue, workers, the audit log."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from reana_lite.errors import Conflict, InvalidInput
from reana_lite.server.pages.notice import onward
from reana_lite.server.pages.site import this_site


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/admin", "admin", admin)
    pages.add_url_rule("/admin/users/<action>", "change_user", change_user, methods=["POST"])


def admin() -> str:
    """All of it on one page."""
    site = this_site()
    words = request.args.get("user", "").strip()
    users = site.users(words)
    before = request.args.get("before", 0, type=int)
    waiting = site.runs(states=("queued", "running"), limit=50, everybody=True)
    audit = site.audit(before=before, limit=51)
    return render_template(
        "admin.html", users=users, workers=site.workers(), queue=waiting, counts=site.waiting(), words=words,
        audit=audit[:50], more=audit[49].number if len(audit) > 50 else 0, health=site.health(),
    )  # fmt: skip


def change_user(action: str) -> Any:
    """Create, disable, role, quota."""
    address = url_for("pages.admin")
    try:
        return onward(address, this_site().change_user(action, request.form))
    except (InvalidInput, Conflict) as error:
        return onward(address, error.message, bad=True)
