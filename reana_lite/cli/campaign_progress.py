"""How a campaign is shown while it goes: one bar on a terminal, a line now and then elsewhere. On standard error."""

from __future__ import annotations

import time

from reana_lite.campaign import Progress
from reana_lite.cli.bar import LINE_EVERY_S, Bar
from reana_lite.database import Database, campaigns
from reana_lite.drive import Drive

LOOK_EVERY_S = 1.0
"""How often the counts are read on a terminal (seconds)."""

FAILURES_SAID = 10
"""Points whose failure is said at once; the others are listed at the end."""


class CampaignProgress(Bar):
    """A context in which `tick`, `watch` (for Worker) and `say` keep the user told."""

    columns = ("spinner", "bar", "count", "points", "time", "text")

    def __init__(self, database: Database, campaign: str, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self.database = database
        self.campaign = campaign
        self._failures = 0
        self._began_at = self._looked_at = time.monotonic()
        self._took_s = 0.0
        self._over_before: int | None = None

    def watch(self, drive: Drive) -> None:
        """Say which point has failed, while these are few."""
        if drive.finish is None or str(drive.finish.state) != "failed":
            return
        self._failures += 1
        if self._failures <= FAILURES_SAID:
            self.say(f"{self.database.get_run(drive.run).theory} failed: {drive.finish.error} (run {drive.run})")

    def tick(self) -> None:
        """Show where the campaign stands now, if it is time."""
        now = time.monotonic()
        every_s = max(LOOK_EVERY_S if self.is_live else LINE_EVERY_S, 20.0 * self._took_s)
        first = self._over_before is None
        if self.quiet or (not first and now - self._looked_at < every_s):
            return
        self._looked_at = now
        progress = campaigns.progress(self.database, self.campaign)
        self._took_s = time.monotonic() - now  # large campaigns are counted less often
        if self._over_before is None:
            self._over_before = progress.over
        left_s = progress.left_s(took_s=now - self._began_at, done=progress.over - self._over_before)
        text = describe(progress, left_s)
        if self.is_live:
            self.move(progress.over, progress.total, text)
        elif not first:
            self.say(f"{progress.over} of {progress.total} points; {text}")


def describe(progress: Progress, left_s: float | None) -> str:
    """Steps by what became of them, and when it may be over."""
    steps = progress.steps
    parts = [f"{steps['finished']} steps"]
    parts += [f"{steps[name]} {name}" for name in ("reused", "running", "failed") if steps[name]]
    parts += [f"{bad} points failed"] if (bad := progress.count("failed", "refused")) else []
    if left_s is not None:
        parts.append(f"about {duration(left_s)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
