"""The Helm chart: linted, rendered, its values checked, and installed on the running cluster, where it drives runs."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
import yaml
from installing import CHART, KUBE_VERSION, Release, decoded, gone, helm, release
from laptops import Laptop
from running_cluster import Cluster, Ended, wait_until

from reana_lite.database import tokens
from reana_lite.database.users import Role

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chart")]

EXTERNAL = {
    "storage": {"endpoint": "https://s3.example.org", "existingSecret": "storage"},
    "database": {"existingSecret": "database"},
}
VALUES: dict[str, dict[str, Any]] = {
    "external": EXTERNAL,
    "bundled": {"minio": {"enabled": True}, "postgresql": {"enabled": True}},
    "everything": {
        **EXTERNAL,
        "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
        "worker": {"perUser": 20, "memoryLimit": "16Gi", "tolerations": [{"operator": "Exists"}], "nodeSelector": {"a": "b"}},
        "server": {
            "from": [{"podSelector": {}}],
            "ingress": {"enabled": True, "host": "recast.example.org", "tlsSecret": "tls", "annotations": {"a": "b"}},
        },
        "jobs": {
            "namespace": "steps", "quota": {"pods": "600"}, "backfillPriority": {"create": True, "value": -5},
            "options": {"node_selector": {"disk": "fast"}, "images": ["docker.io/reana-lite/*"], "most_cpus": 8},
            "networkPolicy": {"storage": [{"cidr": "192.0.2.10/32", "port": 443}], "dns": {"cidrs": ["10.96.0.10/32"]}},
        },
        "extraEnv": {"RECAST_SCAN_LIMIT": "1000"},
    },
    "metrics": {**EXTERNAL, "metrics": {"enabled": True, "from": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]}},
    "worker alone": {
        **EXTERNAL, "server": {"enabled": False}, "jobs": {"create": False, "networkPolicy": {"enabled": False}},
    },
}  # fmt: skip


def render(cluster: Cluster, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a release `r` in namespace `n`."""
    said = helm(cluster, "template", "r", str(CHART), "--namespace", "n", "--kube-version", KUBE_VERSION, values=values)
    assert said.returncode == 0, said.stderr
    return [document for document in yaml.safe_load_all(said.stdout) if document]


@pytest.mark.parametrize("name", VALUES)
def test_the_chart_is_linted_and_the_api_server_takes_what_it_makes(
    cluster: Cluster, api: Any, namespace: str, name: str
) -> None:
    said = helm(cluster, "lint", str(CHART), "--strict", values=VALUES[name])
    assert said.returncode == 0, said.stdout + said.stderr
    dynamic = kubernetes.dynamic.DynamicClient(api)
    made = render(cluster, VALUES[name])
    for document in made:
        kind = dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
        if kind.namespaced:  # those namespaces are not there; the server checks the object all the same
            document["metadata"]["namespace"] = namespace
        dynamic.create(kind, body=document, dry_run="All", field_validation="Strict")
    pods = [d["spec"]["template"]["spec"] for d in made if d["kind"] in ("Deployment", "StatefulSet", "Job")]
    assert pods
    for pod in pods:  # what Pod Security "restricted" asks for; the namespace only warns of templates
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_only_the_worker_has_a_token(cluster: Cluster) -> None:
    for document in render(cluster, VALUES["bundled"]):
        if document["kind"] in ("Deployment", "StatefulSet", "Job"):
            pod = document["spec"]["template"]["spec"]
            is_worker = document["metadata"]["name"] == "r-worker"
            assert pod["automountServiceAccountToken"] is is_worker
            assert pod.get("serviceAccountName", "") == ("r" if is_worker else "")


def test_options_of_the_backend_are_those_it_reads(cluster: Cluster) -> None:
    from reana_lite.backends.kubernetes.options import options_from

    (config,) = [d for d in render(cluster, VALUES["everything"]) if d["kind"] == "ConfigMap"]
    options = options_from(yaml.safe_load(config["data"]["kubernetes.yaml"]))
    assert options.leave_running
    assert (options.installation, options.pull_secrets, options.backfill_class) == ("r", ("registry",), "r-backfill")
    assert (options.node_selector, options.images) == ({"disk": "fast"}, ("docker.io/reana-lite/*",))


def named(made: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [d for d in made if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def test_metrics_are_for_those_who_are_named(cluster: Cluster) -> None:
    assert not [d for d in render(cluster, EXTERNAL) if "metrics" in d["metadata"]["name"]]
    monitor = {"enabled": True, "interval": "15s", "labels": {"release": "prom"}}
    scrapers = VALUES["metrics"]["metrics"]["from"]
    made = render(cluster, {**EXTERNAL, "metrics": {"enabled": True, "from": scrapers, "serviceMonitor": monitor}})
    server = named(made, "Deployment", "r-server")["spec"]["template"]["spec"]["containers"][0]
    assert server["command"][-2:] == ["--metrics", "9100"]
    asked = named(made, "ServiceMonitor", "r")
    assert asked["metadata"]["labels"]["release"] == "prom"
    assert asked["spec"]["endpoints"] == [{"port": "metrics", "path": "/metrics", "interval": "15s"}]
    for component, port, rest in (
        ("worker", 8081, []),
        ("server", 9100, [{"ports": [{"port": 8000, "protocol": "TCP"}]}]),
    ):
        service = named(made, "Service", f"r-{component}-metrics")
        assert service["spec"]["ports"] == [{"name": "metrics", "port": port, "targetPort": port}]
        wanted = asked["spec"]["selector"]["matchLabels"].items()
        assert wanted <= service["metadata"]["labels"].items()
        policy = named(made, "NetworkPolicy", f"r-{component}-metrics")["spec"]
        assert policy["ingress"] == [{"from": scrapers, "ports": [{"port": port, "protocol": "TCP"}]}, *rest]
        pods = named(made, "Deployment", f"r-{component}")["spec"]["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= pods.items()
        assert service["spec"]["selector"].items() <= pods.items()
    closed = render(cluster, {**VALUES["metrics"], "server": {"from": [{"podSelector": {}}]}})
    assert len(named(closed, "NetworkPolicy", "r-server-metrics")["spec"]["ingress"]) == 1, "r-server says who may"


WRONG = {
    "misspelt": ({"worker": {"replica": 3}}, "replica"),
    "misspelt at the top": ({"wroker": {}}, "wroker"),
    "a text for a number": ({"worker": {"replicas": "two"}}, "replicas"),
    "no digest": ({"image": {"digest": "latest"}}, "digest"),
    "no URL": ({"storage": {**EXTERNAL["storage"], "endpoint": "s3.example.org"}}, "endpoint"),
    "no PostgreSQL": ({"database": {"url": "sqlite:///x.db"}}, "url"),
    "a pull policy that is none": ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    "a place of storage without a port": ({"jobs": {"networkPolicy": {"storage": [{"cidr": "192.0.2.1/32"}]}}}, "port"),
    "a time without a unit": ({"metrics": {"serviceMonitor": {"interval": "30"}}}, "interval"),
    "a number for a variable": ({"extraEnv": {"RECAST_SCAN_LIMIT": 1000}}, "RECAST_SCAN_LIMIT"),
}


@pytest.mark.parametrize("name", WRONG)
def test_values_that_are_wrong_are_refused_by_name(cluster: Cluster, name: str) -> None:
    values, word = WRONG[name]
    said = helm(cluster, "template", "r", str(CHART), "--kube-version", KUBE_VERSION, values={**EXTERNAL, **values})
    assert said.returncode != 0
    assert word in said.stderr


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"database": EXTERNAL["database"]}, "storage.endpoint is needed"),
        ({"storage": {"endpoint": "https://s3.example.org"}, "database": EXTERNAL["database"]}, "storage.existingSecret"),
        ({"storage": EXTERNAL["storage"]}, "database.existingSecret or database.url is needed"),
        ({**EXTERNAL, "server": {"ingress": {"enabled": True}}}, "server.ingress.host is needed"),
        ({**EXTERNAL, "metrics": {"enabled": True}}, "metrics.from is needed"),
    ],
)  # fmt: skip
def test_values_that_lack_are_told(cluster: Cluster, values: dict[str, Any], words: str) -> None:
    said = helm(cluster, "template", "r", str(CHART), "--kube-version", KUBE_VERSION, values=values)
    assert said.returncode != 0
    assert words in said.stderr


# -- installed


@pytest.fixture(scope="module")
def installed(cluster: Cluster, api: Any) -> Iterator[Release]:
    """One release for the tests below, with two workers and a server, which serves when there is an account."""
    with release(cluster, api) as one:
        one.deploy(server__enabled=False)
        add = ["recast", "admin", "users", "add", "anna", "--role", "admin", "--password-stdin"]
        assert "anna" in one.run("worker", *add, said="correct horse battery\n")
        one.deploy()
        yield one


@pytest.fixture
def laptop(installed: Release, tmp_path: Path) -> Iterator[Laptop]:
    one = Laptop(installed, tmp_path)
    yield one
    one.database.close()


def test_the_migrations_are_done_and_everything_is_ready(installed: Release, api: Any) -> None:
    assert (installed.ready("worker"), installed.ready("server")) == (2, 1)
    jobs = kubernetes.client.BatchV1Api(api).list_namespaced_job(installed.namespace).items
    assert jobs == []  # the hook's Job goes when it has succeeded
    labels = kubernetes.client.CoreV1Api(api).read_namespace(installed.jobs).metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_run_that_a_laptop_queues_is_driven_by_the_workers_of_the_chart(installed: Release, laptop: Laptop) -> None:
    run = laptop.submit(["one", "two"])
    assert laptop.over(run) == "finished", installed.told()
    record = laptop.database.get_run(run)
    assert (record.total, record.finished, record.failed) == (3, 3, 0)
    pods = {pod.metadata.name for pod in installed.pods("worker")}
    jobs = laptop.database.jobs_of(run)
    assert len(jobs) == 3
    for job in jobs:
        assert job.backend == "kubernetes"
        assert any(pod in job.worker for pod in pods), (job.worker, pods)


def ask(url: str, method: str = "GET", *, token: str = "", body: Any = None, limit_s: float = 30.0) -> Any:
    """The JSON that the server answers."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=limit_s) as answer:
        return json.loads(answer.read())


@pytest.fixture
def server(installed: Release, api: Any) -> str:
    """The URL of the service: of the cluster's own address, which this machine reaches in the dev cluster."""
    service = kubernetes.client.CoreV1Api(api).read_namespaced_service(f"{installed.name}-server", installed.namespace)
    return f"http://{service.spec.cluster_ip}:{service.spec.ports[0].port}"


def test_the_server_answers_probes_and_refuses_whom_it_does_not_know(server: str) -> None:
    assert ask(f"{server}/readyz") == {"status": "ok"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(f"{server}/api/v1/runs")
    refused.value.close()
    assert refused.value.code == 401


def test_a_run_of_the_catalogue_through_the_server(installed: Release, laptop: Laptop, server: str) -> None:
    if "RECAST_TEST_MAIN_JOB" not in os.environ and os.environ.get("CI") != "true":
        pytest.skip("minutes of a whole core: set RECAST_TEST_MAIN_JOB")
    installed.deploy(jobs__options__cpus=0.5, jobs__options__memory_bytes=10**9)
    token, _ = tokens.add(laptop.database, "anna", kind="token", role=Role.USER, valid_s=3600)
    asked = {"analysis": "atlas-susy-2018-22", "example": "default", "parameters": {"n_events": 200}}
    run = ask(f"{server}/api/v1/runs", "POST", token=token, body=asked)["id"]
    assert laptop.over(run, 900.0) == "finished", installed.told()
    result = ask(f"{server}/api/v1/runs/{run}/result", token=token)
    assert result["verdict"] in ("excluded", "not-excluded")


SCRAPE = """
import sys, time, urllib.request
until = time.monotonic() + float(sys.argv[1])
for url in sys.argv[2:]:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=8) as answer:
                text = answer.read().decode()
            print(url, sum(line.startswith("recast_") for line in text.splitlines()) or "ok")
            break
        except OSError as error:
            if time.monotonic() > until:
                print(url, "closed", error)
                break
            time.sleep(0.5)
"""
"""Reads pages; one that is closed is tried again for so many seconds: a pod is let in some time after its start only."""


def test_prometheus_reads_metrics_and_nobody_else_does(
    installed: Release, namespace: str, run_pod: Callable[..., Ended]
) -> None:
    scraper = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
               "podSelector": {"matchLabels": {"app": "prometheus"}}}  # fmt: skip
    installed.deploy(metrics__enabled=True, metrics__from=[scraper])
    host = f"{installed.name}-{{}}.{installed.namespace}.svc.cluster.local"
    urls = [
        f"http://{host.format('worker-metrics')}:8081/metrics", f"http://{host.format('server-metrics')}:9100/metrics",
        f"http://{host.format('server')}/healthz",
    ]  # fmt: skip
    found = {}
    for name, app, tried_s in ("prometheus", "prometheus", 60.0), ("another", "other", 5.0):
        command = ["python3", "-c", SCRAPE, str(tried_s), *urls]
        end = run_pod(command, name=name, labels={"app": app}, limit_s=120.0)
        assert end.exit_code == 0, end.log
        found[name] = [line.split()[1] for line in end.log.splitlines()]
    assert all(int(count) > 3 for count in found["prometheus"][:2]), found
    assert found["another"][:2] == ["closed", "closed"]
    assert (found["prometheus"][2], found["another"][2]) == ("ok", "ok"), "the site is open to both"
    installed.deploy()


def test_an_upgrade_and_a_rollback_lose_nothing_that_runs(installed: Release, laptop: Laptop, api: Any) -> None:
    before = {pod.metadata.uid for pod in installed.pods("worker")}
    run = laptop.submit(["slow"], wait_s=20)
    wait_until(lambda: laptop.state(run) == "running", "the begin of the run", limit_s=120.0)
    batch = kubernetes.client.BatchV1Api(api)
    wait_until(lambda: batch.list_namespaced_job(installed.jobs).items or None, "its Job", limit_s=120.0)
    installed.deploy(worker__runsAtOnce=50, jobs__options__annotations={"site": "changed"})
    after = {pod.metadata.uid for pod in installed.pods("worker")}
    assert len(after) == 2
    assert not before & after
    assert laptop.over(run) == "finished", installed.told()
    record = laptop.database.get_run(run)
    assert (record.finished, record.failed) == (2, 0)
    assert [job.attempt for job in laptop.database.jobs_of(run)] == [
        1,
        1,
    ]  # the step went on, followed by the next worker
    history = json.loads(installed.helm("history", installed.name, "-o", "json"))
    revision = next(str(r["revision"]) for r in reversed(history[:-1]) if r["status"] == "superseded")
    installed.helm("rollback", installed.name, revision, "--wait", "--timeout", "240s")
    assert installed.ready("worker") == 2
    assert laptop.over(laptop.submit(["after", "rollback"])) == "finished", installed.told()


def test_an_upgrade_with_wrong_values_leaves_what_runs(installed: Release) -> None:
    before = {pod.metadata.uid for pod in installed.pods("worker")}
    values = installed.values(worker__replica=3)
    said = helm(
        installed.cluster, "upgrade", installed.name, str(CHART), "--namespace", installed.namespace, values=values
    )
    assert said.returncode != 0
    assert {pod.metadata.uid for pod in installed.pods("worker")} == before


def test_a_worker_without_its_database_is_not_ready_and_says_why(cluster: Cluster, api: Any) -> None:
    with release(cluster, api) as one:
        core = kubernetes.client.CoreV1Api(api)
        core.patch_namespaced_secret("database", one.namespace, {"stringData": {"url": one.database + "-not-there"}})
        values = one.values(server__enabled=False)
        words = ["install", one.name, str(CHART), "--namespace", one.namespace, "--timeout", "20s"]
        said = helm(cluster, *words, values=values)
        assert said.returncode != 0
        assert "not-there" in one.told()
        assert one.pods("worker") == []  # nothing of it starts before the migrations are done


def test_uninstalled_nothing_is_left_but_data(cluster: Cluster, api: Any, tmp_path: Path) -> None:
    core = kubernetes.client.CoreV1Api(api)
    with release(cluster, api) as one:
        one.deploy(server__enabled=False, worker__replicas=1)
        laptop = Laptop(one, tmp_path)
        try:
            run = laptop.submit(["kept"])
            assert laptop.over(run) == "finished", one.told()
            one.helm("uninstall", one.name, "--wait", "--timeout", "180s")
            gone(core, one.jobs)
            left = core.list_namespaced_secret(one.namespace).items
            assert {secret.metadata.name for secret in left} == {"storage", "database"}
            assert kubernetes.client.AppsV1Api(api).list_namespaced_deployment(one.namespace).items == []
            assert laptop.state(run) == "finished"  # records and outputs are the operator's
        finally:
            laptop.database.close()


def test_trial_values_keep_their_passwords_over_an_upgrade(cluster: Cluster, api: Any) -> None:
    """Without anything external; the pods need images of a registry and volumes, so nothing of it is awaited here."""
    core = kubernetes.client.CoreV1Api(api)
    with release(cluster, api) as one:
        values = {
            **one.values(worker__replicas=0, server__enabled=False, jobs__networkPolicy__enabled=False),
            "minio": {"enabled": True}, "postgresql": {"enabled": True}, "database": {},
            "storage": {"bucket": "recast"},
        }  # fmt: skip
        one.helm("install", one.name, str(CHART), "--no-hooks", values=values)
        names = {s.metadata.name for s in kubernetes.client.AppsV1Api(api).list_namespaced_stateful_set(one.name).items}
        assert names == {f"{one.name}-minio", f"{one.name}-postgresql"}
        rendered = render(cluster, values)
        secrets = [d for d in rendered if d["kind"] == "Secret"]
        assert {d["metadata"]["name"] for d in secrets} == {"r-storage", "r-database"}
        for secret in secrets:
            secret["metadata"]["name"] = secret["metadata"]["name"].replace("r-", f"{one.name}-", 1)
            secret["metadata"].pop("annotations")
            core.create_namespaced_secret(one.namespace, secret)
        before = decoded(core.read_namespaced_secret(f"{one.name}-storage", one.namespace))
        again = helm(
            cluster,
            "upgrade",
            one.name,
            str(CHART),
            "-n",
            one.namespace,
            "--dry-run=server",
            "-o",
            "json",
            values=values,
        )
        assert again.returncode == 0, again.stderr
        hooks = "\n".join(hook["manifest"] for hook in json.loads(again.stdout)["hooks"])
        for word in json.loads(before):
            assert word in hooks
