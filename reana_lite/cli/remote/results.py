"""`results` and `artifacts` against a server."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reana_lite.cli.cache import size
from reana_lite.cli.results import draw
from reana_lite.cli.screen import plain, print_json, print_table
from reana_lite.errors import Conflict, NotFound

if TYPE_CHECKING:
    from reana_lite.client import Client, Run


def results(client: Client, run: str, as_json: bool, as_csv: bool, plot: Path | None, plot_limits: Path | None) -> None:
    """The result of a run; drawings are made on this machine."""
    found = client.run(run)
    try:
        document = client.result(found.id).document
    except NotFound:
        if found.state != "finished":
            raise Conflict(f"run {found.id} is {found.state}: it has no result", run=found.id) from None
        if as_json or as_csv or plot or plot_limits:
            raise
        summary(client, found)
        return
    from reana_lite.result import result_of

    result = result_of(document, known=True)
    if as_json:
        print_json(dict(document))
    elif as_csv:
        click.echo(result.to_csv(), nl=False)
    elif not (plot or plot_limits):
        click.echo(plain(result.to_text()))
    draw(result, plot, plot_limits)


def summary(client: Client, run: Run) -> None:
    """The result of a finished run for people, or what it declares."""
    from reana_lite.result import result_of

    declared = client.declared(run.id)
    shown = False
    if any(entry["kind"] == "result" for entry in declared.values()):
        click.echo(plain(result_of(client.result(run.id).document, known=True).to_text()))
        shown = True
    for name, entry in declared.items():
        if entry["kind"] != "result":
            click.echo(f"{plain(name)} ({entry['kind']}): {plain(json.dumps(entry['value'], ensure_ascii=False))}")
            shown = True
    if not shown:
        click.echo(f"no results are declared; its files: recast artifacts ls {run.id}", err=True)


def artifacts_ls(client: Client, run: str, as_json: bool) -> None:
    """The files of a run."""
    rows = client.artifacts(client.run(run).id)
    if as_json:
        print_json([{"path": a.path, "kind": a.kind, "size_bytes": a.size_bytes, "digest": a.digest} for a in rows])
        return
    print_table(("PATH", "SIZE"), [(a.path, size(a.size_bytes) if a.kind == "file" else a.kind) for a in rows])


def artifacts_get(client: Client, run: str, paths: tuple[str, ...], output: Path) -> None:
    """Copy files of a run."""
    found = client.run(run).id
    if str(output) == "-":
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for path in client.download(found, folder, *paths):
                with path.open("rb") as source:
                    shutil.copyfileobj(source, sys.stdout.buffer)
        return
    click.echo(f"{len(client.download(found, output, *paths))} files", err=True)
