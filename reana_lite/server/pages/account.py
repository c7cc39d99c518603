"""Signing in and out; one's own tokens and quota."""

from __future__ import annotations

import secrets
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from reana_lite.database import repeats
from reana_lite.errors import Conflict, InvalidInput, NotAllowed, Unavailable
from reana_lite.server import auth
from reana_lite.server.auth import caller
from reana_lite.server.pages.notice import onward
from reana_lite.server.pages.site import this_site


def add(pages: Blueprint) -> None:
    """Add these pages."""
    pages.add_url_rule("/sign-in", "sign_in", sign_in, methods=["GET", "POST"])
    pages.add_url_rule("/sign-out", "sign_out", sign_out, methods=["POST"])
    pages.add_url_rule("/profile", "profile", profile)
    pages.add_url_rule("/profile/tokens", "create_token", create_token, methods=["POST"])
    pages.add_url_rule("/profile/tokens/<token>/revoke", "revoke_token", revoke_token, methods=["POST"])


def sign_in() -> Any:
    """The form, and what came of it."""
    target = _inside(request.values.get("next", ""))
    if request.method == "GET":
        return render_template("sign_in.html", next=target, wrong="", name="")
    name = request.form.get("name", "")
    try:
        secret = auth.login(name, request.form.get("password", ""))
    except (NotAllowed, Unavailable) as error:
        page = render_template("sign_in.html", next=target, wrong=error.message, name=name)
        return page, 401 if isinstance(error, NotAllowed) else 429
    return _begun(secret, target)


def _begun(secret: str, target: str) -> Response:
    answer = make_response(redirect(target or url_for("pages.home"), 303))
    auth.set_cookie(answer, secret)
    return answer


def _inside(address: str) -> str:
    """An address of this site, or ""."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\")) and not set(address) & set("\\\r\n\t")
    return address if ours else ""


def sign_out() -> Any:
    """Forget who it was."""
    auth.logout()
    answer = make_response(redirect(url_for("pages.sign_in"), 303))
    auth.set_cookie(answer, "")
    return answer


def profile(made: str = "") -> str:
    """Tokens and quota."""
    site = this_site()
    once = secrets.token_urlsafe(12)
    return render_template("profile.html", tokens=site.tokens(), quotas=site.quotas(), made=made, once=once)


def create_token() -> Any:
    """A new token, which is shown on this answer only: the same form again (a reload) makes no second one."""
    form, site = request.form, this_site()
    owner, key = caller().name, f"form {form.get('once', '')[:64]}"
    if not form.get("once", "").isprintable() or not form.get("once"):
        return onward(url_for("pages.profile"), "The form has expired: fill it in again.", bad=True)
    try:
        sent_before = repeats.begin(site.database, owner, key, "token") is not None
    except Conflict:  # at this moment
        sent_before = True
    if sent_before:
        return onward(url_for("pages.profile"), "That token was made already; tokens are shown only once.", bad=True)
    try:
        days = _days(form.get("days", ""))
        made = site.create_token(form.get("name", "").strip(), form.get("role", ""), days)
    except BaseException as error:
        repeats.end(site.database, owner, key, 0, "")
        if isinstance(error, InvalidInput):
            return onward(url_for("pages.profile"), error.message, bad=True)
        raise
    repeats.end(site.database, owner, key, 200, "")
    return profile(made)


def _days(text: str) -> float:
    """For how long a token is valid (days)."""
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= 3650:
        raise InvalidInput(f"a token ends after 1 to 3650 days, not {text[:20]!r}", field="days", value=text[:20])
    return days


def revoke_token(token: str) -> Any:
    """No use from now on."""
    this_site().revoke_token(token)
    return onward(url_for("pages.profile"), "The token is revoked.")
