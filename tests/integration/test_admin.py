"""`recast admin`: accounts and tokens, retention, checks, backups that can be restored, migration."""

from __future__ import annotations

import importlib.util
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parent / "server"))
from serving import PASSWORD, THEORY, World, make_world

from reana_lite.cli import recast
from reana_lite.database import Database, audit, opening, tables, users, workers
from reana_lite.database.users import Role
from reana_lite.errors import EXIT_CODE, Conflict, InvalidInput, NotFound
from reana_lite.server.passwords import is_right


class Admin:
    """`recast admin ...` for an installation in a folder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def at(self, home: Path) -> Admin:
        for name, value in {
            "RECAST_HOME": home,
            "RECAST_USER": "laptop",
            "RECAST_CATALOGUE": home / "catalogue",
        }.items():
            self.monkeypatch.setenv(name, str(value))
        return self

    def __call__(self, *args: str, code: int = 0, stdin: str | None = None) -> str:
        done = CliRunner().invoke(recast, ["admin", *args], input=stdin)
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    def refused(self, *args: str, stdin: str | None = None) -> Any:
        done = CliRunner().invoke(recast, ["admin", *args], input=stdin)
        assert type(done.exception) in EXIT_CODE, (done.output, done.exception)
        return done.exception

    def document(self, *args: str, code: int = 0) -> Any:
        return json.loads(self(*args, "--json", code=code))


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Admin:
    monkeypatch.delenv("RECAST_DATABASE", raising=False)
    monkeypatch.delenv("RECAST_STORAGE", raising=False)
    return Admin(monkeypatch).at(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path)
    yield made
    made.database.close()


def ran(world: World, n: int, user: str = "alice") -> str:
    """A run of `tiny` that is finished; its id."""
    answer = world.client(user).post("/api/v1/runs", json={"analysis": "tiny", "parameters": {"n": n}})
    assert answer.status_code == 201, answer.text
    world.drive()
    return str(answer.json["id"])


def said_by(client: Any, run: str) -> bytes:
    """What a run of `tiny` has written."""
    answer = client.get(f"/api/v1/runs/{run}/artifacts/say/said.txt", buffered=True)
    assert answer.status_code == 200
    data: bytes = answer.data
    answer.close()
    return data


# -- users and tokens -------------------------------------------------------------------------------------------------


def test_accounts_from_nothing(admin, tmp_path):
    assert isinstance(admin.refused("users", "add", "alice", "--no-password"), InvalidInput)
    assert "root can log in (admin)" in admin(
        "users", "add", "root", "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    admin("users", "add", "alice", "--email", "a@example.org", stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert isinstance(admin.refused("users", "add", "alice", "--no-password"), Conflict)
    assert isinstance(admin.refused("users", "add", "short", "--password-stdin", stdin="x\n"), InvalidInput)
    database = Database(f"sqlite:///{tmp_path}/records.db")
    try:
        assert is_right(PASSWORD, users.get(database, "alice").password)
        assert is_right(PASSWORD, users.get(database, "root").password)
        admin("users", "password", "alice", "--password-stdin", stdin="another long password\n")
        assert is_right("another long password", users.get(database, "alice").password)
        admin("users", "quota", "alice", "--disk", "5G", "--hours", "1.5")
        admin("users", "quota", "alice", "--jobs", "10")
        quota = users.get(database, "alice").quota
        assert (quota.disk_bytes, quota.cpu_s, quota.running_jobs) == (5_000_000_000, 5400, 10)
        admin("users", "quota", "alice", "--disk", "0")
        assert users.get(database, "alice").quota.disk_bytes == 0
        assert isinstance(admin.refused("users", "quota", "alice"), InvalidInput)
        notes = {(row["who"], row["what"]) for row in audit.listed(database)}
        assert ("laptop (recast admin)", "create user") in notes
        assert ("laptop (recast admin)", "change user") in notes
        assert not any(PASSWORD in str(row) for row in audit.listed(database))
    finally:
        database.close()
    assert [row["name"] for row in admin.document("users", "ls")] == ["alice", "root"]
    assert "alice\tuser" in admin("users", "ls")


def test_a_program_can_wait_for_the_first_account(admin, tmp_path):
    def waiting() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reana_lite", "admin", "users", "wait"], text=True, stderr=subprocess.PIPE
        )
        assert "no account yet" in process.stderr.readline()
        return process

    with waiting() as told, waiting() as ended:
        ended.terminate()
        assert ended.wait(20) == 143
        admin("users", "add", "root", "--role", "admin", "--no-password")
        assert (told.wait(20), told.stderr.read().strip()) == (0, "there is an account")


def test_an_administrator_stays(admin, world):
    for change in (("disable", "root"), ("role", "root", "user"), ("rm", "root")):
        assert isinstance(admin.refused("users", *change), Conflict)
    admin("users", "role", "alice", "admin")
    admin("users", "disable", "root")
    assert world.client("root").get("/api/v1/me").status_code == 401
    assert isinstance(admin.refused("users", "rm", "alice"), Conflict)
    admin("users", "enable", "root")
    admin("users", "rm", "alice")
    assert world.client("alice").get("/api/v1/me").status_code == 401
    assert isinstance(admin.refused("users", "rm", "nobody"), NotFound)


def test_tokens(admin, world):
    secret = admin("tokens", "create", "alice", "--name", "night", "--role", "read-only").splitlines()[0]
    client = world.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    assert client.get("/api/v1/me").json["role"] == "read-only"
    row = next(one for one in admin.document("tokens", "ls", "alice") if one["name"] == "night")
    assert 89 < (row["expires_at"] - row["created_at"]) / 86400 < 91
    assert secret not in admin("tokens", "ls")
    admin("tokens", "revoke", row["id"])
    assert client.get("/api/v1/me").status_code == 401
    assert isinstance(admin.refused("tokens", "revoke", row["id"]), NotFound)
    assert isinstance(admin.refused("tokens", "create", "alice", "--role", "admin"), InvalidInput)
    assert isinstance(admin.refused("tokens", "create", "nobody"), NotFound)


def test_a_token_without_accounts(admin, tmp_path):
    world = make_world(tmp_path, alone=True)
    secret = admin("tokens", "create", "laptop").splitlines()[0]
    world.tokens["other"] = secret
    assert world.client("other").get("/api/v1/me").json["user"]["name"] == "laptop"
    assert isinstance(admin.refused("tokens", "create", "alice"), InvalidInput)
    world.database.close()


# -- retention and checks -----------------------------------------------------------------------------------------------


def test_retention_keeps_results_and_what_others_name(admin, world):
    old, kept = ran(world, 1), ran(world, 2)
    shared = ran(world, 1, "alice")  # reuses all of `old`
    assert admin.document("retention", "--older-than", "1d") == {
        "runs": 0, "outputs": 0, "size_bytes": 0, "dry_run": False
    }  # fmt: skip
    database = world.database
    with database.transaction() as transaction:
        past = tables.runs.update().where(tables.runs.c.id == old).values(ended_at=1.0)
        transaction.connection.execute(past)
    assert admin.document("retention", "--older-than", "1d")["outputs"] == 0  # `shared` names them
    with database.transaction() as transaction:
        past = tables.runs.update().where(tables.runs.c.id == shared).values(ended_at=1.0)
        transaction.connection.execute(past)
    foreseen = admin.document("retention", "--older-than", "1d", "--dry-run")
    assert (foreseen["runs"], foreseen["outputs"]) == (2, 2)
    gone = admin.document("retention", "--older-than", "1d")
    assert gone == {**foreseen, "dry_run": False}
    assert gone["size_bytes"] > 0
    client = world.client("alice")
    assert client.get(f"/api/v1/runs/{old}").json["state"] == "finished"
    assert client.get(f"/api/v1/runs/{old}/declared").json["said"]
    assert said_by(client, kept) == b"hello\n2\n"
    assert admin.document("check")["missing"] == []
    again = ran(world, 1)
    assert said_by(client, again) == b"hello\n1\n"


def test_retention_of_a_campaign(admin, world):
    outside = ran(world, 50)
    client = world.client("alice")
    body = {"analyses": ["tiny"], "axes": {"n": [1, 2, 50]}, "name": "counts"}
    assert client.post("/api/v1/campaigns", json=body).status_code == 201
    world.drive()
    gone = admin.document("retention", "--older-than", "0h", "--campaign", "counts")
    assert gone["runs"] == 3
    assert gone["outputs"] == 4  # not those of n=50, which the run outside of it names, too
    assert said_by(client, outside) == b"hello\n50\n"


def test_check(admin, world):
    run, other = ran(world, 3), ran(world, 4)
    said = admin("check", "--deep")
    assert " 0 outputs missing, 0 damaged, 0 input files missing, 0 named by nobody" in said
    places = {job.node: (job.key, job.attempt) for job in world.database.jobs_of(run)}
    (first, place), (_, second) = sorted(places.items())
    world.storage.remove(*place)
    files = [path for path in world.storage.folder(*second).rglob("*") if path.is_file()]
    files[0].chmod(0o644)
    files[0].write_text("x" * files[0].stat().st_size)
    stray = world.storage.place("strayplaceofnobodyatallxxxxxxxxxx", 1)
    stray.mkdir(parents=True)
    found = admin.document("check", "--deep", code=1)
    assert found["missing"] == [f"jobs/{place[0]}/{place[1]}"], first
    assert [text.partition(":")[0] for text in found["damaged"]] == [f"jobs/{second[0]}/{second[1]}"]
    assert found["orphans"] == [f"jobs/{stray.parent.name}/1"]
    assert "damaged: jobs/" in admin("check", "--deep", code=1)
    admin("check", "--deep", "--repair")
    found = admin.document("check", "--deep")
    assert (found["missing"], found["damaged"]) == ([], [])
    again = ran(world, 3)
    client = world.client("alice")
    assert said_by(client, again) == b"hello\n3\n"
    assert said_by(client, other) == b"hello\n4\n"


def test_lost_input_files_are_told(admin, world):
    file = (io.BytesIO(THEORY), "gluino.yml")
    assert world.client("alice").post("/api/v1/theories", data={"file": file}).status_code == 201
    assert admin.document("check", "--deep")["trees"] == []
    trees = [place for place in world.storage.places() if place[1] == 0]
    assert trees
    shutil.rmtree(world.storage.place(*trees[0]))
    assert admin.document("check", "--repair", code=1)["trees"] == [f"trees/{trees[0][0]}"]


# -- backup -------------------------------------------------------------------------------------------------------------


def test_a_backup_can_be_restored(admin, world, tmp_path):
    folder, place = tmp_path / "backup", tmp_path / "other"
    ran(world, 1)
    assert "records.db" in admin("backup", str(folder))
    assert folder.stat().st_mode & 0o077 == 0
    run = ran(world, 2)
    said = admin("backup", str(folder))
    assert " 2 of them copied now" in said or " 3 of them copied now" in said  # only what is new
    after = ran(world, 3)
    shutil.copytree(tmp_path / "catalogue", place / "catalogue")
    admin.at(place)
    assert "0 missing" in admin("restore", str(folder))
    admin("check", "--deep")
    other = World(*_reopened(place))
    other.tokens = world.tokens
    try:
        client = other.client("alice")
        assert said_by(client, run) == b"hello\n2\n"
        assert "counting to 2" in client.get(f"/api/v1/runs/{run}/log").text
        assert client.get(f"/api/v1/runs/{after}").status_code == 404
        assert users.get(other.database, "root").role is Role.ADMIN
        again = ran(other, 2)
        assert said_by(client, again) == b"hello\n2\n"
    finally:
        other.database.close()
    assert isinstance(admin.refused("restore", str(folder)), Conflict)


def _reopened(home: Path) -> tuple[Any, ...]:
    from serving import settings_of

    from reana_lite.server import create_app
    from reana_lite.storage.local import LocalStorage

    settings = settings_of(home)
    database, storage = Database(settings.database), LocalStorage(settings.storage)
    return settings, database, storage, create_app(settings, database=database, storage=storage)


def test_a_backup_in_the_middle_of_a_run_goes_on_elsewhere(admin, world, tmp_path):
    answer = world.client("alice").post("/api/v1/runs", json={"analysis": "tiny", "parameters": {"n": 5}})
    world.drive(until=lambda: world.database.get_run(answer.json["id"]).finished >= 1)
    admin("backup", str(tmp_path / "backup"))
    place = tmp_path / "other"
    shutil.copytree(tmp_path / "catalogue", place / "catalogue")
    admin.at(place)("restore", str(tmp_path / "backup"))
    other = World(*_reopened(place))
    try:
        other.drive()
        assert other.database.get_run(answer.json["id"]).state == "finished"
    finally:
        other.database.close()


def test_a_copy_is_another_installation_unless_the_original_is_gone(admin, world, tmp_path):
    with world.database.transaction() as transaction:  # a worker of this machine, and alive
        workers.renew(transaction, "original", lease_s=600)
    answer = world.client("alice").post("/api/v1/runs", json={"analysis": "tiny", "parameters": {"n": 1}})
    (run,) = (run for run, _ in workers.claim_runs(world.database, "original", lease_s=600))
    assert run == answer.json["id"]
    admin("backup", str(tmp_path / "backup"))
    ids = [world.database.installation()]
    for name, options in ("trial", ()), ("again", ("--keep-id",)):
        place = tmp_path / name
        shutil.copytree(tmp_path / "catalogue", place / "catalogue")
        admin.at(place)("restore", str(tmp_path / "backup"), *options)
        other = World(*_reopened(place))
        try:
            ids.append(other.database.installation())
            assert workers.driver_of(other.database, run) == "", "its worker is the original's"
            other.drive()
            assert other.database.get_run(run).state == "finished"
        finally:
            other.database.close()
    assert ids[1] != ids[0] == ids[2]
    assert workers.driver_of(world.database, run) == "original"


def test_a_copy_made_by_other_means_gets_an_id_of_its_own(admin, world, tmp_path):
    before = world.database.installation()
    with world.database.transaction() as transaction:
        workers.renew(transaction, "original", lease_s=600)
    assert "end it first" in admin.refused("new-id").message
    assert world.database.installation() == before
    workers.release(world.database, "original")
    said = admin("new-id")
    after = world.database.installation()
    assert after != before
    assert said.split() == ["installation", before, "is", after, "now"]


def test_what_is_no_backup(admin, world, tmp_path):
    ran(world, 1)
    folder = tmp_path / "backup"
    admin("backup", str(folder), "--no-files")
    assert not (folder / "storage").exists()
    admin.at(tmp_path / "other")
    said = admin("restore", str(folder), code=1)
    assert "0 places restored" in said
    assert "missing: jobs/" in said
    (folder / "records.db").write_bytes(b"nothing" * 1000)
    admin.at(tmp_path / "third")
    assert isinstance(admin.refused("restore", str(folder)), InvalidInput)
    assert not (tmp_path / "third" / "records.db").exists()
    (folder / "backup.json").unlink()
    assert "whole backup" in admin.refused("restore", str(folder)).message


# -- migration ------------------------------------------------------------------------------------------------------------


def test_migrate(admin, tmp_path):
    assert f"have been made (version {tables.VERSION})" in admin("migrate")
    assert f"up to date (version {tables.VERSION})" in admin("migrate")
    with sqlite3.connect(tmp_path / "records.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert isinstance(admin.refused("migrate"), Conflict)


def test_an_older_file_is_migrated(admin, tmp_path):
    downgraded(f"sqlite:///{tmp_path}/records.db", "0001")
    assert f"from version 0001 to {tables.VERSION}" in admin("migrate")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location(
        "contract_fixtures", Path(__file__).parents[1] / "contract" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield from module.postgres.__wrapped__() if hasattr(module.postgres, "__wrapped__") else module.postgres()


def downgraded(url: str, version: str) -> None:
    """A database as a program of that version has made it."""
    from alembic import command
    from alembic.config import Config

    engine = opening.make_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(opening.__file__).parent / "migrations"))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()


def test_postgresql_is_migrated_copied_and_restored(admin, postgres, monkeypatch, tmp_path):
    old, new = postgres.new_database(), postgres.new_database()
    downgraded(old, "0003")
    with pytest.raises(Conflict, match="migrate"):
        Database(old)
    monkeypatch.setenv("RECAST_DATABASE", old)
    assert f"from version 0003 to {tables.VERSION}" in admin("migrate")
    admin("users", "add", "root", "--role", "admin", "--no-password")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    assert "records.dump" in admin("backup", str(tmp_path / "backup"))
    monkeypatch.setenv("RECAST_DATABASE", new)
    assert "0 missing" in admin("restore", str(tmp_path / "backup"))
    assert [row["name"] for row in admin.document("users", "ls")] == ["root"]
    assert isinstance(admin.refused("restore", str(tmp_path / "backup")), Conflict)
    empty = postgres.new_database()
    monkeypatch.setenv("RECAST_DATABASE", empty)
    assert "have been made" in admin("migrate")
    Database(empty).close()
