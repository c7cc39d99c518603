"""One bar on a terminal and nothing elsewhere, with lines above it; on standard error. Called by both progress displays."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from reana_lite.cli.screen import err, plain

LINE_EVERY_S = 10.0
"""How often, at most, a line is printed where there is no terminal (seconds), if nothing of weight has happened."""


class Bar:
    """A context: `is_live` says whether there is a bar, `move` moves it, `say` prints a line above it."""

    columns: tuple[str, ...] = ("spinner", "bar", "count", "time", "text")
    """What the bar is made of, in order; any other word is shown as it is."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self._live: Any = None
        self._bar: Any = None

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal and the user wants to be told."""
        return self._live is not None

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich import progress

            made: dict[str, progress.ProgressColumn] = {
                "spinner": progress.SpinnerColumn(),
                "bar": progress.BarColumn(),
                "count": progress.MofNCompleteColumn(),
                "time": progress.TimeElapsedColumn(),
                "text": progress.TextColumn("{task.description}"),
            }
            columns = [made.get(name) or progress.TextColumn(name) for name in self.columns]
            self._live = progress.Progress(*columns, console=err(), transient=True)
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

    def move(self, done: int, total: int, text: str) -> None:
        """Show that `done` of `total` are over; nothing without a bar."""
        if self._live is not None:
            self._live.update(self._bar, completed=done, total=total, description=text)


__all__ = ["LINE_EVERY_S", "Bar"]
