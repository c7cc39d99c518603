"""`recast queue`, `recast jobs`: what waits and why, which workers do what, and how each attempt at a job of a run went."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from reana_lite.cli.screen import open_installation, plain, print_json, print_table

if TYPE_CHECKING:
    from reana_lite.database import JobRecord


@click.command()
@click.option("--mine", is_flag=True, help="Only runs of your own.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=30, show_default=True, help="How many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def queue(mine: bool, limit: int, as_json: bool) -> None:
    """Show which runs wait and why, and what the workers do.

    \b
    Examples:
      recast queue
      recast queue --mine --json
    """
    from reana_lite.database import queue as records

    installation = open_installation()
    database, owner = installation.database, installation.settings.user if mine else None
    there = records.workers(database)
    waits = records.waiting(database, owner=owner, limit=limit, known=there)
    queued, points = records.length(database, owner=owner), records.points_without_run(database, owner=owner)
    if as_json:
        print_json({"waiting": [one.to_dict() for one in waits], "queued": queued, "points_without_run": points,
                    "workers": [one.to_dict() for one in there]})  # fmt: skip
        return
    if waits:
        rows = [(one.run.id, one.run.full_name, one.run.owner, str(one.run.state), plain(one.reason)) for one in waits]
        print_table(("RUN", "NAME", "OWNER", "STATE", "WHY IT WAITS"), rows)
    shown = sum(one.run.state == "queued" for one in waits)
    if queued > shown:
        click.echo(f"... and {queued - shown} more runs in the queue")
    if points:
        click.echo(f"{points} points of campaigns have no run yet: they get one when the queue has room")
    if not (waits or queued or points):
        click.echo("nothing waits")
    now = time.time()
    lines = [
        (one.name, one.backend, str(one.runs), str(one.jobs), f"{max(0.0, now - one.seen_at):.0f} s ago",
         "" if one.alive else "gone", plain(one.trouble))
        for one in there
    ]  # fmt: skip
    if lines:
        print_table(("WORKER", "BACKEND", "RUNS", "JOBS", "SEEN", "", "TROUBLE"), lines)
    else:
        click.echo("no worker is running")


@click.command()
@click.argument("run")
@click.argument("node", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def jobs(run: str, node: str | None, as_json: bool) -> None:
    """Show each attempt at the jobs of RUN, or of one NODE: where it ran, how it ended, what it took, from where it is.

    \b
    Examples:
      recast jobs latest
      recast jobs latest /generate --json
    """
    from reana_lite.database import queue as records

    installation = open_installation()
    record = installation.database.get_run(run, owner=installation.settings.user)
    found = [
        job
        for job in records.attempts(installation.database, record.id)
        if node is None or job.node == node or job.node.startswith(node.rstrip("/") + "/")
    ]
    if as_json:
        print_json([job.to_dict() for job in found])
        return
    print_table(
        ("NODE", "ATTEMPT", "STATE", "WHERE", "EXIT", "SECONDS", "REUSED FROM"),
        [
            (plain(job.node), str(job.attempt), f"{job.state} ({job.cause})" if job.cause else str(job.state), where(job),
             "" if job.exit_code is None else str(job.exit_code), seconds(job), job.reused_from)
            for job in found
        ],
    )  # fmt: skip
    for job in found:
        if job.message:
            click.echo(f"{plain(job.node)}, attempt {job.attempt}: {plain(job.message)}")
    nowhere = [
        row.node for row in installation.database.nodes_of(record.id) if not row.attempt and row.state == "failed"
    ]
    for name in nowhere:
        click.echo(f"{plain(name)} could not begin: its environment could not be made ready")


def where(job: JobRecord) -> str:
    """The backend of an attempt, and the node of its cluster."""
    return " ".join(part for part in (job.backend, plain(str(job.details.get("node", "")))) if part)


def seconds(job: JobRecord, *, now: float | None = None) -> str:
    """What each phase of an attempt took (seconds), as far as it is known by now."""
    phases = job.details.get("phases")
    if phases:
        return ", ".join(f"{plain(str(name))} {value:.1f}" for name, value in phases.items())
    now = time.time() if now is None else now
    started = job.started_at or job.ended_at or now
    parts = [f"queued {max(0.0, started - job.queued_at):.1f}"] if job.queued_at else []
    if job.started_at:
        parts.append(f"step {max(0.0, (job.ended_at or now) - job.started_at):.1f}")
    return ", ".join(parts)
