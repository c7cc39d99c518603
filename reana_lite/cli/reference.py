"""The yadage package as the reference engine: `recast run --engine yadage`, `recast check --against yadage`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.screen import open_installation, plain, print_json
from reana_lite.engine import Engine
from reana_lite.errors import InvalidInput
from reana_lite.job import INIT_ROOT, RUN_ROOT

if TYPE_CHECKING:
    from reana_lite.reference import ReferenceRun
    from reana_lite.target import Prepared


def run_reference(target: str | None, files: tuple[str, ...], options: dict[str, Any]) -> None:
    """Run a target by yadage itself, in ./yadage-<name>; the exit code is 1 if it did not succeed."""
    from reana_lite.cli.check import prepare
    from reana_lite.config import Settings
    from reana_lite.reference import run_reference as run

    if target is None:
        raise InvalidInput("--engine yadage needs a TARGET; it cannot go on with a run", field="target")
    prepared = prepare(
        target,
        files,
        assignments=options["assignments"],
        toplevel=options["toplevel"],
        data_options=options["data_options"],
        workflow_options=options["workflow_options"],
        example=options["example"],
    )
    workdir = Path.cwd() / f"yadage-{options['name'] or prepared.name.rpartition('/')[2]}"
    if workdir.exists():
        raise InvalidInput(f"{workdir} exists; give another --name or remove it", field="name")
    root = Settings.from_environment().home
    snapshot = run(_request(prepared, workdir), root=root, say=lambda line: click.echo(plain(line), err=True))
    counts = _counts(snapshot)
    if options["as_json"]:
        print_json({"run": None, "state": snapshot["status"], "workspace": str(workdir), "nodes": counts})
    else:
        click.echo(f"yadage: {snapshot['status']}, {counts['finished']} of {counts['total']} nodes finished")
        if snapshot.get("error"):
            click.echo(plain(str(snapshot["error"].get("message"))), err=True)
        click.echo(f"files: {workdir}")
    if snapshot["status"] != "success":
        raise click.exceptions.Exit(1)


def compare_with_reference(prepared: Prepared, *, as_json: bool) -> None:
    """Run both engines and print what differs; exit code 1 if anything does."""
    from reana_lite.cli.run import execute
    from reana_lite.reference import compare_nodes
    from reana_lite.reference import run_reference as run
    from reana_lite.submission import submit

    installation = open_installation()
    ours_run = submit(
        prepared,
        database=installation.database,
        storage=installation.storage,
        owner=installation.settings.user,
        reuse=False,
    )
    drive = execute(installation, ours_run, {"backend": None, "cores": None, "quiet": as_json})
    assert isinstance(drive.engine, Engine)
    ours = drive.engine.snapshot()
    ours["status"] = "success" if ours["state"] == "finished" else "failed"
    with tempfile.TemporaryDirectory(prefix="recast-yadage-") as name:
        workdir = Path(name).resolve() / "workdir"
        theirs = run(
            _request(prepared, workdir),
            root=installation.settings.home,
            say=lambda line: None if as_json else click.echo(plain(line), err=True),
        )
    differences = compare_nodes(ours, theirs)
    if as_json:
        print_json({"target": prepared.origin, "run": ours_run, "nodes": len(theirs.get("nodes") or {}),
                    "differences": differences})  # fmt: skip
    else:
        for difference in differences:
            click.echo(plain(difference))
        nodes = len(theirs.get("nodes") or {})
        click.echo(f"{len(differences)} differences in {nodes} nodes between this engine and yadage")
    if differences:
        raise click.exceptions.Exit(1)


def _request(prepared: Prepared, workdir: Path) -> ReferenceRun:
    """The same run in yadage's terms: files brought along are laid out in an init folder of real paths."""
    import shutil

    from reana_lite.reference import ReferenceRun

    if prepared.engine != "yadage":
        raise InvalidInput(f"{prepared.origin} is a {prepared.engine} workflow: yadage cannot run it", field="target")
    init = Path(tempfile.mkdtemp(prefix="recast-init-")).resolve()
    for brought in prepared.brought:
        place = init / brought.folder[len(INIT_ROOT) :].lstrip("/")
        if brought.path is not None and brought.path.is_dir():
            shutil.copytree(brought.path, place, symlinks=True, dirs_exist_ok=True)
        elif brought.path is not None:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy2(brought.path, place / brought.path.name)
        for path, content in brought.files.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
    return ReferenceRun(
        workflow=prepared.workflow,
        toplevel="",
        workdir=workdir,
        init_data=_real(prepared.parameters, str(init)),
        data_options={"initdir": str(init)},
        workflow_options={"discover": prepared.discover, "relative": prepared.relative},
        tokens=((str(workdir), RUN_ROOT), (str(init), INIT_ROOT)),
    )


def _real(value: Any, init: str) -> Any:
    """A value with the init folder's real path in place of the virtual one."""
    if isinstance(value, str):
        return value.replace(INIT_ROOT, init)
    if isinstance(value, list):
        return [_real(item, init) for item in value]
    if isinstance(value, dict):
        return {key: _real(item, init) for key, item in value.items()}
    return value


def _counts(snapshot: dict[str, Any]) -> dict[str, int]:
    nodes = (snapshot.get("nodes") or {}).values()
    jobs = [node for node in nodes if not node["pure_publishing"]]
    return {
        "total": len(jobs),
        "finished": sum(node["state"] == "SUCCESS" for node in jobs),
        "reused": 0,
        "failed": sum(node["state"] == "FAILED" for node in jobs),
    }
