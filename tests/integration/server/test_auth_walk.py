"""Role x owner over every endpoint, as the OpenAPI document lists them: a new endpoint is in the walk the day it is declared.

What belongs to alice is not there for bob and eve (404, never 403), is there for root; nobody gets in without a token (401);
a read-only token changes nothing (403).
"""

from __future__ import annotations

import io

import pytest
from serving import THEORY, World

from reana_lite.database import tokens, users
from reana_lite.server.api import described

OPERATIONS = [
    (path, method, operation) for path, methods in described()["paths"].items() for method, operation in methods.items()
]
OWNED = {"run", "campaign", "digest", "token"}
BODIES = {
    "submit_run": {"analysis": "tiny"}, "submit_campaign": {"analyses": ["tiny"], "axes": {"n": [1]}},
    "extend_campaign": {"axes": {"n": [9]}}, "plan": {"run": {"analysis": "tiny"}}, "create_token": {"name": "walk"},
    "create_user": {"name": "walker"}, "change_user": {"full_name": "Bob"},
}  # fmt: skip
NOT_THERE = {"delete_theory", "get_theory", "get_theory_content", "revoke_token"}
"""What even an administrator has only of their own."""


@pytest.fixture
def things(world: World) -> dict[str, str]:
    """One of each kind, alice's."""
    alice = world.client("alice")
    run = alice.post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    world.drive()
    campaign = alice.post("/api/v1/campaigns", json={"analyses": ["tiny"], "axes": {"n": [1]}}).json["id"]
    upload = {"file": (io.BytesIO(THEORY), "theory.yml")}
    digest = alice.post("/api/v1/theories", data=upload).json["items"][0]["digest"]
    token = alice.post("/api/v1/tokens", json={"name": "walk"}).json["id"]
    path = alice.get(f"/api/v1/runs/{run}/artifacts").json["items"][0]["path"]
    return {
        "run": run,
        "campaign": campaign,
        "digest": digest,
        "token": token,
        "analysis": "tiny",
        "user": "bob",
        "path": path,
    }


def ask(world: World, name: str, path: str, method: str, operation, things) -> int:
    """The status of the answer to somebody."""
    more = {}
    if "requestBody" in operation:
        if "multipart/form-data" in operation["requestBody"]["content"]:
            more["data"] = {"file": (io.BytesIO(THEORY), "theory.yml")}
        else:
            more["json"] = BODIES.get(operation["operationId"], {})
            if operation["operationId"] == "compare":
                more["json"] = {"runs": [things["run"]], "campaigns": [things["campaign"]]}
    query = {}
    if operation["operationId"].startswith("follow"):
        query["once"] = "true"
    if operation["operationId"] == "follow_log":
        query["node"] = "/count/0"
    client = world.client(name)
    answer = client.open(path.format(**things), method=method.upper(), query_string=query, **more)
    status = answer.status_code
    answer.close()
    return status


def test_the_walk_is_over_all_routes(world) -> None:
    declared = {(path, method) for path, method, _ in OPERATIONS}
    import re

    for rule in world.app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/") and "api." in rule.endpoint:
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                assert (path, method.lower()) in declared


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=[o["operationId"] for _, _, o in OPERATIONS])
def test_who_may(world, things, path, method, operation) -> None:
    def status(name: str) -> int:
        return ask(world, name, path, method, operation, things)

    name = operation["operationId"]
    if operation.get("security") == []:
        assert status("") == 200
        return
    assert status("") == 401
    verb = operation["x-needs"]
    owned = any(f"{{{one}}}" in path for one in OWNED) or name == "compare"
    if verb == "administer":
        assert {status("alice"), status("bob"), status("eve")} == {403}
        assert status("root") < 400
        return
    if owned:
        assert status("bob") == 404
        assert status("eve") == (403 if verb == "submit" else 404)
        if name in NOT_THERE:
            assert status("root") == 404
        changed = status("alice")
        assert changed < 400 or changed in (404, 409), changed  # as its state allows
        return
    assert status("eve") == (403 if verb == "submit" else 200 if method == "get" else 201)
    assert status("bob") < 300
    assert status("root") < 300


@pytest.mark.parametrize(("path", "method", "operation"), [
    one for one in OPERATIONS if "{run}" in one[0] or "{campaign}" in one[0]
], ids=[o["operationId"] for p, _, o in OPERATIONS if "{run}" in p or "{campaign}" in p])  # fmt: skip
def test_what_is_shared_is_looked_at_only(world, things, path, method, operation) -> None:
    alice = world.client("alice")
    for kind in ("run", "campaign"):
        answer = alice.put(f"/api/v1/{kind}s/{things[kind]}/shares/bob")
        assert answer.status_code == 200
    status = ask(world, "bob", path, method, operation, things)
    name = operation["operationId"]
    if method == "get" and "shares" not in path:
        assert status in (200, 404), name
        assert status == 200 or name in ("get_result", "export_run")  # that run has no result document
    elif name == "rerun":
        assert status == 201
    else:
        assert status == 403, name


CHANGES = [
    one for one in OPERATIONS
    if one[1] != "get" and one[2]["operationId"] != "compare"
]  # fmt: skip


@pytest.mark.parametrize(("path", "method", "operation"), CHANGES, ids=[o["operationId"] for _, _, o in CHANGES])
def test_a_read_only_token_of_its_owner_changes_nothing(world, things, path, method, operation) -> None:
    world.tokens["reader"], _ = tokens.add(world.database, "alice", role=users.Role.READ_ONLY)
    assert ask(world, "reader", path, method, operation, things) == 403
