"""Several worker programs on one database, killed at random instants: nothing lost, nothing finished computed twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from reana_lite.catalogue import Sources
from reana_lite.database import Database
from reana_lite.storage.local import LocalStorage
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve

COUNT = 12


def workflow(diary: Path, name: str) -> str:
    parameters = {"n": {"step": "init", "output": "ns"}, "out": "{workdir}/out"}
    line = f"echo begin {name}{{n}} >> {diary}; sleep 0.1; echo {{n}} > {{out}}; echo end {name}{{n}} >> {diary}"
    step = {
        "process": {"process_type": "string-interpolated-cmd", "cmd": line},
        "environment": {"environment_type": "localproc-env"},
        "publisher": {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}},
    }
    scheduler: dict[str, Any] = {"scheduler_type": "multistep-stage", "parameters": parameters, "step": step}
    scheduler["scatter"] = {"method": "zip", "parameters": ["n"]}
    return json.dumps({"stages": [{"name": "map", "dependencies": ["init"], "scheduler": scheduler}]})


@pytest.mark.parametrize("seed", range(int(os.environ.get("RECAST_WORKER_SEEDS", "1"))))
def test_workers_killed_at_random_instants_lose_nothing(database_url: str, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    home, diary = tmp_path / "home", tmp_path / "diary"
    diary.touch()
    storage = LocalStorage(home)
    storage.check()
    environment = {**os.environ, "RECAST_HOME": str(home), "RECAST_DATABASE": database_url}
    command = [sys.executable, "-m", "reana_lite", "worker", "--backend", "local", "--cores", "1", "--drain"]
    with contextlib.closing(Database(database_url)) as database:
        runs = []
        for name in "ab":
            (tmp_path / f"{name}.yml").write_text(workflow(diary, name))
            options = TargetOptions(folder=tmp_path, scratch=tmp_path / "x", parameters={"ns": list(range(COUNT))})
            prepared = resolve(f"{name}.yml", options=options, sources=Sources(downloads=tmp_path / "downloads"))
            runs.append(submit(prepared, database=database, storage=storage, owner=name, name=name))
        workers = [subprocess.Popen(command, env=environment, cwd=tmp_path) for _ in range(2)]
        try:
            until = time.monotonic() + 60
            while "end" not in diary.read_text():
                assert time.monotonic() < until, "no worker begins anything"
                time.sleep(0.05)
            time.sleep(rng.random())  # the instant, not a wait
            workers[0].send_signal(signal.SIGKILL)
            workers[0].wait()
            finished_then = {line for line in diary.read_text().splitlines() if line.startswith("end")}
            workers.append(subprocess.Popen(command, env=environment, cwd=tmp_path))
            for worker in workers[1:]:
                assert worker.wait(timeout=120) == 0
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        assert [database.get_run(run).state for run in runs] == ["finished", "finished"]
    lines = Counter(diary.read_text().splitlines())
    assert len([line for line in lines if line.startswith("end")]) == 2 * COUNT
    again = [line for line in finished_then if lines[line] > 1]
    assert len(again) <= 1, "at most the step between its last command and its exit record"


def test_a_worker_outlives_a_restart_of_its_database(postgres: Any, tmp_path: Path) -> None:
    home, diary, url = tmp_path / "home", tmp_path / "diary", postgres.new_database()
    diary.touch()
    storage = LocalStorage(home)
    storage.check()
    environment = {**os.environ, "RECAST_HOME": str(home), "RECAST_DATABASE": url}
    command = [sys.executable, "-m", "reana_lite", "worker", "--backend", "local", "--cores", "1", "--drain"]
    (tmp_path / "a.yml").write_text(workflow(diary, "a"))
    options = TargetOptions(folder=tmp_path, scratch=tmp_path / "x", parameters={"ns": list(range(COUNT))})
    prepared = resolve("a.yml", options=options, sources=Sources(downloads=tmp_path / "downloads"))
    with contextlib.closing(Database(url)) as database:
        run = submit(prepared, database=database, storage=storage, owner="a", name="a")
    postgres.stop()
    worker = subprocess.Popen(command, env=environment, cwd=tmp_path)  # its database is down at its start
    try:
        time.sleep(2.0)  # as long as it would take to begin
        assert worker.poll() is None
        postgres.start()
        until = time.monotonic() + 60
        while "end" not in diary.read_text():
            assert time.monotonic() < until, "it does not begin"
            time.sleep(0.05)
        postgres.stop()
        postgres.start()
        assert worker.wait(timeout=60) == 0
    finally:
        worker.kill()
        worker.wait()
    with contextlib.closing(Database(url)) as database:
        assert database.get_run(run).state == "finished"
    lines = Counter(diary.read_text().splitlines())
    assert len(lines) == 2 * COUNT
    assert set(lines.values()) == {1}, "each step ran once"
