"""Many runs whose steps go to simulated nodes (k8s/dev/simulate): nobody runs anything there, so `Stagers` plays them.

For a test and a benchmark: runs that are chains of steps, the worker's settings, and what was seen of every step.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import on_cluster

from reana_lite.artifact import Artifact, Manifest, digest_bytes
from reana_lite.backends.kubernetes import pod
from reana_lite.backends.kubernetes.api import Gone, RealApi
from reana_lite.backends.kubernetes.record import seconds
from reana_lite.catalogue import Sources
from reana_lite.database import Database
from reana_lite.errors import Unavailable
from reana_lite.submission import submit
from reana_lite.target import TargetOptions, resolve

DEV = Path(__file__).parents[1] / "k8s" / "dev"
OUTPUTS = Manifest.of([Artifact("out", "file", 2, digest_bytes(b"x\n"))])
"""What every step leaves."""

_STEP = re.compile(r"([^/]+)/s(\d+)")


def chain(steps: int) -> dict[str, Any]:
    """A workflow of `steps` steps, each after the one before."""
    stages = []
    for n in range(steps):
        parameters: dict[str, Any] = {"out": "{workdir}/out"}
        line = f"echo NUMBER-{n} > {{out}}"
        if n:
            parameters["before"] = {"stages": f"s{n - 1}", "output": "out", "unwrap": True}
            line = f"cat {{before}} > {{out}}; echo NUMBER-{n} >> {{out}}"
        step = {
            "process": {"process_type": "string-interpolated-cmd", "cmd": line},
            "environment": {"environment_type": "localproc-env"},
            "publisher": {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}},
        }
        scheduler = {"scheduler_type": "singlestep-stage", "step": step, "parameters": parameters}
        stages.append({"name": f"s{n}", "dependencies": [f"s{n - 1}"] if n else [], "scheduler": scheduler})
    return {"stages": stages}


def submit_chains(count: int, *, steps: int, database: Database, storage: Any, folder: Path) -> list[str]:
    """Queue so many runs, each with jobs of its own; their ids."""
    (folder / "chain.yml").write_text(json.dumps(chain(steps)))
    options = TargetOptions(folder=folder, scratch=folder / "scratch")
    prepared = resolve("chain.yml", options=options, sources=Sources(downloads=folder / "downloads"))
    text = json.dumps(prepared.workflow)

    def one(number: int) -> str:
        own = replace(prepared, workflow=json.loads(text.replace("NUMBER", str(number))))
        return submit(own, database=database, storage=storage, owner="me", name=f"c{number}")

    return [one(number) for number in range(count)]


def settings(name: str, *, namespace: str, database: str, folder: Path, **options: Any) -> dict[str, str]:
    """The environment of `recast worker` whose steps go to simulated nodes, under that installation's name."""
    found = on_cluster.settings()
    chosen = {
        "installation": name, "stager_image": on_cluster.STAGER_IMAGE,
        # by digest: no node can tell it
        "process_image": f"example.org/steps@sha256:{'0' * 64}",
        "cpus": 0.02, "memory_bytes": "96M", "stager_cpus": 0.01, "node_selector": {"type": "simulated"},
        "tolerations": [{"key": "recast-dev/simulated", "operator": "Exists"}],
        "annotations": {"recast-dev/ended-by": "stagers"}, **options,
    }  # fmt: skip
    (folder / "options.yml").write_text(json.dumps(chosen))
    bucket = found["RECAST_STORAGE"].removeprefix("s3://").partition("/")[0]
    own = {key: value for key, value in os.environ.items() if not key.startswith("RECAST_")}
    given = {key: value for key, value in found.items() if key.startswith(("RECAST_S3_", "KUBECONFIG"))}
    return own | given | {
        "RECAST_HOME": str(folder / "home"), "RECAST_DATABASE": database, "RECAST_STORAGE": f"s3://{bucket}/tests/{name}",
        "RECAST_KUBERNETES_NAMESPACE": namespace, "RECAST_KUBERNETES_OPTIONS": str(folder / "options.yml"),
        "RECAST_BACKEND": "kubernetes",
    }  # fmt: skip


@contextlib.contextmanager
def nodes(count: int) -> Iterator[None]:
    """So many simulated nodes inside the block."""
    environment = {**os.environ, **on_cluster.settings()}
    subprocess.run([DEV / "simulate", str(count)], check=True, env=environment, timeout=180)
    try:
        yield
    finally:
        subprocess.run([DEV / "simulate", "0"], check=True, env=environment, timeout=180)


@dataclass(slots=True)
class Seen:
    """What was seen of one step of a run: its pods; when it was submitted, created, ran, ended (s since the epoch)."""

    pods: set[str] = field(default_factory=set)
    submitted_at: float = 0.0
    created_at: float = 0.0
    running_at: float = 0.0
    ended_at: float = 0.0


class Stagers:
    """Ends every pod of an installation as its stager would: outputs into storage, its record into the pod's status.

    `steps` tells of each (run, number of the step) what was seen. Close it to end its threads.
    """

    def __init__(self, storage: Any, installation: str, *, namespace: str, threads: int = 6) -> None:
        from kubernetes import client

        self.storage = storage
        self.namespace = namespace
        self.api = RealApi(namespace, kubeconfig=on_cluster.settings()["KUBECONFIG"], threads=threads + 2)
        self.selector = f"{pod.INSTALLATION}={pod.label_value(installation)},{pod.KEY}"
        self.steps: dict[tuple[str, int], Seen] = {}
        self.faults: list[str] = []
        self._core = client.CoreV1Api(self.api._connected())
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stager")
        self._ended = threading.Event()
        self._begun: set[str] = set()
        self._watching: Any = None
        self._thread = threading.Thread(target=self._follow, name="stagers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._ended.set()
        if self._watching is not None:
            self._watching.close()
        self._thread.join(timeout=10)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _follow(self) -> None:
        version = ""
        while not self._ended.is_set():
            try:
                if not version:
                    rows, version = self.api.list_pods(self.selector)
                    for row in rows:
                        self._look(row)
                self._watching = self.api.watch_pods(self.selector, version)
                for event in self._watching:
                    version = event["object"]["metadata"].get("resourceVersion", version)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._look(event["object"])
            except (Gone, Unavailable):
                version = ""

    def _look(self, row: Mapping[str, Any]) -> None:
        metadata = row["metadata"]
        if metadata["uid"] in self._begun or row["status"].get("phase") != "Running":
            return
        self._begun.add(metadata["uid"])
        named = _STEP.match(metadata["annotations"][pod.NODE])
        assert named is not None
        about = json.loads(metadata["annotations"][pod.ABOUT])
        seen = self.steps.setdefault((named[1], int(named[2])), Seen())
        seen.pods.add(metadata["uid"])
        seen.submitted_at, seen.running_at = about["submitted_at"], time.time()
        seen.created_at = seconds(metadata["creationTimestamp"])
        self._pool.submit(self._end, metadata["name"], about, seen, row["status"]["startTime"])

    def _end(self, name: str, about: Mapping[str, Any], seen: Seen, started: str) -> None:
        try:
            self.storage.put_document(about["key"], about["attempt"], "manifest.json", OUTPUTS.to_json().encode())
            seen.ended_at = time.time()
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seen.ended_at))
            phases = {"stage-in": 0.0, "step": 0.0, "stage-out": 0.0}
            record = {"error": "", "exit_code": 0, "state": "finished", "digest": OUTPUTS.digest, "phases": phases}
            end = {"exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": now}
            ends = {pod.STAGER: {**end, "message": json.dumps(record)}, pod.STEP_NAME: end}
            rows = [
                {"name": container, "image": "", "imageID": "", "ready": False, "started": False, "restartCount": 0,
                 "state": {"terminated": how}}
                for container, how in ends.items()
            ]  # fmt: skip
            answer = self._core.patch_namespaced_pod_status(
                name, self.namespace, {"status": {"phase": "Succeeded", "containerStatuses": rows}},
                _content_type="application/merge-patch+json", _preload_content=False,
            )  # fmt: skip
            answer.read()
            answer.release_conn()
        except Exception as error:  # noqa: BLE001 - told at the end
            self.faults.append(f"{name}: {type(error).__name__}: {error}")
