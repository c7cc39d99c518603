"""Findings beyond the schema: each with place, severity and what would be right."""

from __future__ import annotations

import pytest
from documents import load
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.workflow.check import lint
from reana_lite.workflow.finding import Severity
from reana_lite.workflow.placeholder import problems

PUBLISHER = "{publisher_type: frompar-pub, outputmap: {o: x}}"
INIT = ("x", "n")


def findings(text: str, init: tuple[str, ...] | None = INIT) -> list[str]:
    loaded = load(text)
    return [str(finding) for finding in lint(loaded.workflow, init, locate=loaded.locate)]


def stage(
    name: str = "a", *, deps: str = "[init]", pars: str = "{x: {step: init, output: x}}", cmd: str = "echo {x}",
    pub: str = PUBLISHER, env: str = "{environment_type: localproc-env}", more: str = "",
) -> str:  # fmt: skip
    """One stage; name on line 1 of it, dependencies 2, type 4, parameters 5, cmd 8."""
    return f"""- name: {name}
  dependencies: {deps}
  scheduler:
    scheduler_type: {"multistep-stage" if "scatter" in more else "singlestep-stage"}
    parameters: {pars}
    step:
      process:
        cmd: {cmd}
      environment: {env}
      publisher: {pub}
    {more}
"""


def flow(*stages: str) -> str:
    return "stages:\n" + "".join(stages)


def test_a_good_workflow_has_no_findings() -> None:
    second = stage("b", deps="[a]", pars="{x: {step: a, output: o}, y: '{workdir}/f', z: {step: init, output: n}}")
    third = stage(
        "c", deps="[b]", pars="{x: {stages: 'b[*]', output: o}}", more="scatter: {parameters: [x], method: zip}"
    )
    assert findings(flow(stage(), second, third)) == []


def test_a_placeholder_in_a_comment_of_a_script_is_named_with_its_line() -> None:
    cmd = "|\n          echo {x}\n          ls  # goes to {workdir}\n"
    assert findings(flow(stage(cmd=cmd))) == [
        "error: workflow.yml:11 /stages/0/scheduler/step/process/cmd: unknown placeholder {workdir} (comments are filled "
        "in too); parameters: x; write {{workdir}} for literal braces"
    ]


S0 = "/stages/0/scheduler"


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([stage(cmd="'echo {y} {x:{w}} {} {x[0]} {x.real} {{z}}'")],
         [f"error: workflow.yml:9 {S0}/step/process/cmd: placeholder {{}} has no name",
          f"error: workflow.yml:9 {S0}/step/process/cmd: unknown placeholder {{w}}",
          f"error: workflow.yml:9 {S0}/step/process/cmd: unknown placeholder {{y}}"]),
        ([stage(cmd="'awk {print'")],
         [f"error: workflow.yml:9 {S0}/step/process/cmd: expected '}}' before end of string"]),
        ([stage(pars="{x: '{wordir}/f', y: ['{', '{}{', '{workdir} {readdir0}']}")],
         [f"error: workflow.yml:6 {S0}/parameters/x: unknown placeholder {{wordir}}",
          f"error: workflow.yml:6 {S0}/parameters/y/0: Single '{{' encountered in format string"]),
        ([stage(deps="[init, nowhere]")],
         ["warning: workflow.yml:3 /stages/0/dependencies/1: there is no stage 'nowhere' here"]),
        ([stage(deps="['init[0]']")],
         ["error: workflow.yml:3 /stages/0/dependencies/0: 'init[0]' ends at a member; depend on the stage instead"]),
        ([stage(deps="[a, init]")],
         ["warning: workflow.yml:3 /stages/0/dependencies: 'a' waits for itself, directly or through others, for ever"]),
        ([stage(deps="[]")],
         [f"warning: workflow.yml:6 {S0}/parameters/x: reads stage 'init' without depending on it"]),
        ([stage(pars="{x: {step: init, output: y}}")],
         [f"error: workflow.yml:6 {S0}/parameters/x: 'init' has no output 'y' (known: n, x)"]),
        ([stage(pars="{x: {step: b, output: y}}")],
         [f"error: workflow.yml:6 {S0}/parameters/x: there is no stage 'b' here (known: a, init): nothing is selected"]),
        ([stage(pars="{x: {stages: b, output: y}}")],
         [f"warning: workflow.yml:6 {S0}/parameters/x: there is no stage 'b' here (known: a, init): nothing is selected"]),
        ([stage(pars="[{key: x, value: {step: init}}]")],
         [f"warning: workflow.yml:6 {S0}/parameters/0/value: is a literal mapping, no reference"]),
        ([stage(pars="{x: {expression_type: odd}}")],
         [f"error: workflow.yml:6 {S0}/parameters/x: unknown expression_type 'odd'"]),
        ([stage(pub="{publisher_type: frompar-pub, outputmap: {o: y}}")],
         [f"error: workflow.yml:11 {S0}/step/publisher/outputmap/o: publishes parameter 'y', which is not given (known: x)"]),
        ([stage(pub="{publisher_type: interpolated-pub, publish: {o: '{workdir}/{y}'}}")],
         [f"error: workflow.yml:11 {S0}/step/publisher/publish/o: unknown placeholder {{y}}"]),
        ([stage(pub="{publisher_type: fromparjq-pub, script: '.x['}")],
         [f"error: workflow.yml:11 {S0}/step/publisher/script: the jq program '.x[' is not valid"]),
        ([stage(env="null")],
         [f"warning: workflow.yml:7 {S0}/step: has a process or an environment only: nothing is run, it only publishes"]),
        ([stage(more="scatter: {parameters: [z], method: zap}\n    batchsize: 2.0")],
         [f"warning: workflow.yml:12 {S0}/scatter/method: scatter method 'zap' gives no members; known: zip, cartesian",
          f"error: workflow.yml:12 {S0}/scatter/parameters/0: scatters over 'z', which is no parameter (known: x)",
          f"error: workflow.yml:13 {S0}/batchsize: batchsize must be a whole number, not 2.0"]),
        ([stage(pars="{x: 3, y: abc}", more="scatter: {parameters: [x, y], method: zip}")],
         [f"error: workflow.yml:12 {S0}/scatter/parameters/0: 'x' is 3, not a list",
          f"warning: workflow.yml:12 {S0}/scatter/parameters/1: 'y' is text: its characters are scattered"]),
        ([stage(), stage()],
         ["warning: workflow.yml:13 /stages/1/name: the name 'a' is also that of an earlier stage"]),
        ([stage(more="register_values: {k: {expression_type: fromvalue, key: j}, l: {step: a}}"),
          stage("b", more="register_values: {k: {expression_type: fromvalue, key: j}}")],
         [f"error: workflow.yml:12 {S0}/register_values/l: must be an expression; it has no `expression_type`",
          "error: workflow.yml:23 /stages/1/scheduler/register_values/k: 'k' is registered by an earlier stage"]),
        ([stage(deps="{dependency_type: expressions_fulfilled, expressions: [{expression_type: stage-output-selector}]}",
                pars="{x: 1}")],
         ["error: workflow.yml:3 /stages/0/dependencies/expressions/0: needs `step` or `stages`"]),
    ],
)  # fmt: skip
def test_findings(stages: list[str], said: list[str]) -> None:
    found = findings(flow(*stages))
    assert len(found) == len(said), found
    for finding, expected in zip(found, said, strict=True):
        assert finding.startswith(expected)


def test_a_workdir_for_a_sub_workflow_ends_the_run() -> None:
    text = """stages:
- name: sub
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {p: '{workdir}/x'}
    workflow:
      stages:
      - name: in
        dependencies: [init]
        scheduler:
          scheduler_type: singlestep-stage
          parameters: {q: {step: init, output: r}}
          step: {process: null, environment: null, publisher: {publisher_type: constant-pub, publish: {}}}
- name: out
  dependencies: [sub]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {q: {stages: sub, output: r}}
    step: {process: null, environment: null, publisher: {publisher_type: constant-pub, publish: {}}}
"""
    assert findings(text) == [
        f"error: workflow.yml:5 {S0}/parameters/p: unknown placeholder {{workdir}}; a sub-workflow's parameters know "
        "{readdir0} only, its init stage has no folder; write {{workdir}} for literal braces",
        f"error: workflow.yml:12 {S0}/workflow/stages/0/scheduler/parameters/q: 'init' has no output 'r' (known: p)",
        "warning: workflow.yml:18 /stages/1/scheduler/parameters/q: 'sub' registers no value 'r': it is null",
    ]


def test_without_init_data_there_is_no_init_stage() -> None:
    said = findings(flow(stage()), init=())
    assert said[0] == (
        "warning: workflow.yml:3 /stages/0/dependencies/0: there are no init data, hence no stage 'init': 'a' waits for "
        "it for ever"
    )
    assert findings(flow(stage(pars="{x: {step: init, output: anything}}")), init=None) == []


def test_without_places_pointers_are_those_of_the_plain_json() -> None:
    (finding,) = lint(load(flow(stage(pars="{x: '{y}'}"))).workflow)
    assert finding.severity is Severity.ERROR
    assert (finding.fault.source, finding.fault.path) == ("workflow", f"{S0}/parameters/0/value")


@given(st.text("{}x:.[]!0 \n", max_size=14))
def test_problems_are_those_of_formatting(text: str) -> None:
    """A text without problems fails for no reason but its values' types; one with problems fails."""
    found = problems(text, lambda name: name == "x", "")
    try:
        text.format(x="value")
        failed = ""
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        failed = type(error).__name__
    if found:
        assert failed
    else:
        assert failed not in ("KeyError", "IndexError")
