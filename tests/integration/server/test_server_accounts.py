"""Accounts and tokens: what a token may make, what is left of an account that is removed, that somebody may administer; and
that nobody learns of what others have."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from serving import World

from reana_lite.database import secrets, shares, tokens, users
from reana_lite.database.users import Role, User
from reana_lite.errors import Conflict, NotFound, ReanaLiteError

# -- what others have --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["secret", "secret-g", "secret-gluino", "s", "latest", "secret-gluino-2TeV", "r"])
def test_names_of_others_are_not_completed(world: World, asked: str) -> None:
    alice = world.client("alice")
    for name in ("secret-gluino-2TeV", "secret-squark-3TeV", "secret-lone"):
        run = alice.post("/api/v1/runs", json={"analysis": "tiny", "name": name})
        scan = {"analyses": ["tiny"], "axes": {"n": [len(name), 1]}, "name": name}
        campaign = alice.post("/api/v1/campaigns", json=scan)
        assert (run.status_code, campaign.status_code) == (201, 201)
    bob = world.client("bob")
    for path in (f"/api/v1/runs/{asked}", f"/api/v1/runs/{run.json['id'][:5]}", f"/api/v1/campaigns/{asked}",
                 f"/api/v1/campaigns/{campaign.json['id'][:5]}", f"/runs/{asked}", f"/campaigns/{asked}"):  # fmt: skip
        answer = bob.get(path)
        assert answer.status_code == 404, path
        assert "gluino" not in answer.text.replace(asked, "")


# -- tokens ------------------------------------------------------------------------------------------------------------


def with_token(world: World, role: Role, *, days: float = 0, owner: str = "alice") -> Any:
    """A client with a token of alice's."""
    world.tokens["made"], _ = tokens.add(world.database, owner, role=role, valid_s=days * 86400)
    return world.client("made")


def test_a_token_that_only_looks_makes_and_revokes_none(world: World) -> None:
    looking = with_token(world, Role.READ_ONLY)
    assert looking.post("/api/v1/tokens", json={"name": "t", "role": "read-only", "days": 0}).status_code == 403
    for record in tokens.listed(world.database, "alice"):
        assert looking.delete(f"/api/v1/tokens/{record.id}").status_code == 403
    looking.post("/profile/tokens", data={"name": "t", "days": "30"})
    assert len(tokens.listed(world.database, "alice")) == 2


def test_who_only_looks_looks_after_their_own_tokens_when_signed_in(world: World) -> None:
    from reana_lite.server import auth

    browser = world.browser("eve")
    cookie = browser.get_cookie(auth.COOKIE)
    form = {auth.CSRF_FIELD: auth._csrf(cookie.value)}
    assert browser.post("/profile/tokens", data={"name": "t", "days": "30", "once": "a", **form}).status_code < 400
    (made,) = [record for record in tokens.listed(world.database, "eve") if record.name == "t"]
    assert made.role is Role.READ_ONLY
    assert browser.post(f"/profile/tokens/{made.id}/revoke", data=form).status_code < 400
    assert made.id not in [record.id for record in tokens.listed(world.database, "eve")]


@pytest.mark.parametrize("days", [0, 3650, 90])
def test_a_token_makes_none_that_outlives_it(world: World, days: int) -> None:
    made = with_token(world, Role.USER, days=1).post("/api/v1/tokens", json={"name": "t", "days": days})
    assert made.status_code == 201
    own = max(record.expires_at for record in tokens.listed(world.database, "alice") if record.name != "t")
    assert 0 < made.json["expires_at"] <= own + 1


def test_a_token_without_end_makes_any(world: World) -> None:
    assert world.client("alice").post("/api/v1/tokens", json={"name": "t", "days": 0}).json["expires_at"] is None


# -- accounts that are removed -----------------------------------------------------------------------------------------


def test_nobody_is_given_the_name_of_somebody_whose_runs_are_kept(world: World) -> None:
    root, alice, database = world.client("root"), world.client("alice"), world.database
    run = alice.post("/api/v1/runs", json={"analysis": "tiny"}, headers={"Idempotency-Key": "k"}).json["id"]
    secrets.add(database, "alice", "PASSWORD", value=b"hers")
    bobs = world.client("bob").post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    world.client("bob").put(f"/api/v1/runs/{bobs}/shares/alice")
    assert root.delete("/api/v1/users/alice").status_code == 204
    assert alice.get("/api/v1/me").status_code == 401
    assert secrets.listed(database, "alice") == []
    assert shares.users_of(database, "run", bobs) == []
    again = root.post("/api/v1/users", json={"name": "alice"})
    assert again.status_code == 409
    assert "choose another name" in again.json["error"]["message"]
    assert database.get_run(run).owner == "alice"
    assert "alice" not in [user["name"] for user in root.get("/api/v1/users").json["items"]]
    for method in ("get", "delete"):
        assert getattr(root, method)("/api/v1/users/alice").status_code == 404
    assert root.patch("/api/v1/users/alice", json={"disabled": False}).status_code == 404
    assert users.find_login(database, "alice@example.org") is None


def test_who_leaves_nothing_leaves_their_name(world: World) -> None:
    root = world.client("root")
    secrets.add(world.database, "bob", "PASSWORD", value=b"his")
    assert root.delete("/api/v1/users/bob").status_code == 204
    assert root.post("/api/v1/users", json={"name": "bob"}).status_code == 201
    assert secrets.listed(world.database, "bob") == []


# -- somebody may administer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["remove", "disable", "demote"])
def test_two_administrators_cannot_remove_each_other(world: World, way: str) -> None:
    """Else nobody were left, and a server without accounts lets in by the settings alone."""
    database = world.database
    users.add(database, User("second", Role.ADMIN))
    together = threading.Barrier(2, timeout=30)

    def act(name: str) -> bool:
        user = users.get(database, name)
        together.wait()
        try:
            if way == "remove":
                users.remove(database, name)
            elif way == "disable":
                users.change(database, User(name, Role.ADMIN, disabled=True))
            else:
                users.change(database, User(name, Role.USER, email=user.email))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(act, ("root", "second"))) == [False, True]
    assert [one for one in users.listed(database) if one.role is Role.ADMIN and not one.disabled]


def test_the_last_administrator_stays(world: World) -> None:
    users.add(world.database, User("second", Role.ADMIN, disabled=True))
    for changed in (User("root", Role.ADMIN, disabled=True), User("root", Role.USER)):
        with pytest.raises(Conflict, match="last administrator"):
            users.change(world.database, changed)
    with pytest.raises(ReanaLiteError, match="last administrator"):
        users.remove(world.database, "root")
    users.remove(world.database, "second")
    with pytest.raises(NotFound):
        users.change(world.database, User("second"))
