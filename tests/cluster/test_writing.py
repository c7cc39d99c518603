"""Steps that write into the folders of others, as the language lets them: the run sees it, no other run does."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import on_cluster
import pytest
from running_cluster import Cluster

pytestmark = pytest.mark.slow

OUT = {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}}


def stage(name: str, line: str, *after: str) -> dict[str, Any]:
    """A step that finds the outputs of others as {NAME} and writes {out}."""
    reads = {other: {"stages": other, "output": "out", "unwrap": True} for other in after}
    environment = {"environment_type": "docker-encapsulated", "image": IMAGE, "imagetag": TAG}
    process = {"process_type": "string-interpolated-cmd", "cmd": line}
    step = {"process": process, "environment": environment, "publisher": OUT}
    scheduler = {"scheduler_type": "singlestep-stage", "parameters": {"out": "{workdir}/out", **reads}, "step": step}
    return {"name": name, "dependencies": list(after), "scheduler": scheduler}


IMAGE, _, TAG = on_cluster.STEP_IMAGE.rpartition(":")
STAGES = [
    stage("make", "echo made > {out}"),
    stage("append", "echo more >> {make}; cat {make} > {out}", "make"),
    stage("look", "cat {make} {append} > {out}", "make", "append"),
]


@pytest.fixture(params=["bucket", "volume"])
def recast(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Any:
    """`recast` on the cluster, with records of its own; gives what it prints as JSON."""
    shared = request.param == "volume"
    if reason := on_cluster.reason(shared=shared):
        pytest.skip(reason)
    name = f"w{secrets.token_hex(4)}"
    options = {
        "installation": name, "process_image": on_cluster.STEP_IMAGE, "stager_image": on_cluster.STAGER_IMAGE,
        "cpus": 0.02, "memory_bytes": "96M", "stager_cpus": 0.01, "namespace": on_cluster.NAMESPACE,
    }  # fmt: skip
    bucket = cluster.settings["RECAST_STORAGE"].removeprefix("s3://").partition("/")[0]
    storage = f"s3://{bucket}/tests/{name}"
    if shared:
        folder = on_cluster.folder().root
        storage = str(folder)
        options |= {"claim": on_cluster.CLAIM, "claim_path": folder.name}
    (tmp_path / "options.yml").write_text(json.dumps(options))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RECAST_")}
    kept |= {key: value for key, value in cluster.settings.items() if key.startswith(("RECAST_S3_", "KUBECONFIG"))}
    kept |= {
        "RECAST_HOME": str(tmp_path / "home"), "RECAST_STORAGE": storage, "RECAST_BACKEND": "kubernetes",
        "RECAST_KUBERNETES_OPTIONS": str(tmp_path / "options.yml"),
    }  # fmt: skip

    def call(*words: str) -> Any:
        command = [sys.executable, "-m", "reana_lite", *words]
        done = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout) if "--json" in words else done.stdout

    call.folder = tmp_path  # type: ignore[attr-defined]
    return call


def test_a_run_sees_what_its_steps_write_into_inputs_and_others_do_not(
    recast: Any, request: pytest.FixtureRequest
) -> None:
    (recast.folder / "first.yml").write_text(json.dumps({"stages": STAGES[:1]}))
    first = recast("run", "first.yml", "-q", "--json")
    (recast.folder / "w.yml").write_text(json.dumps({"stages": STAGES}))
    for number in range(2):
        run = recast("run", "w.yml", "-q", "--json")
        recast("artifacts", "get", run["run"], "-o", f"got{number}")
        got = {p.parent.name: p.read_text().split() for p in (recast.folder / f"got{number}").glob("*/out")}
        assert got == {"make": ["made", "more"], "append": ["made", "more"], "look": ["made", "more"] * 2}
        states = {node["node"]: bool(node["reused_from"]) for node in recast("status", run["run"], "--json")["nodes"]}
        # what changes its input is not reused, what only read the changed one is
        assert states == {"/make/0": True, "/append/0": False, "/look/0": number == 1}
    recast("artifacts", "get", first["run"], "-o", "first")
    assert (recast.folder / "first" / "make" / "out").read_text() == "made\n"
    assert recast("cache", "verify").strip() == "0 damaged"
