"""`recast admin`: a database is made, brought up to date, and given accounts."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reana_lite.cli.admin import admin
from reana_lite.database import Database, accounts
from reana_lite.database.tables import VERSION
from reana_lite.errors import Conflict


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = f"sqlite:///{tmp_path}/records.db"
    monkeypatch.setenv("RECAST_DATABASE", found)
    return found


def said(*words: str, input: str = "") -> Result:
    return CliRunner().invoke(admin, words, input=input, catch_exceptions=False)


def test_a_database_is_made_once_and_then_up_to_date(url: str) -> None:
    assert "have been made" in said("migrate").output
    assert f"up to date (version {VERSION})" in said("migrate").output
    Database(url).close()


def test_an_older_one_is_brought_up_to_date(url: str) -> None:
    import sqlite3

    from reana_lite.database import opening

    engine = opening.make_engine(url)
    engine.dispose()
    # A database of the first version, by its own migration.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).parent / "migrations"))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    assert f"from version 0001 to {VERSION}" in said("migrate").output
    with sqlite3.connect(url.removeprefix("sqlite:///")) as there:
        assert there.execute("SELECT version_num FROM alembic_version").fetchone() == (VERSION,)
    there.close()


def test_one_of_a_newer_program_is_left_alone(url: str) -> None:
    import sqlite3

    said("migrate")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as there:
        there.execute("UPDATE alembic_version SET version_num = '9999'")
    there.close()
    with pytest.raises(Conflict, match="use a newer reana-lite"):
        said("migrate")


def test_an_account_can_log_in(url: str) -> None:
    done = said("users", "add", "alice", "--role", "admin", "--password-stdin", input="correct horse battery\n")
    assert "alice can log in (admin)" in done.output
    database = Database(url)
    try:
        user = accounts.get_user(database, "alice")
        assert (user.role, user.password.startswith("$argon2")) == (accounts.Role.ADMIN, True)
    finally:
        database.close()
