"""How an attempt ended: from its last pod record, what its stager told, and what we did to it -> JobOutcome.

Pure. A finished step is finished whatever befell its pod afterwards: outputs that are complete count first. What the
cluster did (lost node, eviction, preemption, a deletion by hand) is LOST, with the reason in details["reason"]: the worker
decides by it how to try again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reana_lite.artifact import Manifest
from reana_lite.backends import verdict
from reana_lite.backends.kubernetes.images import digest_in
from reana_lite.backends.kubernetes.paths import NOT_BEGUN
from reana_lite.backends.kubernetes.record import About, Container, Pod, phases
from reana_lite.job import Cause, JobOutcome, JobState
from reana_lite.retry import IMAGE_CHANGED

BAD_IMAGE = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "ImageInspectError",
)
"""Reasons for which a container waits whose image cannot be had."""

HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
"""Those of them that no waiting mends."""

_MISSING = ("not found", "manifest unknown", "unauthorized", "denied", "forbidden", "invalid reference")
"""Words of a registry that says the same however often it is asked."""

BAD_START = ("CreateContainerError", "CreateContainerConfigError", "RunContainerError")
"""Reasons for which a container waits that cannot be made."""

_NOT_STARTED = ("StartError", "ContainerCannotRun")

_DISRUPTIONS = {
    "PreemptionByScheduler": ("preempted", "pods of higher priority took its place"),
    "DeletionByTaintManager": ("node-lost", "its node is out of reach"),
    "DeletionByPodGC": ("node-lost", "its node is gone"),
    "EvictionByEvictionAPI": ("evicted", "its node is being emptied"),
    "TerminationByKubelet": ("evicted", "its node ran short of something or is being shut down"),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of an attempt when it is over. `intent` is what we ended it for: "", stopped, time, image, start,
    stager, unschedulable, lost; `why` says more. `staged` is the stager's record, {} if there is none."""

    about: About
    pod: Pod | None = None
    staged: Mapping[str, Any] = field(default_factory=dict)
    manifest: Manifest | None = None
    intent: str = ""
    why: str = ""
    submitted_at: float = 0.0
    created_at: float = 0.0
    now: float = 0.0


def is_hopeless(said: str) -> bool:
    """Whether no waiting mends an image that cannot be had, by the kubelet's reason and words."""
    return any(reason in said for reason in HOPELESS) or any(words in said.lower() for words in _MISSING)


def staged_in(container: Container) -> dict[str, Any]:
    """The stager's record in a container's status; {} if there is none."""
    try:
        document = json.loads(container.message)
    except ValueError:
        return {}
    return document if isinstance(document, dict) and "state" in document else {}


def outcome_of(evidence: Evidence) -> JobOutcome:
    """See the module."""
    pod, staged = evidence.pod or Pod(""), evidence.staged
    state, cause, code, message, reason = _verdict(evidence, pod)
    manifest = None if state is JobState.STOPPED else evidence.manifest
    details: dict[str, Any] = {}
    times = phases(
        pod, submitted_at=evidence.submitted_at, created_at=evidence.created_at, staged=staged.get("phases", {})
    )
    for name, value in (
        ("reason", reason), ("phases", times), ("node", pod.node), ("image_digest", digest_in(pod.step.image_id)),
        ("changed_inputs", staged.get("changed_inputs")), ("kept_inputs", staged.get("kept_inputs")),
        ("copied_links", staged.get("copied_links")),
    ):  # fmt: skip
        if value:
            details[name] = value
    return JobOutcome(
        state,
        cause,
        code,
        message,
        digest=manifest.digest if manifest else "",
        size_bytes=manifest.size_bytes if manifest else 0,
        started_at=pod.step.started_at,
        ended_at=pod.step.ended_at or evidence.now,
        reusable=not staged.get("changed_inputs"),
        details=details,
    )


_Verdict = tuple[JobState, Cause | None, int | None, str, str]


def _verdict(evidence: Evidence, pod: Pod) -> _Verdict:
    """(state, cause, exit code, message, reason)."""
    staged, about = evidence.staged, evidence.about
    code = pod.step.exit_code if pod.step.exit_code is not None else staged.get("exit_code")
    if evidence.intent == "stopped":
        return JobState.STOPPED, None, code, "stopped on request", ""
    whole = evidence.manifest is not None and staged.get("digest", "") == evidence.manifest.digest
    if whole and staged.get("state") == "finished":
        ran, wanted = digest_in(pod.step.image_id), digest_in(about.digest)
        if ran and wanted and ran != wanted:
            text = f"image {about.image} means another image by now ({ran[:19]}..., it was {wanted[:19]}...)"
            return _lost(code, text, IMAGE_CHANGED)
        # One of its processes, and the step went on: it says itself that it ended well.
        note = "a process of it was killed for memory" if pod.step.reason == "OOMKilled" else ""
        return JobState.FINISHED, None, 0, note, ""
    if evidence.intent == "time" or staged.get("cause") == "time":
        judged = verdict.judge(exit_code=code or 0, reason="time", limit=about.timeout_s)
        return JobState.FAILED, Cause.TIME, code, judged["message"], ""
    for check in (_of_image, _of_limits, _of_cluster, _of_stager):
        found = check(evidence, pod, code)
        if found is not None:
            return found
    if code is not None and code not in (None, 0):
        if staged.get("state") == "failed" and staged.get("cause") != "lost":
            return JobState.FAILED, Cause(staged["cause"]), code, staged.get("message", ""), ""
        return JobState.FAILED, Cause.EXIT, code, verdict.describe(code), ""
    if pod.step.state == "terminated" and code == 0:
        return _lost(code, "it ended well, but its outputs did not reach the storage", "staging")
    return _lost(code, "its pod was deleted before it had ended", "deleted")


def _lost(code: int | None, message: str, reason: str) -> _Verdict:
    return JobState.FAILED, Cause.LOST, code, message, reason


def _of_image(evidence: Evidence, pod: Pod, code: int | None) -> _Verdict | None:
    """An image that cannot be had, or in which nothing can be started."""
    if evidence.intent == "image":
        reason = "image-missing" if is_hopeless(evidence.why) else "image-pull"
        return JobState.FAILED, Cause.IMAGE, None, evidence.why, reason
    if pod.step.reason in _NOT_STARTED:
        text = f"nothing can be started in its image (has it no sh?): {_sentence(pod.step.message)}"
        return JobState.FAILED, Cause.IMAGE, code, text, "image-start"
    if evidence.intent in ("start", "unschedulable"):
        return _lost(None, evidence.why, evidence.intent)
    return None


def _of_limits(evidence: Evidence, pod: Pod, code: int | None) -> _Verdict | None:
    """Memory and disk of its own."""
    about = evidence.about
    if pod.step.reason == "OOMKilled":
        judged = verdict.judge(exit_code=code or 137, reason="memory", limit=about.memory_bytes)
        return JobState.FAILED, Cause.MEMORY, code, judged["message"], ""
    text = f"{pod.message} {pod.disruption_message}"
    if (
        pod.reason == "Evicted"
        and ("exceeds the" in text or "exceeds limit" in text or "exceeded" in text)
        and ("ephemeral" in text.lower() or "EmptyDir" in text)
    ):
        size = verdict.size(about.disk_bytes)
        message = f"used more than its limit of {size} of disk; allow more disk for this step"
        return JobState.FAILED, Cause.DISK, code, message, ""
    return None


def _of_cluster(evidence: Evidence, pod: Pod, code: int | None) -> _Verdict | None:
    """What the cluster did."""
    if pod.disruption in _DISRUPTIONS:
        reason, text = _DISRUPTIONS[pod.disruption]
        node = f" ({pod.node})" if pod.node else ""
        return _lost(code, f"the cluster ended its pod: {text}{node}", reason)
    if pod.reason == "Evicted":
        return _lost(code, f"the cluster ended its pod: {_sentence(pod.message)}", "evicted")
    if pod.reason in ("NodeLost", "NodeShutdown", "Terminated"):
        return _lost(code, f"the cluster ended its pod: {_sentence(pod.message) or pod.reason}", "node-lost")
    if pod.reason == "DeadlineExceeded":
        judged = verdict.judge(exit_code=code or 0, reason="time", limit=evidence.about.timeout_s)
        return JobState.FAILED, Cause.TIME, code, judged["message"], ""
    if evidence.intent == "lost":
        return _lost(code, evidence.why, "node-lost")
    if evidence.staged.get("state") == "stopped" or (pod.deleting_at and code in (None, 143, 137, NOT_BEGUN)):
        return _lost(code, "its pod was deleted before it had ended", "deleted")
    return None


def _of_stager(evidence: Evidence, pod: Pod, code: int | None) -> _Verdict | None:
    """Inputs that could not be brought, outputs that could not be kept."""
    staged = evidence.staged
    if staged.get("error"):
        if staged.get("cause") == "disk":
            return JobState.FAILED, Cause.DISK, code, staged["error"], ""
        if code in (None, 0, NOT_BEGUN):
            return _lost(code, staged["error"], "staging")
        return JobState.FAILED, Cause.EXIT, code, f"{verdict.describe(code)}; {staged['error']}", ""
    if staged.get("state") == "failed" and code == 0:
        cause = Cause(staged.get("cause", "lost"))
        return JobState.FAILED, cause, code, staged.get("message", ""), ""
    if pod.stager.state == "terminated" and pod.stager.exit_code and not staged:
        how = "ran out of memory" if pod.stager.reason == "OOMKilled" else verdict.describe(pod.stager.exit_code)
        return _lost(code, f"the program that brings its files failed: {how}", "staging")
    if code == NOT_BEGUN and not staged:
        return _lost(code, "the program that brings its files was gone", "staging")
    return None


def _sentence(text: str) -> str:
    return " ".join(text.split())[:500].rstrip(".")
