"""What an installation may do, and what its steps reach: the worker's rights one by one, a step's network, secrets, tokens.

The chart is installed without worker and server: the backend runs here with the rights of the worker's account.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from installing import IMAGE as PRODUCT
from installing import Release, decoded, release
from running_cluster import IMAGE, Cluster, wait_until

from reana_lite.backends.base import Report, Task
from reana_lite.backends.kubernetes.api import RealApi, Refused
from reana_lite.backends.kubernetes.backend import KubernetesBackend
from reana_lite.backends.kubernetes.options import Options
from reana_lite.config import Settings
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, JobSpec, JobState
from reana_lite.storage import open_storage

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chart")]

OWN = f"{RUN_ROOT}/own"


@pytest.fixture(scope="module")
def installed(cluster: Cluster, api: Any) -> Iterator[Release]:
    """A release whose worker is not there: its account, role, policy and namespace are."""
    with release(cluster, api) as one:
        one.deploy(worker__replicas=0, server__enabled=False, jobs__backfillPriority__create=True)
        yield one


MAY = {
    ("jobs", "batch", "create"), ("jobs", "batch", "get"), ("jobs", "batch", "list"), ("jobs", "batch", "delete"),
    ("pods", "", "list"), ("pods", "", "watch"), ("pods", "", "delete"),
    ("secrets", "", "create"), ("events", "", "list"),
}  # fmt: skip
"""(resource, group, verb) in the namespace of the jobs: all there is."""

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    ("pods", ""), ("pods/log", ""), ("pods/exec", ""), ("pods/attach", ""), ("pods/portforward", ""), ("pods/eviction", ""),
    ("pods/ephemeralcontainers", ""), ("pods/status", ""), ("secrets", ""), ("configmaps", ""), ("events", ""),
    ("services", ""), ("endpoints", ""), ("serviceaccounts", ""), ("serviceaccounts/token", ""),
    ("persistentvolumeclaims", ""), ("resourcequotas", ""), ("limitranges", ""), ("jobs", "batch"), ("jobs/status", "batch"),
    ("cronjobs", "batch"), ("deployments", "apps"), ("daemonsets", "apps"), ("statefulsets", "apps"),
    ("networkpolicies", "networking.k8s.io"), ("ingresses", "networking.k8s.io"), ("leases", "coordination.k8s.io"),
    ("roles", "rbac.authorization.k8s.io"), ("rolebindings", "rbac.authorization.k8s.io"),
)  # fmt: skip
CLUSTER_WIDE = (
    ("nodes", ""), ("nodes/proxy", ""), ("namespaces", ""), ("persistentvolumes", ""),
    ("clusterroles", "rbac.authorization.k8s.io"), ("clusterrolebindings", "rbac.authorization.k8s.io"),
    ("priorityclasses", "scheduling.k8s.io"), ("customresourcedefinitions", "apiextensions.k8s.io"),
    ("validatingwebhookconfigurations", "admissionregistration.k8s.io"), ("storageclasses", "storage.k8s.io"),
)  # fmt: skip


def allowed(
    api: Any, account: str, resources: tuple[tuple[str, str], ...], namespace: str
) -> set[tuple[str, str, str]]:
    """What the API server's authorizer lets an account do; all of RESOURCES x VERBS are asked."""
    reviews = kubernetes.client.AuthorizationV1Api(api)
    found = set()
    for resource, group in resources:
        name, _, sub = resource.partition("/")
        for verb in (*VERBS, "impersonate", "escalate", "bind", "use"):
            where = {"namespace": namespace, "resource": name, "subresource": sub, "group": group, "verb": verb}
            asked = {"spec": {"user": account, "groups": groups_of(account), "resourceAttributes": where}}
            if reviews.create_subject_access_review(asked).status.allowed:
                found.add((resource, group, verb))
    return found


def groups_of(account: str) -> list[str]:
    namespace = account.split(":")[2]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def test_the_worker_may_do_in_the_jobs_namespace_what_its_role_says_and_nothing_else(
    installed: Release, api: Any
) -> None:
    account = f"system:serviceaccount:{installed.namespace}:{installed.name}"
    assert allowed(api, account, RESOURCES, installed.jobs) == MAY


@pytest.mark.parametrize("where", ["release", "kube-system", "default", "all"])
def test_elsewhere_the_worker_may_do_nothing(installed: Release, api: Any, where: str) -> None:
    account = f"system:serviceaccount:{installed.namespace}:{installed.name}"
    namespace = {"release": installed.namespace, "all": ""}.get(where, where)
    resources = CLUSTER_WIDE if where == "all" else RESOURCES
    assert allowed(api, account, resources, namespace) == set()


def test_steps_and_other_pods_have_accounts_without_rights(installed: Release, api: Any) -> None:
    for namespace in (installed.jobs, installed.namespace):
        account = f"system:serviceaccount:{namespace}:default"
        assert allowed(api, account, (("pods", ""), ("secrets", ""), ("jobs", "batch")), namespace) == set()


def test_the_token_of_the_worker_is_refused_what_it_may_not(installed: Release, tmp_path: Path) -> None:
    """The same by requests, with a token as its pod has it."""
    config = installed.kubeconfig_of(installed.name, tmp_path)
    with kubernetes.config.new_client_from_config(str(config)) as client:
        core = kubernetes.client.CoreV1Api(client)
        pod = {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": IMAGE}]}}
        kubernetes.client.BatchV1Api(client).list_namespaced_job(installed.jobs)
        for refused in (
            lambda: core.list_namespaced_secret(installed.jobs),
            lambda: core.read_namespaced_secret("storage", installed.namespace),
            lambda: core.create_namespaced_pod(installed.jobs, pod),
            lambda: core.create_namespaced_pod(installed.namespace, pod),
            core.list_node,
            core.list_namespace,
        ):
            with pytest.raises(kubernetes.client.ApiException) as answer:
                refused()
            assert answer.value.status == 403


def test_the_jobs_namespace_takes_no_pod_with_privileges_and_holds_no_secret(
    installed: Release, api: Any, core: Any
) -> None:
    assert core.list_namespaced_secret(installed.jobs).items == []
    container = {"name": "x", "image": IMAGE, "securityContext": {"privileged": True}}
    with pytest.raises(kubernetes.client.ApiException) as refused:
        core.create_namespaced_pod(installed.jobs, {"metadata": {"name": "x"}, "spec": {"containers": [container]}})
    assert refused.value.status == 403
    assert "restricted" in refused.value.body
    for namespace in (installed.jobs, installed.namespace):
        for config in core.list_namespaced_config_map(namespace).items:
            text = json.dumps(config.data or {})
            assert installed.cluster.settings["RECAST_S3_SECRET_KEY"] not in text


# -- steps, made by the backend with the worker's own rights

LOOK = """
import glob, json, os, socket, sys, time
def answers(host, port):
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return False
    return True
def name(host):
    try:
        return bool(socket.gethostbyname(host))
    except OSError:
        return False
places = json.loads(sys.argv[1])
# Policies are put in force a moment after a pod has its address.
end = time.monotonic() + 30
while answers(*places['database']) and time.monotonic() < end: time.sleep(0.2)
end = time.monotonic() + 20
while not name('kubernetes.default.svc.cluster.local') and time.monotonic() < end: time.sleep(0.2)
print(json.dumps({
    'reached': sorted(place for place, where in places.items() if answers(*where)),
    'names': name('kubernetes.default.svc.cluster.local'),
    'tokens': [path for path in glob.glob('/run/secrets/**', recursive=True) if os.path.isfile(path)],
    'uid': os.getuid(),
    'capabilities': open('/proc/self/status').read().split('CapEff:')[1].split()[0],
    'environment': dict(os.environ),
}))
"""


@pytest.fixture
def backend(installed: Release, tmp_path: Path) -> Iterator[KubernetesBackend]:
    """The backend with the rights of the worker's account."""
    config = installed.kubeconfig_of(installed.name, tmp_path)
    variables = {**installed.environment(), "RECAST_HOME": str(tmp_path), "HOME": str(tmp_path)}
    options = Options(
        namespace=installed.jobs, installation=installed.name, stager_image=PRODUCT, process_image=IMAGE, cpus=0.05,
        stager_cpus=0.01, memory_bytes=128 * 2**20, grace_s=1.0, image_deadline_s=4.0,
    )  # fmt: skip
    storage: Any = open_storage(Settings.from_environment(variables))
    one = KubernetesBackend(storage, options=options, api=RealApi(installed.jobs, kubeconfig=str(config)))
    yield one
    one.close()


def end(backend: KubernetesBackend, limit_s: float = 120.0) -> Report:
    """The next report of an end."""

    def ended() -> Report | None:
        return next((report for report in backend.wait(1.0) if report.outcome is not None), None)

    found = wait_until(ended, "the end of the step", limit_s=limit_s)
    assert isinstance(found, Report)
    return found


def test_a_step_reaches_storage_and_names_only_and_has_no_rights(
    installed: Release, cluster: Cluster, core: Any, backend: KubernetesBackend
) -> None:
    storage, database = urllib.parse.urlsplit(cluster.s3_endpoint), urllib.parse.urlsplit(cluster.database)
    service = core.read_namespaced_service("kubernetes", "default").spec.cluster_ip
    with socket.create_server((cluster.host_ip, 0)) as listening:  # each of these answers, but for the policy
        places = {
            "storage": (storage.hostname, storage.port), "database": (database.hostname, database.port),
            "kubelet": (storage.hostname, 10250), "api": (service, 443), "api of the node": (storage.hostname, 6443),
            "another machine": listening.getsockname(),
        }  # fmt: skip
        for place in places.values():
            socket.create_connection(place, 5).close()
        line = f"python3 {OWN}/look.py '{json.dumps(places)}' >{OWN}/seen.json"
        script = f"cat >{OWN}/look.py <<'END'\n{LOOK}\nEND\n{line}"
        environment = Environment(EnvironmentKind.CONTAINER, IMAGE)
        backend.submit([Task("look", 1, JobSpec(OWN, script, environment=environment))])
        report = end(backend)
    assert report.outcome is not None
    assert report.outcome.state is JobState.FINISHED, report.outcome
    with backend.storage.open("look", 1, "seen.json") as stream:
        seen = json.loads(stream.read())
    assert seen["reached"] == ["storage"]
    assert seen["names"] is True
    assert seen["tokens"] == []
    assert (seen["uid"], seen["capabilities"]) == (1000, "0" * 16)
    told = json.dumps(seen["environment"])
    for secret in (
        cluster.settings["RECAST_S3_SECRET_KEY"],
        cluster.settings["RECAST_S3_ACCESS_KEY"],
        database.password,
    ):
        assert str(secret) not in told


def test_what_a_running_step_has_are_links_that_end_and_they_go_with_its_job(
    installed: Release, cluster: Cluster, core: Any, backend: KubernetesBackend
) -> None:
    environment = Environment(EnvironmentKind.CONTAINER, IMAGE)
    backend.submit([Task("hold", 1, JobSpec(OWN, "exec sleep 600", environment=environment))])
    wait_until(
        lambda: [r for r in backend.wait(1.0) if r.outcome is None] or None, "the begin of the step", limit_s=120.0
    )
    (pod,) = core.list_namespaced_pod(installed.jobs, label_selector="reana-lite/key=hold").items
    assert pod.spec.automount_service_account_token is False
    assert not [v for v in pod.spec.volumes if v.projected or v.host_path]
    step = next(c for c in pod.spec.containers if c.name == "step")
    assert all(entry.value_from is None for entry in step.env or [])
    (secret,) = core.list_namespaced_secret(installed.jobs).items
    text = decoded(secret)
    (policy,) = re.findall(r'"policy[\\"]+: *[\\"]+([A-Za-z0-9+/=]+)', text)
    expires = datetime.fromisoformat(json.loads(base64.b64decode(policy))["expiration"])
    assert timedelta() < expires - datetime.now(UTC) <= timedelta(days=7)
    password = urllib.parse.urlsplit(cluster.database).password
    for word in (cluster.settings["RECAST_S3_SECRET_KEY"], str(password)):
        assert word not in text
        assert word not in json.dumps(core.api_client.sanitize_for_serialization(pod))
    backend.stop("hold", 1)
    report = end(backend)
    assert report.outcome is not None
    assert report.outcome.state is JobState.STOPPED
    wait_until(lambda: not core.list_namespaced_secret(installed.jobs).items, "the removal of its Secret", limit_s=60.0)


def test_a_step_is_not_reached_from_elsewhere(
    installed: Release, core: Any, backend: KubernetesBackend, run_pod: Any
) -> None:
    line = f"printf x > {OWN}/begun; exec python3 -m http.server 8000"
    backend.submit([Task("serve", 1, JobSpec(OWN, line, environment=Environment(EnvironmentKind.CONTAINER, IMAGE)))])
    wait_until(
        lambda: [r for r in backend.wait(1.0) if r.outcome is None] or None, "the begin of the step", limit_s=120.0
    )
    (pod,) = core.list_namespaced_pod(installed.jobs, label_selector="reana-lite/key=serve").items
    ask = (
        "import socket, sys, time; end = time.monotonic() + 6\n"
        "def answers():\n"
        "    try: socket.create_connection((sys.argv[1], 8000), 1).close(); return True\n"
        "    except OSError: return False\n"
        "seen = False\n"
        "while not seen and time.monotonic() < end: seen = answers()\n"
        "print(seen)"
    )
    seen = run_pod(["python3", "-c", ask, pod.status.pod_ip])
    backend.stop("serve", 1)
    end(backend)
    assert seen.log.strip() == "False"


def test_the_backend_without_rights_says_so(installed: Release, tmp_path: Path) -> None:
    config = installed.kubeconfig_of("default", tmp_path)
    words = RealApi(installed.jobs, kubeconfig=str(config)).check()
    assert "jobs" in words
    assert "forbidden" in words.lower() or "403" in words


def test_jobs_elsewhere_are_refused(installed: Release, tmp_path: Path) -> None:
    config = installed.kubeconfig_of(installed.name, tmp_path)
    api = RealApi("default", kubeconfig=str(config))
    job = {"metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": [], "restartPolicy": "Never"}}}}
    with pytest.raises(Refused) as refused:
        api.create_job({"apiVersion": "batch/v1", "kind": "Job", **job})
    assert refused.value.status == 403
