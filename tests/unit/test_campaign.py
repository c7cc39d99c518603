"""Campaigns as values: what makes two requests the same one, and the state that points add up to."""

from __future__ import annotations

import json

import pytest

from reana_lite.campaign import CampaignState, Progress, Request, identity
from reana_lite.theory.scan import grid, parse_axis, scan_of

SCAN = scan_of(grid([parse_axis("a=1:3:1")]))


def test_the_same_request_is_the_same_campaign() -> None:
    assert identity(["x", "y"], SCAN) == identity(["y", "x"], SCAN)
    assert identity(["x"], SCAN) == identity(["x"], scan_of(grid([parse_axis("a=1,2,3")])))
    others = [identity(["x"], SCAN, reuse=False), identity(["z"], SCAN), identity(["x"], scan_of(SCAN.points[:2]))]
    assert len({identity(["x"], SCAN), *others}) == 4


def test_requests_survive_json() -> None:
    request = Request(("a", "b"), ("f",), ("n=1",), "gluino", stand_ins={"i": "l"}, folder="/x", reuse=False)
    assert Request.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@pytest.mark.parametrize(
    ("points", "stopped", "state"),
    [
        ({"planned": 3}, False, CampaignState.PLANNED),
        ({"queued": 3}, False, CampaignState.PLANNED),
        ({"queued": 2, "running": 1}, False, CampaignState.RUNNING),
        ({"queued": 2, "finished": 1}, False, CampaignState.RUNNING),
        ({"planned": 2, "finished": 1}, False, CampaignState.RUNNING),
        ({"finished": 3}, False, CampaignState.FINISHED),
        ({"finished": 2, "failed": 1}, False, CampaignState.FAILED),
        ({"finished": 2, "refused": 1}, False, CampaignState.FAILED),
        ({"finished": 2, "stopped": 1}, False, CampaignState.STOPPED),
        ({"planned": 2, "finished": 1}, True, CampaignState.STOPPED),
        ({"running": 1, "stopped": 1}, True, CampaignState.RUNNING),
    ],
)
def test_states(points: dict[str, int], stopped: bool, state: CampaignState) -> None:
    progress = Progress(points, {}, stopped)
    assert progress.state is state
    assert progress.total == sum(points.values()) == progress.to_dict()["points"]["total"]


def test_what_is_left() -> None:
    progress = Progress({"finished": 4, "refused": 1, "queued": 5}, {})
    assert progress.left_s(took_s=20.0, done=4) == 25.0
    assert progress.left_s(took_s=20.0, done=0) is None
