"""Jobs in containers of this machine, by podman, docker or apptainer; plain processes for steps that name no image.

Everything of the local backend, with another command line: the step's own folder is mounted writable at the path it
has in storage, its inputs at theirs (read-only, unless the task says otherwise), and nothing else. Limits are the
container's own; the network is off.
Called by the worker.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reana_lite.backends import engines, journal, secret_files
from reana_lite.backends.base import Say, StandIn, Task
from reana_lite.backends.binding import Binding
from reana_lite.backends.engines import Engine
from reana_lite.backends.folders import folders_of, own_texts, parameter_texts
from reana_lite.backends.local import LocalBackend
from reana_lite.backends.places import Places
from reana_lite.backends.site import Site
from reana_lite.backends.spawn import LINE_LIMIT_BYTES
from reana_lite.errors import Unavailable
from reana_lite.job import Environment, EnvironmentKind, JobOutcome

MANY_INPUTS = 200
"""With more inputs than this the whole storage is mounted (read-only): a command line takes no more mounts."""


class ContainerBackend(LocalBackend):
    """Containers. Settings beyond those of the local backend:

    `engine` ("auto": the first that works), `flags` (further options of `run`), `network` (the engine's name of one;
    "none": off), `processes` (how many a step may have), `site` (what lies where for
    steps that ask for it).
    """

    name = "container"

    def __init__(
        self,
        storage: Places,
        *,
        engine: str = "auto",
        flags: Sequence[str] = (),
        network: str = "none",
        processes: int = 4096,
        site: Site | None = None,
        **local: Any,
    ) -> None:
        super().__init__(storage, **local)
        self.engine_name = engine
        self.flags = tuple(flags)
        self.network = network
        self.processes = processes
        self.site = site or Site()
        self._engine: Engine | None = None
        self._images: dict[str, str] = {}

    # -- what can be had ---------------------------------------------------------------------------------------------

    def unusable(self) -> str:
        """Why no engine can be used here: what each of them answered."""
        reason = super().unusable()
        if reason or self._engine is not None:
            return reason
        reasons = []
        for name in engines.NAMES if self.engine_name == "auto" else (self.engine_name,):
            found = engines.find(name)
            if isinstance(found, Engine):
                self._engine = found
                return ""
            reasons.append(found)
        return "; ".join(reasons)

    @property
    def engine(self) -> Engine:
        """The engine in use; raises Unavailable with the reason if there is none."""
        reason = self.unusable()
        if reason or self._engine is None:
            raise Unavailable(f"no container engine can be used here: {reason}")
        return self._engine

    def prepare(self, environment: Environment, stand_ins: Mapping[str, StandIn], say: Say) -> str:
        """The digest of the image, pulled if it is not here; of the installation for plain processes.

        Raises Unavailable with the engine's last line.
        """
        if environment.kind is EnvironmentKind.PROCESS:
            return super().prepare(environment, stand_ins, say)
        if self.engine.is_daemonless:
            return self._prepare_file(environment.image, say)
        reference = environment.image
        digest, name = self._inspect(reference)
        if not digest:
            reference = engines.qualified(reference)
            digest, name = self._inspect(reference)
        if not digest:
            say(f"pulling image {reference} (once)")
            answer = self.engine.ask("pull", reference)
            if answer.returncode:
                raise Unavailable(
                    f"image {reference} cannot be had: {engines.last_line(answer.stderr + answer.stdout)}",
                    image=reference,
                )
            digest, name = self._inspect(reference)
            if not digest:
                raise Unavailable(f"image {reference} was pulled but is not here", image=reference)
            say(f"image {reference} is here")
        self._images[environment.image] = self._images[digest] = name
        return digest

    def _has(self, resource: str, environment: Environment) -> bool:
        there = None if environment.kind is EnvironmentKind.PROCESS else self.site.has(resource)
        return super()._has(resource, environment) if there is None else there

    def _inspect(self, reference: str) -> tuple[str, str]:
        """(digest of an image, the name that means this very image); ("", "") if it is not here."""
        form = "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}"
        answer = self.engine.ask("image", "inspect", "--format", form, reference, timeout_s=60)
        words = answer.stdout.split()
        if answer.returncode or not words:
            return "", ""
        name = words[0].removeprefix("sha256:")
        digests = [word.rpartition("@")[2] for word in words[1:] if "@sha256:" in word]
        _, at, pinned = reference.partition("@sha256:")
        if at:  # of several digests of one image (one for all platforms, say) it is named by this one
            return (f"sha256:{pinned}", name) if f"sha256:{pinned}" in digests or pinned == name else ("", "")
        return (digests[0] if digests else f"sha256:{name}"), name

    def _prepare_file(self, image: str, say: Say) -> str:
        """apptainer: the image as one file in the storage, named by its reference."""
        folder = self.root / "images"
        folder.mkdir(parents=True, exist_ok=True)
        safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in image)
        path = folder / f"{safe}.sif"
        if not path.exists():
            say(f"pulling image {image} (once)")
            partial = folder / f".{safe}.{os.getpid()}.sif"
            answer = self.engine.ask("pull", "--force", str(partial), f"docker://{image}")
            if answer.returncode:
                partial.unlink(missing_ok=True)
                raise Unavailable(f"image {image} cannot be had: {engines.last_line(answer.stderr)}", image=image)
            partial.rename(path)
        self._images[image] = str(path)
        with path.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()

    def close(self) -> None:
        """End everything, and remove what an engine was still making when it was killed."""
        used = bool(self._instance) and not self._closed
        super().close()
        if used and self._engine is not None and not self._engine.is_daemonless:
            there = engines.names_of(self._engine, f"recast.instance={self._instance}")
            self._remove([name for name, _ in there])

    # -- leftovers ---------------------------------------------------------------------------------------------------

    def _clean(self, instance: str | None = None) -> None:
        """Kill what dead supervisors left, processes and containers."""
        super()._clean(instance)
        if self.unusable() or self.engine.is_daemonless:
            return
        folder = self.root / journal.FOLDER
        living = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        there = engines.names_of(self.engine, f"recast.installation={self._installation()}")
        self._remove([name for name, owner in there if owner not in living])

    def _kill_job(self, key: str, attempt: int) -> None:
        super()._kill_job(key, attempt)
        if not self.unusable() and not self.engine.is_daemonless:
            label = f"recast.installation={self._installation()}"
            there = engines.names_of(self.engine, label, f"recast.job={key}/{attempt}")
            self._remove([name for name, _ in there])

    def _remove(self, names: list[str]) -> None:
        if names:
            self.engine.ask(*self._removal(), *names, timeout_s=60)

    def _removal(self) -> list[str]:
        return ["rm", "--force", "--time", "0"] if self.engine.name == "podman" else ["rm", "--force"]

    # -- the command line --------------------------------------------------------------------------------------------

    def _spec(self, task: Task) -> dict[str, Any] | JobOutcome:
        if task.job.environment.kind is EnvironmentKind.PROCESS:
            return super()._spec(task)
        place = f"{self._root_text}/jobs/{task.key}/{task.attempt}"
        real_place = f"{os.path.realpath(self.root)}/jobs/{task.key}/{task.attempt}"
        folders = folders_of(task, place, self._real)
        binding = Binding(folders.real, f"{place}/view")
        job = task.job
        spec: dict[str, Any] = {
            "key": task.key, "attempt": task.attempt, "cpus": job.resources.cpus,
            "memory": job.resources.memory_bytes, "timeout": job.resources.timeout_s,
            "inputs": folders.inputs if task.writable_inputs else [], "folders": ["home"],
            "files": parameter_texts(task, binding.text),
        }  # fmt: skip
        command = ["sh", "-c", binding.text(job.line)]
        if len(command[2].encode(errors="surrogateescape")) > LINE_LIMIT_BYTES:
            spec["files"]["line"] = command[2]
            command = ["sh", f"{place}/line"]
        if job.script is not None:
            spec["script"] = binding.text(job.script)
        mounts = [(f"{real_place}/files", f"{place}/files", "rw"), (f"{real_place}/home", f"{place}/home", "rw")]
        mounts += [(f"{real_place}/mount{n}", m.path, "ro") for n, m in enumerate(job.environment.mounts)]
        if "line" in spec["files"]:
            mounts.append((f"{real_place}/line", f"{place}/line", "ro"))
        mounts += self.site.mounts(job.resources.other)
        command = self._with_secrets(task, spec, mounts, place=place, command=command)
        mounts = self._input_mounts(folders.inputs, writable=task.writable_inputs) + mounts
        # by its digest: the tag may mean another one by now
        image = self._images.get(task.environment_digest) or self._images.get(
            job.environment.image, engines.qualified(job.environment.image)
        )
        variables = self.site.variables(job.resources.other)
        variables |= {name: binding.text(value) for name, value in job.environment.variables}
        if secret_files.files(task.secrets):
            variables[secret_files.VARIABLE] = secret_files.IN_CONTAINERS
        workdir = binding.text(job.environment.workdir or "")
        if os.getuid() != 0 or self.engine.mapped:
            variables.setdefault("HOME", f"{place}/home")
        if folders.fill:
            spec["fill"] = folders.fill + own_texts(spec["files"], place)
        if binding.uses_view:
            spec["links"] = binding.links()
        if binding.uses_view or folders.uses_view:
            options = "rw" if task.writable_inputs and folders.uses_view else "ro"
            mounts.append((f"{real_place}/view", f"{place}/view", options))
        if self.engine.is_daemonless:
            spec["argv"] = self._apptainer(mounts, variables, workdir, image, command)
        else:
            spec["argv"], spec["engine"] = self._run(task, mounts, variables, workdir, image, command)
        return spec

    def _with_secrets(
        self, task: Task, spec: dict[str, Any], mounts: list[tuple[str, str, str]], *, place: str, command: list[str]
    ) -> list[str]:
        """Offer the secrets of a task, by mounts of a folder outside of storage; the command that finds them."""
        folder = self._secrets_folder(task)
        held, script = secret_files.files(task.secrets), secret_files.script(task.secrets)
        if held:
            mounts.append((f"{folder}/files", secret_files.IN_CONTAINERS, "ro"))
        if script:
            held["variables"] = script
            mounts.append((f"{folder}/variables", f"{place}/variables", "ro"))
            command = ["sh", "-c", 'set -a; . "$0"; set +a; exec "$@"', f"{place}/variables", *command]
        if held:
            spec["secrets"] = {"folder": folder, "files": held}
        return command

    def _input_mounts(self, inputs: list[tuple[str, str, str]], *, writable: bool) -> list[tuple[str, str, str]]:
        root = os.path.realpath(self.root)
        options = "rw" if writable else "ro"
        if len(inputs) > MANY_INPUTS:
            kinds = [kind for kind in ("jobs", "trees") if Path(root, kind).is_dir()]
            return [(f"{root}/{kind}", f"{self._root_text}/{kind}", options) for kind in kinds]
        seen = dict.fromkeys(real for _, real, _ in inputs)
        return [(root + real[len(self._root_text) :], real, options) for real in seen]

    def _run(
        self, task: Task, mounts: list[tuple[str, str, str]], variables: dict[str, str], workdir: str, image: str,
        command: list[str],
    ) -> tuple[list[str], dict[str, Any]]:  # fmt: skip
        """(argv of `run`, what the supervisor calls to stop, inspect and remove the container)."""
        resources = task.job.resources
        name = f"recast-{task.key}-{task.attempt}-{self._instance[:8]}"
        argv = [
            self.engine.program, "run", "--name", name, "--pull", "missing", "--network", self.network,
            "--label", f"recast.installation={self._installation()}", "--label", f"recast.instance={self._instance}",
            "--label", f"recast.job={task.key}/{task.attempt}",
            "--security-opt", "label=disable", "--cpus", f"{min(resources.cpus, self.cpus):g}",
            "--pids-limit", str(self.processes), *engines.user_options(self.engine),
        ]  # fmt: skip
        if resources.memory_bytes:
            argv += ["--memory", str(resources.memory_bytes), "--memory-swap", str(resources.memory_bytes)]
        if task.job.script is not None:
            argv.append("--interactive")
        for source, destination, options in mounts:
            argv += engines.mount(source, destination, options)
        for variable, value in variables.items():
            argv += ["--env", f"{variable}={value}"]
        if workdir:
            argv += ["--workdir", workdir]
        program = self.engine.program
        hooks = {
            "stop": [program, "stop", "--time", str(max(1, round(self.grace_s))), name],
            "inspect": [program, "inspect", "--type", "container", "--format", "{{json .State}}", name],
            "remove": [program, *self._removal(), name],
        }
        return [*argv, *self.flags, image, *command], hooks

    def _apptainer(
        self,
        mounts: list[tuple[str, str, str]],
        variables: dict[str, str],
        workdir: str,
        image: str,
        command: list[str],
    ) -> list[str]:
        argv = [self.engine.program, "exec", "--containall", "--no-home", "--writable-tmpfs"]
        if self.network == "none":
            argv += ["--net", "--network", "none"]
        for source, destination, options in mounts:
            argv += ["--bind", f"{source}:{destination}:{options.partition(',')[0]}"]
        for variable, value in variables.items():
            argv += ["--env", f"{variable}={value}"]
        if workdir:
            argv += ["--pwd", workdir]
        return [*argv, *self.flags, image, *command]
