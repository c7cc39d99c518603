"""A storage folder that lies on a shared file system (CephFS, NFS): pods mount parts of it instead of bringing files.

The folder is mounted where this program runs (RECAST_STORAGE), and the claim of the option `claim` shows the same to
pods. Here are the small documents beside the files of an attempt, and its folders, made before its pod so that they
belong to whom steps run as. Called by the backend.
"""

from __future__ import annotations

import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path

from reana_lite.artifact import Manifest
from reana_lite.backends.kubernetes.paths import place_of
from reana_lite.storage.local import LocalStorage
from reana_lite.storage.scan import told

_TICKET = "ticket.json"


class Volume:
    """See the module. All but `root` may raise Unavailable."""

    def __init__(self, storage: LocalStorage) -> None:
        self.storage = storage

    @property
    def root(self) -> Path:
        """The folder, as this machine sees it."""
        return self.storage.root

    def begin(self, key: str, attempt: int, *, uid: int, gid: int, view: bool) -> None:
        """Make the folders of an attempt, writable for that user and group; what is in them is left."""
        place = self.storage.place(key, attempt)
        with told(f"make the folders of {key}/{attempt}"):
            for folder in (place, place / "files", *([place / "view"] if view else [])):
                folder.mkdir(parents=True, exist_ok=True)
                with suppress(PermissionError):  # of another group than ours: then it must be that of the folder above
                    os.chown(folder, uid if os.geteuid() == 0 else -1, gid)
                    folder.chmod(0o2775)

    def let_write(self, key: str, attempt: int, *, uid: int, gid: int) -> None:
        """Let a step of that user write into a place that is an input of it: copies that this program made belong to it."""
        folder = self.storage.folder(key, attempt)
        with told(f"let a step write into {key}/{attempt}"), suppress(FileNotFoundError):
            found = folder.stat()
            if found.st_uid == uid or (found.st_gid == gid and found.st_mode & stat.S_IWGRP):
                return
            for path, folders, files in os.walk(folder, topdown=False):
                for inner in (Path(path, name) for name in (*folders, *files)):
                    if not inner.is_symlink():
                        _open_to(inner, gid)
            _open_to(folder, gid)

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        """The manifest of a complete place."""
        self._look(key, attempt)
        return self.storage.manifest(key, attempt)

    def put_document(self, key: str, attempt: int, name: str, data: bytes) -> None:
        """Keep a small document beside the files of a place; it is whole as soon as it is there."""
        place = self.storage.place(key, attempt)
        with told(f"write {name}"):
            place.mkdir(parents=True, exist_ok=True)
            temporary = place / f".{name}.{uuid.uuid4().hex}"
            temporary.write_bytes(data)
            temporary.rename(place / name)

    def get_document(self, key: str, attempt: int, name: str) -> bytes | None:
        """Such a document, or None."""
        self._look(key, attempt)
        with told(f"read {name}"):
            try:
                return (self.storage.place(key, attempt) / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put_ticket(self, name: str, data: bytes, *, valid_s: int) -> str:
        """Keep a ticket in the place of its attempt (`name` is KEY-ATTEMPT.json); its path as the stager sees it."""
        key, attempt = _of_ticket(name)
        self.put_document(key, attempt, _TICKET, data)
        return f"{place_of(key, attempt)}/{_TICKET}"

    def drop_ticket(self, name: str) -> None:
        """Remove a ticket; no error if it is gone."""
        key, attempt = _of_ticket(name)
        with told("remove a ticket"), suppress(FileNotFoundError):
            (self.storage.place(key, attempt) / _TICKET).unlink()

    def _look(self, key: str, attempt: int) -> None:
        """Have the folder listed anew: clients of a network file system remember for a while what was not there."""
        with suppress(OSError), os.scandir(self.storage.place(key, attempt)) as rows:
            next(rows, None)


def _open_to(path: Path, gid: int) -> None:
    with suppress(PermissionError):  # somebody else's: the step finds out
        os.chown(path, -1, gid)
        path.chmod(stat.S_IMODE(path.stat().st_mode) | (0o070 if path.is_dir() else 0o060))


def _of_ticket(name: str) -> tuple[str, int]:
    key, _, attempt = name.removesuffix(".json").rpartition("-")
    return key, int(attempt)
