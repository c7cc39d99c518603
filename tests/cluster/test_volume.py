"""Outputs on a shared volume: what a step may touch of it, other users, the chart with two claims for one folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes
import on_cluster
import pytest
from installing import release
from laptops import Laptop
from running_cluster import RESTRICTED, Cluster, wait_until

from reana_lite.backends.base import Report, Task
from reana_lite.job import (
    RUN_ROOT,
    Cause,
    Environment,
    EnvironmentKind,
    Input,
    JobOutcome,
    JobSpec,
    JobState,
    Resources,
)
from reana_lite.storage.local import LocalStorage

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chart")]

OWN, UP = f"{RUN_ROOT}/own", f"{RUN_ROOT}/up"
IMAGE = Environment(EnvironmentKind.CONTAINER, on_cluster.STEP_IMAGE)


@pytest.fixture
def storage(cluster: Cluster) -> LocalStorage:
    if reason := on_cluster.reason(shared=True):
        pytest.skip(reason)
    found: LocalStorage = on_cluster.folder()
    return found


@pytest.fixture
def backend(storage: LocalStorage) -> Iterator[Any]:
    backend = on_cluster.backend(storage)
    assert backend.unusable() == ""
    yield backend
    backend.close()


def end(
    backend: Any, key: str, line: str, *inputs: Input, writable: bool = False, other: tuple[str, ...] = ()
) -> JobOutcome:
    job = JobSpec(OWN, line, environment=IMAGE, resources=Resources(other=other))
    backend.submit([Task(key, 1, job, inputs, writable_inputs=writable)])

    def ended() -> JobOutcome | None:
        return next((r.outcome for r in backend.wait(1.0) if r.outcome is not None), None)

    outcome: JobOutcome = wait_until(ended, f"the end of {key}", limit_s=120.0)
    return outcome


def test_a_step_sees_of_the_volume_its_folder_and_its_inputs_and_writes_into_its_folder_alone(
    backend: Any, storage: LocalStorage
) -> None:
    up = end(backend, "up", f"printf hello > {OWN}/out")
    assert end(backend, "other", f"printf secret > {OWN}/out").state is JobState.FINISHED
    line = (
        f"for path in {UP}/out {UP}/new {OWN}/../manifest.json {OWN}/../../../new /reana-lite/store/trees/x; do "
        'if printf changed 2>/dev/null > "$path"; then echo "WROTE $path"; fi; done; '
        "find /reana-lite/store -type f; ls /reana-lite/store/jobs; printf done > end"
    )
    seen = end(backend, "look", f"cd {OWN}; {line}", Input(UP, "up", 1, up.digest))
    assert seen.state is JobState.FINISHED, seen
    words = storage.log("look", 1).decode().split()
    assert "WROTE" not in words
    assert sorted(word for word in words if word in ("up", "other", "look")) == ["look", "up"]
    assert storage.damage("up", 1) == storage.damage("look", 1) == []
    assert (storage.root / "jobs" / "up" / "1" / "files" / "new").exists() is False
    manifest = storage.manifest("look", 1)
    assert manifest is not None
    assert [a.path for a in manifest.artifacts] == ["end"]


def test_where_the_language_lets_a_step_write_into_an_input_it_does_but_never_into_a_kept_tree(
    backend: Any, storage: LocalStorage
) -> None:
    up = end(backend, "up", f"printf hello > {OWN}/out")
    told = end(backend, "change", f"printf changed > {UP}/out", Input(UP, "up", 1, up.digest), writable=True)
    assert (told.state, told.reusable, told.details["changed_inputs"]) == (JobState.FINISHED, False, [UP])
    assert storage.rescan("up", 1) != up.digest
    tree = storage.keep_bytes({"out": b"kept"}, UP)
    refused = end(backend, "refused", f"printf changed > {UP}/out", tree, writable=True)
    assert (refused.state, refused.cause) == (JobState.FAILED, Cause.EXIT)
    assert "Read-only file system" in storage.log("refused", 1).decode()
    assert storage.damage(tree.key, 0) == []


def test_a_step_of_another_user_writes_and_its_outputs_can_be_removed(backend: Any, storage: LocalStorage) -> None:
    outcome = end(backend, "other-user", f"cd {OWN}; mkdir -p a/b; id -u > a/b/who", other=("kubernetes_uid: 2345",))
    assert outcome.state is JobState.FINISHED, outcome
    with storage.open("other-user", 1, "a/b/who") as stream:
        assert stream.read() == b"2345\n"
    folder = storage.folder("other-user", 1) / "a"
    found = folder.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o070) == (2345, 1000, 0o070)


def test_a_long_line_comes_by_a_ticket_on_the_volume(backend: Any, storage: LocalStorage) -> None:
    text = "x" * 150_000
    outcome = end(backend, "long", f"printf %s {text} | wc -c > {OWN}/count")
    assert outcome.state is JobState.FINISHED, outcome
    with storage.open("long", 1, "count") as stream:
        assert stream.read().strip() == b"150000"
    ticket = storage.place("long", 1) / "ticket.json"
    wait_until(lambda: not ticket.exists(), "the removal of the ticket", limit_s=30.0)


def test_a_stopped_step_leaves_its_log(backend: Any, storage: LocalStorage) -> None:
    line = "echo said; exec sleep 1000"
    backend.submit([Task("hold", 1, JobSpec(OWN, line, environment=IMAGE))])
    wait_until(lambda: storage.log("hold", 1) or None, "the log of a running step", limit_s=60.0)
    backend.stop("hold", 1)

    def ended() -> Report | None:
        return next((r for r in backend.wait(1.0) if r.outcome is not None), None)

    report = wait_until(ended, "the end", limit_s=60.0)
    assert report.outcome.state is JobState.STOPPED
    assert storage.manifest("hold", 1) is None


# -- the chart


@pytest.fixture
def folder(cluster: Cluster, api: Any) -> Iterator[Any]:
    """A function that gives a namespace a claim for one folder of the dev cluster's node, a volume of its own each."""
    if "RECAST_DEV_STATE" not in cluster.settings:
        pytest.skip("a volume that pods and this machine share is at hand in the dev cluster only")
    core = kubernetes.client.CoreV1Api(api)
    name = f"chart-{secrets.token_hex(3)}"
    path = Path(cluster.settings["RECAST_DEV_STATE"], "volumes", name)
    path.mkdir(parents=True)
    os.chown(path, 1000, 1000)
    made: list[str] = []

    def claim(namespace: str) -> Path:
        volume = f"{name}-{len(made)}"
        made.append(volume)
        size, spec = {"storage": "1Gi"}, {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
        anywhere = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
        real = {
            **spec, "capacity": size, "local": {"path": str(path)}, "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"name": "outputs", "namespace": namespace},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
        }  # fmt: skip
        core.create_persistent_volume({"metadata": {"name": volume}, "spec": real})
        asked = {**spec, "volumeName": volume, "resources": {"requests": size}}
        core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": "outputs"}, "spec": asked})
        return path

    yield claim
    for volume in made:
        core.delete_persistent_volume(volume)


def test_the_chart_keeps_outputs_on_a_volume_of_two_claims(
    cluster: Cluster, api: Any, folder: Any, tmp_path: Path
) -> None:
    with release(cluster, api) as one:
        core = kubernetes.client.CoreV1Api(api)
        core.create_namespace({"metadata": {"name": one.jobs, "labels": RESTRICTED}})
        folder(one.jobs)
        path = folder(one.namespace)
        one.deploy(
            storage={"claim": "outputs"}, jobs__create=False, jobs__networkPolicy={"dns": {"cidrs": []}}, worker__replicas=1,
            server__enabled=False,
        )  # fmt: skip
        laptop = Laptop(one, tmp_path, storage=path)
        try:
            run = laptop.submit(["one", "two"])
            assert laptop.over(run) == "finished", one.told()
            jobs = laptop.database.jobs_of(run)
            assert {job.backend for job in jobs} == {"kubernetes"}
            for job in jobs:
                assert laptop.storage.damage(job.key, job.attempt) == []
            assert core.list_namespaced_secret(one.jobs).items == []
        finally:
            laptop.database.close()
