"""Outcomes of attempts in storage: what the stager told and the manifest become an outcome, which is kept beside the files.

Places of attempts that ended hold outcome.json; whoever comes after a crash reads it there. Called by the backend.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from reana_lite.artifact import Manifest
from reana_lite.backends import places
from reana_lite.backends.base import Report
from reana_lite.backends.kubernetes.attempt import Attempt
from reana_lite.backends.kubernetes.ends import Evidence, outcome_of, staged_in
from reana_lite.backends.kubernetes.paths import BEGUN
from reana_lite.backends.kubernetes.record import About
from reana_lite.backends.kubernetes.ticket import Documents
from reana_lite.errors import Unavailable
from reana_lite.job import Cause, JobOutcome, JobState

STAGED = "stager.json"
"""What the stager writes of an attempt."""


class Outcomes:
    """See the module. All may raise Unavailable."""

    def __init__(self, storage: Documents) -> None:
        self.storage = storage

    def recorded(self, key: str, attempt: int) -> Report | None:
        """What storage has of an attempt that ended."""
        content = self.storage.get_document(key, attempt, places.OUTCOME)
        if not content:
            return None
        outcome = JobOutcome.from_dict(json.loads(content))
        return Report(key, attempt, outcome, self.storage.manifest(key, attempt) if outcome.digest else None)

    def found(self, one: Attempt) -> Report:
        """How an attempt whose pod has ended did end."""
        staged: dict[str, Any] = staged_in(one.pod.stager) if one.pod is not None else {}
        if not staged or "more" in staged:
            staged = json.loads(self.storage.get_document(one.key, one.attempt, STAGED) or b"null") or staged
        manifest: Manifest | None = None
        if one.intent != "stopped" and (staged.get("digest") or not staged):
            manifest = self.storage.manifest(one.key, one.attempt)
        evidence = Evidence(
            one.about, one.pod, staged, manifest, one.intent, one.why, one.submitted_at, one.created_at, time.time()
        )
        outcome = outcome_of(evidence)
        return Report(one.key, one.attempt, outcome, manifest if outcome.digest else None)

    def begun_at(self, one: Attempt) -> float:
        """When the stager let the step begin (the node's clock); 0.0 if it has not told."""
        content = self.storage.get_document(one.key, one.attempt, BEGUN)
        try:
            return float(json.loads(content or b"{}").get("go_at", 0.0))
        except (ValueError, TypeError, AttributeError):
            return 0.0

    def without_job(self, about: About) -> Report:
        """What became of an attempt that has no Job any more: its stager may have told."""
        report = self.found(Attempt(about.key, about.attempt, "", about))
        if report.outcome is None or report.outcome.cause is Cause.LOST:
            text = "its Job is gone, and it left no complete outputs"
            report = Report(about.key, about.attempt, failed(Cause.LOST, text, reason="deleted"))
        with contextlib.suppress(Unavailable):
            self.keep(report)
        return report

    def keep(self, report: Report) -> None:
        """Write the outcome down."""
        assert report.outcome is not None
        document = json.dumps(report.outcome.to_dict()).encode()
        self.storage.put_document(report.key, report.attempt, places.OUTCOME, document)


def failed(cause: Cause, message: str, *, reason: str) -> JobOutcome:
    """An attempt that failed without having run."""
    return JobOutcome(JobState.FAILED, cause, message=message, ended_at=time.time(), details={"reason": reason})


def stopped() -> JobOutcome:
    """An attempt that was stopped before it ran."""
    return JobOutcome(JobState.STOPPED, message="stopped on request", ended_at=time.time())
