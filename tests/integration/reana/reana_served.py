"""A server on a port and the real client's programs, as the tests of REANA's API use them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from serving import World

HERE = Path(__file__).parent


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
