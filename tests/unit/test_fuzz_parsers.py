"""Whatever a user may send is read or refused by an error of ours, and soon: files that are nearly right, and others.

Every parser of user files stands in PARSERS with something right to begin from; what is put into it are bytes, lines and
words that have broken parsers before. Time is processor time.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reana_lite.analysis import read_document
from reana_lite.analysis.description import parse
from reana_lite.catalogue import Sources
from reana_lite.errors import ReanaLiteError
from reana_lite.target.reana import resolve_uploaded
from reana_lite.theory import read_theory
from reana_lite.theory.condition import Expression
from reana_lite.theory.parameters import read_parameters
from reana_lite.theory.patch import read_json, read_patch, read_patchset
from reana_lite.theory.scan import parse_axis, read_table
from reana_lite.theory.slha import read_slha
from reana_lite.workflow import loading, query
from reana_lite.workflow.pattern import Tree, glob

# ruff: noqa: E501
LIMIT_S = 3.0
"""Processor time for one example; they take milliseconds."""

SLHA = b"""BLOCK SPINFO
    1   someone
BLOCK MASS  # masses
   1000021  2.0000E+03  # gluino
   1000022  0.0
DECAY 1000021 1.0
    0.25  3  1000022  1  -1
    0.75  3  1000022  2  -2
DECAY 1000022 0.0
XSECTION  1.30E+04  2212 2212 2 1000021 1000021
 0  0  0  0  0  0  1.00E-03 someone 1
"""
LHE = b"""<LesHouchesEvents version="3.0">
<header>
<!-- a comment -->
</header>
<init>
2212 2212 6.5E+03 6.5E+03 0 0 247000 247000 -4 1
 1.0E-03 3.0E-05 1.0E-03 1
</init>
<event>
 3 1 1.0 91.2 0.0078 0.118
 21 -1 0 0 501 502 0. 0. 500. 500. 0. 0. 9.
 21 -1 0 0 502 501 0. 0. -500. 500. 0. 0. 9.
 1000022 1 1 2 0 0 0. 0. 0. 1000. 1000. 0. 9.
</event>
</LesHouchesEvents>
"""
HEPMC3 = b"""HepMC::Version 3.02.05
HepMC::Asciiv3-START_EVENT_LISTING
W Default
E 0 1 3
U GEV MM
W 1.0
A 0 GenCrossSection 5.0e-03 1.0e-04 -1 -1
P 1 0 2212 0 0 6500 6500 0.938 4
P 2 0 2212 0 0 -6500 6500 0.938 4
V -1 0 [1,2]
P 3 -1 1000022 1 2 3 1000 999 1
HepMC::Asciiv3-END_EVENT_LISTING
"""
PATCH = json.dumps([{"op": "add", "path": "/channels/0/samples/1", "value": {
    "name": "signal", "data": [1.0, 2.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]}}]).encode()  # fmt: skip
PATCHSET = json.dumps({
    "metadata": {"name": "a", "digests": {"sha256": "0" * 64}, "labels": ["m"], "references": {"hepdata": "ins1"},
                 "description": "d"},
    "patches": [{"metadata": {"name": "p", "values": [100]}, "patch": json.loads(PATCH)}], "version": "1.0.0",
}).encode()  # fmt: skip
TABLE = b"name,m_gluino,m_lsp\na,1000,100.5\nb,1200,'x y'\n"
PARAMETERS = b"m_gluino: {value: 2000, unit: GeV}\nm_lsp: 100\nlabel: word\n"
ANALYSIS = b"""reana_lite: 1
name: tiny
title: Two steps
description: Says a word.
workflow: workflow.yml
parameters:
  properties:
    n: {type: integer, minimum: 0, default: 1, description: How often.}
    word: {type: string, enum: [hello], default: hello, description: What.}
results:
- {name: said, kind: file, stage: say, output: said, media_type: text/plain}
examples:
  loud: {parameters: {n: 7}}
"""
WORKFLOW = b"""stages:
- name: say
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {n: {step: init, output: n}, out: '{workdir}/n.txt'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo {n} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""
REANA: dict[str, Any] = {
    "version": "0.9.0",
    "inputs": {"files": ["a.txt"], "parameters": {"n": 1}},
    "workflow": {"type": "serial", "specification": {"steps": [
        {"name": "one", "environment": "debian:bookworm", "commands": ["echo ${n} > out.txt"]}]}},
    "outputs": {"files": ["out.txt"]},
}  # fmt: skip


def load(text: bytes) -> None:
    loading.load_workflow("file:///w/", "workflow.yml", lambda uri: text)


def upload(document: Any, files: dict[str, bytes]) -> None:
    """As the REANA API takes a specification: with its files in a folder, and no network."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).write_bytes(content)
        resolve_uploaded(document, folder, Sources(timeout_s=0.001), name="w")


def spec(text: bytes) -> None:
    """reana.yaml as a client would have read it."""
    try:
        document = json.loads(json.dumps(yaml.safe_load(text)))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return  # the client's affair
    upload(document, {"a.txt": b"", "workflow.yml": WORKFLOW})


def theory(name: str) -> Callable[[bytes], Any]:
    return lambda text: read_theory("t", [(name, text)])


PARSERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "slha": (lambda text: read_slha(text, "s"), SLHA),
    "theory-slha": (theory("t.slha"), SLHA),
    "lhe": (theory("t.lhe"), LHE),
    "lhe-gz": (theory("t.lhe.gz"), gzip.compress(LHE, mtime=0)),
    "hepmc": (theory("t.hepmc"), HEPMC3),
    "patch": (lambda text: read_patch(read_json(text, "p"), "p"), PATCH),
    "patchset": (lambda text: read_patchset(read_json(text, "p"), "p"), PATCHSET),
    "theory-patchset": (theory("t.json"), PATCHSET),
    "table": (lambda text: read_table(text, "t.csv"), TABLE),
    "parameters": (lambda text: read_parameters(text, "p.yml"), PARAMETERS),
    "analysis": (lambda text: parse(read_document(text, "analysis.yml")), ANALYSIS),
    "workflow": (load, WORKFLOW),
    "reana": (spec, yaml.safe_dump(REANA).encode()),
    "reana-yadage": (spec, yaml.safe_dump(
        {**REANA, "workflow": {"type": "yadage", "file": "workflow.yml"}}).encode()),
    "workflow-in-reana": (
        lambda text: upload({**REANA, "workflow": {"type": "yadage", "file": "workflow.yml"}}, {"workflow.yml": text}),
        WORKFLOW,
    ),
}  # fmt: skip

ODD = st.sampled_from([
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r", b"\t", b'"', b"'", b"{", b"}", b"[", b"]", b"<", b">",
    b"&a ", b"*a ", b"<<: *a", b"!!python/object/apply:os.system [id]", b"!!binary a", b"!!set {a}", b"$ref: ../../etc/passwd",
    b"$ref: file:///etc/passwd", b"-", b"1e999", b"-1", b"0", b"nan", b"inf", b"9" * 400, b"1E+", b"2024-13-01", b"null",
    b"true", b"~", b"{workdir}", b"{x.__class__}", b"$(id)", b";", b"=cmd|' /C calc'!A0", b"\x1b[31m", b"\x85",
    "\u2028\u202e".encode(), b"(" * 300, b"[" * 300, b"{a: " * 200, b"\\", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;",
    b"<![CDATA[", b"<event>", b"</init>", b"E ", b"P 1 0", b"V -1 0 [1", b"BLOCK ", b"DECAY 5", b"#", b": ", b"? ", b"| ", b",,",
])  # fmt: skip
CHANGE = st.tuples(
    st.sampled_from(["insert", "replace", "cut", "double", "word"]), st.floats(0, 1), st.floats(0, 1), ODD
)


def changed(text: bytes, change: tuple[str, float, float, bytes]) -> bytes:
    """A text with one thing changed at a place given as a share of its length."""
    kind, at, share, odd = change
    start = int(at * len(text))
    end = min(len(text), start + 1 + int(share * 40))
    if kind == "word":
        while start and text[start - 1 : start].isalnum():
            start -= 1
        end = start
        while end < len(text) and text[end : end + 1].isalnum():
            end += 1
    new = {"insert": odd + text[start:end], "cut": b"", "double": text[start:end] * 2}.get(kind, odd)
    return text[:start] + new + text[end:]


def soon(what: Callable[[], Any]) -> None:
    """It ends in time, by itself or by an error of ours."""
    begun = time.thread_time()
    try:
        what()
    except ReanaLiteError as error:
        json.dumps(error.to_dict(), default=str)  # every door can say it
    assert time.thread_time() - begun < LIMIT_S


@pytest.mark.parametrize("name", PARSERS)
def test_what_the_fuzzers_begin_from_is_right(name: str) -> None:
    read, text = PARSERS[name]
    read(text)


def test_a_cell_of_a_table_that_is_too_long() -> None:
    with pytest.raises(ReanaLiteError, match="no table"):
        read_table(b"a,b\n1," + b"x" * 140_000, "t.csv")


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(CHANGE, min_size=1, max_size=4))
def test_files_that_are_nearly_right(name: str, changes: list[tuple[str, float, float, bytes]]) -> None:
    read, text = PARSERS[name]
    for change in changes:
        text = changed(text, change)
    soon(lambda: read(text))


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=20, deadline=None)
@given(text=st.binary(max_size=200))
def test_files_of_anything(name: str, text: bytes) -> None:
    soon(lambda: PARSERS[name][0](text))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
    | st.sampled_from(["/etc/passwd", "../..", ".", "file:///etc/passwd", "http://169.254.169.254/", "{workdir}", "$ref"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["name", "steps", "commands", "environment", "files", "file", "type", "parameters", "options", "toplevel", "$ref",
         "specification", "stages", "scheduler", "inputs", "step", "initdir", "input"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 1000), value=VALUES, kind=st.sampled_from(["serial", "yadage"]))
def test_specifications_of_another_shape(at: int, value: Any, kind: str) -> None:
    document = json.loads(json.dumps(REANA))
    if kind == "yadage":
        document["workflow"] = {"type": "yadage", "specification": yaml.safe_load(WORKFLOW)}
    path = places(document)[1:][at % (len(places(document)) - 1)]
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    soon(lambda: upload(document, {"a.txt": b""}))


TEXTS = st.text(max_size=60) | st.lists(
    st.sampled_from([*"[]().,:*|&$`'\"", "..", "where", "a", "-1", "9" * 30, "`this`", "`parent`", "1:2:0", "1:1e9:1e-9", "**",
                     "and", "not", "<", "==", "(", ")", "+", "**9", "inf", "nan"]), max_size=14).map("".join)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_texts_of_queries_axes_conditions_and_patterns(text: str) -> None:
    soon(lambda: query.parse(text).find({"a": {"a": [1, {"a": 2}]}, "b": [1]}))
    soon(lambda: parse_axis(f"x={text}"))
    soon(lambda: parse_axis(text))
    soon(lambda: Expression.of(text).value({"a": 2.0, "x": 1}))
    soon(lambda: glob(text, Tree(["/a/b", "/a/c"])))
