"""The dataclasses of the language and their JSON."""

from __future__ import annotations

import pytest
from documents import STEP, load, one_stage

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow.spec import (
    Case,
    ContainerEnvironment,
    Dependencies,
    InterpolatedPublisher,
    JqStage,
    MultiStep,
    Scatter,
    Script,
    SingleStep,
    Step,
    StringCommand,
    Workflow,
)


def stage(scheduler: str) -> SingleStep | MultiStep | JqStage:
    return load(f"stages: [{{name: a, scheduler: {scheduler}}}]").workflow.stages[0].scheduler


def test_a_step() -> None:
    step = (
        "{process: {process_type: interpolated-script-cmd, script: ls, interpreter: bash}, environment: {environment_type: "
        "docker-encapsulated, image: b, imagetag: '1', resources: [CVMFS], par_mounts: [{jqscript: ., mountpath: /x}]}, "
        "publisher: {publisher_type: interpolated-pub, publish: {a: b}, glob: true}}"
    )
    found = stage(f"{{scheduler_type: singlestep-stage, parameters: {{}}, step: {step}}}").body
    assert isinstance(found, Step)
    assert found.process == Script("ls", "bash")
    assert isinstance(found.environment, ContainerEnvironment)
    assert (found.environment.imagetag, found.environment.resources) == ("1", ("CVMFS",))
    assert found.environment.par_mounts[0].mountpath == "/x"
    assert found.publisher == InterpolatedPublisher({"a": "b"}, glob=True)


def test_schedulers() -> None:
    multi = stage(
        "{scheduler_type: multistep-stage, parameters: [{key: a, value: 1}, {key: b, value: 2}, {key: a, value: 3}], "
        f"scatter: {{parameters: [a], method: zip}}, batchsize: 2, step: {STEP}, register_values: {{k: 1}}}}"
    )
    assert isinstance(multi, MultiStep)
    assert multi.parameters == (("a", 3), ("b", 2))
    assert (multi.scatter, multi.batchsize, multi.partitionsize) == (Scatter(("a",), "zip"), 2, None)
    assert multi.register_values == {"k": 1}
    jq = stage("{scheduler_type: jq-stage, bindings: {x: 1}, workflow: {stages: []}, workflow_opts: {discover: true}}")
    assert isinstance(jq, JqStage)
    assert (jq.stepscript, jq.body, jq.workflow_opts) == ("[.]", Workflow(()), {"discover": True})
    single = stage(f"{{scheduler_type: singlestep-stage, parameters: {{}}, cases: [{{if: .x, step: {STEP}}}]}}")
    assert isinstance(single.body, tuple)
    assert isinstance(single.body[0], Case)
    assert single.body[0].condition == ".x"


def test_a_step_goes_before_a_workflow_goes_before_cases() -> None:
    text = f"{{scheduler_type: multistep-stage, parameters: {{}}, cases: [], workflow: {{stages: []}}, step: {STEP}}}"
    assert isinstance(stage(text).body, Step)
    assert isinstance(stage(text.replace(f", step: {STEP}", "")).body, Workflow)


@pytest.mark.parametrize(
    ("scheduler", "fault"),
    [
        ("{scheduler_type: jq-stage}", "a jq-stage needs `bindings`"),
        ("{scheduler_type: jq-stage, bindings: {}, cases: 5}", "`cases` must be a list of {if, step or workflow}"),
        ("{scheduler_type: jq-stage, bindings: {}, workflow_opts: 5}", "`workflow_opts` must be a mapping"),
        ("{scheduler_type: multistep-stage, parameters: {}}", "a multistep-stage needs `scatter`"),
        ("{scheduler_type: multistep-stage, parameters: {}, scatter: {method: zip}}", "`scatter` needs parameters"),
        ("{scheduler_type: multistep-stage, parameters: [{key: a}], scatter: {method: zip, parameters: []}}",
         "parameters/0 needs both `key` and `value`"),
    ],
)  # fmt: skip
def test_valid_shapes_that_end_a_run_carry_a_fault(scheduler: str, fault: str) -> None:
    assert stage(scheduler).fault == fault


def test_what_a_reference_left_out_is_named() -> None:
    found = load(
        one_stage(step="{process: {$ref: 's.yml#/p'}, environment: null, publisher: {$ref: 's.yml#/q'}}"),
        s_yml="{p: {process_type: interpolated-script-cmd, script: x}, q: {publisher_type: interpolated-pub, publish: 1}}",
    ).workflow
    body = found.stages[0].scheduler.body
    assert isinstance(body, Step)
    assert body.process == Script("x", "sh", missing=("interpreter",))
    assert body.publisher == InterpolatedPublisher(1, missing=("glob", "relative_paths"))
    assert "glob" not in found.to_json()["stages"][0]["scheduler"]["step"]["publisher"]


def test_json_both_ways_and_nothing_shared() -> None:
    plain = load(one_stage("{a: {b: [1]}}")).workflow.to_json()
    workflow = Workflow.from_json(plain)
    copy = workflow.to_json()
    assert copy == plain
    copy["stages"].clear()
    plain["stages"][0]["scheduler"]["parameters"][0]["value"]["b"].append(2)
    assert workflow.to_json()["stages"][0]["scheduler"]["parameters"][0]["value"] == {"b": [1]}
    assert workflow.stages[0].dependencies == Dependencies("jsonpath_ready", ("init",))


def test_json_is_validated_and_not_filled_in() -> None:
    plain = load(one_stage()).workflow.to_json()
    del plain["stages"][0]["dependencies"]
    assert Workflow.from_json(plain).stages[0].dependencies.fault
    plain["stages"][0]["scheduler"]["step"]["process"] = {"cmd": "x"}
    with pytest.raises(InvalidWorkflow, match=r"workflow /stages/0/scheduler/step/process: 'process_type' is missing"):
        Workflow.from_json(plain)
    body = Workflow.from_json(load(one_stage()).workflow.to_json(), validate=False).stages[0].scheduler.body
    assert isinstance(body, Step)
    assert body.process == StringCommand("echo")
