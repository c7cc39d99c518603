"""The Kubernetes backend on a running cluster for the suite of backends: the dev cluster (k8s/dev/up), or another one.

RECAST_TEST_CLUSTER names its file of settings (as tests/cluster has it), or is empty for none.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shlex
from pathlib import Path
from typing import Any

STAGER_IMAGE = os.environ.get("RECAST_TEST_STAGER_IMAGE", "reana-lite/reana-lite:dev")
STEP_IMAGE = os.environ.get("RECAST_TEST_CLUSTER_IMAGE", "localhost/recast-base:bookworm")
NAMESPACE = "recast-test-backend"


@functools.cache
def settings() -> dict[str, str]:
    """What the cluster's file says; {} without one."""
    default = f"/var/lib/reana-lite-dev/{os.environ.get('RECAST_DEV_INSTANCE', '0')}/env"
    path = Path(os.environ.get("RECAST_TEST_CLUSTER", default) or "/nonexistent")
    if not path.is_file():
        return {}
    words = [w for line in path.read_text().splitlines() if line.startswith("export ") for w in shlex.split(line)[1:]]
    return dict(word.partition("=")[::2] for word in words)


@functools.cache
def reason(*, shared: bool = False) -> str:
    """Why there is no cluster; "" if there is one, with a restricted namespace (`shared`: and with a volume)."""
    found = settings()
    if shared and found and "RECAST_DEV_STATE" not in found:
        return "a volume that pods and this machine share is at hand in the dev cluster only"
    if not found:
        return "no cluster runs here (k8s/dev/up makes one)"
    try:
        import kubernetes
        import minio  # noqa: F401
    except ImportError as error:
        return f"the extra `cluster` is not installed ({error.name})"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    try:
        with kubernetes.config.new_client_from_config(found["KUBECONFIG"]) as client:
            core = kubernetes.client.CoreV1Api(client)
            with contextlib.suppress(kubernetes.client.ApiException):
                core.create_namespace({"metadata": {"name": NAMESPACE, "labels": labels}}, _request_timeout=5)
            core.read_namespace(NAMESPACE, _request_timeout=5)
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no cluster then
        return f"the cluster does not answer: {error}"
    return ""


def storage() -> Any:
    """The cluster's object storage, a prefix of its own."""
    from reana_lite.config import S3Settings
    from reana_lite.storage.s3 import S3Storage

    found = settings()
    bucket = found["RECAST_STORAGE"].removeprefix("s3://").partition("/")[0]
    keys = {"access_key": found["RECAST_S3_ACCESS_KEY"], "secret_key": found["RECAST_S3_SECRET_KEY"]}
    prefix = f"tests/{secrets.token_hex(6)}/"
    return S3Storage(S3Settings(bucket=bucket, prefix=prefix, endpoint=found["RECAST_S3_ENDPOINT"], **keys))


CLAIM = "recast-test-volume"


@functools.cache
def volume() -> Path:
    """A folder of this machine that pods of the dev cluster reach by the claim CLAIM."""
    import kubernetes

    folder = Path(settings()["RECAST_DEV_STATE"], "volumes", CLAIM)
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, 1000, 1000)
    folder.chmod(0o2775)
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    size = {"storage": "1Gi"}
    anywhere = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}
    real = {
        **spec, "capacity": size, "local": {"path": str(folder)}, "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"name": CLAIM, "namespace": NAMESPACE},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [anywhere]}},
    }  # fmt: skip
    with kubernetes.config.new_client_from_config(settings()["KUBECONFIG"]) as client:
        core = kubernetes.client.CoreV1Api(client)
        with contextlib.suppress(kubernetes.client.ApiException):
            core.create_persistent_volume({"metadata": {"name": CLAIM}, "spec": real})
        claim = {**spec, "volumeName": CLAIM, "resources": {"requests": size}}
        with contextlib.suppress(kubernetes.client.ApiException):
            core.create_namespaced_persistent_volume_claim(NAMESPACE, {"metadata": {"name": CLAIM}, "spec": claim})
    return folder


def folder() -> Any:
    """A storage folder of its own on that volume."""
    from reana_lite.storage.local import LocalStorage

    root = volume() / secrets.token_hex(6)
    root.mkdir()
    found = LocalStorage(root)
    found.check()
    return found


def backend(where: Any, *, namespace: str = NAMESPACE, **options: Any) -> Any:
    """A backend for that storage; two for one storage know each other's Jobs."""
    from reana_lite.backends.kubernetes.api import RealApi
    from reana_lite.backends.kubernetes.backend import KubernetesBackend
    from reana_lite.backends.kubernetes.options import Options
    from reana_lite.backends.kubernetes.volume import Volume
    from reana_lite.storage.local import LocalStorage

    small: dict[str, Any] = {"cpus": 0.02, "stager_cpus": 0.01, "memory_bytes": 96 * 2**20, "grace_s": 1.0}
    name = where.root.name if isinstance(where, LocalStorage) else where.prefix
    if isinstance(where, LocalStorage):
        small |= {"claim": CLAIM, "claim_path": name}
        where = Volume(where)
    chosen = Options(
        namespace=namespace, installation=name.replace("/", "-").strip("-"), stager_image=STAGER_IMAGE,
        process_image=STEP_IMAGE, **(small | options),
    )  # fmt: skip
    return KubernetesBackend(where, options=chosen, api=RealApi(namespace, kubeconfig=settings()["KUBECONFIG"]))
