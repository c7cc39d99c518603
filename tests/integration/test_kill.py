"""SIGKILL and SIGINT of the whole program at random instants: nothing lost, no finished step run again, no orphan.

Every step appends a line to a diary outside of the workspace when it begins and another when it ends, so that the test,
not the program, tells what really ran.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import Counter

import pytest
from waiting import wait_until_gone

SEEDS = int(os.environ.get("RECAST_KILL_SEEDS", "40"))
"""How many random instants; several hundred take some minutes."""

WORKFLOW = """
stages:
- name: map
  dependencies: [init]
  scheduler:
    scheduler_type: multistep-stage
    parameters:
      n: {stages: init, output: ns, unwrap: true}
      diary: {step: init, output: diary}
      out: '{workdir}/out.txt'
    scatter: {method: zip, parameters: [n]}
    step: &step
      process:
        process_type: string-interpolated-cmd
        cmd: 'echo begin {out} >> {diary}; sleep 0.0{n}; echo {n} > {out}; echo end {out} >> {diary}'
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
- name: glob
  dependencies: [map]
  scheduler:
    scheduler_type: multistep-stage
    parameters:
      n: {stages: map, output: out}
      diary: {step: init, output: diary}
      out: '{workdir}/copy.txt'
    scatter: {method: zip, parameters: [n]}
    step:
      process:
        process_type: string-interpolated-cmd
        cmd: 'echo begin {out} >> {diary}; cat {n} > {out}; echo end {out} >> {diary}'
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: fromglob-pub, globexpression: '*.txt', outputkey: copies}
- name: reduce
  dependencies: [glob]
  scheduler:
    scheduler_type: singlestep-stage
    parameters:
      n: {stages: glob, output: copies, flatten: true}
      diary: {step: init, output: diary}
      out: '{workdir}/sum.txt'
    step:
      process:
        process_type: string-interpolated-cmd
        cmd: 'echo begin {out} >> {diary}; cat {n} > {out}; echo end {out} >> {diary}'
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""

NUMBERS = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_run_resumes(recast, write, seed: int) -> None:
    rng = random.Random(seed)
    diary = write("diary", "")
    write("workflow.yml", WORKFLOW)
    args = ["run", "workflow.yml", "-p", f"ns={NUMBERS}", "-p", f"diary={diary}", "--json", "-q"]
    process = recast.start(*args)
    kind = rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    try:
        process.communicate(timeout=0.25 + 0.9 * rng.random())
    except subprocess.TimeoutExpired:
        process.send_signal(kind)
        process.communicate(timeout=60)
    wait_until_gone(recast.home)
    finished_then = {line.split()[1] for line in diary.read_text().splitlines() if line.startswith("end")}

    runs = recast.json("ls")
    if not runs:  # killed before the run was there at all: nothing was promised, nothing may have run
        assert not diary.read_text()
        return
    (run,) = runs
    if run["state"] != "finished":
        document = recast.json("run", "--resume", run["id"], "-q")
        assert document["state"] == "finished", document
        assert document["run"] == run["id"]
    workspace = recast.home / "runs" / run["id"]
    if workspace.exists():
        assert (workspace / "reduce" / "sum.txt").read_text().split() == [str(n) for n in NUMBERS]
    wait_until_gone(recast.home)

    lines = Counter(diary.read_text().splitlines())
    ends = {line.split()[1] for line in lines if line.startswith("end")}
    assert len(ends) >= 2 * len(NUMBERS) + 1
    # A step that had ended may be run again only if the kill fell between its last command and its exit record.
    again = [path for path in finished_then if lines[f"begin {path}"] > 1]
    assert not again or (kind == signal.SIGKILL and len(again) <= os.cpu_count()), again
    status = recast.json("status", run["id"])
    assert Counter(node["state"] for node in status["nodes"]) == {"finished": 2 * len(NUMBERS) + 1}
