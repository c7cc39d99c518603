"""What all levels share: whether containers can run here, and with which of the engine's options."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest

IMAGE = os.environ.get("RECAST_TEST_IMAGE", "localhost/debian:bookworm")
FLAGS = "RECAST_TEST_CONTAINER_FLAGS"
REASON = "RECAST_TEST_NO_CONTAINERS"

CANDIDATES = ("", "--runtime runc", "--runtime runc --ulimit nofile=1024:1024 --ulimit nproc=1024:1024")
"""Options of the engine, plain first: sandboxes may forbid its default runtime or limits."""


def pytest_configure(config: pytest.Config) -> None:
    """Try once, before workers are started (they inherit the answer)."""
    if FLAGS in os.environ or REASON in os.environ:
        return
    flags, reason = _working_flags()
    if reason:
        os.environ[REASON] = reason
    else:
        os.environ[FLAGS] = flags
        os.environ.setdefault("RECAST_CONTAINER_FLAGS", flags)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a working engine the container level is skipped, saying why."""
    reason = os.environ.get(REASON)
    for item in items if reason else ():
        if item.get_closest_marker("container"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _working_flags() -> tuple[str, str]:
    """(options, "") of an engine that runs the image, or ("", why there is none)."""
    engine = shutil.which("podman") or shutil.which("docker")
    if engine is None:
        return "", "no podman or docker here"
    if subprocess.run([engine, "image", "inspect", IMAGE], capture_output=True, check=False).returncode != 0:
        return "", f"no image {IMAGE} (tests/container/image.sh makes it)"
    said = ""
    for flags in CANDIDATES:
        limits = ["--network", "none", "--memory", "64m", "--cpus", "1"]
        command = [engine, "run", "--rm", *limits, *shlex.split(flags), IMAGE, "true"]
        tried = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if tried.returncode == 0:
            return flags, ""
        said = tried.stderr.strip().splitlines()[-1:][0] if tried.stderr.strip() else f"exit {tried.returncode}"
    return "", f"the engine cannot run a container here: {said}"
