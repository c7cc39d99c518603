"""`campaign ls`, `status`, `stop`, `resume`, `retry` and `extend` against a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reana_lite.campaign import POINT_STATES
from reana_lite.cli.remote.connection import EXIT_FAILED, Counting, points, texts
from reana_lite.cli.runs import moment
from reana_lite.cli.screen import plain, print_json, print_table
from reana_lite.errors import InvalidInput

if TYPE_CHECKING:
    from reana_lite.client import Campaign, Client

SHOWN = 20
"""Failed points that are listed without being asked for."""


def follow(client: Client, campaign: Campaign, options: dict[str, Any]) -> None:
    """Wait for a campaign; say what came out."""
    with Counting("points", quiet=options["quiet"]) as progress:
        try:
            over = client.wait(campaign, watch=lambda one: progress.show(one.done, one.points["total"]))
        except KeyboardInterrupt:
            click.echo(
                f"campaign {campaign.name} goes on at the server; stop it with: recast campaign stop {campaign.name}",
                err=True,
            )
            raise
    if options["as_json"]:
        print_json(_campaign_document(over))
    else:
        click.echo(_line(over))
        for at, point in enumerate(client.points(over.id, "failed", "refused")):
            if at == SHOWN:
                click.echo(f"  ... and more: recast campaign status {over.name} --state failed", err=True)
                break
            click.echo(f"  {plain(point.name)} {point.state}: {plain(point.error)}", err=True)
    if over.state != "finished":
        raise click.exceptions.Exit(EXIT_FAILED)


def _campaign_document(campaign: Campaign) -> dict[str, Any]:
    return {n: value for n, value in campaign.document.items() if n not in ("axes", "may_change", "known")}


def _line(campaign: Campaign) -> str:
    points, steps = campaign.points, campaign.steps
    states = ("finished", "failed", "refused", "stopped", "running")
    parts = [f"{points[state]} {state}" for state in states if points[state]]
    waiting = sum(points[state] for state in ("planned", "created", "queued"))
    parts += [f"{waiting} waiting"] if waiting else []
    parts += [f"{count} skipped ({reason})" for reason, count in campaign.skipped.items()]
    return (f"campaign {plain(campaign.name)} {campaign.state}: {points['total']} points ({', '.join(parts)}); "
            f"{steps.finished} of {steps.total} steps finished, {steps.reused} of them reused")  # fmt: skip


def ls(client: Client, limit: int, as_json: bool) -> None:
    """Campaigns there."""
    found = list(client.campaigns(limit=limit))
    if as_json:
        print_json([_campaign_document(one) for one in found])
        return
    print_table(
        ("CAMPAIGN", "STATE", "POINTS", "FINISHED", "FAILED", "REUSED", "CREATED"),
        [
            (c.name, c.state, str(c.points["total"]), str(c.points["finished"]),
             str(c.points["failed"] + c.points["refused"]), f"{c.steps.reused}/{c.steps.total}", moment(c.created_at))
            for c in found
        ],
    )  # fmt: skip


def status(client: Client, name: str, states: tuple[str, ...], as_json: bool) -> None:
    """How far a campaign is, point by point."""
    for state in states:
        if state not in POINT_STATES:
            raise InvalidInput(f"{state!r} is not a state of a point; known: {', '.join(POINT_STATES)}", field="state")
    campaign = client.campaign(name)
    rows = list(client.points(campaign.id, *states))
    verdicts = client.verdicts(campaign.id) if campaign.points["finished"] else {}
    if as_json:
        listed = [{name: getattr(p, name) for name in p.__dataclass_fields__} | {"verdict": verdicts.get(p.run or "")}
                for p in rows]  # fmt: skip
        print_json({**_campaign_document(campaign), "all_points": listed})
        return
    click.echo(_line(campaign))
    print_table(
        ("POINT", "TARGET", "STATE", "RUN", "VERDICT", "CAUSE"),
        [(p.name, p.target, p.state, p.run or "-", verdicts.get(p.run or "", "-"), p.error) for p in rows],
    )


def stop(client: Client, name: str) -> None:
    """Ask for its end."""
    campaign = client.change_campaign(client.campaign(name).id, "stop")
    click.echo(f"campaign {campaign.name} is being stopped; go on with: recast campaign resume {campaign.name}")


def resume(client: Client, name: str, **options: Any) -> None:
    """Go on with it."""
    follow(client, client.change_campaign(client.campaign(name).id, "resume"), options)


def retry(client: Client, name: str, **options: Any) -> None:
    """Try failed points again."""
    follow(client, client.change_campaign(client.campaign(name).id, "retry"), options)


def extend(client: Client, name: str, **options: Any) -> None:
    """Add points to it, or compute it with other parameters, and follow it."""
    if options["patchset"]:
        raise InvalidInput("--patchset cannot be changed: a campaign keeps its own", field="patchset")
    campaign, added, again = client.extend(
        client.campaign(name).id, texts=texts(options["assignments"]), **points(options)
    )
    if not options["quiet"]:
        click.echo(f"campaign {campaign.name}: {added} points added, {again} computed anew", err=True)
    follow(client, campaign, options)
