"""`recast --server URL ...`: commands against a server, with the options and the output of those of this machine.

A command here has the parameters of the local one and another body. What a server decides itself (--backend, --cores, ...)
and commands that need this machine's files are refused in one sentence. Needs the extra `client`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli.cache import size
from reana_lite.cli.screen import err, plain, print_json, print_table
from reana_lite.errors import Conflict, InvalidInput, NotAllowed, NotFound

if TYPE_CHECKING:
    from reana_lite.client import Campaign, Client, Run

EXIT_FAILED = 1
LOG_TAIL_LINES = 12
LINE_EVERY_S = 10.0

HERE = ("check", "serve", "worker", "admin", "cache", "backends", "completion", "version")
"""Commands about this machine: RECAST_SERVER does not concern them, --server is refused."""

DECIDED_THERE = {
    "backend": "--backend", "cores": "--cores", "stand_ins": "--stand-in", "toplevel": "--toplevel",
    "data_options": "--dataopt", "workflow_options": "--wflowopt", "resume": "--resume", "dry_run": "--dry-run",
    "plot": "--plot", "plot_limits": "--plot-limits",
}  # fmt: skip
"""Options of the local commands that mean nothing to a server, by the names click gives them."""


def command(name: str, local: click.Command, url: str) -> click.Command:
    """The command of that name for a server; one that refuses, if there is none."""
    return _adapted(name, local, url)


def _adapted(path: str, local: click.Command, url: str) -> click.Command:
    if isinstance(local, click.Group):
        group = click.Group(local.name, help=local.help)
        for name, inner in local.commands.items():
            group.add_command(_adapted(f"{path} {name}", inner, url), name)
        return group
    body = BODIES.get(path)
    refused = click.Command(
        local.name, params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)], help=local.help,
        callback=lambda rest: _refuse(path), context_settings={"ignore_unknown_options": True},
    )  # fmt: skip
    if body is None:
        return refused

    def called(**options: Any) -> None:
        _check_options(options)
        with _client(url) as client:
            body(client, **options)

    return click.Command(local.name, params=local.params, help=local.help, callback=called)


def _refuse(path: str) -> None:
    known = ", ".join(BODIES)
    raise NotAllowed(f"recast {path} works on this machine alone, not with --server; a server takes: {known}")


def _check_options(options: dict[str, Any]) -> None:
    for name, option in DECIDED_THERE.items():
        if options.get(name):
            raise InvalidInput(f"{option} cannot be used with --server", field=name)
    if options.get("engine", "reana-lite") != "reana-lite":
        raise InvalidInput("--engine cannot be used with --server: a server has its own", field="engine")


def _client(url: str) -> Client:
    from reana_lite.client import Client

    return Client(url, os.environ.get("RECAST_TOKEN") or _token_of_this_machine(url))


def _token_of_this_machine(url: str) -> str:
    """The token that `recast serve` has left for programs of this user, if it is the same server."""
    from reana_lite.config import Settings

    try:
        said = json.loads((Settings.from_environment().home / "server.json").read_text())
        return str(said["token"]) if str(said["url"]).rstrip("/") == url.rstrip("/") else ""
    except (OSError, ValueError, KeyError):
        return ""


def _texts(assignments: Sequence[str]) -> dict[str, str]:
    texts = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign or not name:
            raise InvalidInput(f"{assignment!r} is no KEY=VALUE", field="parameter", value=assignment)
        texts[name] = text
    return texts


def _files(paths: Sequence[str]) -> list[str]:
    for path in paths:
        if not Path(path).expanduser().is_file():
            raise InvalidInput(f"{path} is no file", field="files", value=path)
    return [str(Path(path).expanduser()) for path in paths]


# -- run and scan -----------------------------------------------------------------------------------------------------


def _run(client: Client, target: str | None, files: tuple[str, ...], **options: Any) -> None:
    if target is None:
        raise InvalidInput("give a TARGET to run: an analysis of the server's catalogue", field="target")
    run = client.submit(
        target, _files(files), texts=_texts(options["assignments"]), example=options["example"], name=options["name"],
        reuse=not options["no_cache"],
    )  # fmt: skip
    with _Progress("steps", quiet=options["quiet"]) as progress:
        try:
            over = client.wait(run, watch=lambda one: progress.show(one.progress.finished, one.progress.total))
        except KeyboardInterrupt:
            click.echo(f"run {run.id} goes on at the server; stop it with: recast stop {run.id}", err=True)
            raise
    counts = over.progress
    if options["as_json"]:
        nodes = {name: getattr(counts, name) for name in ("total", "finished", "reused", "failed")}
        print_json({"run": over.id, "name": over.name, "state": over.state, "error": over.error, "workspace": None,
                    "nodes": nodes})  # fmt: skip
    else:
        failed = f", {counts.failed} failed" if counts.failed else ""
        click.echo(
            f"run {over.id} ({plain(over.name)}) {over.state}: {counts.reused} of {counts.total} steps reused{failed}"
        )
        if over.state == "finished":
            _summary(client, over)
        else:
            _explain(client, over)
        click.echo(f"files: recast artifacts get {over.id}")
    if over.state != "finished":
        raise click.exceptions.Exit(EXIT_FAILED)


def _scan(client: Client, targets: str, files: tuple[str, ...], **options: Any) -> None:
    axes = {}
    for grid in options["grids"]:
        name, sign, values = grid.partition("=")
        if not sign:
            raise InvalidInput(f"--grid {grid!r} is no NAME=VALUES", field="grid", value=grid)
        axes[name] = values
    spectra: list[str] = []
    if options["folder"]:
        folder = Path(options["folder"]).expanduser()
        spectra = sorted(str(path) for path in folder.glob("*") if path.is_file() and path.name[0] != ".")
        if not spectra:
            raise InvalidInput(f"{folder} is no folder with theory files", field="folder", value=str(folder))
    campaign = client.scan(
        [name.strip() for name in targets.split(",")], axes=axes, table=options["table"] or None, theory_points=spectra,
        patchset=options["patchset"] or None, where=options["wheres"], template=options["template"],
        theory=_files(files), texts=_texts(options["assignments"]), example=options["example"], name=options["name"],
        reuse=not options["no_cache"],
    )  # fmt: skip
    if not options["quiet"]:
        how = "goes on" if campaign.document.get("known") else "begins"
        click.echo(f"campaign {campaign.name} {how}: {campaign.points['total']} points", err=True)
    _follow(client, campaign, options)


def _follow(client: Client, campaign: Campaign, options: dict[str, Any]) -> None:
    with _Progress("points", quiet=options["quiet"]) as progress:
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
            if at == 20:
                click.echo(f"  ... and more: recast campaign status {over.name} --state failed", err=True)
                break
            click.echo(f"  {plain(point.name)} {point.state}: {plain(point.error)}", err=True)
    if over.state != "finished":
        raise click.exceptions.Exit(EXIT_FAILED)


class _Progress:
    """A bar on a terminal, a line now and then elsewhere; on standard error."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self.what, self.quiet = what, quiet
        self._bars: Any = None
        self._bar: Any = None
        self._said_at = 0.0

    def __enter__(self) -> _Progress:
        if not self.quiet and sys.stderr.isatty():
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            self._bars = Progress(SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn(self.what),
                                  TimeElapsedColumn(), console=err(), transient=True)  # fmt: skip
            self._bar = self._bars.add_task("", total=None)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, done: int, total: int) -> None:
        """So far it is."""
        if self._bars is not None:
            self._bars.update(self._bar, completed=done, total=total)
        elif not self.quiet and time.monotonic() - self._said_at > LINE_EVERY_S:
            self._said_at = time.monotonic()
            click.echo(f"{done} of {total} {self.what} finished", err=True)


# -- runs ---------------------------------------------------------------------------------------------------------------


def _moment(at: float | None) -> str:
    from reana_lite.cli.runs import moment

    return moment(at)


def _duration(run: Run) -> str:
    if not run.started_at:
        return "-"
    seconds = round((run.ended_at or time.time()) - run.started_at)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _ls(client: Client, state: tuple[str, ...], analysis: str | None, campaign: str | None, limit: int,
        as_json: bool) -> None:  # fmt: skip
    runs = list(client.runs(states=state, analysis=analysis or "", campaign=campaign or "", limit=limit))
    if as_json:
        print_json([run.document for run in runs])
        return
    print_table(
        ("RUN", "NAME", "STATE", "STEPS", "REUSED", "CREATED", "TOOK"),
        [
            (r.id, r.name, r.state, f"{r.progress.finished}/{r.progress.total}", str(r.progress.reused),
             _moment(r.created_at), _duration(r))
            for r in runs
        ],
    )  # fmt: skip


def _status(client: Client, run: str, as_json: bool) -> None:
    found = client.run(run)
    nodes = client.nodes(found.id)
    if as_json:
        details = {job["node"]: job["details"] for job in client.jobs(found.id)}
        names = {name for name in found.document if name not in ("parameters", "example", "warnings", "reuse", "point",
                                                                 "may_change")}  # fmt: skip
        print_json({**{name: value for name, value in found.document.items() if name in names},
                    "nodes": [{**node, "details": details.get(node["node"], {})} for node in nodes]})  # fmt: skip
        return
    click.echo(f"run {found.id} ({plain(found.name)}) {found.state}, {_duration(found)}")
    if found.error:
        click.echo(plain(found.error))
    print_table(
        ("NODE", "STATE", "HOW"),
        [
            (node["node"], node["state"],
             "reused" if node["reused_from"] else f"attempt {node['attempt']}" if node["attempt"] else "")
            for node in nodes
        ],
    )  # fmt: skip


def _logs(client: Client, run: str, node: str | None, follow: bool, tail: int | None) -> None:
    found = client.run(run)
    shown: dict[str, int] = {}
    over_before = False
    while True:
        over = found.is_over
        for row in client.nodes(found.id):
            name = row["node"]
            if not row["attempt"] or (node and not name.startswith(node.rstrip("/"))):
                continue
            content, _ = client.log_from(found.id, name, shown.get(name, 0))
            if content:
                if name not in shown:
                    click.echo(f"== {plain(name)}")
                shown[name] = shown.get(name, 0) + len(content)
                lines = plain(content.decode(errors="replace")).splitlines()
                click.echo("\n".join(lines[-tail:] if tail else lines))
        if not follow or over_before:
            break
        over_before = over
        if not over:
            time.sleep(0.5)
            found = found.refresh()
    if not shown:
        click.echo(f"nothing printed by {plain(node or found.id)} so far", err=True)


def _stop(client: Client, run: str) -> None:
    stopped = client.stop(client.run(run).id)
    click.echo(f"run {stopped.id} is stopped" if stopped.state == "stopped" else f"run {stopped.id} is being stopped")


def _explain(client: Client, run: Run) -> None:
    click.echo(plain(run.error), err=True)
    for job in [job for job in client.jobs(run.id) if job["state"] == "failed"][:5]:
        click.echo(f"\n{plain(job['node'])} failed ({job['cause']}): {plain(job['message'])}", err=True)
        click.echo(f"  {plain(job['advice'])}", err=True)
        for line in plain(client.log(run.id, job["node"], tail=LOG_TAIL_LINES)).splitlines():
            click.echo(f"  | {line[:400]}", err=True)


# -- what came out --------------------------------------------------------------------------------------------------------


def _results(client: Client, run: str, as_json: bool, as_csv: bool, **_: Any) -> None:
    found = client.run(run)
    try:
        document = client.result(found.id).document
    except NotFound:
        if found.state != "finished":
            raise Conflict(f"run {found.id} is {found.state}: it has no result", run=found.id) from None
        if as_json or as_csv:
            raise
        _summary(client, found)
        return
    from reana_lite.result import result_of

    result = result_of(document, known=True)
    if as_json:
        print_json(dict(document))
    elif as_csv:
        click.echo(result.to_csv(), nl=False)
    else:
        click.echo(plain(result.to_text()))


def _summary(client: Client, run: Run) -> None:
    from reana_lite.result import result_of

    declared = client.declared(run.id)
    shown = False
    if any(entry["kind"] == "result" for entry in declared.values()):
        click.echo(plain(result_of(client.result(run.id).document, known=True).to_text()))
        shown = True
    for name, entry in declared.items():
        if entry["kind"] != "result":
            click.echo(f"{plain(name)} ({entry['kind']}): {plain(json.dumps(entry['value'], ensure_ascii=False))}")
            shown = True
    if not shown:
        click.echo(f"no results are declared; its files: recast artifacts ls {run.id}", err=True)


def _artifacts_ls(client: Client, run: str, as_json: bool) -> None:
    rows = client.artifacts(client.run(run).id)
    if as_json:
        print_json([{"path": a.path, "kind": a.kind, "size_bytes": a.size_bytes, "digest": a.digest} for a in rows])
        return
    print_table(("PATH", "SIZE"), [(a.path, size(a.size_bytes) if a.kind == "file" else a.kind) for a in rows])


def _artifacts_get(client: Client, run: str, paths: tuple[str, ...], output: Path) -> None:
    found = client.run(run).id
    if str(output) == "-":
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            for path in client.download(found, folder, *paths):
                with path.open("rb") as source:
                    shutil.copyfileobj(source, sys.stdout.buffer)
        return
    click.echo(f"{len(client.download(found, output, *paths))} files", err=True)


# -- campaigns --------------------------------------------------------------------------------------------------------------


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


def _campaign_ls(client: Client, limit: int, as_json: bool) -> None:
    found = list(client.campaigns(limit=limit))
    if as_json:
        print_json([_campaign_document(one) for one in found])
        return
    print_table(
        ("CAMPAIGN", "STATE", "POINTS", "FINISHED", "FAILED", "REUSED", "CREATED"),
        [
            (c.name, c.state, str(c.points["total"]), str(c.points["finished"]),
             str(c.points["failed"] + c.points["refused"]), f"{c.steps.reused}/{c.steps.total}", _moment(c.created_at))
            for c in found
        ],
    )  # fmt: skip


def _campaign_status(client: Client, name: str, states: tuple[str, ...], as_json: bool) -> None:
    campaign = client.campaign(name)
    points = list(client.points(campaign.id, *states))
    verdicts = {result.run: result.verdict for result in client.results(campaign.id)}
    if as_json:
        rows = [{name: getattr(p, name) for name in p.__dataclass_fields__} | {"verdict": verdicts.get(p.run or "")}
                for p in points]  # fmt: skip
        print_json({**_campaign_document(campaign), "all_points": rows})
        return
    click.echo(_line(campaign))
    print_table(
        ("POINT", "TARGET", "STATE", "RUN", "VERDICT", "CAUSE"),
        [(p.name, p.target, p.state, p.run or "-", verdicts.get(p.run or "", "-"), p.error) for p in points],
    )


def _campaign_stop(client: Client, name: str) -> None:
    campaign = client.change_campaign(client.campaign(name).id, "stop")
    click.echo(f"campaign {campaign.name} is being stopped; go on with: recast campaign resume {campaign.name}")


def _campaign_resume(client: Client, name: str, **options: Any) -> None:
    _follow(client, client.change_campaign(client.campaign(name).id, "resume"), options)


def _campaign_retry(client: Client, name: str, **options: Any) -> None:
    _follow(client, client.change_campaign(client.campaign(name).id, "retry"), options)


BODIES: dict[str, Callable[..., None]] = {
    "run": _run, "scan": _scan, "ls": _ls, "status": _status, "logs": _logs, "stop": _stop, "results": _results,
    "artifacts ls": _artifacts_ls, "artifacts get": _artifacts_get, "campaign ls": _campaign_ls,
    "campaign status": _campaign_status, "campaign stop": _campaign_stop, "campaign resume": _campaign_resume,
    "campaign retry": _campaign_retry,
}  # fmt: skip
"""What a server takes, by the words of the command line."""
