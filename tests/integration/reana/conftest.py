"""The real REANA client against a real server: an environment of its own, a port of its own, a worker in a thread."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from werkzeug.serving import make_server

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "server"))

from serving import World, make_world  # noqa: E402


@pytest.fixture(scope="session")
def client_env() -> Path:
    """The folder of the client's environment (tests/reana/client_env.sh makes it)."""
    script = HERE.parent.parent / "reana" / "client_env.sh"
    made = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False, timeout=900)
    if made.returncode != 0:
        pytest.skip(f"the environment of reana-client cannot be made: {made.stderr.strip()[-300:]}")
    return Path(made.stdout.strip().splitlines()[-1])


@dataclass
class Served:
    """A server on a port, its worker, and the client's programs as a user runs them."""

    world: World
    url: str
    env: Path
    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    def __call__(self, *args: str, code: int | None = 0, name: str = "alice", program: str = "reana-client") -> str:
        """Run a command of the client; gives all that it prints."""
        environment = {
            "PATH": f"{self.env}/bin:{os.environ['PATH']}", "HOME": str(self.folder), "LC_ALL": "C.UTF-8",
            "PYTHONWARNINGS": "ignore",
            "REANA_SERVER_URL": self.url, "REANA_ACCESS_TOKEN": self.world.tokens.get(name, name), **self.more,
        }  # fmt: skip
        done = subprocess.run(
            [str(self.env / "bin" / program), *args], cwd=self.folder, env=environment, text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout, done.stdout
        if code is not None:
            assert done.returncode == code, f"{args}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def example(self, name: str) -> Path:
        """Let the client's folder be that of an example."""
        self.folder = shutil.copytree(HERE / "examples" / name, self.folder / name)
        return self.folder


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
