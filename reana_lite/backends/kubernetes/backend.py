"""The door to a cluster: threads that create Jobs, follow their pods, end them in time and take their outcomes.

A Job is deleted once its outcome is (outcome.json): whatever dies meanwhile, the
outcome is there or the Job is. Another worker's Jobs are left alone: only attempts that were submitted here, or that
`recover` was told of, are touched. While the API server or the storage does not answer, everything waits and nothing is
judged. Called by the worker, from one thread (`wake` and `prepare` from any).
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from reana_lite.backends.base import Report, Say, StandIn, Task
from reana_lite.backends.kubernetes import limits, pod, probe
from reana_lite.backends.kubernetes.api import Api, RealApi, Refused
from reana_lite.backends.kubernetes.attempt import Attempt, about_of
from reana_lite.backends.kubernetes.launch import Closed, Launch, Patience, ticket_name
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.outcomes import Outcomes, failed
from reana_lite.backends.kubernetes.record import About, Pod
from reana_lite.backends.kubernetes.recovery import Recovery
from reana_lite.backends.kubernetes.ticket import Documents, ObjectStorage
from reana_lite.backends.kubernetes.volume import Volume
from reana_lite.backends.kubernetes.wants import wants_of
from reana_lite.backends.kubernetes.watch import Watch
from reana_lite.errors import InvalidInput, ReanaLiteError, Unavailable
from reana_lite.job import Cause, Environment, EnvironmentKind, JobSpec, JobState

log = logging.getLogger(__name__)

TICK_S = 0.5
"""How often limits are looked at (seconds)."""

RECONCILE_S = 30.0
"""How often it is asked what became of Jobs of which nothing is heard (seconds)."""

SILENT_S = 10.0
"""How long a Job may be without a pod before it is asked why (seconds)."""


class KubernetesBackend:
    """See the module and backends.base.Backend. `say` takes lines for the user: why something waits."""

    name = "kubernetes"

    def __init__(
        self, storage: Documents, *, options: Options | None = None, api: Api | None = None, say: Say = log.info
    ) -> None:
        self.storage = storage
        self.options = options or Options()
        self.api: Api = api or RealApi(
            self.options.namespace, threads=self.options.create_threads + self.options.finish_threads + 4
        )
        self.say = say
        self.selector = f"{pod.INSTALLATION}={pod.label_value(self.options.installation)},{pod.KEY}"
        self._lock = threading.Condition()
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._reports: deque[Report] = deque()
        self._woken = False
        self._ended = threading.Event()
        self._outcomes = Outcomes(storage)
        self._patiently = Patience(self._ended)
        self._launch = Launch(storage, self.api, options=self.options, ended=self._ended, tell=self._tell)
        self._recovery = Recovery(self.api, self._launch, self.options.installation)
        self._creators: ThreadPoolExecutor | None = None
        self._finishers: ThreadPoolExecutor | None = None
        self._watch: Watch | None = None
        self._ticker: threading.Thread | None = None
        self._probe = probe.Probe(self.api, self.options, self._ended)
        self._reconciled_at = time.monotonic()

    # -- what can be had ---------------------------------------------------------------------------------------------

    def unusable(self) -> str:
        """Why it cannot be used: no storage that pods reach, no cluster, no rights; "" if it can."""
        if isinstance(self.storage, Volume) != bool(self.options.claim):
            return "the option `claim` names a volume with the folder RECAST_STORAGE; with a bucket there must be none"
        if not self.options.claim and not isinstance(self.storage, ObjectStorage):
            return (
                "steps in a cluster need object storage (RECAST_STORAGE=s3://...) or a shared volume (option `claim`)"
            )
        return self.api.check()

    def prepare(self, environment: Environment, stand_ins: Mapping[str, StandIn], say: Say) -> str:
        """The digest of the image, which some node has pulled then. Raises Unavailable with the kubelet's sentence,
        InvalidInput for an image that is not allowed here."""
        wants = wants_of(JobSpec("", "", environment=environment), self.options)
        digest = self._probe.digest(wants.image, say)
        return f"process:{digest}" if environment.kind is EnvironmentKind.PROCESS else digest

    def missing(self, job: JobSpec) -> list[str]:
        """What this cluster does not offer, by its options."""
        try:
            return list(wants_of(job, self.options).missing)
        except InvalidInput as error:
            return [error.message]

    def room(self) -> int:
        """Jobs until `in_flight` are there."""
        with self._lock:
            return max(0, self.options.in_flight - len(self._attempts))

    # -- tasks -------------------------------------------------------------------------------------------------------

    def submit(self, tasks: Sequence[Task]) -> None:
        """Create their Jobs, in other threads."""
        now = time.time()
        with self._lock:
            creators = self._begin()
            for task in tasks:
                if (task.key, task.attempt) in self._attempts:
                    continue
                about = about_of(task, task.job.environment.image, self.options, submitted_at=now)
                one = self._enter(about, task)
                creators.submit(self._guarded, self._create, one)

    def stop(self, key: str, attempt: int) -> None:
        """End it: TERM, then KILL after the grace."""
        with self._lock:
            one = self._attempts.get((key, attempt))
            if one is None or one.over or one.intent == "stopped":
                return
            one.intent, one.intent_at = "stopped", time.time()
            finishers = self._begin_finishers()
        if one.exists:
            finishers.submit(self._guarded, self._end, one)

    def wait(self, timeout_s: float) -> list[Report]:
        """Reports since the last call."""
        with self._lock:
            self._lock.wait_for(lambda: self._reports or self._woken, timeout_s)
            self._woken = False
            reports = list(self._reports)
            self._reports.clear()
            return reports

    def wake(self) -> None:
        """Makes a `wait` of another thread return."""
        with self._lock:
            self._woken = True
            self._lock.notify_all()

    def recover(self, attempts: Iterable[tuple[str, int]]) -> list[Report]:
        """Ended ones from storage; those whose Job is there are followed from now on; the rest is lost.

        While the API server does not answer, nobody is called lost: what became of them is told later.
        """
        with self._lock:
            asked = [place for place in attempts if place not in self._attempts]
            finishers = self._begin_finishers() if asked else None
        if finishers is None:
            return []
        reports = []
        # All that may fail is asked before anything is followed: a recovery that was cut off can be done again.
        for place, found in zip(asked, self._recovery(asked, finishers, selector=self.selector), strict=True):
            if isinstance(found, Report):
                reports.append(found)
                continue
            self._adopt(found.about, created_at=found.created_at, started=found.is_known)
            if found.is_known:
                reports.append(Report(*place))
        return reports

    def close(self) -> None:
        """End all Jobs of ours, unless the options say that they go on; and all threads."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            left = [one for one in self._attempts.values() if not one.over]
            creators, finishers, watch = self._creators, self._finishers, self._watch
            self._lock.notify_all()
        if watch is not None:
            watch.close()
        for pool in (creators, finishers):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
        if self._ticker is not None:
            self._ticker.join()
        if not self.options.leave_running:
            for one in left:
                with contextlib.suppress(Unavailable, Refused):
                    if one.exists:
                        self._send_end(one)
                        self.api.delete_job(one.name)

    # -- threads -----------------------------------------------------------------------------------------------------

    def _begin(self) -> ThreadPoolExecutor:
        """Start all that follows pods; gives the pool that creates Jobs."""
        if self._ended.is_set():
            raise Unavailable("the backend is closed")
        self._begin_finishers()
        if self._creators is None:
            self._creators = ThreadPoolExecutor(self.options.create_threads, thread_name_prefix="create")
            self._watch = Watch(self.api, self.selector, seen=self._seen, gone=self._gone)
            self._ticker = threading.Thread(target=self._tick, name="limits", daemon=True)
            self._watch.start()
            self._ticker.start()
        return self._creators

    def _begin_finishers(self) -> ThreadPoolExecutor:
        if self._finishers is None:
            self._finishers = ThreadPoolExecutor(self.options.finish_threads, thread_name_prefix="finish")
        return self._finishers

    def _guarded(self, work: Callable[[Attempt], None], one: Attempt) -> None:
        """Do something for an attempt; whatever goes wrong in it must not be silence."""
        try:
            work(one)
        except Closed:
            return
        except Exception as error:
            log.exception("%s/%s", one.key, one.attempt)
            message = (
                error.message if isinstance(error, ReanaLiteError | Refused) else f"{type(error).__name__}: {error}"
            )
            self._report_end(one, Report(one.key, one.attempt, failed(Cause.LOST, message, reason="backend")))

    # -- beginnings --------------------------------------------------------------------------------------------------

    def _enter(self, about: About, task: Task | None, *, created_at: float = 0.0) -> Attempt:
        name = pod.job_name(self.options.installation, about.key, about.attempt)
        one = Attempt(about.key, about.attempt, name, about, task, about.submitted_at, created_at)
        one.exists = one.has_ticket = task is None
        self._attempts[one.place] = one
        return one

    def _adopt(self, about: About, *, created_at: float = 0.0, started: bool = True) -> None:
        """Follow an attempt whose Job is there already (or may be)."""
        with self._lock:
            self._begin()
            one = self._enter(about, None, created_at=created_at or time.time())
            one.started = started
        self._catch_up(one)

    def _create(self, one: Attempt) -> None:
        report = self._launch(one)
        if report is not None:
            self._report_end(one, report)
            return
        self._catch_up(one)
        if one.intent:
            self._end(one)

    def _catch_up(self, one: Attempt) -> None:
        """Take what was seen of its pod before it was known that there is a Job to it."""
        for there in self._watch.known() if self._watch is not None else []:
            if there.about is not None and (there.about.key, there.about.attempt) == one.place:
                self._seen(there)

    def _tell(self, one: Attempt, text: str) -> None:
        """Say once why something waits."""
        if text not in one.told:
            one.told.add(text)
            label = one.task.label if one.task is not None and one.task.label else f"{one.key}/{one.attempt}"
            self.say(f"{label}: {text}")

    # -- what is seen of pods ----------------------------------------------------------------------------------------

    def _seen(self, there: Pod) -> None:
        """A pod as it is now."""
        with self._lock:
            one = self._attempts.get((there.about.key, there.about.attempt)) if there.about is not None else None
            # Before its Job is there, what is seen is the pod of an attempt that has ended already, and is told again.
            if one is None or one.over or not one.exists:
                return
            one.pod = there
            if there.step.state in ("running", "terminated") and there.step.started_at and not one.started:
                one.started = True
                self._put(Report(one.key, one.attempt))
            if there.has_ended:
                self._finish_soon(one)
            elif one.intent and not one.sent:
                self._begin_finishers().submit(self._guarded, self._end, one)

    def _gone(self, there: Pod) -> None:
        """A pod that is no more; what is known of it is its last record."""
        with self._lock:
            one = self._attempts.get((there.about.key, there.about.attempt)) if there.about is not None else None
            if one is not None and not one.over and one.exists:
                one.pod = there
                self._finish_soon(one)

    def _finish_soon(self, one: Attempt) -> None:
        one.over = True
        self._begin_finishers().submit(self._guarded, self._finish, one)

    # -- limits ------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            try:
                with self._lock:
                    for one in list(self._attempts.values()):
                        if not one.over:
                            self._look_at(one, time.time())
                    if self.room() == 0:
                        for one in limits.stuck([o for o in self._attempts.values() if not o.over], time.time()):
                            why = " ".join(one.pod.unschedulable.split())[:300] if one.pod is not None else ""
                            self._intend(
                                one, "unschedulable", f"no node can take it, and others wait for its place: {why}"
                            )
                if time.monotonic() - self._reconciled_at >= RECONCILE_S:
                    self._reconciled_at = time.monotonic()
                    self._reconcile()
            except (Unavailable, Refused) as error:
                log.debug("not reconciled: %s", error.message)
            except Exception:
                log.exception("limits could not be looked at")

    def _look_at(self, one: Attempt, now: float) -> None:
        """End what is out of time, cannot begin, or hangs."""
        there = one.pod
        if there is None or there.has_ended:
            return
        if limits.wants_begin(one, now):
            one.go_asked_at = math.inf  # until this question is answered
            self._begin_finishers().submit(self._guarded, self._ask_begin, one)
        if (due := limits.due(one, self.options, now)) is not None:
            self._intend(one, due.intent, due.why)
        if there.unschedulable and not there.node:
            self._tell(one, f"waits for a node: {' '.join(there.unschedulable.split())[:300]}")
        if limits.given_up(there, self.options, now):
            one.intent = one.intent or "lost"
            one.why = one.why or f"its node does not answer ({there.node})"
            self._finish_soon(one)

    def _ask_begin(self, one: Attempt) -> None:
        """Find out when a step began; what does not answer is asked again."""
        try:
            with contextlib.suppress(Unavailable):
                one.go_at = self._outcomes.begun_at(one)
        finally:
            one.go_asked_at = time.time()

    def _intend(self, one: Attempt, intent: str, why: str) -> None:
        if one.intent:
            return
        one.intent, one.why, one.intent_at = intent, why, time.time()
        self._begin_finishers().submit(self._guarded, self._end, one)

    def _end(self, one: Attempt) -> None:
        """Send the end to a pod, or remove a Job that has none."""
        self._patiently(lambda: self._send_end(one))

    def _send_end(self, one: Attempt) -> None:
        with self._lock:
            there = one.pod
        if there is not None:
            one.sent = True
            hard = one.intent in ("image", "start", "unschedulable")
            self.api.delete_pod(there.name, 0 if hard else max(1, round(self.options.grace_s)))
            return
        self.api.delete_job(one.name)
        pods, _ = self.api.list_pods(f"{self.selector},job-name={one.name}")
        with self._lock:
            if not pods and not one.over and not self._ended.is_set():
                self._finish_soon(one)
        for row in pods:  # it came to be meanwhile
            one.sent = True
            self.api.delete_pod(row["metadata"]["name"], max(1, round(self.options.grace_s)))

    def _reconcile(self) -> None:
        """Ask what became of Jobs of which nothing is heard: gone ones are lost, held up ones say why."""
        with self._lock:
            silent = [
                one for one in self._attempts.values()
                if one.exists and not one.over and one.pod is None and time.time() - one.created_at > SILENT_S
            ]  # fmt: skip
        if not silent:
            return
        names = {job["metadata"]["name"] for job in self.api.list_jobs(self.selector)}
        for one in silent:
            if one.name in names:
                for event in self.api.events_of(one.name)[-1:]:
                    self._tell(one, f"waits: {' '.join(str(event.get('message', '')).split())[:300]}")
                continue
            with self._lock:
                if one.pod is None and not one.over:
                    self._finish_soon(one)

    # -- ends --------------------------------------------------------------------------------------------------------

    def _finish(self, one: Attempt) -> None:
        """Find out how it ended, keep that, tell it, remove the Job."""
        report = self._patiently(lambda: self._outcomes.found(one))
        self._patiently(lambda: self._outcomes.keep(report))
        self._report_end(one, report)
        self._patiently(lambda: self._remove(one))

    def _remove(self, one: Attempt) -> None:
        self.api.delete_job(one.name)
        if not one.has_ticket:
            return
        with contextlib.suppress(Unavailable):  # tickets run out by themselves
            self.storage.drop_ticket(ticket_name(one.key, one.attempt))

    def _report_end(self, one: Attempt, report: Report) -> None:
        with self._lock:
            one.over = True
            if self._attempts.pop(one.place, None) is None:
                return
            if not one.started and report.outcome is not None and report.outcome.state is JobState.FINISHED:
                self._put(Report(one.key, one.attempt))
            self._put(report)

    def _put(self, report: Report) -> None:
        self._reports.append(report)
        self._lock.notify_all()
