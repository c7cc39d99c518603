"""Reading documents: YAML 1.1 with places, references, and what must not be read at all."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from documents import STEP, TOP, faults, fetching, load, one_stage
from hypothesis import given
from hypothesis import strategies as st

from reana_lite.errors import InvalidWorkflow, Unavailable
from reana_lite.workflow.loading import load_workflow
from reana_lite.workflow.yaml_text import MAX_BYTES, UnreadableError, parse


def parameters(text: str, **others: str) -> dict[str, object]:
    stage = load(text, **others).workflow.to_json()["stages"][0]
    return {entry["key"]: entry["value"] for entry in stage["scheduler"]["parameters"]}


def test_values_are_those_of_yaml_1_1() -> None:
    text = one_stage("{a: 12:30:45, b: 1e5, c: 017, d: [yes, off, ~], e: 0x1F, f: !!binary aGk=, g: !!omap [x: 1]}")
    assert parameters(text) == {
        "a": 45045, "b": "1e5", "c": 15, "d": [True, False, None], "e": 31, "f": [104, 105], "g": [["x", 1]],
    }  # fmt: skip


def test_keys_become_text_as_json_has_it() -> None:
    assert parameters(one_stage("{a: {on: 1, ~: 2, 1.5: 3, 7: 4, '7': 5}}")) == {
        "a": {"true": 1, "null": 2, "1.5": 3, "7": 5}
    }


def test_escaped_surrogate_pairs_are_one_character() -> None:
    assert parameters(one_stage('{a: "\\ud83d\\ude00"}')) == {"a": "😀"}


def test_json_is_read_too() -> None:
    plain = load(one_stage("{a: 1}")).workflow.to_json()
    assert load(json.dumps(plain)).workflow.to_json() == plain


def test_anchors_and_merge_keys() -> None:
    assert parameters(one_stage("{a: &q {x: 1, y: 2}, b: {<<: *q, x: 3}, c: {<<: [*q, {z: 1}]}}")) == {
        "a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2, "z": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[2020-01-01]", "a/0: a date is not JSON; quote it to keep it as text"),
        ("{b: 2020-01-01 10:00:00}", "a/b: a datetime is not JSON; quote it to keep it as text"),
        ("{2020-01-01: 1}", "a/2020-01-01: a date cannot be a key; write text"),
        ("!!set {x}", "a: a set is not JSON"),
        ("&a [*a]", "a/0: an alias leads back into the value it stands in"),
    ],
)
def test_what_json_does_not_have_is_refused_with_its_place(value: str, said: str) -> None:
    assert faults(one_stage(f"{{a: {value}}}")) == [f"workflow.yml:6 /stages/0/scheduler/parameters/{said}"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("!!bool 2", "'2' does not fit its type (bool)"),
        ("!!int ''", "'' does not fit its type (int)"),
        ("2020-13-45", "'2020-13-45' does not fit its type (timestamp)"),
        ("0x" + "f" * 5000, "the number has too many digits"),
        ("!foo bar", "could not determine a constructor for the tag '!foo'"),
        ("!!python/object:os.system x", "could not determine a constructor for the tag"),
        ("=", "could not determine a constructor for the tag 'tag:yaml.org,2002:value'"),
        ("{[1]: 2}", "while constructing a mapping found unhashable key"),
    ],
)
def test_unusable_scalars_are_refused_with_their_line(value: str, said: str) -> None:
    (fault,) = faults(one_stage(f"\n      a: {value}"))
    assert fault.startswith("workflow.yml:7: no valid YAML: ")
    assert said in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages:\n\t- a", "workflow.yml:2: no valid YAML"),
        ("a: 1\n---\nb: 2\n", "workflow.yml:2: no valid YAML: expected a single document"),
        ("a: \x07", "workflow.yml: no valid YAML: unacceptable character #x0007"),
        (b"a: \xff", "workflow.yml: no valid YAML"),
        ("[" * 5000, "workflow.yml: the document is nested too deeply"),
        ("", "workflow.yml: must be a mapping, not null"),
        ("word", 'workflow.yml:1: must be a mapping, not "word"'),
        ("- a", "workflow.yml:1: must be a mapping, not a list"),
    ],
)
def test_texts_that_are_no_document(text: str | bytes, said: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(said)


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text: bytes | str) -> None:
    with contextlib.suppress(UnreadableError):
        parsed = parse(text, "x.yml")
        assert parsed.value is None or parsed.line is not None


def test_a_key_given_twice_is_a_warning() -> None:
    loaded = load(one_stage("\n      a: 1\n      a: 2"))
    assert [str(warning) for warning in loaded.warnings] == [
        "workflow.yml:8: key 'a' is given twice in one mapping; the last one counts"
    ]
    assert loaded.workflow.to_json()["stages"][0]["scheduler"]["parameters"] == [{"key": "a", "value": 2}]


def test_a_merged_key_that_is_given_again_is_no_warning() -> None:
    assert load(one_stage("{a: &q {x: 1}, b: {<<: *q, x: 3}}")).warnings == ()


# -- documents that explode --------------------------------------------------------------------------------------------
def laughs(levels: int, first: str, rest: str) -> str:
    lines = [f"      a0: &a0 {first}"]
    for level in range(1, levels):
        lines.append(f"      a{level}: &a{level} " + rest.replace("*", f"*a{level - 1}"))
    return one_stage("\n" + "\n".join(lines))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (laughs(12, "[x]", "[*, *, *, *, *, *, *, *, *, *]"), "aliases expand to more than"),
        ("#" * (MAX_BYTES + 1), "at most 8388608 are read"),
    ],
)
def test_explosions_are_refused_quickly(text: str, said: str) -> None:
    before = time.monotonic()
    (fault,) = faults(text)
    assert said in fault
    assert time.monotonic() - before < 5


def test_merge_keys_do_not_explode() -> None:
    found = parameters(laughs(30, "{x: 1}", "{<<: [*, *, *, *, *, *, *, *, *, *]}"))
    assert found["a29"] == {"x": 1}


def test_references_that_explode_are_refused() -> None:
    chain = (
        "\n".join(f"d{i}: {{l: {{$ref: '#/d{i + 1}'}}, r: {{$ref: '#/d{i + 1}'}}}}" for i in range(40)) + "\nd40: {}"
    )
    said = faults(one_stage("{a: {$ref: 'bomb.yml#/d0'}}"), bomb_yml=chain)
    assert said == ["workflow.yml: references expand to more than 1000000 values"]


def test_sub_workflows_that_explode_are_refused() -> None:
    stage = "name: s, dependencies: [], scheduler: {scheduler_type: singlestep-stage, parameters: {}, workflow: "
    flow = "\n".join(
        f"w{i}: {{stages: [{{{stage}{{$ref: '#/w{i + 1}'}}}}}}, {{{stage}{{$ref: '#/w{i + 1}'}}}}}}]}}"
        for i in range(30)
    )
    text = f"stages: [{{{stage}{{$ref: 'flows.yml#/w0'}}}}}}]"
    said = faults(text, flows_yml=f"{flow}\nw30: {{stages: []}}")
    assert said == ["workflow.yml: references expand to more than 1000000 values"]
    assert len(faults(text, flows_yml=f"{flow}\nw30: {{stages: 1}}")) >= 1


def test_deeply_nested_sub_workflows_take_linear_time() -> None:
    stage = "{name: s, scheduler: {scheduler_type: jq-stage, bindings: {}, workflow: {stages: ["
    text = "stages: [" + stage * 14 + "]}}}" * 14 + "]"
    before = time.monotonic()
    assert load(text).workflow.stages[0].name == "s"
    assert time.monotonic() - before < 10


# -- references --------------------------------------------------------------------------------------------------------
def test_bases_of_references() -> None:
    """The first document's are relative to the toplevel, those of others to themselves."""
    text = one_stage("{a: {$ref: 'sub/values.yml#/a'}}")
    files = {"flows/main.yml": text, "sub/values.yml": "a: {b: {$ref: 'more.yml'}}", "sub/more.yml": "{c: 1}"}
    workflow = load_workflow(TOP, "flows/main.yml", fetching(files))
    assert workflow.to_json()["stages"][0]["scheduler"]["parameters"] == [{"key": "a", "value": {"b": {"c": 1}}}]


def test_the_toplevel_may_lack_its_slash_and_the_source_may_have_a_fragment() -> None:
    workflow = load_workflow(TOP.rstrip("/"), "w.yml#/anything", fetching({"w.yml": one_stage()}))
    assert workflow.stages[0].name == "one"


@pytest.mark.parametrize(
    "reference",
    ["v.yml#/a", "v.yml#a", "v.yml#//a", "./v.yml#/a", "v.yml#/%61", "v.yml#/b~1c/0", "v.yml#/b~1c/-1", "v.yml#/d",
     "sub/../v.yml#/a", "file:///top/v.yml#/a"],
)  # fmt: skip
def test_forms_of_references(reference: str) -> None:
    values = "{a: {x: 1}, 'b/c': [{x: 1}], d: {$ref: '#/e'}, e: {$ref: 'v.yml#/a'}}"
    assert parameters(one_stage(f"{{p: {{$ref: '{reference}', dropped: 2}}}}"), v_yml=values) == {"p": {"x": 1}}


def test_each_document_is_fetched_once() -> None:
    fetched: list[str] = []
    fetch = fetching({"w.yml": one_stage("{a: {$ref: v.yml}, b: {$ref: 'v.yml#/x'}}"), "v.yml": "x: {y: 1}"})

    def noting(uri: str) -> bytes:
        fetched.append(uri)
        return fetch(uri)

    load_workflow(TOP, "w.yml", noting)
    assert fetched == ["file:///top/w.yml", "file:///top/v.yml"]


def test_parts_that_nobody_refers_to_may_be_broken() -> None:
    assert parameters(one_stage("{a: {$ref: 'v.yml#/x'}}"), v_yml="{x: {y: 1}, z: {$ref: nowhere.yml}, d: 2020-01-01}")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("v.yml#/b", "v.yml has no key 'b' there; known: a, l, t, c1, c2, n"),
        ("v.yml#/l/3", "v.yml has no item '3' in a list of 1 there"),
        ("v.yml#/l/x", "v.yml has no item 'x' in a list of 1 there"),
        ("v.yml#/t/x", "v.yml has text where 'x' is looked for"),
        ("v.yml#/t", "points at text; a $ref must point at a mapping"),
        ("v.yml#/l", "points at a list; a $ref must point at a mapping"),
        ("v.yml#/n", "points at nothing (null); a $ref must point at a mapping"),
        ("v.yml#/c1", "the reference leads back to itself"),
        ("w.yml", "cannot read file:///top/w.yml: no document w.yml"),
        ("", "the reference leads back to itself"),
    ],
)
def test_references_that_lead_nowhere(reference: str, said: str) -> None:
    values = "{a: {}, l: [{}], t: word, c1: {$ref: '#/c2'}, c2: {$ref: '#/c1'}, n: null}"
    place = "workflow.yml:7 /stages/0/scheduler/parameters/p"
    assert faults(one_stage(f"\n      p: {{$ref: '{reference}'}}"), v_yml=values) == [
        f"{place}: $ref {reference!r}: {said}"
    ]


def test_a_workflow_that_contains_itself() -> None:
    text = one_stage(step=STEP).replace(f"step: {STEP}", "workflow: {$ref: workflow.yml}")
    assert faults(text) == [
        "workflow.yml:7 /stages/0/scheduler/workflow: $ref 'workflow.yml': the reference leads back to itself"
    ]


def test_a_broken_document_is_one_fault_and_each_reference_to_it_another() -> None:
    said = faults(one_stage("\n      a: {$ref: v.yml}\n      b: {$ref: 'v.yml#/x'}"), v_yml="a: [\nb: 1")
    assert [line.split(": ")[0] for line in said] == [
        "v.yml:2",
        "workflow.yml:7 /stages/0/scheduler/parameters/a",
        "workflow.yml:8 /stages/0/scheduler/parameters/b",
    ]


def test_a_reference_into_parameters_sees_the_short_form_written_out() -> None:
    said = faults(one_stage("{a: {x: 1}, b: {$ref: '#/stages/0/scheduler/parameters/a'}}"))
    assert said[0].endswith("workflow.yml has no item 'a' in a list of 2 there")
    there = "{a: {x: 1}, b: {$ref: '#/stages/0/scheduler/parameters/0/value'}}"
    assert parameters(one_stage(there)) == {"a": {"x": 1}, "b": {"x": 1}}


def test_a_world_that_does_not_answer_is_no_fault_of_the_document() -> None:
    def fetch(uri: str) -> bytes:
        raise Unavailable("no network")

    with pytest.raises(Unavailable):
        load_workflow(TOP, "workflow.yml", fetch)


@pytest.mark.parametrize("source", ["other:w.yml", "http://x/w.yml"])
def test_unknown_dialects(source: str) -> None:
    with pytest.raises(InvalidWorkflow, match="unknown dialect"):
        load_workflow(TOP, source, fetching({}))
    assert load_workflow(TOP, "raw_with_defaults:w.yml", fetching({"w.yml": one_stage()})).stages


def test_places_of_values() -> None:
    loaded = load(
        one_stage("{a: {step: init}}", step="{$ref: 'steps.yml#/say'}"),
        steps_yml="say:\n  process:\n    cmd: |\n      one\n      two\n  environment: null\n"
        "  publisher: {publisher_type: constant-pub, publish: {}}\n",
    )
    at = "/stages/0/scheduler"
    assert loaded.locate(f"{at}/parameters/0/value").pointer == "/stages/0/scheduler/parameters/a"
    assert loaded.locate("/stages/0/dependencies/expressions/0").line == 3
    command = loaded.locate(f"{at}/step/process/cmd")
    assert (command.source, command.pointer, command.line, command.text_line) == ("steps.yml", "/say/process/cmd", 3, 4)
