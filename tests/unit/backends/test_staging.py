"""The stager beside a real step: the pipes, inputs, outputs and what it tells, against a little storage of this test."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reana_lite.artifact import Manifest
from reana_lite.backends.kubernetes import paths, pod
from reana_lite.staging import web
from reana_lite.staging.__main__ import report
from reana_lite.staging.stager import Stager

LIMIT_S = 20.0


class Shelf(ThreadingHTTPServer):
    """Objects by name; the next `failures` requests for one, `busy` ones to keep one, get 503; `refused` names get 403."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.objects: dict[str, bytes] = {}
        self.order: list[str] = []
        self.failures = 0
        self.busy = 0
        self.refused: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shelf

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        name = self.path[1:].partition("?")[0]
        if self.server.failures > 0:
            self.server.failures -= 1
            self._answer(503)
        elif name in self.server.objects:
            self._answer(200, self.server.objects[name])
        else:
            self._answer(404, b"<Error><Message>no such key</Message></Error>")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.busy > 0:
            self.server.busy -= 1
            self._answer(503)
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        found = {}
        message: Message = BytesParser().parsebytes(head + body)
        for part in message.get_payload():
            name = part.get_param("name", header="content-disposition")  # type: ignore[union-attr]
            found[name] = part.get_payload(decode=True)  # type: ignore[union-attr]
        key = found["key"].decode()  # type: ignore[union-attr]
        if key in self.server.refused:
            self._answer(403, b"<Error><Message>Policy expired</Message></Error>")
            return
        self.server.objects[key] = found["file"]  # type: ignore[assignment, index]
        self.server.order.append(key)
        self._answer(204)


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    server = Shelf()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.time, "sleep", lambda _: None)


class Place:
    """A pod's volume on this machine."""

    def __init__(self, shelf: Shelf, tmp: Path) -> None:
        self.shelf = shelf
        self.inline = False
        self.step = tmp / "step"
        self.own = tmp / "own"
        self.input = tmp / "input"
        for folder in (self.step, self.own, self.input):
            folder.mkdir()
        self.ticket: dict[str, Any] = {
            "version": 1, "key": "k", "attempt": 1, "own": str(self.own), "view": str(tmp / "view"), "inputs": [],
            "texts": {}, "fill": [], "links": {}, "watch": [], "timeout_s": None, "most_files": 100, "most_bytes": 10**6,
            "permit": {"url": shelf.url, "fields": {"key": "out/", "policy": "p"}},
        }  # fmt: skip

    def with_input(self, name: str, content: bytes, *, said: bytes | None = None, executable: int = 0) -> None:
        digest = "sha256:" + hashlib.sha256(content if said is None else said).hexdigest()
        self.shelf.objects[f"in/{name}"] = content
        entry = ["fi", name, len(content), digest, executable, "", f"{self.shelf.url}/in/{name}?sig=1"]
        self.ticket["inputs"].append({"folder": str(self.input), "entries": [entry]})

    def run(self, line: str) -> tuple[dict[str, Any], int]:
        """(the stager's record, the step's exit code)."""
        if not self.inline:
            self.shelf.objects["ticket"] = json.dumps(self.ticket).encode()
        prologue = (
            pod.PROLOGUE.replace(paths.STEP, str(self.step))
            .replace("kill -s TERM -- -1", ":")
            .replace("kill -s 0 -- -1", "false")
        )
        step = subprocess.Popen(["sh", "-c", prologue, "sh", "line", str(self.own), line, "/dev/null"])
        stager = Stager(json.dumps(self.ticket) if self.inline else f"{self.shelf.url}/ticket", step=str(self.step))
        try:
            record = stager.run()
            return record, step.wait(timeout=LIMIT_S)
        finally:
            stager.close()
            step.kill()
            step.wait()


@pytest.fixture
def place(shelf: Shelf, tmp_path: Path) -> Place:
    return Place(shelf, tmp_path)


def test_inputs_are_there_before_the_step_and_outputs_after_it_the_manifest_last(place: Place, shelf: Shelf) -> None:
    place.with_input("run.sh", b"cat input.txt", executable=1)
    place.with_input("input.txt", b"hello")
    record, code = place.run(f"cd {place.input}; test -x run.sh && sh run.sh > {place.own}/out; echo said")
    assert (code, record["state"], record["error"], record["exit_code"]) == (0, "finished", "", 0)
    assert shelf.objects["out/files/out"] == b"hello"
    assert shelf.objects["out/log"] == b"said\n"
    assert shelf.order[-2:] == ["out/stager.json", "out/manifest.json"]
    manifest = Manifest.from_json(shelf.objects["out/manifest.json"])
    assert manifest.digest == record["digest"] == json.loads(shelf.objects["out/stager.json"])["digest"]
    assert set(record["phases"]) == {"stage-in", "step", "stage-out"}


def test_a_small_ticket_comes_without_a_request(place: Place, shelf: Shelf) -> None:
    place.inline = True
    record, code = place.run("printf x > out")
    assert (code, record["state"]) == (0, "finished")
    assert shelf.objects["out/files/out"] == b"x"


@pytest.mark.parametrize(("limit_s", "told"), [(60.0, True), (None, False)])
def test_a_step_with_a_time_limit_tells_when_it_began(
    place: Place, shelf: Shelf, limit_s: float | None, told: bool
) -> None:
    place.ticket["timeout_s"] = limit_s
    record, _ = place.run("sleep 0.8")
    assert record["state"] == "finished"
    assert ("out/begun.json" in shelf.objects) is told
    if told:
        began = time.time() - record["phases"]["step"] - record["phases"]["stage-out"]
        assert json.loads(shelf.objects["out/begun.json"])["go_at"] == pytest.approx(began, abs=0.5)


def test_outputs_of_a_step_that_failed_are_kept(place: Place, shelf: Shelf) -> None:
    record, code = place.run("printf half > part; exit 3")
    assert (code, record["state"], record["cause"], record["exit_code"]) == (3, "failed", "exit", 3)
    assert shelf.objects["out/files/part"] == b"half"
    assert "out/manifest.json" in shelf.objects


def test_a_storage_that_is_busy_is_asked_again(place: Place, shelf: Shelf) -> None:
    place.with_input("input.txt", b"hello")
    shelf.failures = 3
    record, _ = place.run(f"cp {place.input}/input.txt .")
    assert record["state"] == "finished"
    assert shelf.objects["out/files/input.txt"] == b"hello"


def test_a_step_does_not_begin_with_damaged_inputs(place: Place, shelf: Shelf) -> None:
    place.with_input("input.txt", b"hello", said=b"other")
    record, code = place.run("touch ran")
    assert (code, record["cause"]) == (paths.NOT_BEGUN, "lost")
    assert "damaged" in record["error"]
    assert not (place.own / "ran").exists()
    assert shelf.order == []


def test_a_ticket_that_has_run_out_is_told(place: Place) -> None:
    place.ticket["inputs"] = [
        {"folder": str(place.input), "entries": [["fi", "x", 1, "d", 0, "", f"{place.shelf.url}/no"]]}
    ]
    record, code = place.run("true")
    assert code == paths.NOT_BEGUN
    assert "404 no such key" in record["error"]


def test_outputs_that_the_storage_refuses_fail_the_attempt_without_a_manifest(place: Place, shelf: Shelf) -> None:
    shelf.refused.add("out/files/out")
    record, _ = place.run("touch out")
    assert (record["state"], record["cause"]) == ("failed", "lost")
    assert "Policy expired" in record["error"]
    assert "out/manifest.json" not in shelf.objects


def test_links_out_of_the_folder_are_not_followed(place: Place, shelf: Shelf) -> None:
    record, _ = place.run("ln -s /etc/passwd leak; touch good; ln -s good inside")
    assert (record["state"], record["cause"]) == ("failed", "exit")
    assert "leak" in record["message"]
    assert [name for name in shelf.objects if "leak" in name] == []
    assert [a.path for a in Manifest.from_json(shelf.objects["out/manifest.json"]).artifacts] == ["good", "inside"]


def test_more_than_the_installation_keeps_is_refused(place: Place, shelf: Shelf) -> None:
    place.ticket["most_files"] = 3
    record, _ = place.run("touch 1 2 3 4")
    assert (record["state"], record["cause"]) == ("failed", "disk")
    assert "out/manifest.json" not in shelf.objects


def test_changed_inputs_are_told_where_they_may_be_written(place: Place) -> None:
    place.with_input("input.txt", b"hello")
    place.ticket["watch"] = [["/reana-lite/run/up", str(place.input), "sha256:none", "up/1"]]
    record, _ = place.run(f"printf changed > {place.input}/input.txt")
    assert record["changed_inputs"] == ["/reana-lite/run/up"]
    assert "kept_inputs" not in record


def test_what_changed_inputs_hold_is_kept_as_a_place_of_its_own(place: Place, shelf: Shelf) -> None:
    place.with_input("input.txt", b"hello")
    place.ticket["watch"] = [
        ["/reana-lite/run/other", str(place.own), "sha256:none", "other/1"],
        ["/reana-lite/run/up", str(place.input), "sha256:none", "up/3"],
    ]
    place.ticket["watch"][0][1] = str(place.step / "untouched")
    place.ticket["copies"] = {"key": "run-k-1", "url": shelf.url, "fields": {"key": "copies/", "policy": "p"}}
    record, _ = place.run(f"cd {place.input}; printf changed > input.txt; mkdir d; ln -s ../input.txt d/link; exit 3")
    assert record["changed_inputs"] == ["/reana-lite/run/up"]
    manifest = Manifest.from_json(shelf.objects["copies/2/manifest.json"])
    assert record["kept_inputs"] == {"up/3": ["run-k-1", 2, manifest.digest]}
    assert [a.path for a in manifest.artifacts] == ["d/link", "input.txt"]
    assert shelf.objects["copies/2/files/input.txt"] == b"changed"
    assert "out/manifest.json" in shelf.objects


def test_a_copy_that_the_storage_refuses_is_not_told_as_kept(place: Place, shelf: Shelf) -> None:
    place.with_input("input.txt", b"hello")
    place.ticket["watch"] = [["/reana-lite/run/up", str(place.input), "sha256:none", "up/3"]]
    place.ticket["copies"] = {"key": "run-k-1", "url": shelf.url, "fields": {"key": "copies/", "policy": "p"}}
    shelf.refused.add("copies/1/files/input.txt")
    record, _ = place.run(f"printf changed > {place.input}/input.txt")
    assert (record["state"], record["cause"], "kept_inputs" in record) == ("failed", "lost", False)
    assert "out/manifest.json" not in shelf.objects


@pytest.mark.parametrize("what", ["mkfifo $LOG", "ln -s /proc/self/environ $LOG", "echo other > $LOG"])
def test_what_a_step_puts_in_the_place_of_its_log_is_never_opened(place: Place, shelf: Shelf, what: str) -> None:
    record, code = place.run(f"echo said; LOG={place.step}/log; rm $LOG; {what}; touch out")
    assert (code, record["state"]) == (0, "finished")
    assert shelf.objects["out/log"] == b"said\n"


@pytest.mark.parametrize(
    "what", ["mkfifo $CODE", "ln -s /etc/passwd $CODE", "mkdir $CODE", "head -c 9999999 /dev/zero > $CODE"]
)
def test_what_a_step_puts_in_the_place_of_its_code_holds_up_nobody(place: Place, shelf: Shelf, what: str) -> None:
    record, code = place.run(f"CODE={place.step}/code; {what}; exit 4")
    assert code == 4
    assert record["exit_code"] == (None if "mkdir" in what else 4)
    assert record["state"] == "failed"


@pytest.mark.parametrize(("patience_s", "state"), [(10_000.0, "finished"), (30.0, "failed")])
def test_outputs_are_waited_for_as_long_as_the_ticket_says(
    place: Place, shelf: Shelf, patience_s: float, state: str
) -> None:
    place.ticket["patience_s"] = patience_s
    shelf.busy = 20
    record, _ = place.run("touch out")
    assert record["state"] == state
    assert ("out/manifest.json" in shelf.objects) is (state == "finished")


def test_what_the_pods_status_takes_is_short(tmp_path: Path) -> None:
    path = tmp_path / "termination"
    report({"state": "failed", "message": "x" * 9000, "error": "y" * 9000, "changed_inputs": ["z"] * 999}, str(path))
    document = json.loads(path.read_text())
    assert len(path.read_bytes()) < 4096
    assert document["more"] is True


def test_it_starts_quickly_with_light_modules_only() -> None:
    program = "import sys, reana_lite.staging.__main__; print(*sys.modules)"
    done = subprocess.run(["python3", "-c", program], capture_output=True, text=True, check=True)
    heavy = {"yaml", "minio", "kubernetes", "sqlalchemy", "click", "urllib3", "requests"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize(("after_s", "state", "cause"), [(1.2, "failed", "time"), (0.5, "stopped", None)])
def test_outputs_of_a_step_out_of_time_are_kept_as_the_worker_counts_time(
    tmp_path: Path, after_s: float, state: str, cause: str | None
) -> None:
    stager = Stager("{}", step=str(tmp_path))
    try:
        (tmp_path / paths.CODE.rpartition("/")[2]).write_text("143\n")
        stager.ticket = {"timeout_s": 2.0}
        # bringing inputs took a minute, which is not the step's; the worker's clock may be up to a second before the node's
        stager.go_at = stager.begun_at + 60.0
        stager.told_at = stager.go_at + after_s
        stager.ended_at = stager.told_at + 0.1
        record = stager._judged()
        assert (record["state"], record.get("cause")) == (state, cause)
    finally:
        stager.close()
