"""`recast ls`, `status`, `logs`, `stop`: the runs of this installation and what they do."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from reana_lite.cli.screen import Installation, open_installation, plain, print_json, print_table

if TYPE_CHECKING:
    from reana_lite.database import JobRecord, RunRecord

STATES = ("created", "queued", "running", "finished", "failed", "stopped")

LOG_TAIL_LINES = 12
"""How much of a failed step's log is shown without being asked for (lines)."""

LOG_LINE_LIMIT = 400
"""How much of a line of it (characters)."""

FOLLOW_S = 0.3
"""How often `logs -f` looks for more (seconds)."""


def moment(at: float | None) -> str:
    """A time for people: local, to the second."""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "-"


def duration(record: RunRecord) -> str:
    """How long a run has taken (minutes:seconds)."""
    if not record.started_at:
        return "-"
    seconds = round((record.ended_at or time.time()) - record.started_at)
    return f"{seconds // 60}:{seconds % 60:02d}"


@click.command()
@click.option("--state", multiple=True, type=click.Choice(STATES), help="Only runs in this state (may be repeated).")
@click.option("--analysis", help="Only runs of this analysis.")
@click.option("--campaign", help="Only runs of this campaign.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=30, show_default=True, help="How many, the newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ls(state: tuple[str, ...], analysis: str | None, campaign: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first.

    \b
    Examples:
      recast ls
      recast ls --state failed --json
    """
    installation = open_installation()
    database = installation.database
    if campaign is not None:
        from reana_lite.database import campaigns

        campaign = campaigns.get(database, campaign, owner=installation.settings.user).id
    records = database.list_runs(states=state, analysis=analysis, campaign=campaign, limit=limit)
    if as_json:
        print_json([record.to_dict() for record in records])
        return
    rows = [
        (r.id, r.full_name, str(r.state), f"{r.finished}/{r.total}", str(r.reused), moment(r.created_at), duration(r))
        for r in records
    ]
    print_table(("RUN", "NAME", "STATE", "STEPS", "REUSED", "CREATED", "TOOK"), rows)


@click.command()
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def status(run: str, as_json: bool) -> None:
    """Show how far RUN is, node by node. RUN is an id, a name, a beginning of either, or `latest`.

    \b
    Example:
      recast status latest
    """
    from reana_lite.database.queue import reason

    installation = open_installation()
    record = installation.database.get_run(run, owner=installation.settings.user)
    nodes = installation.database.nodes_of(record.id)
    waits = reason(installation.database, record)
    if as_json:
        details = {job.node: dict(job.details) for job in installation.database.jobs_of(record.id)}
        rows = [{**node.to_dict(), "details": details.get(node.node, {})} for node in nodes]
        print_json({**record.to_dict(), "waits": waits or None, "nodes": rows})
        return
    click.echo(f"run {record.id} ({plain(record.full_name)}) {record.state}, {duration(record)}")
    if record.error:
        click.echo(plain(record.error))
    if waits:
        click.echo(f"waits: {plain(waits)}")
    table = [
        (node.node, node.state, "reused" if node.reused_from else f"attempt {node.attempt}" if node.attempt else "")
        for node in nodes
    ]
    found = {job.node: job for job in installation.database.jobs_of(record.id)}
    if not any("phases" in job.details for job in found.values()):
        print_table(("NODE", "STATE", "HOW"), table)
        return
    told = [phases(found[row[0]]) if row[0] in found else ("", "") for row in table]
    print_table(
        ("NODE", "STATE", "HOW", "WHERE", "SECONDS"), [(*row, *more) for row, more in zip(table, told, strict=True)]
    )


def phases(job: JobRecord) -> tuple[str, str]:
    """(where a job ran, the seconds of each of its phases) of a cluster; "" for what is not known."""
    seconds = job.details.get("phases", {})
    return str(job.details.get("node", "")), ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())


@click.command()
@click.argument("run")
@click.argument("node", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the run is over.")
@click.option("-n", "--tail", type=click.IntRange(min=0), help="Only the last lines of each step (lines).")
def logs(run: str, node: str | None, follow: bool, tail: int | None) -> None:
    """Show what the steps of RUN printed, or one NODE of it (`/map/3`, or the beginning of such a path).

    \b
    Examples:
      recast logs latest
      recast logs latest /generate -f
    """
    installation = open_installation()
    database, storage = installation.database, installation.storage
    record = database.get_run(run, owner=installation.settings.user)
    shown: dict[tuple[str, int], int] = {}
    while True:
        over = database.get_run(record.id).state in ("finished", "failed", "stopped")
        for row in database.nodes_of(record.id):
            if not row.attempt or (node and not row.node.startswith(node.rstrip("/"))):
                continue
            place = (row.key, row.attempt)
            text = storage.log(*place, offset=shown.get(place, 0))
            if text:
                if place not in shown:
                    click.echo(f"== {plain(row.node)}")
                shown[place] = shown.get(place, 0) + len(text)
                lines = plain(text.decode(errors="replace")).splitlines()
                click.echo("\n".join(lines[-tail:] if tail else lines))
        if over or not follow:
            break
        time.sleep(FOLLOW_S)
    if not shown:
        click.echo(f"nothing printed by {plain(node or record.id)} so far", err=True)


@click.command()
@click.argument("run")
def stop(run: str) -> None:
    """Stop RUN: its steps are ended, what is finished is kept.

    \b
    Example:
      recast stop latest
    """
    installation = open_installation()
    record = installation.database.get_run(run, owner=installation.settings.user)
    state = installation.database.request_stop(record.id, by=installation.settings.user)
    click.echo(f"run {record.id} is stopped" if state == "stopped" else f"run {record.id} is being stopped")


def explain(installation: Installation, record: RunRecord) -> None:
    """Why a run failed: each failed node with its cause, what can be done, and the end of its log. On standard error."""
    from reana_lite.advice import advice

    click.echo(plain(record.error), err=True)
    failed = [node for node in installation.database.nodes_of(record.id) if node.state == "failed"]
    for node in failed[:5]:
        if not node.attempt:  # it could not even begin
            click.echo(
                f"\n{plain(node.node)} failed (image)\n  {advice('image', plain(node.node), record.id)}", err=True
            )
        for attempt in installation.database.attempts(node.key):
            if attempt.attempt != node.attempt:
                continue
            click.echo(f"\n{plain(node.node)} failed ({attempt.cause}): {plain(attempt.message)}", err=True)
            click.echo(f"  {advice(attempt.cause, plain(node.node), record.id)}", err=True)
            text = installation.storage.log(node.key, node.attempt).decode(errors="replace")
            for line in plain(text).splitlines()[-LOG_TAIL_LINES:]:
                click.echo(f"  | {line[:LOG_LINE_LIMIT]}", err=True)
    if len(failed) > 5:
        click.echo(f"\n... and {len(failed) - 5} more: recast status {record.id}", err=True)
    sys.stderr.flush()
