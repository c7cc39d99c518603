"""A task as the Job and the Secret that are sent to the API server: plain dicts, nothing of the user's but as a value.

Pure. A pod has two containers that start together and share an empty volume: `stager` brings inputs and takes outputs,
`step` runs the analysis's own image, untouched. They meet at two pipes:

    stager: makes `alive`, opens it for reading, makes `go`; brings the inputs; writes "go"; waits for the end of `alive`
    step:   waits for `go` to be there, opens `alive` for writing, reads `go`, runs its line, writes its exit code

The end of `alive` comes however the step dies, so outputs of a step that failed or was killed for memory are kept. With
another order of opening the pipes both would wait for ever. Names are deterministic: a second creation is a conflict.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes.mounts import mounts_of_stager, mounts_of_step
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.paths import (
    ALIVE,
    CODE,
    GO,
    LINE,
    LOG,
    NOT_BEGUN,
    SCRIPT,
    SECRETS,
    TICKET_VARIABLE,
)
from reana_lite.backends.kubernetes.ticket import Bound
from reana_lite.backends.kubernetes.wants import Wants
from reana_lite.job import Secret, SecretKind

INSTALLATION, KEY, ATTEMPT, RUN = (f"reana-lite/{name}" for name in ("installation", "key", "attempt", "run"))
"""Labels."""

ABOUT = "reana-lite/about"
"""Annotation: what a worker that takes the Job over must know of it (JSON)."""

NODE = "reana-lite/node"
"""Annotation: for which run and node the Job was begun."""

STAGER, STEP_NAME = "stager", "step"

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_NOT_LABEL = re.compile(r"[^A-Za-z0-9_.-]+")

PROLOGUE = f"""\
trap 'exit {NOT_BEGUN}' TERM
while [ ! -p {GO} ]; do sleep 0.05 2>/dev/null || sleep 1; done
exec 9>{ALIVE}
word=; read -r word <{GO}
[ "$word" = go ] || exit {NOT_BEGUN}
told=; left=0; trap 'told=1; left=100; kill -s TERM -- -1 2>/dev/null' TERM
if [ -n "$2" ]; then
  if [ ! -d "$2" ]; then mkdir -p -- "$2" || exit {NOT_BEGUN}; fi
  cd -- "$2" || exit {NOT_BEGUN}
fi
case $1 in
  line) sh -c "$3" <"$4" >>{LOG} 2>&1 9>&- & ;;
  file) sh {LINE} <"$4" >>{LOG} 2>&1 9>&- & ;;
esac
pid=$!
wait "$pid"; code=$?
while [ -n "$told" ] && kill -0 "$pid" 2>/dev/null; do told=; wait "$pid"; code=$?; done
while [ "$left" -gt 0 ] && kill -s 0 -- -1 2>/dev/null; do
  left=$((left - 1)); sleep 0.05 2>/dev/null || {{ sleep 1; left=0; }}
done
[ ! -e {CODE} ] || rm -f {CODE} 2>/dev/null
echo "$code" >{CODE}
exit "$code"
"""
"""What the step's container runs first: $1 line or file, $2 its folder or "", $3 its line, $4 its standard input.

TERM goes to all processes of the step (a shell that is process 1 would keep it to itself), and the shell waits on: for its
own child, and then up to 5 s for what that one has started, which would be killed as soon as process 1 ends.
"""


PROBE_S = 3600
"""How long a probe may wait for a node and its image (seconds)."""


def job_name(installation: str, key: str, attempt: int) -> str:
    """The name of an attempt's Job (and Secret): letters, digits and dashes, whatever the key."""
    site = hashlib.sha256(installation.encode()).hexdigest()[:6]
    safe = key if _NAME.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"rl-{site}-{safe}-{attempt}"


def label_value(text: str) -> str:
    """A text as the value of a label: what does not fit becomes a dash."""
    return _NOT_LABEL.sub("-", text)[:63].strip("-_.")


def labels_of(installation: str, key: str, attempt: int, label: str = "") -> dict[str, str]:
    """The labels of an attempt's objects."""
    safe = key if label_value(key) == key else hashlib.sha256(key.encode()).hexdigest()[:32]
    labels = {
        "app.kubernetes.io/managed-by": "reana-lite", INSTALLATION: label_value(installation), KEY: safe,
        ATTEMPT: str(attempt),
    }  # fmt: skip
    if run := label_value(label.partition("/")[0]):
        labels[RUN] = run
    return labels


def secret_of(job: Mapping[str, Any], values: Mapping[str, bytes]) -> dict[str, Any]:
    """The Secret of a Job that exists (its answer from the API server): it goes when the Job goes."""
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1", "kind": "Secret", "immutable": True,
        "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
        "metadata": {"name": metadata["name"], "labels": metadata.get("labels", {}), "ownerReferences": [owner]},
    }  # fmt: skip


def secret_values(bound: Bound, ticket: str, secrets: Sequence[Secret] = ()) -> dict[str, bytes]:
    """What the Secret of a job holds: its ticket or a link to it, small texts that containers find at given paths, and
    the secrets of the run. The keys are ours: no name of the user's is one."""
    values = {"ticket": ticket.encode()}
    values |= {f"mount{n}": text.encode(errors="surrogateescape") for n, text in enumerate(bound.mounts.values())}
    return values | {f"secret{n}": secret.value for n, secret in enumerate(secrets)}


def job_of(task: Task, bound: Bound, wants: Wants, options: Options, *, submitted_at: float) -> dict[str, Any]:
    """The Job of an attempt."""
    name = job_name(options.installation, task.key, task.attempt)
    labels = labels_of(options.installation, task.key, task.attempt, task.label)
    about = {
        "key": task.key, "attempt": task.attempt, "timeout_s": wants.timeout_s, "memory_bytes": wants.memory_bytes,
        "disk_bytes": wants.disk_bytes, "image": wants.image, "digest": task.environment_digest,
        "submitted_at": round(submitted_at, 3),
    }  # fmt: skip
    annotations = {ABOUT: json.dumps(about), NODE: task.label}
    template = {
        "metadata": {
            "labels": labels,
            "annotations": {**options.annotations, **annotations, "kubectl.kubernetes.io/default-container": STAGER},
        },
        "spec": _pod(task, bound, wants, options, name),
    }
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "backoffLimit": 0, "completions": 1, "parallelism": 1, "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": options.ttl_s, "template": template,
        },
    }  # fmt: skip


def pod_security(options: Options, uid: int) -> dict[str, Any]:
    """The security context of a pod under the standard "restricted"."""
    return {
        "runAsNonRoot": True, "runAsUser": uid, "runAsGroup": options.gid, "fsGroup": options.gid,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip


CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""The security context of a container under the standard "restricted"."""


def _pod(task: Task, bound: Bound, wants: Wants, options: Options, name: str) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [{"name": "work", "emptyDir": {"sizeLimit": str(wants.disk_bytes)}}]
    if options.claim:
        volumes.append({"name": "shared", "persistentVolumeClaim": {"claimName": options.claim}})
    if bound.mounts:
        volumes.append({"name": "texts", "secret": {"secretName": name, "defaultMode": 0o444}})
    files = [
        {"key": f"secret{n}", "path": secret.name}
        for n, secret in enumerate(task.secrets) if secret.kind is SecretKind.FILE
    ]  # fmt: skip
    if files:
        volumes.append({"name": "secrets", "secret": {"secretName": name, "defaultMode": 0o440, "items": files}})
    if wants.cvmfs:
        volumes.append({"name": "cvmfs", "persistentVolumeClaim": {"claimName": options.cvmfs_claim, "readOnly": True}})
    spec: dict[str, Any] = {
        "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False,
        "securityContext": pod_security(options, wants.uid), "volumes": volumes,
        # The stager comes first: the cluster makes the folders of its mounts, and those must be there before the step's.
        "containers": [_stager(task, bound, options, name), _step(task, bound, wants, options, name)],
        # Whoever ends the pod from outside (a drain) leaves a finished step time for its outputs; we name our own grace.
        "terminationGracePeriodSeconds": round(max(options.grace_s, options.upload_grace_s)),
        "tolerations": _tolerations(options),
    }  # fmt: skip
    if wants.timeout_s:
        # The worker ends a step that is out of time. This is for the case that no worker is left.
        spec["activeDeadlineSeconds"] = round(wants.timeout_s + 3600 + options.links_valid_s)
    if options.node_selector:
        spec["nodeSelector"] = dict(options.node_selector)
    if wants.priority_class:
        spec["priorityClassName"] = wants.priority_class
    if options.runtime_class:
        spec["runtimeClassName"] = options.runtime_class
    if options.pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in options.pull_secrets]
    if options.placement:
        spec["affinity"] = _affinity(options)
    return spec


def _tolerations(options: Options) -> list[dict[str, Any]]:
    own = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
         "tolerationSeconds": options.node_lost_s}
        for key in ("not-ready", "unreachable")
    ]  # fmt: skip
    return [*own, *(dict(toleration) for toleration in options.tolerations)]


def _affinity(options: Options) -> dict[str, Any]:
    term = {
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {INSTALLATION: label_value(options.installation)}},
        },
    }
    kind = "podAffinity" if options.placement == "pack" else "podAntiAffinity"
    return {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}


def _stager(task: Task, bound: Bound, options: Options, name: str) -> dict[str, Any]:
    mounts = mounts_of_stager(task, bound, options)
    ticket = {"name": TICKET_VARIABLE, "valueFrom": {"secretKeyRef": {"name": name, "key": "ticket"}}}
    memory = str(options.stager_memory_bytes)
    return {
        "name": STAGER, "image": options.stager_image, "imagePullPolicy": options.pull_policy,
        "command": ["python", "-m", "reana_lite.staging"],
        "env": [ticket, *({"name": k, "value": escaped(v)} for k, v in options.stager_environment.items())],
        "volumeMounts": mounts,
        "resources": {"requests": {"cpu": _cpu(options.stager_cpus), "memory": memory}, "limits": {"memory": memory}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
    }  # fmt: skip


def _step(task: Task, bound: Bound, wants: Wants, options: Options, name: str) -> dict[str, Any]:
    mounts = mounts_of_step(task, bound, options)
    mounts += [
        {"name": "texts", "mountPath": path, "subPath": f"mount{n}", "readOnly": True}
        for n, path in enumerate(bound.mounts)
    ]
    variables: dict[str, dict[str, Any]] = {key: {"value": escaped(value)} for key, value in bound.variables.items()}
    if any(secret.kind is SecretKind.FILE for secret in task.secrets):
        mounts.append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
        variables["RECAST_SECRETS"] = {"value": SECRETS}
    for n, secret in enumerate(task.secrets):
        if secret.kind is SecretKind.ENV:
            variables[secret.name] = {"valueFrom": {"secretKeyRef": {"name": name, "key": f"secret{n}"}}}
    if wants.cvmfs:
        mounts.append({"name": "cvmfs", "mountPath": "/cvmfs", "readOnly": True, "mountPropagation": "HostToContainer"})
    limits: dict[str, str] = {
        "cpu": _cpu(wants.cpus), "memory": str(wants.memory_bytes), "ephemeral-storage": str(wants.disk_bytes),
    }  # fmt: skip
    requests = {"cpu": limits["cpu"], "memory": limits["memory"], "ephemeral-storage": str(options.disk_request_bytes)}
    if wants.gpus:
        limits[options.gpu_resource] = requests[options.gpu_resource] = str(wants.gpus)
    how, line = ("file", "") if bound.line_in_file else ("line", bound.line)
    arguments = [how, bound.workdir, line, SCRIPT if bound.script else "/dev/null"]
    return {
        "name": STEP_NAME, "image": wants.image, "imagePullPolicy": options.pull_policy,
        "command": ["sh", "-c", *(escaped(text) for text in (PROLOGUE, "sh", *arguments))],
        "env": [{"name": variable, **value} for variable, value in variables.items()],
        "volumeMounts": mounts, "resources": {"requests": requests, "limits": limits},
        "securityContext": dict(CONTAINER_SECURITY),
    }  # fmt: skip


def escaped(text: str) -> str:
    """A text that Kubernetes gives to a container as it stands: it would fill in $(NAME) and make $$ one."""
    return text.replace("$", "$$")


def _cpu(cores: float) -> str:
    return f"{max(1, round(cores * 1000))}m"


def probe_of(image: str, options: Options, name: str) -> dict[str, Any]:
    """A Job that does nothing but show that an image can be had, and under which digest."""
    labels = {
        "app.kubernetes.io/managed-by": "reana-lite",
        INSTALLATION: label_value(options.installation),
        "reana-lite/probe": name,
    }
    container = {
        "name": STEP_NAME, "image": image, "imagePullPolicy": options.pull_policy, "command": ["sh", "-c", ":"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
        "securityContext": dict(CONTAINER_SECURITY),
    }  # fmt: skip
    spec: dict[str, Any] = {
        "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False,
        "securityContext": pod_security(options, options.uid), "containers": [container],
        "terminationGracePeriodSeconds": 0, "tolerations": _tolerations(options),
    }  # fmt: skip
    if options.node_selector:
        spec["nodeSelector"] = dict(options.node_selector)
    if options.pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in options.pull_secrets]
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels},
        "spec": {
            # Should nobody be left to remove it while its image cannot be had: it ends, and is removed then.
            "backoffLimit": 0, "ttlSecondsAfterFinished": 300, "activeDeadlineSeconds": PROBE_S,
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }  # fmt: skip
