"""The Kubernetes backend against an API server and a storage of these tests: what it asks, leaves and says."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reana_lite.artifact import Artifact, Manifest
from reana_lite.backends import places
from reana_lite.backends.base import Report, Task
from reana_lite.backends.choice import choose
from reana_lite.backends.kubernetes import backend as door
from reana_lite.backends.kubernetes import limits, pod
from reana_lite.backends.kubernetes.api import Refused
from reana_lite.backends.kubernetes.attempt import Attempt
from reana_lite.backends.kubernetes.backend import KubernetesBackend
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.outcomes import Outcomes
from reana_lite.backends.kubernetes.record import About, Container, Pod
from reana_lite.backends.kubernetes.ticket import bind
from reana_lite.backends.kubernetes.wants import wants_of
from reana_lite.config import Settings
from reana_lite.errors import Unavailable
from reana_lite.job import Cause, JobOutcome, JobSpec, JobState, Resources

LIMIT_S = 20.0
ABOUT = About("k", 1)
MANIFEST = Manifest.of([Artifact("o", "file", 1, "sha256:" + "ab" * 32)])
WELL = {"state": "finished", "exit_code": 0, "digest": MANIFEST.digest, "error": ""}


class Storage:
    """Documents in memory."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, int, str], bytes] = {}

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        text = self.documents.get((key, attempt, "manifest.json"))
        return Manifest.from_json(text) if text else None

    def link(self, key: str, attempt: int, path: str, *, valid_s: int) -> str:
        return f"http://storage/{key}/{attempt}/{path}"

    def permit(self, key: str, attempt: int, *, valid_s: int, max_bytes: int) -> Any:
        return SimpleNamespace(url="http://storage", fields={"key": f"{key}/{attempt}/"})

    def permit_copies(self, key: str, *, valid_s: int, max_bytes: int) -> Any:
        return SimpleNamespace(url="http://storage", fields={"key": f"{key}/"})

    def put_ticket(self, name: str, data: bytes, *, valid_s: int) -> str:
        return f"http://storage/tickets/{name}"

    def drop_ticket(self, name: str) -> None:
        return

    def put_document(self, key: str, attempt: int, name: str, data: bytes) -> None:
        self.documents[key, attempt, name] = data

    def get_document(self, key: str, attempt: int, name: str) -> bytes | None:
        return self.documents.get((key, attempt, name))

    def break_down(self) -> None:
        """From now on the storage answers nothing but for what it has."""

        def get_document(key: str, attempt: int, name: str) -> bytes | None:
            if (key, attempt, name) not in self.documents:
                raise Unavailable("the storage does not answer")
            return self.documents[key, attempt, name]

        self.get_document = get_document  # type: ignore[method-assign]


class Watching:
    def __init__(self) -> None:
        self.events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (event := self.events.get(timeout=LIMIT_S)) is not None:
            yield event

    def close(self) -> None:
        self.events.put(None)


class Cluster:
    """An API server: Jobs and pods as documents; `asked` counts its verbs; while `away` it answers nothing."""

    namespace = "n"

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.secrets: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.created = threading.Event()
        self.removed = threading.Event()
        self.away = False
        self._watches: list[Watching] = []

    def _ask(self, verb: str) -> None:
        self.asked[verb] += 1
        if self.away:
            raise Unavailable("the API server does not answer")

    def check(self) -> str:
        return ""

    def create_job(self, job: Mapping[str, Any]) -> dict[str, Any]:
        self._ask("create_job")
        name = job["metadata"]["name"]
        if name in self.jobs:
            raise Refused(409, "AlreadyExists", "there is one")
        self.jobs[name] = {**job, "metadata": {**job["metadata"], "uid": name}}
        return self.jobs[name]

    def get_job(self, name: str) -> dict[str, Any]:
        self._ask("get_job")
        return self.jobs.get(name, {})

    def list_jobs(self, selector: str) -> list[dict[str, Any]]:
        self._ask("list_jobs")
        return list(self.jobs.values())

    def delete_job(self, name: str) -> None:
        self._ask("delete_job")
        self.jobs.pop(name, None)
        self.removed.set()

    def create_secret(self, secret: Mapping[str, Any]) -> None:
        self._ask("create_secret")
        if secret["metadata"]["name"] in self.secrets:
            raise Refused(409, "AlreadyExists", "there is one")
        self.secrets.add(secret["metadata"]["name"])
        self.created.set()

    def list_pods(self, selector: str) -> tuple[list[dict[str, Any]], str]:
        self._ask("list_pods")
        return list(self.pods.values()), "1"

    def watch_pods(self, selector: str, version: str) -> Watching:
        self._ask("watch_pods")
        watching = Watching()
        for there in self.pods.values():
            watching.events.put({"type": "MODIFIED", "object": there})
        self._watches.append(watching)
        return watching

    def delete_pod(self, name: str, grace_s: int) -> None:
        self._ask("delete_pod")

    def events_of(self, name: str) -> list[dict[str, Any]]:
        return []

    def say(self, what: str, there: Mapping[str, Any]) -> None:
        for watching in self._watches:
            watching.events.put({"type": what, "object": dict(there)})

    def play(self, job: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """The pod of a Job as the cluster tells it now."""
        metadata = {
            **job["spec"]["template"]["metadata"], "name": "p-" + job["metadata"]["name"], "uid": job["metadata"]["name"],
            "resourceVersion": "2",
        }  # fmt: skip
        spec = {} if status["phase"] == "Pending" else {"nodeName": "node"}
        there = self.pods[metadata["name"]] = {"metadata": metadata, "spec": spec, "status": status}
        self.say("MODIFIED", there)


def running(**conditions: tuple[str, str]) -> dict[str, Any]:
    """The status of a pod that runs; `conditions`: status and since when, by type."""
    rows = [{"type": kind, "status": value, "lastTransitionTime": at} for kind, (value, at) in conditions.items()]
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    containers = [{"name": name, "state": state} for name in (pod.STAGER, pod.STEP_NAME)]
    return {"phase": "Running", "conditions": rows, "containerStatuses": containers}


def ended(record: Mapping[str, Any]) -> dict[str, Any]:
    """The status of a pod that has ended well, its stager having told that."""
    state = {"exitCode": 0, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}
    told = {**state, "message": json.dumps(record)}
    rows = [
        {"name": pod.STAGER, "state": {"terminated": told}},
        {"name": pod.STEP_NAME, "state": {"terminated": state}},
    ]
    return {"phase": "Succeeded", "containerStatuses": rows}


def task(key: str) -> Task:
    return Task(key, 1, JobSpec("/f", "true"))


def job_of(key: str) -> dict[str, Any]:
    one = task(key)
    return pod.job_of(one, bind(one), wants_of(one.job, Options()), Options(), submitted_at=0.0)


def name_of(key: str) -> str:
    return pod.job_name(Options().installation, key, 1)


def until(backend: KubernetesBackend, wanted: int) -> list[Report]:
    """So many ends; what is told besides is left out."""
    found: list[Report] = []
    end = time.monotonic() + LIMIT_S
    while len(found) < wanted and time.monotonic() < end:
        found += [report for report in backend.wait(1.0) if report.outcome is not None]
    assert len(found) == wanted
    return found


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def backend(storage: Storage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesBackend]:
    monkeypatch.setattr(door, "TICK_S", 0.02)
    one = KubernetesBackend(storage, api=cluster)
    yield one
    one.close()


def keep(storage: Storage, key: str) -> None:
    """Storage as it is when a step has ended and its outcome was kept."""
    outcome = JobOutcome(JobState.FINISHED, exit_code=0, digest=MANIFEST.digest)
    storage.put_document(key, 1, "manifest.json", MANIFEST.to_json().encode())
    storage.put_document(key, 1, places.OUTCOME, json.dumps(outcome.to_dict()).encode())


def test_an_attempt_is_a_job_and_a_secret_and_nothing_is_left_of_it(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage
) -> None:
    backend.submit([task("a")])
    assert cluster.created.wait(LIMIT_S)
    assert cluster.secrets == {name_of("a")}
    storage.put_document("a", 1, "manifest.json", MANIFEST.to_json().encode())
    cluster.play(cluster.jobs[name_of("a")], ended(WELL))
    (report,) = until(backend, 1)
    assert report.outcome is not None
    assert report.outcome.state is JobState.FINISHED
    assert report.manifest == MANIFEST
    assert (("a", 1, places.OUTCOME) in storage.documents, cluster.removed.wait(LIMIT_S)) == (True, True)
    assert cluster.jobs == {}


def test_what_has_ended_is_not_begun_again(backend: KubernetesBackend, cluster: Cluster, storage: Storage) -> None:
    keep(storage, "a")
    backend.submit([task("a")])
    (report,) = until(backend, 1)
    assert report.manifest == MANIFEST
    assert cluster.asked["create_job"] == 0


def test_what_is_told_again_is_what_was_told_whatever_is_still_seen_of_its_pod(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage
) -> None:
    backend.submit([task("a")])
    assert cluster.created.wait(LIMIT_S)
    storage.put_document("a", 1, "manifest.json", MANIFEST.to_json().encode())
    job = cluster.jobs[name_of("a")]
    cluster.play(job, ended(WELL))
    (first,) = until(backend, 1)
    read = storage.get_document

    def get_document(key: str, attempt: int, name: str) -> bytes | None:
        cluster.play(job, ended(WELL))  # its removal is seen while storage is asked
        seen = threading.Event()
        watch = backend._watch
        assert watch is not None
        watch.seen = lambda there: (backend._seen(there), seen.set())
        cluster.play(job, ended(WELL))
        assert seen.wait(LIMIT_S)
        return read(key, attempt, name)

    storage.get_document = get_document  # type: ignore[method-assign]
    backend.submit([task("a")])
    (again,) = until(backend, 1)
    assert again == first


def test_a_job_that_is_there_already_is_followed_with_all_that_was_seen_of_it(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage
) -> None:
    backend.submit([task("other")])
    assert cluster.created.wait(LIMIT_S)
    job = cluster.create_job(job_of("there"))
    storage.put_document("there", 1, "manifest.json", MANIFEST.to_json().encode())
    watch = backend._watch
    assert watch is not None
    seen = threading.Event()
    watch.seen = lambda there: (backend._seen(there), seen.set())
    cluster.play(job, ended(WELL))
    assert seen.wait(LIMIT_S)
    backend.submit([task("there")])
    (report,) = until(backend, 1)
    assert report.outcome is not None
    assert (report.key, report.outcome.state) == ("there", JobState.FINISHED)


def test_many_attempts_are_recovered_with_one_list(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage
) -> None:
    for n in range(40):
        keep(storage, f"done{n}")
    first = KubernetesBackend(storage, options=Options(leave_running=True), api=cluster)
    first.submit([task("there"), task("going")])
    while len(cluster.secrets) < 2:
        assert cluster.created.wait(LIMIT_S)
        cluster.created.clear()
    first.close()
    cluster.jobs[name_of("going")]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.asked.clear()
    asked = [*((f"done{n}", 1) for n in range(40)), ("there", 1), ("going", 1), ("never", 1)]
    reports = backend.recover(asked)
    assert [(report.key, report.attempt) for report in reports] == asked
    states = {report.key: report.outcome and (report.outcome.state, report.outcome.cause) for report in reports}
    assert states.pop("there") is None
    assert states.pop("going") == states.pop("never") == (JobState.FAILED, Cause.LOST)
    assert set(states.values()) == {(JobState.FINISHED, None)}
    assert (cluster.asked["list_jobs"], cluster.asked["get_job"]) == (1, 0)
    assert backend.recover(asked[-3:-2]) == [], "it is followed already"


def test_a_recovery_that_was_cut_off_can_be_done_again(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage
) -> None:
    created = cluster.create_job(job_of("there"))
    cluster.create_secret(pod.secret_of(created, {}))
    storage.break_down()
    with pytest.raises(Unavailable):
        backend.recover([("there", 1), ("never", 1)])
    del storage.get_document  # type: ignore[method-assign]
    reports = backend.recover([("there", 1), ("never", 1)])
    assert [report.outcome is None for report in reports] == [True, False]


def test_a_job_whose_worker_died_before_it_had_a_secret_is_removed_at_once(
    backend: KubernetesBackend, cluster: Cluster
) -> None:
    cluster.create_job(job_of("half"))
    (report,) = backend.recover([("half", 1)])
    assert report.outcome is not None
    assert (report.outcome.cause, report.outcome.details["reason"]) == (Cause.LOST, "shut-down")
    assert cluster.jobs == {}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Resources(cpus=9.0), "9 cores, but this cluster gives at most 8 cores"),
        (Resources(memory_bytes=2**36), "64 GiB of memory, but this cluster gives at most 32 GiB of memory"),
    ],
)
def test_what_no_node_has_is_told_at_once_and_takes_no_place(
    storage: Storage, cluster: Cluster, asked: Resources, said: str
) -> None:
    one = KubernetesBackend(storage, options=Options(most_cpus=8.0, most_memory_bytes=2**35), api=cluster)
    one.submit([Task("big", 1, JobSpec("/f", "true", resources=asked))])
    (report,) = until(one, 1)
    one.close()
    assert report.outcome is not None
    assert said in report.outcome.message
    assert (report.outcome.cause, cluster.asked["create_job"]) == (Cause.EXIT, 0)


def test_pods_that_no_node_takes_give_their_places_to_others(
    storage: Storage, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "TICK_S", 0.02)
    one = KubernetesBackend(storage, options=Options(in_flight=2), api=cluster)
    one.submit([task("vain")])
    assert cluster.created.wait(LIMIT_S)
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: insufficient gpu."}
    cluster.play(cluster.jobs[name_of("vain")], {"phase": "Pending", "conditions": [condition]})
    assert one.wait(0.3) == [], "there is room for others"
    one.submit([task("other")])
    end = time.monotonic() + LIMIT_S
    while cluster.asked["delete_pod"] == 0:
        assert time.monotonic() < end
        one.wait(0.05)
    assert one.room() == 0
    gone = cluster.pods.pop("p-" + name_of("vain"))
    cluster.say("DELETED", gone)
    (report,) = until(one, 1)
    one.close()
    assert report.outcome is not None
    assert (report.outcome.cause, report.outcome.details["reason"]) == (Cause.LOST, "unschedulable")
    assert "insufficient gpu" in report.outcome.message


def pending(created_at: float) -> Attempt:
    return Attempt("k", 1, "n", ABOUT, pod=Pod("p", created_at=created_at, unschedulable="no room"))


def placed(created_at: float, scheduled_at: float) -> Attempt:
    return Attempt("k", 1, "n", ABOUT, pod=Pod("p", created_at=created_at, scheduled_at=scheduled_at, node="n"))


def test_only_what_is_overtaken_or_stands_still_is_stuck() -> None:
    now = 10_000.0
    old, new = pending(now - 2000), pending(now - 100)
    assert limits.stuck([old, new], now) == [old], "no node for anybody"
    assert limits.stuck([old, placed(now - 3000, now - 50)], now) == [], "a full cluster: it is next"
    assert limits.stuck([old, placed(now - 1000, now - 50)], now) == [old], "a later one got a node"


def test_a_place_written_anew_is_read_anew(backend: KubernetesBackend, storage: Storage) -> None:
    other = Manifest.of([Artifact("o", "file", 2, "sha256:" + "cd" * 32)])
    manifest = backend._launch._manifest
    storage.put_document("in", 1, "manifest.json", MANIFEST.to_json().encode())
    assert manifest("in", 1, MANIFEST.digest) == MANIFEST
    storage.put_document("in", 1, "manifest.json", other.to_json().encode())
    assert manifest("in", 1, MANIFEST.digest) == MANIFEST, "it is at hand"
    assert manifest("in", 1, other.digest) == other


def test_nobody_is_called_lost_while_the_api_server_is_away(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "SILENT_S", 0.0)
    monkeypatch.setattr(door, "RECONCILE_S", 0.05)
    keep(storage, "done")
    cluster.away = True
    (report,) = backend.recover([("done", 1), ("unknown", 1)])
    assert report.key == "done"
    assert backend.wait(0.3) == []
    cluster.away = False
    (report,) = until(backend, 1)
    assert report.outcome is not None
    assert (report.key, report.outcome.cause) == ("unknown", Cause.LOST)


@pytest.mark.parametrize("leave_running", [True, False])
def test_what_runs_is_ended_with_the_program_unless_another_is_to_follow_it(
    storage: Storage, cluster: Cluster, *, leave_running: bool
) -> None:
    one = KubernetesBackend(storage, options=Options(leave_running=leave_running), api=cluster)
    one.submit([task("a")])
    assert cluster.created.wait(LIMIT_S)
    cluster.play(cluster.jobs[name_of("a")], running())
    end = time.monotonic() + LIMIT_S
    while not one.wait(1.0):
        assert time.monotonic() < end
    one.close()
    assert (name_of("a") in cluster.jobs) is leave_running
    assert cluster.asked["delete_pod"] == (0 if leave_running else 1)


def test_a_step_on_a_node_that_does_not_answer_is_lost_in_the_end_or_finished_if_it_was(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEAF_S", 0.0)
    backend.submit([task("held"), task("done")])
    while len(cluster.secrets) < 2:
        assert cluster.created.wait(LIMIT_S)
        cluster.created.clear()
    storage.put_document("done", 1, "manifest.json", MANIFEST.to_json().encode())
    storage.put_document("done", 1, "stager.json", json.dumps(WELL).encode())
    silent = running(Ready=("False", "2026-01-01T00:00:00Z"), ContainersReady=("True", "2026-01-01T00:00:00Z"))
    for key in ("held", "done"):
        cluster.play(cluster.jobs[name_of(key)], silent)
    ends = {report.key: report.outcome for report in until(backend, 2)}
    held, done = ends["held"], ends["done"]
    assert held is not None
    assert done is not None
    assert (held.cause, held.details["reason"]) == (Cause.LOST, "node-lost")
    assert held.message == "its node does not answer (node)"
    assert done.state is JobState.FINISHED


RUNS = Container("running", started_at=1.0)
OVER = Container("terminated", exit_code=0)


@pytest.mark.parametrize(
    ("there", "gives_up_after_s"),
    [
        (Pod("p", stager=RUNS, step=RUNS), None),
        (Pod("p", stager=RUNS, step=RUNS, unheard_at=1000.0), 60 + 30 + 60),
        (Pod("p", stager=OVER, step=OVER, unheard_at=1000.0), None),
        (Pod("p", stager=RUNS, step=RUNS, deleting_at=1000.0, deletion_grace_s=30.0), 60),
        # removed by the node controller in the grace of uploads: a step that runs has only its own
        (
            Pod("p", stager=RUNS, step=RUNS, deleting_at=1000.0, deletion_grace_s=600.0, unheard_at=300.0,
                disruption="DeletionByTaintManager"),
            30 - 600 + 60,
        ),
        (
            Pod("p", stager=RUNS, step=OVER, deleting_at=1000.0, deletion_grace_s=600.0,
                disruption="DeletionByTaintManager"),
            60,
        ),
    ],
)  # fmt: skip
def test_when_a_pod_is_given_up(there: Pod, gives_up_after_s: float | None) -> None:
    options = Options(node_lost_s=60, grace_s=30.0, upload_grace_s=600.0)
    if gives_up_after_s is None:
        assert not limits.given_up(there, options, 1e9)
        return
    assert not limits.given_up(there, options, 1000.0 + gives_up_after_s)
    assert limits.given_up(there, options, 1001.0 + gives_up_after_s)


def test_outputs_are_waited_for_as_long_as_they_may_be_kept() -> None:
    over = Container("terminated", exit_code=0, ended_at=1000.0)
    one = Attempt("k", 1, "n", ABOUT, pod=Pod("p", step=over, stager=RUNS))
    options = Options(links_valid_s=500)
    assert limits.due(one, options, 1499.0) is None
    found = limits.due(one, options, 1501.0)
    assert found is not None
    assert found.intent == "stager"


def test_a_time_limit_is_counted_from_the_begin_of_the_step_itself() -> None:
    runs = Container("running", started_at=1000.0)
    one = Attempt("k", 1, "n", About("k", 1, timeout_s=60.0), pod=Pod("p", step=runs, stager=runs))
    options = Options()
    assert not limits.wants_begin(one, 1059.0), "it cannot be out of time"
    assert limits.wants_begin(one, 1060.0)
    one.go_asked_at = 1060.0
    assert not limits.wants_begin(one, 1061.0), "it has just been asked"
    assert limits.wants_begin(one, 1062.0)
    assert limits.due(one, options, 1062.0) is None, "its inputs are being brought"
    one.go_at = 1050.0
    assert not limits.wants_begin(one, 1070.0)
    assert limits.due(one, options, 1109.0) is None
    assert limits.due(one, options, 1110.0) == limits.Due("time")
    one.go_at = 0.0
    assert limits.due(one, options, 1059.0 + limits.STAGE_IN_S) is None
    assert limits.due(one, options, 1060.0 + limits.STAGE_IN_S) == limits.Due("time"), "inputs are not brought for ever"


def test_a_step_is_ended_by_the_clock_of_its_stager(
    backend: KubernetesBackend, cluster: Cluster, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, deleted = threading.Event(), threading.Event()
    there = storage.get_document
    monkeypatch.setattr(cluster, "delete_pod", lambda name, grace_s: deleted.set())

    def get_document(key: str, attempt: int, name: str) -> bytes | None:
        if name == "begun.json":
            asked.set()
        return there(key, attempt, name)

    monkeypatch.setattr(storage, "get_document", get_document)
    monkeypatch.setattr(limits, "ASK_S", 0.0)
    backend.submit([Task("slow", 1, JobSpec("/f", "true", resources=Resources(timeout_s=10.0)))])
    assert cluster.created.wait(LIMIT_S)
    now = datetime.now(UTC)
    status = json.dumps(running()).replace("2026-01-01T00:00:00Z", f"{now - timedelta(seconds=600):%Y-%m-%dT%H:%M:%SZ}")
    cluster.play(cluster.jobs[name_of("slow")], json.loads(status))
    assert asked.wait(LIMIT_S)
    assert not deleted.is_set(), "its inputs are being brought"
    storage.put_document("slow", 1, "begun.json", json.dumps({"go_at": now.timestamp() - 8.0}).encode())
    assert deleted.wait(LIMIT_S)
    assert time.time() >= now.timestamp() + 2.0
    cluster.play(cluster.jobs[name_of("slow")], ended({"state": "failed", "cause": "time", "exit_code": 143}))
    (report,) = until(backend, 1)
    assert report.outcome is not None
    assert report.outcome.cause is Cause.TIME


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"go_at": "x"}', b'{"go_at": null}'])
def test_what_a_stager_tells_badly_of_the_begin_is_not_believed(storage: Storage, content: bytes) -> None:
    storage.put_document("k", 1, "begun.json", content)
    assert Outcomes(storage).begun_at(Attempt("k", 1, "n", ABOUT)) == 0.0


def test_trouble_that_passes_is_forgotten() -> None:
    waits = Pod("p", step=Container("waiting", "ImagePullBackOff", "no such image"), stager=RUNS)
    one = Attempt("k", 1, "n", About("k", 1, image="x:1"), pod=waits)
    options = Options(image_deadline_s=100.0)
    assert limits.due(one, options, 1000.0) is None
    one.pod = Pod("p", step=RUNS, stager=RUNS)
    assert limits.due(one, options, 1090.0) is None
    one.pod = waits
    assert limits.due(one, options, 1101.0) is None, "it is a new trouble"
    found = limits.due(one, options, 1201.0)
    assert found is not None
    assert (found.intent, found.why) == ("image", "image x:1 cannot be had: ImagePullBackOff no such image")


@pytest.mark.parametrize(("text", "used"), [("", "of-this-database"), ("installation: ours", "ours")])
def test_installations_in_one_namespace_are_told_apart_by_their_databases(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, used: str
) -> None:
    monkeypatch.setattr(door, "RealApi", lambda *_, **__: Cluster())
    (tmp_path / "options.yml").write_text(text)
    settings = Settings.from_environment(
        {
            "RECAST_HOME": str(tmp_path),
            "HOME": str(tmp_path),
            "RECAST_KUBERNETES_OPTIONS": str(tmp_path / "options.yml"),
        }
    )
    one: Any = choose("kubernetes", {}, settings=settings, storage=cast(Any, storage), installation="of-this-database")
    assert one.options.installation == used
    assert used in one.selector
    one.close()
