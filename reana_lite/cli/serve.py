"""`recast serve`: the web site and both APIs on this machine, with a worker beside them."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from reana_lite.config import Settings

LOCAL = ("127.0.0.1", "localhost", "::1")
GRACE_S = 35
"""How long requests that are under way may take when the server ends (seconds)."""

WORKER_END_S = 20.0
"""How long the worker may take to give up in good order (seconds)."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="Port to listen at.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=None,
    help="Processes that answer requests.  [default: one for each core, at most 4]",
)
@click.option(
    "--threads",
    type=click.IntRange(2, 4096),
    default=1100,
    show_default=True,
    help="Connections that each of them serves at a time, followers of live pages included.",
)
@click.option("--no-worker", is_flag=True, help="Drive no runs, only fill the queue: workers are elsewhere.")
@click.option("--json-logs", is_flag=True, help="Log in JSON, a line each (as with RECAST_LOG=json).")
@click.option("--metrics", type=click.IntRange(0, 65535), default=None,
              help="Port of /metrics for Prometheus; keep it private.")  # fmt: skip
def serve(
    host: str, port: int, workers: int | None, threads: int, no_worker: bool, json_logs: bool, metrics: int | None
) -> None:
    """Serve the web site and the API, and drive what is submitted.

    Without accounts it serves you alone: open the link that it prints (it works once). With accounts (recast admin users
    add) others log in; then set RECAST_HOSTS to the names it is known by.

    \b
    Examples:
      recast serve
      recast serve --host 0.0.0.0 --port 8080 --metrics 9100
    """
    try:
        import flask  # noqa: F401
        import gunicorn  # type: ignore[import-untyped]  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed: pip install 'reana-lite[server]'") from error
    asked = _Asked(host, port, workers or min(4, os.cpu_count() or 1), threads, metrics)
    with tempfile.TemporaryDirectory(prefix="recast-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # read when prometheus_client is imported, by all that follows
        _log(json_logs or os.environ.get("RECAST_LOG") == "json")
        _serve(asked, folder=folder, only_enrol=no_worker)


def _serve(asked: _Asked, *, folder: str, only_enrol: bool) -> None:
    from reana_lite.config import Settings
    from reana_lite.database import Database, users

    settings = Settings.from_environment()
    database = Database(settings.database)
    several = users.are_there(database)
    if not several and asked.host not in LOCAL:
        raise InvalidInput(
            f"without accounts the server listens to this machine only, not at {asked.host}: make one by "
            f"recast admin users add",
            field="host", value=asked.host,
        )  # fmt: skip
    database.close()  # what is forked from here on must not share connections
    worker = _start_worker(settings, only_enrol=only_enrol)
    try:
        _Server(settings, asked, worker=worker, several=several, folder=folder).run()
    finally:
        worker.terminate()
        worker.join(WORKER_END_S)


def _start_worker(settings: Settings, *, only_enrol: bool) -> BaseProcess:
    from reana_lite.server import driving

    process = multiprocessing.get_context("spawn").Process(
        target=driving.main, args=(settings,), kwargs={"only_enrol": only_enrol}, name="recast-worker"
    )
    process.start()
    return process


def _log(as_json: bool) -> None:
    from reana_lite.server.guard import JsonLines, Plain

    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines() if as_json else Plain())
    logging.basicConfig(level=logging.INFO, handlers=[stream], force=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line asks for."""

    host: str
    port: int
    workers: int
    threads: int
    metrics: int | None

    def bind(self, port: int) -> str:
        """An address as gunicorn has it."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"


class _Server:
    """gunicorn with threads, set up from here rather than from files and its own command line.

    Slow clients: a connection that sends nothing waits in the poller and holds no thread; one that sends its headers or its
    body by drops holds one of `threads` until it is through, so a server that the world can reach stands behind a proxy that
    reads requests whole (nginx as it is set up, an Ingress). Headers and lines are bounded by gunicorn, bodies by
    RECAST_UPLOAD_LIMIT, followers of events by RECAST_FOLLOWERS below `threads`. Threads are made when they are needed, and
    wait at no cost but their stack; how many requests are worked on at a time is turns.py's.
    """

    def __init__(self, settings: Settings, asked: _Asked, *, worker: BaseProcess, several: bool, folder: str) -> None:
        self.settings = settings
        self.asked = asked
        self.worker = worker
        self.several = several
        self.folder = folder
        self.options: dict[str, Any] = {
            "bind": asked.bind(asked.port), "workers": asked.workers, "threads": asked.threads,
            "worker_class": "reana_lite.server.serving.Answering", "graceful_timeout": GRACE_S, "timeout": 120,
            "keepalive": 15,
            "accesslog": None, "errorlog": "-", "loglevel": "warning", "limit_request_line": 8190,
            "worker_connections": max(1000, 2 * asked.threads), "preload_app": False, "control_socket_disable": True,
        }  # fmt: skip

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

        outer = self

        class Application(BaseApplication):  # type: ignore[misc]
            def load_config(self) -> None:
                for name, value in outer.options.items():
                    if name in self.cfg.settings:
                        self.cfg.set(name, value)
                self.cfg.set("when_ready", outer.ready)
                self.cfg.set("child_exit", outer.ended)

            def load(self) -> Any:
                from reana_lite.server import create_app

                app = create_app(outer.settings)
                app.config["RECAST_FOLLOWERS"] = max(1, outer.asked.threads - max(8, outer.asked.threads // 11))
                # some are left for requests
                return app

        try:
            Application().run()
        except SystemExit as ended:
            if ended.code:
                raise click.exceptions.Exit(int(ended.code)) from None

    def ready(self, arbiter: Any) -> None:
        """Say where it is, and how to come in."""
        address = arbiter.LISTENERS[0].sock.getsockname()
        # nothing is bound here: it is told how to reach what is
        name = "127.0.0.1" if address[0] in ("0.0.0.0", "::", "127.0.0.1") else f"[{address[0]}]"  # nosec B104
        url = f"http://{name}:{address[1]}"
        if self.several:
            click.echo(f"recast serves {url}; users log in", err=True)
        else:
            link = _let_in(self.settings, url)
            click.echo(f"recast serves {self.settings.user} at {url}\nopen (works once): {link}", err=True)
            click.echo(f"programs: the token is in {self.settings.home / 'server.json'}", err=True)
        if self.asked.metrics is not None:
            self._tell_metrics(self.asked.metrics)
        threading.Thread(target=self._watch, daemon=True).start()

    def _tell_metrics(self, port: int) -> None:
        from reana_lite.database import Database
        from reana_lite.server import metering

        listener = metering.listen(
            Database(self.settings.database), host=self.asked.host, port=port, folder=self.folder
        )
        click.echo(f"metrics: http://{self.asked.bind(listener.server_port)}/metrics", err=True)

    def ended(self, arbiter: Any, worker: Any) -> None:
        """A process that answered has ended."""
        from reana_lite.server import metering

        metering.forget(worker.pid)

    def _watch(self) -> None:
        """Without its worker the server would only seem to be well: it ends, and whoever keeps it alive starts both again."""
        self.worker.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _let_in(settings: Settings, url: str) -> str:
    """A link that works once, and a token for programs of this user, in a file that nobody else can read."""
    from reana_lite.database import Database, tokens
    from reana_lite.database.users import Role
    from reana_lite.server.auth import LAUNCH_S

    database = Database(settings.database)
    for record in tokens.listed(database, settings.user):
        if record.name == "recast serve":
            tokens.revoke(database, settings.user, record.id)
    tokens.revoke_all(database, settings.user, kind="launch")
    once, _ = tokens.add(database, settings.user, kind="launch", role=Role.ADMIN, valid_s=LAUNCH_S)
    token, _ = tokens.add(database, settings.user, name="recast serve", role=Role.ADMIN)
    path = Path(settings.home) / "server.json"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        json.dump({"url": url, "token": token}, target)
    database.close()
    return f"{url}/launch?token={once}"
