"""What the integration tests share: an installation of their own, and `recast` as users call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Recast:
    """`recast` with a home of its own, as a process."""

    home: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAST_")}
        return {**kept, "RECAST_HOME": str(self.home), "PYTHONWARNINGS": "error", "COLUMNS": "120"}

    def start(self, *args: str, **more: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "reana_lite", *args]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment | more.pop("env", {}), text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
        )  # fmt: skip

    def __call__(self, *args: str, code: int | None = 0, env: dict[str, str] | None = None) -> str:
        process = self.start(*args, env=env or {})
        out, err = process.communicate(timeout=300)
        assert "Traceback" not in err, err
        if code is not None:
            assert process.returncode == code, f"{args}: exit {process.returncode}\n{out}\n{err}"
        return out + ("" if code == 0 else err)

    def installation(self) -> Any:
        """What `recast` works on, opened in this process."""
        from reana_lite.cli.screen import open_installation

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RECAST_HOME", str(self.home))
            return open_installation()

    def json(self, *args: str, code: int = 0) -> Any:
        process = self.start(*args, "--json")
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{args}: exit {process.returncode}\n{out}\n{err}"
        return json.loads(out)


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def refused(self, code: int, *words: str) -> None:
        """It ended with that code and a few plain words on standard error that hold those, and did nothing else."""
        assert self.code == code, self
        assert not self.out, self.out
        assert "Traceback" not in self.err
        assert "internal error" not in self.err
        assert 0 < len(self.err) < 2000, self.err
        for word in words:
            assert word in self.err, f"{word!r} is not in {self.err!r}"


@pytest.fixture
def call(recast: Recast, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`recast` in this process, on the same installation: quick, for what ends at once."""
    from reana_lite.cli import main

    for name in [name for name in os.environ if name.startswith("RECAST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RECAST_HOME", str(recast.home))
    monkeypatch.chdir(recast.folder)

    def called(*args: str) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return called


@pytest.fixture
def recast(tmp_path: Path) -> Recast:
    """An installation that nobody else has, and `recast` on it."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Recast(tmp_path / "home", folder)


@pytest.fixture
def write(recast: Recast) -> Callable[[str, str], Path]:
    """Write a text file into the folder that `recast` is called in."""

    def write_file(name: str, text: str) -> Path:
        path = recast.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Any]:
    """A served installation with users of each role: alice, bob (user), root (admin), eve (read-only); server/serving.py."""
    from serving import make_world

    made = make_world(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Any]:
    """A served installation without accounts: one user, `laptop`."""
    from serving import make_world

    made = make_world(tmp_path, alone=True)
    yield made
    made.database.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Any]:
    """A database and a storage for workers whose jobs only pretend to run; house.py."""
    from house import House

    made = House(tmp_path)
    yield made
    for worker in made.workers:
        worker.close()
    made.database.close()
