"""Who asks, and what they may: `caller()` for every request, `may()` for every door.

Programs send `Authorization: Bearer TOKEN`, REANA's clients also `?access_token=`; browsers have a session cookie, and then
every request that changes something carries a CSRF token. Without accounts there is one user, the one of the settings, who
comes in by a link that works once. What somebody else owns is not there (404), unless it is shared.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlsplit

from flask import Request, Response, g, request

from reana_lite.database import RunRecord, audit, campaigns, listing, shares, throttle, tokens, users, workspace_runs
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.database.throttle import Limit
from reana_lite.database.users import Role, User
from reana_lite.errors import InvalidInput, NotAllowed, NotFound
from reana_lite.server.installation import here
from reana_lite.server.passwords import is_right

COOKIE = "recast-session"
SESSION_S = 14 * 86400.0
"""How long a browser stays logged in (seconds)."""

LAUNCH_S = 86400.0
"""How long the link of `recast serve` can be used (seconds); it works once."""

TRIES = 5
"""Wrong passwords for a name from an address, one after the other, before the next one has to wait."""

LIMITS = {"name from": Limit(TRIES, 300.0), "from": Limit(10 * TRIES, 30.0), "name": Limit(20 * TRIES, 5.0)}
"""Wrong tries of a name at an address, of an address (all names), of a name (all addresses). The last one lets somebody who
guesses from many addresses try 720 times an hour, and its owner in between."""

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"


class Verb(StrEnum):
    """What somebody wants to do: see a thing, change it (stop, share, delete), submit new ones, administer the server."""

    SEE = "see"
    CHANGE = "change"
    SUBMIT = "submit"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `role` is the user's, or less by the token; `session` is the secret of a browser's session, else "".

    `expires_at`: of the token (UTC seconds; 0: when it is revoked).
    """

    user: User
    role: Role
    session: str = ""
    token: str = ""
    expires_at: float = 0.0

    @property
    def name(self) -> str:
        """The user's name: the owner of what they submit."""
        return self.user.name


# -- who -----------------------------------------------------------------------------------------------------------------


def caller() -> Caller:
    """Who asks; raises NotAllowed (401) if nobody does who is known here."""
    found = find_caller()
    if found is None:
        raise NotAllowed("log in first, or send a token as Authorization: Bearer TOKEN", login=True)
    return found


def find_caller() -> Caller | None:
    """Who asks, or None; looked up once per request."""
    if not hasattr(g, "caller"):
        g.caller = _look(request)
    found: Caller | None = g.caller
    return found


def _look(asked: Request) -> Caller | None:
    secret, kinds, session = _secret(asked)
    if not secret:
        return None
    database = here().database
    found = tokens.find_with_owner(database, secret, kinds=kinds)
    if found is None:
        return None
    record, user = found
    user = user or user_named(record.owner)
    if user is None or user.disabled:
        return None
    role = min(user.role, record.role, key=lambda one: one.rank)
    return Caller(user, role, secret if session else "", record.id, record.expires_at)


def _secret(asked: Request) -> tuple[str, tuple[str, ...], bool]:
    """(secret, kinds of tokens it may be, whether it is a session's): the header before the query before the cookie."""
    header = asked.headers.get("Authorization", "")
    if header:
        scheme, _, secret = header.partition(" ")
        return (secret.strip() if scheme.lower() == "bearer" else "", ("token",), False)
    if is_reana(asked.path) and (secret := asked.args.get("access_token", "")):
        return secret, ("token",), False
    return asked.cookies.get(COOKIE, ""), ("session",), True


def is_api(path: str) -> bool:
    """Whether a path is of the API, version 1, or of what programs ask beside it."""
    return path.startswith("/api/v1/") or path in ("/api/v1", "/healthz", "/readyz", "/metrics")


def is_reana(path: str) -> bool:
    """Whether a path is of the REANA-compatible API."""
    return path.startswith("/api/") and not is_api(path)


def user_named(name: str) -> User | None:
    """The account of that name; without accounts, the user of the settings."""
    installation = here()
    try:
        return users.get(installation.database, name)
    except NotFound:
        if name == installation.settings.user and not users.are_there(installation.database):
            return User(name, Role.ADMIN, full_name=name)
        return None


# -- what they may -------------------------------------------------------------------------------------------------------


def may(who: Caller, verb: Verb, thing: RunRecord | CampaignRecord | None = None) -> bool:
    """Whether somebody may do this, to a thing or (None) at all. The one place that knows."""
    if who.role is Role.ADMIN:
        return True
    if verb is Verb.ADMINISTER:
        return False
    if verb in (Verb.SUBMIT, Verb.CHANGE) and who.role is Role.READ_ONLY:
        return False
    if thing is None or thing.owner == who.name:
        return True
    if verb is not Verb.SEE:
        return False
    names = [("campaign", thing.id)]
    if isinstance(thing, RunRecord):
        names = [("run", thing.id), ("campaign", thing.campaign)]
    return shares.is_shared(here().database, who.name, *names)


def is_still(who: Caller, thing: RunRecord | CampaignRecord | None = None) -> bool:
    """Whether somebody who was let in a while ago would be let in now, and may (still) see this."""
    record, user = tokens.find_by_id(here().database, who.token), user_named(who.name)
    if record is None or user is None or user.disabled:
        return False
    role = min(user.role, record.role, key=lambda one: one.rank)
    return may(replace(who, user=user, role=role), Verb.SEE, thing)


def need(verb: Verb, who: Caller | None = None) -> Caller:
    """Who asks, if they may do this at all; raises NotAllowed."""
    who = who or caller()
    if not may(who, verb):
        raise NotAllowed(f"the role {who.role} does not let {who.name} {verb}", role=str(who.role))
    return who


def run_named(name: str, verb: Verb = Verb.SEE, *, who: Caller | None = None) -> RunRecord:
    """A run that one may see by its id, or one's own by name, beginning of one, or `latest`; raises NotFound, NotAllowed."""
    who = who or caller()
    found = listing.find_run(here().database, name)  # an id, as in nearly all requests, is quickly found
    if found is None or not may(who, Verb.SEE, found):
        found = here().database.get_run(name, owner=who.name)
        if is_deleted(found.id):
            raise NotFound(f"no run {name!r}", run=name)
    _changeable(who, verb, found, f"run {found.id}")
    return found


def campaign_named(name: str, verb: Verb = Verb.SEE, *, who: Caller | None = None) -> CampaignRecord:
    """A campaign, as `run_named`."""
    who = who or caller()
    found = listing.find_campaign(here().database, name)
    if found is None or not may(who, Verb.SEE, found):
        found = campaigns.get(here().database, name, owner=who.name)
    _changeable(who, verb, found, f"campaign {found.id}")
    return found


def is_deleted(run: str) -> bool:
    """Whether its owner has deleted a run."""
    use = workspace_runs.of_run(here().database, run)
    return use is not None and use.deleted_at > 0


def _changeable(who: Caller, verb: Verb, thing: RunRecord | CampaignRecord, what: str) -> None:
    if verb is not Verb.SEE and not may(who, verb, thing):
        reason = "it is shared for looking only" if thing.owner != who.name else f"the role {who.role} looks only"
        raise NotAllowed(f"{who.name} may not {verb} {what}: {reason}")


# -- browsers ------------------------------------------------------------------------------------------------------------


def login(name: str, password: str) -> str:
    """The secret of a new session; raises NotAllowed (the same for a wrong name and a wrong password), Unavailable (429).

    A try is counted before the password is looked at, so that many at once are as many tries.
    """
    database, address = here().database, request.remote_addr or ""
    asked, place = name.lower()[:100], network(address)
    keys = {"name from": f"{asked}|{place}", "from": place, "name": asked}
    limits = {f"{kind}:{keys[kind]}": limit for kind, limit in LIMITS.items()}
    throttle.take(database, limits, "too many failed logins")
    try:
        user = users.find_login(database, name)
        right = is_right(password, user.password if user is not None else "")
    except BaseException:
        throttle.give_back(database, limits)
        raise
    if user is None or not right or user.disabled:
        audit.note(database, name[:100], "failed login", address=address)
        raise NotAllowed("name or password are wrong", login=True)
    throttle.give_back(database, limits)
    throttle.forget(database, [key for key in limits if key.startswith("name from:")])
    audit.note(database, user.name, "login", address=address)
    return begin_session(user)


def network(address: str) -> str:
    """What one customer of a provider has: an address, of IPv6 its first 64 bits."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((int(found), 64), strict=False)) if found.version == 6 else address


def launch(secret: str) -> str:
    """The secret of a new session for the link that `recast serve` prints; raises NotAllowed."""
    database = here().database
    record = tokens.use_up(database, secret)
    user = user_named(record.owner) if record is not None else None
    if user is None or user.disabled:
        raise NotAllowed("this link has been used, or has expired: `recast serve` prints another", login=True)
    audit.note(database, user.name, "launch", address=request.remote_addr or "")
    return begin_session(user)


def begin_session(user: User) -> str:
    """The secret of a new session."""
    secret, _ = tokens.add(here().database, user.name, kind="session", role=Role.ADMIN, valid_s=SESSION_S)
    return secret


def logout() -> None:
    """End this browser's session."""
    who = find_caller()
    if who is not None and who.session:
        tokens.revoke(here().database, who.name, who.token)


def set_cookie(response: Response, secret: str) -> None:
    """Let a browser keep its session; "" ends it."""
    if secret:
        response.set_cookie(
            COOKIE, secret, max_age=int(SESSION_S), secure=request.is_secure, httponly=True, samesite="Lax", path="/"
        )
    else:
        response.delete_cookie(COOKIE, path="/", secure=request.is_secure, httponly=True, samesite="Lax")


def csrf_token() -> str:
    """What forms of this browser's session carry as the field `csrf`, or scripts as X-CSRF-Token; "" without one."""
    who = find_caller()
    return _csrf(who.session) if who is not None and who.session else ""


def _csrf(session: str) -> str:
    return hmac.new(session.encode(), b"csrf", hashlib.sha256).hexdigest()


def check_origin() -> None:
    """Before every request that changes something: raises NotAllowed if another site has made a browser send it."""
    if request.method in SAFE:
        return
    who = find_caller()
    if who is not None and not who.session:
        return
    origin = request.headers.get("Origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.host
    if foreign or request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise NotAllowed("this request comes from another site")
    if who is None:
        return
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(given.encode(), _csrf(who.session).encode()):
        raise NotAllowed(f"the form has expired: load the page again (its field {CSRF_FIELD} is wrong)")


def checked_role(text: str) -> Role:
    """The role of that name; raises InvalidInput."""
    if text not in set(Role):
        raise InvalidInput(f"{text!r} is no role; known: {', '.join(Role)}", field="role", value=text)
    return Role(text)
