"""What is wrong or doubtful in a workflow that the schema accepts: `lint` reports, it never refuses.

`error`: yadage ends the run, or fails the node, as soon as this part of the workflow is reached. `warning`: it runs, but
hardly as it was meant (most of these pass silently there: a stage that waits for ever, a value that is `[]`). Nothing is
evaluated, so a workflow without findings may still fail. Called with what loading.py gives; a server may show findings
beside a workflow, a command may refuse errors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow import query
from reana_lite.workflow.finding import Finding, Locate, Report, escaped, texts
from reana_lite.workflow.spec import (
    Body,
    Case,
    ConstantPublisher,
    ContainerEnvironment,
    Dependencies,
    GlobPublisher,
    InterpolatedPublisher,
    JqPublisher,
    JqStage,
    Json,
    LocalEnvironment,
    ManualEnvironment,
    ManualProcess,
    ManualPublisher,
    MultiStep,
    ParameterPublisher,
    Scheduler,
    Script,
    Stage,
    Step,
    StringCommand,
    Workflow,
)
from reana_lite.workflow.yaml_text import Place


def lint(
    workflow: Workflow, init_parameter_names: Collection[str] | None = None, *, locate: Locate | None = None
) -> list[Finding]:
    """Findings in the order of the documents. Names None: not known; empty: there is no init stage.

    `locate`: pointer in `workflow.to_json()` -> place; as `Loaded.locate`.
    """
    report = Report(locate or (lambda pointer: Place("workflow", pointer)))
    names = None if init_parameter_names is None else frozenset(init_parameter_names)
    _Scope(workflow, "", names, report, absent_init=names is not None and not names).check()
    return report.findings()


class _Scope:
    """The stages of one workflow or sub-workflow, which see only each other and their `init`."""

    def __init__(
        self, workflow: Workflow, at: str, init: frozenset[str] | None, report: Report, *, absent_init: bool = False
    ) -> None:
        self._stages = workflow.stages
        self._at = at
        self._init = init
        self._report = report
        self._by_name = {stage.name: stage for stage in workflow.stages}
        self._names = set(self._by_name) | (set() if absent_init else {"init"})
        self._direct = {stage.name: self._waits_for(stage.dependencies) for stage in workflow.stages}

    def check(self) -> None:
        seen: set[str] = set()
        registered: set[str] = set()
        for index, stage in enumerate(self._stages):
            at = f"{self._at}/stages/{index}"
            if stage.name in seen or stage.name == "init":
                what = "the init stage" if stage.name == "init" else "an earlier stage"
                reason = f"the name {stage.name!r} is also that of {what}: they share folders and one list of members"
                self._report.warning(f"{at}/name", reason)
            seen.add(stage.name)
            for key in sorted(registered & set(stage.scheduler.register_values)):
                reason = f"{key!r} is registered by an earlier stage too, and cannot be overwritten"
                self._report.error(f"{at}/scheduler/register_values/{escaped(key)}", reason)
            registered |= set(stage.scheduler.register_values)
            self._check_dependencies(stage, f"{at}/dependencies")
            self._check_scheduler(stage, f"{at}/scheduler")

    # -- dependencies --------------------------------------------------------------------------------------------------
    def _waits_for(self, dependencies: Dependencies) -> frozenset[str]:
        roots: set[str] = set()
        for expression in dependencies.expressions:
            text = _queried(expression) if dependencies.kind == "expressions_fulfilled" else expression
            roots |= _roots(text) or set()
        return frozenset(roots)

    def _all_before(self, name: str) -> set[str]:
        """Stages that are known to have been applied when this one is."""
        before: set[str] = set()
        todo = list(self._direct.get(name, ()))
        while todo:
            other = todo.pop()
            if other not in before:
                before.add(other)
                todo += self._direct.get(other, ())
        return before

    def _check_dependencies(self, stage: Stage, at: str) -> None:
        if stage.dependencies.fault:
            self._report.error(at, stage.dependencies.fault)
        for index, expression in enumerate(stage.dependencies.expressions):
            here = f"{at}/expressions/{index}"
            if stage.dependencies.kind == "expressions_fulfilled":
                self._check_value(expression, here, None)
            elif self._check_query(expression, here):
                if _ends_at_member(expression):
                    self._report.error(here, f"{expression!r} ends at a member; depend on the stage instead")
                for name in sorted((_roots(expression) or set()) - self._names):
                    self._report.warning(here, f"{self._no_stage(name)}: {stage.name!r} waits for it for ever")
        if stage.name in self._all_before(stage.name):
            self._report.warning(at, f"{stage.name!r} waits for itself, directly or through others, for ever")

    def _no_stage(self, name: str) -> str:
        if name == "init":
            return "there are no init data, hence no stage 'init'"
        return f"there is no stage {name!r} here (known: {', '.join(sorted(self._names))})"

    def _check_query(self, text: Any, at: str) -> bool:
        if not isinstance(text, str):
            self._report.error(at, f"a query must be text, not {text!r}")
            return False
        try:
            query.parse(text)
        except InvalidWorkflow as error:
            self._report.error(at, error.message)
            return False
        return True

    # -- schedulers ----------------------------------------------------------------------------------------------------
    def _check_scheduler(self, stage: Stage, at: str) -> None:
        scheduler = stage.scheduler
        if scheduler.fault:
            self._report.error(at, scheduler.fault)
        keys: frozenset[str] | None = None
        if not isinstance(scheduler, JqStage):
            keys = frozenset(key for key, _ in scheduler.parameters)
            before = self._all_before(stage.name)
            for key, value in scheduler.parameters:
                index = _last_index(scheduler, key)
                self._check_value(value, f"{at}/parameters/{index}/value", before, body=scheduler.body)
        elif scheduler.missing:
            self._report.error(at, _missing(scheduler.missing))
        for key, value in scheduler.register_values.items():
            self._check_value(value, f"{at}/register_values/{escaped(key)}", None, registered=True)
        if isinstance(scheduler, MultiStep):
            self._check_scatter(scheduler, keys or frozenset(), at)
        if scheduler.body is None and not scheduler.fault:
            self._report.error(at, "has no `step`, `workflow` or `cases`")
        self._check_programs(scheduler, at)
        for path, body in _bodies(scheduler.body, at):
            if isinstance(body, Workflow):
                _Scope(body, path, keys, self._report).check()
            elif isinstance(body, Step):
                _check_step(body, path, keys, self._report)
            elif isinstance(body, Case):
                self._report.error(path, body.fault)

    def _check_programs(self, scheduler: Scheduler, at: str) -> None:
        if isinstance(scheduler, JqStage):
            self._report.program(scheduler.stepscript, f"{at}/stepscript")
            self._report.program(scheduler.postscript, f"{at}/postscript")
        if isinstance(scheduler.body, tuple):
            for index, case in enumerate(scheduler.body):
                self._report.program(case.condition, f"{at}/cases/{index}/if")

    def _check_scatter(self, scheduler: MultiStep, keys: frozenset[str], at: str) -> None:
        for name in ("batchsize", "partitionsize"):
            size = getattr(scheduler, name)
            if isinstance(size, float):
                self._report.error(f"{at}/{name}", f"{name} must be a whole number, not {size}")
            elif size is not None and size < 0:
                self._report.warning(f"{at}/{name}", f"a negative {name} gives no members")
        if scheduler.scatter is None:
            return
        for index, name in enumerate(scheduler.scatter.parameters):
            if name not in keys:
                reason = f"scatters over {name!r}, which is no parameter (known: {_listed(keys)})"
                self._report.error(f"{at}/scatter/parameters/{index}", reason)
                continue
            value = dict(scheduler.parameters)[name]
            if isinstance(value, int | float | None):
                self._report.error(f"{at}/scatter/parameters/{index}", f"{name!r} is {value!r}, not a list")
            elif isinstance(value, str):
                self._report.warning(
                    f"{at}/scatter/parameters/{index}", f"{name!r} is text: its characters are scattered"
                )
        method = scheduler.scatter.method
        if method not in ("zip", "cartesian"):
            reason = f"scatter method {method!r} gives no members; known: zip, cartesian"
            self._report.warning(f"{at}/scatter/method", reason)
        elif method == "zip" and not scheduler.scatter.parameters:
            self._report.error(f"{at}/scatter", "zip needs at least one parameter")

    # -- values --------------------------------------------------------------------------------------------------------
    def _check_value(
        self, value: Json, at: str, before: set[str] | None, *, body: Body = None, registered: bool = False
    ) -> None:
        """A parameter or a registered value; `before`: the stages that are there (None: it does not matter)."""
        if not (isinstance(value, dict) and "expression_type" in value):
            if registered:
                self._report.error(at, "must be an expression; it has no `expression_type`")
            elif isinstance(value, dict) and any(key in value for key in ("step", "steps", "stages")):
                self._report.warning(at, "is a literal mapping, no reference: it has no `expression_type`")
            elif before is not None:
                self._check_literal(value, at, body)
            return
        kind = value["expression_type"]
        if kind == "stage-output-selector":
            self._check_selector(value, at, before)
        elif kind != "fromvalue":
            reason = f"unknown expression_type {kind!r}; known: stage-output-selector, fromvalue"
            self._report.error(at, reason)

    def _check_literal(self, value: Json, at: str, body: Body) -> None:
        subs = [isinstance(each, Workflow) for _, each in _bodies(body, "")]
        if subs and all(subs):
            hint = "a sub-workflow's parameters know {readdir0} only, its init stage has no folder"
            self._report.templates(value, at, _folders(False), hint)
            return
        self._report.templates(value, at, _folders(True), "values know {workdir} and {readdir0}")
        if any(subs) and any("{workdir}" in text for _, text in texts(value, at)):
            self._report.warning(at, "{workdir} ends the run if the case with a sub-workflow is taken")

    def _check_selector(self, value: dict[str, Json], at: str, before: set[str] | None) -> None:
        if "stages" in value and "steps" in value:
            self._report.error(at, "`stages` and `steps` cannot both be given")
        text = _queried(value)
        if text is None:
            self._report.error(at, "needs `step` or `stages`")
            return
        if not self._check_query(text, at):
            return
        single = "stages" not in value and "steps" not in value
        roots = _roots(text) or set()
        for name in sorted(roots - self._names):
            self._report.add(at, f"{self._no_stage(name)}: nothing is selected", certain=single)
        for name in sorted((roots & self._names) - (before if before is not None else roots)):
            reason = f"reads stage {name!r} without depending on it: it may be applied before there is anything to read"
            self._report.warning(at, reason)
        if query.parse(text).plain and len(roots) == 1 and roots <= self._names:
            (name,) = roots
            if single and name in self._by_name and isinstance(self._by_name[name].scheduler, MultiStep):
                self._report.warning(at, f"`step` needs one member, {name!r} may have several; `stages` takes them all")
            self._check_output(name, value.get("output"), at)

    def _check_output(self, name: str, output: Json, at: str) -> None:
        if not isinstance(output, str) or not output:
            return
        keys = self._init if name == "init" and name not in self._by_name else self._outputs_of(name)
        sub = name in self._by_name and isinstance(self._by_name[name].scheduler.body, Workflow)
        if keys is None or output in keys or (not sub and _matches_any(output, keys)):
            return
        if sub:
            self._report.warning(at, f"{name!r} registers no value {output!r}: it is null")
        else:
            self._report.error(at, f"{name!r} has no output {output!r} (known: {_listed(keys)})")

    def _outputs_of(self, name: str) -> frozenset[str] | None:
        """Keys of what the nodes of a stage publish, or a sub-workflow registers; None: not known."""
        stage = self._by_name.get(name)
        if stage is None or sum(other.name == name for other in self._stages) > 1:
            return None
        body = stage.scheduler.body
        if isinstance(body, Workflow):
            return frozenset(key for inner in body.stages for key in inner.scheduler.register_values)
        if not isinstance(body, Step):
            return None
        match body.publisher:
            case ConstantPublisher(publish=publish) | InterpolatedPublisher(publish=publish) if isinstance(
                publish, dict
            ):
                return frozenset(publish)
            case ParameterPublisher(outputmap=outputmap):
                return frozenset(outputmap)
            case GlobPublisher(outputkey=key):
                return frozenset({key})
        return None


# -- steps -------------------------------------------------------------------------------------------------------------
def _check_step(step: Step, at: str, keys: frozenset[str] | None, report: Report) -> None:
    process, environment = step.process, step.environment
    if (process is None) != (environment is None):
        report.warning(at, "has a process or an environment only: nothing is run, it only publishes")
    if isinstance(process, ManualProcess):
        report.error(f"{at}/process", "nothing can execute a manual step")
    if isinstance(environment, ManualEnvironment):
        report.error(f"{at}/environment", "nothing offers a manual environment")
    if isinstance(environment, LocalEnvironment) and isinstance(process, Script):
        report.error(f"{at}/process", "localproc-env cannot run a script; write a string-interpolated-cmd")
    if isinstance(environment, ContainerEnvironment):
        if environment.missing:
            report.error(f"{at}/environment", _missing(environment.missing))
        if environment.env:
            report.warning(f"{at}/environment/env", "yadage ignores `env`")
        for index, mount in enumerate(environment.par_mounts):
            if mount.jqscript is None or mount.mountpath is None:
                report.error(f"{at}/environment/par_mounts/{index}", "needs `jqscript` and `mountpath`")
            else:
                report.program(mount.jqscript, f"{at}/environment/par_mounts/{index}/jqscript")
    if environment is not None and isinstance(process, StringCommand | Script):
        key, text = ("cmd", process.cmd) if isinstance(process, StringCommand) else ("script", process.script)
        known = None if keys is None else keys.__contains__
        report.template(text, f"{at}/process/{key}", known, f"parameters: {_listed(keys or ())}")
        if isinstance(process, Script) and process.missing:
            report.error(f"{at}/process", _missing(process.missing))
    _check_publisher(step, f"{at}/publisher", keys, report)


def _check_publisher(step: Step, at: str, keys: frozenset[str] | None, report: Report) -> None:
    publisher = step.publisher
    if isinstance(publisher, ManualPublisher):
        report.error(at, "nothing can publish for a manual step")
    if isinstance(publisher, InterpolatedPublisher | JqPublisher) and publisher.missing:
        report.error(at, _missing(publisher.missing))
    if isinstance(publisher, JqPublisher):
        report.program(publisher.script, f"{at}/script")
    if keys is None:
        return
    if isinstance(publisher, ParameterPublisher):
        for path, name in texts(publisher.outputmap, f"{at}/outputmap"):
            if name not in keys:
                report.error(path, f"publishes parameter {name!r}, which is not given (known: {_listed(keys)})")
    if isinstance(publisher, InterpolatedPublisher):
        if "workdir" in keys:
            report.error(at, "a parameter called 'workdir' and an interpolated-pub do not go together")
        for path, text in texts(publisher.publish, f"{at}/publish"):
            known = keys | {"workdir"}
            report.template(text, path, known.__contains__, f"known: {_listed(known)}")


# -- small things ------------------------------------------------------------------------------------------------------
def _bodies(body: Body, at: str) -> Iterator[tuple[str, Step | Workflow | Case]]:
    """What a stage may add, with its pointer; of a case with a fault, the case."""
    if isinstance(body, Step):
        yield f"{at}/step", body
    elif isinstance(body, Workflow):
        yield f"{at}/workflow", body
    else:
        for index, case in enumerate(body or ()):
            if case.fault:
                yield f"{at}/cases/{index}", case
            if isinstance(case.body, Step | Workflow):
                yield from _bodies(case.body, f"{at}/cases/{index}")


def _queried(expression: Json) -> Any:
    """The query of a stage-output-selector; None: it has none, or it is another expression."""
    if not isinstance(expression, dict) or expression.get("expression_type") != "stage-output-selector":
        return None
    return next((expression[key] for key in ("stages", "steps", "step") if key in expression), None)


def _roots(text: Any) -> set[str] | None:
    """Names of the top level a query can match; None if any, or if it is no query."""
    try:
        roots = query.parse(text).roots if isinstance(text, str) else None
    except InvalidWorkflow:
        return None
    return None if roots is None else set(roots)


def _matches_any(output: str, keys: frozenset[str]) -> bool:
    """Whether a query into outputs can match; one that cannot be read never does."""
    try:
        roots = query.parse(output).roots
    except InvalidWorkflow:
        return False
    return roots is None or not roots.isdisjoint(keys)


def _ends_at_member(text: str) -> bool:
    return isinstance(query.parse(text).path, query.Binary) and text.rstrip().endswith("]") and not _is_name(text)


def _is_name(text: str) -> bool:
    """`[init]` is the name in brackets, no member."""
    inside = text.rstrip()[:-1].rpartition("[")[2].strip()
    return not (inside == "*" or ":" in inside or inside.lstrip("-").isdigit())


def _last_index(scheduler: Any, key: str) -> int:
    """Position of a parameter in the document."""
    return [name for name, _ in scheduler.parameters].index(key)


def _folders(workdir: bool) -> Callable[[str], bool]:
    def known(name: str) -> bool:
        return (workdir and name == "workdir") or (name.startswith("readdir") and name[7:].isdigit())

    return known


def _missing(keys: Iterable[str]) -> str:
    return f"{', '.join(keys)} must be written out here: an object reached by $ref gets no defaults"


def _listed(keys: Collection[str]) -> str:
    return ", ".join(sorted(keys)) or "none"
