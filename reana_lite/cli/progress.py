"""How `recast run` shows one run while it goes: a bar on a terminal, a line now and then elsewhere. On standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from reana_lite.cli.screen import err, plain
from reana_lite.drive import Drive

LINE_EVERY_S = 10.0
"""Without a terminal a line is printed when a node fails, at the end, and at most this often in between (seconds)."""


class Progress:
    """A context in which `watch` (for Worker) and `say` keep the user told."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live: Any = None
        self._bar: Any = None
        self._printed_at = 0.0
        self._failed = 0

    def __enter__(self) -> Progress:
        if not self.quiet and sys.stderr.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._live = Bars(*columns, TimeElapsedColumn(), console=err(), transient=True)
            self._bar = self._live.add_task("starting", total=None)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """One line for the user, above the bar."""
        if not self.quiet:
            (self._live.console if self._live is not None else err()).print(plain(line), markup=False)

    def watch(self, drive: Drive) -> None:
        """Show where a run stands now."""
        counts = drive.engine.progress()
        text = "".join(f", {counts[name]} {name}" for name in ("running", "reused", "failed") if counts[name])
        if self._live is not None:
            self._live.update(self._bar, completed=counts["finished"], total=counts["total"], description=text[2:])
        elif counts["failed"] > self._failed or time.monotonic() - self._printed_at > LINE_EVERY_S:
            self._printed_at = time.monotonic()
            self.say(f"{counts['finished']} of {counts['total']} steps finished{text}")
        self._failed = counts["failed"]
