"""`recast`: the commands, in the order of the data's way. Each lives in a module that is imported only when it is used."""

from __future__ import annotations

import contextlib
import importlib
import io
import signal
import sys
from collections.abc import Iterator
from typing import Any

import click
from click.core import ParameterSource

from reana_lite import __version__
from reana_lite.errors import EXIT_CODE, ReanaLiteError, Unavailable

EXIT_INTERNAL = 70
"""Exit code of an error of ours (EX_SOFTWARE of sysexits.h)."""

COMMANDS = {
    "catalogue": "reana_lite.cli.catalogue:catalogue",
    "check": "reana_lite.cli.check:check",
    "test": "reana_lite.cli.check:test",
    "plan": "reana_lite.cli.plan:plan",
    "run": "reana_lite.cli.run:run",
    "scan": "reana_lite.cli.scan:scan",
    "campaign": "reana_lite.cli.campaign:campaign",
    "ls": "reana_lite.cli.runs:ls",
    "status": "reana_lite.cli.runs:status",
    "jobs": "reana_lite.cli.queue:jobs",
    "logs": "reana_lite.cli.runs:logs",
    "stop": "reana_lite.cli.runs:stop",
    "queue": "reana_lite.cli.queue:queue",
    "results": "reana_lite.cli.results:results",
    "compare": "reana_lite.cli.compare:compare",
    "artifacts": "reana_lite.cli.results:artifacts",
    "serve": "reana_lite.cli.serve:serve",
    "worker": "reana_lite.cli.worker:worker",
    "admin": "reana_lite.cli.admin:admin",
    "cache": "reana_lite.cli.cache:cache",
    "backends": "reana_lite.cli.installation:backends",
    "completion": "reana_lite.cli.installation:completion",
    "version": "reana_lite.cli.installation:version",
}
"""Command -> where it is; the order is the order of the help page."""

SUMMARIES = {
    "catalogue": "Find, show, create and add preserved analyses.",
    "check": "Check an analysis or workflow without running it.",
    "test": "Run an analysis's own tests and hold the results against its references.",
    "plan": "Say what would run, what is there already, and how long it takes.",
    "run": "Run an analysis for a theory.",
    "scan": "Run analyses for many theories.",
    "campaign": "List, follow, stop, retry and extend scans.",
    "ls": "List runs.",
    "status": "Show how far a run is, node by node.",
    "jobs": "Show each attempt at the jobs of a run: where, how it ended, seconds.",
    "logs": "Show what the steps of a run printed.",
    "stop": "Stop a run.",
    "queue": "Show which runs wait and why, and what the workers do.",
    "results": "Show the result of a run: verdict, limits, yields.",
    "compare": "Compare results with each other and with what is published; draw contours.",
    "artifacts": "List the files of a run, and get them.",
    "serve": "Serve the web site and the API on this machine.",
    "worker": "Drive the runs of everybody (for deployments).",
    "admin": "Accounts, tokens, retention, checks, backup, migration.",
    "cache": "Show and prune the outputs kept for reuse.",
    "backends": "Show where jobs can run here, and why not.",
    "completion": "Print the shell code that completes `recast` commands.",
    "version": "Show versions of the program and what it uses.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called: `recast --help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the data's way."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        server = ctx.params.get("server")
        if not server:
            return command
        from reana_lite.cli import remote

        # set for a whole shell, it concerns no command that is about this machine
        named = ctx.get_parameter_source("server") is not ParameterSource.ENVIRONMENT
        if cmd_name in remote.HERE and not named:
            return command
        return remote.command(cmd_name, command, server, named=named)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from their summaries, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a command that is nearly right."""
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="recast")
@click.option("-v", "--verbose", count=True, help="Say more on standard error (twice: everything).")
@click.option("--server", envvar="RECAST_SERVER", metavar="URL", help="Ask a server (with the token in RECAST_TOKEN).")
@click.pass_context
def recast(ctx: click.Context, verbose: int, server: str | None) -> None:
    """Run preserved LHC analyses for new theories.

    \b
    Examples:
      recast catalogue ls
      recast run atlas-susy-2018-22 gluino.slha
      recast results latest
    """
    ctx.obj = {"verbose": verbose}
    if verbose:
        import logging

        logging.basicConfig(level=logging.DEBUG if verbose > 1 else logging.INFO, format="%(name)s: %(message)s")


def main(args: list[str] | None = None) -> None:
    """The program: errors become one sentence on standard error and an exit code by class (errors.EXIT_CODE)."""
    command: Any = recast
    try:
        with ended_like_interrupts():
            code = command.main(args=args, standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        from reana_lite.cli.screen import plain

        said = io.StringIO()
        error.show(said)
        click.echo(plain(said.getvalue()), err=True, nl=False)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error if isinstance(error, Terminated) else error.__cause__
        code = 128 + (cause.number if isinstance(cause, Terminated) else signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal may be gone
            click.echo("terminated" if isinstance(cause, Terminated) else "interrupted", err=True)
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    except ReanaLiteError as error:
        complain(error.message)
        code = EXIT_CODE[type(error)]
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{(error.strerror or str(error)).lower()}")
        code = EXIT_CODE[Unavailable]
    except Exception as error:
        if logging_everything():
            raise
        complain(f"internal error, please report it (recast -vv shows where): {type(error).__name__}: {error}")
        code = EXIT_INTERNAL
    sys.exit(code if isinstance(code, int) else 0)


class Terminated(KeyboardInterrupt):
    """The process was asked to end by a signal other than Ctrl-C; all that handles an interrupt handles it as well."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def ended_like_interrupts() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: steps stopped, runs given up. A second one ends it at once."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]  # nohup: ignored
    try:
        for number in ours:
            signal.signal(number, end)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def complain(message: str) -> None:
    """One message on standard error, without what a terminal would obey."""
    from reana_lite.cli.screen import plain

    with contextlib.suppress(OSError):
        click.echo(f"recast: {plain(message)}", err=True)


def logging_everything() -> bool:
    """Whether -vv was given."""
    import logging

    return logging.getLogger().isEnabledFor(logging.DEBUG)
