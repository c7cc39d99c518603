"""`recast cache`: the outputs kept for reuse: what they take, whether they are whole, and how to be rid of them."""

from __future__ import annotations

import time

import click

from reana_lite.cli.screen import open_installation, plain, print_json, print_table
from reana_lite.legible import size as size

_UNITS = {"h": 3600.0, "d": 86400.0, "w": 604800.0}


class Age(click.ParamType[float]):
    """An age such as 12h, 30d, 4w, in seconds."""

    name = "age"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The age in seconds; a click error names what is right."""
        if isinstance(value, float):
            return value
        text = str(value)
        try:
            seconds = float(text[:-1]) * _UNITS[text[-1:]]
            if not 0 <= seconds < 1e10:
                raise ValueError(text)
            return seconds
        except (KeyError, ValueError):
            self.fail(f"{text!r} is no age; right are 12h, 30d, 4w", param, ctx)


@click.group()
def cache() -> None:
    """Show and prune the outputs kept for reuse."""


@cache.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def cache_ls(as_json: bool) -> None:
    """List kept outputs, the largest first, with the run that made them.

    \b
    Example:
      recast cache ls
    """
    installation = open_installation()
    rows = sorted(installation.database.kept_jobs(), key=lambda job: -job.size_bytes)
    if as_json:
        print_json([job.to_dict() for job in rows])
        return
    print_table(
        ("KEY", "ATTEMPT", "SIZE", "RUN", "LABEL"),
        [(job.key, str(job.attempt), size(job.size_bytes), job.first_run, plain(job.label)) for job in rows],
    )
    click.echo(f"{len(rows)} outputs, {size(sum(job.size_bytes for job in rows))}", err=True)


@cache.command("prune")
@click.option("--older-than", type=Age(), default=0.0, metavar="AGE", help="Only what was made before (12h, 30d, 4w).")
@click.option("--keep-runs/--all-runs", default=True, show_default=True, help="Keep what finished runs name.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def cache_prune(older_than: float, keep_runs: bool, dry_run: bool) -> None:
    """Remove kept outputs. What an unfinished run needs is never taken; by default nor is what a finished run names.

    Input files go only if no run, workspace or uploaded theory names them and nobody has kept them for a day.

    \b
    Examples:
      recast cache prune --dry-run
      recast cache prune --all-runs --older-than 30d
    """
    from reana_lite.prune import prune

    installation = open_installation()
    gone = prune(
        installation.database,
        installation.storage,
        before=time.time() - older_than,
        keep_runs=keep_runs,
        dry_run=dry_run,
    )
    verb = "would free" if dry_run else "freed"
    trees = sum(not place.attempt for place in gone)
    also = f" and {trees} trees of input files" if trees else ""
    click.echo(f"{len(gone) - trees} outputs{also}, {verb} {size(sum(place.size_bytes for place in gone))}")


@cache.command("verify")
@click.option("--repair", is_flag=True, help="Forget damaged outputs, so that they are computed again.")
def cache_verify(repair: bool) -> None:
    """Read every kept output and compare it with its manifest.

    \b
    Example:
      recast cache verify --repair
    """
    from reana_lite.database import upkeep

    installation = open_installation()
    damaged = 0
    for job in installation.database.kept_jobs():
        if installation.storage.manifest(job.key, job.attempt) is None:
            paths = ["manifest.json"]
        else:
            paths = installation.storage.damage(job.key, job.attempt)
        if paths:
            damaged += 1
            click.echo(f"{job.key}/{job.attempt}: {', '.join(plain(path) for path in paths[:5])}")
            if repair and upkeep.forget_job(installation.database, job.key, job.attempt, damaged=True):
                installation.storage.remove(job.key, job.attempt)
    click.echo(f"{damaged} damaged" + (" and forgotten" if repair and damaged else ""))
    if damaged and not repair:
        raise click.exceptions.Exit(1)
