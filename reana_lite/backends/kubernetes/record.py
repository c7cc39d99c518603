"""What is kept of a pod: a small record made of the API server's JSON, and the times of its phases.

Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reana_lite.backends.kubernetes.pod import ABOUT, STAGER, STEP_NAME


@dataclass(frozen=True, slots=True)
class Container:
    """One container: `state` is "", waiting, running or terminated."""

    state: str = ""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What a Job says of the attempt it is for."""

    key: str
    attempt: int
    timeout_s: float | None = None
    memory_bytes: int = 0
    disk_bytes: int = 0
    image: str = ""
    digest: str = ""
    submitted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. Times are seconds since the epoch, 0.0 if not (yet). `disruption` is why the cluster ends it; `unheard_at`:
    since when its node does not answer."""

    name: str
    uid: str = ""
    about: About | None = None
    phase: str = ""
    reason: str = ""
    message: str = ""
    node: str = ""
    created_at: float = 0.0
    scheduled_at: float = 0.0
    unschedulable: str = ""
    deleting_at: float = 0.0
    deletion_grace_s: float = 0.0
    disruption: str = ""
    disruption_message: str = ""
    unheard_at: float = 0.0
    stager: Container = field(default_factory=Container)
    step: Container = field(default_factory=Container)

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more."""
        both = self.stager.state == self.step.state == "terminated"
        return both or (self.phase in ("Failed", "Succeeded") and "running" not in (self.stager.state, self.step.state))


def pod_from(document: Mapping[str, Any]) -> Pod:
    """The record of a pod."""
    metadata, spec, status = document["metadata"], document.get("spec") or {}, document.get("status") or {}
    conditions = {row["type"]: row for row in status.get("conditions") or []}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    is_disrupted = disrupted.get("status") == "True"
    containers = {row["name"]: _container(row) for row in status.get("containerStatuses") or []}
    return Pod(
        metadata["name"],
        metadata.get("uid", ""),
        about_from(metadata),
        status.get("phase", ""),
        status.get("reason", ""),
        status.get("message", ""),
        spec.get("nodeName", ""),
        seconds(metadata.get("creationTimestamp")),
        seconds(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else 0.0,
        scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        seconds(metadata.get("deletionTimestamp")),
        float(metadata.get("deletionGracePeriodSeconds") or 0),
        disrupted.get("reason", "") if is_disrupted else "",
        disrupted.get("message", "") if is_disrupted else "",
        _unheard_at(conditions),
        containers.get(STAGER, Container()),
        containers.get(STEP_NAME, Container()),
    )


def _unheard_at(conditions: Mapping[str, Mapping[str, Any]]) -> float:
    """When the cluster lost the node of a pod from sight; 0.0 if it has not.

    The node controller then calls the pod not ready and leaves what the kubelet last said of its containers; a kubelet
    changes both together. So this is known without the right to see nodes.
    """
    ready, containers = conditions.get("Ready", {}), conditions.get("ContainersReady", {})
    if (ready.get("status"), containers.get("status")) == ("False", "True") and not ready.get("reason"):
        return seconds(ready.get("lastTransitionTime"))
    return 0.0


def about_from(metadata: Mapping[str, Any]) -> About | None:
    """What an object of ours says of its attempt; None if it is none of ours."""
    try:
        document = json.loads((metadata.get("annotations") or {})[ABOUT])
        return About(
            **{name: document.get(name) for name in About.__dataclass_fields__ if document.get(name) is not None}
        )
    except (KeyError, TypeError, ValueError):
        return None


def _container(row: Mapping[str, Any]) -> Container:
    for state, details in (row.get("state") or {}).items():
        return Container(
            state,
            details.get("reason", ""),
            details.get("message", ""),
            details.get("exitCode"),
            seconds(details.get("startedAt")),
            seconds(details.get("finishedAt")),
            row.get("imageID", ""),
        )
    return Container(image_id=row.get("imageID", ""))


def seconds(text: str | None) -> float:
    """A time of the API server in seconds since the epoch; 0.0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


def phases(pod: Pod, *, submitted_at: float, created_at: float, staged: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each phase of an attempt; the cluster's own have a resolution of one second.

    queued (here, until the Job was asked for), created (until there was a pod), scheduled (until it had a node), pulling
    (until both containers ran: images, volumes), stage-in, step, stage-out (told by the stager).
    """
    started = [c.started_at for c in (pod.stager, pod.step) if c.started_at]
    moments = [
        ("queued", submitted_at, created_at), ("created", created_at, pod.created_at),
        ("scheduled", pod.created_at, pod.scheduled_at),
        ("pulling", pod.scheduled_at, max(started) if started else 0.0),
    ]  # fmt: skip
    found = {name: round(max(0.0, end - begin), 3) for name, begin, end in moments if begin and end}
    return found | {name: staged[name] for name in ("stage-in", "step", "stage-out") if name in staged}
