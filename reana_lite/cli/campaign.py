"""`recast campaign`: the campaigns of this installation: how far they are, stopped, retried, extended, gone on with."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.runs import moment
from reana_lite.cli.scan import asked, drive_options, points_options
from reana_lite.cli.screen import Installation, open_installation, plain, print_json, print_table
from reana_lite.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from reana_lite.campaign import Progress
    from reana_lite.database.campaigns import CampaignRecord
    from reana_lite.planning import Planner
    from reana_lite.target.points import Frame

EXIT_FAILED = 1
"""Exit code of a campaign that ended other than finished."""

RUNS_PER_CORE = 4
"""Runs held at a time, per core: enough that a core never waits for the next one, few enough for any machine."""

QUEUED = 4
"""Runs that wait for a worker, per run it holds, before more points become runs."""

QUEUE_EVERY_S = 0.25
"""How often it is looked whether enough of them wait (seconds)."""

SHOWN = 20
"""Failed points that are listed without being asked for."""


@click.group()
def campaign() -> None:
    """List, follow, stop, retry and extend scans."""


@campaign.command("ls")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=30, show_default=True, help="How many, the newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def campaign_ls(limit: int, as_json: bool) -> None:
    """List campaigns, the newest first.

    \b
    Example:
      recast campaign ls
    """
    from reana_lite.database import campaigns

    installation = open_installation()
    rows = []
    for record in campaigns.listed(installation.database, owner=installation.settings.user, limit=limit):
        rows.append((record, campaigns.progress(installation.database, record.id)))
    if as_json:
        print_json([{**record.to_dict(), **progress.to_dict()} for record, progress in rows])
        return
    print_table(
        ("CAMPAIGN", "STATE", "POINTS", "FINISHED", "FAILED", "REUSED", "CREATED"),
        [
            (r.name, str(p.state), str(p.total), str(p.count("finished")), str(p.count("failed", "refused")),
             f"{p.steps['reused']}/{p.steps['total']}", moment(r.created_at))
            for r, p in rows
        ],
    )  # fmt: skip


@campaign.command("status")
@click.argument("name", default="latest")
@click.option("--state", "states", multiple=True, help="Only points in this state (may be repeated).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: counts (`points`) and all points.")
def campaign_status(name: str, states: tuple[str, ...], as_json: bool) -> None:
    """Show how far campaign NAME is, point by point, with the results that are there.

    \b
    Examples:
      recast campaign status
      recast campaign status gluinos --state failed --state refused
    """
    from reana_lite.campaign import POINT_STATES
    from reana_lite.database import campaigns

    for state in states:
        if state not in POINT_STATES:
            raise InvalidInput(f"{state!r} is not a state of a point; known: {', '.join(POINT_STATES)}", field="state")
    installation = open_installation()
    database = installation.database
    record = campaigns.get(database, name, owner=installation.settings.user)
    progress = campaigns.progress(database, record.id)
    rows = []
    for point in campaigns.all_points(database, record.id, states=states):
        result = database.get_result(point.run, "result") if point.state == "finished" else None
        rows.append((point, result or {}))
    if as_json:
        print_json({
            **record.to_dict(), **progress.to_dict(),
            "all_points": [{**point.to_dict(), "verdict": result.get("verdict")} for point, result in rows],
        })  # fmt: skip
        return
    click.echo(line(record, progress))
    print_table(
        ("POINT", "TARGET", "STATE", "RUN", "VERDICT", "CAUSE"),
        [
            (p.point.name, p.target, p.state, p.run or "-", str(result.get("verdict") or "-"), p.error)
            for p, result in rows
        ],
    )


@campaign.command("stop")
@click.argument("name")
def campaign_stop(name: str) -> None:
    """Stop campaign NAME: its steps are ended, what is finished is kept.

    \b
    Example:
      recast campaign stop latest
    """
    from reana_lite.database import campaigns

    installation = open_installation()
    record = campaigns.get(installation.database, name, owner=installation.settings.user)
    count = campaigns.stop(installation.database, record.id, by=installation.settings.user)
    click.echo(
        f"campaign {record.name} is being stopped: {count} runs; go on with: recast campaign resume {record.name}"
    )


@campaign.command("resume")
@click.argument("name", default="latest")
@drive_options
def campaign_resume(name: str, **options: Any) -> None:
    """Go on with campaign NAME, wherever it was interrupted or stopped. Failed points stay failed: see `retry`.

    \b
    Example:
      recast campaign resume latest
    """
    _go_on(name, options, states=("stopped",))


@campaign.command("retry")
@click.argument("name", default="latest")
@drive_options
def campaign_retry(name: str, **options: Any) -> None:
    """Try the failed, refused and stopped points of campaign NAME again, the analysis and its files being read again.

    \b
    Example:
      recast campaign retry gluinos
    """
    _go_on(name, options, states=("stopped", "failed", "refused"))


@campaign.command("extend")
@click.argument("name")
@points_options
@click.option(
    "-p", "--parameter", "assignments", multiple=True, metavar="KEY=VALUE", help="Another value for all points."
)
@drive_options
def campaign_extend(name: str, **options: Any) -> None:
    """Add points to campaign NAME, or compute all of them with other parameters. Nothing is computed twice.

    With a larger number of events, blocks are added to those that are there already.

    \b
    Examples:
      recast campaign extend gluinos --grid m_gluino=2700:2900:100 --grid m_lsp=0:1600:200
      recast campaign extend gluinos -p n_events=50000
    """
    from reana_lite.database import campaigns
    from reana_lite.planning import planner

    installation = open_installation()
    database = installation.database
    record = campaigns.get(database, name, owner=installation.settings.user)
    more = any(options[key] for key in ("grids", "table", "folder", "patchset"))
    if not more and not options["assignments"]:
        raise InvalidInput("give more points (--grid, --csv, --folder) or other parameters (-p)", field="scan")
    if options["patchset"] and options["patchset"] != record.request.patchset:
        raise Conflict(f"the patchset of campaign {record.name} is {record.request.patchset or 'none'}")
    request = replace(record.request, assignments=_assigned(record.request.assignments, tuple(options["assignments"])))
    with planner(database, installation.storage, settings=installation.settings, say=_say(options)) as planning:
        if more:
            _, points, where = asked(installation, ",".join(request.targets), (), {**options, "example": ""})
            planned = planning.plan(request, points, where=where)
        else:
            planned = planning.plan(request, [row.point for row in campaigns.all_points(database, record.id)])
        added, again = planning.extend(record, planned)
        if not options["quiet"]:
            click.echo(f"campaign {record.name}: {added} points added, {again} computed anew", err=True)
        follow(installation, planning, campaigns.get(database, record.id), options)


def _assigned(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Assignments with those that are given again replaced."""
    names = {text.partition("=")[0] for text in after}
    return (*(text for text in before if text.partition("=")[0] not in names), *after)


def _go_on(name: str, options: dict[str, Any], *, states: tuple[str, ...]) -> None:
    from reana_lite.database import campaigns
    from reana_lite.planning import planner

    installation = open_installation()
    database = installation.database
    record = campaigns.get(database, name, owner=installation.settings.user)
    with database.transaction() as transaction:
        campaigns.reopen(transaction, record.id, states=states)
    with planner(database, installation.storage, settings=installation.settings, say=_say(options)) as planning:
        follow(installation, planning, campaigns.get(database, record.id), options)


def follow(
    installation: Installation,
    planning: Planner,
    record: CampaignRecord,
    options: dict[str, Any],
    *,
    frames: Sequence[Frame] = (),
) -> None:
    """Drive a campaign until it is over, with one progress display; then say what came out."""
    from reana_lite.database import campaigns

    if frames:  # the same request again goes on where it was stopped
        with installation.database.transaction() as transaction:
            campaigns.reopen(transaction, record.id, states=("stopped",))
        record = campaigns.get(installation.database, record.id)
    _drive(installation, planning, record, options, frames)
    progress = campaigns.progress(installation.database, record.id)
    report(installation, record, progress, as_json=options["as_json"])
    if str(progress.state) != "finished":
        raise click.exceptions.Exit(EXIT_FAILED)


def _drive(
    installation: Installation,
    planning: Planner,
    record: CampaignRecord,
    options: dict[str, Any],
    frames: Sequence[Frame],
) -> None:
    from reana_lite.backends.choice import choose
    from reana_lite.backends.machine import cores as usable_cores
    from reana_lite.cli.campaign_progress import CampaignProgress
    from reana_lite.planning import Enrolment
    from reana_lite.worker import Worker

    settings, database, storage = installation.settings, installation.database, installation.storage
    cores = options["cores"] or settings.cores or usable_cores()
    at_once = max(RUNS_PER_CORE, round(RUNS_PER_CORE * cores))
    enrolment = Enrolment(planning, record, frames)
    try:
        enrolment.top_up(at_once)
        unfinished = database.unfinished(campaign=record.id)
        if not unfinished:
            return
        starts = [database.read_events(run)[0][2] for run in _one_of_each(database, unfinished)]
        started = {
            "workflow": [start["workflow"] for start in starts],
            "options": {"stand_ins": {k: v for s in starts for k, v in s["options"].get("stand_ins", {}).items()}},
        }
        name = options["backend"] or settings.backend
        backend = choose(
            name, started, settings=settings, storage=storage, cores=options["cores"],
            installation=database.installation(),
        )  # fmt: skip
        with CampaignProgress(database, record.id, quiet=options["quiet"]) as progress:
            worker = Worker(database, storage, backend=backend, say=progress.say, watch=progress.watch, host=True)

            looked_at = 0.0

            def between_turns() -> bool:
                nonlocal looked_at
                if not enrolment.done and time.monotonic() - looked_at > QUEUE_EVERY_S:
                    enrolment.top_up(QUEUED * at_once)
                    looked_at = time.monotonic()
                progress.tick()
                return False

            try:
                worker.drive(campaign=record.id, at_once=at_once, until=between_turns)
            finally:
                worker.close()
    except KeyboardInterrupt:
        click.echo(f"interrupted; go on with: recast campaign resume {record.name}", err=True)
        raise


def _one_of_each(database: Any, runs: Sequence[str]) -> list[str]:
    """A run of each analysis among these."""
    found: dict[str, str] = {}
    for run in runs:
        found.setdefault(database.get_run(run).analysis, run)
    return list(found.values())


def line(record: CampaignRecord, progress: Progress) -> str:
    """A campaign in one line."""
    parts = [f"{progress.count(state)} {state}" for state in ("finished", "failed", "refused", "stopped", "running")
             if progress.count(state)]  # fmt: skip
    waiting = progress.count("planned", "created", "queued")
    parts += [f"{waiting} waiting"] if waiting else []
    parts += [f"{count} skipped ({reason})" for reason, count in record.skipped.items()]
    steps = progress.steps
    return (f"campaign {plain(record.name)} {progress.state}: {progress.total} points ({', '.join(parts)}); "
            f"{steps['finished']} of {steps['total']} steps finished, {steps['reused']} of them reused")  # fmt: skip


def report(installation: Installation, record: CampaignRecord, progress: Progress, *, as_json: bool) -> None:
    """What came out: a line, and the points that failed with their causes."""
    from itertools import islice

    from reana_lite.database import campaigns

    if as_json:
        print_json({**record.to_dict(), **progress.to_dict()})
        return
    click.echo(line(record, progress))
    bad = progress.count("failed", "refused")
    rows = campaigns.all_points(installation.database, record.id, states=("failed", "refused"))
    for row in islice(rows, SHOWN):
        click.echo(f"  {plain(row.point.name)} {row.state}: {plain(row.error)}", err=True)
    if bad > SHOWN:
        click.echo(f"  ... and {bad - SHOWN} more: recast campaign status {record.name} --state failed", err=True)
    if bad:
        click.echo(f"  try these again with: recast campaign retry {record.name}", err=True)


def _say(options: dict[str, Any]) -> Any:
    def say(text: str) -> None:
        if not options["quiet"]:
            click.echo(f"warning: {plain(text)}", err=True)

    return say
