"""reana.yaml on one machine: what its serial commands share, what they do not, what is refused before anything runs."""

from __future__ import annotations

import json

import pytest


def serial(commands: list[str], **more: object) -> str:
    steps = [{"name": f"s{n}", "environment": "plain:1", "commands": [line]} for n, line in enumerate(commands)]
    specification = {"steps": more.pop("steps", steps)}
    return json.dumps({"workflow": {"type": "serial", "specification": specification}, **more})


@pytest.fixture
def plain(write) -> tuple[str, str]:
    """Options that let steps of the image plain:1 run as processes."""
    write("plain.lock", "")
    return "--stand-in", "plain:1=plain.lock"


def test_equal_serial_steps_are_both_run(recast, write, plain) -> None:
    """reana#881."""
    write("reana.yaml", serial(["date +%N >> log.txt", "date +%N >> log.txt"]))
    run = recast.json("run", "reana.yaml", "-q", *plain)
    assert run["nodes"]["total"] == 2
    (log,) = [file for file in recast.json("artifacts", "ls", run["run"]) if file["path"].endswith("log.txt")]
    recast("artifacts", "get", run["run"], log["path"], "-o", "got")
    first, second = (recast.folder / "got" / log["path"]).read_text().split()
    assert first != second


def test_serial_commands_share_files_and_nothing_else(recast, write, plain) -> None:
    """Each command is a job of its own: no variable and no folder carries over; scripts keep their x bit."""
    write("x.sh", "#!/bin/sh\necho ran >> ran.txt\n").chmod(0o755)
    steps = [
        {"name": "a&b<i>", "environment": "plain:1", "commands": ["export A=1; mkdir d", "cd d"]},
        {
            "name": "a b",
            "environment": "plain:1",
            "commands": ['pwd > where; echo "[$$A]" >> where; test -d d && ./x.sh'],
        },
    ]
    write("reana.yaml", serial([], steps=steps, inputs={"files": ["x.sh"]}))
    run = recast.json("run", "reana.yaml", "-q", *plain)
    assert run["nodes"]["total"] == 3
    recast("artifacts", "get", run["run"], "-o", "got")
    (where,) = (recast.folder / "got").rglob("where")
    folder, variable = where.read_text().splitlines()
    assert not folder.endswith("/d")
    assert variable == "[]"
    assert (where.parent / "ran.txt").read_text() == "ran\n"


@pytest.mark.parametrize("command", ["echo ${rgn}", "awk '{print $1}' f", "echo $(date)"])
def test_dollars_of_serial_commands_are_refused_at_once(call, write, command: str) -> None:
    write("reana.yaml", serial([command]))
    said = call("run", "reana.yaml")
    said.refused(3, "reana.yaml")
    assert "$$" in said.err or "rgn" in said.err
