"""What steps do to outputs and inputs that they should not: none, half of one, those of others; and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from steps import scatter, step, workflow
from waiting import within

TEXT = {"type": "string", "default": "", "description": "Where steps write down that they have run."}


def analysis(write, stages: str, **more: object) -> None:
    """An analysis of our own format around a workflow."""
    write("mine/workflow.yml", stages)
    document = {"reana_lite": 1, "name": "mine", "title": "A test", "workflow": "workflow.yml",
                "parameters": {"properties": {"diary": TEXT}}, **more}  # fmt: skip
    write("mine/analysis.yml", json.dumps(document))


def counted(diary: Path) -> dict[str, int]:
    words = diary.read_text().split()
    return {word: words.count(word) for word in set(words)}


def test_a_step_of_an_analysis_must_write_what_it_publishes(recast, write) -> None:
    diary = write("diary", "")
    make = step("echo made >> {diary}; touch {out}.half", out="{workdir}/events.root")
    use = step("echo used >> {diary}; cat {input} > {out}", after="make")
    analysis(write, workflow(make=make, use=use))
    write("bare.yml", workflow(make=make, use=use))
    said = recast("run", "mine", "-p", f"diary={diary}", code=1)
    assert "/make/0 failed (exit)" in said
    assert "make/events.root" in said
    assert counted(diary) == {"made": 1}

    # the same again fails again: what it left never satisfies the job's key
    recast("run", "mine", "-p", f"diary={diary}", "-q", code=1)
    assert counted(diary) == {"made": 2}

    # a bare workflow has the language's meaning: the producer succeeds, the consumer fails
    said = recast("run", "bare.yml", "-p", f"diary={diary}", code=1)
    assert "/use/0 failed" in said
    assert counted(diary) == {"made": 3, "used": 1}
    recast("run", "bare.yml", "-p", f"diary={diary}", code=1)  # its own outputs it reuses, but an analysis does not
    assert counted(diary) == {"made": 3, "used": 2}
    assert "events.root" in recast("run", "mine", "-p", f"diary={diary}", code=1)
    assert counted(diary) == {"made": 4, "used": 2}

    # mended, only what changed is computed
    make["scheduler"]["step"]["process"]["cmd"] += "; mv {out}.half {out}"
    write("mine/workflow.yml", workflow(make=make, use=use))
    document = recast.json("run", "--resume", "latest", "-q")
    assert document["state"] == "finished"
    assert counted(diary) == {"made": 5, "used": 3}
    resumed = recast.json("status", "latest")
    assert resumed["parent"] is not None


def test_folders_patterns_and_links_are_outputs_too(recast, write) -> None:
    outputs = {"folder": "{workdir}/d", "link": "{workdir}/l", "pattern": "{workdir}/part_*", "list": ["{workdir}/x"]}
    make = step("mkdir d; echo 1 > d/f; ln -s d/f l; touch part_1 part_2 x", parameters=outputs)
    make["scheduler"]["step"]["publisher"]["outputmap"] = {name: name for name in outputs}
    analysis(write, workflow(make=make))
    assert recast.json("run", "mine", "-q")["state"] == "finished"


def test_half_an_output_of_a_killed_step_is_never_reused(recast, write) -> None:
    diary = write("diary", "")
    line = (
        "echo begun >> {diary}; head -c 10000000 /dev/zero > {out}; test -e {diary}.go || kill -9 $$; echo end >> {out}"
    )
    write("w.yml", workflow(a=step(line), b=step("tail -c 4 {input} > {out}", after="a")))
    said = recast("run", "w.yml", "-p", f"diary={diary}", code=1)
    assert "signal 9" in said
    half = recast.json("artifacts", "ls", "latest")
    assert not [file for file in half if file["path"] == "b/out"]
    write("diary.go", "")
    document = recast.json("run", "--resume", "latest", "-q")
    assert (Path(document["workspace"]) / "b/out").read_text() == "end\n"
    assert counted(diary) == {"begun": 2}


# -- steps that write into their inputs --------------------------------------------------------------------------------

APPEND = "echo {word} >> {input}; cat {input} > {out}"


def appending(word: str) -> str:
    """make -> append (into make's output) -> look (at make's output)."""
    return workflow(
        make=step("echo made > {out}"),
        append=step(APPEND, after="make", parameters={"word": word}),
        look=step("cat {input} {second} > {out}", after="make",
                  parameters={"second": {"stages": "append", "output": "out", "unwrap": True}}),
    )  # fmt: skip


def content(run: dict, path: str) -> list[str]:
    return (Path(run["workspace"]) / path).read_text().split()


def verified(recast) -> None:
    assert recast("cache", "verify").strip() == "0 damaged"


def test_a_run_sees_what_its_steps_write_into_inputs_and_others_do_not(recast, write) -> None:
    write("w.yml", appending("one"))
    first = recast.json("run", "w.yml", "-q")
    assert content(first, "make/out") == ["made", "one"]
    assert content(first, "look/out") == ["made", "one", "made", "one"]
    size = {file["path"]: file["size_bytes"] for file in recast.json("artifacts", "ls", first["run"])}
    assert size["make/out"] == len("made\none\n")
    recast("artifacts", "get", first["run"], "make/out", "-o", "got")
    assert (recast.folder / "got/make/out").read_text() == "made\none\n"
    verified(recast)

    # neither the changed folder nor what changed it is reused; what only read the changed one may be
    second = recast.json("run", "w.yml", "-q")
    states = {node["node"]: bool(node["reused_from"]) for node in recast.json("status", second["run"])["nodes"]}
    assert states == {"/make/0": False, "/append/0": False, "/look/0": True}
    assert content(second, "look/out") == ["made", "one", "made", "one"]
    assert content(first, "make/out") == ["made", "one"]
    verified(recast)


def test_what_another_run_reuses_is_copied_before_a_step_may_change_it(recast, write) -> None:
    write("first.yml", workflow(make=step("echo made > {out}; mkdir d; ln -s ../out d/link; chmod 755 {out}")))
    first = recast.json("run", "first.yml", "-q")
    for word in ("one", "two"):
        stages = json.loads(appending(word))
        stages["stages"][0] = json.loads((recast.folder / "first.yml").read_text())["stages"][0]
        write("second.yml", json.dumps(stages))
        second = recast.json("run", "second.yml", "-q")
        assert second["nodes"]["reused"] == 1
        assert content(second, "make/out") == ["made", word]
        assert content(second, "look/out") == ["made", word, "made", word]
        assert content(first, "make/out") == ["made"]
        files = {file["path"]: file["size_bytes"] for file in recast.json("artifacts", "ls", second["run"])}
        assert files["make/out"] == len(f"made\n{word}\n")
        recast("artifacts", "get", second["run"], "make/out", "-o", word)
        assert (recast.folder / word / "make/out").read_text() == f"made\n{word}\n"
        assert {path for path in files if path.startswith("make/")} == {"make/out", "make/d/link"}
        verified(recast)
    again = recast.json("run", "first.yml", "-q")
    assert again["nodes"]["reused"] == 1
    recast("cache", "prune")
    assert content(second, "make/out") == ["made", "two"]
    recast("cache", "prune", "--all-runs")
    assert not list((recast.home / "storage" / "jobs").glob("*/*"))


def test_files_brought_along_stay_as_they_are(recast, write) -> None:
    write("init/list", "brought\n")
    stages = workflow(
        append=step("cat {list} > {out}; echo more >> {list}", parameters={"list": {"step": "init", "output": "list"}}),
        look=step("cat {list} {input} > {out}", after="append",
                  parameters={"list": {"step": "init", "output": "list"}}),
    )  # fmt: skip
    write("w.yml", stages)
    for number in range(2):
        run = recast.json("run", "w.yml", "-q", "-d", "initdir=init", "-p", "list=list")
        assert content(run, "look/out") == ["brought", "more", "brought"]
        states = {node["node"]: bool(node["reused_from"]) for node in recast.json("status", run["run"])["nodes"]}
        assert states == {"/append/0": False, "/look/0": number == 1}
    assert (recast.folder / "init/list").read_text() == "brought\n"


def test_known_steps_read_shared_places_without_a_copy(recast, write) -> None:
    """The first run of a step copies what others share, later ones do not: no copies in a run that only reuses."""
    write("make.yml", workflow(make=step("head -c 1000000 /dev/zero > {out}")))
    recast("run", "make.yml", "-q")
    copies = []
    for number in range(3):
        stages = json.loads((recast.folder / "make.yml").read_text())["stages"]
        use = json.loads(workflow(use=step(f"wc -c {{input}} > {{out}}; echo {number}", after="make")))["stages"]
        write("use.yml", json.dumps({"stages": stages + use}))
        run = recast.json("run", "use.yml", "-q")
        copies.append(len(list((recast.home / "storage" / "jobs").glob(f"{run['run']}-*"))))
    assert copies == [1, 0, 0]


def test_a_lost_attempt_that_changed_its_input_leaves_nothing_wrong(recast, write) -> None:
    """The worker is killed after a step has written into its input: nobody reuses that input later."""
    diary = write("diary", "")
    line = "echo more >> {input}; echo begun >> {diary}; test -e {diary}.go || sleep 60; cat {input} > {out}"
    write("w.yml", workflow(make=step("echo made > {out}"), append=step(line, after="make")))
    process = recast.start("run", "w.yml", "-q", "-p", f"diary={diary}")
    within(60, lambda: "begun" in diary.read_text())
    process.kill()
    process.communicate()
    write("diary.go", "")
    write("fresh.yml", workflow(make=step("echo made > {out}"), copy=step("cat {input} > {out}", after="make")))
    resumed = recast.json("run", "--resume", "latest", "-q")
    assert content(resumed, "append/out") == ["made", "more", "more"]
    fresh = recast.json("run", "fresh.yml", "-q")
    assert content(fresh, "copy/out") == ["made"]
    verified(recast)


def test_a_stopped_step_that_changed_its_input_leaves_nothing_wrong(recast, write) -> None:
    diary = write("diary", "")
    line = "echo more >> {input}; echo begun >> {diary}; sleep 60"
    write("w.yml", workflow(make=step("echo made > {out}"), append=step(line, after="make")))
    process = recast.start("run", "w.yml", "-q", "-p", f"diary={diary}")
    within(60, lambda: "begun" in diary.read_text())
    recast("stop", "latest")
    process.communicate(timeout=60)
    write("fresh.yml", workflow(make=step("echo made > {out}"), copy=step("cat {input} > {out}", after="make")))
    assert content(recast.json("run", "fresh.yml", "-q"), "copy/out") == ["made"]
    verified(recast)


def test_damaged_outputs_are_found_and_computed_again(recast, write) -> None:
    write("w.yml", workflow(a=step("echo right > {out}"), b=step("cat {input} > {out}; date +%N >> {out}", after="a")))
    run = recast.json("run", "w.yml", "-q")
    kept = {job["node"]: job for job in recast.json("cache", "ls")}
    folder = recast.home / "storage" / "jobs" / kept["/a/0"]["key"] / str(kept["/a/0"]["attempt"])
    (folder / "files" / "out").write_text("wrong\n")
    said = recast("cache", "verify", code=1)
    assert "out" in said
    assert "1 damaged" in said
    assert "1 damaged and forgotten" in recast("cache", "verify", "--repair")
    assert recast("cache", "verify").strip() == "0 damaged"
    again = recast.json("run", "w.yml", "-q")
    assert again["nodes"] == {"total": 2, "finished": 2, "reused": 1, "failed": 0}
    assert content(again, "a/out") == ["right"]

    # one without manifest, or altogether gone, is not even tried
    kept = {job["node"]: job for job in recast.json("cache", "ls")}
    (
        recast.home / "storage" / "jobs" / kept["/a/0"]["key"] / str(kept["/a/0"]["attempt"]) / "manifest.json"
    ).write_text("[")
    said = recast("run", "w.yml", code=None)
    assert "damaged" in said
    assert content(recast.json("run", "w.yml", "-q"), "b/out") == content(run, "b/out")


@pytest.mark.parametrize("over", ["[1, 2, 3]"])
def test_prune_takes_what_no_run_names(recast, write, over: str) -> None:
    write("w.yml", workflow(map=scatter("echo {n} > {out}")))
    run = recast.json("run", "w.yml", "-q", "-p", f"ns={over}")
    assert recast("cache", "prune").startswith("0 outputs")
    assert "3 outputs, would free" in recast("cache", "prune", "--all-runs", "--dry-run")
    assert len(recast.json("cache", "ls")) == 3
    assert recast("cache", "prune", "--all-runs", "--older-than", "1h").startswith("0 outputs")
    assert recast("cache", "prune", "--all-runs").startswith("3 outputs")
    assert recast.json("run", "w.yml", "-q", "-p", f"ns={over}")["nodes"]["reused"] == 0
    assert "0 damaged" in recast("cache", "verify")
    assert recast("artifacts", "ls", run["run"])
