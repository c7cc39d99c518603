"""`recast run`: from a target and a theory to a verdict, in one process: submit, drive, show."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.screen import Installation, open_installation, plain, print_json
from reana_lite.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from reana_lite.database import RunRecord
    from reana_lite.drive import Drive
    from reana_lite.intake import Asked

EXIT_FAILED = 1
"""Exit code of a run that ended other than finished."""


@click.command()
@click.argument("target", required=False)
@click.argument("files", nargs=-1)
@click.option(
    "-p", "--parameter", "assignments", multiple=True, metavar="KEY=VALUE", help="A parameter; VALUE is YAML."
)
@click.option("--name", "--tag", default="", help="Name of the run (default: that of the target).")
@click.option("--example", default="", help="Use this example of the analysis as theory and parameters.")
@click.option("--backend", type=click.Choice(["auto", "local", "container", "kubernetes"]), help="Where jobs run.")
@click.option("--cores", type=click.FloatRange(min=0.1), help="Cores to use (default: all of this machine).")
@click.option("--no-cache", is_flag=True, help="Use no kept outputs of other runs.")
@click.option("--resume", metavar="RUN", help="Go on with an interrupted run, or try a failed one again.")
@click.option(
    "--engine", type=click.Choice(["reana-lite", "yadage"]), default="reana-lite", help="yadage: the reference."
)
@click.option("-d", "--dataopt", "data_options", multiple=True, metavar="KEY=VALUE", help="Yadage's data options.")
@click.option(
    "-w", "--wflowopt", "workflow_options", multiple=True, metavar="KEY=VALUE", help="Yadage's workflow options."
)
@click.option("-t", "--toplevel", default="", help="Where references of a workflow file start.")
@click.option(
    "--stand-in", "stand_ins", multiple=True, metavar="IMAGE=LOCKFILE", help="Requirements in place of an image."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document: {run, state, workspace, nodes}.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def run(target: str | None, files: tuple[str, ...], **options: Any) -> None:
    """Run TARGET for a theory (FILES) and wait for the result.

    TARGET is a name of the catalogue, the folder of an analysis, a Yadage workflow file, a reana.yaml or a recast.yml.
    FILES are the files that stand for the theory (SLHA, LHE, HepMC, ...), or the init files of a workflow.

    \b
    Examples:
      recast run atlas-susy-2018-22 gluino.slha
      recast run atlas-susy-2018-22 gluino.slha -p n_events=20000 --name mygluino
      recast run workflow.yml inputs.yml -p nevents=100
      recast run --resume latest
    """
    if options["engine"] == "yadage":
        from reana_lite.cli.reference import run_reference

        run_reference(target, files, options)
        return
    installation = open_installation()
    if (target is None) == (options["resume"] is None):
        raise InvalidInput("give a TARGET to run, or --resume RUN to go on with one", field="target")
    if options["resume"]:
        run_id = resume(installation, options["resume"], options)
    else:
        run_id = begin(installation, str(target), files, options)
    drive = execute(installation, run_id, options)
    record = report(installation, drive, as_json=options["as_json"])
    if record.state != "finished":
        raise click.exceptions.Exit(EXIT_FAILED)


def begin(installation: Installation, target: str, files: tuple[str, ...], options: dict[str, Any]) -> str:
    """Resolve and submit; gives the run's id."""
    from reana_lite.intake import Asked, stand_ins_of

    asked = Asked(
        target=target,
        files=files,
        assignments=tuple(options["assignments"]),
        data_options=tuple(options["data_options"]),
        workflow_options=tuple(options["workflow_options"]),
        toplevel=options["toplevel"],
        example=options["example"],
        stand_ins=stand_ins_of(options["stand_ins"]),
        folder=str(Path.cwd()),
    )
    return _ask(installation, asked, name=options["name"], reuse=not options["no_cache"], quiet=options["quiet"])


def _ask(installation: Installation, asked: Asked, *, name: str, reuse: bool, quiet: bool, parent: str = "") -> str:
    from reana_lite.intake import submit_run

    def say(warning: str) -> None:
        if not quiet:
            click.echo(f"warning: {plain(warning)}", err=True)

    return submit_run(
        asked,
        database=installation.database,
        storage=installation.storage,
        settings=installation.settings,
        owner=installation.settings.user,
        name=name,
        reuse=reuse,
        parent=parent,
        say=say,
    )


def resume(installation: Installation, name: str, options: dict[str, Any]) -> str:
    """The run to go on with: the same one if it is not over, else a new one of the same request that names the old.

    The target is read again, so that what has been mended since then counts; steps that are as before are reused.
    """
    record = installation.database.get_run(name, owner=installation.settings.user)
    if record.state in ("created", "queued", "running"):
        return record.id
    if record.state == "finished":
        raise Conflict(f"run {record.id} is finished: there is nothing to go on with", run=record.id)
    if record.campaign:
        raise Conflict(
            f"run {record.id} is part of a campaign: try it again with recast campaign retry {record.name}",
            run=record.id,
        )
    asked = record.request["asked"]
    if not asked:
        raise Conflict(f"run {record.id} is not one of recast run: try it again with recast test", run=record.id)
    from reana_lite.intake import Asked

    return _ask(
        installation,
        Asked.from_dict(asked),
        name=record.name,
        reuse=record.request["reuse"],
        quiet=options["quiet"],
        parent=record.id,
    )


def execute(installation: Installation, run_id: str, options: dict[str, Any]) -> Drive:
    """Drive the run in this process until it is over."""
    from reana_lite.backends.choice import choose
    from reana_lite.cli.progress import Progress
    from reana_lite.database import workers
    from reana_lite.drive import replayed
    from reana_lite.worker import Worker

    settings, database, storage = installation.settings, installation.database, installation.storage
    last: dict[str, Drive] = {}
    with Progress(quiet=options["quiet"]) as progress:

        def watch(drive: Drive) -> None:
            last[drive.run] = drive
            progress.watch(drive)

        started = database.read_events(run_id)[0][2]
        name = options["backend"] or settings.backend
        backend = choose(
            name, started, settings=settings, storage=storage, cores=options["cores"], say=progress.say,
            installation=database.installation(),
        )  # fmt: skip
        worker = Worker(database, storage, backend=backend, say=progress.say, watch=watch, host=True)
        try:
            if workers.driver_of(database, run_id):
                progress.say(
                    f"run {run_id} is driven by another process and followed here; Ctrl-C leaves it to that one"
                )
            worker.drive([run_id])
        except KeyboardInterrupt:
            with contextlib.suppress(OSError):  # the terminal may be gone
                if workers.driver_of(database, run_id) in ("", worker.name):
                    click.echo(f"interrupted; go on with: recast run --resume {run_id}", err=True)
                else:
                    click.echo(f"run {run_id} goes on in the process that drives it", err=True)
            raise
        finally:
            worker.close()
    return last.get(run_id) or replayed(run_id, database.read_events(run_id), storage)


def report(installation: Installation, drive: Drive, *, as_json: bool) -> RunRecord:
    """What came out, in a few lines or as one JSON document."""
    from reana_lite.harvest import show_folder

    record = installation.database.get_run(drive.run)
    folder = show_folder(drive, installation.storage, runs=installation.settings.home / "runs")
    if as_json:
        counts = {"total": record.total, "finished": record.finished, "reused": record.reused, "failed": record.failed}
        print_json({"run": record.id, "name": record.full_name, "state": str(record.state), "error": record.error,
                    "workspace": str(folder) if folder else None, "nodes": counts})  # fmt: skip
        return record
    from reana_lite.cli.results import summary
    from reana_lite.cli.runs import explain

    failed = f", {record.failed} failed" if record.failed else ""
    click.echo(f"run {record.id} ({plain(record.full_name)}) {record.state}: "
               f"{record.reused} of {record.total} steps reused{failed}")  # fmt: skip
    if record.state == "finished":
        if record.error:
            click.echo(plain(record.error), err=True)
        summary(installation, record)
    else:
        explain(installation, record)
    click.echo(f"files: {folder or f'recast artifacts get {record.id}'}")
    return record
