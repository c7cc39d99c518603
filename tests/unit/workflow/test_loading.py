"""What is valid, what is filled in, what is said about the rest."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from documents import STEP, faults, load, one_stage
from jsonschema import Draft4Validator

from reana_lite.errors import InvalidWorkflow, NotFound
from reana_lite.workflow import validation
from reana_lite.workflow.loading import load_workflow
from reana_lite.workflow.spec import Workflow

CASES = sorted((Path(__file__).parents[2] / "conformance" / "cases").glob("*/case.yml"))


def scheduler(text: str, **others: str) -> dict[str, object]:
    found: dict[str, object] = load(text, **others).workflow.to_json()["stages"][0]["scheduler"]
    return found


def test_short_forms_and_defaults() -> None:
    plain = load(
        """stages:
- name: a
  dependencies: [init, b]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {x: 1, y: {step: init, output: z}, z: {b: {step: c}}, w: {stages: q, expression_type: fromvalue}}
    step:
      process: {cmd: echo}
      environment: {environment_type: docker-encapsulated, image: busybox}
      publisher: {publisher_type: interpolated-pub, publish: {}}
- name: b
  scheduler:
    scheduler_type: jq-stage
    step: {process: null, environment: {}, publisher: {publisher_type: fromparjq-pub}}
"""
    ).workflow.to_json()
    a, b = plain["stages"]
    assert a["dependencies"] == {"dependency_type": "jsonpath_ready", "expressions": ["init", "b"]}
    assert a["scheduler"]["parameters"] == [
        {"key": "x", "value": 1},
        {"key": "y", "value": {"step": "init", "output": "z", "expression_type": "stage-output-selector"}},
        {"key": "z", "value": {"b": {"step": "c"}}},
        {"key": "w", "value": {"stages": "q", "expression_type": "stage-output-selector"}},
    ]
    assert a["scheduler"]["step"] == {
        "process": {"cmd": "echo", "process_type": "string-interpolated-cmd"},
        "environment": {
            "environment_type": "docker-encapsulated", "image": "busybox", "imagetag": "latest", "resources": [],
            "envscript": "", "env": {}, "workdir": None, "par_mounts": [],
        },
        "publisher": {"publisher_type": "interpolated-pub", "publish": {}, "glob": False, "relative_paths": False},
    }  # fmt: skip
    assert b["dependencies"] == {"dependency_type": "jsonpath_ready", "expressions": []}
    assert b["scheduler"]["stepscript"] == "[.]"
    assert b["scheduler"]["postscript"] == "."
    assert b["scheduler"]["step"]["environment"] == {"environment_type": "noop-env"}
    assert b["scheduler"]["step"]["publisher"]["tryExact"] is True


def test_an_object_reached_by_reference_gets_no_defaults_but_those_in_it_do() -> None:
    step = "{process: {cmd: x}, environment: {$ref: 's.yml#/env'}, publisher: {$ref: 's.yml#/pub'}}"
    pieces = (
        "{env: {environment_type: docker-encapsulated, image: b}, pub: {publisher_type: interpolated-pub, publish: 1}}"
    )
    found = scheduler(one_stage(step=step), s_yml=pieces)["step"]
    assert found["environment"] == {"environment_type": "docker-encapsulated", "image": "b"}  # type: ignore[index]
    assert found["publisher"] == {"publisher_type": "interpolated-pub", "publish": 1}  # type: ignore[index]
    whole = scheduler(one_stage(step="{$ref: 's.yml#/step'}"), s_yml=f"step: {STEP}")["step"]
    assert whole["process"]["process_type"] == "string-interpolated-cmd"  # type: ignore[index]


def test_defaults_filled_in_where_an_object_stands_are_seen_where_it_is_referred_to() -> None:
    first = "{process: null, environment: null, publisher: {publisher_type: interpolated-pub, publish: 1}}"
    text = one_stage(step=first) + one_stage(
        step="{process: null, environment: null, publisher: {$ref: '#/stages/0/scheduler/step/publisher'}}"
    ).removeprefix("stages:\n")
    assert load(text).workflow.to_json()["stages"][1]["scheduler"]["step"]["publisher"]["glob"] is False


def test_a_reference_as_a_value_stays_a_literal() -> None:
    found = scheduler(one_stage("{a: {$ref: v.yml}, b: {c: {$ref: v.yml}}}"), v_yml="{step: init, output: x}")
    assert found["parameters"] == [
        {"key": "a", "value": {"step": "init", "output": "x"}},
        {"key": "b", "value": {"c": {"step": "init", "output": "x"}}},
    ]


def test_cases_of_a_jq_stage_are_filled_but_not_validated() -> None:
    text = """stages:
- name: a
  scheduler: {scheduler_type: jq-stage, bindings: {}, cases: [{if: ., step: %s}, {if: 3, step: {}}]}
"""
    cases = load(text % STEP).workflow.to_json()["stages"][0]["scheduler"]["cases"]
    assert cases[0]["step"]["process"]["process_type"] == "string-interpolated-cmd"
    assert cases[1] == {"if": 3, "step": {}}


SCHEDULER = "/stages/0/scheduler"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("singlestep-stage", "map"),
         ["workflow.yml:5 {s}/scheduler_type: unknown scheduler_type \"map\"; "
          "known: singlestep-stage, multistep-stage, jq-stage"]),
        (("singlestep-stage", "multistepstage"),
         ["workflow.yml:5 {s}/scheduler_type: unknown scheduler_type \"multistepstage\" (is 'multistep-stage' meant?); "
          "known: singlestep-stage, multistep-stage, jq-stage"]),
        (("    scheduler_type: singlestep-stage\n", ""),
         ["workflow.yml:4 {s}: 'scheduler_type' is missing; known: singlestep-stage, multistep-stage, jq-stage"]),
        (("    parameters: {}\n", ""),
         ["workflow.yml:4 {s}: `parameters` is missing; write `parameters: {}` if there are none"]),
        (("parameters: {}", "parameters: {a: true, b: null}"),
         ["workflow.yml:6 {s}/parameters/a: must be text or a list or a number or a mapping, not true",
          "workflow.yml:6 {s}/parameters/b: must be text or a list or a number or a mapping, not null"]),
        (("parameters: {}", "colour: 1\n    parameters: {}"),
         ["workflow.yml:6 {s}/colour: unknown key 'colour'; known: scheduler_type, cases, register_values, parameters, "
          "step, workflow_opts, workflow"]),
        (("parameters: {}", "parameters: {}\n    workflow: {stages: []}"),
         ["workflow.yml:4 {s}: needs exactly one of `step` or `workflow` or `cases`, not `step` and `workflow`"]),
        (("    step: " + STEP, ""), ["workflow.yml:4 {s}: needs exactly one of `step` or `workflow` or `cases`"]),
        (("cmd: echo", "script: echo"),
         ["workflow.yml:7 {s}/step/process: `process_type` is missing; known: string-interpolated-cmd, "
          "interpolated-script-cmd, manual-instructions-proc"]),
        (("environment: null", "environment: {image: x}"),
         ["workflow.yml:7 {s}/step/environment: `environment_type` is missing; known: noop-env, localproc-env, "
          "docker-encapsulated, manual-instructions-env"]),
        (("environment: null, ", ""), ["workflow.yml:7 {s}/step: `environment` is missing"]),
        (("publisher_type: constant-pub, ", ""),
         ["workflow.yml:7 {s}/step/publisher: `publisher_type` is missing; known: constant-pub, frompar-pub, "
          "fromparjq-pub, fromyaml-pub, fromglob-pub, interpolated-pub, manual-instructions-pub"]),
        (("publish: {}", "publish: []"), ["workflow.yml:7 {s}/step/publisher/publish: must be a mapping, not a list"]),
        (("dependencies: [init]", "dependencies: {}"),
         ["workflow.yml:3 /stages/0/dependencies: 'dependency_type' is missing; "
          "known: jsonpath_ready, expressions_fulfilled"]),
        (("dependencies: [init]", "dependencies: init"),
         ["workflow.yml:3 /stages/0/dependencies: must be a mapping with 'dependency_type', not \"init\""]),
        (("name: one", "name: 1"), ["workflow.yml:2 /stages/0/name: must be text, not 1"]),
        (("stages:", "version: 1\nstages:"), ["workflow.yml:1 /version: unknown key 'version'; known: stages"]),
        (("parameters: {}", "parameters: {$ref: p.yml}"),
         ["p.yml:1: must be a list of {key, value}; the short form, a mapping, is not read "
          "through a $ref"]),
    ],
)  # fmt: skip
def test_faults_are_sentences_with_a_place(change: tuple[str, str], said: list[str]) -> None:
    text = one_stage()
    assert change[0] in text
    assert faults(text.replace(*change, 1), p_yml="{a: 1}") == [line.replace("{s}", SCHEDULER) for line in said]


def test_all_faults_of_all_documents_come_together() -> None:
    said = faults(
        one_stage("{a: null}", step="{$ref: 's.yml#/say'}", more="- name: 3\n  scheduler: {$ref: nowhere.yml}\n"),
        s_yml="say:\n  process: null\n  publisher: {publisher_type: odd-pub}\n  environment: {environment_type: pod}\n",
    )
    assert [line.split(": ")[0] for line in said] == [
        "s.yml:3 /say/publisher/publisher_type",
        "s.yml:4 /say/environment/environment_type",
        "workflow.yml:6 /stages/0/scheduler/parameters/a",
        "workflow.yml:8 /stages/1/name",
        "workflow.yml:9 /stages/1/scheduler",
    ]


def test_a_stage_by_reference_needs_its_dependencies() -> None:
    stage = f"{{name: a, scheduler: {{scheduler_type: singlestep-stage, parameters: {{}}, step: {STEP}}}}}"
    assert faults("stages: [{$ref: s.yml}]", s_yml=stage) == [
        "s.yml:1: a stage reached by $ref needs its `dependencies` written out; write `dependencies: []` if there are none"
    ]
    assert load("stages: [{$ref: s.yml}]", s_yml=stage.replace("name: a", "name: a, dependencies: []")).workflow.stages


def test_a_jq_stage_with_keys_that_are_not_text_is_refused_as_in_yadage() -> None:
    stage = "stages: [{name: a, scheduler: {scheduler_type: jq-stage, bindings: {}, 1: 2}}]"
    assert faults(stage) == ["workflow.yml:1 /stages/0/scheduler: its keys must be text"]
    assert scheduler(stage.replace("1: 2", "x: 2"))["x"] == 2


def test_a_multistep_stage_without_a_body_is_valid() -> None:
    text = "stages: [{name: a, scheduler: {scheduler_type: multistep-stage, parameters: {}%s}}]"
    assert load(text % "").workflow.stages[0].scheduler.body is None
    both = text % ", batchsize: 1, partitionsize: 2"
    assert faults(both) == ["workflow.yml:1 /stages/0/scheduler: `batchsize` and `partitionsize` cannot both be given"]


def test_the_schema_is_a_schema_and_means_the_same_read_plainly() -> None:
    """schema.json as any validator reads it, without the shortcut for alternatives."""
    Draft4Validator.check_schema(validation.schema())
    plainly = Draft4Validator(validation.schema())
    valid = load(one_stage("{a: 1}")).workflow.to_json()
    assert plainly.is_valid(valid)
    for pointer in ("scheduler_type", "step", "parameters"):
        broken = json.loads(json.dumps(valid))
        broken["stages"][0]["scheduler"][pointer] = 3
        assert not plainly.is_valid(broken)
        assert validation.faults(broken, lambda at: load(one_stage()).locate(""))


def file_fetch(uri: str) -> bytes:
    try:
        return Path(unquote(urlsplit(uri).path)).read_bytes()
    except OSError as error:
        raise NotFound(str(error)) from error


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.parent.name)
def test_corpus(case: Path) -> None:
    """Cases yadage could not load are refused, all others load; what is loaded goes to JSON and back."""
    folder = case.parent
    described = yaml.safe_load(case.read_text(encoding="utf-8"))
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    run = described.get("run") or (described.get("runs") or [{}])[-1]
    toplevel = Path(str(run.get("toplevel", ".")).replace("$CASE", str(folder)))
    uri = (folder / toplevel).resolve().as_uri()
    source = run.get("workflow", "workflow.yml")
    if (
        expected["status"] == "invalid"
        and "metadir" not in str(expected["error"])
        and "meta dir" not in str(expected["error"])
    ):
        with pytest.raises(InvalidWorkflow) as caught:
            load_workflow(uri, source, file_fetch)
        assert all(fault.source and fault.reason for fault in caught.value.faults)
    else:
        workflow = load_workflow(uri, source, file_fetch)
        assert Workflow.from_json(workflow.to_json()) == workflow


def test_the_corpus_is_there() -> None:
    assert len(CASES) > 100
