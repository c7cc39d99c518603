"""`recast --server URL ...`: commands against a server, with the options and the output of those of this machine.

A command here has the parameters of the local one and another body, by noun: submitting, runs, results, campaigns, comparing,
catalogue. What a server decides itself (--backend, --cores, ...) and commands that need this machine's files are refused in
one sentence. Needs the extra `client`.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from reana_lite.cli.remote.connection import client_of
from reana_lite.errors import InvalidInput, NotAllowed

HERE = ("check", "serve", "worker", "admin", "cache", "backends", "completion", "version")
"""Commands about this machine: RECAST_SERVER does not concern them, --server is refused."""

HERE_TOO = ("catalogue check", "catalogue create", "catalogue add", "catalogue rm", "catalogue paths")
"""The same of groups of which a server takes other commands."""

DECIDED_THERE = {
    "backend": "--backend", "cores": "--cores", "stand_ins": "--stand-in", "toplevel": "--toplevel",
    "data_options": "--dataopt", "workflow_options": "--wflowopt", "resume": "--resume", "dry_run": "--dry-run",
}  # fmt: skip
"""Options of the local commands that mean nothing to a server, by the names click gives them."""

BODIES = {
    "catalogue ls": "catalogue:ls", "catalogue show": "catalogue:show", "catalogue example": "catalogue:example",
    "catalogue validation": "catalogue:validation",
    "plan": "submitting:plan", "run": "submitting:run", "scan": "submitting:scan", "campaign ls": "campaigns:ls",
    "campaign status": "campaigns:status", "campaign stop": "campaigns:stop", "campaign resume": "campaigns:resume",
    "campaign retry": "campaigns:retry", "campaign extend": "campaigns:extend", "ls": "runs:ls", "status": "runs:status",
    "logs": "runs:logs", "stop": "runs:stop", "results": "results:results", "compare": "comparing:compare",
    "artifacts ls": "results:artifacts_ls", "artifacts get": "results:artifacts_get",
}  # fmt: skip
"""What a server takes, by the words of the command line: the function of a module here."""


def command(name: str, local: click.Command, url: str, *, named: bool = True) -> click.Command:
    """The command of that name for a server; one that refuses, if there is none.

    `named`: the server was named with this command, not for a whole shell; then commands about this machine are refused.
    """
    return _adapted(name, local, url, named=named)


def _adapted(path: str, local: click.Command, url: str, *, named: bool) -> click.Command:
    if isinstance(local, click.Group):
        group = click.Group(local.name, help=local.help)
        for name, inner in local.commands.items():
            group.add_command(_adapted(f"{path} {name}", inner, url, named=named), name)
        return group
    if path in HERE_TOO and not named:
        return local
    if path not in BODIES:
        return click.Command(
            local.name, params=[click.Argument(["rest"], nargs=-1, type=click.UNPROCESSED)], help=local.help,
            callback=lambda rest: _refuse(path), context_settings={"ignore_unknown_options": True}, hidden=local.hidden,
        )  # fmt: skip

    def called(**options: Any) -> None:
        _check_options(options)
        module, _, function = BODIES[path].partition(":")
        body = getattr(importlib.import_module(f"{__name__}.{module}"), function)
        with client_of(url) as client:
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
