"""What the tests of the server are made of: an application on SQLite and a folder, users of each role, a worker to be driven.

`world` is one installation with a catalogue of two analyses: `tiny` (two steps of the shell, at once) and `counting` (the
template that comes with the program: generate, select, limit, with a result document and a scan over m_gluino and m_lsp).
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

import reana_lite
from reana_lite.config import Settings
from reana_lite.database import Database, queue, tokens, upkeep, users
from reana_lite.database.users import Role, User
from reana_lite.server import create_app
from reana_lite.server.driving import drive
from reana_lite.server.passwords import hashed
from reana_lite.storage.local import LocalStorage

PASSWORD = "correct horse battery"
LIMIT_S = 60.0

TINY = """
reana_lite: 1
name: tiny
title: Two steps of the shell
description: Says a word a few times.
references:
- {title: A paper, arxiv: '2010.14293', doi: 10.1007/JHEP02(2021)143, inspire: '1827025', hepdata: ins1827025}
workflow: workflow.yml
parameters:
  properties:
    n: {type: integer, minimum: 0, maximum: 100, default: 1, description: How often.}
    word: {type: string, enum: [hello, 'good bye'], default: hello, description: What is said.}
    code: {type: string, pattern: '^[a-z0-9;-]*$', default: x, description: A code.}
    note: {type: string, default: '', description: Free text.}
results:
- {name: said, kind: file, stage: say, output: said, media_type: text/plain}
examples:
  loud: {parameters: {n: 7}, description: Often.}
"""

TINY_WORKFLOW = """
stages:
- name: count
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {n: {step: init, output: n}, out: '{workdir}/n.txt'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo counting to {n}; test {n} != 13 && echo {n} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
- name: say
  dependencies: [init, count]
  scheduler:
    scheduler_type: singlestep-stage
    parameters:
      n: {stages: count, output: out, unwrap: true}
      word: {step: init, output: word}
      said: '{workdir}/said.txt'
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo "{word}" > {said}; cat {n} >> {said}; echo said'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {said: said}}
"""

THEORY = b"m_gluino: {value: 2000, unit: GeV}\nm_lsp: {value: 0, unit: GeV}\nxsec_pb: 0.00101\n"


@dataclass
class World:
    """An installation, its application, and how to ask it as somebody."""

    settings: Settings
    database: Database
    storage: LocalStorage
    app: Flask
    tokens: dict[str, str] = field(default_factory=dict)

    def client(self, name: str = "") -> FlaskClient:
        """A client with the token of a user: "alice", "bob" (user), "root" (admin), "eve" (read-only); "": of nobody."""
        client = self.app.test_client()
        if name:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[name]}"
        return client

    def browser(self, name: str) -> FlaskClient:
        """A client with the session cookie of a user, as a browser has it after signing in."""
        from reana_lite.server import auth

        client = self.app.test_client()
        secret, _ = tokens.add(self.database, name, kind="session", role=Role.ADMIN, valid_s=3600)
        client.set_cookie(auth.COOKIE, secret)
        return client

    def drive(self, *, until: Callable[[], bool] | None = None, limit_s: float = LIMIT_S) -> None:
        """Be the worker until all runs and campaigns are over, or `until` says so."""
        deadline = time.monotonic() + limit_s

        def over() -> bool:
            assert time.monotonic() < deadline, "the runs are not over in time"
            return until() if until is not None else self.is_over()

        if not over():
            drive(self.settings, database=self.database, storage=self.storage, until=over)

    def is_over(self) -> bool:
        """Whether no run waits or executes, and no point of a campaign that is not stopped lacks a run."""
        return not (queue.points_without_run(self.database) or upkeep.runs_by_id(self.database, unfinished_only=True))

    def working(self) -> Working:
        """A worker in a thread, while the block lasts."""
        return Working(self)


class Working:
    """See World.working; what went wrong in the thread is raised at the end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.end = threading.Event()
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._drive, name="worker")

    def _drive(self) -> None:
        try:
            world = self.world
            drive(world.settings, database=world.database, storage=world.storage, until=self.end.is_set)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test's own thread
            self.errors.append(error)

    def __enter__(self) -> Working:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        with self.world.database.transaction() as transaction:
            transaction.connection.exec_driver_sql("SELECT 1")
            transaction.ring()  # a test of this process may have made it wait for longer than it does
        self.thread.join(2 * LIMIT_S)  # its backend gives steps their time to end
        if self.thread.is_alive():
            where = traceback.format_stack(sys._current_frames()[self.thread.ident or 0])
            raise AssertionError("the worker does not end; it is here:\n" + "".join(where))
        if self.errors:
            raise self.errors[0]


def until(condition: Callable[[], Any], what: str = "", limit_s: float = LIMIT_S) -> Any:
    """Wait until a condition of the outer world holds, and give its value."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, what or condition
        time.sleep(0.01)
    return value


def settings_of(home: Path, **more: Any) -> Settings:
    """Settings of an installation in a folder, with the catalogue that lies there."""
    found = Settings.from_environment({"RECAST_HOME": str(home), "RECAST_USER": "laptop",
                                       "RECAST_CATALOGUE": str(home / "catalogue")})  # fmt: skip
    import dataclasses

    return dataclasses.replace(found, **more)


def write_catalogue(folder: Path) -> None:
    """The two analyses of the tests."""
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "analysis.yml").write_text(TINY)
    (folder / "tiny" / "workflow.yml").write_text(TINY_WORKFLOW)
    shutil.copytree(Path(reana_lite.__file__).parent / "template", folder / "counting")
    path = folder / "counting" / "analysis.yml"
    path.write_text(path.read_text().replace("name: NAME", "name: counting"))


def make_world(home: Path, *, alone: bool = False, **settings: Any) -> World:
    """An installation in a folder, with users of each role unless it serves one `alone`."""
    write_catalogue(home / "catalogue")
    chosen = settings_of(home, **settings)
    storage = LocalStorage(chosen.storage)
    storage.check()
    database = Database(chosen.database)
    world = World(chosen, database, storage, create_app(chosen, database=database, storage=storage))
    world.app.config["RECAST_CHECK_ANSWERS"] = True
    people = {"root": Role.ADMIN, "alice": Role.USER, "bob": Role.USER, "eve": Role.READ_ONLY}
    secret = "" if alone else hashed(PASSWORD)
    for name, role in people.items() if not alone else ():
        users.add(database, User(name, role, email=f"{name}@example.org", full_name=name.title(), password=secret))
        world.tokens[name], _ = tokens.add(database, name, name="test", role=role)
    if alone:
        world.tokens["laptop"], _ = tokens.add(database, "laptop", name="test", role=Role.ADMIN)
    return world
