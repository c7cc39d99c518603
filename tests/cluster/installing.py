"""The Helm chart installed on the running cluster, in namespaces, a database and a prefix of its own; then taken away."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes
import psycopg
import yaml
from running_cluster import RESTRICTED, Cluster, wait_until

CHART = Path(__file__).parents[2] / "k8s" / "chart"
IMAGE = os.environ.get("RECAST_TEST_STAGER_IMAGE", "docker.io/reana-lite/reana-lite:dev")
KUBE_VERSION = "1.37.0"
READY_S = 240.0


def helm(cluster: Cluster, *words: str, values: Mapping[str, Any] | None = None, limit_s: float = 600.0) -> Any:
    """The finished process; `values` go in by standard input."""
    path = f"{cluster.settings.get('RECAST_DEV_CACHE', '')}/bin:{os.environ.get('PATH', '')}"
    command = ["helm", *words, *(["-f", "-"] if values is not None else [])]
    return subprocess.run(
        command, input=yaml.safe_dump(dict(values)) if values is not None else None, text=True, capture_output=True,
        check=False, timeout=limit_s, env={**os.environ, "PATH": path, "KUBECONFIG": str(cluster.kubeconfig)},
    )  # fmt: skip


@dataclass
class Release:
    """One installation of the chart."""

    cluster: Cluster
    api: Any
    name: str
    database: str
    prefix: str

    @property
    def namespace(self) -> str:
        return self.name

    @property
    def jobs(self) -> str:
        return f"{self.name}-jobs"

    def values(self, **changed: Any) -> dict[str, Any]:
        """Values for the dev cluster; `changed` by the names of values, `__` between levels."""
        storage = urllib.parse.urlsplit(self.cluster.s3_endpoint)
        image, _, tag = IMAGE.rpartition(":")
        small = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}
        values: dict[str, Any] = {
            "image": {"repository": image, "tag": tag},
            "worker": {"replicas": 2, "resources": small},
            "server": {"replicas": 1, "resources": small, "hosts": ["*"]},
            "storage": {
                "endpoint": self.cluster.s3_endpoint, "bucket": self.bucket, "prefix": self.prefix,
                "existingSecret": "storage",
            },
            "database": {"existingSecret": "database"},
            "jobs": {
                "options": {"cpus": 0.05, "memory_bytes": 256 * 2**20, "stager_cpus": 0.01, "grace_s": 2.0},
                # The names of the dev cluster are served beside its kubelet, so not in a pod of kube-system.
                "networkPolicy": {
                    "storage": [{"cidr": f"{storage.hostname}/32", "port": storage.port}],
                    "dns": {"cidrs": [f"{storage.hostname}/32", f"{self.dns}/32"]},
                },
            },
        }  # fmt: skip
        for name, value in changed.items():
            *way, last = name.split("__")
            inner = values
            for part in way:
                inner = inner.setdefault(part, {})
            inner[last] = value
        return values

    @property
    def bucket(self) -> str:
        return self.cluster.settings["RECAST_STORAGE"].removeprefix("s3://").partition("/")[0]

    @property
    def dns(self) -> str:
        """The address of the names in this cluster: the tenth of its services', as is usual."""
        first = kubernetes.client.CoreV1Api(self.api).read_namespaced_service("kubernetes", "default").spec.cluster_ip
        return f"{first.rpartition('.')[0]}.10"

    def environment(self) -> dict[str, str]:
        """Variables of a laptop that shares database and storage with this installation."""
        keys = {name: self.cluster.settings[f"RECAST_S3_{name}_KEY"] for name in ("ACCESS", "SECRET")}
        return {
            "RECAST_DATABASE": self.database, "RECAST_STORAGE": f"s3://{self.bucket}/{self.prefix}",
            "RECAST_S3_ENDPOINT": self.cluster.s3_endpoint, "RECAST_USER": "alice",
            **{f"RECAST_S3_{name}_KEY": value for name, value in keys.items()},
        }  # fmt: skip

    def helm(self, *words: str, values: Mapping[str, Any] | None = None) -> str:
        """What helm says in the release's namespace; an error fails the test with helm's words and those of the pods."""
        said = helm(self.cluster, *words, "--namespace", self.namespace, values=values)
        assert said.returncode == 0, f"helm {words[0]}: {said.stderr}\n{self.told()}"
        return str(said.stdout)

    def deploy(self, **changed: Any) -> None:
        """`helm upgrade --install`, until all its pods are ready."""
        words = ["upgrade", "--install", self.name, str(CHART), "--wait", "--timeout", f"{READY_S:.0f}s"]
        self.helm(*words, values=self.values(**changed))

    def run(self, component: str, *words: str, said: str = "") -> str:
        """What a command prints in a pod of a component, by `kubectl exec`; `said` is its standard input."""
        path = f"{self.cluster.settings.get('RECAST_DEV_CACHE', '')}/bin:{os.environ.get('PATH', '')}"
        command = ["kubectl", "-n", self.namespace, "exec", "-i", f"deploy/{self.name}-{component}", "--", *words]
        done = subprocess.run(
            command, input=said, text=True, capture_output=True, check=False, timeout=120,
            env={**os.environ, "PATH": path, "KUBECONFIG": str(self.cluster.kubeconfig)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pods(self, component: str) -> list[Any]:
        """The pods of a component that are not on their way out."""
        found = kubernetes.client.CoreV1Api(self.api).list_namespaced_pod(
            self.namespace, label_selector=f"app.kubernetes.io/component={component}"
        )
        return [pod for pod in found.items if pod.metadata.deletion_timestamp is None]

    def ready(self, component: str) -> int:
        """How many of them are ready."""
        return sum(
            any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
            for pod in self.pods(component)
        )

    def told(self) -> str:
        """What is wrong, by the words of pods: for messages of failed tests."""
        core = kubernetes.client.CoreV1Api(self.api)
        words = [f"{e.involved_object.name}: {e.message}" for e in core.list_namespaced_event(self.namespace).items]
        for pod in core.list_namespaced_pod(self.namespace).items:
            with contextlib.suppress(kubernetes.client.ApiException):
                words.append(f"{pod.metadata.name}:\n{core.read_namespaced_pod_log(pod.metadata.name, self.namespace)}")
        return "\n".join(words)[-6000:]

    def token_of(self, account: str) -> str:
        """A token of a ServiceAccount of the release, as its pods have it."""
        core = kubernetes.client.CoreV1Api(self.api)
        made = core.create_namespaced_service_account_token(
            account, self.namespace, {"spec": {"expirationSeconds": 3600}}
        )
        return str(made.status.token)

    def kubeconfig_of(self, account: str, folder: Path) -> Path:
        """A kubeconfig with the rights of that account."""
        document = yaml.safe_load(self.cluster.kubeconfig.read_text())
        document["users"] = [{"name": account, "user": {"token": self.token_of(account)}}]
        document["contexts"] = [{"name": "x", "context": {"cluster": document["clusters"][0]["name"], "user": account}}]
        document["current-context"] = "x"
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path


@contextlib.contextmanager
def release(cluster: Cluster, api: Any) -> Iterator[Release]:
    """Names, a restricted namespace with the two Secrets, a database; nothing is installed yet."""
    name = f"chart-{secrets.token_hex(3)}"
    admin = cluster.database.replace("postgresql+psycopg", "postgresql", 1)
    database = name.replace("-", "_")
    url = cluster.database.rsplit("/", 1)[0] + f"/{database}"
    one = Release(cluster, api, name, url, f"charts/{name}")
    core = kubernetes.client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name, "labels": RESTRICTED}})
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'create database "{database}"')
    keys = {f"{k}-key": cluster.settings[f"RECAST_S3_{k.upper()}_KEY"] for k in ("access", "secret")}
    core.create_namespaced_secret(name, {"metadata": {"name": "storage"}, "stringData": keys})
    core.create_namespaced_secret(name, {"metadata": {"name": "database"}, "stringData": {"url": url}})
    try:
        yield one
    finally:
        helm(cluster, "uninstall", name, "--namespace", name, "--wait", "--timeout", "120s")
        for namespace in (one.jobs, name):
            with contextlib.suppress(kubernetes.client.ApiException):
                for pod in core.list_namespaced_pod(namespace).items:
                    core.delete_namespaced_pod(pod.metadata.name, namespace, grace_period_seconds=0)
                core.delete_namespace(namespace)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'drop database "{database}" with (force)')
        empty(one)


def empty(one: Release) -> None:
    """Remove the objects of the release from the bucket."""
    import minio

    settings = one.cluster.settings
    where = urllib.parse.urlsplit(one.cluster.s3_endpoint)
    client = minio.Minio(
        where.netloc, access_key=settings["RECAST_S3_ACCESS_KEY"], secret_key=settings["RECAST_S3_SECRET_KEY"],
        secure=where.scheme == "https",
    )  # fmt: skip
    for item in client.list_objects(one.bucket, prefix=one.prefix + "/", recursive=True):
        client.remove_object(one.bucket, item.object_name)


def decoded(secret: Any) -> str:
    """All values of a Secret as one text."""
    values = (base64.b64decode(value).decode(errors="replace") for value in (secret.data or {}).values())
    return json.dumps(list(values))


def gone(core: Any, namespace: str, limit_s: float = 120.0) -> None:
    """Wait until a namespace is no more."""

    def away() -> bool:
        try:
            core.read_namespace(namespace)
        except kubernetes.client.ApiException as error:
            return bool(error.status == 404)
        return False

    wait_until(away, f"the end of namespace {namespace}", limit_s=limit_s)
