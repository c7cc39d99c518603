"""The chart for trying out and over time: all in the cluster, the first account, a quota, migrations when it is upgraded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from installing import CHART, Release, helm, release
from laptops import Laptop, workflow
from running_cluster import Cluster, wait_until

import reana_lite.database
from reana_lite.database import opening, tables

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chart")]

MINIO, POSTGRESQL = "localhost/recast-minio:dev", "localhost/recast-postgresql:dev"
"""What k8s/dev/images makes of the two names."""

ADMIN = ["recast", "admin", "users", "add", "anna", "--role", "admin", "--password-stdin"]


@pytest.fixture
def disks(cluster: Cluster, api: Any, core: Any) -> Iterator[Any]:
    """A function that has volumes ready for the two claims of a release: a folder of the node each."""
    if "RECAST_DEV_STATE" not in cluster.settings:
        pytest.skip("its images and volumes are those of the dev cluster")
    there = {
        name for node in core.list_node().items for image in node.status.images or [] for name in image.names or []
    }
    if not {MINIO, POSTGRESQL} <= there:
        pytest.skip("k8s/dev/images minio postgresql makes the images")
    made: list[str] = []

    def ready(one: Release) -> None:
        for part in ("minio", "postgresql"):
            name = f"{one.name}-{part}"
            path = Path(cluster.settings["RECAST_DEV_STATE"], "volumes", name)
            path.mkdir(parents=True)
            anywhere = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
            spec = {
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "50Gi"}, "local": {"path": str(path)},
                "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "",
                "claimRef": {"name": f"data-{name}-0", "namespace": one.namespace},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
            }  # fmt: skip
            core.create_persistent_volume({"metadata": {"name": name}, "spec": spec})
            made.append(name)

    yield ready
    for name in made:
        core.delete_persistent_volume(name)


def test_all_in_the_cluster_drives_a_run_and_keeps_its_data_over_an_upgrade(
    cluster: Cluster, api: Any, core: Any, disks: Any
) -> None:
    with release(cluster, api) as one:
        disks(one)
        trial: dict[str, Any] = {
            "minio": {"enabled": True, "image": MINIO}, "postgresql": {"enabled": True, "image": POSTGRESQL},
            "database": {}, "storage": {"bucket": "recast"}, "server__enabled": False, "worker__replicas": 1,
            "jobs__networkPolicy__storage": [],
        }  # fmt: skip
        one.deploy(**trial)
        assert (one.ready("minio"), one.ready("postgresql"), one.ready("worker")) == (1, 1, 1)
        line = """cat > /tmp/w.yml; recast run /tmp/w.yml -q -p wait=0 -p 'words=["x"]' --json"""
        made = one.run("worker", "sh", "-c", line, said=workflow())
        run = json.loads(made)
        assert (run["state"], run["nodes"]["finished"]) == ("finished", 2), made
        before = {p.metadata.uid for part in ("minio", "postgresql") for p in one.pods(part)}
        one.deploy(**trial, worker__runsAtOnce=7)  # another password would lock the worker out
        assert {p.metadata.uid for part in ("minio", "postgresql") for p in one.pods(part)} == before
        (pod,) = one.pods("postgresql")
        core.delete_namespaced_pod(pod.metadata.name, one.namespace)

        def is_another() -> bool:
            return one.ready("postgresql") == 1 and one.pods("postgresql")[0].metadata.uid not in before

        wait_until(is_another, "another PostgreSQL", limit_s=120.0)
        wait_until(lambda: one.ready("worker") == 1, "the worker", limit_s=120.0)
        got = one.run("worker", "sh", "-c", f"recast artifacts get {run['run']} -o /tmp/got; cat /tmp/got/join/all.txt")
        assert "x" in got.split()


def test_the_server_waits_for_the_first_account_and_is_not_started_again_and_again(
    cluster: Cluster, api: Any, core: Any
) -> None:
    with release(cluster, api) as one:
        values = one.values(worker__replicas=1)
        one.helm("install", one.name, str(CHART), "--timeout", "120s", values=values)

        def waits() -> bool:
            pods = one.pods("server")
            states = (pods[0].status.init_container_statuses or []) if pods else []
            return bool(states and states[0].state.running)

        wait_until(waits, "the server's pod", limit_s=120.0)
        (pod,) = one.pods("server")

        def says() -> bool:
            return "no account yet" in core.read_namespaced_pod_log(
                pod.metadata.name, one.namespace, container="account"
            )

        wait_until(says, "its words", limit_s=60.0)
        wait_until(lambda: one.ready("worker") == 1, "the worker", limit_s=120.0)
        one.run("worker", *ADMIN, said="correct horse battery\n")
        wait_until(lambda: one.ready("server") == 1, "the server", limit_s=120.0)
        (same,) = one.pods("server")
        assert same.metadata.uid == pod.metadata.uid
        states = [*same.status.init_container_statuses, *same.status.container_statuses]
        assert [state.restart_count for state in states] == [0, 0]


def test_steps_over_the_quota_of_the_namespace_wait_and_it_is_told_why(
    cluster: Cluster, api: Any, core: Any, tmp_path: Path
) -> None:
    with release(cluster, api) as one:
        one.deploy(server__enabled=False, worker__replicas=1, jobs__quota={"pods": "1", "requests.cpu": "1"})
        (quota,) = core.list_namespaced_resource_quota(one.jobs).items
        assert quota.spec.hard == {"pods": "1", "requests.cpu": "1"}
        laptop = Laptop(one, tmp_path)
        try:
            run = laptop.submit(["one", "two"], wait_s=14)

            def told() -> bool:
                (worker,) = one.pods("worker")
                return "exceeded quota" in core.read_namespaced_pod_log(worker.metadata.name, one.namespace)

            wait_until(told, "why it waits", limit_s=90.0, pause_s=0.5)
            assert laptop.state(run) == "running"
            assert laptop.over(run) == "finished", one.told()
            assert [job.attempt for job in laptop.database.jobs_of(run)] == [1, 1, 1]
        finally:
            laptop.database.close()


@pytest.mark.parametrize("version", ["0001", f"{int(tables.VERSION) - 1:04d}"])
def test_an_upgrade_migrates_an_older_database_before_anything_of_it_starts(
    cluster: Cluster, api: Any, tmp_path: Path, version: str
) -> None:
    with release(cluster, api) as one:
        one.deploy(server__enabled=False, worker__replicas=0)
        older(one, version)
        one.deploy(server__enabled=False, worker__replicas=1)
        laptop = Laptop(one, tmp_path)
        try:
            assert [run.id for run in laptop.database.list_runs()] == ["old"]
            assert laptop.over(laptop.submit(["after"])) == "finished", one.told()
        finally:
            laptop.database.close()


def test_an_older_program_on_a_newer_database_does_nothing_and_says_why(cluster: Cluster, api: Any) -> None:
    """What a rollback over migrations meets: it is refused before it touches a run."""
    with release(cluster, api) as one:
        one.deploy(server__enabled=False, worker__replicas=0)
        with psycopg.connect(one.database.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("update alembic_version set version_num = '9999'")
        words = ["upgrade", one.name, str(CHART), "--namespace", one.namespace, "--timeout", "25s"]
        said = helm(cluster, *words, values=one.values(server__enabled=False, worker__replicas=1))
        assert said.returncode != 0
        assert "use a newer reana-lite" in one.told()
        assert one.pods("worker") == []


def older(one: Release, version: str) -> None:
    """Make the database of a release anew as an older program left it, with one run."""
    url = one.database.replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")
    config = Config()
    config.set_main_option("script_location", str(Path(reana_lite.database.__file__).parent / "migrations"))
    engine = opening.make_engine(one.database)
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, version)
            connection.exec_driver_sql(
                "INSERT INTO runs (id, name, number, owner, state, created_at) "
                "VALUES ('old', 'scan', 1, 'alice', 'finished', 5.0)"
            )
    finally:
        engine.dispose()
