"""Commands that meet each other, or an end of the process at the wrong moment."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from steps import step, workflow
from test_kill import wait_until_gone
from waiting import within

from reana_lite import harvest, prune
from reana_lite.cli.screen import open_installation
from reana_lite.event import RunState

WAIT = "while ! test -e {diary}.go; do sleep 0.05; done; touch {out}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_ends_like_an_interrupt(recast, write, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("whoever started the tests ignores this signal (nohup), and so do its children")
    diary = write("diary", "")
    write("w.yml", workflow(a=step("echo begun >> {diary}; " + WAIT)))
    process = recast.start("run", "w.yml", "-q", "-p", f"diary={diary}")
    within(60, lambda: "begun" in diary.read_text())
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "recast run --resume" in err
    assert "Traceback" not in err
    wait_until_gone(recast.home)


def test_a_second_terminal_says_that_it_follows(recast, write) -> None:
    diary = write("diary", "")
    write("w.yml", workflow(a=step("echo begun >> {diary}; " + WAIT)))
    first = recast.start("run", "w.yml", "-p", f"diary={diary}")
    within(60, lambda: "begun" in diary.read_text())
    second, third = (recast.start("run", "--resume", "latest") for _ in range(2))
    for follower in (second, third):
        assert "followed here" in follower.stderr.readline()
    third.send_signal(signal.SIGINT)
    _, err = third.communicate(timeout=60)
    assert third.returncode == 130
    assert "goes on" in err
    assert "--resume" not in err
    write("diary.go", "")
    for process in (first, second):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "finished" in out
    assert diary.read_text().split() == ["begun"]


def test_a_run_whose_worker_is_gone_is_stopped_at_once_and_said_to_be(recast, write) -> None:
    diary = write("diary", "")
    write("w.yml", workflow(a=step("echo begun >> {diary}; " + WAIT)))
    process = recast.start("run", "w.yml", "-q", "-p", f"diary={diary}")
    within(60, lambda: "begun" in diary.read_text())
    process.kill()
    process.communicate(timeout=60)
    assert "is stopped" in recast("stop", "latest")


def test_what_was_removed_is_told(recast, write, call) -> None:
    write("w.yml", workflow(a=step("echo a > {out}")))
    recast("run", "w.yml", "-q")
    assert "not kept any more" not in call("artifacts", "ls", "latest").err
    recast("cache", "prune", "--all-runs")
    listed = call("artifacts", "ls", "latest")
    assert listed.code == 0
    assert "the outputs of 1 of 1 steps are not kept any more" in listed.err


def test_a_test_run_is_not_resumed(recast, write, call) -> None:
    write("w.yml", workflow(a=step("false")))
    recast("run", "w.yml", "-q", code=1)
    installation = open_installation_of(recast)
    record = installation.database.get_run("latest")
    installation.database.create_run(
        run="atest", name="test-x", owner=record.owner, request={**record.request, "asked": {}}
    )
    installation.database.request_stop("atest")
    call("run", "--resume", "atest").refused(6, "recast test")


def open_installation_of(recast):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECAST_HOME", str(recast.home))
        return open_installation()


def test_a_result_is_read_later_if_the_process_died_before(recast, write, call) -> None:
    recast("catalogue", "create", "mine")
    recast("run", "./mine", "--example", "default", "-q")
    database = open_installation_of(recast).database
    before = call("results", "latest", "--json").out
    with database.transaction() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM results")
    assert call("results", "latest", "--json").out == before
    assert database.get_result(database.get_run("latest").id, "declared") is not None


def test_prune_keeps_what_a_run_has_come_to_name_meanwhile(recast, write, monkeypatch) -> None:
    """Between the look at the records and the removal another run reuses an output, and finishes."""
    write("w.yml", workflow(a=step("echo a > {out}")))
    recast("run", "w.yml", "-q")
    installation = open_installation_of(recast)
    database, storage = installation.database, installation.storage
    (job,) = database.kept_jobs()
    monkeypatch.setattr(type(database), "places_of_runs", lambda *_, **__: set())  # as if the run had come later
    prune.prune(database, storage, before=job.ended_at + 1)
    assert storage.manifest(job.key, job.attempt) is not None
    prune.prune(database, storage, before=job.ended_at + 1, keep_runs=False)
    assert storage.manifest(job.key, job.attempt) is None


def test_prune_takes_input_files_that_nothing_names_and_nobody_kept_lately(recast, write) -> None:
    installation = open_installation_of(recast)
    database, storage = installation.database, installation.storage
    storage.check()
    tree = storage.keep_bytes({"x": b"named"}, "/reana-lite/init")
    init = {"trees": [[tree.folder, tree.key, 0, tree.digest]]}
    database.create_run(run="r", name="r", owner="me", first_event=("RunStarted", {"init": init}))
    database.set_run_state("r", RunState.STOPPED)
    lone, fresh = (storage.keep_bytes({"x": text}, "/reana-lite/init").key for text in (b"lone", b"fresh"))
    old = time.time() - 2 * prune.TREE_AGE_S
    for key in (lone, tree.key):
        os.utime(storage.place(key, 0) / "manifest.json", (old, old))
    would = prune.prune(database, storage, before=time.time(), keep_runs=False, dry_run=True)
    assert [place.key for place in would if not place.attempt] == [lone]
    assert storage.manifest(lone, 0) is not None
    prune.prune(database, storage, before=time.time(), keep_runs=False)
    left = {key for key, attempt in storage.places() if not attempt}
    assert left == {fresh, tree.key}


def test_prune_spares_the_log_of_what_failed_lately(recast, write) -> None:
    write("w.yml", workflow(a=step("echo why; false")))
    recast("run", "w.yml", "-q", code=1)
    recast("cache", "prune", "--all-runs", "--older-than", "1h")
    assert "why" in recast("logs", "latest")


def test_two_processes_show_a_folder_at_once(recast, write) -> None:
    from reana_lite.drive import replayed

    write("w.yml", workflow(a=step("echo a > {out}")))
    recast("run", "w.yml", "-q")
    installation = open_installation_of(recast)
    run = installation.database.get_run("latest").id
    drive = replayed(run, installation.database.read_events(run), installation.storage)
    runs = recast.home / "runs"
    original = Path.rename

    def late(self: Path, target: Path) -> Path:
        if not self.name.endswith("other"):
            other = self.with_name(self.name + "other")
            other.mkdir()
            (other / "a").symlink_to("/")
            original(other, target)
        return original(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", late)
        folder = harvest.show_folder(drive, installation.storage, runs=runs)
    assert folder == runs / run
    assert [path.name for path in runs.iterdir()] == [run]
