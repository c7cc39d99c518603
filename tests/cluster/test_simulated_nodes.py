"""Many runs at once by one `recast worker`, on nodes that are simulated: all finish, and no step is begun twice.

Nothing is measured here; benchmarks/bench_cluster.py does that.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import on_cluster
import pytest
import simulated
from running_cluster import Cluster, wait_until

from reana_lite.config import Settings
from reana_lite.database import Database
from reana_lite.storage import open_storage

pytestmark = pytest.mark.slow

STEPS = 7
ALONE = os.environ.get("CI") == "true" or "RECAST_TEST_DISTURB" in os.environ
RUNS, LIMIT_S = (500, 600.0) if ALONE else (60, 240.0)
"""A cluster that others use is left to them."""


@pytest.fixture
def simulated_nodes(cluster: Cluster) -> Iterator[None]:
    if on_cluster.reason():
        pytest.skip(on_cluster.reason())
    if "RECAST_DEV_STATE" not in cluster.settings:
        pytest.skip("only the dev cluster of k8s/dev has simulated nodes")
    with simulated.nodes(100 if ALONE else 20):
        yield


@pytest.mark.usefixtures("simulated_nodes")
def test_many_runs_finish_and_every_step_is_begun_once(database_url: str, namespace: str, tmp_path: Path) -> None:
    name = f"many{secrets.token_hex(3)}"
    environment = simulated.settings(name, namespace=namespace, database=database_url, folder=tmp_path)
    storage = open_storage(Settings.from_environment(environment))
    Database.migrate(database_url)
    database = Database(database_url)
    runs = simulated.submit_chains(RUNS, steps=STEPS, database=database, storage=storage, folder=tmp_path)
    stagers = simulated.Stagers(storage, name, namespace=namespace)
    command = [sys.executable, "-m", "reana_lite", "worker", "--drain", "--at-once", "500"]
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_until(lambda: worker.poll() is not None, "the end of all runs", limit_s=LIMIT_S, pause_s=1.0)
        finally:
            worker.kill()
            worker.wait()
            stagers.close()
    said = (tmp_path / "worker.log").read_text()[-3000:]
    assert worker.returncode == 0, said
    assert Counter(database.get_run(run).state for run in runs) == {"finished": RUNS}, said
    database.close()
    assert stagers.faults == []
    assert stagers.steps.keys() == {(run, step) for run in runs for step in range(STEPS)}
    assert {len(seen.pods) for seen in stagers.steps.values()} == {1}, "a step was begun twice"
