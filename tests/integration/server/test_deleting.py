"""Runs and campaigns are deleted by their owner from pages and the API: asked once more, never while one runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from serving import World

from reana_lite.database import audit

SCAN = {"analyses": ["tiny"], "axes": {"n": [1, 2]}}


def sent(client: FlaskClient, path: str) -> Any:
    """The form of the page at that path, sent."""
    page = client.get(path)
    assert page.status_code == 200, page.text
    form = re.search(
        r'<form method="post" action="([^"]+/delete)"><input type="hidden" name="csrf" value="([0-9a-f]+)">', page.text
    )
    assert form is not None
    return client.post(form[1], data={"csrf": form[2]})


def noted(world: World) -> list[tuple[str, str]]:
    return [(row["who"], row["what"]) for row in audit.listed(world.database) if row["what"].startswith("delete")]


def test_a_run(world: World) -> None:
    alice = world.browser("alice")
    made = world.client("alice").post("/api/v1/runs", json={"analysis": "tiny"}).json
    run = made["id"]
    asked = f"/runs/{run}/delete"
    assert asked not in alice.get(f"/runs/{run}").text  # it is not over
    refused = sent(alice, asked)
    assert "stop it first" in alice.get(refused.location).text
    world.drive()
    assert asked in alice.get(f"/runs/{run}").text
    done = sent(alice, asked)
    assert done.location.endswith("/runs")
    assert f"{made['name']}" in alice.get("/runs").text  # is said once
    assert run not in alice.get("/runs").text
    assert alice.get(f"/runs/{run}").status_code == 404
    assert noted(world) == [("alice", "delete run")]


def test_a_campaign(world: World) -> None:
    alice, api = world.browser("alice"), world.client("alice")
    campaign = api.post("/api/v1/campaigns", json=SCAN).json["id"]
    asked = f"/campaigns/{campaign}/delete"
    refused = sent(alice, asked)
    assert "stop it first" in alice.get(refused.location).text
    world.drive()
    runs = [row["run"] for row in api.get(f"/api/v1/campaigns/{campaign}/points").json["items"]]
    assert asked in alice.get(f"/campaigns/{campaign}").text
    assert "2 runs" in alice.get(sent(alice, asked).location).text
    for path in (f"/campaigns/{campaign}", *(f"/runs/{run}" for run in runs)):
        assert alice.get(path).status_code == 404
        assert api.get(f"/api/v1{path}").status_code == 404
    assert api.get("/api/v1/runs").json["items"] == []
    assert noted(world) == [("alice", "delete campaign")]
    again = api.post("/api/v1/campaigns", json=SCAN)  # an equal request is a new campaign
    assert again.status_code == 201
    assert not again.json["known"]
    world.drive()
    assert api.get(f"/api/v1/campaigns/{again.json['id']}").json["points"]["finished"] == 2


def test_a_stopped_campaign_with_points_that_have_no_run(world: World) -> None:
    api = world.client("alice")
    campaign = api.post("/api/v1/campaigns", json=SCAN).json["id"]
    refused = api.delete(f"/api/v1/campaigns/{campaign}")
    assert refused.status_code == 409
    assert "stop it first" in refused.json["error"]["message"]
    assert api.post(f"/api/v1/campaigns/{campaign}/stop").status_code == 200
    world.drive()
    assert api.delete(f"/api/v1/campaigns/{campaign}").status_code == 204
    assert api.delete(f"/api/v1/campaigns/{campaign}").status_code == 404


@pytest.mark.parametrize(("who", "status"), [("bob", 404), ("eve", 404), ("root", 303)])
def test_who_may(world: World, who: str, status: int) -> None:
    run = world.client("alice").post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    world.drive()
    other = world.browser(who)
    assert other.get(f"/runs/{run}/delete").status_code == (200 if status == 303 else status)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', other.get("/profile").text)
    assert token is not None
    assert other.post(f"/runs/{run}/delete", data={"csrf": token[1]}).status_code == status
    assert world.client("alice").get(f"/api/v1/runs/{run}").status_code == (404 if status == 303 else 200)


def test_what_is_shared_is_not_deleted_by_others_nor_without_the_forms_token(world: World) -> None:
    api, bob = world.client("alice"), world.browser("bob")
    run = api.post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    world.drive()
    api.put(f"/api/v1/runs/{run}/shares/bob")
    assert bob.get(f"/runs/{run}").status_code == 200
    assert f"/runs/{run}/delete" not in bob.get(f"/runs/{run}").text
    assert bob.get(f"/runs/{run}/delete").status_code == 403
    assert world.browser("alice").post(f"/runs/{run}/delete").status_code == 403
    assert api.get(f"/api/v1/runs/{run}").status_code == 200
