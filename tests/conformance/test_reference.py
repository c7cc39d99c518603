"""The reference engine: yadage itself, asked to run cases of the corpus, gives what their expected.json says."""

from __future__ import annotations

import copy
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from compare import compare

from reana_lite.errors import Unavailable
from reana_lite.job import INIT_ROOT, RUN_ROOT
from reana_lite.reference import Reference, ReferenceRun, Tokens, compare_nodes

CASES = Path(__file__).parent / "cases"

SLEEPER = """
stages:
- name: sleeper
  dependencies: []
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {out: '{workdir}/pid'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo $$ > {out}; exec sleep 600'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {o: out}}
"""


def request_of(name: str, place: Path, *, quick: bool) -> ReferenceRun:
    inputs = CASES / name / "inputs.yml"
    data = yaml.safe_load(inputs.read_text(encoding="utf-8")) if inputs.exists() else {}
    run = yaml.safe_load((CASES / name / "case.yml").read_text(encoding="utf-8")).get("run") or {}
    options = {key: value.replace("$CASE", str(CASES / name)) for key, value in (run.get("dataopts") or {}).items()}
    work = str(place / "wd")
    tokens = [(work, "$WORKDIR"), (f"{work}/init", "$WORKDIR/init"), (str(CASES / name), "$CASE")]
    tokens += [(value, value.replace(str(CASES / name), "$CASE")) for value in options.values()]
    return ReferenceRun(
        workflow="workflow.yml",
        toplevel=str(CASES / name),
        workdir=place / "wd",
        init_data=data,
        data_options=options,
        tokens=tokens,
        quick=quick,
        limit_s=120,
    )


def digests(snapshot: dict[str, Any]) -> dict[str, str]:
    return {path: entry["sha256"] for path, entry in snapshot["files"].items() if "sha256" in entry}


@pytest.mark.slow
@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    "name", ["scatter_cases", "fail_in_subworkflow", "init_files", "jq_stage", "pub_frompar_missing"]
)
def test_it_gives_what_the_corpus_says(name: str, quick: bool, reference: Reference, place: Path) -> None:
    expected = json.loads((CASES / name / "expected.json").read_text(encoding="utf-8"))
    got = reference.run(request_of(name, place, quick=quick))
    assert compare(expected, got, strict=True) == []
    assert compare_nodes(got, expected) == []
    assert digests(got) == digests(expected)


@pytest.mark.slow
def test_paths_become_virtual_and_a_document_needs_no_file(reference: Reference, place: Path) -> None:
    (place / "in").mkdir()
    (place / "in" / "a.txt").write_text("A")
    stages = yaml.safe_load(SLEEPER)["stages"]
    stages[0]["dependencies"] = ["init"]
    stages[0]["scheduler"]["parameters"]["a"] = {"step": "init", "output": "a"}
    stages[0]["scheduler"]["step"]["process"]["cmd"] = "echo {a} > {out}"
    got = reference.run(
        ReferenceRun(
            {"stages": stages}, "", place / "wd", init_data={"a": "a.txt", "é": "1e-07"},
            data_options={"initdir": str(place / "in")}, quick=True,
        )
    )  # fmt: skip
    assert got["status"] == "success"
    assert got["nodes"]["/init/0"]["result"] == {"a": f"{INIT_ROOT}/a.txt", "é": "1e-07"}
    assert got["nodes"]["/sleeper/0"]["readwrite"] == [f"{RUN_ROOT}/sleeper"]
    assert got["files"]["sleeper/pid"]["text"] == f"{INIT_ROOT}/a.txt\n"


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.slow
def test_a_run_over_its_limit_leaves_nothing_running(reference: Reference, place: Path) -> None:
    (place / "flow.yml").write_text(SLEEPER)
    got = reference.run(ReferenceRun("flow.yml", str(place), place / "wd", limit_s=3, quick=True))
    assert got["status"] == "hang"
    pid = int((place / "wd" / "sleeper" / "pid").read_text())
    until = time.monotonic() + 20
    while is_running(pid):  # killed, and gone once the kernel and its parent have seen to it
        assert time.monotonic() < until, f"process {pid} is still running"
        time.sleep(0.02)
    assert reference.run(request_of("scatter_cases", place / "next", quick=True))["status"] == "success"


@pytest.mark.slow
def test_an_engine_that_died_says_so(reference: Reference, place: Path) -> None:
    with Reference(reference.python) as mine:
        os.kill(mine.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="yadage process has ended"):
            mine.run(request_of("scatter_cases", place, quick=True))


def test_every_kind_of_difference_is_found() -> None:
    expected = json.loads((CASES / "scatter_cases" / "expected.json").read_text(encoding="utf-8"))
    assert compare_nodes(expected, expected) == []

    def found(path: tuple[str, ...], value: object) -> str:
        changed = copy.deepcopy(expected)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        differences = compare_nodes(changed, expected)
        assert len(differences) == 1
        return differences[0]

    assert found(("status",), "failed").startswith("status")
    assert found(("nodes", "/pick/0"), None) == "node /pick/0: only yadage has it"
    assert "result" in found(("nodes", "/pick/0", "result"), {"x": 2.0})
    assert "state" in found(("nodes", "/pick/0", "state"), "FAILED")
    assert "inputs" in found(("nodes", "/pick/0", "inputs"), [])
    assert found(("edges",), []).startswith("edges")
    assert found(("unapplied_stages",), ["/x"]).startswith("open stages")
    integer, real = copy.deepcopy(expected), copy.deepcopy(expected)
    integer["nodes"]["/pick/0"]["parameters"], real["nodes"]["/pick/0"]["parameters"] = {"n": 2}, {"n": 2.0}
    assert len(compare_nodes(integer, real)) == 1


def test_the_longest_path_is_replaced_first() -> None:
    tokens = Tokens([("/a", "A"), ("/a/b", "B")])
    assert tokens.data({"/a/b/c": ["/a/x", 1, None]}) == {"B/c": ["A/x", 1, None]}
    assert tokens.content(b"\xff/a/b") == b"\xffB"
