"""`recast admin`: accounts and tokens; what keeps an installation in order is upkeep.py's."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from reana_lite.cli import upkeep
from reana_lite.cli.cache import size
from reana_lite.cli.screen import plain, print_json, print_table
from reana_lite.errors import Conflict, InvalidInput, Unavailable

if TYPE_CHECKING:
    from reana_lite.config import Settings
    from reana_lite.database import Database
    from reana_lite.database.users import User

ROLES = click.Choice(["read-only", "user", "admin"])
DAY_S = 86400.0


@click.group()
def admin() -> None:
    """Accounts, tokens, retention, checks, backup, migration."""


for _command in upkeep.COMMANDS:
    admin.add_command(_command)


class Bytes(click.ParamType[int]):
    """A number of bytes such as 500G; 0: no limit."""

    name = "bytes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The bytes; a click error names what is right."""
        from reana_lite.config import parse_bytes

        if isinstance(value, int) or value == "0":
            return int(value)
        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(f"{value!r} is not {error}", param, ctx)


def _opened() -> tuple[Settings, Database]:
    from reana_lite.config import Settings
    from reana_lite.database import Database

    settings = Settings.from_environment()
    database = Database(settings.database)
    click.get_current_context().call_on_close(database.close)
    return settings, database


def _note(settings: Settings, database: Database, what: str, object_: str) -> None:
    from reana_lite.database import audit

    audit.note(database, f"{settings.user} (recast admin)", what, object_)


def _hash(from_input: bool) -> str:
    """The hash of a password that is typed twice, or read from standard input."""
    try:
        from reana_lite.server.passwords import hashed
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed: pip install 'reana-lite[server]'") from error
    if from_input:
        return hashed(sys.stdin.readline().rstrip("\r\n"))
    return hashed(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


# -- users ----------------------------------------------------------------------------------------------------------


@admin.group()
def users() -> None:
    """Accounts of the server. Without any it serves one user alone."""


@users.command("add")
@click.argument("name")
@click.option("--role", type=ROLES, default="user", show_default=True, help="What the account may.")
@click.option("--email", default="", help="Also a name to log in by.")
@click.option("--full-name", default="", help="As the pages show it.")
@click.option("--no-password", is_flag=True, help="Only tokens let in.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def users_add(name: str, role: str, email: str, full_name: str, no_password: bool, password_stdin: bool) -> None:
    """Add the account NAME; its password is asked for. The first one must be an administrator's.

    \b
    Examples:
      recast admin users add alice --role admin
      recast admin users add robot --no-password
    """
    from reana_lite.database import users
    from reana_lite.database.users import Role, User

    settings, database = _opened()
    password = "" if no_password else _hash(password_stdin)
    user = users.add(database, User(name, Role(role), email=email, full_name=full_name, password=password))
    _note(settings, database, "create user", user.name)
    click.echo(f"{user.name} can log in ({user.role})" if password else f"{user.name} is added ({user.role})")


@users.command("wait")
def users_wait() -> None:
    """End as soon as there is an account: a server that others reach does not begin before.

    \b
    Example:
      recast admin users wait && recast serve --host 0.0.0.0
    """
    import signal
    import sys
    import time

    from reana_lite.database import users

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a container's first program ignores it otherwise
    _, database = _opened()
    if not users.are_there(database):
        click.echo("no account yet: make the first one by recast admin users add NAME --role admin", err=True)
    while not users.are_there(database):
        time.sleep(2.0)  # made by another program, which tells nobody
    click.echo("there is an account", err=True)


@users.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def users_ls(as_json: bool) -> None:
    """List accounts with what they have used.

    \b
    Example:
      recast admin users ls
    """
    from reana_lite.database import users

    _, database = _opened()
    rows = [(user, users.usage(database, user.name)) for user in users.listed(database)]
    if as_json:
        print_json([{**user.to_dict(), "usage": used.to_dict()} for user, used in rows])
        return
    print_table(
        ("NAME", "ROLE", "STATE", "DISK", "OF", "JOBS", "OF", "HOURS", "OF"),
        [
            (user.name, str(user.role), "disabled" if user.disabled else "", size(used.disk_bytes),
             size(user.quota.disk_bytes) if user.quota.disk_bytes else "-", str(used.running_jobs),
             str(user.quota.running_jobs or "-"), f"{used.cpu_s / 3600:.1f}",
             f"{user.quota.cpu_s / 3600:.1f}" if user.quota.cpu_s else "-")
            for user, used in rows
        ],
    )  # fmt: skip


def _change(name: str, what: str, **changes: Any) -> User:
    """Change an account; raises Conflict if no administrator were left."""
    from reana_lite.database import tokens, users

    settings, database = _opened()
    user = users.get(database, name)
    changed = replace(user, **changes)
    users.change(database, changed)
    if "password" in changes:
        tokens.revoke_all(database, name)
    _note(settings, database, "change user", f"{name} {what}")
    return changed


@users.command("disable")
@click.argument("name")
def users_disable(name: str) -> None:
    """Let NAME in no more: sessions end, tokens are revoked, runs stay.

    \b
    Example:
      recast admin users disable mallory
    """
    _change(name, "disabled", disabled=True)
    click.echo(f"user {name} is disabled; all tokens are revoked")


@users.command("enable")
@click.argument("name")
def users_enable(name: str) -> None:
    """Let NAME in again.

    \b
    Example:
      recast admin users enable alice
    """
    _change(name, "enabled", disabled=False)
    click.echo(f"user {name} is enabled")


@users.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def users_password(name: str, password_stdin: bool) -> None:
    """Set the password of NAME; its sessions end.

    \b
    Example:
      recast admin users password alice
    """
    _change(name, "password", password=_hash(password_stdin))
    click.echo(f"the password of {name} is changed")


@users.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
def users_role(name: str, role: str) -> None:
    """Set what NAME may: read-only looks, user also submits, admin sees and does all.

    \b
    Example:
      recast admin users role alice admin
    """
    from reana_lite.database.users import Role

    _change(name, f"role {role}", role=Role(role))
    click.echo(f"user {name} is {role}")


@users.command("quota")
@click.argument("name")
@click.option("--disk", type=Bytes(), help="Bytes of kept outputs, such as 500G (0: no limit).")
@click.option("--jobs", type=click.IntRange(0, 1_000_000), help="Jobs at once (0: no limit).")
@click.option("--hours", type=click.FloatRange(0, 1e9), help="Hours of steps in all (0: no limit).")
def users_quota(name: str, disk: int | None, jobs: int | None, hours: float | None) -> None:
    """Set what NAME may take; what is not named stays.

    \b
    Example:
      recast admin users quota alice --disk 500G --jobs 100
    """
    from reana_lite.database import users

    given = {"disk_bytes": disk, "running_jobs": jobs, "cpu_s": None if hours is None else round(hours * 3600)}
    limits: dict[str, Any] = {limit: value for limit, value in given.items() if value is not None}
    if not limits:
        raise InvalidInput("give at least one of --disk, --jobs, --hours", field="quota")
    _, database = _opened()
    quota = replace(users.get(database, name).quota, **limits)
    _change(name, "quota", quota=quota)
    click.echo(f"quota of {name}: " + ", ".join(f"{n} {v or 'no limit'}" for n, v in quota.to_dict().items()))


@users.command("rm")
@click.argument("name")
def users_rm(name: str) -> None:
    """Remove the account NAME, what lets it in, and its secrets; its runs stay, and so nobody else is given that name.

    \b
    Example:
      recast admin users rm mallory
    """
    from reana_lite.database import users

    settings, database = _opened()
    users.remove(database, name)
    _note(settings, database, "delete user", name)
    click.echo(f"user {name} is removed")


# -- tokens ---------------------------------------------------------------------------------------------------------


@admin.group()
def tokens() -> None:
    """What lets programs in."""


@tokens.command("create")
@click.argument("user")
@click.option("--name", default="", help="What it is for.")
@click.option("--role", type=ROLES, help="At most so much (default: all that the user may).")
@click.option("--days", type=click.FloatRange(0, 3650), default=90, show_default=True, help="0: until it is revoked.")
def tokens_create(user: str, name: str, role: str | None, days: float) -> None:
    """Print a new token of USER: it is shown this once.

    \b
    Example:
      recast admin tokens create robot --name nightly --role user --days 365
    """
    from reana_lite.database import tokens
    from reana_lite.database.users import Role

    settings, database = _opened()
    most = _role_of(settings, database, user)
    wanted = Role(role) if role else most
    if wanted.rank > most.rank:
        raise InvalidInput(f"{user} is {most}: a token of {user} cannot be {wanted}", field="role", value=role)
    secret, record = tokens.add(database, user, name=name, role=wanted, valid_s=days * DAY_S)
    _note(settings, database, "create token", f"{user} {record.id}")
    click.echo(secret)
    click.echo(f"token {record.id} of {user} ({record.role}); revoke it with: recast admin tokens revoke {record.id}",
               err=True)  # fmt: skip


def _role_of(settings: Settings, database: Database, user: str) -> Any:
    from reana_lite.database import users
    from reana_lite.database.users import Role

    if not users.are_there(database):
        if user != settings.user:
            raise InvalidInput(f"without accounts there is only {settings.user}", field="user", value=user)
        return Role.ADMIN
    found = users.get(database, user)
    if found.disabled:
        raise Conflict(f"user {user} is disabled", user=user)
    return found.role


def _owners(settings: Settings, database: Database) -> list[str]:
    from reana_lite.database import users

    return list(dict.fromkeys([*(user.name for user in users.listed(database)), settings.user]))


@tokens.command("ls")
@click.argument("user", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tokens_ls(user: str | None, as_json: bool) -> None:
    """List the tokens of USER, or all. Their secrets are not kept.

    \b
    Example:
      recast admin tokens ls robot
    """
    from reana_lite.cli.runs import moment
    from reana_lite.database import tokens

    settings, database = _opened()
    owners = [user] if user else _owners(settings, database)
    rows = [record for owner in owners for record in tokens.listed(database, owner)]
    if as_json:
        print_json([{"user": record.owner, **record.to_dict()} for record in rows])
        return
    print_table(
        ("TOKEN", "USER", "NAME", "ROLE", "CREATED", "EXPIRES", "USED"),
        [(r.id, r.owner, plain(r.name), str(r.role), *(moment(at) for at in (r.created_at, r.expires_at, r.used_at)))
         for r in rows],
    )  # fmt: skip


@tokens.command("revoke")
@click.argument("token")
def tokens_revoke(token: str) -> None:
    """Let TOKEN (its id) in no more.

    \b
    Example:
      recast admin tokens revoke t0123456789ab
    """
    from reana_lite.database import tokens
    from reana_lite.errors import NotFound

    settings, database = _opened()
    for owner in _owners(settings, database):
        if any(record.id == token for record in tokens.listed(database, owner)):
            tokens.revoke(database, owner, token)
            _note(settings, database, "revoke token", f"{owner} {token}")
            click.echo(f"token {token} of {owner} is revoked")
            return
    raise NotFound(f"no token {token!r}; recast admin tokens ls lists them", token=token)
