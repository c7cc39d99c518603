"""`recast plan`: what a run or a scan would compute, what is there already, and how long the rest may take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.campaign_progress import duration
from reana_lite.cli.scan import asked_scan, points_options
from reana_lite.cli.screen import open_installation, plain, print_json, print_table

if TYPE_CHECKING:
    from reana_lite.forecast import Forecast


@click.command()
@click.argument("targets", metavar="TARGET[,TARGET...]")
@click.argument("files", nargs=-1)
@points_options
@click.option("-p", "--parameter", "assignments", multiple=True, metavar="KEY=VALUE", help="A parameter.")
@click.option("--example", default="", help="Theory and parameters of an example.")
@click.option(
    "--stand-in", "stand_ins", multiple=True, metavar="IMAGE=LOCKFILE", help="Requirements in place of an image."
)
@click.option(
    "--backend", type=click.Choice(["auto", "local", "container", "kubernetes"]), help="Where jobs would run."
)
@click.option("--cores", type=click.FloatRange(min=0.1), help="Cores to use (default: all of this machine).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def plan(targets: str, files: tuple[str, ...], **options: Any) -> None:
    """Say what `recast run` or `recast scan` would compute with the same arguments, and what is there already.

    Steps whose outputs are kept are reused. How long the others take is the mean of past steps of the same stage. What
    depends on steps that are still to be run is counted, too, although some of it may turn out to be there.

    \b
    Examples:
      recast plan atlas-susy-2018-22 gluino.slha
      recast plan atlas-susy-2018-22 --grid m_gluino=1000:2600:200 --grid m_lsp=0:1600:200
    """
    from reana_lite.foresight import foresee
    from reana_lite.intake import Asked, stand_ins_of

    installation = open_installation()
    many = any(options[key] for key in ("grids", "wheres", "table", "folder", "patchset", "template"))
    runs = [
        Asked(
            target=target.strip(),
            files=files,
            assignments=tuple(options["assignments"]),
            example=options["example"],
            stand_ins=stand_ins_of(options["stand_ins"]),
            folder=str(Path.cwd()),
        )
        for target in targets.split(",")
    ]
    foreseen = foresee(
        asked_scan(targets, files, options) if many else runs,
        database=installation.database,
        storage=installation.storage,
        settings=installation.settings,
        backend=options["backend"] or "",
        cores=options["cores"],
        say=lambda line: click.echo(plain(line), err=True),
    )
    show(foreseen.forecast, foreseen.refused, as_json=options["as_json"])


def show(forecast: Forecast, refused: int, *, as_json: bool) -> None:
    """A forecast for people, or as JSON."""
    if as_json:
        print_json({**forecast.to_dict(), "refused": refused})
        return
    rows = []
    for stage in forecast.stages:
        each = f"{stage.mean_s:.2g} s" if stage.mean_s is not None else "-"
        rows.append((stage.stage, str(stage.there), str(stage.to_run), str(stage.following), each))
    print_table(("STAGE", "THERE", "TO RUN", "FOLLOWING", "EACH TAKES"), rows)
    total = forecast.there + forecast.missing
    time = (
        "how long the others take is not known" if forecast.seconds is None else f"about {duration(forecast.seconds)}"
    )
    runs = f"{forecast.runs} runs: " if forecast.runs != 1 else ""
    more = f", {refused} points would be refused" if refused else ""
    without = (
        f" (without {', '.join(forecast.unknown)}: never run yet)" if forecast.unknown and forecast.seconds else ""
    )
    click.echo(
        f"{runs}{forecast.there} of {total} steps are there already; {time} on {forecast.cores:g} cores{without}{more}"
    )
