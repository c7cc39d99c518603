"""`recast plan`: what a run or a scan would compute, what is there already, and how long the rest may take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.campaign_progress import duration
from reana_lite.cli.scan import asked, points_options
from reana_lite.cli.screen import Installation, open_installation, plain, print_json, print_table

if TYPE_CHECKING:
    from reana_lite.event import RunStarted
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
@click.option("--backend", type=click.Choice(["auto", "local", "container", "kubernetes"]), help="Where jobs would run.")
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
    from reana_lite.backends.machine import cores as usable_cores
    from reana_lite.forecast import Forecaster

    installation = open_installation()
    with tempfile.TemporaryDirectory(prefix="recast-") as scratch:
        starts = _starts(installation, targets, files, options, Path(scratch))
        forecaster: Forecaster | None = None
        analyses: list[str] = []
        refused = 0
        for start in starts:
            if start is None:
                refused += 1
                continue
            analysis, started = start
            if forecaster is None:
                digest_of = _digests(installation, started, options)
                forecaster = Forecaster(installation.database, installation.storage, digest_of)
            forecaster.add(started, analysis=analysis)
            if analysis not in analyses:
                analyses.append(analysis)
    cores = options["cores"] or installation.settings.cores or usable_cores()
    empty = forecaster or Forecaster(installation.database, installation.storage, lambda *_: "")
    _show(empty.forecast(cores=cores, analyses=analyses), refused, as_json=options["as_json"])


def _starts(
    installation: Installation, targets: str, files: tuple[str, ...], options: dict[str, Any], scratch: Path
) -> Iterator[tuple[str, RunStarted] | None]:
    """(analysis, first event) of every run that is asked for; None for a point that is refused."""
    if any(options[key] for key in ("grids", "wheres", "table", "folder", "patchset", "template")):
        yield from _of_points(installation, targets, files, options)
        return
    from reana_lite.submission import started_of
    from reana_lite.target import TargetOptions, resolve

    for target in targets.split(","):
        stand_ins = dict(text.partition("=")[::2] for text in options["stand_ins"])
        given = TargetOptions(
            files=files,
            assignments=tuple(options["assignments"]),
            example=options["example"],
            stand_ins=stand_ins,
            folder=Path.cwd(),
            scratch=scratch,
        )
        prepared = resolve(target.strip(), settings=installation.settings, options=given)
        for warning in prepared.warnings:
            click.echo(f"warning: {plain(warning)}", err=True)
        yield prepared.name, started_of(prepared, prepared.keep(installation.storage))


def _of_points(
    installation: Installation, targets: str, files: tuple[str, ...], options: dict[str, Any]
) -> Iterator[tuple[str, RunStarted] | None]:
    from reana_lite.errors import InvalidInput
    from reana_lite.planning import planner
    from reana_lite.target.files import Scratch

    request, points, where = asked(installation, targets, files, options)
    with planner(installation.database, installation.storage, settings=installation.settings) as planning:
        planned = planning.plan(request, points, where=where)
        for one in planned.frames:
            for point in planned.scan.points:
                with tempfile.TemporaryDirectory(prefix="recast-") as folder:
                    try:
                        prepared, started = planning.started(one, point, request, Scratch(Path(folder)))
                    except InvalidInput as error:
                        click.echo(f"{plain(point.name)} would be refused: {plain(error.message)}", err=True)
                        yield None
                    else:
                        yield prepared.name, started


def _digests(installation: Installation, started: RunStarted, options: dict[str, Any]) -> Any:
    """How the backend that would run it names environments; nothing is built."""
    from reana_lite.backends.choice import choose
    from reana_lite.backends.environment import environment_digest
    from reana_lite.event import to_row
    from reana_lite.job import EnvironmentKind

    settings = installation.settings
    name = options["backend"] or settings.backend
    backend = choose(name, to_row(started)[1], settings=settings, storage=installation.storage, cores=options["cores"])
    known: dict[tuple[str, str], str] = {}

    def digest_of(environment: Any, stand_ins: Any) -> str:
        stand_in = stand_ins.get(environment.image)
        if backend.name == "local" and environment.kind is not EnvironmentKind.PROCESS and stand_in is not None:
            return environment_digest(stand_in.lock)
        key = (environment.image, stand_in.lock if stand_in else "")
        if key not in known:
            known[key] = backend.prepare(environment, stand_ins, lambda line: click.echo(plain(line), err=True))
        return known[key]

    return digest_of


def _show(forecast: Forecast, refused: int, *, as_json: bool) -> None:
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
