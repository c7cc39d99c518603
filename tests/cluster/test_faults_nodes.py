"""What befalls jobs from outside on a real cluster: nodes, room, storage, the API server; and secrets that reach a step.

Those that stop programs which others may be using run in CI, or with RECAST_TEST_DISTURB (bring up a cluster of your own).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from typing import Any

import kubernetes
import on_cluster
import pytest
from one_job import HOLD, OWN, begun, end, task
from running_cluster import DEV, RESTRICTED_CONTAINER, RESTRICTED_POD, Cluster, disturbing, wait_until
from running_cluster import IMAGE as PLAIN

from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes import backend as door
from reana_lite.backends.kubernetes import limits, pod
from reana_lite.backends.kubernetes.api import Gone
from reana_lite.job import Cause, JobState, Secret, SecretKind

pytestmark = pytest.mark.slow


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def hasty(storage: Any, namespace: str, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A backend that gives up nodes and asks what is wrong after seconds, and keeps what it says."""
    monkeypatch.setattr(limits, "DEAF_S", 3.0)
    monkeypatch.setattr(door, "SILENT_S", 1.0)
    monkeypatch.setattr(door, "RECONCILE_S", 1.0)
    one = on_cluster.backend(storage, namespace=namespace, node_lost_s=3)
    one.say = said.append
    yield one
    one.close()


def node_of(core: Any) -> Any:
    return core.list_node(label_selector="type!=simulated").items[0]


def is_ready(core: Any) -> bool:
    return any(row.type == "Ready" and row.status == "True" for row in node_of(core).status.conditions)


@pytest.fixture
def another_node(cluster: Cluster) -> Iterator[None]:
    """A healthy node, simulated, on which nothing of ours runs: where all nodes are lost, a cluster gives up none."""
    environment = {**os.environ, **cluster.settings}
    subprocess.run([DEV / "simulate", "1"], check=True, env=environment, timeout=120)
    yield
    subprocess.run([DEV / "simulate", "0"], check=True, env=environment, timeout=120)


# -- nodes -----------------------------------------------------------------------------------------------------------


@disturbing
@pytest.mark.usefixtures("another_node")
def test_a_step_that_ended_on_a_node_that_is_lost_is_finished(
    cluster: Cluster, core: Any, hasty: Any, storage: Any, namespace: str
) -> None:  # fmt: skip
    hasty.submit([task("ended", f"printf x > {OWN}/out; sleep 6")])
    begun(hasty)
    with cluster.without("kubelet"):
        wait_until(lambda: storage.manifest("ended", 1), "the manifest, without a kubelet")
        (row,) = core.list_namespaced_pod(namespace).items
        assert all(status.state.terminated is None for status in row.status.container_statuses), (
            "nobody told the cluster"
        )
        outcome = end(hasty).outcome
        assert not is_ready(core)
    assert outcome.state is JobState.FINISHED, outcome
    wait_until(lambda: is_ready(core), "the node")


@disturbing
@pytest.mark.usefixtures("another_node")
def test_a_step_on_a_node_that_is_lost_is_lost_and_its_next_attempt_says_what_it_waits_for(
    cluster: Cluster, core: Any, hasty: Any, said: list[str]
) -> None:
    hasty.submit([task("held", HOLD)])
    begun(hasty)
    with cluster.without("kubelet"):
        outcome = end(hasty).outcome
        assert (outcome.cause, outcome.details["reason"]) == (Cause.LOST, "node-lost"), outcome
        hasty.submit([task("held", f"printf x > {OWN}/out", attempt=2)])
        wait_until(lambda: any("waits for a node" in line for line in said), "why it waits")
    report = end(hasty)
    assert (report.attempt, report.outcome.state) == (2, JobState.FINISHED)
    wait_until(lambda: is_ready(core), "the node")


@disturbing
def test_a_step_on_a_node_that_does_not_come_back_is_lost_where_the_cluster_removes_no_pod(
    cluster: Cluster, core: Any, hasty: Any
) -> None:
    """It only calls the pod not ready: removal comes later, or never where all nodes are lost."""
    hasty.options = hasty._launch.options = hasty.options.with_values(node_lost_s=3600)
    hasty.submit([task("held", HOLD)])
    begun(hasty)
    hasty.options = hasty.options.with_values(node_lost_s=3)
    with cluster.without("kubelet"):
        outcome = end(hasty).outcome
        assert (outcome.cause, outcome.details["reason"]) == (Cause.LOST, "node-lost"), outcome
        assert "does not answer" in outcome.message
        assert not is_ready(core)
    wait_until(lambda: is_ready(core), "the node")


@disturbing
def test_a_step_that_makes_way_for_more_urgent_work_says_so(
    api: Any, core: Any, storage: Any, namespace: str
) -> None:  # fmt: skip
    classes = kubernetes.client.SchedulingV1Api(api)
    low, high = (f"{name}-{secrets.token_hex(3)}" for name in ("low", "high"))
    for name, value in ((low, -100), (high, 1000)):
        classes.create_priority_class({"metadata": {"name": name}, "value": value, "description": "a test"})
    cores = int(node_of(core).status.allocatable["cpu"])
    one = on_cluster.backend(storage, namespace=namespace, cpus=0.6 * cores, priority_class=low)
    try:
        one.submit([task("humble", HOLD)])
        begun(one)
        asked = {"cpu": f"{600 * cores}m"}
        container = {
            "name": "main", "image": PLAIN, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "100"],
            "securityContext": RESTRICTED_CONTAINER, "resources": {"requests": asked},
        }  # fmt: skip
        spec = {"containers": [container], "priorityClassName": high, "securityContext": RESTRICTED_POD,
                "terminationGracePeriodSeconds": 1, "restartPolicy": "Never"}  # fmt: skip
        core.create_namespaced_pod(namespace, {"metadata": {"name": "urgent"}, "spec": spec})
        outcome = end(one).outcome
        assert (outcome.cause, outcome.details["reason"]) == (Cause.LOST, "preempted"), outcome
        assert "higher priority" in outcome.message
        one.submit([task("humble", f"printf x > {OWN}/out", attempt=2)])
        core.delete_namespaced_pod("urgent", namespace, grace_period_seconds=0)
        assert end(one).outcome.state is JobState.FINISHED
    finally:
        one.close()
        for name in (low, high):
            classes.delete_priority_class(name)


# -- room ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", ["count/jobs.batch", "pods"])
def test_a_full_namespace_means_waiting_and_says_why(
    core: Any, hasty: Any, namespace: str, said: list[str], counted: str
) -> None:
    core.create_namespaced_resource_quota(namespace, {"metadata": {"name": "small"}, "spec": {"hard": {counted: "1"}}})
    wait_until(lambda: core.read_namespaced_resource_quota("small", namespace).status.hard, "the quota")
    hasty.submit([task("first", HOLD)])
    begun(hasty)
    hasty.submit([task("second", f"printf x > {OWN}/out")])
    wait_until(lambda: any("quota" in line for line in said), "why it waits")
    hasty.stop("first", 1)
    ends = {report.key: report.outcome.state for report in (end(hasty), end(hasty))}
    assert ends == {"first": JobState.STOPPED, "second": JobState.FINISHED}


# -- storage and API server ------------------------------------------------------------------------------------------


@disturbing
def test_a_storage_that_is_away_for_a_while_costs_no_step(cluster: Cluster, hasty: Any, storage: Any) -> None:
    hasty.submit([task("kept", f"sleep 4; head -c 3000000 /dev/zero > {OWN}/out")])
    begun(hasty)
    with cluster.without("minio", action="kill"):
        assert hasty.wait(20.0) == [], "its outputs wait"
    report = end(hasty)
    assert report.outcome.state is JobState.FINISHED, report.outcome
    with storage.open("kept", 1, "out") as stream:
        assert len(stream.read()) == 3_000_000


@disturbing
def test_a_watch_that_is_cut_misses_no_end(cluster: Cluster, hasty: Any) -> None:
    hasty.submit([task("seen", "sleep 3")])
    begun(hasty)
    with cluster.without("apiserver", action="kill"):
        pass
    assert end(hasty).outcome.state is JobState.FINISHED


def test_a_version_that_the_api_server_has_forgotten_is_told_as_such(hasty: Any) -> None:
    with pytest.raises(Gone):
        for _ in hasty.api.watch_pods(hasty.selector, "1"):
            pass


def test_a_watch_whose_version_was_forgotten_lists_anew_and_misses_no_end(hasty: Any) -> None:
    """HTTP 410 of a real server: its history goes back minutes only."""
    hasty.submit([task("seen", "sleep 6")])
    begun(hasty)
    watch = hasty._watch
    lists = watch.lists

    def cut() -> bool:
        if watch.lists == lists:
            watch._version = "1"
            watch._watching.close()
        return bool(watch.lists > lists)

    wait_until(cut, "another list", pause_s=0.5)
    assert end(hasty).outcome.state is JobState.FINISHED


# -- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_reach_the_step_and_are_kept_nowhere(
    api: Any, core: Any, hasty: Any, storage: Any, namespace: str
) -> None:  # fmt: skip
    token, key = secrets.token_hex(20), secrets.token_bytes(100)
    given = (Secret("TOKEN", SecretKind.ENV, token.encode()), Secret("key.pem", SecretKind.FILE, key))
    line = f'printf %s "$TOKEN" | sha256sum >{OWN}/out; sha256sum <"$RECAST_SECRETS/key.pem" >>{OWN}/out; sleep 3'
    plain = task("secret", line)
    hasty.submit([Task(plain.key, 1, plain.job, secrets=given)])
    begun(hasty)
    name = pod.job_name(hasty.options.installation, "secret", 1)
    jobs = kubernetes.client.BatchV1Api(api)
    seen = json.dumps(api.sanitize_for_serialization(jobs.read_namespaced_job(name, namespace)))
    seen += json.dumps(api.sanitize_for_serialization(core.list_namespaced_pod(namespace).items))
    assert name in seen
    assert token not in seen
    assert end(hasty).outcome.state is JobState.FINISHED
    with storage.open("secret", 1, "out") as stream:
        found = stream.read().decode().split()
    assert found[::2] == [hashlib.sha256(value).hexdigest() for value in (token.encode(), key)]
    # The Secret goes with its Job.
    wait_until(
        lambda: not [s for s in core.list_namespaced_secret(namespace).items if s.metadata.name == name], "its end"
    )


def test_a_secret_that_is_no_text_cannot_be_a_variable(hasty: Any) -> None:
    plain = task("binary", "true")
    hasty.submit([Task(plain.key, 1, plain.job, secrets=(Secret("TOKEN", SecretKind.ENV, b"\xff"),))])
    outcome = end(hasty).outcome
    assert outcome.state is JobState.FAILED
    assert "TOKEN" in outcome.message
