"""Requests that are sent again with their Idempotency-Key, and how much of a body is read: what is kept, what is refused."""

from __future__ import annotations

import io
import json
from importlib import import_module
from typing import Any

import pytest
from serving import PASSWORD, THEORY, World
from sqlalchemy import select

from reana_lite.database import repeats, tables
from reana_lite.errors import Conflict
from reana_lite.server.reana import asking
from reana_lite.server.turns import SMALL_BYTES

endpoint = import_module("reana_lite.server.api.endpoint")  # the package shows its function by this name
KEY = {"Idempotency-Key": "again"}


def kept(world: World) -> str:
    """All that the database keeps of requests."""
    with world.database.reading() as connection:
        return json.dumps([list(row) for row in connection.execute(select(tables.idempotency))])


def test_no_token_is_kept_for_a_request_that_may_be_sent_again(world: World) -> None:
    alice = world.client("alice")
    made = alice.post("/api/v1/tokens", json={"name": "t"}, headers=KEY)
    assert made.status_code == 201
    assert made.json["token"] not in kept(world)
    again = alice.post("/api/v1/tokens", json={"name": "t"}, headers=KEY)
    assert again.status_code == 409
    assert "secrets are shown once" in again.json["error"]["message"]
    assert len(alice.get("/api/v1/tokens").json["items"]) == 2  # with the one it asks with


def test_nothing_of_a_password_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also no digest, which could be guessed much faster than the hash."""
    digests = []
    begin = repeats.begin
    monkeypatch.setattr(repeats, "begin", lambda *args: digests.append(args[3]) or begin(*args))
    root = world.client("root")
    for name, password in (("carol", PASSWORD), ("dave", "another long word")):
        headers = {"Idempotency-Key": name}
        assert root.post("/api/v1/users", json={"name": name, "password": password}, headers=headers).status_code == 201
    assert len(set(digests)) == 1
    assert kept(world).count('""') >= 2


def test_every_endpoint_that_takes_or_gives_secrets_says_so() -> None:
    for one in endpoint.ENDPOINTS:
        schemas = json.dumps([one.takes, one.says])
        holds = any(name in schemas for name in ("/Token", "/NewUser", "/UserChange", "/NewToken"))
        assert one.secret is (holds and one.method != "GET"), one.name


def test_a_key_is_of_one_file(world: World) -> None:
    alice = world.client("alice")

    def send(content: bytes, name: str = "t.yml") -> Any:
        return alice.post("/api/v1/theories", data={"file": (io.BytesIO(content), name)}, headers=KEY)

    first = send(THEORY)
    assert first.status_code == 201
    assert send(THEORY).json == first.json
    assert send(THEORY + b"m_x: 1\n").status_code == 409
    assert send(THEORY, "other.yml").status_code == 409


def test_answers_are_forgotten_after_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    database = world.database
    repeats.begin(database, "alice", "k", "d")
    repeats.end(database, "alice", "k", 200, "kept")
    now = database.clock()
    monkeypatch.setattr(database, "clock", lambda: now + 86401)
    monkeypatch.setattr(repeats, "SWEPT_EACH", 1)
    repeats.begin(database, "bob", "other", "d")
    assert "kept" not in kept(world)


def test_what_was_not_answered_may_be_sent_again_after_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    database = world.database
    assert repeats.begin(database, "alice", "k", "d") is None
    with pytest.raises(Conflict, match="still being answered"):
        repeats.begin(database, "alice", "k", "d")
    now = database.clock()
    monkeypatch.setattr(database, "clock", lambda: now + repeats.UNANSWERED_S + 1)
    assert repeats.begin(database, "alice", "k", "d") is None  # the process that began it has died


# -- bodies ------------------------------------------------------------------------------------------------------------


def chunked(world: World, path: str, content: bytes) -> Any:
    """The answer to a body whose length is not announced, as gunicorn hands it over."""
    return world.client("alice").post(
        path, input_stream=io.BytesIO(content), content_type="application/json",
        headers={"Transfer-Encoding": "chunked"}, environ_overrides={"wsgi.input_terminated": True},
    )  # fmt: skip


def test_bodies_without_a_length_are_read(world: World) -> None:
    answer = chunked(world, "/api/v1/runs", b'{"analysis": "tiny", "parameters": {"n": 9}}')
    assert answer.status_code == 201, answer.text
    assert world.database.get_run(answer.json["id"]).request["parameters"]["n"] == 9
    kept = chunked(world, "/api/secrets", json.dumps({"KEY": {"value": "eA==", "type": "env"}}).encode())
    assert kept.status_code == 201, kept.text


@pytest.mark.parametrize("path", ["/api/v1/runs", "/api/v1/runs/x/stop"])
def test_no_more_of_a_body_is_read_than_a_document_may_have(
    world: World, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, large = 2 * SMALL_BYTES, b" " * 3 * SMALL_BYTES
    monkeypatch.setattr(endpoint, "JSON_LIMIT_BYTES", limit)
    monkeypatch.setattr(asking, "BODY_BYTES", limit)
    assert chunked(world, path, large).status_code in (400, 404, 413)
    sent = world.client("alice").post(path, data=large, content_type="application/json", headers=KEY)
    assert sent.status_code in (400, 413), sent.text
    assert world.client("alice").post("/api/workflows", data=large).status_code == 400


def test_a_request_that_is_being_answered_says_so_and_the_client_waits(world: World) -> None:
    alice = world.client("alice")
    body = json.dumps({"analysis": "tiny"}).encode()
    with world.app.test_request_context("/api/v1/runs", method="POST", data=body, content_type="application/json"):
        digest = endpoint._digest(next(one for one in endpoint.ENDPOINTS if one.name == "submit_run"))
    repeats.begin(world.database, "alice", "again", digest)
    answer = alice.post("/api/v1/runs", data=body, content_type="application/json", headers=KEY)
    assert answer.status_code == 409
    assert answer.json["error"]["details"]["pending"] is True
    assert int(answer.headers["Retry-After"]) >= 1
    other = alice.post("/api/v1/runs", json={"analysis": "counting"}, headers=KEY)
    assert other.status_code == 409
    assert "pending" not in other.json["error"]["details"]
