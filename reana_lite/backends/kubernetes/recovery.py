"""What became of attempts that were begun before this process: from one list of Jobs and from storage.

Nothing is followed here and no thread is started; called by the backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from reana_lite.backends.base import Report
from reana_lite.backends.kubernetes import pod
from reana_lite.backends.kubernetes.api import Api
from reana_lite.backends.kubernetes.launch import Launch
from reana_lite.backends.kubernetes.outcomes import failed
from reana_lite.backends.kubernetes.record import About, about_from, seconds
from reana_lite.errors import Unavailable
from reana_lite.job import Cause
from reana_lite.retry import SHUT_DOWN


@dataclass(frozen=True, slots=True)
class Going:
    """An attempt that is to be followed. `is_known` is False while nobody can tell whether there is a Job to it."""

    about: About
    created_at: float = 0.0
    is_known: bool = True


class Recovery:
    """See the module."""

    def __init__(self, api: Api, launch: Launch, installation: str) -> None:
        self.api = api
        self.launch = launch
        self.outcomes = launch.outcomes
        self.installation = installation

    def __call__(
        self, places: Sequence[tuple[str, int]], pool: Executor, *, selector: str
    ) -> list[Report | Going]:  # fmt: skip
        """An end or what is to be followed, in order; raises Unavailable while storage does not answer."""
        # The list comes first: a Job is removed after its outcome is kept, so one that is not in it has one, or never will.
        jobs: dict[str, Mapping[str, Any]] | None
        try:
            jobs = {job["metadata"]["name"]: job["metadata"] for job in self.api.list_jobs(selector)}
        except Unavailable:
            jobs = None
        return list(pool.map(lambda place: self._one(place, jobs), places))

    def _one(self, place: tuple[str, int], jobs: Mapping[str, Mapping[str, Any]] | None) -> Report | Going:
        """`jobs`: metadata by name, None if nobody knows."""
        recorded = self.outcomes.recorded(*place)
        if recorded is not None:
            return recorded
        if jobs is None:
            return Going(About(*place), is_known=False)
        found = jobs.get(pod.job_name(self.installation, *place), {})
        about = about_from(found)
        if about is None or "deletionTimestamp" in found:
            return self.outcomes.without_job(about or About(*place))
        if self.launch.lacked_secret(found):
            # Whoever began it died before it had done so wholly: its pod waits for what nobody will bring.
            self.api.delete_job(found["name"])
            return Report(*place, failed(Cause.LOST, "its worker ended while it was begun", reason=SHUT_DOWN))
        return Going(about, seconds(found.get("creationTimestamp")))
