"""Serial workflows: placeholders, warnings, and the engine as a machine (checked after every event, and replayed)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reana_lite.errors import Conflict, Fault, InvalidInput, InvalidWorkflow
from reana_lite.event import (
    Command,
    Event,
    FinishRun,
    InitData,
    JobFailed,
    JobFinished,
    JobStarted,
    RunStarted,
    RunState,
    StopJob,
    StopRequested,
    SubmitJob,
    from_row,
    to_row,
)
from reana_lite.job import INIT_ROOT, RUN_ROOT, EnvironmentKind, Input
from reana_lite.serial import Serial, SerialEngine, read_serial

IMAGE = "docker.io/library/busybox:1"


def fault(path: Sequence[str | int], reason: str) -> Fault:
    return Fault("reana.yaml", "/" + "/".join(map(str, path)), reason, 7)


def read(*steps: dict[str, Any], **parameters: Any) -> tuple[Serial, tuple[str, ...]]:
    return read_serial({"steps": list(steps)}, parameters, fault=fault)


def step(*commands: str, **more: Any) -> dict[str, Any]:
    return {"environment": IMAGE, "commands": list(commands), **more}


class Machine:
    """An engine, its log, and `check()` after every event."""

    def __init__(self, serial: Serial, init: InitData | None = None) -> None:
        self.engine = SerialEngine()
        self.log: list[tuple[str, dict[str, Any]]] = []
        self.commands = self.take(RunStarted(serial.to_json(), init or InitData(), 1))

    def take(self, event: Event) -> list[Command]:
        self.log.append(to_row(event))
        self.commands = self.engine.handle(event)
        self.engine.check()
        self.replayed()
        return self.commands

    def replayed(self) -> SerialEngine:
        """A second engine, brought to the same place by the log: it says the same."""
        other = SerialEngine()
        for kind, body in self.log:
            other.handle(from_row(kind, body))
            other.check()
        assert other == self.engine
        assert other.outstanding() == self.engine.outstanding()
        return other

    def finish(self, node: str, digest: str = "sha256:1", reused_from: str = "") -> list[Command]:
        self.take(JobStarted(node, "key" + node, 1))
        return self.take(JobFinished(node, "key" + node, 1, digest, reused_from=reused_from))


# -- reading -----------------------------------------------------------------------------------------------------------


def test_parameters_are_filled_in() -> None:
    serial, warnings = read(step("echo $$HOME ${region} $n", name="a"), region="SR A", n=2.0)
    assert serial.steps[0].commands == ("echo $HOME SR A 2.0",)
    assert warnings == ()


@pytest.mark.parametrize(
    ("command", "where", "what"),
    [
        ("echo ${rgn}", "command 1, column 6", "'${rgn}' is no parameter; did you mean region?"),
        ("awk '{print $1}' f", "column 13", "write $$"),
        ("echo $(date)", "column 6", "write $$"),
        ("true\n  echo $", "line 2, column 8", "write $$"),
        ("echo $HOME", "column 6", "for a variable of the shell write $$HOME"),
    ],
)
def test_misplaced_dollars_are_refused_at_load(command: str, where: str, what: str) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        read(step("true"), step(command, name="count"), region="SR")
    [found] = caught.value.faults
    assert found.path == "/steps/1/commands/0"
    assert found.line == 7
    assert "step 'count'" in found.reason
    assert where in found.reason
    assert what in found.reason


def test_all_faults_together() -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        read(step("$1 $2"), {"commands": "text"}, step("true", comands=[]), "nothing", step("x", environment="a b"))
    assert len(caught.value.faults) == 6


@pytest.mark.parametrize("specification", [None, [], {}, {"steps": []}, {"steps": "x"}])
def test_no_steps(specification: Any) -> None:
    with pytest.raises(InvalidWorkflow, match="has `steps`"):
        read_serial(specification, {}, fault=fault)


def test_what_steps_ask_for() -> None:
    serial, _ = read(
        step("true", kubernetes_memory_limit="8Gi", kubernetes_job_timeout=1209600, kerberos=True, voms_proxy=False),
    )
    resources = serial.steps[0].resources
    assert resources.memory_bytes == 8 * 1024**3
    assert resources.timeout_s == 1209600
    assert len(resources.other) == 1
    assert Serial.from_json(serial.to_json()) == serial


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("python", "python:latest"),
        ("python:3", "python:3"),
        ("r:5000/a", "r:5000/a:latest"),
        ("a@sha256:1", "a@sha256:1"),
    ],
)
def test_images_have_a_tag(image: str, full: str) -> None:
    assert read({"environment": image, "commands": ["true"]})[0].steps[0].environment == full


def test_nothing_carries_over_and_check_says_so() -> None:
    _, warnings = read(step("export A=1; mkdir d", "cd d", 'pwd > where; echo "[$$A]" >> where', name="s"))
    assert len(warnings) == 2
    assert "step 's', command 1 sets A, which step 's', command 3 uses" in warnings[0]
    assert "step 's', command 2: nothing carries over to the next command, so `cd`" in warnings[1]
    assert read(step("cd d && make", "A=1 make", "cd d"))[1] == ()


def test_without_an_image_it_is_a_process_and_said() -> None:
    serial, warnings = read({"commands": ["true"]})
    assert "no environment" in warnings[0]
    [submit] = Machine(serial).commands
    assert isinstance(submit, SubmitJob)
    assert submit.job.environment.kind is EnvironmentKind.PROCESS


def test_parts() -> None:
    serial, _ = read(step("1", name="a"), step("2", name="b"), step("3", name="c"))
    assert [s.name for s in serial.part(first="b").steps] == ["b", "c"]
    assert [s.name for s in serial.part(last="b").steps] == ["a", "b"]
    with pytest.raises(InvalidInput, match="did you mean"):
        read(step("1", name="fitdata"))[0].part(last="fitdta")
    with pytest.raises(InvalidInput, match="nothing would run"):
        serial.part(first="c", last="a")


# -- running -----------------------------------------------------------------------------------------------------------


def test_one_command_after_the_other_in_what_the_last_one_left() -> None:
    init = InitData(trees=(Input(INIT_ROOT, "tree", 0, "sha256:0"),))
    machine = Machine(read(step("one", "two", name="a/b"), step("three", name="c"))[0], init)
    [first] = machine.commands
    assert isinstance(first, SubmitJob)
    assert first.node == "/a~1b/0"
    assert first.job.folder == f"{RUN_ROOT}/0-0"
    assert first.inputs == init.trees
    assert first.job.line.endswith("\none")
    assert first.job.environment.image == IMAGE
    [second] = machine.finish("/a~1b/0", "sha256:1")
    assert isinstance(second, SubmitJob)
    assert second.inputs == (Input(f"{RUN_ROOT}/0-0", "key/a~1b/0", 1, "sha256:1"),)
    assert f'"{RUN_ROOT}/0-0/."' in second.job.line
    assert machine.engine.progress() == {
        "total": 3, "submitted": 2, "running": 0, "finished": 1, "reused": 0, "failed": 0,
    }  # fmt: skip
    [third] = machine.finish("/a~1b/1", "sha256:2", reused_from="other")
    assert isinstance(third, SubmitJob)
    assert machine.finish("/c/0", "sha256:3") == [FinishRun(RunState.FINISHED)]
    assert machine.engine.progress()["reused"] == 1
    assert machine.engine.tree == Input(f"{RUN_ROOT}/1-0", "key/c/0", 1, "sha256:3")


def test_two_equal_steps_are_two_jobs() -> None:
    machine = Machine(read(step("date >> log", name="x"), step("date >> log", name="x"))[0])
    [first] = machine.commands
    [second] = machine.finish("/x/0")
    assert isinstance(first, SubmitJob)
    assert isinstance(second, SubmitJob)
    assert (first.node, second.node) == ("/x/0", "/x/1")
    assert first.job != second.job


def test_names_of_any_kind_stay_apart() -> None:
    names = ["a&b<i>", "a b", "x" * 200, "a/b", "a~1b", ""]
    machine = Machine(read(*(step("true", name=name) for name in names))[0])
    nodes = []
    while isinstance(machine.commands[0], SubmitJob):
        nodes.append(machine.commands[0].node)
        machine.finish(nodes[-1])
    assert len(set(nodes)) == len(names)


def test_a_failure_ends_it_and_keeps_what_is_there() -> None:
    machine = Machine(read(step("one", "two", name="s"), step("three"))[0])
    machine.finish("/s/0")
    commands = machine.take(JobFailed("/s/1", "k", 2, "exit", "exit code 3", "sha256:9"))
    assert commands == [FinishRun(RunState.FAILED, "step 's', command 2 failed: exit code 3")]
    assert machine.engine.tree == Input(f"{RUN_ROOT}/0-1", "k", 2, "sha256:9")
    assert machine.engine.outstanding() == commands
    assert machine.engine.progress()["failed"] == 1


def test_stop() -> None:
    machine = Machine(read(step("one", name="s"))[0])
    assert machine.take(StopRequested("me")) == [StopJob("/s/0"), FinishRun(RunState.STOPPED, "stopped by me")]
    assert machine.take(JobFinished("/s/0", "k", 1, "d")) == []
    assert machine.engine.state is RunState.STOPPED


def test_what_cannot_have_happened() -> None:
    machine = Machine(read(step("one", "two", name="s"))[0])
    for event in (JobFinished("/s/1", "k", 1, "d"), JobFinished("/t/0", "k", 1, "d")):
        with pytest.raises(Conflict):
            machine.engine.handle(event)
    with pytest.raises(Conflict):
        machine.engine.handle(RunStarted({"serial": []}, InitData(), 1))


def test_nothing_to_do() -> None:
    assert Machine(Serial(())).commands == [FinishRun(RunState.FINISHED)]


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
def test_the_line_brings_the_workspace_along(tmp_path: Path) -> None:
    before, own = tmp_path / "before", tmp_path / "own"
    (before / "empty").mkdir(parents=True)
    own.mkdir()
    (before / "run.sh").write_text("#!/bin/sh\necho ran > out\n")
    (before / "run.sh").chmod(0o555)
    (before / "link").symlink_to("run.sh")
    machine = Machine(read(step("true", "./run.sh && echo more >> run.sh; exit 3", name="s"))[0])
    [submit] = machine.finish("/s/0")
    assert isinstance(submit, SubmitJob)
    line = submit.job.line.replace(f"{RUN_ROOT}/0-0", str(before)).replace(f"{RUN_ROOT}/0-1", str(own))
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 3
    assert (own / "out").read_text() == "ran\n"
    assert (own / "run.sh").read_text().endswith("more\n")
    assert (own / "link").readlink() == Path("run.sh")
    assert (own / "empty").is_dir()
    assert not (before / "out").exists()
    shutil.rmtree(before)
    assert subprocess.run(["sh", "-c", line], check=False, capture_output=True).returncode == 125
