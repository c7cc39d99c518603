"""Real servers for the suites of the doors: an S3 service, made anew per test as a prefix of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reana_lite.config import S3Settings

KEYS = ("reanalite", "reanalite-secret")


@dataclass
class MinioServer:
    """A MinIO of our own that can be killed and started again."""

    program: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {
            **os.environ, "MINIO_ROOT_USER": KEYS[0], "MINIO_ROOT_PASSWORD": KEYS[1], "MINIO_BROWSER": "off",
            "HOME": str(self.folder),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [self.program, "server", "--quiet", "--address", f"127.0.0.1:{self.port}", str(self.folder / "data")],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/minio/health/ready", timeout=1):
                    return
            except OSError:
                assert self.process.poll() is None, "the S3 server has ended"
                time.sleep(0.05)
        raise AssertionError("the S3 server does not come up")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def minio_program() -> str:
    """A MinIO on this machine; "" if there is none."""
    cache = Path(os.environ.get("RECAST_DEV_CACHE") or Path("~/.cache/reana-lite-dev").expanduser())
    found = os.environ.get("RECAST_TEST_MINIO") or shutil.which("minio") or str(cache / "bin" / "minio")
    return found if Path(found).exists() else ""


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    program = minio_program()
    if not program:
        pytest.skip("no MinIO here: k8s/dev/build minio makes one, or name it in RECAST_TEST_MINIO")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = MinioServer(program, tmp_path_factory.mktemp("minio"), port)
    (server.folder / "data" / "recast").mkdir(parents=True)  # a bucket
    server.start()
    yield server
    server.kill()


@pytest.fixture
def s3_settings(minio: MinioServer) -> S3Settings:
    """A bucket with a prefix of this test's own."""
    prefix = secrets.token_hex(6) + "/"
    return S3Settings(bucket="recast", prefix=prefix, endpoint=minio.url, access_key=KEYS[0], secret_key=KEYS[1])
