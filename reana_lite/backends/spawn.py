"""How the supervisor makes a step's place and starts its process: few system calls, no fork of a large process.

posix_spawn (a vfork) starts `sh` in a session of its own, with the step's folder as current directory, output to its
log, and the marker variables in its environment. Called by the supervisor only, from its main thread: it changes the
current directory of the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any

from reana_lite.backends import fill, places, processes
from reana_lite.backends.settle import Step

LINE_LIMIT_BYTES = 100_000
"""A longer command line goes through a file: the kernel takes at most 128 KiB in one argument."""

_FILL = "fill.json"

_DEFAULTS = [
    signal.Signals[name]
    for name in ("SIGPIPE", "SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT", "SIGCHLD", "SIGXFSZ")
    if name in signal.Signals.__members__
]


class Spawner:
    """Starts steps: `environ` is what they inherit."""

    def __init__(self, environ: dict[str, str], instance: str) -> None:
        self._environ = {**environ, processes.INSTANCE_VARIABLE: instance}
        self._environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")  # or imports would write into the inputs
        self._session: dict[str, Any] = {"setsid": True}

    def make_place(self, step: Step, root: str) -> bool:
        """Make the folders of an attempt; False if its place is there already."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{root}/jobs/{step.key}")  # noqa: PTH102
        try:
            os.mkdir(step.place)  # noqa: PTH102
        except FileExistsError:
            return False
        os.mkdir(step.files)  # noqa: PTH102
        for name in step.spec.get("folders", ()):
            os.mkdir(f"{step.place}/{name}")  # noqa: PTH102
        if "fill" in step.spec:
            for _, target in step.spec["fill"]:
                os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            _write(f"{step.place}/{_FILL}", json.dumps(step.spec["fill"]))
        if "links" in step.spec:
            _link_all(f"{step.place}/view", step.spec["links"])
        for name, text in step.spec.get("files", {}).items():
            _write(f"{step.place}/{name}", text)
        return True

    def start(self, step: Step) -> None:
        """Start the process of a step; sets its pid and time of begin. Raises OSError."""
        spec = step.spec
        argv = spec.get("argv") or self._shell(step)
        program = argv[0] if "argv" in spec else "/bin/sh"
        if "fill" in spec:
            argv = [sys.executable, "-I", "-S", fill.__file__, f"{step.place}/{_FILL}", program, *argv]
            program = sys.executable
        folder = spec.get("cwd") or step.files
        try:
            os.chdir(folder)
        except OSError:
            os.chdir(step.files)
            folder = step.files
        environ = {**self._environ, **spec.get("variables", {})}
        environ[processes.JOB_VARIABLE] = f"{step.key}/{step.attempt}"
        environ["PWD"] = folder
        environ.pop("OLDPWD", None)
        handle = _script(step, spec["script"]) if spec.get("script") is not None else -1
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0) if handle < 0 else (os.POSIX_SPAWN_DUP2, handle, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{step.place}/{places.LOG}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        step.begun = time.time()
        try:
            step.pid = self._spawn(program, argv, environ, actions)
        finally:
            if handle >= 0:
                os.close(handle)

    def helper(self, argv: list[str], output: str) -> int:
        """Start a short command of our own; its pid."""
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ]
        return self._spawn(argv[0], argv, self._environ, actions)

    def _spawn(self, program: str, argv: list[str], environ: dict[str, str], actions: list[tuple[Any, ...]]) -> int:
        try:
            return os.posix_spawnp(program, argv, environ, file_actions=actions, setsigdef=_DEFAULTS, **self._session)
        except NotImplementedError:  # no setsid in this platform's posix_spawn
            self._session = {"setpgroup": 0}
            return self._spawn(program, argv, environ, actions)

    def _shell(self, step: Step) -> list[str]:
        line: str = step.spec["line"]
        if len(line) * 4 > LINE_LIMIT_BYTES and len(line.encode(errors="surrogateescape")) > LINE_LIMIT_BYTES:
            _write(f"{step.place}/line", line)
            return ["sh", f"{step.place}/line"]
        return ["sh", "-c", line]


def _link_all(view: str, links: dict[str, str]) -> None:
    """Make a folder of links: {path below it: where it leads}."""
    os.makedirs(view, exist_ok=True)  # noqa: PTH103
    for path, real in links.items():
        os.makedirs(os.path.dirname(f"{view}/{path}"), exist_ok=True)  # noqa: PTH103, PTH120
        os.symlink(real, f"{view}/{path}")  # noqa: PTH211


def _script(step: Step, text: str) -> int:
    """An unlinked file at its beginning that holds a text: what the step reads on standard input."""
    path = f"{step.place}/script"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.unlink(path)  # noqa: PTH108
    content = text.encode(errors="surrogateescape")
    while content:
        content = content[os.write(handle, content) :]
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as stream:  # noqa: PTH123
        stream.write(text)
