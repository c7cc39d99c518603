"""`run`, `scan` and `plan` against a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.plan import show as show_plan
from reana_lite.cli.remote.campaigns import follow
from reana_lite.cli.remote.connection import EXIT_FAILED, Counting, points, texts, theory_files
from reana_lite.cli.remote.results import summary
from reana_lite.cli.remote.runs import explain
from reana_lite.cli.screen import plain, print_json
from reana_lite.errors import InvalidInput
from reana_lite.forecast import Forecast, StageForecast

if TYPE_CHECKING:
    from reana_lite.client import Client


def run(client: Client, target: str | None, files: tuple[str, ...], **options: Any) -> None:
    """Queue a run, follow it, say what came out."""
    if target is None:
        raise InvalidInput("give a TARGET to run: an analysis of the server's catalogue", field="target")
    run = client.submit(
        target, theory_files(files), texts=texts(options["assignments"]), example=options["example"], name=options["name"],
        reuse=not options["no_cache"],
    )  # fmt: skip
    with Counting("steps", quiet=options["quiet"]) as progress:
        try:
            over = client.wait(run, watch=lambda one: progress.show(one.progress.finished, one.progress.total))
        except KeyboardInterrupt:
            click.echo(f"run {run.id} goes on at the server; stop it with: recast stop {run.id}", err=True)
            raise
    counts = over.progress
    if options["as_json"]:
        nodes = {name: getattr(counts, name) for name in ("total", "finished", "reused", "failed")}
        print_json({"run": over.id, "name": over.name, "state": over.state, "error": over.error, "workspace": None,
                    "nodes": nodes})  # fmt: skip
    else:
        failed = f", {counts.failed} failed" if counts.failed else ""
        click.echo(
            f"run {over.id} ({plain(over.name)}) {over.state}: {counts.reused} of {counts.total} steps reused{failed}"
        )
        if over.state == "finished":
            summary(client, over)
        else:
            explain(client, over)
        click.echo(f"files: recast artifacts get {over.id}")
    if over.state != "finished":
        raise click.exceptions.Exit(EXIT_FAILED)


def scan(client: Client, targets: str, files: tuple[str, ...], **options: Any) -> None:
    """Queue a scan and follow it."""
    campaign = client.scan(
        _named(targets), patchset=options["patchset"] or None, template=options["template"], theory=theory_files(files),
        texts=texts(options["assignments"]), example=options["example"], name=options["name"],
        reuse=not options["no_cache"], **points(options),
    )  # fmt: skip
    if not options["quiet"]:
        how = "goes on" if campaign.document.get("known") else "begins"
        click.echo(f"campaign {campaign.name} {how}: {campaign.points['total']} points", err=True)
    follow(client, campaign, options)


def plan(client: Client, targets: str, files: tuple[str, ...], **options: Any) -> None:
    """Say what would run there."""
    names = _named(targets)
    many = len(names) > 1 or any(options[key] for key in ("grids", "wheres", "table", "folder", "patchset", "template"))
    said = client.plan(
        names if many else names[0], patchset=options["patchset"] or None, template=options["template"], scan=many,
        theory=theory_files(files), texts=texts(options["assignments"]), example=options["example"], **points(options),
    )  # fmt: skip
    forecast = Forecast(said["runs"], tuple(StageForecast(**stage) for stage in said["stages"]), said["cores"])
    show_plan(forecast, said["refused"], as_json=options["as_json"])


def _named(targets: str) -> list[str]:
    return [name.strip() for name in targets.split(",")]
