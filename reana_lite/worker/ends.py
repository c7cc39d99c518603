"""How attempts ended, as the runs see it: judged by what a run asks for, tried again by cause, told to every node.

Functions of what the loop holds; only the loop calls them. What is tried again is decided by retry.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reana_lite.database import Database, jobs
from reana_lite.drive import Drive
from reana_lite.event import SubmitJob
from reana_lite.job import Cause, EnvironmentKind, JobOutcome, JobState
from reana_lite.retry import SHUT_DOWN, Retry, Try, may_retry, retry
from reana_lite.worker.environments import Environments
from reana_lite.worker.turn import Active, Turn


def judged(outcome: JobOutcome, key: str, *, active: Active, turn: Turn) -> JobOutcome:
    """The outcome, failed if a run that is strict misses an output; nobody reuses it then."""
    if outcome.state is not JobState.FINISHED:
        return outcome
    for drive, submit in active.nodes:
        if turn.stands:  # these wait, and it is judged for them when they go on
            break
        with turn.watching(drive):
            missing = drive.missing_outputs(submit, key, active.attempt)
        if missing:
            names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            text = f"it ended well but did not write what it is to publish: {names}"
            details = {**outcome.details, "missing_outputs": missing[:100]}
            return replace(
                outcome, state=JobState.FAILED, cause=Cause.EXIT, message=text, details=details, reusable=False
            )
    return outcome


def with_environment(outcome: JobOutcome, active: Active, *, environments: Environments) -> JobOutcome:
    """The outcome with the software it ran in, for the provenance: the image itself, or what stood in for it."""
    if not active.nodes:
        return outcome
    drive, submit = active.nodes[0]
    environment = submit.job.environment
    if environment.kind is EnvironmentKind.PROCESS:
        return outcome
    digest = active.digest or environments.known(drive, environment)
    stood_in = environments.backend.name == "local" and environment.image in drive.stand_ins
    used = f"{environment.image} by stand-in {digest}" if stood_in else f"{environment.image} {digest}".strip()
    return replace(outcome, details={**outcome.details, "environment": used})


def with_reasons(
    database: Database, ended: Sequence[tuple[str, int, JobOutcome]], *, given: dict[tuple[str, int], int]
) -> list[tuple[str, int, JobOutcome, list[Try]]]:
    """The outcomes with the platform's reason and the memory they had, and what was tried before and with them.

    Asks the database only where something may be tried again. `given`: memory of attempts that had another than asked for.
    """
    asked = [(key, attempt) for key, attempt, outcome in ended if may_retry(outcome.cause)]
    known: dict[tuple[str, int], list[Try]] = {}
    if asked:
        with database.peek() as peek:
            known = jobs.tries(peek, asked)
    told = []
    for key, attempt, outcome in ended:
        tries = known.get((key, attempt), [])
        details = dict(outcome.details)
        if outcome.cause is Cause.LOST and tries and tries[-1].reason == SHUT_DOWN:
            details["reason"] = SHUT_DOWN
        if (key, attempt) in given:
            details.setdefault("memory_bytes", given[key, attempt])
        if details != outcome.details:
            outcome = replace(outcome, details=details)
        reason, memory = str(details.get("reason", "")), details.get("memory_bytes")
        newest = Try(str(outcome.cause or ""), reason, memory if isinstance(memory, int) else None)
        told.append((key, attempt, outcome, [*tries[:-1], newest]))
    return told


def decide(outcome: JobOutcome, tries: Sequence[Try], *, memory_limit_bytes: int) -> Retry | None:
    """Whether the nodes that wait for an attempt begin it again: after a retry by cause, or because it was stopped for
    others (these still want it)."""
    if outcome.state is JobState.STOPPED:
        return Retry(0.0, "")
    return retry(tries, memory_limit_bytes=memory_limit_bytes) if may_retry(outcome.cause) else None


def sentence(drive: Drive, submit: SubmitJob, attempt: int, *, again: Retry, outcome: JobOutcome) -> str:
    """What the user is told of a job that is tried again."""
    why = f" ({outcome.message})" if outcome.message else ""
    when = f" in {again.after_s:.0f} s" if again.after_s >= 1 else ""
    return f"{drive.run}{submit.node}: attempt {attempt} is tried again{when}: {again.words}{why}"
