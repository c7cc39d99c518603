"""The server that a command asks, and what users type turned into what its client takes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reana_lite.cli.bar import LINE_EVERY_S, Bar
from reana_lite.errors import InvalidInput

if TYPE_CHECKING:
    from reana_lite.client import Client

EXIT_FAILED = 1
"""Exit code of a run or campaign that ended other than finished."""


def client_of(url: str) -> Client:
    """The client of a server, with the token of the environment, or the one that `recast serve` has left."""
    from reana_lite.client import Client

    return Client(url, os.environ.get("RECAST_TOKEN") or _token_of_this_machine(url))


def _token_of_this_machine(url: str) -> str:
    """The token that `recast serve` has left for programs of this user, if it is the same server."""
    from reana_lite.config import Settings

    try:
        said = json.loads((Settings.from_environment().home / "server.json").read_text())
        return str(said["token"]) if str(said["url"]).rstrip("/") == url.rstrip("/") else ""
    except (OSError, ValueError, KeyError):
        return ""


def texts(assignments: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE as typed; raises InvalidInput."""
    found = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign or not name:
            raise InvalidInput(f"{assignment!r} is no KEY=VALUE", field="parameter", value=assignment)
        found[name] = text
    return found


def theory_files(paths: Sequence[str]) -> list[str]:
    """Theory files of this machine; raises InvalidInput for one that is not there."""
    for path in paths:
        if not Path(path).expanduser().is_file():
            raise InvalidInput(f"{path} is no file", field="files", value=path)
    return [str(Path(path).expanduser()) for path in paths]


def points(options: dict[str, Any]) -> dict[str, Any]:
    """The points of a scan, as Client.scan and Client.plan take them, from --grid, --csv, --folder, --where."""
    axes = {}
    for grid in options["grids"]:
        name, sign, values = grid.partition("=")
        if not sign:
            raise InvalidInput(f"--grid {grid!r} is no NAME=VALUES", field="grid", value=grid)
        axes[name] = values
    spectra: list[str] = []
    if options["folder"]:
        folder = Path(options["folder"]).expanduser()
        spectra = sorted(str(path) for path in folder.glob("*") if path.is_file() and path.name[0] != ".")
        if not spectra:
            raise InvalidInput(f"{folder} is no folder with theory files", field="folder", value=str(folder))
    return {"axes": axes, "table": options["table"] or None, "theory_points": spectra, "where": options["wheres"]}


class Counting(Bar):
    """How far a run or campaign is: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.columns = ("spinner", "bar", "count", what, "time")
        self.what = what
        self._said_at = 0.0

    def show(self, done: int, total: int) -> None:
        """So far it is."""
        import time

        if self.is_live:
            self.move(done, total, "")
        elif time.monotonic() - self._said_at > LINE_EVERY_S:
            self._said_at = time.monotonic()
            self.say(f"{done} of {total} {self.what} finished")
