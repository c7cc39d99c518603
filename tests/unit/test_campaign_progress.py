"""What the user is told of a campaign while it goes."""

from __future__ import annotations

import pytest

from reana_lite.campaign import Progress
from reana_lite.cli.campaign_progress import describe, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (44.6, "45 s"), (99.0, "99 s"), (130.0, "2 min"), (5900.0, "98 min"), (9000.0, "2.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_campaign_in_a_line() -> None:
    steps = {"total": 20, "finished": 12, "reused": 5, "failed": 0, "running": 2}
    progress = Progress({"finished": 3, "failed": 1, "refused": 1, "running": 2}, steps)
    assert describe(progress, 90.0) == "12 steps, 5 reused, 2 running, 2 points failed, about 90 s left"
    assert describe(Progress({"queued": 1}, dict.fromkeys(steps, 0)), None) == "0 steps"
