"""What befalls a job on a real cluster, and what the user is told: a cause, the platform's reason, one sentence."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import kubernetes
import on_cluster
import pytest
from one_job import HOLD, OWN, begun, end, task
from running_cluster import Cluster, wait_until

from reana_lite.backends.kubernetes import pod
from reana_lite.job import RUN_ROOT, Cause, Environment, EnvironmentKind, Input, JobState

pytestmark = pytest.mark.slow


def pods_of(core: Any, namespace: str) -> list[Any]:
    return list(core.list_namespaced_pod(namespace, label_selector=pod.KEY).items)


def nothing_left(api: Any, namespace: str) -> None:
    jobs = kubernetes.client.BatchV1Api(api)
    wait_until(lambda: not jobs.list_namespaced_job(namespace).items, "the removal of Jobs")


def test_a_pod_deleted_by_hand_is_lost_with_the_reason(backend: Any, core: Any, api: Any, namespace: str) -> None:
    backend.submit([task("hand", HOLD)])
    begun(backend)
    (there,) = pods_of(core, namespace)
    core.delete_namespaced_pod(there.metadata.name, namespace, grace_period_seconds=1)
    outcome = end(backend).outcome
    assert (outcome.state, outcome.cause, outcome.details["reason"]) == (JobState.FAILED, Cause.LOST, "deleted")
    nothing_left(api, namespace)
    assert len(pods_of(core, namespace)) <= 1  # no second pod for the same attempt


def test_a_job_deleted_by_hand_is_lost(backend: Any, api: Any, namespace: str) -> None:
    backend.submit([task("hand", HOLD)])
    begun(backend)
    name = pod.job_name(backend.options.installation, "hand", 1)
    jobs = kubernetes.client.BatchV1Api(api)
    jobs.delete_namespaced_job(name, namespace, propagation_policy="Background")
    # The pod ends in the grace that a drain gives it, unless the step has ended: it gets TERM at once.
    outcome = end(backend).outcome
    assert (outcome.cause, outcome.details["reason"]) == (Cause.LOST, "deleted")


def test_an_image_that_is_not_there_is_told_in_the_kubelets_words(backend: Any, api: Any, namespace: str) -> None:
    missing = Environment(EnvironmentKind.CONTAINER, "localhost/no-such-image:1")
    backend.submit([task("image", "true", environment=missing)])
    outcome = end(backend).outcome
    assert outcome.cause is Cause.IMAGE
    assert "localhost/no-such-image:1" in outcome.message
    nothing_left(api, namespace)


def test_a_step_over_its_memory_keeps_its_outputs(backend: Any, storage: Any) -> None:
    line = f"printf half > {OWN}/part; python -c 'x = bytearray(400_000_000); print(len(x))'"
    backend.submit([task("memory", line, memory_bytes=48 * 2**20)])
    report = end(backend)
    assert report.outcome.cause is Cause.MEMORY
    assert "48 MiB" in report.outcome.message
    with storage.open("memory", 1, "part") as stream:
        assert stream.read() == b"half"


def test_a_step_over_its_disk_is_told_so(backend: Any) -> None:
    line = f"head -c 60000000 /dev/zero > {OWN}/big; sleep 200"
    backend.submit([task("disk", line, other=("ephemeral_storage: 20M",))])
    outcome = end(backend).outcome
    assert outcome.cause is Cause.DISK, outcome
    assert "disk" in outcome.message


def test_a_step_that_ignores_term_is_killed_after_the_grace(backend: Any) -> None:
    backend.submit([task("deaf", "trap '' TERM; while :; do sleep 1; done")])
    begun(backend)
    asked = time.monotonic()
    backend.stop("deaf", 1)
    outcome = end(backend).outcome
    assert outcome.state is JobState.STOPPED
    assert time.monotonic() - asked < 20


def test_term_reaches_the_programs_of_a_step_and_the_time_limit_keeps_outputs(backend: Any, storage: Any) -> None:
    line = f"sh -c 'trap \"printf bye > {OWN}/said; exit 0\" TERM; while :; do sleep 0.1; done'; true"
    backend.submit([task("slow", line, timeout_s=2.0)])
    report = end(backend)
    assert (report.outcome.cause, report.outcome.state) == (Cause.TIME, JobState.FAILED)
    assert "2 s" in report.outcome.message
    with storage.open("slow", 1, "said") as stream:
        assert stream.read() == b"bye"


def test_the_next_worker_follows_what_runs_and_leaves_what_is_not_its_own(storage: Any, namespace: str) -> None:
    first = on_cluster.backend(storage, namespace=namespace, leave_running=True)
    line = f"while [ ! -e {OWN}/on ] && [ $(date +%s) -lt {int(time.time()) + 12} ]; do sleep 0.2; done; printf y > {OWN}/o"
    first.submit([task("mine", line), task("other", HOLD)])
    begun(first)
    begun(first)
    first.close()
    second = on_cluster.backend(storage, namespace=namespace)
    try:
        assert [(r.key, r.outcome) for r in second.recover([("mine", 1)])] == [("mine", None)]
        report = end(second)
        assert (report.key, report.outcome.state) == ("mine", JobState.FINISHED)
        assert second.api.get_job(pod.job_name(second.options.installation, "other", 1))
    finally:
        second.close()


def test_while_the_api_server_is_away_everything_waits(cluster: Cluster, backend: Any) -> None:
    if os.environ.get("CI") != "true" and "RECAST_TEST_DISTURB" not in os.environ:
        pytest.skip("it stops the API server, which others may be using: set RECAST_TEST_DISTURB")
    backend.submit([task("before", "sleep 5")])
    begun(backend)
    with cluster.without("apiserver"):
        backend.submit([task("during", "true")])
        assert backend.wait(15.0) == []
    ends = {report.key: report.outcome.state for report in (end(backend), end(backend))}
    assert ends == {"before": JobState.FINISHED, "during": JobState.FINISHED}


def test_bringing_inputs_is_not_of_the_time_limit_of_a_step(backend: Any, storage: Any) -> None:
    """Many small files take longer to bring than the step may take; it takes less, and all its time is left to it."""
    placed = storage.keep_bytes({f"{number:04}": b"%d" % number for number in range(4000)}, f"{RUN_ROOT}/many")
    inputs = (Input(f"{RUN_ROOT}/many", placed.key, 0, placed.digest),)
    line = f"sleep 1; ls {RUN_ROOT}/many | wc -l > {OWN}/n"
    backend.submit([replace(task("brought", line, timeout_s=2.0), inputs=inputs)])
    outcome = end(backend).outcome
    assert outcome.state is JobState.FINISHED, outcome.message
    with storage.open("brought", 1, "n") as stream:
        assert int(stream.read()) == 4000
    if outcome.details["phases"]["stage-in"] < 1.5:
        pytest.skip(f"inputs came too soon here to tell: {outcome.details['phases']}")
    backend.submit([replace(task("late", f"ls {RUN_ROOT}/many >{OWN}/n; sleep 30", timeout_s=2.0), inputs=inputs)])
    outcome = end(backend).outcome
    assert (outcome.cause, outcome.state) == (Cause.TIME, JobState.FAILED)
    assert 1.5 < outcome.details["phases"]["step"] < 12.0
