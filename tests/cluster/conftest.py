"""The running dev cluster as fixtures: clients, a namespace, a bucket and a database per test, and pods that end.

Everything in this folder needs one (`k8s/dev/up` as root, then `k8s/dev/images`); without it all is skipped, saying why.
RECAST_TEST_CLUSTER names the file of settings of another cluster (kind, k3s: see k8s/dev/README.md), or is empty for none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import on_cluster
import pytest
from running_cluster import (
    IMAGE,
    RESTRICTED,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    Cluster,
    Ended,
    read_settings,
    wait_until,
)

kubernetes = pytest.importorskip("kubernetes", reason="the extra `cluster` is not installed")
minio = pytest.importorskip("minio", reason="the extra `cluster` is not installed")
psycopg = pytest.importorskip("psycopg", reason="the extra `cluster` is not installed")


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Cluster:
    """The running cluster; skips everything here, with the reason, when there is none."""
    default = f"/var/lib/reana-lite-dev/{os.environ.get('RECAST_DEV_INSTANCE', '0')}/env"
    named = os.environ.get("RECAST_TEST_CLUSTER", default)
    if not named or not Path(named).is_file():
        pytest.skip(f"no cluster: {named or 'RECAST_TEST_CLUSTER'} names no file of settings (k8s/dev/up makes one)")
    running = Cluster(read_settings(Path(named)))
    ready = ["kubectl", "--kubeconfig", str(running.kubeconfig), "--request-timeout=5s", "get", "--raw", "/readyz"]
    path = f"{running.settings.get('RECAST_DEV_CACHE', '')}/bin:{os.environ.get('PATH', '')}"
    said = subprocess.run(ready, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    if said.returncode != 0:
        pytest.skip(f"the cluster of {named} does not answer: {said.stderr.strip()[:200]}")
    return running


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Any]:
    """The official client with everything allowed; `kubernetes.client.CoreV1Api(api)` and its like take it."""
    with kubernetes.config.new_client_from_config(str(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture(scope="session")
def core(api: Any) -> Any:
    """Pods, services, secrets, nodes, namespaces."""
    return kubernetes.client.CoreV1Api(api)


@pytest.fixture
def namespace(core: Any) -> Iterator[str]:
    """A namespace of this test's own under Pod Security "restricted", removed with all that is in it."""
    name = f"test-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": name, "labels": RESTRICTED}})
    try:
        # The account every pod names; made by the controller manager, a moment later.
        wait_until(lambda: core.list_namespaced_service_account(name).items or None, "the default service account")
        yield name
    finally:
        for pod in core.list_namespaced_pod(name).items:
            with contextlib.suppress(kubernetes.client.ApiException):
                core.delete_namespaced_pod(pod.metadata.name, name, grace_period_seconds=0)
        core.delete_namespace(name)


@pytest.fixture
def s3(cluster: Cluster) -> Any:
    """A client of the object storage with the installation's keys."""
    where = urllib.parse.urlsplit(cluster.s3_endpoint)
    keys = cluster.settings["RECAST_S3_ACCESS_KEY"], cluster.settings["RECAST_S3_SECRET_KEY"]
    return minio.Minio(where.netloc, access_key=keys[0], secret_key=keys[1], secure=where.scheme == "https")


@pytest.fixture
def bucket(s3: Any) -> Iterator[str]:
    """An empty bucket of this test's own, removed with what is in it."""
    name = f"test-{secrets.token_hex(6)}"
    s3.make_bucket(name)
    try:
        yield name
    finally:
        for item in s3.list_objects(name, recursive=True):
            s3.remove_object(name, item.object_name)
        s3.remove_bucket(name)


@pytest.fixture
def database_url(cluster: Cluster) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own, as RECAST_DATABASE has it; dropped with its connections."""
    name = f"test_{secrets.token_hex(6)}"
    admin = cluster.database.replace("postgresql+psycopg", "postgresql", 1)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    try:
        yield cluster.database.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture
def run_pod(core: Any, namespace: str) -> Callable[..., Ended]:
    """run_pod(command, memory="64Mi", image=...): runs one container under "restricted" to its end."""

    def run(
        command: list[str], *, memory: str = "128Mi", image: str = IMAGE, limit_s: float = 60.0, name: str = "pod",
        labels: dict[str, str] | None = None,
    ) -> Ended:  # fmt: skip
        container = {
            "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": command,
            "securityContext": RESTRICTED_CONTAINER, "resources": {"limits": {"memory": memory, "cpu": "1"}},
        }  # fmt: skip
        spec = {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "securityContext": RESTRICTED_POD,
            "terminationGracePeriodSeconds": 1, "containers": [container],
        }  # fmt: skip
        core.create_namespaced_pod(namespace, {"metadata": {"name": name, "labels": labels or {}}, "spec": spec})

        def ended() -> Any:
            pod = core.read_namespaced_pod(name, namespace)
            states = pod.status.container_statuses or []
            waiting = states[0].state.waiting if states else None
            if waiting and waiting.reason in ("ErrImageNeverPull", "ImagePullBackOff", "ErrImagePull"):
                pytest.fail(f"{image}: {waiting.reason} (k8s/dev/images brings images into the cluster)")
            return pod if states and states[0].state.terminated else None

        pod = wait_until(ended, f"the end of pod {name}", limit_s=limit_s)
        end = pod.status.container_statuses[0].state.terminated
        log = core.read_namespaced_pod_log(name, namespace)
        status = core.api_client.sanitize_for_serialization(pod.status)
        return Ended(end.exit_code, end.reason or "", log, pod.spec.node_name, status)

    return run


@pytest.fixture
def storage(cluster: Cluster) -> Any:
    """The bucket of the tests of the backend; skips where there is none."""
    if on_cluster.reason():
        pytest.skip(on_cluster.reason())
    return on_cluster.storage()


@pytest.fixture
def backend(storage: Any, namespace: str) -> Iterator[Any]:
    """A backend in a namespace of its own, that gives up on images after seconds."""
    backend = on_cluster.backend(storage, namespace=namespace, image_deadline_s=4.0)
    yield backend
    backend.close()
