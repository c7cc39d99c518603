"""Campaigns where the world is not as it should be: outages, texts that are not taken, files that have gone."""

from __future__ import annotations

import io
import os
import shutil
import time
from typing import Any

import pytest
from serving import THEORY, World

from reana_lite.database import campaigns
from reana_lite.errors import Conflict, InvalidInput, Unavailable
from reana_lite.planning import Planner
from reana_lite.server import driving, uploads
from reana_lite.server.installation import Installation


def scan(world: World, *, status: int = 201, who: str = "alice", **asked: Any) -> Any:
    """The answer to a scan of `tiny`."""
    sent = world.client(who).post("/api/v1/campaigns", json={"analyses": ["tiny"], **asked})
    assert sent.status_code == status, sent.text
    return sent.json


def enrolling(world: World, ahead: int = 100) -> driving.Enroller:
    found = driving.Enroller(Installation(world.settings, world.database, world.storage), ahead=ahead)
    found.looks = lambda: setattr(found, "_looked_at", -driving.LOOK_S)  # type: ignore[attr-defined]
    return found


def states(world: World, campaign: str) -> dict[str, int]:
    return dict(campaigns.progress(world.database, campaign).points)


def theories(world: World, *masses: int) -> list[str]:
    """Digests of uploaded theory files."""
    files = [(io.BytesIO(THEORY.replace(b"2000", str(mass).encode())), f"m{mass}.yml") for mass in masses]
    sent = world.client("alice").post("/api/v1/theories", data={"file": files})
    assert sent.status_code == 201, sent.text
    return [one["digest"] for one in sent.json["items"]]


def of_files(world: World, *masses: int) -> str:
    """The id of a campaign of `counting` with a theory file for each point."""
    digests = theories(world, *masses)
    body = {"analyses": ["counting"], "theory_points": digests, "parameters": {"n_events": 100, "blocks": [1]}}
    sent = world.client("alice").post("/api/v1/campaigns", json=body)
    assert sent.status_code == 201, sent.text
    return str(sent.json["id"])


# -- outages -----------------------------------------------------------------------------------------------------------


def test_an_outage_of_the_storage_refuses_no_point(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = scan(world, axes={"n": "1:12:1"})["id"]
    started, calls = Planner.started, []

    def failing(self: Planner, *args: Any, **more: Any) -> Any:
        calls.append(args)
        if 3 < len(calls) < 7:
            raise Unavailable("the bucket does not answer")
        return started(self, *args, **more)

    monkeypatch.setattr(Planner, "started", failing)
    campaign_of = enrolling(world)
    for _ in range(3):
        campaign_of.looks()
        campaign_of.tick()
        assert states(world, campaign) == {"queued": 3, "planned": 9}  # what was read before the outage goes on
        campaign_of._not_before.clear()
    campaign_of.looks()
    campaign_of.tick()
    assert states(world, campaign) == {"queued": 12}
    campaign_of.close()


def test_a_campaign_that_waits_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, goes_on = (scan(world, axes={"n": axis})["id"] for axis in ("1:3:1", "6:8:1"))
    enrolment, tries = driving.Enroller._enrolment, []

    def broken(self: driving.Enroller, record: Any) -> Any:
        if record.id == waits:
            tries.append(record.id)
            raise Unavailable("hepdata.net does not answer", retry_after_s=3600)
        return enrolment(self, record)

    monkeypatch.setattr(driving.Enroller, "_enrolment", broken)
    found = enrolling(world)
    for _ in range(20):
        found.looks()
        found.tick()
    assert states(world, goes_on) == {"queued": 3}
    assert states(world, waits) == {"planned": 3}
    assert len(tries) == 1, "it is not tried again at once"
    assert found._not_before[waits] - time.monotonic() <= driving.LATER_S, "nor after an hour"
    found._not_before.clear()
    monkeypatch.setattr(driving.Enroller, "_enrolment", enrolment)
    found.looks()
    found.tick()
    assert states(world, waits) == {"queued": 3}
    found.close()


def test_what_cannot_be_read_at_this_moment_is_read_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = scan(world, axes={"n": [1, 2]})["id"]
    found = enrolling(world)
    with monkeypatch.context() as patched:

        def changing(*_: Any, **__: Any) -> Any:
            raise Conflict("the catalogue is being changed")

        patched.setattr(Planner, "frames", changing)
        found.tick()
        assert states(world, campaign) == {"planned": 2}
    found.looks()
    found.tick()
    assert states(world, campaign) == {"planned": 2}, "it waits"
    found._not_before.clear()
    found.looks()
    found.tick()
    assert states(world, campaign) == {"queued": 2}
    found.close()


def test_what_is_wrong_itself_is_refused_and_says_why(world: World) -> None:
    campaign = scan(world, axes={"n": [1, 2]})["id"]
    (world.settings.home / "catalogue" / "tiny" / "workflow.yml").write_text("stages: 1\n")
    found = enrolling(world)
    found.tick()
    assert states(world, campaign) == {"refused": 2}
    found.close()


# -- enrolment does not hold the worker up, and keeps nothing ------------------------------------------------------------


def test_enrolment_gives_the_loop_back_after_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (scan(world, axes={"n": axis})["id"] for axis in ("1:5:1", "6:8:1"))
    monkeypatch.setattr(driving, "TURN_S", 0.0)
    found = enrolling(world)
    turns = before = 0
    while len({*states(world, first), *states(world, second)} & {"planned"}):
        done = states(world, first).get("queued", 0) + states(world, second).get("queued", 0)
        assert done - before <= 1, "one point at a time"
        before = done
        found.tick()
        turns += 1
        if turns == 4:
            assert states(world, second).get("queued"), "each has its turn"
        assert turns < 20
    found.close()


def test_a_campaign_whose_points_have_their_runs_leaves_nothing_behind(world: World) -> None:
    scan(world, axes={"n": [1, 2]})
    found = enrolling(world)
    found.tick()
    found.looks()
    found.tick()
    assert found._known == {}
    assert found._not_before == {}
    found.close()


# -- texts of points -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "points",
    [{"axes": {"note": ["/etc/passwd"]}}, {"points": [{"note": "/etc/passwd"}]}, {"table": "note\n/etc/passwd\n"}],
    ids=["axes", "points", "table"],
)
def test_free_texts_are_no_axes(world: World, points: dict[str, Any]) -> None:
    refused = scan(world, status=400, **points)
    assert "free text" in refused["error"]["message"]
    campaign = scan(world, axes={"n": [1]})["id"]
    more = world.client("alice").post(f"/api/v1/campaigns/{campaign}/extend", json=points)
    assert more.status_code == 400, more.text


def test_bounded_texts_are_axes(world: World) -> None:
    scan(world, points=[{"code": "ab-c"}, {"code": "x"}])
    scan(world, points=[{"word": "good bye"}])
    with pytest.raises(InvalidInput):
        list(uploads_points_with("a b"))


def uploads_points_with(text: str) -> Any:
    """A point whose name no analysis declares goes into templates only, and still is a plain word."""
    from reana_lite.guest import check_points
    from reana_lite.theory.scan import Point

    return check_points([Point("p", {"other": text})])


# -- campaigns of theory files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "field", "words"), [
    ({"axes": {"m_gluino": ["2200"]}}, "m_lsp", ["m_lsp has no value", "m_gluino, m_lsp"]),
    ({"axes": {"m_gluino": ["2200"], "m_lsp": ["0"], "m_stop": ["1"]}}, "", ["m_stop"]),
    ({"points": [{"m_gluino": 2200}]}, "m_lsp", ["m_lsp has no value"]),
    ({"table": "m_lsp\n0\n"}, "m_gluino", ["m_gluino has no value"]),
])  # fmt: skip
def test_an_extension_has_a_value_for_each_axis_and_no_others(
    world: World, more: dict[str, Any], field: str, words: list[str]
) -> None:
    alice = world.client("alice")
    body = {"analyses": ["counting"], "axes": {"m_gluino": ["1800", "2000"], "m_lsp": ["300"]}}
    campaign = alice.post("/api/v1/campaigns", json=body).json
    refused = alice.post(f"/api/v1/campaigns/{campaign['id']}/extend", json=more)
    assert refused.status_code == 400, refused.text
    assert all(word in refused.json["error"]["message"] for word in words), refused.text
    assert not field or refused.json["error"]["details"]["field"] == field
    assert alice.get(f"/api/v1/campaigns/{campaign['id']}").json["points"]["total"] == 2
    whole = {"axes": {"m_gluino": ["2200"], "m_lsp": ["300"]}}
    assert alice.post(f"/api/v1/campaigns/{campaign['id']}/extend", json=whole).json["added"] == 1
    others = alice.post(f"/api/v1/campaigns/{campaign['id']}/extend", json={"parameters": {"n_events": 700}})
    assert others.status_code == 200, others.text
    assert others.json["added"] == 0
    assert others.json["campaign"]["points"]["total"] == 3


def test_an_extension_takes_no_free_texts_either(world: World) -> None:
    campaign, alice = scan(world, axes={"n": [1]})["id"], world.client("alice")
    for more in ({"axes": {"n": ["2"], "note": ["/etc/passwd"]}}, {"parameters": {"note": "/etc/passwd"}}):
        refused = alice.post(f"/api/v1/campaigns/{campaign}/extend", json=more)
        assert refused.status_code == 400, refused.text
        assert "note" in refused.json["error"]["message"]
    assert alice.get(f"/api/v1/campaigns/{campaign}").json["points"]["total"] == 1


def test_points_do_not_say_where_files_lie(world: World) -> None:
    campaign = of_files(world, 1000, 1500)
    answer = world.client("alice").get(f"/api/v1/campaigns/{campaign}/points")
    assert str(world.settings.home) not in answer.text
    assert all(row["source"].startswith("sha256:") for row in answer.json["items"])
    theory = world.client("alice").get(f"/api/v1/theories/{answer.json['items'][0]['source']}")
    assert theory.json["name"] == "m1000.yml"


def test_files_of_points_are_brought_back_where_they_are_needed(world: World) -> None:
    """Another machine's worker has none of them."""
    campaign = of_files(world, 1000, 1500)
    shutil.rmtree(world.settings.home / "spool")
    found = enrolling(world)
    found.tick()
    assert states(world, campaign) == {"queued": 2}
    found.close()


def test_a_campaign_of_files_is_computed_with_other_parameters(world: World) -> None:
    campaign = of_files(world, 1000, 1500)
    shutil.rmtree(world.settings.home / "spool")
    sent = world.client("alice").post(f"/api/v1/campaigns/{campaign}/extend", json={"parameters": {"n_events": 200}})
    assert sent.status_code == 200, sent.text
    assert sent.json["added"] == 0
    found = enrolling(world)
    found.tick()
    found.close()
    runs = world.database.list_runs(campaign=campaign)
    assert {world.database.get_run(run.id).request["parameters"]["n_events"] for run in runs} == {200}


def test_copies_that_nobody_asks_for_go(world: World) -> None:
    spool = world.settings.home / "spool"
    theories(world, 1000, 1500)
    here = Installation(world.settings, world.database, world.storage)
    from reana_lite.database import theory_files

    records = theory_files.listed(world.database, "alice")
    old, used = (uploads.path_of(here, record) for record in records)
    left, fresh = spool / "upload-left", spool / "upload-fresh"
    for folder in (left, fresh):
        folder.mkdir()
        (folder / "x").write_text("x")
    long_ago = time.time() - uploads.COPY_S - 60
    for path in (old, used, left):
        os.utime(path, (long_ago, long_ago))
    uploads.path_of(here, records[1])
    uploads.clear(spool)
    assert not old.parent.exists()
    assert used.is_file()
    assert not left.exists()
    assert fresh.is_dir()
    assert uploads.path_of(here, records[0]).read_bytes().startswith(b"m_gluino")


def test_a_copy_that_cannot_be_brought_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    theories(world, 1000)
    here = Installation(world.settings, world.database, world.storage)
    from reana_lite.database import theory_files

    def silent(*_: Any) -> Any:
        raise Unavailable("the bucket does not answer")

    monkeypatch.setattr(world.storage, "open", silent)
    (record,) = theory_files.listed(world.database, "alice")
    with pytest.raises(Unavailable):
        uploads.path_of(here, record)
    assert [path for path in (world.settings.home / "spool").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["x" * 200 + ".yml", "-" * 99 + "a.yml", "x" + "." * 99, "a" + "-" * 120 + ".slha"])
def test_names_begin_with_a_letter_however_long_they_are(name: str) -> None:
    plain = uploads.plain_name(name)
    assert len(plain) <= uploads.NAME_LIMIT
    assert plain[0] not in "-."
