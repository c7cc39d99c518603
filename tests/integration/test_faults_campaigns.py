"""Campaigns in a bad world: half of the points bad, a killed owner of a shared step, damaged outputs, data that are not those
that were published, scans of nothing and of a million points.

What else can befall a campaign is in test_scan.py: a full disk, stop and resume, kills at random instants, two at once.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from steps import step, workflow
from waiting import within

MEGA = 10**6

HALF = """
reana_lite: 1
name: half
title: Fails in several ways
workflow: workflow.yml
theory: {formats: [parameters], required: false}
parameters:
  properties:
    m: {type: integer, minimum: 1, description: A number.}
results:
- {name: own, stage: own, output: out, kind: file}
"""


def lines(diary: Path, word: str) -> Counter[str]:
    """How often each step wrote that word."""
    return Counter(line.split()[1] for line in diary.read_text().splitlines() if line.startswith(word))


def own(line: str, *, after: str = "shared") -> dict[str, object]:
    """The stage that every point has for itself: `line` with {n}, {diary}, {input} and {out}."""
    stage = step(line, after=after, parameters={"n": {"step": "init", "output": "n"}})
    if "init" not in stage["dependencies"]:
        stage["dependencies"].append("init")
    return stage


def finished(recast, name: str) -> list[str]:
    return [r["name"] for r in recast.json("campaign", "status", name)["all_points"] if r["state"] == "finished"]


# -- points ----------------------------------------------------------------------------------------------------------


def test_half_of_the_points_are_bad_and_each_says_why(recast, write) -> None:
    line = (
        "case {m} in 11) exit 3;; 12) kill -SEGV $$;; 13) echo 'write: No space left on device' >&2; exit 1;; "
        "14) ;; *) echo {m} > {out};; esac"
    )
    stage = step(line, parameters={"m": {"step": "init", "output": "m"}})
    write("half/workflow.yml", workflow(own=stage))
    write("half/analysis.yml", HALF)
    good = [str(n) for n in range(1, 8)]
    bad = ["11", "12", "13", "14", "0", "-5", "abc"]
    mixed = [value for pair in zip(bad, good, strict=True) for value in pair]
    write("points.csv", "m\n" + "\n".join(mixed) + "\n")
    document = recast.json("scan", "./half", "--csv", "points.csv", "--name", "half", "-q", code=1)
    counts = {state: number for state, number in document["points"].items() if number}
    assert counts == {"total": 14, "finished": 7, "failed": 4, "refused": 3}
    points = {row["name"]: row for row in recast.json("campaign", "status", "half")["all_points"]}
    assert {name for name, row in points.items() if row["state"] == "finished"} == {f"m={n}" for n in good}
    why = {"m=11": "exit code 3", "m=12": "signal 11", "m=13": "disk is full", "m=14": "out", "m=0": "from 1",
           "m=-5": "from 1", "m=abc": "'abc'"}  # fmt: skip
    for name, words in why.items():
        assert words in points[name]["error"], points[name]
    for name in (f"m={n}" for n in good):
        assert recast("artifacts", "get", points[name]["run"], "own/out", "-o", "-").strip() == name[2:]


# -- a shared step ---------------------------------------------------------------------------------------------------


def test_the_shared_step_of_a_killed_campaign_is_taken_over(recast, write) -> None:
    """One campaign owns the running step, another waits for it; the first is killed with SIGKILL."""
    gate, diary = recast.folder / "gate", write("diary", "")
    shared = step(
        f"echo begin shared >> {{diary}}; while ! test -e {gate}; do sleep 0.05; done; "
        "echo once > {out}; echo end shared >> {diary}"
    )
    line = "echo begin own-{n} >> {diary}; cat {input} > {out}; echo {n} >> {out}; echo end own-{n} >> {diary}"
    write("workflow.yml", workflow(shared=shared, own=own(line)))
    scan = ("scan", "workflow.yml", "-p", f"diary={diary}", "-q", "--json")
    first = recast.start(*scan, "--grid", "n=1,2", "--name", "first")
    within(60, lambda: lines(diary, "begin")["shared"] == 1)
    second = recast.start(*scan, "--grid", "n=3,4", "--name", "second")
    try:
        within(60, lambda: "second" in [row["name"] for row in recast.json("campaign", "ls")])
        states = ("running", "queued")
        within(
            60, lambda: any(row["state"] in states for row in recast.json("campaign", "status", "second")["all_points"])
        )
        first.send_signal(signal.SIGKILL)
        first.communicate(timeout=60)
        within(60, lambda: lines(diary, "begin")["shared"] == 2, "nobody took the step over")
        gate.touch()
        out, err = second.communicate(timeout=120)
        assert second.returncode == 0, (out, err)
    finally:
        gate.touch()
        second.kill()
        second.communicate(timeout=60)
    assert json.loads(out)["points"]["finished"] == 2
    assert lines(diary, "end") == {"shared": 1, "own-3": 1, "own-4": 1}
    document = recast.json("campaign", "resume", "first", "-q")
    assert document["points"]["finished"] == 2
    assert lines(diary, "end") == {"shared": 1, "own-1": 1, "own-2": 1, "own-3": 1, "own-4": 1}
    assert lines(diary, "begin")["shared"] == 2


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["content", "manifest", "gone"])
def test_damaged_outputs_that_a_campaign_shares_are_found_and_computed_again(recast, write, damage: str) -> None:
    diary = write("diary", "")
    shared = step("echo begin shared >> {diary}; echo right > {out}")
    write("workflow.yml", workflow(shared=shared, own=own("echo begin own-{n} >> {diary}; cat {input} > {out}")))
    recast("scan", "workflow.yml", "--grid", "n=1:3:1", "-p", f"diary={diary}", "--name", "kept", "-q")
    job = next(job for job in recast.json("cache", "ls") if job["node"].startswith("/shared"))
    folder = recast.home / "storage" / "jobs" / job["key"] / str(job["attempt"])
    kept = folder / "files" / "out"
    if damage == "content":
        kept.write_text("wrong\n")
    elif damage == "manifest":
        (folder / "manifest.json").write_text("[")
    else:
        kept.unlink()
    said = recast("cache", "verify", "--repair", code=None)
    assert "1 damaged and forgotten" in said
    document = recast.json("campaign", "extend", "kept", "--grid", "n=3:6:1", "-q")
    assert document["points"]["finished"] == document["points"]["total"] == 6
    counts = lines(diary, "begin")
    assert counts == {"shared": 2, **{f"own-{n}": 1 for n in range(1, 7)}}, "only what was damaged is computed again"
    rows = recast.json("campaign", "status", "kept")["all_points"]
    for row in rows:
        assert recast("artifacts", "get", row["run"], "own/out", "-o", "-") == "right\n", row["name"]
    assert recast("cache", "verify").strip() == "0 damaged"


def test_data_of_another_digest_are_refused_before_there_is_a_campaign(recast, write) -> None:
    published = write("published.json", '{"right": 1}')
    stage = step("cat {likelihood} > {out}", parameters={"likelihood": {"step": "init", "output": "likelihood"},
                                                          "m": {"step": "init", "output": "m"}})  # fmt: skip
    write("half/workflow.yml", workflow(own=stage))
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    data = f"data:\n  likelihood: {{url: '{published.as_uri()}', sha256: {digest}, description: A likelihood.}}\n"
    write("half/analysis.yml", HALF + data)
    published.write_text('{"right": 2}')  # somebody exchanged it
    scan = ("scan", "./half", "--grid", "m=1:4:1", "--name", "data", "-q")
    said = recast(*scan, code=3)
    assert "published.json" in said
    assert f"sha256 {digest[:8]}" in said or digest in said
    assert recast.json("campaign", "ls") == []
    assert recast.json("ls") == []
    assert [p for p in (recast.home / "storage").rglob("*published.json*") if p.is_file()] == []
    published.write_text('{"right": 1}')
    assert recast.json(*scan)["points"]["finished"] == 4
    # in the mirror it is not taken either, whatever is at the address
    mirror = recast.folder / "mirror"
    write("mirror/published.json", '{"right": 3}')
    other = recast.home.with_name("other")
    published.unlink()
    said = recast(*scan, code=None, env={"RECAST_DATA_MIRROR": str(mirror), "RECAST_HOME": str(other)})
    assert "another sha256" in said


# -- sizes -----------------------------------------------------------------------------------------------------------


def test_a_scan_of_nothing_is_refused(recast, write, call) -> None:
    write("workflow.yml", workflow(own=step("echo {n} > {out}", parameters={"n": {"step": "init", "output": "n"}})))
    write("empty.csv", "n\n")
    write("blank.csv", "")
    (recast.folder / "folder").mkdir()
    metadata = {"digests": {"sha256": "0" * 64}, "labels": ["mass"], "references": {}}
    write("set.json", json.dumps({"version": "1.0.0", "metadata": metadata, "patches": []}))
    scan = ("scan", "workflow.yml")
    call(*scan, "--csv", "empty.csv").refused(2, "empty.csv", "at least one with values")
    call(*scan, "--csv", "blank.csv").refused(2, "blank.csv", "at least one with values")
    call(*scan, "--folder", "folder").refused(2, "the scan has no points")
    call(*scan, "--patchset", "set.json").refused(2, "set.json /patches: no patches")
    call(*scan, "--grid", "n=1:3:1", "--where", "n > 3").refused(2, "no points (3 left out by --where)")
    assert recast.json("campaign", "ls") == []


PEAK_MB = 900
"""What a refusal of a million points may take; the points themselves, as objects, take some 500 MB."""


LAUNCHER = """
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
code = subprocess.call(sys.argv[2:], stdin=subprocess.DEVNULL)
with open(sys.argv[1], "w") as stream:
    stream.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""Its peak is asked for by a small process: a child of a large one (pytest's) counts what it was forked with."""


def peak_of(recast, *args: str, env: dict[str, str] | None = None) -> tuple[int, str, float]:
    """(exit code, what it said at the end, peak of memory in MB) of a command that may not take more than 3 GB."""
    peak = recast.folder / "peak"
    command = [sys.executable, "-c", LAUNCHER, str(peak), sys.executable, "-m", "reana_lite", *args]
    done = subprocess.run(
        command, cwd=recast.folder, env=recast.environment | (env or {}), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    return done.returncode, done.stdout[-2000:], int(peak.read_text()) / 1024


@pytest.mark.parametrize("kind", ["grid", pytest.param("csv", marks=pytest.mark.slow), "huge"])
def test_a_million_points_are_refused_in_bounded_memory(recast, write, kind: str) -> None:
    write("workflow.yml", workflow(own=step("echo {n} > {out}", parameters={"n": {"step": "init", "output": "n"}})))
    options = ("--grid", f"n=1:{MEGA}:1")
    words, peak_mb = "more than 100000 points", PEAK_MB
    if kind == "csv":
        write("points.csv", "n\n" + "\n".join(map(str, range(MEGA))) + "\n")
        options = ("--csv", "points.csv")
    elif kind == "huge":
        with write("points.csv", "n\n").open("r+b") as stream:
            stream.truncate(20 << 30)  # a file with a hole: 20 GB of nothing
        options, words, peak_mb = ("--csv", "points.csv"), "a table of points has at most", 400
    code, said, peak = peak_of(recast, "scan", "workflow.yml", *options)
    assert code == 2, said
    assert words in said
    assert "Traceback" not in said
    assert peak < peak_mb
    assert recast.json("campaign", "ls") == []


@pytest.mark.slow
def test_a_million_points_are_listed_where_they_are_allowed(recast, write) -> None:
    write("workflow.yml", workflow(own=step("echo {n} > {out}", parameters={"n": {"step": "init", "output": "n"}})))
    limit = {"RECAST_SCAN_LIMIT": str(2 * MEGA)}
    code, said, peak = peak_of(recast, "scan", "workflow.yml", "--grid", f"n=1:{MEGA}:1", "--dry-run", env=limit)
    assert code == 0, said
    assert f"n={MEGA}\t{MEGA}" in said
    assert peak < PEAK_MB
