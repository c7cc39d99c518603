"""`ls`, `status`, `logs` and `stop` against a server."""

from __future__ import annotations

import codecs
import time
from typing import TYPE_CHECKING

import click

from reana_lite.cli.runs import FOLLOW_S, LOG_LINE_LIMIT, LOG_TAIL_LINES, moment
from reana_lite.cli.screen import plain, print_json, print_table

if TYPE_CHECKING:
    from reana_lite.client import Client, Run

HIDDEN = ("parameters", "example", "warnings", "reuse", "point", "may_change")
"""What the API says of a run that `recast status --json` does not."""


def ls(client: Client, state: tuple[str, ...], analysis: str | None, campaign: str | None, limit: int,
        as_json: bool) -> None:  # fmt: skip
    """One's own runs there."""
    runs = list(client.runs(states=state, analysis=analysis or "", campaign=campaign or "", limit=limit))
    if as_json:
        print_json([run.document for run in runs])
        return
    print_table(
        ("RUN", "NAME", "STATE", "STEPS", "REUSED", "CREATED", "TOOK"),
        [
            (r.id, r.name, r.state, f"{r.progress.finished}/{r.progress.total}", str(r.progress.reused),
             moment(r.created_at), _took(r))
            for r in runs
        ],
    )  # fmt: skip


def status(client: Client, run: str, as_json: bool) -> None:
    """How far a run is, node by node."""
    found = client.run(run)
    nodes = client.nodes(found.id)
    if as_json:
        details = {job["node"]: job["details"] for job in client.jobs(found.id)}
        shown = {name: value for name, value in found.document.items() if name not in HIDDEN}
        print_json({**shown, "nodes": [{**node, "details": details.get(node["node"], {})} for node in nodes]})
        return
    click.echo(f"run {found.id} ({plain(found.name)}) {found.state}, {_took(found)}")
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


def logs(client: Client, run: str, node: str | None, follow: bool, tail: int | None) -> None:
    """What steps printed, all of it, its end, or as it comes."""
    found = client.run(run)
    printed: dict[str, _Printed] = {}
    while True:
        over = found.is_over
        for row in client.nodes(found.id):
            name = row["node"]
            if not row["attempt"] or (node and not name.startswith(node.rstrip("/"))):
                continue
            if tail is not None and not follow:
                if text := plain(client.log(found.id, name, tail=tail)):
                    printed[name] = _Printed(name)
                    printed[name].show(text.encode(), end=True)
                continue
            one = printed.setdefault(name, _Printed(name))
            one.catch_up(client, found.id, tail=tail, end=over or not follow)
        if over or not follow:
            break
        time.sleep(FOLLOW_S)
        found = found.refresh()
    if not any(one.begun for one in printed.values()):
        click.echo(f"nothing printed by {plain(node or found.id)} so far", err=True)


class _Printed:
    """How much of a node's log has been printed: whole lines, letters that are not cut."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.offset = 0
        self.begun = False
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def catch_up(self, client: Client, run: str, *, tail: int | None, end: bool) -> None:
        """Print what there is more; at the `end` also a line that is not ended."""
        lines = tail if not self.begun else None
        text = b""
        while content := client.log_from(run, self.node, self.offset)[0]:
            self.offset += len(content)
            if lines is None:
                self.show(content, end=False)
            else:
                text = b"\n".join((text + content).split(b"\n")[-lines - 1 :])
        self.show(text, end=end)

    def show(self, content: bytes, *, end: bool) -> None:
        """Print whole lines."""
        text = self._rest + self._decoder.decode(content, final=end)
        whole, newline, self._rest = text.rpartition("\n")
        if end and self._rest:
            whole, newline, self._rest = text, "\n", ""
        if newline:
            if not self.begun:
                click.echo(f"== {plain(self.node)}")
                self.begun = True
            click.echo(plain(whole))


def stop(client: Client, run: str) -> None:
    """Ask for the end of a run."""
    stopped = client.stop(client.run(run).id)
    click.echo(f"run {stopped.id} is stopped" if stopped.state == "stopped" else f"run {stopped.id} is being stopped")


def explain(client: Client, run: Run) -> None:
    """Why a run failed; on standard error."""
    click.echo(plain(run.error), err=True)
    for job in [job for job in client.jobs(run.id) if job["state"] == "failed"][:5]:
        click.echo(f"\n{plain(job['node'])} failed ({job['cause']}): {plain(job['message'])}", err=True)
        click.echo(f"  {plain(job['advice'])}", err=True)
        for line in plain(client.log(run.id, job["node"], tail=LOG_TAIL_LINES)).splitlines():
            click.echo(f"  | {line[:LOG_LINE_LIMIT]}", err=True)


def _took(run: Run) -> str:
    """How long a run has taken (minutes:seconds)."""
    if not run.started_at:
        return "-"
    seconds = round((run.ended_at or time.time()) - run.started_at)
    return f"{seconds // 60}:{seconds % 60:02d}"
