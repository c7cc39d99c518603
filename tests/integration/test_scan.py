"""Scans and campaigns through `recast`: bad points, resumed, extended, retried, killed; nothing twice, nothing lost.

The diary of test_kill.py: every step appends a line when it begins and another when it ends, so that the test and not the
program tells what really ran.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from waiting import within

SEEDS = int(os.environ.get("RECAST_KILL_SEEDS", "6"))
"""How many random instants."""

WORKFLOW = """
stages:
- name: shared
  dependencies: [init]
  scheduler:
    scheduler_type: multistep-stage
    parameters:
      k: [1, 2, 3]
      diary: {step: init, output: diary}
      out: '{workdir}/out.txt'
    scatter: {method: zip, parameters: [k]}
    step:
      process:
        process_type: string-interpolated-cmd
        cmd: 'echo begin {out} >> {diary}; sleep 0.0{k}; echo {k} > {out}; echo end {out} >> {diary}'
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
- name: own
  dependencies: [shared]
  scheduler:
    scheduler_type: singlestep-stage
    parameters:
      n: {step: init, output: n}
      shared: {stages: shared, output: out}
      diary: {step: init, output: diary}
      out: '{workdir}/own.txt'
    step:
      process:
        process_type: string-interpolated-cmd
        cmd: >-
          echo begin own-{n} >> {diary}; test {n} != 13 && cat {shared} > {out} && echo {n} >> {out}
          && echo end own-{n} >> {diary}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""


@pytest.fixture
def workflow(write):
    """The workflow in the working folder, and its diary."""
    write("workflow.yml", WORKFLOW)
    return write("diary", "")


def begun(diary: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in diary.read_text().splitlines() if line.startswith("begin"))


def of_points(recast, name: str = "latest") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in recast.json("campaign", "status", name)["all_points"]:
        found.setdefault(row["state"], []).append(row["name"])
    return found


# -- one campaign ----------------------------------------------------------------------------------------------------


def test_a_scan_of_the_minimal_analysis(recast, write) -> None:
    recast("catalogue", "create", "my")
    write("points.csv", "name,m_gluino,m_lsp\n" + "".join(f"g{m},{m},0\n" for m in range(1600, 2400, 100))
          + "text,abc,0\nfar,99999,0\nunphysical,1500,1600\n")  # fmt: skip
    arguments = ["scan", "./my", "--csv", "points.csv", "-p", "n_events=100", "-p", "blocks=[1]", "--name", "mine"]
    first = recast.json(*arguments, "-q", code=1)
    assert first["name"] == "mine"
    assert first["state"] == "failed"
    assert first["skipped"] == {"unphysical": 1}
    counts = {state: number for state, number in first["points"].items() if number}
    assert counts == {"total": 10, "finished": 8, "refused": 2}
    status = recast.json("campaign", "status", "mine")
    causes = {row["name"]: row["error"] for row in status["all_points"] if row["state"] == "refused"}
    assert "'m_gluino' is 'abc'; right is a number from 500 to 5000" in causes["text"]
    assert "99999" in causes["far"]
    verdicts = {row["name"]: row["verdict"] for row in status["all_points"] if row["state"] == "finished"}
    assert verdicts["g1600"] == "excluded"
    assert set(verdicts.values()) <= {"excluded", "not-excluded", "undetermined"}

    again = recast.json(*arguments, "-q", code=1)
    assert again["id"] == first["id"], "the same request is the same campaign"
    assert len(recast.json("ls", "-n", "100")) == 8, "nothing was created again"

    # a changed limit re-fits without generating again; the same scan of a changed analysis is another campaign
    code = recast.folder / "my" / "code" / "limit.py"
    code.write_text(code.read_text() + "\n# changed\n")
    plan = recast.json("plan", "./my", "--csv", "points.csv", "-p", "n_events=100", "-p", "blocks=[1]")
    stages = {stage["stage"]: stage for stage in plan["stages"]}
    assert (stages["generate"]["there"], stages["generate"]["to_run"]) == (8, 0)
    assert (stages["limit"]["there"], stages["limit"]["to_run"]) == (0, 8)
    assert plan["refused"] == 2
    assert plan["seconds"] > 0
    changed = recast.json(*arguments, "-q", code=1)
    assert changed["id"] != first["id"]
    assert changed["name"] == "mine-2"
    assert (changed["steps"]["total"], changed["steps"]["reused"]) == (24, 16)
    names = [row["name"] for row in recast.json("campaign", "ls")]
    assert names == ["mine-2", "mine"]


def test_a_failing_point_stops_no_other_and_can_be_retried(recast, workflow) -> None:
    scan = ["scan", "workflow.yml", "--grid", "n=11:15:1", "-p", f"diary={workflow}", "--name", "five", "-q"]
    document = recast.json(*scan, code=1)
    assert document["points"]["failed"] == 1
    assert of_points(recast) == {"finished": ["n=11", "n=12", "n=14", "n=15"], "failed": ["n=13"]}
    assert "failed" in recast("campaign", "status", "--state", "failed")
    assert all(count == 1 for count in begun(workflow).values())
    again = recast.json(*scan, code=1)
    assert again["id"] == document["id"]
    assert begun(workflow)["own-13"] == 1, "the same command does not try failed points again"
    recast("campaign", "retry", "five", "-q", code=1)
    counts = begun(workflow)
    assert counts.pop("own-13") == 2
    assert set(counts.values()) == {1}
    failed = recast.json("ls", "--state", "failed")
    assert [run["name"] for run in failed] == ["five.3.1", "five.3"]
    assert "recast campaign retry" in recast("run", "--resume", failed[0]["id"], code=6)


def test_extended_it_computes_only_what_is_new(recast, workflow) -> None:
    recast("scan", "workflow.yml", "--grid", "n=1:3:1", "-p", f"diary={workflow}", "--name", "grow", "-q")
    document = recast.json("campaign", "extend", "grow", "--grid", "n=2:6:1", "-q")
    assert document["points"]["finished"] == document["points"]["total"] == 6
    assert set(begun(workflow).values()) == {1}
    assert of_points(recast, "grow") == {"finished": [f"n={n}" for n in range(1, 7)]}
    other = workflow.with_name("other")
    other.touch()
    document = recast.json("campaign", "extend", "grow", "-p", f"diary={other}", "-q")
    assert document["points"]["finished"] == 6, "all of them anew with another parameter"
    assert len(begun(other)) == 3 + 6
    assert "give more points" in recast("campaign", "extend", "grow", code=2)
    assert "n has no value" in recast("campaign", "extend", "grow", "--grid", "m=7", code=2)


def test_stopped_by_one_process_and_resumed_by_another(recast, workflow, write) -> None:
    gate = recast.folder / "gate"
    wait = f"while ! test -e {gate}; do sleep 0.05; done; echo begin own-{{n}}"
    write("workflow.yml", WORKFLOW.replace("echo begin own-{n}", wait))
    scan = ["scan", "workflow.yml", "--grid", "n=20:39:1", "-p", f"diary={workflow}", "--name", "long"]
    process = recast.start(*scan)
    within(60, lambda: sum(line.startswith("end") for line in workflow.read_text().splitlines()) == 3)
    recast("campaign", "stop", "long")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, (out, err)
    assert "long stopped" in out
    states = of_points(recast, "long")
    assert sum(map(len, states.values())) == 20
    assert set(states) <= {"stopped", "planned"}
    gate.touch()
    document = recast.json("campaign", "resume", "long", "-q")
    assert document["state"] == "finished"
    assert document["points"]["finished"] == 20
    assert set(begun(workflow).values()) == {1}
    assert document["steps"]["reused"] >= 57


def test_interrupted_it_goes_on_by_the_same_command(recast, workflow) -> None:
    scan = ["scan", "workflow.yml", "--grid", "n=20:39:1", "-p", f"diary={workflow}", "--name", "cut"]
    process = recast.start(*scan)
    within(60, lambda: "end own" in workflow.read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "recast campaign resume cut" in err
    assert "Traceback" not in err
    said = recast(*scan)
    assert "20 points (20 finished)" in said
    assert len(recast.json("campaign", "ls")) == 1
    ends = Counter(line for line in workflow.read_text().splitlines() if line.startswith("end own"))
    assert len(ends) == 20
    # one may have written its last line, but not ended yet, when it was interrupted
    assert sum(ends.values()) - len(ends) <= (os.cpu_count() or 1), ends


# -- several at once ---------------------------------------------------------------------------------------------------


def test_two_campaigns_that_need_the_same_jobs_compute_them_once(recast, workflow) -> None:
    recast("ls")  # makes the installation
    processes = [
        recast.start(
            "scan", "workflow.yml", "--grid", grid, "-p", f"diary={workflow}", "--name", grid[2:4], "-q", "--json"
        )
        for grid in ("n=20:27:1", "n=24:31:1")
    ]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)
    counts = begun(workflow)
    assert len(counts) == 3 + 12
    assert set(counts.values()) == {1}, counts


def test_the_same_scan_from_two_processes_is_one_campaign(recast, workflow) -> None:
    recast("ls")
    scan = ["scan", "workflow.yml", "--grid", "n=20:31:1", "-p", f"diary={workflow}", "-q", "--json"]
    processes = [recast.start(*scan) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)
    assert len(recast.json("campaign", "ls")) == 1
    assert len(recast.json("ls", "-n", "100")) == 12
    assert set(begun(workflow).values()) == {1}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_any_instant_nothing_is_lost_and_nothing_done_twice(recast, workflow, seed: int) -> None:
    rng = random.Random(seed)
    scan = ["scan", "workflow.yml", "--grid", "n=20:25:1", "-p", f"diary={workflow}", "-q", "--json"]
    other = ["scan", "workflow.yml", "--grid", "n=23:27:1", "-p", f"diary={workflow}", "-q", "--json"]
    second = recast.start(*other) if seed % 2 else None
    process = recast.start(*scan)
    try:
        process.communicate(timeout=0.5 + 1.2 * rng.random())
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finished_then = {line.split()[1] for line in workflow.read_text().splitlines() if line.startswith("end")}
    document = recast.json(*scan)
    assert document["state"] == "finished"
    assert document["points"]["finished"] == document["points"]["total"] == 6
    assert set(of_points(recast, document["id"])) == {"finished"}
    if second is not None:
        out, err = second.communicate(timeout=120)
        assert second.returncode == 0, (out, err)
    counts = begun(workflow)
    # a step that was killed while it ran has begun again as another attempt, in another folder
    steps = {re.sub(r"(/jobs/[^/]+)/\d+/", r"\1/", name) for name in counts}
    assert len(steps) == 3 + (8 if second is not None else 6)
    # a step that had ended may run again only if the kill fell between its last command and its exit record
    again = [name for name in finished_then if counts[name] > 1]
    assert len(again) <= (os.cpu_count() or 1), counts
    with closing(sqlite3.connect(recast.home / "records.db")) as records:
        runs = records.execute("SELECT count(*) FROM runs").fetchone()[0]
        points = records.execute("SELECT count(*) FROM points WHERE run != ''").fetchone()[0]
    assert runs == points, "no run without its point"


# -- what is refused --------------------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused_in_a_sentence(recast, workflow, call) -> None:
    scan = ("scan", "workflow.yml")
    call(*scan).refused(2, "declares no points of its own: give some by --grid, --csv")
    call(*scan, "--grid", "n=1,2", "--csv", "x").refused(2, "give one of")
    call(*scan, "--grid", "n").refused(2, "--grid 'n'", "right is")
    call(*scan, "--grid", "n=1:5:1", "--where", "n > 9").refused(2, "no points (5 left out by --where)")
    call(*scan, "--grid", "n=1:1e6:1").refused(2, "more than 100000 points", "RECAST_SCAN_LIMIT")
    call(*scan, "--grid", "n=1:1e6:1", "--grid", "m=1:1e6:1").refused(2, "1000000000000 points")
    call(*scan, "--grid", "n=1,2", "--where", "k < 3").refused(2, "no axis 'k'")
    call(*scan, "--csv", "nothing.csv").refused(2, "is no file")
    call(*scan, "--folder", "nothing").refused(4, "is no folder")
    call("scan", "workflow.yml,workflow.yml", "--grid", "n=1").refused(2, "named twice")
    call("scan", "nothing.yml", "--grid", "n=1").refused(4, "does not exist")
    call("campaign", "status", "nothing").refused(4, "no campaign 'nothing'")
    call("campaign", "status").refused(4, "no campaigns yet")
    assert call("campaign", "ls").out.count("\n") == 1


def test_a_dry_run_lists_points_and_keeps_no_record(recast, call, workflow) -> None:
    said = call("scan", "workflow.yml", "--grid", "n=1:3:1", "--grid", "m=a,b", "--where", "n != 2", "--dry-run")
    assert said.code == 0
    assert [line.split("\t") for line in said.out.splitlines()] == [
        ["POINT", "n", "m"], ["n=1,m=a", "1", "a"], ["n=1,m=b", "1", "b"], ["n=3,m=a", "3", "a"], ["n=3,m=b", "3", "b"]
    ]  # fmt: skip
    assert "4 points, 2 excluded" in said.err
    assert call("campaign", "ls").out.count("\n") == 1


def test_a_large_scan_is_planned_at_once_and_costs_little(recast, workflow) -> None:
    """The points of 20,000 theories are rows; only those that are about to be driven become runs."""
    from reana_lite.campaign import Request
    from reana_lite.config import Settings
    from reana_lite.database import Database, campaigns
    from reana_lite.planning import Enrolment, planner
    from reana_lite.storage.local import LocalStorage
    from reana_lite.theory.scan import grid, parse_axis

    settings = Settings.from_environment({"RECAST_HOME": str(recast.home), "LOGNAME": "me"})
    database, storage = Database(settings.database), LocalStorage(settings.storage)
    request = Request(("workflow.yml",), folder=str(recast.folder), assignments=(f"diary={workflow}",))
    with planner(database, storage, settings=settings) as planning:
        planned = planning.plan(request, grid([parse_axis("n=1:20000:1")]))
        record, known = planning.campaign(planned)
        assert not known
        assert planning.campaign(planned) == (record, True)
        enrolment = Enrolment(planning, record, planned.frames)
        enrolment.top_up(8)
        progress = campaigns.progress(database, record.id)
        assert progress.total == 20000
        assert 8 <= progress.count("queued") <= 100
        assert not enrolment.done
        stopped = threading.Thread(target=campaigns.stop, args=(database, record.id), kwargs={"by": "me"})
        stopped.start()
        stopped.join()
        enrolment.enrol(100)
        assert enrolment.done, "a stopped campaign gets no more runs"
        assert campaigns.progress(database, record.id).count("stopped") == progress.count("queued")
    database.close()


# -- what points are made of -------------------------------------------------------------------------------------------

ANALYSIS = """
reana_lite: 1
name: {name}
title: Copies what it is given
workflow: workflow.yml
theory: {{formats: [slha, patch, parameters], required: false}}
parameters:
  properties:
    point: {{type: string, default: none, description: A word.}}
    blocks: {{type: array, items: {{type: integer}}, default: [1], description: Blocks.}}
scans:
  words:
    parameters: {{point: 'p{{m}}'}}
    axes: {{m: {{type: integer, minimum: 1}}}}
    points: points.csv
results:
- {{name: copy, stage: copy, output: out, kind: file}}
"""

COPIES = """
stages:
- name: block
  dependencies: [init]
  scheduler:
    scheduler_type: multistep-stage
    parameters: {k: {step: init, output: blocks}, out: '{workdir}/out'}
    scatter: {method: zip, parameters: [k]}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'echo {k} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
- name: copy
  dependencies: [block]
  scheduler:
    scheduler_type: singlestep-stage
    parameters:
      theory: {step: init, output: theory}
      point: {step: init, output: point}
      blocks: {stages: block, output: out}
      name: NAME
      out: '{workdir}/out'
    step:
      process:
        process_type: string-interpolated-cmd
        cmd: 'cat {blocks} > {out}; echo {point} {name} >> {out}; test -z "{theory}" || cat {theory} >> {out}'
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""


@pytest.fixture
def copies(write):
    """Two analyses, one and two, whose result is what they are given; their blocks are the same."""
    for name in ("one", "two"):
        write(f"{name}/analysis.yml", ANALYSIS.format(name=name))
        write(f"{name}/workflow.yml", COPIES.replace("NAME", name))
        write(f"{name}/points.csv", "m\n7\n8\n")


def copied(recast, campaign: str = "latest") -> dict[str, str]:
    """What came out of each point, by its name."""
    found = {}
    for row in recast.json("campaign", "status", campaign)["all_points"]:
        assert row["state"] == "finished", row
        key = f"{row['target']} {row['name']}"
        found[key] = recast("artifacts", "get", row["run"], "copy/out", "-o", "-")
    return found


def test_the_points_of_an_analysis_become_parameters(recast, copies) -> None:
    document = recast.json("scan", "./one", "-q")
    assert document["points"]["finished"] == 2
    assert copied(recast) == {"./one m=7": "1\np7 one\n", "./one m=8": "1\np8 one\n"}
    document = recast.json("scan", "./one", "--where", "m > 7", "-q")
    assert (document["points"]["total"], document["steps"]["reused"]) == (1, 2)
    assert "no axis or parameter 'mm'" in recast("scan", "./one", "--grid", "mm=1", code=2)
    assert "no template 'nothing'" in recast("scan", "./one", "--grid", "m=1", "--template", "nothing", code=4)


def test_more_blocks_are_added_to_those_that_are_there(recast, copies) -> None:
    recast("scan", "./one", "--name", "more", "-q")
    before = recast.json("plan", "./one", "-p", "blocks=[1,2,3]", "--template", "words")
    assert {stage["stage"]: (stage["there"], stage["to_run"], stage["following"]) for stage in before["stages"]} == {
        "block": (1, 2, 0), "copy": (0, 0, 2)
    }  # fmt: skip
    document = recast.json("campaign", "extend", "more", "-p", "blocks=[1,2,3]", "-q")
    assert document["points"]["total"] == document["points"]["finished"] == 2
    assert document["steps"]["total"] == 2 * 4
    # three of the eight are computed by the one point or the other: block 2, block 3 once each, and two copies
    assert set(copied(recast).values()) == {"1\n2\n3\np7 one\n", "1\n2\n3\np8 one\n"}
    after = recast.json("plan", "./one", "-p", "blocks=[1,2,3]", "--template", "words")
    assert after["there"] == 3 + 2
    assert after["to_run"] == after["following"] == 0
    assert after["seconds"] == 0


def test_an_analysis_that_has_changed_is_not_mixed_with_what_it_was(recast, copies, write) -> None:
    recast("scan", "./one", "--name", "mixed", "-q")
    write("one/workflow.yml", COPIES.replace("NAME", "changed"))
    with closing(sqlite3.connect(recast.home / "records.db")) as records, records:
        records.execute("UPDATE runs SET state = 'failed' WHERE theory = 'm=8'")
    process = recast.start("campaign", "retry", "mixed")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "has changed since it was planned" in err
    process = recast.start("campaign", "extend", "mixed", "--grid", "m=9")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "1 points added, 2 computed anew" in err
    assert set(copied(recast, "mixed").values()) == {f"1\np{n} changed\n" for n in (7, 8, 9)}


def test_several_analyses_share_what_agrees(recast, copies) -> None:
    document = recast.json("scan", "./one,./two", "--grid", "m=7,8,9", "--name", "both", "-q")
    assert document["targets"] == ["./one", "./two"]
    assert document["points"]["finished"] == 6
    assert document["steps"]["total"] == 12
    found = copied(recast)
    assert found["./two m=9"] == "1\np9 two\n"
    assert len(found) == 6
    plan = recast.json("plan", "./one,./two", "--grid", "m=7,8,9")
    assert (plan["runs"], plan["there"], plan["to_run"]) == (6, 1 + 6, 0)


def test_folders_of_files_and_patchsets(recast, copies, write) -> None:
    spectrum = "BLOCK MASS\n 1000022 {m} # lsp\nDECAY 1000022 0.0\n"
    write("spectra/a.slha", spectrum.format(m=100))
    write("spectra/b.slha", spectrum.format(m=200))
    write("spectra/broken.slha", "BLOCK MASS\n 1000022 abc\n")
    write("spectra/.hidden", "nothing")
    document = recast.json("scan", "./one", "--folder", "spectra", "--name", "files", "-q", code=1)
    assert {state: count for state, count in document["points"].items() if count} == {
        "total": 3, "finished": 2, "refused": 1
    }  # fmt: skip
    points = recast.json("campaign", "status", "files")["all_points"]
    assert [(row["name"], row["state"]) for row in points] == [
        ("a", "finished"), ("b", "finished"), ("broken", "refused")
    ]  # fmt: skip
    assert "broken.slha:2" in points[2]["error"]
    write("spectra/broken.slha", spectrum.format(m=300))
    document = recast.json("campaign", "retry", "files", "-q")
    assert document["state"] == "finished", "mended files are read again"
    assert all("1000022" in text for text in copied(recast, "files").values())

    # conditions see what stands in the files; one that cannot be read is a refused point, not the end of the scan
    write("spectra/worse.slha", "BLOCK MASS\n 1000022 abc\n")
    document = recast.json(
        "scan", "./one", "--folder", "spectra", "--where", "m_neutralino_1 > 150", "--name", "heavy", "-q", code=1
    )
    assert document["skipped"] == {"excluded": 1}
    states = {row["name"]: row["state"] for row in recast.json("campaign", "status", "heavy")["all_points"]}
    assert states == {"b": "finished", "broken": "finished", "worse": "refused"}
    told = recast("scan", "./one", "--folder", "spectra", "--where", "m_nothing > 1", code=2)
    assert "no axis 'm_nothing'; there are" in told
    assert "m_neutralino_1" in told

    patch = [{"op": "remove", "path": "/x"}]
    patches = [{"metadata": {"name": f"p{n}", "values": [n]}, "patch": patch} for n in (1, 2)]
    metadata = {"digests": {"sha256": "0" * 64}, "labels": ["mass"], "references": {}}
    write("set.json", json.dumps({"version": "1.0.0", "metadata": metadata, "patches": patches}))
    document = recast.json("scan", "./one", "--patchset", "set.json", "--where", "mass > 1", "--name", "patches", "-q")
    assert (document["points"]["total"], document["skipped"]) == (1, {"excluded": 1})
    assert '"op":"remove"' in copied(recast, "patches")["./one p2"].replace(" ", "")


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path):
    """A disk of 4 MB that can be made larger; needs root and the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_in_the_middle(recast, workflow, write, small_disk: Path) -> None:
    large = "head -c 300000 /dev/urandom > {out} && echo {n} >> {out}"
    write("workflow.yml", WORKFLOW.replace("cat {shared} > {out} && echo {n} >> {out}", f"true {{shared}} && {large}"))
    env = {"RECAST_STORAGE": str(small_disk / "storage")}
    scan = ["scan", "workflow.yml", "--grid", "n=20:39:1", "-p", f"diary={workflow}", "--name", "full", "-q"]
    process = recast.start(*scan, env=env)
    out, err = process.communicate(timeout=120)
    assert process.returncode in (1, 7), (out, err)
    assert "Traceback" not in err
    states = of_points(recast, "full")
    assert sum(map(len, states.values())) == 20, "no point is lost"
    assert len(states["finished"]) >= 3, "what was done before stays"
    done = [row["name"] for row in recast.json("campaign", "status", "full", "--state", "finished")["all_points"]]
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    before = begun(workflow)
    process = recast.start("campaign", "retry", "full", "-q", "--json", env=env)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    assert json.loads(out)["points"]["finished"] == 20
    after = begun(workflow)
    for name in done:
        step = name.replace("n=", "own-")
        assert after[step] == before[step] == 1, f"{name} was finished and is run again"
