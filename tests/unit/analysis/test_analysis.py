"""analysis.yml: what is read, what is refused, and that every fault has its line."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reana_lite import analysis
from reana_lite.analysis.document import LIMIT_BYTES
from reana_lite.errors import InvalidAnalysis, InvalidInput

GOOD = """\
reana_lite: 1
name: cms/my-search
title: A search
workflow: workflow.yml
lumi_ifb: 36.1
files: {code: code}
theory: {formats: [slha]}
parameters:
  required: [region]
  properties:
    n_events: {type: integer, minimum: 1, maximum: 100000, default: 10, description: Events.}
    m_cut: {type: number, minimum: 0, unit: GeV, default: 100.0, description: Cut.}
    region: {type: string, enum: [SRA, SRB], description: Region.}
results:
- {name: result, stage: fit, output: result, kind: result}
examples:
  default: {theory: a.slha, parameters: {region: SRA}}
tests:
- name: one
  theory: a.slha
  parameters: {region: SRB}
  expect: [{path: regions/SRA/efficiency, value: 0.2, relative: 0.1}]
"""


def parse(text: str) -> analysis.Analysis:
    return analysis.parse(analysis.read_document(text, "analysis.yml"))


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidAnalysis) as caught:
        parse(text)
    return [str(fault) for fault in caught.value.faults]


def test_a_good_one_is_read() -> None:
    read = parse(GOOD)
    assert read.name == "cms/my-search"
    assert read.lumi_ifb == 36.1
    assert read.theory == analysis.TheoryNeed(("slha",), True)
    assert [p.name for p in read.parameters] == ["n_events", "m_cut", "region"]
    assert read.parameters[1].unit == "GeV"
    assert read.examples["default"].theory == ("a.slha",)
    assert read.tests[0].expect[0].relative == 0.1
    assert ("files", "code") in dict(read.paths())


def test_all_faults_come_together_with_their_lines() -> None:
    text = GOOD.replace("title: A search", "titel: A search").replace("kind: result", "kind: reslt")
    text = text.replace("lumi_ifb: 36.1", "lumi_ifb: -1")
    found = faults(text)
    assert found[0] == "analysis.yml:1: 'title' is missing"
    assert found[1].startswith("analysis.yml:3 /titel: unknown key 'titel'; did you mean title?")
    assert any(fault.startswith("analysis.yml:5 /lumi_ifb:") for fault in found)
    assert any(
        "analysis.yml:15 /results/0/kind: 'reslt'" in fault and "did you mean result?" in fault for fault in found
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("reana_lite: 1", "reana_lite: 2", "format version 2 is not known"),
        ("reana_lite: 1\n", "", "the version of the format, is missing"),
        ("workflow: workflow.yml", "workflow: ../workflow.yml", "leads out of the analysis's folder"),
        ("{code: code}", "{code: /etc/passwd}", "leads out of the analysis's folder"),
        ("{code: code}", "{n_events: code}", "'n_events' is also"),
        ("{code: code}", "{theory: code}", "'theory' is also a name that every analysis gets"),
        ("{code: code}", "{'a b': code}", "is no name"),
        ("default: 10,", "default: 0,", "the default is refused"),
        ("type: integer", "type: integr", "not a JSON Schema"),
        ("type: integer", "writeOnly: true, type: integer", "a parameter cannot be a secret"),
        ("type: integer", "format: password, type: integer", "a parameter cannot be a secret"),
        ("type: integer", "$ref: 'http://x/y'", "references ($ref) are not possible"),
        ("required: [region]", "required: [regio]", "'regio' is required but not declared; did you mean region?"),
        ("parameters: {region: SRA}", "parameters: {region: SRC}", "right is one of SRA, SRB"),
        ("parameters: {region: SRA}", "parameters: {}", "parameter 'region' of cms/my-search is needed"),
        ("default: {theory: a.slha, ", "default: {", "needs a theory, and none is named here"),
        ("value: 0.2, relative", "value: 0.2, equals: x, relative", "exactly one of"),
        ("path: regions", "result: rsult, path: regions", "did you mean result?"),
        ("lumi_ifb: 36.1", "name: twice", "stands here twice"),
        ("formats: [slha]", "formats: [shla]", "did you mean slha?"),
        ("name: cms/my-search", "name: 2020-01-01", ""),
    ],
)
def test_what_is_refused(old: str, new: str, reason: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if not reason:
        assert parse(text).name == "2020-01-01"  # YAML's dates are texts here
        return
    found = faults(text)
    assert any(reason in fault for fault in found), found
    assert all(fault.startswith("analysis.yml:") for fault in found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [1, *a]", "a circle"),
        ("a: &a {b: *a}", "a circle"),
        ("a: [1", "not YAML"),
        ("a: b: c", "not YAML"),
        ("? [1, 2]\n: x", "a key must be a text"),
        ("x: !!python/object:os.system {}", "is not read here"),
        ("x" * (LIMIT_BYTES + 1), "at most"),
        ("[" * 20000, "nest"),
        ("- a\n- b", "an analysis is a mapping"),
        ("", "an analysis is a mapping"),
        ("a: 2020-99-99\nb: {<<: 5}", "only mappings can be merged"),
    ],
)
def test_unreadable_documents(text: str, reason: str) -> None:
    with pytest.raises(InvalidAnalysis, match=reason):
        parse(text)


def test_bombs_end_early() -> None:
    lists = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lists += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(InvalidAnalysis, match="aliases count each time"):
        parse("\n".join(lists))
    merges = ["a0: &a0 {x: 1}"]
    merges += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    with pytest.raises(InvalidAnalysis, match="aliases count each time"):
        parse("\n".join(merges))


def test_merge_keys_work_as_in_yaml() -> None:
    document = analysis.read_document("base: &b {a: 1, b: 2}\nuse:\n  <<: *b\n  b: 3\n", "x")
    assert document.value["use"] == {"a": 1, "b": 3}
    assert document.repeated == ()
    assert document.line(("use", "b")) == 4


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=8) | st.integers(), lambda s: st.lists(s, max_size=4)
       | st.dictionaries(st.text(max_size=5), s, max_size=4), max_leaves=20))  # fmt: skip
def test_no_value_is_a_traceback(value: object) -> None:
    document = analysis.Document({"reana_lite": 1, "name": "x", "title": value, "parameters": value}, "x")
    with pytest.raises(InvalidAnalysis):
        analysis.parse(document)


# -- parameters --------------------------------------------------------------------------------------------------------


def bind(texts: dict[str, str] | None = None, **values: object) -> dict[str, object]:
    return parse(GOOD).bind({"region": "SRA", **values}, texts=texts)


def test_defaults_and_order() -> None:
    assert list(bind().items()) == [("n_events", 10), ("m_cut", 100.0), ("region", "SRA")]


@pytest.mark.parametrize(
    ("text", "value"),
    [("2000", 2000), ("2000 GeV", 2000), ("2 TeV", 2000.0), ("1e3", 1000.0), ("0.5", 0.5), (" 7 ", 7)],
)
def test_numbers_as_typed(text: str, value: float) -> None:
    assert bind({"m_cut": text})["m_cut"] == value


def test_whole_numbers_stay_whole() -> None:
    bound = bind({"n_events": "1e4"})
    assert bound["n_events"] == 10000
    assert isinstance(bound["n_events"], int)


def test_texts_are_not_read_as_yaml() -> None:
    text = GOOD.replace("{type: string, enum: [SRA, SRB], description", "{type: string, description")
    assert parse(text).bind({}, texts={"region": "007"})["region"] == "007"
    assert parse(text).bind({}, texts={"region": "yes"})["region"] == "yes"


@pytest.mark.parametrize(
    ("texts", "field", "reason"),
    [
        ({"n_evnts": "5"}, "n_evnts", "no parameter 'n_evnts' of cms/my-search; did you mean n_events?"),
        ({"n_events": "0"}, "n_events", "right is a whole number from 1 to 100000"),
        ({"n_events": "many"}, "n_events", "right is a whole number"),
        ({"n_events": "1.5"}, "n_events", "right is a whole number"),
        ({"n_events": "true"}, "n_events", "right is a whole number"),
        ({"m_cut": "5 pb"}, "m_cut", "in GeV"),
        ({"m_cut": "nan"}, "m_cut", "right is a number from 0, in GeV"),
        ({"m_cut": "1_000"}, "m_cut", ""),
        ({"region": "SRC"}, "region", "one of SRA, SRB"),
    ],
)
def test_wrong_values_name_what_is_right(texts: dict[str, str], field: str, reason: str) -> None:
    if texts == {"m_cut": "1_000"}:
        assert bind(texts)["m_cut"] == 1000  # YAML's own spelling of a number
        return
    with pytest.raises(InvalidInput) as caught:
        bind(texts)
    assert caught.value.details["field"] == field
    assert reason in caught.value.message


def test_all_wrong_values_together() -> None:
    with pytest.raises(InvalidInput) as caught:
        bind({"n_events": "0", "nonsense": "1"}, m_cut=-1)
    assert [fault["field"] for fault in caught.value.details["faults"]] == ["nonsense", "n_events", "m_cut"]


def test_braces_would_be_placeholders() -> None:
    text = GOOD.replace("{type: string, enum: [SRA, SRB], description", "{type: string, description")
    with pytest.raises(InvalidInput, match="braces"):
        parse(text).bind({"region": "{workdir}"})


def test_missing_ones_are_named() -> None:
    with pytest.raises(InvalidInput, match="'region' of cms/my-search is needed: one of SRA, SRB"):
        parse(GOOD).bind({})


# -- expectations ------------------------------------------------------------------------------------------------------

RESULT = {"regions": [{"name": "SR/A".replace("/", "-"), "efficiency": 0.21, "error": 0.01}], "verdict": "excluded"}


@pytest.mark.parametrize(
    ("expectation", "passed"),
    [
        (analysis.Expectation("regions/SR-A/efficiency", value=0.2, relative=0.06), True),
        (analysis.Expectation("regions/SR-A/efficiency", value=0.2, relative=0.04), False),
        (analysis.Expectation("regions/SR-A/efficiency", value=0.2, absolute=0.011), True),
        (analysis.Expectation("regions/SR-A/efficiency", value=0.2, error_path="regions/0/error", sigmas=2), True),
        (analysis.Expectation("regions/SR-A/efficiency", value=0.2, error_path="regions/0/eror", sigmas=2), False),
        (analysis.Expectation("regions/SR-A/efficiency", value=0.25, error=0.03, sigmas=2, error_path=""), True),
        (analysis.Expectation("regions/SR-A/efficiency", minimum=0.2, maximum=0.3), True),
        (analysis.Expectation("regions/SR-A/efficiency", maximum=0.2), False),
        (analysis.Expectation("verdict", equals="excluded"), True),
        (analysis.Expectation("verdict", equals="not-excluded"), False),
        (analysis.Expectation("verdict", value=1.0), False),
        (analysis.Expectation("regions/SR-B/efficiency", value=1.0), False),
        (analysis.Expectation("regions/1/efficiency", value=1.0), False),
    ],
)
def test_judgement(expectation: analysis.Expectation, passed: bool) -> None:
    judgement = analysis.judge(expectation, RESULT)
    assert judgement.passed is passed
    assert bool(judgement.message) is not passed


def test_a_number_is_not_a_truth_value() -> None:
    assert not analysis.judge(analysis.Expectation("x", value=1.0, absolute=1), {"x": True}).passed
    assert not analysis.judge(analysis.Expectation("x", equals=1), {"x": True}).passed
    assert not analysis.judge(analysis.Expectation("x", value=1.0, absolute=9), {"x": float("nan")}).passed


def test_the_template_parses() -> None:
    path = Path(analysis.__file__).parent.parent / "template" / "analysis.yml"
    assert dedent(path.read_text("utf-8")).startswith("# A minimal analysis")
    assert analysis.parse(analysis.read_document(path.read_bytes(), str(path))).tests


SCANS = (
    GOOD
    + """\
scans:
  gluino:
    template: t.slha
    physical: m_lsp < m_gluino
    axes:
      m_gluino: {type: number, minimum: 500, unit: GeV}
      m_lsp: {type: number, minimum: 0, default: 0, unit: GeV}
  published:
    parameters: {region: 'SR{letter}'}
    points: points.csv
    axes: {letter: {enum: [A, B]}}
"""
)


def test_scans_are_read() -> None:
    gluino, published = parse(SCANS).scans
    assert (gluino.name, gluino.template, gluino.physical) == ("gluino", "t.slha", "m_lsp < m_gluino")
    assert [(axis.name, axis.unit, axis.required) for axis in gluino.axes] == [
        ("m_gluino", "GeV", True), ("m_lsp", "GeV", False)
    ]  # fmt: skip
    assert published.parameters == {"region": "SR{letter}"}
    assert [path for place, path in parse(SCANS).paths() if place[0] == "scans"] == ["t.slha", "points.csv"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("template: t.slha", "template: ../t.slha", "/scans/gluino/template: '../t.slha' leads out"),
        ("    template: t.slha\n", "", "/scans/gluino: neither `template` nor `parameters`"),
        ("m_lsp < m_gluino", "m_lps < m_gluino", "/scans/gluino/physical: no axis 'm_lps'; did you mean m_lsp?"),
        ("m_lsp < m_gluino", "m_lsp <", "/scans/gluino/physical: 'm_lsp <': something is missing"),
        ("default: 0, unit", "default: -1, unit", "/scans/gluino/axes/m_lsp/default: the default is refused"),
        ("      m_gluino:", "      n_events: {type: number}\n      m_gluino:", "'n_events' is also a parameter"),
        ("{region: 'SR{letter}'}", "{regio: 'SR{letter}'}", "no parameter 'regio'; did you mean region?"),
        ("'SR{letter}'", "'SR{lettr}'", "/scans/published/parameters/region: no axis 'lettr'; did you mean letter?"),
        ("theory: {formats: [slha]}\n", "", "/scans/gluino: the analysis declares no `theory`"),
        ("    points: points.csv\n", "    pints: points.csv\n", "unknown key 'pints'; did you mean points?"),
        ("axes: {letter: {enum: [A, B]}}", "axes: {}", "/scans/published/axes"),
    ],
)
def test_faults_of_scans(old: str, new: str, fault: str) -> None:
    assert old in SCANS
    found = faults(SCANS.replace(old, new))
    assert any(fault in one for one in found), found
    assert all(one.startswith("analysis.yml:") for one in found)
