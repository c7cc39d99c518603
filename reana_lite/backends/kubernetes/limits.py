"""What is to be ended: out of time, without an image, unable to begin, or on a node that does not answer any more.

Decisions only, from an attempt with its last pod record and a clock; the backend carries them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reana_lite.backends.kubernetes import ends
from reana_lite.backends.kubernetes.attempt import Attempt
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.record import Pod

ORPHAN_S = 5.0
"""How long one container may go on when the other has ended before its time (seconds)."""

DEAF_S = 60.0
"""How long beyond its grace a pod may stay on a node that does not answer (seconds)."""


STAGE_IN_S = 3600.0
"""How long inputs may be brought (seconds): so much longer than its own time a step's container may run at most."""

ASK_S = 2.0
"""How often it is asked whether a step has begun (seconds)."""

STUCK_S = 600.0
"""How long a pod may be without a node while all places are taken and others are given nodes (seconds)."""


@dataclass(frozen=True, slots=True)
class Due:
    """What an attempt is to be ended for: an intent of ends.Evidence, why, how long that may go on (seconds)."""

    intent: str
    why: str = ""
    patience_s: float = 0.0


def due(one: Attempt, options: Options, now: float) -> Due | None:
    """What is to be ended now, if anything. Trouble that passes is forgotten: `trouble_at` of the attempt is kept here."""
    there = one.pod
    if there is None:
        return None
    left = step_limit(one, now)
    if left is not None and left <= 0:
        return Due("time")
    trouble = _trouble(one, there, options, now)
    if trouble is None:
        one.trouble_at = 0.0
        return None
    one.trouble_at = one.trouble_at or now
    return trouble if now - one.trouble_at >= trouble.patience_s else None


def step_limit(one: Attempt, now: float) -> float | None:
    """Seconds until its time is over (negative: since); None without limit, or while its step does not run.

    The time is the step's own: while it is not known when it began, its inputs are being brought, for at most STAGE_IN_S.
    """
    pod = one.pod
    if not one.about.timeout_s or pod is None or pod.step.state != "running" or not pod.step.started_at:
        return None
    return (one.go_at or pod.step.started_at + STAGE_IN_S) + one.about.timeout_s - now


def wants_begin(one: Attempt, now: float) -> bool:
    """Whether it is time to ask storage when the step began: it would be out of time, had it not waited for its inputs."""
    pod = one.pod
    if one.go_at or not one.about.timeout_s or pod is None or pod.step.state != "running" or not pod.step.started_at:
        return False
    return now >= pod.step.started_at + one.about.timeout_s and now - one.go_asked_at >= ASK_S


def given_up(there: Pod, options: Options, now: float) -> bool:
    """Whether nothing will be heard any more of a pod that seems to run.

    A cluster with other nodes removes pods from a lost one, which cannot tell how they ended. One that has no other node
    only calls them not ready.
    """
    if "running" not in (there.step.state, there.stager.state):
        return False
    if there.deleting_at:
        until = there.deleting_at
        # The grace is for uploads: where a step still seems to run when its own is over, nothing is being uploaded.
        if there.disruption == "DeletionByTaintManager" and there.step.state == "running":
            until += min(0.0, options.grace_s - there.deletion_grace_s)
        return until + DEAF_S < now
    return bool(there.unheard_at) and there.unheard_at + options.node_lost_s + options.grace_s + DEAF_S < now


def stuck(attempts: Iterable[Attempt], now: float) -> list[Attempt]:
    """Those for which no node can be found while others are: they go back to the queue, so that others may have their place.

    A cluster that is merely full gives nodes in the order of asking; so a pod waits in vain that was overtaken by a
    later one, or while no pod at all has got a node for long.
    """
    pods = [one.pod for one in attempts if one.pod is not None]
    served = [there for there in pods if there.node]
    newest = max((there.created_at for there in served), default=0.0)
    is_moving = max((there.scheduled_at for there in served), default=0.0) > now - STUCK_S
    return [
        one
        for one in attempts
        if (there := one.pod) is not None
        and there.unschedulable
        and not there.node
        and now - there.created_at > STUCK_S
        and (newest > there.created_at or not is_moving)
    ]


def _trouble(one: Attempt, there: Pod, options: Options, now: float) -> Due | None:
    """Why containers cannot begin or end as they should."""
    for what, container in (("image", there.step), ("stager's image", there.stager)):
        if container.state != "waiting":
            continue
        text = " ".join(container.message.split())[:400]
        if container.reason in ends.BAD_IMAGE:
            image = one.about.image if what == "image" else options.stager_image
            patience_s = 10.0 if ends.is_hopeless(f"{container.reason} {text}") else options.image_deadline_s
            return Due("image", f"{what} {image} cannot be had: {container.reason} {text}".strip(), patience_s)
        if container.reason in ends.BAD_START:
            return Due("start", f"its container cannot be made: {container.reason} {text}".strip(), 120.0)
    if there.stager.state == "terminated" and there.step.state != "terminated":
        return Due("stager", patience_s=ORPHAN_S)
    if there.stager.state == "running" and there.step.ended_at and now - there.step.ended_at > options.links_valid_s:
        return Due("stager", "its outputs were not kept before the right to keep them ended")
    if there.step.state == "terminated" and there.step.reason in ("StartError", "ContainerCannotRun"):
        return Due("stager", patience_s=1.0)
    return None
