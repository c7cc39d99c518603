"""The command line: what it refuses and how, what it prints for programs, and that nothing odd reaches a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from steps import step, workflow

from reana_lite.errors import EXIT_CODE, InvalidAnalysis, InvalidInput, InvalidWorkflow, NotFound, Unavailable

HELLO = workflow(hello=step("echo hello > {out}"))


def test_help_is_quick_and_shows_every_command(recast) -> None:
    best = 9.0
    for _ in range(3):
        begun = time.perf_counter()
        page = recast("--help")
        best = min(best, time.perf_counter() - begun)
    commands = "catalogue check test run ls status logs stop results artifacts cache backends completion version"
    for command in commands.split():
        assert re.search(rf"^  {command} ", page, re.MULTILINE), command
    usage = "import resource,sys,subprocess as s; s.run([sys.executable,'-m','reana_lite','--help'],stdout=-3);"
    usage += "r=resource.getrusage(resource.RUSAGE_CHILDREN); print(r.ru_utime+r.ru_stime)"
    seconds = float(subprocess.run([sys.executable, "-c", usage], capture_output=True, text=True, check=True).stdout)
    assert seconds < 0.3, f"{seconds} s of a core (wall {best})"


@pytest.mark.parametrize("command", ["catalogue", "check", "test", "run", "ls", "status", "logs", "stop", "results",
                                     "artifacts", "cache", "backends", "completion", "version"])  # fmt: skip
def test_every_command_has_help_with_an_example(call, command: str) -> None:
    said = call(command, "--help")
    assert said.code == 0
    if command not in ("catalogue", "cache", "artifacts", "backends", "version"):
        assert f"recast {command}" in said.out.split("Example")[1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nosuch"], ["No such command 'nosuch'"]),
        (["rum"], ["Did you mean 'run'"]),
        (["run", "w.yml", "--nosuch"], ["--nosuch"]),
        (["run"], ["TARGET"]),
        (["run", "w.yml", "--resume", "x"], ["--resume"]),
        (["run", "w.yml", "--cores", "0"], ["cores"]),
        (["run", "w.yml", "--backend", "slurm"], ["local", "container"]),
        (["run", "w.yml", "--stand-in", "image"], ["IMAGE=LOCKFILE"]),
        (["run", "w.yml", "-p", "novalue"], ["novalue", "KEY=VALUE"]),
        (["run", "w.yml", "-p", "a={unclosed"], ["a"]),
        (["cache", "prune", "--older-than", "yesterday"], ["12h, 30d, 4w"]),
        (["cache", "prune", "--older-than", "nanh"], ["12h, 30d, 4w"]),
        (["cache", "prune", "--older-than", "-3h"], ["12h, 30d, 4w"]),
        (["logs", "x", "--tail", "-1"], ["tail"]),
        (["ls", "--state", "done"], ["done", "finished"]),
        (["ls", "-n", "-5"], ["-5"]),
        (["completion", "tcsh"], ["bash"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments(call, write, args: list[str], words: list[str]) -> None:
    write("w.yml", HELLO)
    call(*args).refused(EXIT_CODE[InvalidInput], *words)


@pytest.mark.parametrize(
    "args", [["status", "nosuch"], ["logs", "nosuch"], ["stop", "nosuch"], ["results", "nosuch"],
             ["artifacts", "ls", "nosuch"], ["artifacts", "get", "nosuch"], ["run", "--resume", "nosuch"],
             ["run", "nosuch"], ["run", "./nosuch.yml"], ["check", "nosuch"], ["test", "nosuch"],
             ["catalogue", "show", "nosuch"], ["status", ""]],
    ids=" ".join,
)  # fmt: skip
def test_what_is_not_there(call, args: list[str]) -> None:
    call(*args).refused(EXIT_CODE[NotFound], Path(args[-1]).name or "''")


def test_there_is_no_latest_run_yet(call) -> None:
    call("status", "latest").refused(EXIT_CODE[NotFound], "no runs yet")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RECAST_CORES", "many", ["RECAST_CORES", "'many'"]),
        ("RECAST_MEMORY", "-1G", ["RECAST_MEMORY"]),
        ("RECAST_BACKEND", "slurm", ["local"]),
        ("RECAST_DATABASE", "mysql://x/y", ["sqlite"]),
        ("RECAST_STORAGE", "s3://bucket", ["RECAST_STORAGE", "RECAST_S3_ACCESS_KEY"]),
        ("RECAST_USER", "a\x1b[31mb", ["RECAST_USER"]),
    ],
)
def test_wrong_settings(call, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: list[str]) -> None:
    monkeypatch.setenv(name, value)
    said = call("ls")
    said.refused(EXIT_CODE[InvalidInput], *words)
    assert "\x1b" not in said.err


def test_a_home_that_cannot_be_used(call, recast, write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECAST_HOME", str(write("file", "")))
    call("ls").refused(EXIT_CODE[Unavailable], "file")
    monkeypatch.setenv("RECAST_HOME", "/proc/nosuch")
    call("ls").refused(EXIT_CODE[Unavailable], "/proc/nosuch")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
@pytest.mark.parametrize("made_before", [True, False])
def test_a_home_that_may_only_be_read(recast, made_before: bool) -> None:
    if made_before:
        recast("ls")
    else:
        recast.home.mkdir()
    for folder in [recast.home, *(path for path in recast.home.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)
    weak = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    process = subprocess.run([*weak, sys.executable, "-m", "reana_lite", "ls"], env=recast.environment,
                             capture_output=True, text=True, timeout=60)  # fmt: skip
    assert process.returncode == EXIT_CODE[Unavailable], process
    assert "Traceback" not in process.stderr
    assert "permission denied" in process.stderr


def test_a_database_of_a_newer_version(call, recast) -> None:
    import sqlite3

    assert call("ls").code == 0
    with sqlite3.connect(recast.home / "records.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    call("ls").refused(6, "newer")


def test_a_damaged_database(call, recast) -> None:
    assert call("ls").code == 0
    for name in ("records.db-wal", "records.db-shm"):
        (recast.home / name).unlink(missing_ok=True)
    (recast.home / "records.db").write_bytes(b"no database at all" * 1000)
    call("ls").refused(EXIT_CODE[Unavailable], "damaged")


def test_documents_for_programs(recast, write, call) -> None:
    write("w.yml", HELLO)
    document = recast.json("run", "w.yml", "--name", "n", "-q")
    assert set(document) >= {"run", "state", "workspace", "nodes"}
    assert document["state"] == "finished"
    assert document["nodes"] == {"total": 1, "finished": 1, "reused": 0, "failed": 0}
    assert (Path(document["workspace"]) / "hello" / "out").read_text() == "hello\n"
    run = document["run"]
    (listed,) = json.loads(call("ls", "--json").out)
    assert listed["id"] == run
    assert listed["name"] == "n.1"
    status = json.loads(call("status", "n", "--json").out)
    assert [node["node"] for node in status["nodes"]] == ["/hello/0"]
    (kept,) = json.loads(call("cache", "ls", "--json").out)
    assert kept["first_run"] == run
    files = json.loads(call("artifacts", "ls", run, "--json").out)
    assert {file["path"]: file["size_bytes"] for file in files}["hello/out"] == 6
    for command in (["catalogue", "ls"], ["backends", "ls"], ["version"], ["catalogue", "show", "atlas-susy-2018-22"]):
        assert json.loads(call(*command, "--json").out)
    said = call("results", run, "--json")
    said.refused(EXIT_CODE[NotFound], "declares no result")
    assert call("artifacts", "get", run, "hello/out", "-o", "got").code == 0
    assert (recast.folder / "got/hello/out").read_text() == "hello\n"
    call("artifacts", "get", run, "../../etc/passwd").refused(EXIT_CODE[InvalidInput], "artifacts ls")
    call("artifacts", "get", run, "-o", str(write("plain", ""))).refused(EXIT_CODE[Unavailable], "plain")
    call("run", "--resume", run).refused(6, "finished")


def test_a_run_again_is_reused_and_says_so(recast, write) -> None:
    write("w.yml", workflow(a=step("echo {out} > {out}; date +%N >> {out}"), b=step("cat {input} > {out}", after="a")))
    recast("run", "w.yml", "-q")
    assert "2 of 2 steps reused" in recast("run", "w.yml", "-q")
    assert "0 of 2 steps reused" in recast("run", "w.yml", "-q", "--no-cache")
    assert "2 of 2 steps reused" in recast("run", "w.yml", "-q")


def on_terminal(recast, *args: str) -> str:
    """All that a command prints onto a (dumb) terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "reana_lite", *args], cwd=recast.folder, stdin=theirs, stdout=theirs,
                               stderr=theirs, env=recast.environment | {"TERM": "dumb", "NO_COLOR": "1"})  # fmt: skip
    os.close(theirs)
    found = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody is there any more
        while chunk := os.read(ours, 65536):
            found += chunk
    os.close(ours)
    process.wait(timeout=60)
    return found.decode().replace("\r\n", "\n")


def test_names_and_logs_bring_nothing_onto_the_terminal(recast, write) -> None:
    line = r"""printf '\033[31mred\007\033]0;title\007\n'; touch "$(printf 'a\033[2Jb')"; exit 1"""
    write("w.yml", workflow(**{"a\x1b[1mb": step(line, out="x")}))
    texts = [on_terminal(recast, "run", "w.yml", "-q", "--name", "n\x1b[31m\x9b\u202e")]
    assert "red" in texts[0]
    for args in (["ls"], ["status", "latest"], ["logs", "latest"], ["artifacts", "ls", "latest"], ["status", "\x1b[31m"],
                 ["logs", "latest", "/\x1b"], ["\x1b[31m"], ["ls", "--json"]):  # fmt: skip
        texts.append(on_terminal(recast, *args))
        assert texts[-1].strip(), args
        assert "Traceback" not in texts[-1], args
    assert not [text for text in texts if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)]
    assert json.loads(texts[-1])[0]["name"] == "n\x1b[31m\x9b\u202e.1"


def test_a_reader_that_goes_away(recast, write) -> None:
    write("w.yml", workflow(a=step("seq 200000; touch {out}")))
    recast("run", "w.yml", "-q")
    process = recast.start("logs", "latest")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) in (0, 141, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2", ["w.yml:"]),
        ("stages: [{name: a}]", ["w.yml:1"]),
        ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "\n".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]" for i in range(9)), ["w.yml"]),
        ("a: &a [*a]", ["w.yml"]),
        ("[" * 5000, ["w.yml"]),
        ("stages: {$ref: w.yml#/stages}", ["w.yml"]),
        ("stages: !!python/object/apply:os.system [touch owned]", ["w.yml:1"]),
        (HELLO.replace("string-interpolated-cmd", "nosuch"), ["w.yml", "nosuch"]),
        (HELLO.replace('"echo hello > {out}"', "{$ref: ../../../../etc/passwd}"), ["w.yml"]),
    ],
    ids=["open", "incomplete", "bomb", "self", "deep", "ref-to-itself", "tag", "process", "leaves"],
)  # fmt: skip
def test_documents_that_are_wrong(call, recast, write, text: str, words: list[str]) -> None:
    write("w.yml", text)
    begun = time.perf_counter()
    for command in ("check", "run"):
        said = call(command, "w.yml")
        assert said.code == EXIT_CODE[InvalidWorkflow], said
        assert "Traceback" not in said.err
        assert len(said.err) < 3000
        for word in words:
            assert word in said.out + said.err, said
    assert time.perf_counter() - begun < 20
    assert not (recast.folder / "owned").exists()
    assert json.loads(call("ls", "--json").out) == []


def test_files_that_are_no_documents(call, recast) -> None:
    """Binary, not UTF-8, huge though sparse, a folder, a pipe, unreadable: refused at once, in a sentence."""
    (recast.folder / "binary.yml").write_bytes(bytes(range(256)) * 10)
    (recast.folder / "latin.yml").write_bytes("stages: [{name: Käse}]".encode("latin-1"))
    with (recast.folder / "huge.yml").open("wb") as stream:
        stream.truncate(50_000_000_000)
    os.mkfifo(recast.folder / "pipe.yml")
    (recast.folder / "loop.yml").symlink_to("loop.yml")
    for name in ("binary.yml", "latin.yml", "huge.yml", "pipe.yml", "loop.yml", "/dev/zero"):
        begun = time.perf_counter()
        said = call("run", name)
        assert said.code in (EXIT_CODE[InvalidInput], EXIT_CODE[InvalidAnalysis], EXIT_CODE[NotFound]), (name, said)
        said.refused(said.code, name)
        assert time.perf_counter() - begun < 10, name
