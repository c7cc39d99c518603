"""What all commands share towards the terminal: consoles, JSON, tables, terminal-safe text, the open installation."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from reana_lite.legible import plain as plain

if TYPE_CHECKING:
    from rich.console import Console

    from reana_lite.config import Settings
    from reana_lite.database import Database
    from reana_lite.storage.base import Storage

_CONTROL_IN_JSON = re.compile(r"[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON leaves as it is, but a terminal obeys, or no encoding takes."""


def out() -> Console:
    """The console on standard output: colour only on a terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """The console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(_CONTROL_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A table on a terminal; tab-separated lines (no heading ornaments) elsewhere, so that other programs can read it."""
    if not sys.stdout.isatty():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(plain(cell) for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    out().print(table)


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings with the opened database and storage they name."""

    settings: Settings
    database: Database
    storage: Storage


def open_installation() -> Installation:
    """Open (and make, the first time) what the settings name."""
    from reana_lite.config import Settings
    from reana_lite.database import Database
    from reana_lite.storage import open_storage

    settings = Settings.from_environment()
    storage = open_storage(settings)
    storage.check()
    return Installation(settings, Database(settings.database), storage)
