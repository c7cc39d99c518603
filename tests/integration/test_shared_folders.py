"""Runs whose steps share a folder, or write into folders of others in containers: what the run shows, and what stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from steps import step, workflow

IMAGE = os.environ.get("RECAST_TEST_IMAGE", "localhost/debian:bookworm")
FLAGS = os.environ.get("RECAST_TEST_CONTAINER_FLAGS", "")


def content(run: dict, path: str) -> str:
    return (Path(run["workspace"]) / path).read_text()


def test_two_stages_of_one_name_share_a_folder(recast, write) -> None:
    document = json.loads(
        workflow(
            twin=step("echo one > one; echo old > {out}", "{workdir}/both"),
            gate=step("cat {input} > {out}", after="twin"),
            second=step("cat {input} one > {out}; ls >> {out}; echo new > both", after="gate"),
            reader=step("cat $(dirname {input})/* > {out}", after="second"),
        )
    )
    document["stages"][2]["name"] = "twin"
    reader = document["stages"][3]
    reader["dependencies"] = ["gate"]
    reader["scheduler"]["parameters"]["input"] = {"stages": "twin[1]", "output": "out", "unwrap": True}
    write("w.yml", json.dumps(document))
    for _ in range(2):
        run = recast.json("run", "w.yml", "-q")
        assert content(run, "twin/out") == "old\none\nboth\none\nout\n"
        assert content(run, "twin/both") == "new\n"
        assert content(run, "reader/out") == "new\none\nold\none\nboth\none\nout\n"
        listed = {file["path"] for file in recast.json("artifacts", "ls", run["run"])}
        assert listed >= {"twin/one", "twin/both", "twin/out"}
    assert all(node["reused_from"] for node in recast.json("status", run["run"])["nodes"])
    assert recast("cache", "verify").strip() == "0 damaged"


def test_all_steps_may_share_the_top_folder(recast, write) -> None:
    write("w.yml", workflow(one=step("echo 1 > {out}", "{workdir}/d/one"), two=step("echo 2 > {out}"),
                            three=step("cat {input} d/one > {out}", "{workdir}/d/three", after="two")).replace(
                                "echo 1", "mkdir -p d; echo 1"))  # fmt: skip
    run = recast.json("run", "w.yml", "-q", "-d", "nest=false", "--cores", "1")
    assert sorted(str(p.relative_to(run["workspace"])) for p in Path(run["workspace"]).rglob("*")) == [
        "d", "d/one", "d/three", "out",
    ]  # fmt: skip
    assert content(run, "d/three") == "2\n1\n"


def test_a_folder_within_that_of_another_node_is_shown_there(recast, write) -> None:
    stages = json.loads(
        workflow(outer=step("mkdir {out}", "{workdir}/d"), inner=step("echo in > {out}", after="outer"))
    )
    stages["stages"][1]["name"] = "outer/d"
    write("w.yml", json.dumps(stages))
    run = recast.json("run", "w.yml", "-q")
    assert content(run, "outer/d/out") == "in\n"
    assert recast("cache", "verify").strip() == "0 damaged"


@pytest.mark.container
def test_containers_may_write_into_inputs_but_not_those_of_an_analysis(recast, write) -> None:
    document = json.loads(
        workflow(
            make=step("echo made > {out}"), append=step("echo more >> {input} && cat {input} > {out}", after="make")
        )
    )
    name, _, tag = IMAGE.rpartition(":")
    for stage in document["stages"]:
        stage["scheduler"]["step"]["environment"] = {
            "environment_type": "docker-encapsulated", "image": name, "imagetag": tag,
        }  # fmt: skip
    text = json.dumps(document)
    write("w.yml", text)
    write("mine/workflow.yml", text)
    analysis = {"reana_lite": 1, "name": "mine", "title": "A test", "workflow": "workflow.yml"}
    write("mine/analysis.yml", json.dumps(analysis))
    more = {"env": {"RECAST_CONTAINER_FLAGS": FLAGS}}
    process = recast.start("run", "w.yml", "-q", "--backend", "container", "--json", **more)
    out, err = process.communicate(timeout=300)
    if "no container engine" in err or "cannot be used here" in err or "cannot be had" in err:
        pytest.skip(err.strip().splitlines()[-1])
    assert process.returncode == 0, out + err
    first = json.loads(out)
    assert content(first, "make/out") == content(first, "append/out") == "made\nmore\n"
    told = recast("run", "mine", "-q", "--backend", "container", code=None, **more)
    assert "/append/0" in told
    logs = recast("logs", "latest", "append", code=None)
    assert "Read-only file system" in logs or "Read-only" in told, (told, logs)
    assert content(first, "make/out") == "made\nmore\n"
    assert recast("cache", "verify").strip() == "0 damaged"
