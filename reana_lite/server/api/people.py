"""Who one is, tokens; and for administrators users, the audit log, workers."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from reana_lite.database import audit, listing, tokens, users
from reana_lite.database.users import Quota, User
from reana_lite.server import auth, quota, submissions
from reana_lite.server.api.endpoint import Call, endpoint
from reana_lite.server.api.schemas import COUNT, PAGING, named, thing
from reana_lite.server.auth import Verb
from reana_lite.server.installation import here
from reana_lite.server.passwords import hashed


def add(blueprint: Blueprint) -> None:
    """Add the endpoints."""

    def many(name: str) -> dict[str, Any]:
        return thing({"items": {"type": "array", "items": named(name)}})

    def mine(method: str, path: str, **more: Any) -> Any:
        return endpoint(blueprint, method, path, tag="accounts", **more)

    def admin(method: str, path: str, **more: Any) -> Any:
        return endpoint(blueprint, method, path, tag="administration", verb=Verb.ADMINISTER, **more)

    mine("GET", "/me", says=named("Me"))(get_me)
    mine("GET", "/tokens", says=many("Token"))(list_tokens)
    mine("POST", "/tokens", takes=named("NewToken"), says=named("Token"), status=201, secret=True,
         verb=Verb.SUBMIT)(create_token)  # fmt: skip
    mine("DELETE", "/tokens/<token>", status=204, verb=Verb.SUBMIT)(revoke_token)
    admin("GET", "/users", says=many("User"))(list_users)
    admin("POST", "/users", takes=named("NewUser"), says=named("User"), status=201, secret=True)(create_user)
    admin("GET", "/users/<user>", says=named("User"))(get_user)
    admin("PATCH", "/users/<user>", takes=named("UserChange"), says=named("User"), secret=True)(change_user)
    admin("DELETE", "/users/<user>", status=204)(delete_user)
    admin("GET", "/workers", says=many("Worker"))(list_workers)
    admin("GET", "/audit", query={"before": COUNT | {"default": 0, "maximum": 2**53}, "limit": PAGING["limit"]},
          says=many("Audit"))(get_audit)  # fmt: skip


def get_me(call: Call) -> dict[str, Any]:
    """Who one is, what one may, what one has used."""
    return {
        "user": call.who.user.to_dict(), "role": str(call.who.role),
        "usage": quota.usage(here(), call.who.name).to_dict(),
        "single_user": not users.are_there(here().database),
    }  # fmt: skip


def list_tokens(call: Call) -> dict[str, Any]:
    """One's own tokens; their secrets are not kept."""
    return {"items": [record.to_dict() for record in tokens.listed(here().database, call.who.name)]}


def create_token(call: Call) -> dict[str, Any]:
    """A new token, of at most one's own rights; its secret is shown this once.

    One that a token makes does not outlive it; a token that only looks makes and revokes none.
    """
    secret, record = submissions.create_token(
        call.who, name=call.body["name"], role=call.body.get("role", ""), days=call.body.get("days", 90)
    )
    return {**record.to_dict(), "token": secret}


def revoke_token(call: Call, token: str) -> None:
    """Let a token in no more."""
    submissions.revoke_token(call.who, token)


def list_users(call: Call) -> dict[str, Any]:
    """All accounts."""
    return {"items": [user.to_dict() for user in users.listed(here().database)]}


def create_user(call: Call) -> dict[str, Any]:
    """A new account. Without a password only tokens let in."""
    body = dict(call.body)
    role = auth.checked_role(body.get("role", "user"))
    user = User(
        body["name"], role, email=body.get("email", ""), full_name=body.get("full_name", ""),
        password=hashed(body["password"]) if body.get("password") else "", quota=Quota(**body.get("quota", {})),
    )  # fmt: skip
    made = users.add(here().database, user)
    submissions.note(call.who, "create user", made.name)
    return made.to_dict()


def get_user(call: Call, user: str) -> dict[str, Any]:
    """One account."""
    return users.get(here().database, user).to_dict()


def change_user(call: Call, user: str) -> dict[str, Any]:
    """Change what is named of an account; a disabled one is let in no more, its runs stay."""
    body = dict(call.body)
    changes: dict[str, Any] = {
        **{n: body[n] for n in ("email", "full_name", "disabled") if n in body},
        **body.get("quota", {}),
    }
    if "role" in body:
        changes["role"] = auth.checked_role(body["role"])
    if "password" in body:
        changes["password"] = hashed(body["password"])
    changed = submissions.change_user(call.who, user, **changes)
    submissions.note(call.who, "change user", user)
    return changed.to_dict()


def delete_user(call: Call, user: str) -> None:
    """Remove an account, what lets it in, and its secrets; its runs stay, and so nobody else is given that name."""
    users.remove(here().database, user)
    submissions.note(call.who, "delete user", user)


def list_workers(call: Call) -> dict[str, Any]:
    """The workers that are alive."""
    return {"items": listing.workers(here().database)}


def get_audit(call: Call) -> dict[str, Any]:
    """Who did what, the newest first."""
    return {"items": audit.listed(here().database, before=call.query["before"], limit=call.query["limit"])}
