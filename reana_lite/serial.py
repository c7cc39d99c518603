"""Serial workflows of REANA: commands one after the other in one workspace, as an engine of its own.

`read_serial` fills in parameters and refuses what would go wrong at run time; SerialEngine takes the same events and
gives the same commands as the engine of the Yadage language. Each command is a job: its input is the whole workspace as
the command before left it, copied into the job's own folder; its outputs are the workspace after it. So manifests,
logs, causes and reuse are those of every other job, and two equal commands are two jobs. Pure: no file, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

from reana_lite.analysis.parameter import near
from reana_lite.errors import Conflict, Fault, InvalidInput, InvalidWorkflow
from reana_lite.event import (
    Command,
    Event,
    FinishRun,
    InitData,
    JobFailed,
    JobFinished,
    JobStarted,
    Looked,
    RunStarted,
    RunState,
    StopJob,
    StopRequested,
    SubmitJob,
)
from reana_lite.job import RUN_ROOT, Environment, EnvironmentKind, Input, JobSpec, Resources
from reana_lite.workflow.step import resources

COPY_FAILED = 125
"""Exit code of a job whose workspace could not be copied."""

_KEYS = ("name", "environment", "commands", "compute_backend", "kerberos", "voms_proxy", "rucio", "unpacked_img")
_PREFIXES = ("kubernetes_", "htcondor_", "slurm_", "c4p_")
_FORGOTTEN = re.compile(r"\s*(export|source|\.|cd|set|alias|unset|umask|ulimit|module|conda|setupATLAS|lsetup)(\s|$)")
_SETS = re.compile(r"(?:^|[;&|\n(]|\bexport\s)\s*([A-Za-z_]\w*)=")


@dataclass(frozen=True, slots=True)
class SerialStep:
    """One step: commands with parameters filled in, the image they run in ("": a plain process), what they ask for."""

    name: str
    commands: tuple[str, ...]
    environment: str = ""
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class Serial:
    """A serial workflow, ready to run."""

    steps: tuple[SerialStep, ...]

    def to_json(self) -> dict[str, Any]:
        """The plain form that RunStarted carries."""
        return {
            "serial": [
                {
                    "name": step.name,
                    "commands": list(step.commands),
                    "environment": _environment(step.environment),
                    "resources": {
                        "cpus": step.resources.cpus,
                        "memory_bytes": step.resources.memory_bytes,
                        "timeout_s": step.resources.timeout_s,
                        "other": list(step.resources.other),
                    },
                }
                for step in self.steps
            ]
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Serial:
        """The inverse of `to_json`."""
        return cls(
            tuple(
                SerialStep(
                    one["name"],
                    tuple(one["commands"]),
                    _image(one["environment"]),
                    Resources(**{**one["resources"], "other": tuple(one["resources"]["other"])}),
                )
                for one in document["serial"]
            )
        )

    def part(self, *, first: str = "", last: str = "") -> Serial:
        """Only the steps from `first` to `last` (FROM and TARGET of REANA; "": no bound); raises InvalidInput."""
        names = [step.name for step in self.steps]
        for option, name in (("FROM", first), ("TARGET", last)):
            if name and name not in names:
                raise InvalidInput(f"{option}: there is no step {name!r}{near(name, names)}", field=option, value=name)
        start = names.index(first) if first else 0
        end = len(names) - names[::-1].index(last) if last else len(names)
        if start >= end:
            raise InvalidInput(
                f"FROM {first!r} comes after TARGET {last!r}: nothing would run", field="FROM", value=first
            )
        return Serial(self.steps[start:end])

    def folder(self) -> str:
        """The virtual folder that is the workspace when all is done."""
        commands = list(_commands(self))
        return commands[-1].folder if commands else RUN_ROOT


def _environment(image: str) -> dict[str, str] | None:
    """An image as a Yadage document writes it, so that whoever looks for images in a workflow finds it."""
    name, _, tag = image.rpartition(":")
    return {"environment_type": "docker-encapsulated", "image": name, "imagetag": tag} if image else None


def _image(environment: Mapping[str, str] | None) -> str:
    return "" if environment is None else f"{environment['image']}:{environment['imagetag']}"


# -- reading -----------------------------------------------------------------------------------------------------------


def read_serial(
    specification: Any,
    parameters: Mapping[str, Any],
    *,
    fault: Callable[[Sequence[str | int], str], Fault],
) -> tuple[Serial, tuple[str, ...]]:
    """(the workflow with parameters filled in, warnings); raises InvalidWorkflow with every fault.

    `fault` makes a Fault of a path below the specification and a reason. Placeholders are those of string.Template, as
    in REANA: `${name}` and `$name` are parameters, `$$` is a dollar sign of the shell.
    """
    faults: list[Fault] = []
    steps: list[SerialStep] = []
    given = specification.get("steps") if isinstance(specification, dict) else None
    if not isinstance(given, list) or not given:
        raise InvalidWorkflow.of([fault((), "a serial workflow has `steps`, a list of at least one step")])
    for index, one in enumerate(given):
        if not isinstance(one, dict):
            faults.append(fault(("steps", index), "a step is a mapping with environment and commands"))
            continue
        name = str(one.get("name") or f"step {index}")
        for key in one:
            if key not in _KEYS and not str(key).startswith(_PREFIXES):
                faults.append(
                    fault(("steps", index, key), f"step {name!r}: unknown key {key!r}{near(str(key), _KEYS)}")
                )
        commands = one.get("commands")
        if not isinstance(commands, list) or not commands or not all(isinstance(text, str) for text in commands):
            faults.append(fault(("steps", index), f"step {name!r}: `commands` is a list of at least one text"))
            continue
        environment = one.get("environment") or ""
        if not isinstance(environment, str) or len(environment.split()) > 1:
            faults.append(fault(("steps", index, "environment"), f"step {name!r}: environment is the name of an image"))
            environment = ""
        filled = []
        for position, command in enumerate(commands):
            reasons = list(_misplaced(command, parameters))
            for reason in reasons:
                where = f"step {name!r}, command {position + 1}, {reason}"
                faults.append(fault(("steps", index, "commands", position), where))
            if not reasons:
                filled.append(Template(command).substitute(parameters))
        steps.append(SerialStep(name, tuple(filled), full_image(environment), resources(_wanted(one))))
    if faults:
        raise InvalidWorkflow.of(faults)
    serial = Serial(tuple(steps))
    return serial, tuple(_warnings(serial))


def _misplaced(command: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the placeholders of a command: "column 7: ..."."""
    for match in Template.pattern.finditer(command):
        line = command.count("\n", 0, match.start()) + 1
        column = match.start() - command.rfind("\n", 0, match.start())
        where = f"column {column}" if line == 1 else f"line {line}, column {column}"
        name = match["named"] or match["braced"]
        if name is not None and name not in parameters:
            written = match.group()
            known = near(name, parameters) if parameters else "; there are no parameters"
            yield f"{where}: {written!r} is no parameter{known}; for a variable of the shell write ${written}"
        elif name is None and match["invalid"] is not None:
            written = command[match.start() : match.start() + 12].split("\n")[0]
            yield f"{where}: the dollar sign of {written!r} starts no parameter; for one of the shell write $$"


def full_image(image: str) -> str:
    """An image with its tag written out."""
    name = image.removeprefix("docker://")
    last = name.rpartition("/")[2]
    return name if not name or ":" in last or "@" in last else f"{name}:latest"


def _wanted(step: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a step asks for beside its image, one mapping each; what only helps REANA's scheduler is left out."""
    left_out = ("name", "environment", "commands", "kubernetes_memory_request")
    return tuple(
        {key: value}
        for key, value in step.items()
        if key not in left_out and value not in (False, None) and (key, value) != ("compute_backend", "kubernetes")
    )


def _warnings(serial: Serial) -> Iterator[str]:
    """What a user may take to carry over from one command to the next, and does not."""
    commands = list(_commands(serial))
    if any(not step.environment for step in serial.steps):
        names = ", ".join(repr(step.name) for step in serial.steps if not step.environment)
        yield f"no environment in {names}: runs as a plain process of this machine, which REANA itself would refuse"
    for index, command in enumerate(commands[:-1]):
        where = f"step {command.step.name!r}, command {command.position + 1}"
        last = re.split(r"[;\n]|&&|\|\|", command.text.strip().rstrip(";"))[-1]
        word = _FORGOTTEN.match(last)
        if word is not None:
            yield f"{where}: nothing carries over to the next command, so `{word[1]}` at its end has no effect"
        for name in dict.fromkeys(_SETS.findall(command.text)):
            used = re.compile(rf"\$(?:{name}\b|\{{{name}\b)")
            later = next((other for other in commands[index + 1 :] if used.search(other.text)), None)
            if later is not None and name not in _SETS.findall(later.text):
                yield (
                    f"{where} sets {name}, which step {later.step.name!r}, command {later.position + 1} uses: nothing "
                    f"carries over from one command to the next"
                )


# -- running -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _One:
    """One command of the whole list."""

    node: str
    folder: str
    text: str
    step: SerialStep
    position: int


def _commands(serial: Serial) -> Iterator[_One]:
    """All commands in order. Nodes are /NAME/K, K counting the commands of all steps of that name."""
    counts: dict[str, int] = {}
    for index, step in enumerate(serial.steps):
        for position, text in enumerate(step.commands):
            name = step.name.replace("~", "~0").replace("/", "~1")
            number = counts.get(name, 0)
            counts[name] = number + 1
            yield _One(f"/{name}/{number}", f"{RUN_ROOT}/{index}-{position}", text, step, position)


@dataclass(slots=True)
class SerialEngine:
    """One run of a serial workflow as a machine: `handle(event)` gives commands; see event.py.

    `tree` is the workspace as it stands: the outputs of the last command that ended, failed or not.
    """

    state: RunState = RunState.CREATED
    error: str = ""
    init: InitData = field(default_factory=InitData)
    done: int = 0
    reused: int = 0
    started: bool = False
    tree: Input | None = None
    _all: tuple[_One, ...] = ()
    _index: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Number of commands."""
        return len(self._all)

    def progress(self) -> dict[str, int]:
        """Counts of commands: total, submitted, running, finished, reused, failed."""
        live = self.state is RunState.RUNNING
        failed = self.state is RunState.FAILED
        return {
            "total": self.total,
            "submitted": min(self.done + live + failed, self.total),
            "running": int(live and self.started),
            "finished": self.done,
            "reused": self.reused,
            "failed": int(failed),
        }

    def handle(self, event: Event) -> list[Command]:
        """What is to be done now that this has happened; raises Conflict for what cannot have happened."""
        match event:
            case RunStarted():
                return self._start(event)
            case JobStarted():
                if self._concerns(event.node):
                    self.started = True
                return []
            case JobFinished():
                return self._finished(event) if self._concerns(event.node) else []
            case JobFailed():
                return self._fail(event) if self._concerns(event.node) else []
            case StopRequested():
                return self._stop(event)
            case Looked():
                raise Conflict(f"{event.node} was never asked about: a serial workflow has no questions")

    def outstanding(self) -> list[Command]:
        """The commands that are still to be done (after a replay)."""
        if self.state is RunState.RUNNING:
            return self._submit() if self.done < self.total else [self._finish(RunState.FINISHED)]
        if self.state in (RunState.FINISHED, RunState.FAILED, RunState.STOPPED):
            return [FinishRun(self.state, self.error)]
        return []

    def check(self) -> None:
        """Raises AssertionError unless all invariants hold."""
        assert 0 <= self.done <= self.total
        assert [self._index[one.node] for one in self._all] == list(range(self.total)), "nodes are unique and in order"
        assert len({one.folder for one in self._all}) == self.total, "every job has a folder of its own"
        if self.state is RunState.RUNNING:
            assert self.done < self.total
            assert (self.tree is None) == (self.done == 0)
        if self.state is RunState.FINISHED:
            assert self.done == self.total
            assert not self.error

    def folder(self, node: str) -> str:
        """The virtual folder of a node; raises KeyError."""
        return self._all[self._index[node]].folder

    def outputs(self, stage: str) -> list[Any]:
        """A serial step publishes nothing: results are files, named by their path."""
        return []

    def _start(self, event: RunStarted) -> list[Command]:
        if self.state is not RunState.CREATED:
            raise Conflict("the run has started already")
        self._all = tuple(_commands(Serial.from_json(event.workflow)))
        self._index = {one.node: index for index, one in enumerate(self._all)}
        self.init = event.init
        self.state = RunState.RUNNING
        return self._submit() if self._all else [self._finish(RunState.FINISHED)]

    def _concerns(self, node: str) -> bool:
        """Whether an event about this node is news; one that was never submitted is a Conflict."""
        if node not in self._index:
            raise Conflict(f"there is no node {node!r} in this run")
        index = self._index[node]
        if index > self.done:
            raise Conflict(f"node {node!r} was never submitted")
        return index == self.done and self.state is RunState.RUNNING

    def _submit(self) -> list[Command]:
        one = self._all[self.done]
        before = (self.tree,) if self.tree is not None else self.init.trees
        if one.step.environment:
            environment = Environment(EnvironmentKind.CONTAINER, one.step.environment, workdir=one.folder)
        else:
            environment = Environment()
        job = JobSpec(one.folder, _line(one, before), environment=environment, resources=one.step.resources)
        return [SubmitJob(one.node, job, before)]

    def _finished(self, event: JobFinished) -> list[Command]:
        self.tree = Input(self.folder(event.node), event.key, event.attempt, event.digest)
        self.done += 1
        self.reused += bool(event.reused_from)
        self.started = False
        return self._submit() if self.done < self.total else [self._finish(RunState.FINISHED)]

    def _fail(self, event: JobFailed) -> list[Command]:
        if event.digest:
            self.tree = Input(self.folder(event.node), event.key, event.attempt, event.digest)
        one = self._all[self.done]
        reason = event.message or f"cause {event.cause}"
        return [self._finish(RunState.FAILED, f"step {one.step.name!r}, command {one.position + 1} failed: {reason}")]

    def _stop(self, event: StopRequested) -> list[Command]:
        if self.state is not RunState.RUNNING:
            return []
        by = f" by {event.by}" if event.by else ""
        return [StopJob(self._all[self.done].node), self._finish(RunState.STOPPED, f"stopped{by}")]

    def _finish(self, state: RunState, error: str = "") -> Command:
        self.state, self.error = state, error
        return FinishRun(state, error)


def _line(one: _One, before: Sequence[Input]) -> str:
    """The shell line of a command: its workspace is brought into the job's folder, then it runs there."""
    lines = [f'cd "{one.folder}" || exit {COPY_FAILED}']
    for tree in before:
        # busybox's cp knows no --reflink
        both = f'cp -a --reflink=auto "{tree.folder}/." . 2>/dev/null || cp -a "{tree.folder}/." .'
        lines.append(f"{{ {both}; }} || exit {COPY_FAILED}")
    if before:
        lines.append(f"chmod -R u+w . || exit {COPY_FAILED}")
    return "\n".join([*lines, one.text])
