"""Steps and runs that go wrong: each with its cause, its sentence, its exit code, nothing left behind, and a way on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from steps import scatter, step, workflow
from waiting import wait_until_gone, within


def nodes(recast, run: str) -> dict[str, str]:
    return {node["node"]: node["state"] for node in recast.json("status", run)["nodes"]}


def test_every_way_to_fail_has_its_cause_and_its_sentence(recast, write) -> None:
    """One run, many steps: the others go on, dependents do not begin, everything is told."""
    write("noexec.sh", "#!/bin/sh\n")
    ways = {
        "code": ("echo speak; exit 3", "exit", "exit code 3"),
        "notfound": ("nosuchprogram", "exit", "not found"),
        "noexec": (f"{recast.folder}/noexec.sh", "exit", "x bit"),
        "segfault": ("kill -SEGV $$", "exit", "signal 11"),
        "hang": ("trap '' TERM; sleep 300 & sleep 300", "time", "time limit of 1 s"),
        "memory": ("python3 -c 'import time; x = bytearray(300 << 20); time.sleep(20)'", "memory", "100 MiB"),
        "huge": ("true", "memory", "asks for"),
        "image": ("true", "image", "stand-in"),
        "full": ("echo 'write: No space left on device' >&2; exit 1", "disk", "disk is full"),
        "binary": ("head -c 3000 /dev/urandom; exit 4", "exit", "exit code 4"),
        "link": ("ln -s /etc/passwd leak; touch {out}", "exit", "outside"),
    }
    resources = {"hang": [{"timeout_s": 1}], "memory": [{"memory": "100Mi"}], "huge": [{"memory": "900Ti"}]}
    stages = {name: step(line) for name, (line, _, _) in ways.items()}
    for name in ("image", *resources):
        image = {"environment_type": "docker-encapsulated", "image": "nosuch/image" if name == "image" else "plain"}
        if name in resources:
            image["resources"] = resources[name]
        stages[name]["scheduler"]["step"]["environment"] = image
    write("plain.lock", "")
    stages |= {f"after_{name}": step("touch {out}", after=name) for name in ("code", "hang")}
    stages |= {"good": step("touch {out}"), "daemon": step("setsid sh -c 'sleep 300' >/dev/null 2>&1 & touch {out}")}
    write("w.yml", workflow(**stages))
    process = recast.start("run", "w.yml", "--backend", "local", "--stand-in", "plain=plain.lock")
    _out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    status = recast.json("status", "latest")
    states = nodes(recast, "latest")
    assert {name for name, state in states.items() if state == "finished"} == {"/good/0", "/daemon/0"}
    assert {name for name, state in states.items() if state == "failed"} == {f"/{name}/0" for name in ways}
    assert status["progress"]["failed"] == len(ways)
    told = {name: explained(recast, name) for name in ways if name != "image"}
    for name, (_, cause, words) in ways.items():
        if name != "image":
            assert told[name][0] == cause, (name, told[name])
            assert words in told[name][1], (name, told[name])
    wait_until_gone(recast.home)


def test_an_image_that_cannot_be_had(recast, write) -> None:
    image = step("true")
    image["scheduler"]["step"]["environment"] = {"environment_type": "docker-encapsulated", "image": "nosuch/image"}
    write("w.yml", workflow(image=image, after=step("touch {out}", after="image")))
    said = recast("run", "w.yml", "-q", "--backend", "local", code=1)
    assert "/image/0 failed (image)" in said
    assert "nosuch/image:latest" in said
    assert "--stand-in IMAGE=" in said
    assert recast("run", "w.yml", "-q", "--backend", "local", "--stand-in", "nosuch/image=gone.lock", code=2)


def explained(recast, name: str) -> tuple[str, str]:
    """(cause, message) of the failed job of a stage."""
    from reana_lite.database import Database

    database = Database(f"sqlite:///{recast.home}/records.db")
    try:
        (job,) = [job for job in database.jobs_of(database.get_run("latest").id) if job.node == f"/{name}/0"]
    finally:
        database.close()
    return job.cause, job.message


def test_a_failed_step_is_shown_with_advice_and_the_end_of_its_log(recast, write) -> None:
    write("w.yml", workflow(a=step("seq 1000; echo the reason >&2; exit 3")))
    said = recast("run", "w.yml", "-q", code=1)
    assert "/a/0 failed (exit): exit code 3" in said
    assert re.search(r"recast logs \w+ /a/0", said)
    assert "| the reason" in said
    assert "| 988\n" not in said
    assert "the reason" in recast("logs", "latest", "/a", "--tail", "1")
    assert "\n999\n" not in recast("logs", "latest", "/a", "--tail", "1")


def test_a_failed_run_goes_on_after_a_fix(recast, write) -> None:
    diary = write("diary", "")
    good = step("echo good >> {diary}; date +%N > {out}")
    write("w.yml", workflow(good=good, bad=step("echo bad >> {diary}; cat {input} nosuch > {out}", after="good")))
    first = recast.json("run", "w.yml", "-q", "-p", f"diary={diary}", code=1)
    assert first["state"] == "failed"
    write("w.yml", workflow(good=good, bad=step("echo mended >> {diary}; cat {input} > {out}", after="good")))
    second = recast.json("run", "--resume", first["run"], "-q")
    assert second["state"] == "finished"
    assert second["nodes"] == {"total": 2, "finished": 2, "reused": 1, "failed": 0}
    assert second["name"] == "w.1.1"
    assert diary.read_text().split() == ["good", "bad", "mended"]
    assert recast.json("status", second["run"])["parent"] == first["run"]


def test_two_processes_that_need_the_same_job_compute_it_once(recast, write) -> None:
    diary = write("diary", "")
    line = "echo begin {n} >> {diary}; while ! test -e {diary}.go; do sleep 0.05; done; echo {n} > {out}"
    write("w.yml", workflow(map=scatter(line), end=step("cat {input} > {out}; echo end >> {diary}", after="map")))
    args = ["run", "w.yml", "-q", "--json", "-p", f"diary={diary}", "-p", "ns=[1, 2]", "--cores", "2"]
    processes = [recast.start(*args) for _ in range(3)]
    within(60, lambda: len([run for run in recast.json("ls") if run["progress"]["total"] >= 2]) == 3, "three runs")
    within(60, lambda: len(diary.read_text().splitlines()) >= 2, "both steps")
    write("diary.go", "")
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, (out, err)
    assert Counter(diary.read_text().splitlines()) == {"begin 1": 1, "begin 2": 1, "end": 1}
    wait_until_gone(recast.home)


def test_interrupt_stop_and_follow(recast, write) -> None:
    """Ctrl-C leaves the run to be resumed; `stop` from elsewhere ends it for good; `logs -f` shows it live and ends."""
    diary = write("diary", "")
    wait = "while ! test -e {diary}.go; do sleep 0.05; done"
    line = "trap 'echo tidied >> {diary}' TERM; echo begun >> {diary}; echo hello; " + wait + "; touch {out}"
    write("w.yml", workflow(first=step("echo first >> {diary}; touch {out}"), a=step(line, after="first")))
    args = ["run", "w.yml", "-q", "-p", f"diary={diary}"]
    process = recast.start(*args)
    within(60, lambda: "begun" in diary.read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    (run,) = re.findall(r"recast run --resume (\w+)", err)
    assert "Traceback" not in err
    wait_until_gone(recast.home)
    assert recast.json("status", run)["state"] == "running"

    process = recast.start("run", "--resume", run, "-q")
    within(60, lambda: diary.read_text().split().count("begun") == 2)
    follower = recast.start("logs", run, "-f")
    assert follower.stdout is not None
    seen = [follower.stdout.readline() for _ in range(2)]
    assert seen == ["== /a/0\n", "hello\n"]
    assert "being stopped" in recast("stop", run)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "stopped" in out
    follower.communicate(timeout=30)
    assert follower.returncode == 0
    assert diary.read_text().split().count("first") == 1
    assert recast.json("status", run)["state"] == "stopped"
    wait_until_gone(recast.home)
    assert "is stopped" in recast("stop", run)  # once more does no harm

    write("diary.go", "")
    again = recast.json("run", "--resume", run, "-q")
    assert again["state"] == "finished"
    assert again["run"] != run
    assert again["nodes"]["reused"] == 1


@pytest.fixture(params=["4m"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest):
    """A disk of that size; needs root and the right to mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_under_the_storage(recast, write, small_disk: Path) -> None:
    env = {"RECAST_STORAGE": str(small_disk / "storage")}
    write("w.yml", workflow(ok=step("echo ok > {out}"), a=step("head -c 9000000 /dev/zero > {out}", after="ok")))
    said = recast("run", "w.yml", "-q", code=1, env=env)
    assert "/a/0 failed (disk)" in said
    assert "recast cache prune" in said
    write("big", "x" * 5_000_000)
    said = recast("run", "w.yml", "-q", "-d", "initdir=.", "-p", "big=big", code=7, env=env)
    assert "no space is left" in said
    recast("ls", env=env)


@pytest.mark.parametrize("small_disk", ["16m"], indirect=True)  # a write-ahead log alone may take 4 MB
def test_a_full_disk_under_the_database(recast, write, small_disk: Path) -> None:
    """What was promised before stays; once there is room, the run goes on."""
    diary = write("diary", "")
    env = {"RECAST_DATABASE": f"sqlite:///{small_disk}/records.db"}
    write("w.yml", workflow(map=scatter("echo {n} >> {diary}; echo {n} > {out}")))
    numbers = "[" + ", ".join(str(n) for n in range(300)) + "]"
    args = ["run", "w.yml", "-q", "-p", f"ns={numbers}", "-p", f"diary={diary}"]
    recast("ls", env=env)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler.write_bytes(b"x" * max(0, free - 600_000))
    process = recast.start(*args, env=env)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    assert "internal error" not in err
    wait_until_gone(recast.home)
    filler.unlink()
    runs = [run for run in recast_json(recast, env, "ls") if run["state"] != "finished"]
    if process.returncode == 0:
        pytest.skip("300 steps fitted into what was left of the disk")
    assert process.returncode == 7, (out, err)
    assert "full" in err or "no space" in err
    if runs:
        assert recast_json(recast, env, "run", "--resume", runs[0]["id"], "-q")["state"] == "finished"
        assert set(diary.read_text().split()) == {str(n) for n in range(300)}


def recast_json(recast, env: dict[str, str], *args: str):
    import json

    process = recast.start(*args, "--json", env=env)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    return json.loads(out)


def test_two_users_of_one_installation(recast, write) -> None:
    """Numbers and names are counted per user; steps are shared."""
    write("w.yml", workflow(a=step("date +%N > {out}")))
    mine = recast.json("run", "w.yml", "-q")
    theirs = recast_json(recast, {"RECAST_USER": "other"}, "run", "w.yml", "-q")
    assert (mine["name"], theirs["name"]) == ("w.1", "w.1")
    assert theirs["nodes"]["reused"] == 1
    recast("status", theirs["run"], code=4)
    recast("stop", "w", code=6)


def test_a_worker_that_cannot_write_says_so_at_once(recast, write) -> None:
    write("w.yml", workflow(a=step("touch {out}")))
    begun = time.monotonic()
    said = recast("run", "w.yml", code=7, env={"RECAST_STORAGE": "/proc/storage"})
    assert "/proc/storage" in said
    assert time.monotonic() - begun < 30
