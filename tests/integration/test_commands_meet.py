"""Commands that meet each other, or an end of the process at the wrong moment."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from steps import step, workflow
from waiting import wait_until_gone, within

from reana_lite import harvest

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


def test_a_test_run_is_not_resumed(recast, write, call) -> None:
    write("w.yml", workflow(a=step("false")))
    recast("run", "w.yml", "-q", code=1)
    installation = recast.installation()
    record = installation.database.get_run("latest")
    installation.database.create_run(
        run="atest", name="test-x", owner=record.owner, request={**record.request, "asked": {}}
    )
    installation.database.request_stop("atest")
    call("run", "--resume", "atest").refused(6, "recast test")


def test_a_result_is_read_later_if_the_process_died_before(recast, write, call) -> None:
    recast("catalogue", "create", "mine")
    recast("run", "./mine", "--example", "default", "-q")
    database = recast.installation().database
    before = call("results", "latest", "--json").out
    with database.transaction() as transaction:
        transaction.connection.exec_driver_sql("DELETE FROM results")
    assert call("results", "latest", "--json").out == before
    assert database.get_result(database.get_run("latest").id, "declared") is not None


def test_two_processes_show_a_folder_at_once(recast, write) -> None:
    from reana_lite.drive import replayed

    write("w.yml", workflow(a=step("echo a > {out}")))
    recast("run", "w.yml", "-q")
    installation = recast.installation()
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
