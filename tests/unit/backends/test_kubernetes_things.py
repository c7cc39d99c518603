"""The pure parts of the Kubernetes backend: images, options, wants, the Job, records, ends."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.artifact import Artifact, Manifest
from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes import ends, images, options, pod, record
from reana_lite.backends.kubernetes.ends import Evidence
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.record import About, Container, Pod
from reana_lite.backends.kubernetes.ticket import bind
from reana_lite.backends.kubernetes.wants import wants_of
from reana_lite.errors import InvalidInput
from reana_lite.job import (
    RUN_ROOT,
    Cause,
    Environment,
    EnvironmentKind,
    Input,
    JobSpec,
    JobState,
    Mount,
    Resources,
    Secret,
    SecretKind,
)

DIGEST = "sha256:" + "ab" * 32
DEFAULTS = Options()
IMAGE = Environment(EnvironmentKind.CONTAINER, "atlas/analysis:1")


def job(line: str = "true", **resources: Any) -> JobSpec:
    return JobSpec(f"{RUN_ROOT}/own", line, environment=IMAGE, resources=Resources(**resources))


def document(task: Task, chosen: Options = DEFAULTS) -> dict[str, Any]:
    return pod.job_of(task, bind(task), wants_of(task.job, chosen), chosen, submitted_at=1.0)


def step_of(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["spec"]["template"]["spec"]["containers"][1]
    return found


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("debian", "docker.io/library/debian", "latest", ""),
        ("atlas/x:v1", "docker.io/atlas/x", "v1", ""),
        ("localhost/x:1", "localhost/x", "1", ""),
        ("r.example.org:5000/a/b/c", "r.example.org:5000/a/b/c", "latest", ""),
        (f"ghcr.io/a/b@{DIGEST}", "ghcr.io/a/b", "", DIGEST),
    ],
)
def test_references(text: str, name: str, tag: str, digest: str) -> None:
    found = images.parse(text)
    assert (found.name, found.tag, found.digest) == (name, tag, digest)


@pytest.mark.parametrize("text", ["", "Debian", "a b", "x:", "x@sha256:12", "a/../b", "x\n", "$(x)", "http://x/y"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        images.parse(text)


@pytest.mark.parametrize(
    ("rule", "text", "allowed"),
    [
        ("docker.io/atlas/*", "atlas/x:1", True),
        ("atlas/*", "atlas/x:1", True),
        ("docker.io/atlas/*", "atlas/x/y:1", False),
        ("docker.io/atlas/*", "evil.example.org/docker.io/atlas/x", False),
        ("docker.io/atlas/*", "docker.io.evil.org/atlas/x", False),
        ("r.example.org/**", "r.example.org/a/b/c", True),
        ("debian", "docker.io/library/debian:12", True),
        ("debian:12", "debian:13", False),
        (f"debian@{DIGEST}", f"debian@{DIGEST}", True),
        (f"debian@{DIGEST}", "debian", False),
    ],
)
def test_rules_are_matched_by_parts_not_by_text(rule: str, text: str, allowed: bool) -> None:
    if allowed:
        images.check_allowed(text, [rule])
        return
    with pytest.raises(InvalidInput, match="setting `images`"):
        images.check_allowed(text, [rule])


def test_images_may_have_to_be_named_by_digest() -> None:
    images.check_allowed(f"debian@{DIGEST}", [], by_digest=True)
    with pytest.raises(InvalidInput, match="by digest"):
        images.check_allowed("debian:12", [], by_digest=True)


def test_options_name_every_fault_together() -> None:
    with pytest.raises(InvalidInput) as caught:
        options.options_from(
            {"namspace": "x", "uid": 0, "cpus": "many", "placement": "far", "images": "x"}, source="o.yml"
        )
    lines = caught.value.message.splitlines()
    assert len(lines) == 5
    assert "did you mean namespace" in lines[0]
    assert "root" in lines[1]


def test_options_are_read() -> None:
    found = options.options_from(
        {"memory_bytes": "4Gi", "cpus": 2, "timeout_s": None, "images": ["a/*"], "backfill": True}
    )
    assert (found.memory_bytes, found.cpus, found.timeout_s, found.images, found.backfill) == (
        2**32,
        2.0,
        None,
        ("a/*",),
        True,
    )


def test_resources_as_yadage_and_reana_spell_them() -> None:
    chosen = Options(cvmfs_claim="cvmfs", gpu_resource="nvidia.com/gpu", backfill_class="low")
    other = (
        "CVMFS",
        "gpus: 2",
        "kubernetes_uid: 500",
        "ephemeral_storage: 5Gi",
        "compute_backend: kubernetes",
        "kerberos: false",
    )
    wants = wants_of(job(other=(*other, "backfill: true"), memory_bytes=7, timeout_s=3.0), chosen)
    assert wants.missing == ()
    assert (wants.cvmfs, wants.gpus, wants.uid, wants.disk_bytes) == (True, 2, 500, 5 * 2**30)
    assert (wants.memory_bytes, wants.timeout_s, wants.priority_class) == (7, 3.0, "low")


@pytest.mark.parametrize(
    "asked",
    ["CVMFS", "gpus: 1", "kubernetes_uid: 0", "compute_backend: slurmcern", "kerberos: true", "voms_proxy: true"],
)
def test_what_is_not_offered_is_named(asked: str) -> None:
    (phrase,) = wants_of(job(other=(asked,)), Options()).missing
    assert asked in phrase


def test_more_disk_than_there_is_is_told() -> None:
    asked = job(other=("ephemeral_storage: 900T",))
    assert wants_of(asked, DEFAULTS).missing == ()
    (phrase,) = wants_of(asked, Options(most_disk_bytes=10**12)).missing
    assert "1000000000000" in phrase


def test_a_pod_is_restricted_and_has_no_token() -> None:
    spec = document(Task("k", 1, job()))["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert [v["name"] for v in spec["volumes"]] == ["work"]
    assert "env" not in [
        name for row in step_of(document(Task("k", 1, job())))["env"] for name in row if name == "valueFrom"
    ]


def test_an_attempt_is_one_job_and_one_pod() -> None:
    spec = document(Task("k", 1, job()))["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["podReplacementPolicy"]) == (0, 1, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def expanded(text: str) -> str:
    """What the kubelet makes of a text whose references it does not know."""
    return text.replace("$$", "$")


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=40))
def test_nothing_of_the_users_is_changed_or_becomes_syntax(text: str) -> None:
    task = Task("k", 1, job(text), label=text)
    made = document(task)
    command = step_of(made)["command"]
    assert expanded(command[6]) == bind(task).line
    assert [expanded(word) for word in command[:3]] == ["sh", "-c", pod.PROLOGUE]
    for value in made["metadata"]["labels"].values():
        assert value == pod.label_value(value)
        assert len(value) <= 63
    assert json.loads(json.dumps(made)) == made


@given(st.text(max_size=80), st.integers(1, 999))
def test_names_are_names_and_differ(key: str, attempt: int) -> None:
    name = pod.job_name("site", key, attempt)
    assert len(name) <= 57
    assert name.replace("-", "").isalnum()
    assert name == name.lower()
    assert name != pod.job_name("site", key + "x", attempt)
    assert name != pod.job_name("other", key, attempt)


def test_inputs_are_read_only_unless_the_task_says_otherwise() -> None:
    inputs = (Input(f"{RUN_ROOT}/up", "up", 1, "d"),)
    for writable in (False, True):
        made = document(Task("k", 1, job(f"cat {RUN_ROOT}/up/x"), inputs, writable_inputs=writable))
        mounts = {m["mountPath"]: m.get("readOnly", False) for m in step_of(made)["volumeMounts"]}
        assert mounts["/reana-lite/store"] is not writable
        assert mounts["/reana-lite/store/jobs/k/1"] is False
        # a sub-path belongs to root, and who does not own its folder cannot set its times (cp -a, rsync)
        assert "/reana-lite/store/jobs/k/1/files" not in mounts
        assert "cat /reana-lite/store/jobs/up/1/files/x" in step_of(made)["command"]


def test_small_texts_come_by_the_secret() -> None:
    environment = Environment(EnvironmentKind.CONTAINER, "x", mounts=(Mount("/etc/p.json", "{}"),))
    task = Task("k", 1, JobSpec(f"{RUN_ROOT}/own", "true", environment=environment))
    assert pod.secret_values(bind(task), "link") == {"ticket": b"link", "mount0": b"{}"}
    mount = next(m for m in step_of(document(task))["volumeMounts"] if m["name"] == "texts")
    assert (mount["mountPath"], mount["subPath"], mount["readOnly"]) == ("/etc/p.json", "mount0", True)


def test_secrets_of_the_run_are_the_steps_alone_and_in_no_job() -> None:
    secrets = (Secret("TOKEN", SecretKind.ENV, b"hush-1"), Secret("key.pem", SecretKind.FILE, b"\0hush-2"))
    made = document(task := Task("k", 1, job(), secrets=secrets))
    assert "hush" not in json.dumps(made)
    assert {b"hush-1", b"\0hush-2"} <= set(pod.secret_values(bind(task), "link", secrets).values())
    stager, step = made["spec"]["template"]["spec"]["containers"]
    assert "secret0" in json.dumps(step["env"])
    assert "secret0" not in json.dumps(stager)
    assert "/reana-lite/secrets" not in json.dumps(stager)
    assert {"name": "RECAST_SECRETS", "value": "/reana-lite/secrets"} in step["env"]


def test_long_lines_come_by_file() -> None:
    task = Task("k", 1, job("echo " + "x" * 40_000))
    assert len(json.dumps(document(task))) < 20_000
    assert bind(task).line_in_file


def test_the_prologue_is_good_shell() -> None:
    assert subprocess.run(["sh", "-n", "-c", pod.PROLOGUE], check=False).returncode == 0


def test_records_of_pods() -> None:
    labels = document(Task("k", 2, job(), label="run/stage"))["metadata"]
    status = {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"},
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
        ],
        "containerStatuses": [
            {"name": "stager", "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}}},
            {"name": "step", "imageID": f"x@{DIGEST}", "state": {"terminated": {"exitCode": 3, "reason": "Error",
             "startedAt": "2026-01-01T00:00:04Z", "finishedAt": "2026-01-01T00:00:09Z"}}},
        ],
    }  # fmt: skip
    metadata = {
        "name": "p",
        "uid": "u",
        "creationTimestamp": "2026-01-01T00:00:01Z",
        "annotations": labels["annotations"],
    }
    found = record.pod_from({"metadata": metadata, "spec": {"nodeName": "n"}, "status": status})
    assert found.about is not None
    assert (found.about.key, found.about.attempt) == ("k", 2)
    assert (found.step.exit_code, found.step.ended_at - found.step.started_at, found.node) == (3, 5.0, "n")
    assert (found.disruption, found.has_ended) == ("PreemptionByScheduler", False)
    times = record.phases(
        found, submitted_at=found.created_at - 2, created_at=found.created_at - 1, staged={"step": 1.5}
    )
    assert times == {"queued": 1.0, "created": 1.0, "scheduled": 1.0, "pulling": 2.0, "step": 1.5}


MANIFEST = Manifest.of([Artifact("o", "file", 1, "d")])
ABOUT = About("k", 1, timeout_s=9.0, memory_bytes=2**20, disk_bytes=2**30, image="x:1", digest=DIGEST)
WELL = {"state": "finished", "exit_code": 0, "digest": MANIFEST.digest, "error": ""}


def ended(code: int = 0, reason: str = "", **more: Any) -> Pod:
    step = Container("terminated", reason, exit_code=code, image_id=f"x@{DIGEST}")
    return Pod("p", about=ABOUT, stager=Container("terminated", exit_code=0), step=step, **more)


@pytest.mark.parametrize(
    ("evidence", "state", "cause", "reason"),
    [
        (Evidence(ABOUT, ended(), WELL, MANIFEST), JobState.FINISHED, None, None),
        (Evidence(ABOUT, ended(disruption="DeletionByTaintManager"), WELL, MANIFEST), JobState.FINISHED, None, None),
        (Evidence(ABOUT, None, WELL, MANIFEST), JobState.FINISHED, None, None),
        (Evidence(ABOUT, None, WELL, None), JobState.FAILED, Cause.LOST, "deleted"),
        (Evidence(ABOUT, ended(), WELL, MANIFEST, intent="stopped"), JobState.STOPPED, None, None),
        (Evidence(ABOUT, ended(143), {"state": "stopped"}, intent="time"), JobState.FAILED, Cause.TIME, None),
        (
            Evidence(ABOUT, ended(3), {"state": "failed", "cause": "exit", "message": "exit code 3"}),
            JobState.FAILED, Cause.EXIT, None,
        ),
        (Evidence(ABOUT, ended(137, "OOMKilled"), {}), JobState.FAILED, Cause.MEMORY, None),
        (
            Evidence(ABOUT, ended(137, reason="", phase="Failed", disruption="PreemptionByScheduler"), {}),
            JobState.FAILED, Cause.LOST, "preempted",
        ),
        (Evidence(ABOUT, ended(143, deleting_at=1.0), {"state": "stopped"}), JobState.FAILED, Cause.LOST, "deleted"),
        (Evidence(ABOUT, None), JobState.FAILED, Cause.LOST, "deleted"),
        (Evidence(ABOUT, Pod("p"), intent="image", why="no"), JobState.FAILED, Cause.IMAGE, "image-pull"),
        (
            Evidence(ABOUT, Pod("p"), intent="image", why="image x cannot be had: ErrImagePull x: not found"),
            JobState.FAILED, Cause.IMAGE, "image-missing",
        ),
        (Evidence(ABOUT, ended(128, "StartError"), {}), JobState.FAILED, Cause.IMAGE, "image-start"),
        (
            Evidence(ABOUT, ended(0), {"state": "failed", "cause": "lost", "error": "no storage"}),
            JobState.FAILED, Cause.LOST, "staging",
        ),
        (
            Evidence(About("k", 1, digest="sha256:" + "cd" * 32), ended(), WELL, MANIFEST),
            JobState.FAILED, Cause.LOST, "image-changed",
        ),
    ],
)  # fmt: skip
def test_ends(evidence: Evidence, state: JobState, cause: Cause | None, reason: str | None) -> None:
    outcome = ends.outcome_of(evidence)
    assert (outcome.state, outcome.cause, outcome.details.get("reason")) == (state, cause, reason)
    assert bool(outcome.message) is (state is not JobState.FINISHED)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('Usage of EmptyDir volume "work" exceeds the limit "20M".', Cause.DISK),
        ("Container step exceeded its local ephemeral storage limit", Cause.DISK),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 20M.", Cause.DISK),
        ("The node was low on resource: memory.", Cause.LOST),
        ("The node was low on resource: ephemeral-storage. Container step was using 9Gi, request is 0.", Cause.LOST),
    ],
)
def test_evictions_for_its_own_disk_are_not_those_for_the_nodes(message: str, cause: Cause) -> None:
    there = Pod("p", about=ABOUT, phase="Failed", reason="Evicted", message=message)
    assert ends.outcome_of(Evidence(ABOUT, there)).cause is cause


def test_a_step_that_outlived_a_process_killed_for_memory_is_finished_with_a_note() -> None:
    outcome = ends.outcome_of(Evidence(ABOUT, ended(0, "OOMKilled"), WELL, MANIFEST))
    assert (outcome.state, outcome.cause) == (JobState.FINISHED, None)
    assert "killed for memory" in outcome.message
    failed = ends.outcome_of(Evidence(ABOUT, ended(1, "OOMKilled"), {"state": "failed", "cause": "exit"}))
    assert failed.cause is Cause.MEMORY


def test_a_probe_that_is_left_alone_ends_by_itself() -> None:
    spec = pod.probe_of("x:1", DEFAULTS, "probe")["spec"]
    assert spec["activeDeadlineSeconds"] >= 3600
    assert spec["ttlSecondsAfterFinished"] > 0
