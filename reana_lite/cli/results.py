"""`recast results`, `recast artifacts`: what came out of a run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.cache import size
from reana_lite.cli.screen import Installation, open_installation, plain, print_json, print_table
from reana_lite.errors import Conflict, InvalidInput, NotFound

if TYPE_CHECKING:
    from reana_lite.database import RunRecord
    from reana_lite.drive import Drive
    from reana_lite.result import Result


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="The whole result document.")
@click.option("--csv", "as_csv", is_flag=True, help="The yields per signal region as CSV.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw yields per region (.pdf, .png, .svg)."
)
@click.option("--plot-limits", type=click.Path(dir_okay=False, path_type=Path), help="Draw the limits on mu.")
def results(run: str, as_json: bool, as_csv: bool, plot: Path | None, plot_limits: Path | None) -> None:
    """Show the result of RUN: the verdict, r, the driving region and validity first.

    \b
    Examples:
      recast results latest
      recast results mygluino --json
      recast results mygluino --plot yields.pdf
    """
    from reana_lite.harvest import harvest_late

    installation = open_installation()
    record = installation.database.get_run(run, owner=installation.settings.user)
    harvest_late(record, installation.database, installation.storage)
    document = installation.database.get_result(record.id, "result")
    if document is None:
        if as_json or as_csv or plot or plot_limits:
            raise _absent(record)
        summary(installation, record)
        return
    from reana_lite.result import result_of

    result = result_of(document)
    if as_json:
        print_json(document)
    elif as_csv:
        click.echo(result.to_csv(), nl=False)
    elif not (plot or plot_limits):
        click.echo(plain(result.to_text()))
    draw(result, plot, plot_limits)


def draw(result: Result, plot: Path | None, plot_limits: Path | None) -> None:
    """Draw yields and limits, as far as files for them are named."""
    if plot:
        from reana_lite.plots import plot_yields

        plot_yields(result, plot)
        click.echo(f"drawn: {plot}", err=True)
    if plot_limits:
        from reana_lite.plots import plot_limits as draw_limits

        draw_limits(result, plot_limits)
        click.echo(f"drawn: {plot_limits}", err=True)


def _absent(record: RunRecord) -> Exception:
    """Why there is no result document."""
    if record.state != "finished":
        return Conflict(f"run {record.id} is {record.state}: it has no result", run=record.id)
    return NotFound(f"run {record.id} declares no result document; its files: recast artifacts ls {record.id}")


def summary(installation: Installation, record: RunRecord) -> None:
    """The result of a finished run for people: its document, or what it declares."""
    document = installation.database.get_result(record.id, "result")
    if document is not None:
        from reana_lite.result import result_of

        click.echo(plain(result_of(document).to_text()))
    declared: dict[str, Any] = installation.database.get_result(record.id, "declared") or {}
    for name, entry in declared.items():
        if entry["kind"] != "result":
            click.echo(f"{plain(name)} ({entry['kind']}): {plain(json.dumps(entry['value'], ensure_ascii=False))}")
    if document is None and not declared:
        click.echo(f"no results are declared; its files: recast artifacts ls {record.id}", err=True)


@click.group()
def artifacts() -> None:
    """List the files of a run, and get them."""


@artifacts.command("ls")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def artifacts_ls(run: str, as_json: bool) -> None:
    """List the files of RUN by path in its workspace.

    \b
    Example:
      recast artifacts ls latest
    """
    drive = _drive(open_installation(), run)
    rows = [(path, a) for path, a in drive.workspace.artifacts().items()]
    if as_json:
        print_json([{"path": _short(p), "kind": a.kind, "size_bytes": a.size, "digest": a.digest} for p, a in rows])
        return
    print_table(("PATH", "SIZE"), [(_short(path), size(a.size) if a.kind == "file" else a.kind) for path, a in rows])


@artifacts.command("get")
@click.argument("run")
@click.argument("paths", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(), help="Folder to write to; - prints.")
def artifacts_get(run: str, paths: tuple[str, ...], output: Path) -> None:
    """Copy files of RUN out of it: PATHS as `artifacts ls` shows them (a folder takes all below; none takes all).

    \b
    Examples:
      recast artifacts get latest merge/yields.json
      recast artifacts get latest merge/yields.json -o -
    """
    drive = _drive(open_installation(), run)
    files = {path: a for path, a in drive.workspace.artifacts().items() if a.kind == "file"}
    known = {_short(path): path for path in files}
    executable = {_short(path): a.executable for path, a in files.items()}
    wanted = [
        short for short in known if not paths or any(short == p or short.startswith(p.rstrip("/") + "/") for p in paths)
    ]
    for path in paths:
        if not any(short == path or short.startswith(path.rstrip("/") + "/") for short in wanted):
            raise InvalidInput(f"run {run} has no file {path!r}; recast artifacts ls {run} lists them", field="path")
    for short in wanted:
        with drive.workspace.open(known[short]) as source:
            if str(output) == "-":
                shutil.copyfileobj(source, sys.stdout.buffer)
                continue
            destination = output / short
            destination.parent.mkdir(parents=True, exist_ok=True)
            with destination.open("wb") as target:
                shutil.copyfileobj(source, target)
        if executable[short]:
            destination.chmod(destination.stat().st_mode | 0o111)
    if str(output) != "-":
        click.echo(f"{len(wanted)} files", err=True)


def _drive(installation: Installation, name: str) -> Drive:
    from reana_lite.drive import replayed

    record = installation.database.get_run(name, owner=installation.settings.user)
    drive = replayed(record.id, installation.database.read_events(record.id), installation.storage)
    places = [(key, attempt) for _, key, attempt in drive.folders()]
    gone = sum(installation.storage.manifest(*place) is None for place in places)
    if gone:
        click.echo(
            f"the outputs of {gone} of {len(places)} steps are not kept any more (recast cache prune): a new run of the same "
            f"makes them again",
            err=True,
        )
    return drive


def _short(path: str) -> str:
    """A virtual path as users see it: relative to the workspace; files brought along are below `init/`."""
    from reana_lite.job import INIT_ROOT, RUN_ROOT

    if path.startswith(INIT_ROOT):
        return "init" + path[len(INIT_ROOT) :]
    return path[len(RUN_ROOT) + 1 :]
