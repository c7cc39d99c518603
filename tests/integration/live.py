"""An installation behind a real socket: what the tests of the Python client and of `recast --server` ask."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from reana_lite.client import Client

sys.path.append(str(Path(__file__).parent / "server"))
from serving import World, make_world


@dataclass
class Live:
    """A world, the address where it is served, and the faults that its next answers have."""

    world: World
    url: str
    faults: list[Any]

    def client(self, name: str = "alice", **options: Any) -> Client:
        """A client with the token of a user."""
        return Client(self.url, self.world.tokens.get(name, ""), **{"patience_s": 5.0, **options})


def hang_up(environ: Any) -> None:
    """End the connection of a request, as a machine does that dies."""
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)


@contextmanager
def serve(home: Path, **options: Any) -> Iterator[Live]:
    """Serve a world at a port of this machine. Each of `faults` is called once, in turn, around an answer (WSGI)."""
    world = make_world(home, **options)
    faults: list[Any] = []

    def application(environ: Any, start: Any) -> Any:
        if faults:
            return faults.pop(0)(world.app, environ, start)
        return world.app(environ, start)

    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, name="server")
    thread.start()
    try:
        yield Live(world, f"http://127.0.0.1:{server.server_port}", faults)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        world.database.close()
