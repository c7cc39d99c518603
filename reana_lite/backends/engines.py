"""Container engines by their command lines: podman, docker, apptainer. What to call, and what their answers mean.

An engine is usable when it has really answered, not when a program of that name is found. Called by the container
backend, and by the supervisor to read how a container ended. No job is known here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reana_lite.backends import verdict
from reana_lite.backends.settle import Step, log_tail

NAMES = ("podman", "docker", "apptainer")

_ASK_S = 30.0
"""How long an engine may take to say whether it is there (seconds)."""

_NO_IMAGE = (
    "unable to find image", "image not known", "no such image", "manifest unknown", "pull access denied", "unauthorized",
    "initializing source", "error pulling image", "short-name", "repository does not exist", "failed to resolve",
    "invalid reference format",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that runs containers. `mapped`: root inside is the caller outside (rootless docker and podman)."""

    name: str
    program: str
    mapped: bool = False

    @property
    def is_daemonless(self) -> bool:
        """Whether its containers are plain processes below the one that is started (apptainer)."""
        return self.name == "apptainer"

    def ask(self, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of its commands; exit code 125 and a sentence if it cannot be run or does not answer in time."""
        argv = [self.program, *arguments]
        try:
            return subprocess.run(
                argv, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=timeout_s,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, 125, "", f"{self.name} did not answer within {timeout_s:g} s")
        except OSError as error:
            return subprocess.CompletedProcess(argv, 125, "", f"{self.name} cannot be run: {error.strerror}")


def find(name: str) -> Engine | str:
    """The engine of that name, or why it cannot be used here, in one sentence."""
    program = shutil.which(name) or (shutil.which("singularity") if name == "apptainer" else None)
    if program is None:
        return f"{name} is not installed"
    engine = Engine(name, program)
    if engine.is_daemonless:
        answer = engine.ask("version", timeout_s=_ASK_S)
    else:
        answer = engine.ask("info", "--format", "{{json .}}", timeout_s=_ASK_S)
    if answer.returncode:
        return f"{name} is installed but does not work: {last_line(answer.stderr) or 'no reason given'}"
    if engine.is_daemonless:
        return engine
    try:
        document = json.loads(answer.stdout)
    except ValueError:
        return f"{name} is installed but its answer is not understood"
    if document.get("ServerErrors"):
        return f"{name} is installed but does not work: {last_line(chr(10).join(document['ServerErrors']))}"
    security = document.get("host", {}).get("security", {})
    mapped = bool(security.get("rootless")) or any("rootless" in text for text in document.get("SecurityOptions") or ())
    return Engine(name, program, mapped)


def last_line(text: str) -> str:
    """The last line of an engine's output that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("Error: ")[:400] if lines else ""


def qualified(image: str) -> str:
    """An image reference with its registry: names without one are Docker Hub's."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def user_options(engine: Engine) -> list[str]:
    """Options that make outputs belong to the caller, not to root."""
    ids = f"{os.getuid()}:{os.getgid()}"
    if not engine.mapped:
        return ["--user", ids]
    return ["--userns", "keep-id", "--user", ids] if engine.name == "podman" else ["--user", "0:0"]


def read_verdict(step: Step, answer: str) -> dict[str, Any]:
    """How a container ended: the beginning of an exit record, from what `inspect` said (a file) and the client's code."""
    try:
        with open(answer, "rb") as stream:  # noqa: PTH123
            state = json.loads(stream.read() or b"{}")
        os.unlink(answer)  # noqa: PTH108
    except (OSError, ValueError):
        state = {}
    if isinstance(state, list):
        state = state[0] if state else {}
    tail = log_tail(step.place)
    if step.reason:
        return verdict.judge(exit_code=state.get("ExitCode", step.status), reason=step.reason, limit=step.limit)
    if not state or state.get("Status") == "created":
        return _not_begun(step, tail)
    exit_code = int(state.get("ExitCode", step.status))
    # Some engines do not notice (podman 4 with control groups v1), but the kernel counts.
    out_of_memory = bool(state.get("OOMKilled")) or (step.oom and step.memory > 0)
    if exit_code and out_of_memory:
        return verdict.judge(exit_code=exit_code, reason="memory", limit=step.memory or None)
    record = verdict.judge(exit_code=exit_code, log_tail=tail)
    if out_of_memory:
        record["message"] = "a process of this step was killed for want of memory; the step itself went on"
    return record


def _not_begun(step: Step, tail: bytes) -> dict[str, Any]:
    """The engine did not bring the step to run: the image is not to be had or has no shell, or the engine failed."""
    line = last_line(tail.decode(errors="replace")) or f"exit code {step.status} of the engine"
    low = tail.decode(errors="replace").lower()
    if any(text in low for text in _NO_IMAGE):
        return {"state": "failed", "cause": "image", "message": f"the image could not be had: {line}"}
    if any(text in low for text in ("executable file", "no such file or directory", "exec format error")):
        return {"state": "failed", "cause": "image", "message": f"the image cannot run `sh`: {line}"}
    return {"state": "failed", "cause": "lost", "message": f"the container engine did not start it: {line}"}


def mount(source: str, destination: str, options: str) -> list[str]:
    """A bind mount (both paths without colons and commas); `options`: "ro" or "rw", and how it propagates."""
    return ["--volume", f"{source}:{destination}:{options}"]


def names_of(engine: Engine, *labels: str) -> list[tuple[str, str]]:
    """(name, instance label) of all containers, running or not, that carry these labels."""
    filters: Sequence[str] = [part for label in labels for part in ("--filter", f"label={label}")]
    answer = engine.ask(
        "ps", "--all", *filters, "--format", '{{.Names}} {{index .Labels "recast.instance"}}', timeout_s=60
    )
    if answer.returncode:  # docker spells labels otherwise
        answer = engine.ask(
            "ps", "--all", *filters, "--format", '{{.Names}} {{.Label "recast.instance"}}', timeout_s=60
        )
    rows = [line.split() for line in answer.stdout.splitlines()]
    return [(row[0], row[1]) for row in rows if len(row) == 2]
