"""The worker and the supervisor killed at random instants: nothing left running, nothing run twice, all told.

RECAST_SEEDS sets how many instants are tried (default 12 each).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from running import LIMIT_S, OWN, is_gone, number_in, task, until

from reana_lite.backends import journal, processes
from reana_lite.backends.base import Report, Task
from reana_lite.backends.local import LocalBackend
from reana_lite.job import Cause, JobState
from reana_lite.storage.local import LocalStorage

SEEDS = range(int(os.environ.get("RECAST_SEEDS", "12")))

WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_supervisor_kills import tasks_of
from reana_lite.backends.local import LocalBackend
from reana_lite.storage.local import LocalStorage
backend = LocalBackend(LocalStorage(Path({root!r})))
todo = tasks_of({seed})
print("begun", flush=True)
while True:
    room = backend.room()
    batch, todo = todo[:room], todo[room:]
    if batch:
        backend.submit(batch)
    for report in backend.wait(10.0):
        if report.outcome:
            print(report.key, report.outcome.state, flush=True)
"""


def tasks_of(seed: int) -> list[Task]:
    """Steps of many kinds: quick, slow, with children that escape, with large outputs. Each notes that it ran."""
    random_ = random.Random(seed)
    note = "echo $(basename $(dirname $(dirname $PWD))) >> ../../../../ran; "
    kinds = [
        "echo x > out",
        "echo x > out; sleep 0.02",
        "sleep 1000 & echo x > out",
        "setsid --fork sh -c 'sleep 1000; sleep 1000'; echo x > out",
        "head -c 3000000 /dev/zero > out",
        "echo half > out; sleep 0.05; echo x >> out",
        "exit 3",
        "trap '' TERM; sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & sleep 0.01; echo x > out",
    ]
    return [task(f"k{seed}-{n}", note + random_.choice(kinds)) for n in range(150)]


def carriers(root: Path) -> list[int]:
    """Processes that run in a place below `root`, or print to one."""
    found = []
    for pid in processes.pids():
        for name in ("cwd", "fd/1"):
            try:
                where = str(Path(f"/proc/{pid}/{name}").readlink())
            except OSError:
                continue
            if where.startswith(f"{root}/jobs/") and processes.is_alive(pid, ""):
                found.append(pid)
                break
    return found


def check_storage(storage: LocalStorage, reports: dict[str, Report]) -> None:
    """What was told is what lies there, whole; nothing ran twice."""
    for key, report in reports.items():
        assert report.outcome is not None
        if report.outcome.cause is Cause.LOST:
            continue
        assert report.outcome.state is JobState.FINISHED or report.outcome.exit_code == 3, report
        assert storage.manifest(key, 1) == report.manifest
        assert storage.damage(key, 1) == []
    ran = storage.root / "ran"
    lines = ran.read_text().split() if ran.exists() else []
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_worker_is_killed(tmp_path: Path, seed: int) -> None:
    storage = LocalStorage(tmp_path)
    code = WORKER.format(tests=str(Path(__file__).parent), root=str(tmp_path), seed=seed)
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "begun\n"
    time.sleep(random.Random(seed).uniform(0.0, 0.6))  # the instant is the point of this test
    worker.kill()
    told = {line.split()[0]: line.split()[1] for line in worker.stdout.read().splitlines() if line.count(" ")}
    worker.wait()
    worker.stdout.close()
    successor = LocalBackend(storage)
    try:
        reports = {r.key: r for r in successor.recover([(t.key, t.attempt) for t in tasks_of(seed)])}
        assert carriers(tmp_path) == []
        assert list((tmp_path / journal.FOLDER).glob("*")) == []
        check_storage(storage, reports)
        for key, state in told.items():
            outcome = reports[key].outcome
            assert outcome is not None
            assert outcome.state == state
    finally:
        successor.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_supervisor_is_killed(tmp_path: Path, seed: int) -> None:
    storage = LocalStorage(tmp_path)
    backend = LocalBackend(storage)
    random_ = random.Random(seed)
    todo = tasks_of(seed)
    wanted = len(todo)
    reports: dict[str, Report] = {}
    instants = sorted(random_.uniform(0.05, 1.0) for _ in range(3))
    over = threading.Event()

    def kill() -> None:
        begun = time.monotonic()
        for instant in instants:
            if over.wait(max(0.0, begun + instant - time.monotonic())):
                return
            process = backend._process
            if process is not None:
                process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        deadline = time.monotonic() + LIMIT_S
        while len(reports) < wanted:
            assert time.monotonic() < deadline
            room = backend.room()
            batch, todo = todo[:room], todo[room:]
            if batch:
                backend.submit(batch)
            for report in backend.wait(1.0):
                if report.outcome is not None:
                    assert report.key not in reports
                    reports[report.key] = report
                    if report.outcome.cause is Cause.LOST:
                        mark = f"{report.key}/1"
                        left = [p for p in processes.pids() if processes.carries(p, processes.JOB_VARIABLE, mark)]
                        assert [p for p in left if processes.is_alive(p, "")] == []
    finally:
        over.set()
        killer.join()
        backend.close()
    assert carriers(tmp_path) == []
    check_storage(storage, reports)


def test_both_are_killed_and_the_next_start_tidies_up(tmp_path: Path) -> None:
    code = (
        f"import os; from pathlib import Path; import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from running import OWN, task, number_in\n"
        "from reana_lite.backends.local import LocalBackend\nfrom reana_lite.storage.local import LocalStorage\n"
        f"storage = LocalStorage(Path({str(tmp_path)!r}))\nbackend = LocalBackend(storage)\n"
        "inner = f'setsid sh -c \"echo \\$\\$ > {OWN}/inner; sleep 1000\" & '\n"
        "backend.submit([task('a', inner + f'echo $$ > {OWN}/pid; wait')])\n"
        "number_in(storage.folder('a', 1) / 'pid'); number_in(storage.folder('a', 1) / 'inner')\n"
        "os.kill(backend._process.pid, 9); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    storage = LocalStorage(tmp_path)
    pids = [number_in(storage.folder("a", 1) / name) for name in ("pid", "inner")]
    assert not any(is_gone(pid) for pid in pids)
    backend = LocalBackend(storage)
    try:
        (report,) = backend.recover([("a", 1)])
        assert report.outcome is not None
        assert report.outcome.cause is Cause.LOST
        assert all(is_gone(pid) for pid in pids)
        assert list((tmp_path / journal.FOLDER).iterdir()) == []
    finally:
        backend.close()


def test_a_living_worker_keeps_its_steps_when_another_starts(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    first, second = LocalBackend(storage), LocalBackend(storage)
    try:
        first.submit([task("mine", f"echo $$ > {OWN}/pid; exec sleep 1000")])
        pid = number_in(storage.folder("mine", 1) / "pid")
        (report,) = second.recover([("other", 1)])
        assert report.outcome is not None
        assert report.outcome.cause is Cause.LOST
        assert not is_gone(pid)
    finally:
        first.close()
        second.close()
    assert is_gone(pid)


def test_what_a_worker_that_lost_its_lease_still_runs_is_ended_before_it_is_told_as_lost(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    first, second = LocalBackend(storage), LocalBackend(storage)
    try:
        first.submit([task("mine", f"echo $$ > {OWN}/pid; exec sleep 1000")])
        pid = number_in(storage.folder("mine", 1) / "pid")
        second.recover([("mine", 1)])
        assert is_gone(pid)
    finally:
        first.close()
        second.close()


def test_a_supervisor_asked_to_end_ends_its_steps(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    backend = LocalBackend(storage)
    try:
        backend.submit([task("a", f"trap '' TERM; echo $$ > {OWN}/pid; sleep 1000; sleep 1000")])
        pid = number_in(storage.folder("a", 1) / "pid")
        assert backend._process is not None
        backend._process.terminate()
        until(lambda: is_gone(pid))
        reports: list[Report] = []
        until(lambda: reports.extend(backend.wait(0.1)) or [r for r in reports if r.outcome])
        assert reports[-1].outcome is not None
        assert reports[-1].outcome.cause is Cause.LOST
    finally:
        backend.close()


def test_a_half_written_exit_record_counts_as_none(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    backend = LocalBackend(storage)
    try:
        backend.submit([task("a", "echo 1 > x"), task("b", "echo 1 > x"), task("c", "echo 1 > x")])
        ended: list[Report] = []
        until(lambda: ended.extend(r for r in backend.wait(1.0) if r.outcome) or len(ended) == 3)
        (storage.place("a", 1) / "outcome.json").write_text('{"state": "fini')
        (storage.place("b", 1) / "manifest.json").unlink()
        (storage.place("c", 1) / "manifest.json").unlink()
        (storage.folder("c", 1) / "x").write_text("changed")
        a, b, c = backend.recover([("a", 1), ("b", 1), ("c", 1)])
        assert a.outcome is not None
        assert a.outcome.cause is Cause.LOST
        assert b == next(r for r in ended if r.key == "b")
        assert storage.manifest("b", 1) == b.manifest
        assert c.outcome is not None
        assert c.outcome.cause is Cause.LOST
    finally:
        backend.close()


def test_a_process_is_known_by_its_marker_all_through_its_execs() -> None:
    looks = 0
    for _ in range(150):
        line = "exec sh -c 'exec sh -c \"exec sh -c true\"'"
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", line], {"RECAST_JOB": "x/1", "PATH": os.environ["PATH"]})
        while processes.is_alive(pid, ""):
            looks += 1
            if not processes.carries(pid, "RECAST_JOB", "x/1"):
                # An ending process has lost its memory, and its program with it, before it is a zombie.
                assert not Path(f"/proc/{pid}/exe").exists() or not processes.is_alive(pid, "")
        os.waitpid(pid, 0)
    assert looks > 150


def test_a_lock_that_a_step_being_started_holds_is_no_sign_of_life(tmp_path: Path) -> None:
    """Between vfork and exec a step has its supervisor's open files: here it is held up there for a while."""
    code = (
        "import os, sys; from reana_lite.backends.journal import Journal\n"
        f"journal = Journal({str(tmp_path)!r}, 'dead', {os.getpid()})\n"
        "pid = os.fork()\n"
        "if pid: print(pid, flush=True); os.kill(os.getpid(), 9)\n"
        "sys.stdin.readline()\n"
        "os.execve('/bin/sleep', ['sleep', '1000'], {'RECAST_INSTANCE': 'dead'})\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    assert supervisor.stdin is not None
    pid = int(supervisor.stdout.readline())
    supervisor.wait()
    cleaner = threading.Thread(target=journal.clean, args=(str(tmp_path),))
    cleaner.start()
    supervisor.stdin.write("go\n")
    supervisor.stdin.close()
    cleaner.join()
    supervisor.stdout.close()
    assert is_gone(pid)
    assert list((tmp_path / journal.FOLDER).iterdir()) == []
