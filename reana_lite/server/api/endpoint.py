"""How an endpoint of the API is declared: once, with the JSON Schemas of what it takes and says. From that come its route,
the validation of requests, ETags, repeated requests (Idempotency-Key), and its part of the OpenAPI document (openapi.py).
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, current_app, make_response, request
from jsonschema import Draft202012Validator
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from reana_lite.database import repeats
from reana_lite.errors import Conflict, InvalidInput
from reana_lite.server import auth
from reana_lite.server.api import schemas
from reana_lite.server.auth import Caller, Verb
from reana_lite.server.installation import here

CHECK = "RECAST_CHECK_ANSWERS"
"""Set in tests: every answer is held against its schema."""

JSON_LIMIT_BYTES = 20_000_000
"""The largest JSON document that is taken."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, validated: who asks, the query, the body."""

    who: Caller
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What is declared. `says`: schema of the answer, None for other media types (`media`). `verb` None: for everybody.

    `secret`: what is sent or answered holds a token or a password, so neither is kept, also not for a repeated request.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str
    says: Schema | None
    status: int
    takes: Schema | None
    uploads: bool
    query: Mapping[str, Schema]
    media: tuple[str, ...]
    verb: Verb | None
    secret: bool
    parameters: Mapping[str, Schema]


ENDPOINTS: list[Endpoint] = []
Handler = Callable[..., Any]


def endpoint(
    blueprint: Blueprint, method: str, path: str, *, tag: str, says: Schema | None = None, status: int = 200,
    takes: Schema | None = None, uploads: bool = False, query: Mapping[str, Schema] | None = None,
    media: Sequence[str] = (), verb: Verb | None = Verb.SEE, secret: bool = False,
) -> Callable[[Handler], Handler]:  # fmt: skip
    """Declare an endpoint; the function's docstring is its description, its name the operation's id."""

    def declare(function: Handler) -> Handler:
        words = (function.__doc__ or "").strip()
        names = [part.strip("<>").rpartition(":")[2] for part in path.split("/") if part.startswith("<")]
        one = Endpoint(
            method=method, path=path, name=function.__name__, tag=tag, summary=words.split("\n")[0].rstrip("."),
            description=words, says=says, status=status, takes=takes, uploads=uploads, query=dict(query or {}),
            media=tuple(media), verb=verb, secret=secret, parameters={name: schemas.PATHS[name] for name in names},
        )  # fmt: skip
        ENDPOINTS.append(one)

        @functools.wraps(function)
        def view(**arguments: str) -> Response:
            return _answer(one, function, arguments)

        blueprint.add_url_rule(path, one.name, view, methods=[method])
        return function

    return declare


def _answer(one: Endpoint, function: Handler, arguments: Mapping[str, str]) -> Response:
    if not one.uploads:
        request.max_content_length = JSON_LIMIT_BYTES  # also where its length is not announced, and whoever reads it
    who = auth.need(one.verb) if one.verb is not None else None
    call = Call(who, _query(one), _body(one)) if who is not None else None
    key = request.headers.get("Idempotency-Key", "") if one.method == "POST" and who is not None else ""
    if not key:
        return _done(one, function(call, **arguments) if call else function(**arguments))
    assert who is not None
    return _once(one, who, key, lambda: _done(one, function(call, **arguments)))


def _once(one: Endpoint, who: Caller, key: str, act: Callable[[], Response]) -> Response:
    """The answer to a request that may be sent twice: given anew, or as it was the first time."""
    if not key.isprintable() or len(key) > 255:
        raise InvalidInput("an idempotency key has at most 255 printable characters", field="Idempotency-Key")
    database = here().database
    kept = repeats.begin(database, who.name, key, _digest(one))
    if kept is not None and one.secret:
        raise Conflict(f"the request with the idempotency key {key!r} was answered; secrets are shown once", key=key)
    if kept is not None:
        response = make_response(kept[1], kept[0])
        response.mimetype = "application/json"
        response.headers["Idempotency-Replayed"] = "true"
        return response
    try:
        response = act()
    except BaseException:
        repeats.end(database, who.name, key, 0, "")
        raise
    if response.mimetype == "application/json" or response.status_code == 204:
        body = "" if one.secret else response.get_data(as_text=True)
        repeats.end(database, who.name, key, response.status_code, body)
    else:  # a file, which changes nothing: it is made again
        repeats.end(database, who.name, key, 0, "")
    return response


def _digest(one: Endpoint) -> str:
    """Tells a request from others with its key, by what it sends; of secrets nothing is told, not even a digest."""
    found = hashlib.sha256(f"{one.name}\0{request.full_path}\0".encode())
    if one.uploads:
        for name, file in request.files.items(multi=True):
            content = hashlib.file_digest(file.stream, "sha256").digest()  # type: ignore[arg-type]
            file.stream.seek(0)
            found.update(json.dumps([name, file.filename]).encode() + content)
    elif not one.secret:
        found.update(request.get_data())
    return found.hexdigest()


def _done(one: Endpoint, found: Any) -> Response:
    """The answer of a handler: a document, (document, headers), or a response of its own."""
    if isinstance(found, Response):
        return found
    document, headers = found if isinstance(found, tuple) else (found, {})
    if one.status == 204:
        return make_response("", 204)
    if current_app.config.get(CHECK) and one.says is not None:
        validator(one.says).validate(json.loads(json.dumps(document)))
    response = Response(written(document), one.status, mimetype="application/json")
    response.headers.update(headers)
    if one.method == "GET":
        response.add_etag()
        response.make_conditional(request)
    return response


def _query(one: Endpoint) -> dict[str, Any]:
    """The query, of the types that are declared; unknown names are refused: they are misspelt."""
    values: dict[str, Any] = {}
    for name in request.args:
        if name not in one.query:
            known = ", ".join(one.query) or "none"
            raise InvalidInput(f"{name[:50]!r} is no parameter of this address; known: {known}", field=name[:50])
        schema, texts = one.query[name], request.args.getlist(name)
        many = schema.get("type") == "array"
        item = schema["items"] if many else schema
        given = [_typed(name, text, item) for text in texts]
        value = given if many else given[-1]
        fault = next(validator(schema).iter_errors(value), None)
        if fault is not None:
            raise InvalidInput(f"{name}: {fault.message[:300]}", field=name, value=texts[-1][:100])
        values[name] = value
    for name, schema in one.query.items():
        if name not in values and "default" in schema:
            values[name] = schema["default"]
    return values


def _typed(name: str, text: str, schema: Schema) -> Any:
    kind = schema.get("type")
    try:
        if kind == "integer":
            if len(text) > 20:
                raise ValueError(text)
            return int(text)
        if kind == "number":
            value = float(text)
            if not math.isfinite(value):
                raise ValueError(text)
            return value
    except ValueError:
        raise InvalidInput(f"{name} is {text[:50]!r}; right is a number", field=name, value=text[:50]) from None
    if kind == "boolean":
        if text not in ("true", "false"):
            raise InvalidInput(f"{name} is {text[:50]!r}; right is true or false", field=name, value=text[:50])
        return text == "true"
    return text


def _body(one: Endpoint) -> dict[str, Any]:
    """The JSON document that is sent, if one is taken; raises InvalidInput with all faults."""
    if one.takes is None:
        return {}
    try:
        content = request.get_data()
    except RequestEntityTooLarge as error:
        raise InvalidInput(f"the document has more than {JSON_LIMIT_BYTES} bytes", field="body") from error
    document: Any = {}
    if content:
        if not request.is_json:
            raise UnsupportedMediaType("this address takes JSON (Content-Type: application/json)")
        try:
            document = json.loads(content, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"the body is not JSON: {str(error)[:200]}", field="body") from error
    try:
        errors = sorted(
            validator(one.takes).iter_errors(document), key=lambda error: list(map(str, error.absolute_path))
        )
    except RecursionError as error:
        raise InvalidInput("the body is nested too deeply", field="body") from error
    if errors:
        faults = [
            {"field": "/".join(map(str, e.absolute_path)) or "body", "reason": e.message[:300]} for e in errors[:20]
        ]
        text = "\n".join(f"{fault['field']}: {fault['reason']}" for fault in faults)
        raise InvalidInput(text, field=faults[0]["field"], faults=faults)
    assert isinstance(document, dict)
    return document


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def validator(schema: Schema) -> Draft202012Validator:
    """What checks a schema, with the components it refers to."""
    return _validator(json.dumps(schema, sort_keys=True))


@functools.lru_cache(maxsize=500)
def _validator(text: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(text), "components": {"schemas": schemas.COMPONENTS}})


def written(document: Any) -> str:
    """A document as JSON text."""
    try:
        return _encode(document)
    except ValueError:  # it holds a number that JSON has no word for, which is rare, and looking for it takes long
        return _encode(finite(document))


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def finite(value: Any) -> Any:
    """A document without what JSON has no word for: NaN and infinities are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
