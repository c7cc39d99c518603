"""The dev cluster is what the other tests of this level take it for: limits, names, policies and security really hold."""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from running_cluster import IMAGE, RESTRICTED_CONTAINER, RESTRICTED_POD, Cluster, Ended, wait_until

kubernetes = pytest.importorskip("kubernetes")
psycopg = pytest.importorskip("psycopg")
urllib3 = pytest.importorskip("urllib3")

CONNECT = """
import json, socket, sys, time
def answers(host, port):
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True
"""

RunPod = Callable[..., Ended]


def python(program: str, *arguments: str) -> list[str]:
    return ["python3", "-c", program, *arguments]


def test_the_real_nodes_are_ready(core: Any) -> None:
    nodes = {n.metadata.name: {c.type: c.status for c in n.status.conditions} for n in core.list_node().items}
    assert nodes
    assert {name: conditions.get("Ready") for name, conditions in nodes.items()} == dict.fromkeys(nodes, "True")


def test_its_programs_hold_nothing_of_whoever_brought_it_up(cluster: Cluster) -> None:
    """A lock around `up` would be held for as long as the cluster lives."""
    if "RECAST_DEV_STATE" not in cluster.settings:
        pytest.skip("only the dev cluster of k8s/dev has its programs on this machine")
    state = Path(cluster.settings["RECAST_DEV_STATE"])
    seen = 0
    for name in (state / "run").glob("*.pid"):
        folder = Path("/proc", name.read_text().strip(), "fd")
        opened = [os.readlink(there) for there in folder.iterdir()] if folder.is_dir() else []  # noqa: PTH115
        seen += bool(opened)
        assert not [there for there in opened if there.endswith(".lock") and not there.startswith(f"{state}/")], (
            name.stem
        )
        assert str(state / "lock") not in opened, name.stem
    assert seen > 5


def test_a_service_is_found_by_name_from_a_pod(core: Any, namespace: str, run_pod: RunPod) -> None:
    made = core.create_namespaced_service(
        namespace, {"metadata": {"name": "somewhere"}, "spec": {"ports": [{"port": 80}]}}
    )
    names = [f"somewhere.{namespace}.svc.cluster.local", f"somewhere.{namespace}", "somewhere"]
    program = (
        CONNECT
        + """
end = time.monotonic() + 20
def found(name):
    while True:
        try:
            return socket.gethostbyname(name)
        except OSError:
            if time.monotonic() > end: raise
            time.sleep(0.2)
print(json.dumps([found(name) for name in sys.argv[1:]]))
"""
    )
    ended = run_pod(python(program, *names))
    assert ended.exit_code == 0, ended.log
    assert json.loads(ended.log) == [made.spec.cluster_ip] * 3


def test_a_network_policy_lets_a_pod_reach_storage_and_nothing_else(
    cluster: Cluster, api: Any, namespace: str, run_pod: RunPod
) -> None:
    storage = urllib.parse.urlsplit(cluster.s3_endpoint)
    database = urllib.parse.urlsplit(cluster.database)
    places = {
        "storage": (storage.hostname, storage.port),
        "database": (database.hostname, database.port),
        "kubelet": (storage.hostname, 10250),
        "api": ("kubernetes.default.svc.cluster.local", 443),
    }
    ask = CONNECT + "print(json.dumps({k: answers(*v) for k, v in json.loads(sys.argv[1]).items()}))"
    before = run_pod(python(ask, json.dumps(places)), name="before")
    assert json.loads(before.log) == dict.fromkeys(places, True)  # else a closed port would pass for a policy

    rules = [
        {"to": [{"ipBlock": {"cidr": f"{storage.hostname}/32"}}], "ports": [{"port": storage.port}]},
        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
    ]
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": rules}
    policy = {"metadata": {"name": "steps"}, "spec": spec}
    kubernetes.client.NetworkingV1Api(api).create_namespaced_network_policy(namespace, policy)
    # Policies are put in force a moment after a pod has its address, by whoever enforces them.
    settle = CONNECT + (
        "places = json.loads(sys.argv[1]); end = time.monotonic() + 30\n"
        "while answers(*places['database']) and time.monotonic() < end: time.sleep(0.2)\n"
        "print(json.dumps({k: answers(*v) for k, v in places.items()}))"
    )
    after = run_pod(python(settle, json.dumps(places)), name="after")
    assert json.loads(after.log) == {"storage": True, "database": False, "kubelet": False, "api": False}


def test_a_pod_over_its_memory_is_killed_for_it(run_pod: RunPod) -> None:
    ended = run_pod(python("print('before', flush=True); x = bytearray(400 << 20); print('after')"), memory="64Mi")
    assert (ended.reason, ended.exit_code, ended.log) == ("OOMKilled", 137, "before\n")


def test_a_pod_within_its_memory_is_not(run_pod: RunPod) -> None:
    ended = run_pod(python("x = bytearray(40 << 20); print(len(x))"), memory="256Mi")
    assert (ended.reason, ended.exit_code, ended.log) == ("Completed", 0, f"{40 << 20}\n")


def test_an_imported_image_runs_as_a_plain_user(run_pod: RunPod) -> None:
    program = (
        "import os; print(os.getuid(), os.getgid(), open('/proc/self/status').read().split('CapEff:')[1].split()[0])"
    )
    ended = run_pod(python(program))
    assert ended.log.split() == ["1000", "1000", "0" * 16]
    assert ended.exit_code == 0


@pytest.mark.parametrize(
    "demand",
    [{"privileged": True, "allowPrivilegeEscalation": True}, {"runAsUser": 0}, {"allowPrivilegeEscalation": True}],
)
def test_what_restricted_forbids_is_refused(core: Any, namespace: str, demand: dict[str, Any]) -> None:
    container = {"name": "main", "image": IMAGE, "securityContext": {**RESTRICTED_CONTAINER, **demand}}
    spec = {"securityContext": RESTRICTED_POD, "containers": [container]}  # nothing else to object to
    pod = {"metadata": {"name": "greedy"}, "spec": spec}
    with pytest.raises(kubernetes.client.ApiException) as refused:
        core.create_namespaced_pod(namespace, pod)
    assert refused.value.status == 403
    assert "restricted" in refused.value.body


def test_storage_keeps_what_is_put(s3: Any, bucket: str) -> None:
    s3.put_object(bucket, "a/b", BytesIO(b"events"), 6)
    answer = s3.get_object(bucket, "a/b")
    try:
        assert answer.read() == b"events"
    finally:
        answer.close()
        answer.release_conn()


def test_the_database_of_a_test_is_empty_and_its_own(database_url: str, cluster: Cluster) -> None:
    assert database_url != cluster.database
    with psycopg.connect(database_url.replace("+psycopg", "", 1)) as connection:
        assert connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone() == (0,)


@pytest.mark.parametrize("action", ["stop", "kill", "pause"])
def test_a_program_that_was_down_answers_again(cluster: Cluster, s3: Any, bucket: str, action: str) -> None:
    health = f"{cluster.s3_endpoint}/minio/health/live"
    http = urllib3.PoolManager(retries=False, timeout=2.0)
    with cluster.without("minio", action=action):
        assert not answers(http, health)
    wait_until(lambda: answers(http, health), "MinIO")
    assert s3.bucket_exists(bucket)


def answers(http: Any, url: str) -> bool:
    try:
        return bool(http.request("GET", url).status == 200)
    except urllib3.exceptions.HTTPError:
        return False
