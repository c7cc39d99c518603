"""Two `recast worker`, killed at random instants, PostgreSQL restarted below them: every run ends well, once."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import on_cluster
import pytest
from running_cluster import Cluster, disturbing, wait_until

from reana_lite.catalogue import Sources
from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.errors import Unavailable
from reana_lite.storage import open_storage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve

pytestmark = pytest.mark.slow

RUNS, WIDTH, LIMIT_S = 3, 4, 240.0


def text(number: int) -> str:
    """A workflow: WIDTH steps of a second side by side, then one that reads them; its jobs are those of no other run."""

    def stage(name: str, line: str, depends: list[str], **parameters: Any) -> dict[str, Any]:
        step = {
            "process": {"process_type": "string-interpolated-cmd", "cmd": line},
            "environment": {"environment_type": "localproc-env"},
            "publisher": {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}},
        }  # fmt: skip
        scheduler = {"scheduler_type": "singlestep-stage", "step": step,
                     "parameters": {"out": "{workdir}/out", **parameters}}  # fmt: skip
        return {"name": name, "dependencies": depends, "scheduler": scheduler}

    names = [f"s{n}" for n in range(WIDTH)]
    stages = [stage(name, f"sleep 1; echo {number}-{name} > {{out}}", []) for name in names]
    inputs = {name: {"stages": name, "output": "out", "unwrap": True} for name in names}
    stages.append(stage("all", f"cat {' '.join(f'{{{name}}}' for name in names)} > {{out}}", names, **inputs))
    return json.dumps({"stages": stages})


@pytest.fixture
def variables(
    cluster: Cluster, database_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    if on_cluster.reason():
        pytest.skip(on_cluster.reason())
    name = f"w{secrets.token_hex(4)}"
    options = {
        "installation": name, "process_image": on_cluster.STEP_IMAGE, "stager_image": on_cluster.STAGER_IMAGE,
        "cpus": 0.02, "memory_bytes": "96M", "stager_cpus": 0.01, "grace_s": 1.0,
    }  # fmt: skip
    (tmp_path / "options.yml").write_text(json.dumps(options))
    bucket = cluster.settings["RECAST_STORAGE"].removeprefix("s3://").partition("/")[0]
    chosen = {name: value for name, value in cluster.settings.items() if name.startswith(("RECAST_S3_", "KUBECONFIG"))}
    chosen |= {
        "RECAST_HOME": str(tmp_path / "home"), "RECAST_DATABASE": database_url,
        "RECAST_STORAGE": f"s3://{bucket}/tests/{name}", "RECAST_KUBERNETES_NAMESPACE": namespace,
        "RECAST_KUBERNETES_OPTIONS": str(tmp_path / "options.yml"), "RECAST_BACKEND": "kubernetes",
    }  # fmt: skip
    for key in [key for key in os.environ if key.startswith("RECAST_") and not key.startswith("RECAST_TEST")]:
        monkeypatch.delenv(key)
    for key, value in chosen.items():
        monkeypatch.setenv(key, value)
    return chosen


@pytest.fixture
def workers(variables: dict[str, str], tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    there: list[subprocess.Popen[bytes]] = []
    yield there
    for one in there:
        one.kill()
        one.wait()


def begin(workers: list[subprocess.Popen[bytes]], log: Path) -> None:
    with log.open("ab") as out:
        workers.append(subprocess.Popen([sys.executable, "-m", "reana_lite", "worker"], stdout=out, stderr=out))


@disturbing
def test_killed_workers_and_a_restarted_database_lose_nothing_and_repeat_nothing(
    cluster: Cluster, variables: dict[str, str], workers: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    settings = Settings.from_environment()
    storage = open_storage(settings)
    storage.check()
    Database.migrate(settings.database)
    database = Database(settings.database)
    runs = []
    for number in range(RUNS):
        (tmp_path / f"r{number}.yml").write_text(text(number))
        options = TargetOptions(folder=tmp_path, scratch=tmp_path / "scratch")
        prepared = resolve(f"r{number}.yml", options=options, sources=Sources(downloads=tmp_path / "downloads"))
        runs.append(submit(prepared, database=database, storage=storage, owner="me", name=f"r{number}"))
    log = tmp_path / "workers.log"
    for _ in range(2):
        begin(workers, log)
    chance = random.Random(seed := secrets.randbits(32))
    told = f"seed {seed}"

    def ended() -> bool:
        try:
            return not database.unfinished(runs)
        except Unavailable:  # a connection of ours may be cut by the restart, too
            return False

    for turn in range(4):
        until = time.monotonic() + chance.uniform(2.0, 8.0)
        wait_until(lambda until=until: ended() or time.monotonic() > until, told, limit_s=20)
        if turn == 1:
            cluster.component("restart", "postgres")
            continue
        victim = workers.pop(chance.randrange(2))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        begin(workers, log)
    wait_until(ended, f"{told}: {log.read_text()[-3000:]}", limit_s=LIMIT_S, pause_s=1.0)
    for number, run in enumerate(runs):
        assert database.get_run(run).state == "finished", (told, database.get_run(run), log.read_text()[-3000:])
        keys = {job.key for job in database.jobs_of(run)}
        assert len(keys) == WIDTH + 1
        for key in keys:
            states = [attempt.state for attempt in database.attempts(key)]
            assert states.count("finished") == 1, (told, number, states)
            assert states[-1] == "finished", (told, number, states)
    assert all(one.poll() is None for one in workers), "a worker outlives its database's restart"
    database.close()
