"""Steps under the supervisor: what they get, how their ends are told, what they may not leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import OWN, end_of, ends, is_gone, number_in, task, until

from reana_lite.backends import processes
from reana_lite.backends.local import LocalBackend
from reana_lite.errors import InvalidInput, Unavailable
from reana_lite.job import RUN_ROOT, Cause, Environment, EnvironmentKind, Input, JobState, Mount
from reana_lite.storage.local import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def backend(storage: LocalStorage) -> Iterator[LocalBackend]:
    backend = LocalBackend(storage, cpus=2, grace_s=0.5)
    yield backend
    backend.close()


# -- what a step gets ------------------------------------------------------------------------------------------------


def test_script_is_standard_input_and_cannot_be_read_twice(backend: LocalBackend, storage: LocalStorage) -> None:
    outcome = end_of(backend, task("s", "cat; cat", script=f"cd {OWN}\nline ü\n"))
    assert outcome.state is JobState.FINISHED
    assert storage.log("s", 1).decode() == f"cd {storage.folder('s', 1)}\nline ü\n"
    assert sorted(p.name for p in storage.place("s", 1).iterdir()) == ["files", "log", "manifest.json", "outcome.json"]


def test_without_a_script_standard_input_is_empty(backend: LocalBackend, storage: LocalStorage) -> None:
    assert end_of(backend, task("s", "cat; pwd; echo $PWD; echo error >&2")).exit_code == 0
    folder = str(storage.folder("s", 1))
    assert storage.log("s", 1).decode() == f"{folder}\n{folder}\nerror\n"


def test_a_line_longer_than_an_argument_may_be(backend: LocalBackend, storage: LocalStorage) -> None:
    names = " ".join(f"{OWN}/{'n' * 60}{n}" for n in range(4000))
    assert len(names) > 300_000
    outcome = end_of(backend, task("long", f"set -- {names}; echo $#"))
    assert outcome.exit_code == 0
    assert storage.log("long", 1) == b"4000\n"


def test_a_step_is_called_sh(backend: LocalBackend, storage: LocalStorage) -> None:
    end_of(backend, task("name", 'echo "$0"; tr "\\0" " " < /proc/$$/cmdline'))
    assert storage.log("name", 1).startswith(b"sh\nsh -c echo")


def test_arguments_too_long_for_a_child_are_explained(backend: LocalBackend) -> None:
    names = " ".join(f"{OWN}/{'n' * 200}{n}" for n in range(16_000))
    outcome = end_of(backend, task("long", f"cat {names}"))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.EXIT)
    assert "more arguments than the kernel takes" in outcome.message


def test_a_folder_with_blanks_works_without_quotes(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "my 'data' & $HOME")
    backend = LocalBackend(storage)
    try:
        up = task("up", f"echo one > {OWN}/a && pwd")
        outcome = end_of(backend, up)
        assert outcome.state is JobState.FINISHED
        inputs = (Input(f"{RUN_ROOT}/up", "up", 1, outcome.digest),)
        line = f"cat {RUN_ROOT}/up/a > {OWN}/b; cat $(pwd)/b; ln -s {OWN}/b {OWN}/c"
        assert end_of(backend, task("down", line, inputs=inputs)).state is JobState.FINISHED
        assert storage.log("down", 1) == b"one\n"
        assert storage.damage("down", 1) == []
        assert b" " not in storage.log("up", 1)
    finally:
        backend.close()


def test_a_virtual_folder_that_is_no_input_is_not_there(backend: LocalBackend, storage: LocalStorage) -> None:
    outcome = end_of(backend, task("x", f"ls {RUN_ROOT}/other/file {RUN_ROOT}/ow"))
    assert outcome.exit_code == 2
    assert storage.log("x", 1).count(b"No such file or directory") == 2


def test_a_folder_above_others_shows_those_that_are_inputs(backend: LocalBackend, storage: LocalStorage) -> None:
    inputs = []
    for n in range(2):
        up = end_of(backend, task(f"up{n}", f"echo {n} > {OWN}/a"))
        inputs.append(Input(f"{RUN_ROOT}/map/{n}", f"up{n}", 1, up.digest))
    line = f"cat {RUN_ROOT}/map/*/a; ls {OWN}/..; ls {RUN_ROOT}/map/7"
    assert end_of(backend, task("x", line, inputs=tuple(inputs))).exit_code == 2
    assert storage.log("x", 1).decode().startswith("0\n1\nmap\nown\n")
    assert b"No such file" in storage.log("x", 1)


def test_mounts_and_variables_reach_a_plain_process(backend: LocalBackend, storage: LocalStorage) -> None:
    environment = Environment(
        variables=(("WHERE", f"{OWN}/x"),),
        mounts=(Mount("/recast/par.json", f'{{"out": "{OWN}"}}'),),
        workdir=f"{OWN}/w",
    )
    outcome = end_of(backend, task("m", "cat /recast/par.json; echo; echo $WHERE; pwd", environment=environment))
    assert outcome.exit_code == 0
    folder = storage.folder("m", 1)
    assert storage.log("m", 1).decode() == f'{{"out": "{folder}"}}\n{folder}/x\n{folder}\n'


def test_python_steps_leave_no_byte_code_in_their_inputs(backend: LocalBackend, storage: LocalStorage) -> None:
    code = storage.keep_bytes({"part.py": b"", "main.py": b"import part"}, f"{RUN_ROOT}/code")
    outcome = end_of(backend, task("p", f"{sys.executable} {RUN_ROOT}/code/main.py", inputs=(code,)))
    assert outcome.exit_code == 0
    assert outcome.reusable
    assert storage.damage(code.key, 0) == []


# -- how ends are told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("exit 7", 7, "exit code 7"),
        ("no-such-command-here", 127, "not found"),
        (f"echo > {OWN}/f; {OWN}/f", 126, "x bit"),
        ("kill -9 $$", -9, "SIGKILL"),
        ("sh -c 'kill -SEGV $$'; exit $?", 139, "SIGSEGV"),
    ],
)
def test_exit_codes_are_explained(backend: LocalBackend, line: str, code: int, words: str) -> None:
    outcome = end_of(backend, task("x", line))
    assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.FAILED, Cause.EXIT, code)
    assert words in outcome.message


def test_a_time_limit_ends_the_whole_group_even_if_it_ignores_term(
    backend: LocalBackend, storage: LocalStorage
) -> None:
    line = (
        f"trap '' TERM; echo part > {OWN}/part; sh -c 'trap \"\" TERM; echo $$ > child; sleep 1000' & wait; sleep 1000"
    )
    outcome = end_of(backend, task("slow", line, timeout_s=0.3))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.TIME)
    assert "0.3 s" in outcome.message
    assert is_gone(number_in(storage.folder("slow", 1) / "child"))
    assert storage.manifest("slow", 1) is not None


def test_a_time_limit_lets_a_step_tidy_up_first(backend: LocalBackend, storage: LocalStorage) -> None:
    line = f"trap 'echo bye > {OWN}/bye; exit 0' TERM; while true; do sleep 0.05; done"
    outcome = end_of(backend, task("slow", line, timeout_s=0.2))
    assert outcome.cause is Cause.TIME
    assert (storage.folder("slow", 1) / "bye").exists()


def test_a_memory_limit_counts_the_whole_tree(backend: LocalBackend) -> None:
    hog = f"{sys.executable} -c 'x = bytearray(150_000_000); import time; time.sleep(1000)'"
    outcome = end_of(backend, task("hog", f"{hog} & {hog} & wait", memory_bytes=250_000_000))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.MEMORY)
    assert "238 MiB" in outcome.message


def test_more_memory_than_there_is_is_refused(storage: LocalStorage) -> None:
    backend = LocalBackend(storage, memory_bytes=10_000_000)
    try:
        outcome = end_of(backend, task("big", "true", memory_bytes=20_000_000))
        assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.MEMORY)
        assert "this machine offers" in outcome.message
        assert backend.missing(task("big", "true", memory_bytes=20_000_000).job)
    finally:
        backend.close()


def test_a_full_disk_is_told_as_such(backend: LocalBackend) -> None:
    outcome = end_of(backend, task("full", "echo 'write: No space left on device' >&2; exit 1"))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.DISK)


def test_a_really_full_disk(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        storage = LocalStorage(mount / "storage")
        backend = LocalBackend(storage)
        try:
            outcome = end_of(backend, task("fill", "head -c 5000000 /dev/zero > big"))
            assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.DISK)
            outcome = end_of(backend, task("quiet", "head -c 5000000 /dev/zero > big 2>/dev/null; true"))
            assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.DISK)
            assert storage.manifest("quiet", 1) is None
        finally:
            backend.close()
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_an_image_without_stand_in_is_told_as_such(backend: LocalBackend) -> None:
    environment = Environment(EnvironmentKind.CONTAINER, "some/image:1")
    outcome = end_of(backend, task("i", "true", environment=environment))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.IMAGE)
    with pytest.raises(InvalidInput, match="some/image:1"):
        backend.prepare(environment, {}, lambda _: None)


# -- capacity --------------------------------------------------------------------------------------------------------


def test_jobs_share_the_cores_and_one_that_wants_more_runs_alone(backend: LocalBackend, storage: LocalStorage) -> None:
    jobs = storage.root / "jobs"
    for name in ("running", "seen"):
        (jobs / name).mkdir(parents=True)
    count = "ls ../../../running | wc -l; mkdir ../../../running/$$ ../../../seen/$$; "
    four = "while [ $(ls ../../../seen | wc -l) -lt 4 ]; do sleep 0.01; done; "
    leave = "ls ../../../running | wc -l; rmdir ../../../running/$$"
    tasks = [task(f"half{n}", count + four + leave, cpus=0.5) for n in range(8)]
    tasks += [task("greedy", count + leave, cpus=64), *(task(f"one{n}", count + leave, cpus=1) for n in range(4))]
    backend.submit(tasks)
    ends(backend, len(tasks))
    beside = {t.key: [int(n) for n in storage.log(t.key, 1).split()] for t in tasks}
    assert beside["greedy"] == [0, 1]
    assert max(max(counts) for counts in beside.values()) <= 4


def test_a_queued_job_is_stopped_before_it_begins(backend: LocalBackend, storage: LocalStorage) -> None:
    backend.submit([task("a", "exec sleep 1000", cpus=2), task("b", "true")])
    backend.stop("b", 1)
    (report,) = ends(backend, 1)
    assert report.key == "b"
    assert report.outcome is not None
    assert report.outcome.state is JobState.STOPPED
    assert not storage.place("b", 1).exists()


def test_large_outputs_do_not_hold_up_others(backend: LocalBackend, storage: LocalStorage) -> None:
    backend.submit([task("large", "head -c 300000000 /dev/zero > big"), task("small", "sleep 0.2")])
    reports = {r.key: r for r in ends(backend, 2)}
    large = reports["large"]
    assert large.outcome is not None
    assert large.outcome.size_bytes == 300_000_000
    assert storage.damage("large", 1) == []


# -- what may not be left behind -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "escape",
    [
        "sleep 1000 & echo $! > {own}/pid",
        "setsid sh -c 'echo $$ > {own}/pid; exec sleep 1000' &",
        "setsid setsid --fork sh -c 'echo $$ > {own}/pid; exec sleep 1000' &",
        "env -i /usr/bin/setsid --fork /bin/sh -c 'echo $$ > {own}/pid; exec sleep 1000'",
        "(trap '' HUP TERM INT; setsid sh -c 'echo $$ > {own}/pid; while true; do sleep 1; done' & )",
    ],
)
def test_nothing_a_step_starts_outlives_it(backend: LocalBackend, storage: LocalStorage, escape: str) -> None:
    line = escape.format(own=OWN) + f"\nwhile ! [ -s {OWN}/pid ]; do sleep 0.01; done"
    outcome = end_of(backend, task("escape", line))
    assert outcome.state is JobState.FINISHED
    pid = number_in(storage.folder("escape", 1) / "pid")
    until(lambda: is_gone(pid), "the daemon of a step lives on")


def test_a_daemon_of_a_running_step_is_left_alone_when_another_ends(
    backend: LocalBackend, storage: LocalStorage
) -> None:
    line = (
        f"env -i /usr/bin/setsid --fork /bin/sh -c 'echo $$ > {OWN}/pid; exec sleep 1000'; "
        f"while ! [ -e {OWN}/go ]; do sleep 0.01; done"
    )
    backend.submit([task("daemon", line)])
    folder = storage.folder("daemon", 1)
    pid = number_in(folder / "pid")
    for n in range(5):
        end_of(backend, task(f"other{n}", "true"))
    assert not is_gone(pid)
    (folder / "go").touch()
    ends(backend, 1)
    until(lambda: is_gone(pid), "the daemon lives on")


def test_stop_ends_descendants_that_left_the_group(backend: LocalBackend, storage: LocalStorage) -> None:
    backend.submit([task("s", f"setsid sh -c 'trap \"\" TERM; echo $$ > {OWN}/pid; sleep 1000; sleep 1000' & wait")])
    pid = number_in(storage.folder("s", 1) / "pid")
    backend.stop("s", 1)
    (report,) = ends(backend, 1)
    assert report.outcome is not None
    assert report.outcome.state is JobState.STOPPED
    assert is_gone(pid)


def test_close_ends_everything_at_once(storage: LocalStorage) -> None:
    backend = LocalBackend(storage)
    backend.submit([task(f"s{n}", f"trap '' TERM; echo $$ > {OWN}/pid; sleep 1000; sleep 1000") for n in range(2)])
    pids = [number_in(storage.folder(f"s{n}", 1) / "pid") for n in range(2)]
    begun = time.monotonic()
    backend.close()
    assert time.monotonic() - begun < 5
    assert all(is_gone(pid) for pid in pids)
    assert list((storage.root / "supervisors").iterdir()) == []


# -- outputs and inputs ----------------------------------------------------------------------------------------------


def test_links_inside_are_kept_to_inputs_are_copied_and_to_elsewhere_are_refused(
    backend: LocalBackend, storage: LocalStorage
) -> None:
    up = end_of(backend, task("up", f"mkdir {OWN}/d; echo one > {OWN}/d/a; chmod +x {OWN}/d/a"))
    inputs = (Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)
    line = f"mkdir e f; echo 1 > e/x; ln -s {OWN}/e/x f/abs; ln -s ../e/x f/rel; ln -s gone f/dangling; "
    line += f"ln -s {RUN_ROOT}/up/d/a a; ln -s {RUN_ROOT}/up/d dir; ln -s f/rel twice"
    outcome = end_of(backend, task("links", line, inputs=inputs))
    assert outcome.state is JobState.FINISHED, outcome
    assert outcome.details["copied_links"] == ["a", "dir"] or set(outcome.details["copied_links"]) == {"a", "dir"}
    manifest = storage.manifest("links", 1)
    assert manifest is not None
    found = {a.path: a.target or a.kind for a in manifest.artifacts}
    assert found == {
        "a": "file", "dir/a": "file", "e/x": "file", "f/abs": "../e/x", "f/rel": "../e/x", "f/dangling": "gone",
        "twice": "f/rel",
    }  # fmt: skip
    copy = manifest.get("a")
    assert copy is not None
    assert copy.executable
    assert storage.damage("links", 1) == []
    for number, target in enumerate(("/etc/passwd", "../../../../outside", f"{OWN}/../../../../x")):
        outcome = end_of(backend, task(f"bad{number}", f"ln -s {target} out"))
        assert (outcome.state, outcome.cause, outcome.exit_code) == (JobState.FAILED, Cause.EXIT, 0)
        assert "'out'" in outcome.message
        assert "outside" in outcome.message


@pytest.mark.parametrize("line", ["rm -rf $PWD", "rm -rf ../../1", "cd /; rm -rf $OLDPWD; exit 1"])
def test_a_step_that_removes_its_own_folder(backend: LocalBackend, line: str) -> None:
    outcome = end_of(backend, task("gone", line))
    assert (outcome.state, outcome.cause) == (JobState.FAILED, Cause.EXIT)
    assert end_of(backend, task("next", "true")).state is JobState.FINISHED


def test_odd_names_and_rights_survive(backend: LocalBackend, storage: LocalStorage) -> None:
    line = (
        "mkdir empty 'a b' locked; : > zero; echo 1 > 'a b/ü %+&'; echo 2 > run.sh; chmod 755 run.sh; mkfifo pipe; "
        "echo 3 > secret; chmod 000 secret; printf x > \"$(printf 'bad\\377name')\"; chmod 000 locked"
    )
    outcome = end_of(backend, task("odd", line))
    assert outcome.state is JobState.FINISHED, outcome
    manifest = storage.manifest("odd", 1)
    assert manifest is not None
    paths = {a.path: a.kind for a in manifest.artifacts}
    assert paths == {
        "empty": "folder", "locked": "folder", "zero": "file", "a b/ü %+&": "file", "run.sh": "file", "secret": "file",
        "bad\udcffname": "file",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ("echo more >> {up}/a", True),
        ("rm {up}/a", True),
        ("echo new > {up}/b", True),
        ("chmod +x {up}/a", True),
        ("mkdir {up}/sub", True),
        ("touch {up}/a", False),
        ("echo new > {up}/b; rm {up}/b", False),
        ("cat {up}/a", False),
    ],
)
def test_a_step_that_changes_its_inputs_is_found_out(
    backend: LocalBackend, storage: LocalStorage, change: str, changed: bool
) -> None:
    up = end_of(backend, task("up", f"echo one > {OWN}/a"))
    inputs = (Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)
    outcome = end_of(backend, task("down", change.format(up=f"{RUN_ROOT}/up"), inputs=inputs))
    assert outcome.state is JobState.FINISHED
    assert outcome.reusable is not changed
    assert outcome.details.get("changed_inputs", []) == ([f"{RUN_ROOT}/up"] if changed else [])


def test_who_reads_a_changed_input_later_is_found_out_too(backend: LocalBackend) -> None:
    up = end_of(backend, task("up", f"echo one > {OWN}/a"))
    inputs = (Input(f"{RUN_ROOT}/up", "up", 1, up.digest),)
    end_of(backend, task("guilty", f"echo more >> {RUN_ROOT}/up/a", inputs=inputs))
    assert not end_of(backend, task("victim", f"cat {RUN_ROOT}/up/a", inputs=inputs)).reusable


# -- the supervisor itself -------------------------------------------------------------------------------------------


def test_it_is_there_in_little_time(storage: LocalStorage) -> None:
    begun = time.monotonic()
    backend = LocalBackend(storage)
    end_of(backend, task("first", "true"))
    backend.close()
    assert time.monotonic() - begun < 3.0  # 0.1 s on an idle machine


def test_it_imports_little() -> None:
    code = "import sys, reana_lite.backends.supervisor; print(*sys.modules)"
    names = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not names & {"yaml", "jsonschema", "jq", "sqlalchemy", "rich", "click", "logging", "subprocess", "asyncio"}


def test_one_that_cannot_begin_is_told(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LocalBackend(storage)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    try:
        with pytest.raises(Unavailable, match="ends as soon as it begins"):
            end_of(backend, task("x", "true"))
        monkeypatch.undo()
        assert end_of(backend, task("y", "true")).state is JobState.FINISHED
    finally:
        backend.close()


def test_steps_do_not_inherit_its_signals_and_handles(backend: LocalBackend, storage: LocalStorage) -> None:
    end_of(backend, task("s", "grep -E '^Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd | wc -l; ulimit -n"))
    lines = storage.log("s", 1).decode().split()
    # 32 and 33 are the C library's own, which its posix_spawn ignores.
    assert [int(word, 16) & 0x7FFFFFFF for word in sorted((lines[1], lines[3]))] == [0, 0]
    assert int(lines[4]) <= 4  # 0, 1, 2 and the folder that ls reads


def test_the_marker_names_the_attempt(backend: LocalBackend, storage: LocalStorage) -> None:
    backend.submit([task("m", f"echo $$ > {OWN}/pid; exec sleep 1000")])
    pid = number_in(storage.folder("m", 1) / "pid")
    until(lambda: processes.carries(pid, processes.JOB_VARIABLE, "m/1"))
    os.kill(pid, signal.SIGKILL)
    (report,) = ends(backend, 1)
    assert report.outcome is not None
    assert report.outcome.exit_code == -9
