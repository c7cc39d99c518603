"""The Yadage language as frozen dataclasses.

A Workflow is made from plain JSON by `Workflow.from_json`, or from documents by loading.py. The plain JSON it was made
of, defaults filled in and references expanded, is what a run freezes in its first event (`Workflow.to_json`).
Expressions, parameters, scripts and published values stay plain JSON: their meaning belongs to expression.py,
scheduling.py and step.py. No file is opened and nothing is evaluated here.

The schema lets some shapes pass that end a run when they are used. They are kept, and said: `fault` is a sentence
(empty: none), `missing` names the keys with a default that are absent because an object reached by `$ref` gets no
defaults (the field holds the default nevertheless).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow import validation
from reana_lite.workflow.yaml_text import Place

Json = Any
"""A JSON value: None, bool, int, float, str, list of Json, dict of str to Json."""

Parameters = tuple[tuple[str, Json], ...]
"""(key, literal or expression) in order; of a key given twice the last value at the first position."""


# -- processes ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class StringCommand:
    """`string-interpolated-cmd`: a shell line with placeholders."""

    cmd: str


@dataclass(frozen=True, slots=True)
class Script:
    """`interpolated-script-cmd`: a text with placeholders, given to the interpreter."""

    script: str
    interpreter: str = "sh"
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManualProcess:
    """`manual-instructions-proc`: validates, but nothing can execute it."""

    instructions: str


Process = StringCommand | Script | ManualProcess


# -- environments ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class NoopEnvironment:
    """`noop-env`: the command is formed, then not run."""


@dataclass(frozen=True, slots=True)
class LocalEnvironment:
    """`localproc-env`: a process of this machine."""


@dataclass(frozen=True, slots=True)
class ParMount:
    """A file made of parameters by a jq program, mounted at a path; an absent key ends the node."""

    jqscript: str | None
    mountpath: str | None


@dataclass(frozen=True, slots=True)
class ContainerEnvironment:
    """`docker-encapsulated`: an image; `resources` are free-form (strings and objects)."""

    image: str
    imagetag: str = "latest"
    resources: tuple[Json, ...] = ()
    envscript: str = ""
    env: Mapping[str, Json] = field(default_factory=dict)
    workdir: str | None = None
    par_mounts: tuple[ParMount, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManualEnvironment:
    """`manual-instructions-env`: validates, but nothing can offer it."""

    instructions: str


Environment = NoopEnvironment | LocalEnvironment | ContainerEnvironment | ManualEnvironment


# -- publishers --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ConstantPublisher:
    """`constant-pub`: `publish` as it is."""

    publish: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ParameterPublisher:
    """`frompar-pub`: `outputmap`, its leaves (names of parameters) replaced by their values."""

    outputmap: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class InterpolatedPublisher:
    """`interpolated-pub`: `publish` with its strings filled in and, if asked for, looked up as files."""

    publish: Json
    glob: bool = False
    relative_paths: bool = False
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JqPublisher:
    """`fromparjq-pub`: a jq program over the parameters, strings looked up as files."""

    script: str = "."
    try_exact: bool = True
    glob: bool = False
    relative_paths: bool = False
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GlobPublisher:
    """`fromglob-pub`: the files that match, under one key."""

    globexpression: str
    outputkey: str


@dataclass(frozen=True, slots=True)
class YamlPublisher:
    """`fromyaml-pub`: what the step wrote into a YAML file."""

    yamlfile: str


@dataclass(frozen=True, slots=True)
class ManualPublisher:
    """`manual-instructions-pub`: validates, but nothing can publish it."""

    instructions: str


Publisher = (
    ConstantPublisher
    | ParameterPublisher
    | InterpolatedPublisher
    | JqPublisher
    | GlobPublisher
    | YamlPublisher
    | ManualPublisher
)


# -- stages ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Step:
    """The template of one computation. Without process or environment it only publishes."""

    process: Process | None
    environment: Environment | None
    publisher: Publisher
    plain: Json = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One alternative of `cases`: `condition` is a jq program over the parameters; the first that is true is taken."""

    condition: str
    body: Step | Workflow | None
    fault: str = ""


Body: TypeAlias = "Step | Workflow | tuple[Case, ...] | None"
"""What a stage adds per member; None: nothing is given, which ends the run when the stage is applied."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """When a stage may be applied: `kind` is jsonpath_ready (queries) or expressions_fulfilled (value expressions)."""

    kind: str = "jsonpath_ready"
    expressions: tuple[Json, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Scatter:
    """How a multistep stage takes its parameters apart; other methods than zip and cartesian give no members."""

    parameters: tuple[str, ...]
    method: str


@dataclass(frozen=True, slots=True)
class SingleStep:
    """`singlestep-stage`: one member."""

    parameters: Parameters
    body: Body
    register_values: Mapping[str, Json] = field(default_factory=dict)
    workflow_opts: Mapping[str, Json] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class MultiStep:
    """`multistep-stage`: a member per combination of scattered parameters; sizes are int or float as written."""

    parameters: Parameters
    body: Body
    scatter: Scatter | None = None
    batchsize: float | None = None
    partitionsize: float | None = None
    register_values: Mapping[str, Json] = field(default_factory=dict)
    workflow_opts: Mapping[str, Json] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class JqStage:
    """`jq-stage`: members made by jq programs; `bindings` None: absent, which ends the run when applied."""

    bindings: Mapping[str, Json] | None
    body: Body
    stepscript: str = "[.]"
    postscript: str = "."
    register_values: Mapping[str, Json] = field(default_factory=dict)
    workflow_opts: Mapping[str, Json] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    fault: str = ""


Scheduler = SingleStep | MultiStep | JqStage


@dataclass(frozen=True, slots=True)
class Stage:
    """One rule of a workflow: when `dependencies` hold, `scheduler` adds nodes or a sub-workflow, once."""

    name: str
    dependencies: Dependencies
    scheduler: Scheduler


@dataclass(frozen=True, slots=True)
class Workflow:
    """The declared computation of an analysis: its stages in order."""

    stages: tuple[Stage, ...]
    plain: dict[str, Json] = field(default_factory=lambda: {"stages": []}, compare=False, repr=False)

    @classmethod
    def from_json(cls, plain: Mapping[str, Json], *, validate: bool = True) -> Workflow:
        """The workflow this plain JSON declares; no defaults are filled in.

        Raises InvalidWorkflow with all faults. `validate=False` is for what was validated before: a frozen workflow.
        """
        document = copy.deepcopy(dict(plain))
        if validate:
            faults = validation.faults(document, lambda pointer: Place("workflow", pointer))
            if faults:
                raise InvalidWorkflow.of(faults)
        return _workflow(document)

    def to_json(self) -> dict[str, Json]:
        """The plain JSON this was made of: a copy the caller may keep."""
        return copy.deepcopy(self.plain)


# -- from plain JSON ---------------------------------------------------------------------------------------------------
def _workflow(plain: dict[str, Json]) -> Workflow:
    return Workflow(stages=tuple(_stage(stage) for stage in plain["stages"]), plain=plain)


def _stage(plain: dict[str, Json]) -> Stage:
    return Stage(
        name=plain["name"],
        dependencies=_dependencies(plain.get("dependencies")),
        scheduler=_scheduler(plain["scheduler"]),
    )


def _dependencies(plain: dict[str, Json] | None) -> Dependencies:
    if plain is None:
        return Dependencies(fault="the stage has no `dependencies` (a stage reached by $ref gets no defaults)")
    fault = "" if "expressions" in plain else "the dependencies have no `expressions`"
    return Dependencies(plain["dependency_type"], tuple(plain.get("expressions", ())), fault)


def _scheduler(plain: dict[str, Json]) -> Scheduler:
    common: dict[str, Any] = {
        "register_values": plain.get("register_values") or {},
        "workflow_opts": plain.get("workflow_opts") or {},
    }
    if plain["scheduler_type"] == "jq-stage":
        body, fault = _jq_body(plain)
        return JqStage(
            bindings=plain.get("bindings"),
            body=body,
            stepscript=plain.get("stepscript", "[.]"),
            postscript=plain.get("postscript", "."),
            missing=_missing(plain, "stepscript", "postscript"),
            fault=fault or ("" if "bindings" in plain else "a jq-stage needs `bindings`"),
            **common,
        )
    parameters, fault = _parameters(plain.get("parameters"))
    if plain["scheduler_type"] == "singlestep-stage":
        return SingleStep(parameters=parameters, body=_body(plain), fault=fault, **common)
    scatter, scatter_fault = _scatter(plain.get("scatter"))
    return MultiStep(
        parameters=parameters,
        body=_body(plain),
        scatter=scatter,
        batchsize=plain.get("batchsize"),
        partitionsize=plain.get("partitionsize"),
        fault=fault or scatter_fault,
        **common,
    )


def _parameters(plain: list[dict[str, Json]] | None) -> tuple[Parameters, str]:
    if plain is None:
        return (), "the scheduler has no `parameters` (they may be empty: {})"
    values: dict[str, Json] = {}
    for index, entry in enumerate(plain):
        if "key" not in entry or "value" not in entry:
            return tuple(values.items()), f"parameters/{index} needs both `key` and `value`"
        values[entry["key"]] = entry["value"]
    return tuple(values.items()), ""


def _scatter(plain: dict[str, Json] | None) -> tuple[Scatter | None, str]:
    if plain is None:
        return None, "a multistep-stage needs `scatter`"
    absent = [key for key in ("parameters", "method") if key not in plain]
    if absent:
        return None, f"`scatter` needs {' and '.join(absent)}"
    return Scatter(tuple(plain["parameters"]), plain["method"]), ""


def _body(plain: dict[str, Json]) -> Body:
    """`step` before `workflow` before `cases`: the schema allows several in a multistep-stage and in a jq-stage."""
    if "step" in plain:
        return _step(plain["step"])
    if "workflow" in plain:
        return _workflow(plain["workflow"])
    if "cases" in plain:
        return tuple(Case(case.get("if", ""), _case_body(case), _case_fault(case)) for case in plain["cases"])
    return None


def _case_body(plain: dict[str, Json]) -> Step | Workflow | None:
    body = _body({key: plain[key] for key in ("step", "workflow") if key in plain})
    return body if isinstance(body, Step | Workflow) else None


def _case_fault(plain: dict[str, Json]) -> str:
    return "" if "if" in plain else "a case needs `if`"


def _jq_body(plain: dict[str, Json]) -> tuple[Body, str]:
    """The schema does not look at the `cases` and `workflow_opts` of a jq-stage."""
    if not isinstance(plain.get("workflow_opts", {}), dict):
        return None, "`workflow_opts` must be a mapping"
    if "cases" in plain and "step" not in plain and "workflow" not in plain:
        try:
            return _body(plain), ""
        except (AttributeError, KeyError, TypeError):
            return None, "`cases` must be a list of {if, step or workflow}"
    return _body(plain), ""


def _step(plain: dict[str, Json]) -> Step:
    return Step(_process(plain["process"]), _environment(plain["environment"]), _publisher(plain["publisher"]), plain)


def _missing(plain: dict[str, Json], *keys: str) -> tuple[str, ...]:
    return tuple(key for key in keys if key not in plain)


def _process(plain: dict[str, Json] | None) -> Process | None:
    if plain is None:
        return None
    match plain["process_type"]:
        case "string-interpolated-cmd":
            return StringCommand(plain["cmd"])
        case "interpolated-script-cmd":
            return Script(plain["script"], plain.get("interpreter", "sh"), _missing(plain, "interpreter"))
        case _:
            return ManualProcess(plain["instructions"])


def _environment(plain: dict[str, Json] | None) -> Environment | None:
    if plain is None:
        return None
    match plain["environment_type"]:
        case "noop-env":
            return NoopEnvironment()
        case "localproc-env":
            return LocalEnvironment()
        case "manual-instructions-env":
            return ManualEnvironment(plain["instructions"])
        case _:
            return ContainerEnvironment(
                image=plain["image"],
                imagetag=plain.get("imagetag", "latest"),
                resources=tuple(plain.get("resources", ())),
                envscript=plain.get("envscript", ""),
                env=plain.get("env", {}),
                workdir=plain.get("workdir"),
                par_mounts=tuple(
                    ParMount(mount.get("jqscript"), mount.get("mountpath")) for mount in plain.get("par_mounts", ())
                ),
                missing=_missing(plain, "imagetag", "resources", "envscript", "env", "workdir", "par_mounts"),
            )


def _publisher(plain: dict[str, Json]) -> Publisher:
    match plain["publisher_type"]:
        case "constant-pub":
            return ConstantPublisher(plain["publish"])
        case "frompar-pub":
            return ParameterPublisher(plain["outputmap"])
        case "interpolated-pub":
            return InterpolatedPublisher(
                publish=plain["publish"],
                glob=plain.get("glob", False),
                relative_paths=plain.get("relative_paths", False),
                missing=_missing(plain, "glob", "relative_paths"),
            )
        case "fromparjq-pub":
            return JqPublisher(
                script=plain.get("script", "."),
                try_exact=plain.get("tryExact", True),
                glob=plain.get("glob", False),
                relative_paths=plain.get("relative_paths", False),
                missing=_missing(plain, "script", "tryExact", "glob", "relative_paths"),
            )
        case "fromglob-pub":
            return GlobPublisher(plain["globexpression"], plain["outputkey"])
        case "fromyaml-pub":
            return YamlPublisher(plain["yamlfile"])
        case _:
            return ManualPublisher(plain["instructions"])
