"""The files of runs as their logs tell them, kept in memory for all doors; who calls has looked whether they may be seen."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from reana_lite.artifact import Artifact
from reana_lite.database import RunRecord
from reana_lite.drive import Drive, replayed
from reana_lite.job import INIT_ROOT, RUN_ROOT
from reana_lite.server.installation import Installation

KEPT = 64
"""Runs whose files are kept in memory, as their logs tell them."""

_drives: OrderedDict[tuple[int, str, int], Drive] = OrderedDict()
_lock = threading.Lock()


def drive_of(installation: Installation, record: RunRecord) -> Drive:
    """A run as its log tells it, kept in memory until it goes on."""
    name = (id(installation.database), record.id, record.next_seq)
    with _lock:
        found = _drives.get(name)
        if found is not None:
            _drives.move_to_end(name)
            return found
    found = replayed(record.id, installation.database.read_events(record.id), installation.storage)
    with _lock:
        _drives[name] = found
        while len(_drives) > KEPT:
            _drives.popitem(last=False)
    return found


def short(path: str) -> str:
    """A virtual path as users see it: relative to the workspace; files brought along are below `init/`."""
    if path == INIT_ROOT or path.startswith(INIT_ROOT + "/"):
        return "init" + path[len(INIT_ROOT) :]
    return path[len(RUN_ROOT) + 1 :]


def artifacts_of(drive: Drive, under: str = "") -> Iterator[tuple[str, str, Artifact]]:
    """(path as users see it, virtual path, artifact) of the files of a run, those below a folder."""
    folder = under.strip("/")
    for path, artifact in drive.workspace.artifacts().items():
        name = short(path)
        if not folder or name == folder or name.startswith(folder + "/"):
            yield name, path, artifact
