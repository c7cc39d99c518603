"""`recast scan`: many theories as one request: submit, drive, show; the same request again goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.screen import Installation, open_installation, plain, print_json, print_table
from reana_lite.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reana_lite.campaign import Request
    from reana_lite.intake import AskedScan
    from reana_lite.planning import Planned
    from reana_lite.theory.condition import Expression
    from reana_lite.theory.scan import Point


def points_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which points a scan has."""
    for option in reversed((
        click.option("--grid", "grids", multiple=True, metavar="NAME=VALUES",
                     help="An axis: START:STOP:STEP, log:START:STOP:NUMBER, lin:... or A,B,C; may be repeated."),
        click.option("--where", "wheres", multiple=True, metavar="CONDITION", help="Keep only such points."),
        click.option("--csv", "table", metavar="FILE", help="Points from a table whose first line names the parameters."),
        click.option("--folder", metavar="FOLDER", help="A point for each theory file of a folder."),
        click.option("--patchset", metavar="FILE", help="A point for each patch of a pyhf patchset."),
        click.option("--template", default="", help="How axes become a theory (an analysis's `scans`)."),
    )):  # fmt: skip
        command = option(command)
    return command


def drive_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where and how runs are driven."""
    for option in reversed((
        click.option("--backend", type=click.Choice(["auto", "local", "container", "kubernetes"]), help="Where jobs run."),
        click.option("--cores", type=click.FloatRange(min=0.1), help="Cores to use (default: all of this machine)."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("targets", metavar="TARGET[,TARGET...]")
@click.argument("files", nargs=-1)
@points_options
@click.option("-p", "--parameter", "assignments", multiple=True, metavar="KEY=VALUE", help="A parameter of all points.")
@click.option("--example", default="", help="Theory and parameters of an example for all points.")
@click.option("--name", default="", help="Name of the campaign (default: that of the target).")
@click.option("--no-cache", is_flag=True, help="Use no kept outputs of other runs.")
@click.option(
    "--stand-in", "stand_ins", multiple=True, metavar="IMAGE=LOCKFILE", help="Requirements in place of an image."
)
@click.option("--dry-run", "--points-only", is_flag=True, help="Only list the points.")
@drive_options
def scan(targets: str, files: tuple[str, ...], **options: Any) -> None:
    """Run TARGET for many theories and wait for all of them. It may be interrupted: the same command goes on.

    Points come from --grid (both ends included, several are combined), --csv, --folder or --patchset, or else from the
    analysis. Values are axes of a template that the analysis declares, or its parameters. FILES are theory files that
    all points share. Points that exist already in a campaign, and steps that have been computed already, are not
    computed again.

    \b
    Examples:
      recast scan atlas-susy-2018-22 --grid m_gluino=1000:2600:200 --grid m_lsp=0:1600:200 --where 'm_lsp < m_gluino - 400'
      recast scan atlas-susy-2018-22 --grid m_squark=1000:2000:100 -p n_events=5000 --name squarks
      recast scan atlas-susy-2018-22 --folder my_spectra --dry-run
      recast scan atlas-susy-2019-08 --where 'm_lsp == 0'
    """
    from reana_lite.cli.campaign import follow
    from reana_lite.planning import planner

    installation = open_installation()
    request, points, where = asked(installation, targets, files, options)
    say = _silent if options["quiet"] else _say
    with planner(installation.database, installation.storage, settings=installation.settings, say=say) as planning:
        planned = planning.plan(request, points, where=where)
        if options["dry_run"]:
            show(planned, as_json=options["as_json"])
            return
        record, known = planning.campaign(planned, name=options["name"])
        if not options["quiet"]:
            left_out = "".join(f", {count} {reason}" for reason, count in planned.skipped.items())
            how = "goes on" if known else "begins"
            click.echo(f"campaign {record.name} {how}: {len(planned.scan.points)} points{left_out}", err=True)
        follow(installation, planning, record, options, frames=planned.frames)


def asked(
    installation: Installation, targets: str, files: tuple[str, ...], options: dict[str, Any]
) -> tuple[Request, Iterable[Point], tuple[Expression, ...]]:
    """(request, points, conditions) of a command line."""
    scan = asked_scan(targets, files, options)
    return scan.request(), scan.scan_points(installation.settings), scan.conditions()


def asked_scan(targets: str, files: tuple[str, ...], options: dict[str, Any]) -> AskedScan:
    """The scan that a command line asks for."""
    from reana_lite.intake import AskedScan, stand_ins_of

    names = {"grids": "--grid", "table": "--csv", "folder": "--folder", "patchset": "--patchset"}
    given = [option for name, option in names.items() if options[name]]
    if len(given) > 1:
        raise InvalidInput(f"give one of {', '.join(given)}", field="scan")
    if options["table"] and not Path(options["table"]).expanduser().is_file():
        raise InvalidInput(f"--csv {options['table']} is no file", field="csv", value=options["table"])
    return AskedScan(
        targets=tuple(name.strip() for name in targets.split(",")),
        grids=tuple(options["grids"]),
        table=options["table"] or "",
        folder_of_theories=options["folder"] or "",
        patchset=options["patchset"] or "",
        where=tuple(options["wheres"]),
        template=options["template"],
        files=files,
        assignments=tuple(options["assignments"]),
        example=options["example"],
        stand_ins=stand_ins_of(options.get("stand_ins", ())),
        folder=str(Path.cwd()),
        reuse=not options.get("no_cache", False),
    )


def show(planned: Planned, *, as_json: bool) -> None:
    """The points of a scan, and how many were left out."""
    points = planned.scan.points
    if as_json:
        print_json({
            "targets": list(planned.request.targets),
            "points": [{"name": p.name, "values": dict(p.values), "source": p.source} for p in points],
            "skipped": planned.skipped,
        })  # fmt: skip
        return
    axes = planned.scan.axes
    print_table(("POINT", *axes), [(p.name, *(str(p.values.get(axis, "")) for axis in axes)) for p in points])
    left_out = "".join(f", {count} {reason}" for reason, count in planned.skipped.items())
    click.echo(f"{len(points)} points{left_out}", err=True)


def _say(line: str) -> None:
    click.echo(f"warning: {plain(line)}", err=True)


def _silent(line: str) -> None:
    pass
