"""From a task to a Job in the cluster: the Job, then the Secret with its ticket (or a link to one that is large).

Every request waits for a world that does not answer; what is there already is followed, not made again. Called by the
backend, from its threads.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from reana_lite.artifact import Manifest
from reana_lite.backends.base import Report, Task
from reana_lite.backends.kubernetes import pod
from reana_lite.backends.kubernetes.api import Api, Refused
from reana_lite.backends.kubernetes.attempt import Attempt, Rate
from reana_lite.backends.kubernetes.mounts import too_many_inputs
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.outcomes import Outcomes, failed, stopped
from reana_lite.backends.kubernetes.paths import TICKET_LIMIT_BYTES
from reana_lite.backends.kubernetes.record import about_from
from reana_lite.backends.kubernetes.ticket import Bound, Documents, bind, ticket_of
from reana_lite.backends.kubernetes.volume import Volume
from reana_lite.backends.kubernetes.wants import Wants, wants_of
from reana_lite.backends.verdict import size
from reana_lite.errors import InvalidInput, Unavailable
from reana_lite.job import Cause, SecretKind

T = TypeVar("T")

MANIFESTS = 256
"""How many manifests of inputs are kept at hand: those of a scatter have most of theirs in common."""


class Closed(Exception):
    """The backend was closed while something waited."""


class Patience:
    """Does things until the API server or the storage answers; raises Closed if the backend ends meanwhile."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def __call__(self, what: Callable[[], T]) -> T:
        """What it gives; Unavailable with the detail `gone` (nothing will bring it back) is raised."""
        pause = 0.2
        while True:
            try:
                return what()
            except Unavailable as error:
                if error.details.get("gone"):
                    raise
            if self._ended.wait(pause):
                raise Closed
            pause = min(10.0, 2 * pause)


class Launch:
    """See the module. `tell` says once why an attempt waits."""

    def __init__(
        self, storage: Documents, api: Api, *, options: Options, ended: threading.Event,
        tell: Callable[[Attempt, str], None],
    ) -> None:  # fmt: skip
        self.storage = storage
        self.api = api
        self.options = options
        self.tell = tell
        self.outcomes = Outcomes(storage)
        self.patiently = Patience(ended)
        self._ended = ended
        self._rate = Rate(options.create_per_s)
        self._manifests: OrderedDict[tuple[str, int, str], Manifest] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, one: Attempt) -> Report | None:
        """None if the Job is there now; a report of the end if there is nothing to run, or it cannot be."""
        task = one.task
        assert task is not None
        # What has ended is told again and not run again, whoever submits it: its Job is gone, so only storage knows.
        recorded = self.patiently(lambda: self.outcomes.recorded(one.key, one.attempt))
        if recorded is not None:
            return recorded
        unfit = [secret.name for secret in task.secrets if secret.kind is SecretKind.ENV and not _is_text(secret.value)]
        if unfit:
            text = f"secret {unfit[0]!r} is not text, so it cannot be a variable; keep it as a file"
            return Report(one.key, one.attempt, failed(Cause.EXIT, text, reason="refused"))
        try:
            wants = wants_of(task.job, self.options)
        except InvalidInput as error:
            return Report(one.key, one.attempt, failed(Cause.IMAGE, error.message, reason="not-allowed"))
        if too_much := _too_much(wants, self.options) or too_many_inputs(task, self.options):
            return Report(one.key, one.attempt, failed(Cause.EXIT, too_much, reason="not-allowed"))
        bound = bind(task)
        if isinstance(self.storage, Volume):
            self._make_folders(self.storage, task, {"uid": wants.uid, "gid": self.options.gid}, view=bound.uses_view)
        valid_s = round(self.options.links_valid_s + (wants.timeout_s or 0))
        try:
            ticket = self.patiently(lambda: self._ticket(one, bound, wants.timeout_s, valid_s))
        except Unavailable as error:
            return Report(one.key, one.attempt, failed(Cause.LOST, error.message, reason="input-gone"))
        if not self._rate.take(self._ended):
            raise Closed
        if one.intent == "stopped":
            return Report(one.key, one.attempt, stopped())
        document = pod.job_of(task, bound, wants, self.options, submitted_at=one.submitted_at)
        one.about = about_from(document["metadata"]) or one.about
        try:
            job = self.patiently(lambda: self._create_job(one, document))
            one.exists = True
            self.patiently(lambda: self._create_secret(job, pod.secret_values(bound, ticket, task.secrets)))
        except Refused as error:
            if one.exists:
                self.patiently(lambda: self.api.delete_job(one.name))
            cause = Cause.IMAGE if "image" in error.message else Cause.EXIT
            text = f"the cluster does not take this step: {error.message}"
            return Report(one.key, one.attempt, failed(cause, text, reason="refused"))
        return None

    def _make_folders(self, volume: Volume, task: Task, owner: dict[str, int], *, view: bool) -> None:
        self.patiently(lambda: volume.begin(task.key, task.attempt, **owner, view=view))
        for tree in task.inputs if task.writable_inputs else ():
            if tree.attempt:
                self.patiently(partial(volume.let_write, tree.key, tree.attempt, **owner))

    def _ticket(self, one: Attempt, bound: Bound, timeout_s: float | None, valid_s: int) -> str:
        """The ticket itself if it is small, which saves two requests per job; else a link to it."""
        task = one.task
        assert task is not None
        digests = {(tree.key, tree.attempt): tree.digest for tree in task.inputs}
        ticket = ticket_of(
            task, bound, storage=self.storage, manifest=lambda key, at: self._manifest(key, at, digests.get((key, at), "")),
            valid_s=valid_s, timeout_s=timeout_s,
            most_files=self.options.most_files, most_bytes=self.options.most_output_bytes,
            patience_s=max(60.0, self.options.links_valid_s - 600.0),
        )  # fmt: skip
        text = json.dumps(ticket, separators=(",", ":"))
        if len(text) <= TICKET_LIMIT_BYTES:
            return text
        one.has_ticket = True
        return self.storage.put_ticket(ticket_name(task.key, task.attempt), text.encode(), valid_s=valid_s)

    def _manifest(self, key: str, attempt: int, digest: str) -> Manifest:
        """The manifest of an input. One that is as told is kept at hand: a place may be written anew under its name."""
        name = key, attempt, digest
        with self._lock:
            if name in self._manifests:
                self._manifests.move_to_end(name)
                return self._manifests[name]
        found = self.storage.manifest(key, attempt)
        if found is None:
            raise Unavailable(f"an input is gone from storage ({key}/{attempt})", gone=True)
        if found.digest == digest:
            with self._lock:
                self._manifests[name] = found
                while len(self._manifests) > MANIFESTS:
                    self._manifests.popitem(last=False)
        return found

    def _create_job(self, one: Attempt, document: dict[str, Any]) -> dict[str, Any]:
        """The Job, created or there already; raises Unavailable while the namespace has no quota left for it."""
        if one.intent == "stopped" and not one.exists:
            return {}
        try:
            job = self.api.create_job(document)
            one.created_at = time.time()
            return job
        except Refused as error:
            if error.is_quota:
                self.tell(one, f"waits for the quota of namespace {self.api.namespace}: {error.message}")
                raise Unavailable(error.message) from error
            if error.status == 404:
                raise Refused(404, error.reason, f"there is no namespace {self.api.namespace!r}") from error
            if error.status != 409:
                raise
        job = self.api.get_job(one.name)
        if not job or "deletionTimestamp" in job["metadata"]:
            raise Unavailable("the Job of an earlier try is still being removed")
        one.created_at = one.created_at or time.time()
        return job

    def lacked_secret(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a Job that somebody else has created has no Secret; it has an empty one then, and is of no use.

        Secrets can be made here and not read: one that can be made was not there.
        """
        try:
            self.api.create_secret(pod.secret_of({"metadata": metadata}, {}))
        except Refused as error:
            if error.status != 409:
                raise
            return False
        return True

    def _create_secret(self, job: Mapping[str, Any], values: Mapping[str, bytes]) -> None:
        if not job:
            return
        try:
            self.api.create_secret(pod.secret_of(job, values))
        except Refused as error:
            if error.status != 409:
                raise


def _too_much(wants: Wants, options: Options) -> str:
    """Why no node is to be waited for, in one sentence; "" if what is asked for can be had."""
    asked: tuple[tuple[float, float | None, Callable[[float], str]], ...] = (
        (wants.cpus, options.most_cpus, lambda n: f"{n:g} cores"),
        (wants.memory_bytes, options.most_memory_bytes, lambda n: f"{size(int(n))} of memory"),
        (wants.disk_bytes, options.most_disk_bytes, lambda n: f"{size(int(n))} of disk"),
    )
    for amount, most, words in asked:
        if most is not None and amount > most:
            return f"it asks for {words(amount)}, but this cluster gives at most {words(most)} to a step"
    return ""


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False


def ticket_name(key: str, attempt: int) -> str:
    """The name of an attempt's ticket."""
    return f"{key}-{attempt}.json"
