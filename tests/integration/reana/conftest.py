"""The real REANA client against a real server: an environment of its own, a port of its own, a worker in a thread."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "server"))

from reana_served import Served  # noqa: E402
from serving import make_world  # noqa: E402


@pytest.fixture(scope="session")
def client_env() -> Path:
    """The folder of the client's environment (tests/reana/client_env.sh makes it)."""
    script = HERE.parent.parent / "reana" / "client_env.sh"
    made = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False, timeout=900)
    if made.returncode != 0:
        pytest.skip(f"the environment of reana-client cannot be made: {made.stderr.strip()[-300:]}")
    return Path(made.stdout.strip().splitlines()[-1])


@pytest.fixture
def serve(tmp_path: Path, client_env: Path) -> Iterator[Callable[..., Served]]:
    """Make a server and a worker; both end with the test."""
    ends: list[Callable[[], object]] = []

    def served(*, work: bool = True, **settings: object) -> Served:
        world = make_world(tmp_path / "home", **{"uploaded_processes": True, **settings})
        server = make_server("127.0.0.1", 0, world.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, name="server")
        thread.start()
        ends.extend((world.database.close, thread.join, server.server_close, server.shutdown))
        if work:
            working = world.working()
            working.__enter__()
            ends.append(lambda: working.__exit__(None, None, None))
        folder = tmp_path / "user"
        folder.mkdir()
        return Served(world, f"http://127.0.0.1:{server.server_port}", client_env, folder)

    yield served
    for end in reversed(ends):
        end()


@pytest.fixture
def reana(serve: Callable[..., Served]) -> Served:
    """A server that runs uploaded workflows as plain processes, and a worker."""
    return serve()
