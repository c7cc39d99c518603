"""`recast admin`: what whoever runs an installation does: the database brought up to date, accounts."""

from __future__ import annotations

import sys

import click


@click.group()
def admin() -> None:
    """Care for an installation."""


@admin.command()
def migrate() -> None:
    """Make the tables of the database, or bring them up to date; a second time does nothing.

    \b
    Example:
      recast admin migrate
    """
    from reana_lite.config import Settings
    from reana_lite.database import Database

    before, now = Database.migrate(Settings.from_environment().database)
    if before == now:
        click.echo(f"the database is up to date (version {now})")
    elif before:
        click.echo(f"the database has been brought from version {before} to {now}")
    else:
        click.echo(f"the tables of the database have been made (version {now})")


@admin.group()
def users() -> None:
    """Accounts of the server."""


@users.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["read-only", "user", "admin"]), default="user", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input (default: ask for it).")
def add(name: str, role: str, password_stdin: bool) -> None:
    """Make an account.

    \b
    Example:
      recast admin users add alice --role admin
    """
    from reana_lite.config import Settings
    from reana_lite.database import Database, accounts
    from reana_lite.server.passwords import hashed

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    database = Database(Settings.from_environment().database)
    try:
        accounts.add_user(database, accounts.User(name, accounts.Role(role), password=hashed(password)))
    finally:
        database.close()
    click.echo(f"{name} can log in ({role})")
