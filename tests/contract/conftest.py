"""Real servers for the suites of the doors: an S3 service (a prefix per test), a PostgreSQL (a database per test)."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine

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

    def trusts(self) -> ssl.SSLContext | None:
        """Whom a client of it is to trust; None: who is usually trusted."""
        return None

    def start(self) -> None:
        environment = {
            **os.environ, "MINIO_ROOT_USER": KEYS[0], "MINIO_ROOT_PASSWORD": KEYS[1], "MINIO_BROWSER": "off",
            "HOME": str(self.folder),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [
                self.program, "server", "--quiet", "--address", f"127.0.0.1:{self.port}",
                "--certs-dir", str(self.folder / "certs"), str(self.folder / "data"),
            ],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.url}/minio/health/ready", timeout=1, context=self.trusts()):
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
    server = MinioServer(program, tmp_path_factory.mktemp("minio"), free_port())
    (server.folder / "data" / "recast").mkdir(parents=True)  # a bucket
    server.start()
    yield server
    server.kill()


@pytest.fixture
def s3_settings(minio: MinioServer) -> S3Settings:
    """A bucket with a prefix of this test's own."""
    prefix = secrets.token_hex(6) + "/"
    return S3Settings(bucket="recast", prefix=prefix, endpoint=minio.url, access_key=KEYS[0], secret_key=KEYS[1])


@dataclass
class PostgresServer:
    """A PostgreSQL of our own, that can be killed and started again. As root it runs as the user `postgres`."""

    programs: Path
    folder: Path
    port: int

    def _run(self, *command: str) -> None:
        become = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*become, str(self.programs / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout

    def make(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
        user = ["-U", "recast", "--auth=trust", "--no-sync", "-E", "UTF8"]
        self._run("initdb", "-D", str(self.folder / "data"), *user)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-w", "-t", "60", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://recast@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = "t" + secrets.token_hex(6)
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = shutil.which("initdb") or (str(found[-1]) if found else "")
    if not program:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    if os.getuid() == 0 and not Path("/usr/sbin/runuser").exists():
        pytest.skip(f"{getpass.getuser()} cannot become another user")
    with tempfile.TemporaryDirectory(prefix="recast-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # pytest's own folders are closed to the user `postgres`
        server = PostgresServer(Path(program).resolve().parent, Path(folder), free_port())
        server.make()
        server.start()
        yield server
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()
