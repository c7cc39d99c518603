"""Where steps run, and before whom: GPUs, labels of nodes, a runtime class, backfill that gives way."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes
import on_cluster
import pytest
from running_cluster import Cluster, wait_until

from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes import pod
from reana_lite.job import RUN_ROOT, Cause, Environment, EnvironmentKind, JobOutcome, JobSpec, JobState, Resources

pytestmark = pytest.mark.slow

OWN = f"{RUN_ROOT}/own"
IMAGE = Environment(EnvironmentKind.CONTAINER, on_cluster.STEP_IMAGE)
LIMIT_S = 120.0


@pytest.fixture
def make(cluster: Cluster, namespace: str) -> Iterator[Callable[..., Any]]:
    """A backend with options, in a namespace of this test's own."""
    if on_cluster.reason():
        pytest.skip(on_cluster.reason())
    storage, made = on_cluster.storage(), []

    def backend(**options: Any) -> Any:
        made.append(on_cluster.backend(storage, namespace=namespace, **options))
        return made[-1]

    yield backend
    for one in made:
        one.close()


@pytest.fixture
def node(cluster: Cluster, core: Any) -> str:
    """The real node of the dev cluster: others are not changed by tests."""
    if "RECAST_DEV_STATE" not in cluster.settings:
        pytest.skip("labels and resources of nodes are changed in the dev cluster only")
    found = [
        n.metadata.name for n in core.list_node().items if "kwok.x-k8s.io/node" not in (n.metadata.annotations or {})
    ]
    return str(found[0])


@pytest.fixture
def gpu(core: Any, node: str) -> Iterator[str]:
    """A resource of which the node has one."""
    name = f"example.com/gpu-{secrets.token_hex(3)}"

    def give(amount: str | None) -> None:
        core.patch_node_status(node, {"status": {"capacity": {name: amount}, "allocatable": {name: amount}}})

    give("1")
    yield name
    give(None)


def task(key: str, line: str = "true", *other: str) -> Task:
    return Task(key, 1, JobSpec(OWN, line, environment=IMAGE, resources=Resources(other=other)))


def ends(backend: Any, count: int = 1) -> dict[str, JobOutcome]:
    found: dict[str, JobOutcome] = {}

    def enough() -> bool:
        found.update({r.key: r.outcome for r in backend.wait(1.0) if r.outcome is not None})
        return len(found) >= count

    wait_until(enough, f"the end of {count}", limit_s=LIMIT_S)
    return found


def begun(backend: Any) -> None:
    wait_until(lambda: any(r.outcome is None for r in backend.wait(1.0)), "the begin", limit_s=LIMIT_S)


def waits_for(core: Any, namespace: str, key: str) -> str:
    """What the scheduler says of the pod of a job that finds no node."""

    def said() -> str | None:
        pods = core.list_namespaced_pod(namespace, label_selector=f"{pod.KEY}={key}").items
        conditions = (pods[0].status.conditions or []) if pods else []
        return next((c.message for c in conditions if c.reason == "Unschedulable"), None)

    return str(wait_until(said, "the scheduler's words", limit_s=LIMIT_S))


def test_a_step_gets_the_gpus_it_asks_for(make: Any, core: Any, namespace: str, gpu: str) -> None:
    backend = make(gpu_resource=gpu)
    backend.submit([task("two", "true", "gpus: 2")])
    assert f"Insufficient {gpu}" in waits_for(core, namespace, "two")
    backend.submit([task("one", "true", "gpus: 1")])
    assert ends(backend)["one"].state is JobState.FINISHED
    backend.stop("two", 1)
    assert ends(backend)["two"].state is JobState.STOPPED


def test_steps_run_on_the_nodes_that_are_chosen(make: Any, core: Any, namespace: str, node: str) -> None:
    label = f"recast-test/{secrets.token_hex(3)}"
    backend = make(node_selector={label: "yes"})
    backend.submit([task("chosen")])
    assert "didn't match Pod's node affinity/selector" in waits_for(core, namespace, "chosen")
    core.patch_node(node, {"metadata": {"labels": {label: "yes"}}})
    try:
        outcome = ends(backend)["chosen"]
    finally:
        core.patch_node(node, {"metadata": {"labels": {label: None}}})
    assert (outcome.state, outcome.details["node"]) == (JobState.FINISHED, node)


def test_backfill_gives_way_and_is_told_as_preempted(make: Any, api: Any, gpu: str) -> None:
    classes = kubernetes.client.SchedulingV1Api(api)
    name = f"low-{secrets.token_hex(3)}"
    classes.create_priority_class({"metadata": {"name": name}, "value": -100, "preemptionPolicy": "Never"})
    try:
        backend = make(gpu_resource=gpu, backfill_class=name, upload_grace_s=1.0)
        backend.submit([task("filler", "exec sleep 1000", "gpus: 1", "backfill: true")])
        begun(backend)
        backend.submit([task("proper", "true", "gpus: 1")])
        found = ends(backend, 2)
    finally:
        classes.delete_priority_class(name)
    assert found["proper"].state is JobState.FINISHED
    filler = found["filler"]
    assert (filler.state, filler.cause, filler.details["reason"]) == (JobState.FAILED, Cause.LOST, "preempted")


def test_pods_are_of_the_runtime_class_that_is_chosen(make: Any, api: Any, core: Any, namespace: str) -> None:
    classes = kubernetes.client.NodeV1Api(api)
    name = f"plain-{secrets.token_hex(3)}"
    classes.create_runtime_class({"metadata": {"name": name}, "handler": "runc"})
    try:
        backend = make(runtime_class=name, grace_s=1.0)
        backend.submit([task("classed", "exec sleep 1000")])
        begun(backend)
        (there,) = core.list_namespaced_pod(namespace, label_selector=f"{pod.KEY}=classed").items
        assert there.spec.runtime_class_name == name
        backend.stop("classed", 1)
        assert ends(backend)["classed"].state is JobState.STOPPED
    finally:
        classes.delete_runtime_class(name)
