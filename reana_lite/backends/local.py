"""Jobs as processes of this machine, right in their places of a folder storage; a stand-in where an image is named.

The backend is the worker's side of the supervisor (supervisor.py), which does the work: it binds virtual paths, hands
tasks over in batches, reads reports, and begins a new supervisor should one die (what it left running is killed first).
Called by the worker, from one thread (`wake` and `prepare` from any).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reana_lite.artifact import Artifact, Manifest
from reana_lite.backends import alias, journal, machine, secret_files, settle
from reana_lite.backends.base import Report, Say, StandIn, Task
from reana_lite.backends.binding import Binding
from reana_lite.backends.environment import abandon, build_environment, environment_digest, environment_folder, is_ready
from reana_lite.backends.folders import folders_of, own_texts, parameter_texts
from reana_lite.backends.places import Places
from reana_lite.errors import InvalidInput, Unavailable
from reana_lite.job import Cause, Environment, EnvironmentKind, JobOutcome, JobSpec, JobState

FUTILE_LIMIT = 5
"""How many supervisors in a row may end without having reported anything, before that is the caller's concern."""

_DEAD = ("the job was killed together with its supervisor", "its worker or supervisor ended before it did")


class LocalBackend:
    """Processes under one supervisor.

    `cpus` (cores) and `memory_bytes` are what its jobs may take together (default: all of the machine); `grace_s` lies
    between TERM and KILL; `prefetch` tasks beyond the running ones are taken, so that no core waits for the worker;
    `environ` is what steps inherit (default: this process's).
    """

    name = "local"

    def __init__(
        self,
        storage: Places,
        *,
        cpus: float | None = None,
        memory_bytes: int | None = None,
        grace_s: float = 5.0,
        prefetch: int = 128,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.storage = storage
        self.root = storage.root
        self.cpus = cpus or float(machine.cores())
        self.memory_bytes = memory_bytes or machine.memory_bytes()
        self.grace_s = grace_s
        self.prefetch = prefetch
        self._environ = dict(os.environ if environ is None else environ)
        self._outstanding: dict[tuple[str, int], Task] = {}
        self._reports: deque[Report] = deque()
        self._received = b""
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._instance = ""
        self._root_text = ""
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closed = False
        self._futile = 0

    # -- what can be had ---------------------------------------------------------------------------------------------

    def unusable(self) -> str:
        """Why it cannot be used here: no POSIX shell, or no place to write; "" if it can."""
        if not Path("/bin/sh").exists():
            return "there is no /bin/sh on this machine"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            alias.shell_safe(self.root)
        except (OSError, Unavailable) as error:
            return f"the storage folder {self.root} cannot be used: {error}"
        return ""

    def prepare(self, environment: Environment, stand_ins: Mapping[str, StandIn], say: Say) -> str:
        """The digest of the environment, built if need be: a stand-in's, or that of this installation's own software.

        Raises InvalidInput for an image without stand-in, Unavailable if the stand-in cannot be built.
        """
        if environment.kind is EnvironmentKind.PROCESS:
            return f"process:{self._installation()}"
        stand_in = stand_ins.get(environment.image)
        if stand_in is None:
            raise InvalidInput(
                f"image {environment.image!r} needs a container engine, and the analysis declares no stand-in for it; "
                f"use the container backend, or declare a locked requirements file",
                field="image",
                value=environment.image,
            )
        build_environment(stand_in.lock, self.root, say)
        return environment_digest(stand_in.lock)

    def missing(self, job: JobSpec) -> list[str]:
        """What a plain process of this machine cannot be given."""
        phrases = [
            f"{name} (not offered by the {self.name} backend)"
            for name in job.resources.other
            if not self._has(name, job.environment)
        ]
        memory = job.resources.memory_bytes
        if memory and memory > self.memory_bytes:
            phrases.append(f"{memory} bytes of memory (this machine offers {self.memory_bytes})")
        return phrases

    def _has(self, resource: str, environment: Environment) -> bool:
        return machine.has(resource)

    def room(self) -> int:
        """What the supervisor would take now: the cores, and some tasks to go on with."""
        return max(0, int(2 * self.cpus) + self.prefetch - len(self._outstanding))

    # -- tasks -------------------------------------------------------------------------------------------------------

    def submit(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to the supervisor; those already known are left as they are."""
        specs = []
        with self._lock:
            if self._channel is None:
                self._begin()
            for task in tasks:
                if (task.key, task.attempt) in self._outstanding:
                    continue
                self._outstanding[task.key, task.attempt] = task
                spec = self._spec(task)
                if isinstance(spec, JobOutcome):
                    self._outstanding.pop((task.key, task.attempt))
                    self._reports.append(Report(task.key, task.attempt, spec))
                else:
                    specs.append(spec)
            if specs:
                self._send({"run": specs})

    def stop(self, key: str, attempt: int) -> None:
        """TERM, then KILL after the grace."""
        with self._lock:
            if (key, attempt) in self._outstanding:
                self._send({"stop": [[key, attempt]]})

    def wait(self, timeout_s: float) -> list[Report]:
        """Reports since the last call, in order; returns at once if there are some, else after `timeout_s` at most."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:
                channel = self._channel
            left = 0.0 if self._reports else max(0.0, deadline - time.monotonic())
            handles = [self._wake_read] if channel is None else [self._wake_read, channel.fileno()]
            ready = _readable(handles, left)
            if channel is not None and channel.fileno() in ready:
                self._receive(channel)
            woken = self._wake_read in ready
            if woken:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 65536)
            if self._reports or woken or time.monotonic() >= deadline:
                reports = list(self._reports)
                self._reports.clear()
                return reports

    def wake(self) -> None:
        """Makes a `wait` of another thread return."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def recover(self, attempts: Iterable[tuple[str, int]]) -> list[Report]:
        """What became of attempts of workers that are gone: nothing of theirs is running afterwards."""
        self._clean()
        reports = []
        for key, attempt in attempts:
            if (key, attempt) in self._outstanding:
                continue
            reports.append(self._what_became(key, attempt))
        return reports

    def close(self) -> None:
        """End the supervisor and with it all that is running."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            channel, process = self._channel, self._process
            self._channel = self._process = None
        abandon()
        if channel is not None:
            channel.close()
        if process is not None:
            try:
                process.wait(timeout=40.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self._clean(self._instance)
        os.close(self._wake_read)
        os.close(self._wake_write)

    # -- the supervisor ----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start a supervisor; raises Unavailable."""
        if self._closed:
            raise Unavailable("the backend is closed")
        (self.root / "jobs").mkdir(parents=True, exist_ok=True)
        self._root_text = alias.shell_safe(self.root)
        self._instance = uuid.uuid4().hex
        ours, theirs = socket.socketpair()
        package = str(Path(__file__).resolve().parents[2])
        environ = {**self._environ, "RECAST_INSTANCE": self._instance}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environ.get("PYTHONPATH", "")]))
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "reana_lite.backends.supervisor"],
                stdin=theirs.fileno(), env=environ, start_new_session=True, cwd="/",
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise Unavailable(f"the supervisor of local jobs could not be started: {error}") from error
        finally:
            theirs.close()
        hello = {
            "root": self._root_text, "journals": str(self.root), "instance": self._instance,
            "roots": sorted({f"{base}/{kind}" for base in (self._root_text, os.path.realpath(self.root))
                             for kind in ("jobs", "trees")}),
            "cpus": self.cpus, "memory": self.memory_bytes, "grace_s": self.grace_s, "environ": self._environ,
        }  # fmt: skip
        self._process, self._channel, self._received = process, ours, b""
        self._send({"hello": hello})

    def _send(self, message: dict[str, Any]) -> None:
        # A supervisor that is gone is noticed by `wait`, which knows what to do with its tasks.
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _receive(self, channel: socket.socket) -> None:
        with self._lock:
            if channel is not self._channel:
                return
            try:
                chunk = channel.recv(1 << 20)
            except OSError:
                chunk = b""
            if not chunk:
                self._lost_supervisor(channel)
                return
            self._futile = 0
            *lines, self._received = (self._received + chunk).split(b"\n")
            for line in lines:
                for row in json.loads(line):
                    self._take(row)

    def _take(self, row: list[Any]) -> None:
        key, attempt = row[0], row[1]
        if len(row) == 2:
            self._reports.append(Report(key, attempt))
            return
        self._outstanding.pop((key, attempt), None)
        outcome, manifest = JobOutcome.from_dict(row[2]), None
        if row[3] is not None:
            manifest = Manifest.of(Artifact.from_list(entry) for entry in row[3])
        elif outcome.digest:
            manifest = self.storage.manifest(key, attempt)
        self._reports.append(Report(key, attempt, outcome, manifest))

    def _lost_supervisor(self, channel: socket.socket) -> None:
        """The supervisor is gone: kill what it left, tell what became of its tasks, begin a new one for the rest."""
        if self._closed or channel is not self._channel:
            return
        self._channel = None
        channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._clean(self._instance)
        again = []
        for key, attempt in list(self._outstanding):
            task = self._outstanding.pop((key, attempt))
            if self.storage.place(key, attempt).exists():
                self._reports.append(self._what_became(key, attempt, _DEAD[0]))
            else:
                again.append(task)
        self._futile += 1
        if self._futile >= FUTILE_LIMIT:
            self._futile = 0
            raise Unavailable("the supervisor of local jobs ends as soon as it begins; its error output tells why")
        if again:
            self.submit(again)

    def _clean(self, instance: str | None = None) -> None:
        """Kill what dead supervisors have left running."""
        for name in journal.clean(str(self.root), only=instance):
            secret_files.remove_all(name)

    def _kill_job(self, key: str, attempt: int) -> None:
        """Kill what runs of an attempt, whoever started it."""
        journal.kill_job(key, attempt)

    def _what_became(self, key: str, attempt: int, why: str = _DEAD[1]) -> Report:
        place = self.storage.place(key, attempt)
        there = settle.recovered(str(place)) if place.exists() else None
        if there is None:
            # A worker that lost its lease, but not its life, may still have it.
            self._kill_job(key, attempt)
            there = settle.recovered(str(place)) if place.exists() else None
        if there is None:
            now = time.time()
            return Report(key, attempt, JobOutcome(JobState.FAILED, Cause.LOST, message=why, ended_at=now))
        return Report(key, attempt, *there)

    # -- binding -----------------------------------------------------------------------------------------------------

    def _real(self, key: str, attempt: int) -> str:
        """The real folder of a place, safe in a shell."""
        path = str(self.storage.folder(key, attempt))
        root = str(self.root)
        return self._root_text + path[len(root) :] if path.startswith(root + "/") else path

    def _spec(self, task: Task) -> dict[str, Any] | JobOutcome:
        """What the supervisor is told of a task; an outcome if it cannot run."""
        job, key, attempt = task.job, task.key, task.attempt
        place = f"{self._root_text}/jobs/{key}/{attempt}"
        folders = folders_of(task, place, self._real)
        mounts = {mount.path: f"{place}/mount{number}" for number, mount in enumerate(job.environment.mounts)}
        binding = Binding(folders.real, f"{place}/view", mounts)
        spec: dict[str, Any] = {
            "key": key, "attempt": attempt, "line": binding.text(job.line), "inputs": folders.inputs,
            "cpus": job.resources.cpus, "memory": job.resources.memory_bytes, "timeout": job.resources.timeout_s,
        }  # fmt: skip
        if job.script is not None:
            spec["script"] = binding.text(job.script)
        if mounts:
            spec["files"] = parameter_texts(task, binding.text)
        variables = {name: binding.text(value) for name, value in job.environment.variables}
        if job.environment.workdir:
            spec["cwd"] = binding.text(job.environment.workdir)
        if job.environment.kind is EnvironmentKind.CONTAINER:
            stand_in = task.stand_ins.get(job.environment.image)
            if stand_in is None:
                return _no_image(f"image {job.environment.image!r} needs a container engine and has no stand-in here")
            folder = environment_folder(environment_digest(stand_in.lock), self.root)
            if not is_ready(folder):
                return _no_image(f"the stand-in for image {job.environment.image!r} is not built")
            variables = {**self._stand_in_variables(folder, job.resources.cpus), **variables}
        variables |= secret_files.variables(task.secrets)
        if held := secret_files.files(task.secrets):
            spec["secrets"] = {"folder": self._secrets_folder(task), "files": held}
            variables[secret_files.VARIABLE] = f"{self._secrets_folder(task)}/files"
        if variables:
            spec["variables"] = variables
        if binding.uses_view:
            spec["links"] = binding.links()
        if folders.fill:
            spec["fill"] = folders.fill + own_texts(spec.get("files", {}), place)
        return spec

    def _secrets_folder(self, task: Task) -> str:
        return f"{secret_files.folder_of(self._instance)}/{task.key}-{task.attempt}"

    def _stand_in_variables(self, folder: Path, cpus: float) -> dict[str, str]:
        """What makes a virtual environment the software a step finds first, and keeps it to the cores it asked for."""
        path = str(folder)
        root = str(self.root)
        path = self._root_text + path[len(root) :] if path.startswith(root + "/") else path
        threads = str(max(1, int(cpus)))
        return {
            "PATH": f"{path}/bin{os.pathsep}{self._environ.get('PATH', os.defpath)}", "VIRTUAL_ENV": path,
            "PYTHONHOME": "", "PYTHONPATH": "", "PYTHONNOUSERSITE": "1",
            "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
        }  # fmt: skip

    def _installation(self) -> str:
        """Name of this installation, kept in its storage: its own software has no digest."""
        path = self.root / "installation"
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                name = path.read_text(encoding="ascii").strip()
                if name:
                    return name
            self.root.mkdir(parents=True, exist_ok=True)
            temporary = self.root / f".installation.{uuid.uuid4().hex}"
            temporary.write_text(uuid.uuid4().hex + "\n", encoding="ascii")
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            temporary.unlink()
        return path.read_text(encoding="ascii").strip()


def _readable(handles: list[int], timeout_s: float) -> set[int]:
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    return {handle for handle, _ in poll.poll(timeout_s * 1000)}


def _no_image(message: str) -> JobOutcome:
    now = time.time()
    return JobOutcome(JobState.FAILED, Cause.IMAGE, message=message, started_at=now, ended_at=now)
