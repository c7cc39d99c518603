"""How `recast run` shows one run while it goes: a bar on a terminal, a line now and then elsewhere. On standard error."""

from __future__ import annotations

import time

from reana_lite.cli.bar import LINE_EVERY_S, Bar
from reana_lite.drive import Drive


class Progress(Bar):
    """A context in which `watch` (for Worker) and `say` keep the user told."""

    columns = ("spinner", "text", "bar", "count", "time")

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._printed_at = 0.0
        self._failed = 0

    def watch(self, drive: Drive) -> None:
        """Show where a run stands now."""
        counts = drive.engine.progress()
        text = "".join(f", {counts[name]} {name}" for name in ("running", "reused", "failed") if counts[name])
        if self.is_live:
            self.move(counts["finished"], counts["total"], text[2:])
        elif counts["failed"] > self._failed or time.monotonic() - self._printed_at > LINE_EVERY_S:
            self._printed_at = time.monotonic()
            self.say(f"{counts['finished']} of {counts['total']} steps finished{text}")
        self._failed = counts["failed"]
