"""`recast serve`: the web site and both APIs on this machine, with a worker beside them."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reana_lite.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from reana_lite.config import Settings

LOCAL = ("127.0.0.1", "localhost", "::1")
WORKER_END_S = 20.0
"""How long the worker may take to give up in good order (seconds)."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="Port to listen at.")
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer requests."
)
@click.option("--threads", type=click.IntRange(2, 4096), default=64, show_default=True,
              help="Requests, and followers of live pages, that each of them serves at a time.")  # fmt: skip
@click.option("--no-worker", is_flag=True, help="Drive no runs, only fill the queue: workers are elsewhere.")
@click.option("--json-logs", is_flag=True, help="Log in JSON, a line each.")
def serve(host: str, port: int, workers: int, threads: int, no_worker: bool, json_logs: bool) -> None:
    """Serve the web site and the API, and drive what is submitted.

    Without accounts it serves you alone: open the link that it prints (it works once). With accounts (recast admin users
    add) others log in; then set RECAST_HOSTS to the names it is known by.

    \b
    Examples:
      recast serve
      recast serve --host 0.0.0.0 --port 8080 --workers 4
    """
    try:
        import flask  # noqa: F401
        import gunicorn  # type: ignore[import-untyped]  # noqa: F401
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed: pip install 'reana-lite[server]'") from error
    from reana_lite.config import Settings
    from reana_lite.database import Database, accounts

    _log(json_logs)
    settings = Settings.from_environment()
    database = Database(settings.database)
    several = accounts.are_there(database)
    if not several and host not in LOCAL:
        raise InvalidInput(
            f"without accounts the server listens to this machine only, not at {host}: make one by recast admin users add",
            field="host", value=host,
        )  # fmt: skip
    worker = _start_worker(settings, only_enrol=no_worker)
    try:
        _Server(settings, host=host, port=port, workers=workers, threads=threads, worker=worker, several=several).run()
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


class _Server:
    """gunicorn with threads, set up from here rather than from files and its own command line.

    Slow clients: a connection that sends nothing waits in the poller and holds no thread; one that sends its headers or its
    body by drops holds one of `threads` until it is through, so a server that the world can reach stands behind a proxy that
    reads requests whole (nginx as it is set up, an Ingress). Headers and lines are bounded by gunicorn, bodies by
    RECAST_UPLOAD_LIMIT, followers of events by RECAST_FOLLOWERS below `threads`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        host: str,
        port: int,
        workers: int,
        threads: int,
        worker: BaseProcess,
        several: bool,
    ) -> None:
        self.settings = settings
        self.worker = worker
        self.several = several
        self.bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.options: dict[str, Any] = {
            "bind": self.bind, "workers": workers, "threads": threads, "worker_class": "gthread", "graceful_timeout": 20,
            "timeout": 120, "keepalive": 15, "accesslog": None, "errorlog": "-", "loglevel": "warning",
            "limit_request_line": 8190, "worker_connections": max(1000, 2 * threads), "preload_app": False,
            "control_socket_disable": True,
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

            def load(self) -> Any:
                from reana_lite.server import create_app

                app = create_app(outer.settings)
                app.config["RECAST_FOLLOWERS"] = max(1, outer.options["threads"] - 8)  # some are left for requests
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
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Without its worker the server would only seem to be well: it ends, and whoever keeps it alive starts both again."""
        self.worker.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _let_in(settings: Settings, url: str) -> str:
    """A link that works once, and a token for programs of this user, in a file that nobody else can read."""
    from reana_lite.database import Database, accounts
    from reana_lite.database.accounts import Role
    from reana_lite.server.auth import LAUNCH_S

    database = Database(settings.database)
    for record in accounts.list_tokens(database, settings.user):
        if record.name == "recast serve":
            accounts.revoke(database, settings.user, record.id)
    accounts.revoke_all(database, settings.user, kind="launch")
    once, _ = accounts.add_token(database, settings.user, kind="launch", role=Role.ADMIN, valid_s=LAUNCH_S)
    token, _ = accounts.add_token(database, settings.user, name="recast serve", role=Role.ADMIN)
    path = Path(settings.home) / "server.json"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        json.dump({"url": url, "token": token}, target)
    database.close()
    return f"{url}/launch?token={once}"
