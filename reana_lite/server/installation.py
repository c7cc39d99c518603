"""What a server serves: settings, database and storage, opened once and shared by all of its threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from flask import current_app

from reana_lite.catalogue import Catalogue, Sources
from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.storage.base import Storage

EXTENSION = "recast"
"""Where the application keeps its Installation."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings with the opened database and storage they name."""

    settings: Settings
    database: Database
    storage: Storage

    @property
    def spool(self) -> Path:
        """A folder for what users send, until it is kept; it may be removed while no server runs."""
        return self.settings.home / "spool"

    @property
    def sources(self) -> Sources:
        """Where analyses are looked for."""
        return Sources.of(self.settings)

    def catalogue(self) -> Catalogue:
        """The analyses that can be found now: read anew, so that a new one needs no restart."""
        return Catalogue(self.sources)

    def of(self, owner: str) -> Installation:
        """The same, for what counts its owner by the settings."""
        return replace(self, settings=replace(self.settings, user=owner))


def here() -> Installation:
    """The installation of the current request."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Installation)
    return found
