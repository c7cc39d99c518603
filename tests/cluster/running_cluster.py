"""The running dev cluster: its settings, its programs to stop and start, how a pod has ended; for tests of this level."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEV = Path(__file__).parents[2] / "k8s" / "dev"
IMAGE = os.environ.get("RECAST_TEST_CLUSTER_IMAGE", "localhost/recast-base:bookworm")
"""What pods of tests run: a Debian with Python."""

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
RESTRICTED_POD = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


disturbing = pytest.mark.skipif(
    os.environ.get("CI") != "true" and "RECAST_TEST_DISTURB" not in os.environ,
    reason="it stops what others may be using: set RECAST_TEST_DISTURB",
)
"""Stops programs that others may be using."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster with its object storage and database, by the settings that `k8s/dev/up` has written."""

    settings: Mapping[str, str]

    @property
    def kubeconfig(self) -> Path:
        return Path(self.settings["KUBECONFIG"])

    @property
    def s3_endpoint(self) -> str:
        """URL of the object storage, the same from here and from pods."""
        return self.settings["RECAST_S3_ENDPOINT"]

    @property
    def database(self) -> str:
        """URL of the database that an installation would use; tests take one of their own (fixture `database_url`)."""
        return self.settings["RECAST_DATABASE"]

    @property
    def host_ip(self) -> str:
        """This machine as pods see it: where a server that a test starts is reached from a pod."""
        return self.settings["RECAST_DEV_HOST_IP"]

    def component(self, action: str, name: str) -> None:
        """Stop, start, kill, pause or resume one program of the dev cluster; skips the test on a cluster that is not ours."""
        if "RECAST_DEV_STATE" not in self.settings:
            pytest.skip("only the dev cluster of k8s/dev lets single programs be stopped")
        subprocess.run([DEV / "component", action, name], check=True, env={**os.environ, **self.settings}, timeout=120)

    @contextlib.contextmanager
    def without(self, name: str, *, action: str = "stop") -> Iterator[None]:
        """One program is down (`stop`, `kill`) or hangs (`pause`) inside the block, and answers again after it."""
        self.component(action, name)
        try:
            yield
        finally:
            self.component("resume" if action == "pause" else "start", name)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the single container of a pod has ended."""

    exit_code: int
    reason: str
    log: str
    node: str
    status: dict[str, Any]


def read_settings(path: Path) -> dict[str, str]:
    """The variables that a file of `export NAME=VALUE` lines sets."""
    words = [w for line in path.read_text().splitlines() if line.startswith("export ") for w in shlex.split(line)[1:]]
    return dict(word.split("=", 1) for word in words)


def wait_until(found: Callable[[], Any], what: str, *, limit_s: float = 60.0, pause_s: float = 0.1) -> Any:
    """The first answer that is not None or False; fails the test after the limit."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        answer = found()
        if answer is not None and answer is not False:
            return answer
        time.sleep(pause_s)  # another machine's state: there is no event to wait on
    pytest.fail(f"{what}: not within {limit_s:g} s")
