"""`recast backends`, `recast completion`, `recast version`: what this installation is and can do."""

from __future__ import annotations

import click

from reana_lite import __version__
from reana_lite.cli.screen import print_json, print_table


@click.group()
def backends() -> None:
    """Show where jobs can run here, and why not."""


@backends.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def backends_ls(as_json: bool) -> None:
    """List the backends, and whether they can be used here.

    \b
    Example:
      recast backends ls
    """
    from reana_lite.backends.choice import survey
    from reana_lite.config import Settings

    rows = survey(Settings.from_environment())
    if as_json:
        print_json([{"name": row.name, "usable": not row.reason, "reason": row.reason} for row in rows])
        return
    print_table(("BACKEND", "USABLE", "WHY NOT"), [(r.name, "no" if r.reason else "yes", r.reason) for r in rows])


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell code that completes `recast` commands.

    \b
    Example (bash; put it into ~/.bashrc):
      eval "$(recast completion bash)"
    """
    from click.shell_completion import get_completion_class

    from reana_lite.cli import recast

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(recast, {}, "recast", "_RECAST_COMPLETE").source())


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def version(as_json: bool) -> None:
    """Show versions of the program and what it uses."""
    import platform
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    versions = {"reana-lite": __version__, "python": platform.python_version()}
    for package in ("SQLAlchemy", "alembic", "jq", "jsonschema", "PyYAML", "click", "rich", "matplotlib"):
        try:
            versions[package] = version_of(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    if as_json:
        print_json(versions)
        return
    print_table(("WHAT", "VERSION"), list(versions.items()))
