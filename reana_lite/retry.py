"""What is tried again unasked, after how long, and with how much memory: a table by cause, and nothing else.

Pure. The worker asks it with the attempts at a job so far, as the database counts them, so that the answer is the same
whoever asks. Only the platform's failures are tried again as they were; what a step did (exit code, time, disk) never is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reana_lite.job import Cause

IMAGE_CHANGED = "image-changed"
"""Reason of an attempt in another image than the one that its job names."""

SHUT_DOWN = "shut-down"
"""Reason of an attempt that ended because its worker was told to end: nobody's fault, so it is not counted."""


INPUTS_AWAY = "inputs-away"
"""Reason of an attempt whose inputs could not be copied because storage did not answer."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How often a job is begun again for one reason, and how long to wait before (seconds, doubled each time)."""

    limit: int
    wait_s: float
    words: str


LOST: dict[str, Rule] = {
    "": Rule(2, 1.0, "it was lost"),
    "node-lost": Rule(4, 2.0, "its node was lost"),
    "evicted": Rule(4, 10.0, "it was evicted from its node"),
    "preempted": Rule(20, 15.0, "it made way for more urgent work"),
    "deleted": Rule(3, 1.0, "somebody deleted it"),
    "start": Rule(3, 15.0, "its container could not be made"),
    "staging": Rule(4, 10.0, "its files could not be brought or kept"),
    IMAGE_CHANGED: Rule(3, 1.0, "its image was replaced by another of the same name"),
    INPUTS_AWAY: Rule(8, 5.0, "storage did not answer while its inputs were copied"),
    "unschedulable": Rule(1000, 60.0, "no node took it while others waited"),
    SHUT_DOWN: Rule(1000, 0.0, "its worker was shut down"),
}
"""Of attempts that were lost, by the platform's reason (JobOutcome.details["reason"]); an unknown reason counts as ""."""

IMAGE = {"image-pull": Rule(4, 15.0, "its image could not be pulled")}
"""Of attempts without an image, by reason: registries have bad minutes, names do not mend."""

LONGEST_WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Try:
    """What is known of an attempt that has ended: its cause, the platform's reason, and the memory that it had (bytes)."""

    cause: str
    reason: str = ""
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try it again: after how long (seconds), and why, as the beginning of a sentence."""

    after_s: float
    words: str


def retry(tries: Sequence[Try], *, memory_limit_bytes: int = 0) -> Retry | None:
    """Whether a job is begun again after these attempts of a run at it, the newest last; None: it has failed.

    Each reason has a limit of its own. Out of memory is tried again while twice the memory is within the limit.
    """
    newest = tries[-1]
    rule = _rule(newest)
    if rule is not None:
        times = sum(1 for one in tries if _rule(one) is rule)
        if times > rule.limit:
            return None
        return Retry(min(LONGEST_WAIT_S, rule.wait_s * 2 ** min(times - 1, 10)), rule.words)
    if newest.cause == Cause.MEMORY:
        had = newest.memory_bytes
        more = memory(tries, None, memory_limit_bytes=memory_limit_bytes)
        if had and more is not None and more > had:
            return Retry(0.0, f"{had:,} bytes of memory were not enough")
    return None


def memory(tries: Sequence[Try], asked_bytes: int | None, *, memory_limit_bytes: int = 0) -> int | None:
    """Memory of the next attempt (bytes): as asked for, or twice what was not enough, never above the limit for that.

    None: as asked for, and nothing was asked for.
    """
    lacked = max((one.memory_bytes or 0 for one in tries if one.cause == Cause.MEMORY), default=0)
    more = min(2 * lacked, memory_limit_bytes)
    return asked_bytes if more <= (asked_bytes or 0) or more <= lacked else more


def may_retry(cause: Cause | None) -> bool:
    """Whether attempts that end so may be tried again at all, for one reason or another."""
    return cause in (Cause.LOST, Cause.IMAGE, Cause.MEMORY)


def _rule(one: Try) -> Rule | None:
    if one.cause == Cause.LOST:
        return LOST.get(one.reason, LOST[""])
    return IMAGE.get(one.reason) if one.cause == Cause.IMAGE else None
