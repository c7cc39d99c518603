"""What every endpoint of REANA's API reads of a request: who asks, which workflow, the body, numbers and switches."""

from __future__ import annotations

import json
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from reana_lite.database import RunRecord, workspace_runs
from reana_lite.database.workspaces import WorkspaceRun
from reana_lite.errors import InvalidInput, NotAllowed, NotFound
from reana_lite.server import auth
from reana_lite.server.auth import Caller, Verb
from reana_lite.server.installation import here

BODY_BYTES = 10_000_000
"""The largest JSON body (bytes)."""


def caller(verb: Verb = Verb.SEE) -> Caller:
    """Who asks, if they may do this; nobody is 401, a token that is not valid 403, as the clients expect."""
    found = auth.find_caller()
    if found is None:
        if request.args.get("access_token") or request.headers.get("Authorization"):
            raise NotAllowed("Token not valid.")
        raise NotAllowed("User not signed in", login=True)
    return auth.need(verb, found) if verb is Verb.SUBMIT else found


def workflow(name: str, verb: Verb = Verb.SEE) -> tuple[Caller, RunRecord, WorkspaceRun | None]:
    """(who asks, their workflow, what it was asked to be); raises NotFound in REANA's words."""
    who = caller(Verb.SUBMIT if verb is Verb.CHANGE else Verb.SEE)
    database = here().database
    try:
        record = workspace_runs.find_run(database, who.name, name)
    except NotFound as error:
        shared = _shared(who, name, verb)
        if shared is None:
            raise NotFound(
                f"REANA_WORKON is set to {name}, but that workflow does not exist. "
                f"Please set your REANA_WORKON environment variable appropriately."
            ) from error
        record = shared
    return who, record, workspace_runs.of_run(database, record.id)


def _shared(who: Caller, name: str, verb: Verb) -> RunRecord | None:
    """Somebody else's, by its id alone, to be looked at."""
    try:
        return auth.run_named(name, verb, who=who) if verb is Verb.SEE and name.isalnum() else None
    except (NotFound, InvalidInput):
        return None


def alive(record: RunRecord, use: WorkspaceRun | None) -> None:
    """Raises NotFound for a workflow that is deleted: its files are gone."""
    if use is not None and use.deleted_at:
        raise NotFound(f"Workflow {record.full_name} is deleted.")


def body() -> Any:
    """The JSON of the body, also of a GET; None if there is none."""
    request.max_content_length = BODY_BYTES  # whether its length is announced or not
    try:
        text = request.get_data()
    except RequestEntityTooLarge as error:
        raise InvalidInput(f"the body is larger than {BODY_BYTES} bytes") from error
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the body is not JSON") from error


def fields() -> dict[str, Any]:
    """The same, an object or nothing."""
    value = body()
    if value is not None and not isinstance(value, dict):
        raise InvalidInput("the body is a JSON object")
    return value or {}


def switch(name: str) -> bool:
    """A switch of the query."""
    return request.args.get(name, "").lower() in ("true", "1", "yes")


def number(name: str, default: int | None = None) -> int | None:
    """A number of the query, at least 1; raises InvalidInput."""
    text = request.args.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 10**9:
        raise InvalidInput(f"{name} is a whole number above 0, not {text[:40]!r}", field=name)
    return int(text)


def search(text: str) -> dict[str, list[str]]:
    """A search of the client: {field: [parts]} as JSON; raises InvalidInput."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("search is not JSON", field="search") from error
    if not isinstance(value, dict):
        raise InvalidInput("search is a JSON object", field="search")
    return {
        str(name): [str(one) for one in (parts if isinstance(parts, list) else [parts])]
        for name, parts in value.items()
    }
