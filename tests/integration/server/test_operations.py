"""A server as its operator sees it: metrics, turns, followers and their bounds, logs of any size, an end in good order."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from serving import World, make_world, until

from reana_lite.database import shares, tokens, users
from reana_lite.errors import Unavailable
from reana_lite.server import metering
from reana_lite.server.api import following
from reana_lite.server.events import EACH, Fan
from reana_lite.server.guard import JsonLines
from reana_lite.server.turns import READING, Turns


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world(tmp_path / "home")
    yield made
    made.database.close()


def finished(world: World, who: str = "alice") -> str:
    made = world.client(who).post("/api/v1/runs", json={"analysis": "tiny"})
    assert made.status_code == 201, made.text
    world.drive()
    return str(made.json["id"])


# -- metrics -----------------------------------------------------------------------------------------------------------


def value(text: str, line: str) -> float:
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def test_requests_are_counted_by_the_address_as_declared(world: World) -> None:
    client, line = (
        world.client("alice"),
        'recast_request_seconds_count{endpoint="/api/v1/runs/<run>",method="GET",status="404"}',
    )
    before = value(metering.text_of(world.database), line)
    for name in ("mine", "of-somebody"):
        assert client.get(f"/api/v1/runs/{name}").status_code == 404
    text = metering.text_of(world.database)
    assert value(text, line) == before + 2
    assert "of-somebody" not in text
    assert value(text, "recast_requests_in_flight") == 0
    assert client.get("/metrics").status_code == 404  # never at the address that users reach


def test_how_the_installation_stands(world: World) -> None:
    world.client("alice").post("/api/v1/runs", json={"analysis": "tiny"})
    families = {family.name: family for family in metering.Standing(world.database).collect()}
    assert {sample.labels["state"]: sample.value for sample in families["recast_runs"].samples}["queued"] == 1
    assert families["recast_queue_wait_seconds"].samples[0].value >= 0
    assert families["recast_database_up"].samples[0].value == 1


# -- turns -------------------------------------------------------------------------------------------------------------


def test_a_turn_is_given_back_whatever_happens_and_nobody_waits_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reana_lite.server.turns.TURN_S", 0.05)
    client = world.client("alice")
    for _ in range(READING + 2):
        assert client.get("/api/v1/runs/nothing").status_code == 404
        assert client.get("/api/v1/none").status_code == 404
    turns: Turns = world.app.extensions["recast-turns"]
    for _ in range(READING):
        assert turns._reading.acquire(blocking=False)
    assert client.get("/api/v1/version").status_code == 200
    assert not turns._reading.acquire(blocking=False)  # who went on without a turn has given none back


# -- followers ---------------------------------------------------------------------------------------------------------


def test_places_are_bounded_for_all_and_for_each(world: World) -> None:
    fan = Fan(world.database, world.storage, most=8)
    places = [fan.place("alice") for _ in range(8 // EACH)]
    for place in places:
        place.__enter__()
    with pytest.raises(Unavailable, match="too many"), fan.place("alice"):
        pass
    with fan.place("bob"):
        pass
    places[0].__exit__(None, None, None)
    with fan.place("alice"):
        pass
    fan.end()
    with pytest.raises(Unavailable, match="about to end"), fan.place("carol"):
        pass


@pytest.mark.parametrize("change", ["unshared", "revoked", "disabled"])
def test_a_stream_ends_when_its_follower_may_see_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr("reana_lite.server.events.BEAT_S", 0.05)
    monkeypatch.setattr("reana_lite.server.api.following.RIGHTS_S", 0.1)
    run = world.client("alice").post("/api/v1/runs", json={"analysis": "tiny"}).json["id"]
    shares.add(world.database, "run", run, "bob")
    stream = world.client("bob").get(f"/api/v1/runs/{run}/events", buffered=False)
    assert stream.status_code == 200
    parts = stream.iter_encoded()
    assert next(parts).startswith(b"event: run")
    began = time.monotonic()
    for _ in range(10):
        assert next(parts)
    assert time.monotonic() - began > 0.1  # it was asked, and it went on
    if change == "unshared":
        shares.remove(world.database, "run", run, "bob")
    elif change == "revoked":
        tokens.revoke_all(world.database, "bob", kind="token")
    else:
        users.change(world.database, replace(users.get(world.database, "bob"), disabled=True))
    assert len(list(islice(parts, 20))) < 20  # it ends
    stream.close()
    assert following.followers(world.app) == 0


# -- logs --------------------------------------------------------------------------------------------------------------


def test_a_log_of_a_gigabyte_is_read_in_bounded_memory(world: World) -> None:
    run = finished(world)
    row = next(row for row in world.database.nodes_of(run) if row.node == "/count/0")
    path = world.storage.place(row.key, row.attempt) / "log"
    size = 10**9
    with path.open("ab") as stream:
        stream.truncate(size - 5)  # a hole: it takes no place on the disk
        stream.seek(0, os.SEEK_END)
        stream.write(b"\nend\n")
    client = world.client("alice")
    tracemalloc.start()
    try:
        tail = client.get(f"/api/v1/runs/{run}/log?node=/count/0&tail=1")
        assert tail.data == b"end\n"
        piece = client.get(f"/api/v1/runs/{run}/log?node=/count/0&offset={size - 4}&wait_s=1")
        assert (piece.data, piece.headers["X-Log-Over"], piece.headers["X-Log-Offset"]) == (b"end\n", "true", str(size))
        first = client.get(f"/api/v1/runs/{run}/log?node=/count/0&offset=0")
        assert first.headers["X-Log-Over"] == "false"
        assert int(first.headers["X-Log-Offset"]) == len(first.data) < 10_000_000
        for path_ in (f"/api/v1/runs/{run}/log?node=/count/0", f"/api/v1/runs/{run}/log"):
            stream_ = client.get(path_, buffered=False)
            parts = stream_.iter_encoded()
            assert sum(len(next(parts)) for _ in range(40)) > 5_000_000
            stream_.close()
        assert client.get(f"/api/workflows/{run}/logs").status_code == 200
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


# -- a real server -----------------------------------------------------------------------------------------------------


STEPS = [{"name": "a", "environment": "", "commands": ["true"]}]


class Serving:
    """`recast serve` in a process of its own."""

    def __init__(self, world: World, *options: str, **environment: str) -> None:
        home = world.settings.home
        self.log = home / "serve.log"
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("RECAST_", "PROMETHEUS"))}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reana_lite", "serve", "--port", "0", "--no-worker", "--metrics", "0", *options],
                env={**kept, "RECAST_HOME": str(home), "RECAST_CATALOGUE": str(home / "catalogue"), "RECAST_USER": "laptop",
                     "RECAST_ALLOW_UPLOADED_PROCESSES": "1", **environment},
                stdout=log, stderr=log,
            )  # fmt: skip
        self.port = int(self.told(r"serves http://127\.0\.0\.1:(\d+)"))

    def told(self, pattern: str) -> str:
        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.log.read_text()
            return re.search(pattern, self.log.read_text())

        return str(until(found)[1])

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def serving(world: World) -> Iterator[Serving]:
    made = Serving(world, RECAST_LOG="json")
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.wait(30)


def test_term_lets_followers_hear_all_and_finishes_an_upload(world: World, serving: Serving) -> None:
    token = {"Authorization": f"Bearer {world.tokens['alice']}"}
    spec = {
        "workflow": {
            "type": "serial",
            "specification": {"steps": [{"name": "a", "environment": "", "commands": ["true"]}]},
        }
    }
    asked = urllib.request.Request(
        f"http://127.0.0.1:{serving.port}/api/workflows?workflow_name=w", data=json.dumps(spec).encode(),
        headers={**token, "Content-Type": "application/json"}, method="POST",
    )  # fmt: skip
    with urllib.request.urlopen(asked, timeout=30) as answer:
        run = json.load(answer)["workflow_id"]
    follower = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
    follower.request("GET", f"/api/v1/runs/{run}/events", headers=token)
    heard = follower.getresponse()
    assert heard.status == 200
    assert heard.readline() == b"event: run\n"
    size = 300_000
    upload = socket.create_connection(("127.0.0.1", serving.port), timeout=30)
    upload.sendall((f"POST /api/workflows/{run}/workspace?file_name=large HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    f"Content-Length: {size}\r\nAuthorization: {token['Authorization']}\r\n\r\n").encode())  # fmt: skip
    upload.sendall(b"x" * 100_000)

    url = serving.told(r"metrics: (http://\S+)")

    def metrics() -> str:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())

    until(lambda: value(metrics(), "recast_requests_in_flight") >= 1 and value(metrics(), "recast_followers") == 1)
    text = metrics()
    assert value(text, 'recast_runs{state="created"}') == 1
    assert value(text, 'recast_request_seconds_count{endpoint="/api/workflows",method="POST",status="201"}') == 1

    world.database.request_stop(run, by="alice")  # is to be heard, also by whoever hears it last
    time_of_end: list[float] = []
    thread = threading.Thread(target=lambda: (serving.end(), time_of_end.append(time.monotonic())))
    thread.start()
    rest = heard.read().decode()  # the stream ends by itself, long before requests under way are cut
    assert not time_of_end
    assert '"state":"stopped"' in rest
    assert rest.endswith("\n\n")
    upload.sendall(b"x" * (size - 100_000))
    answered = upload.recv(65536).decode()
    assert answered.startswith("HTTP/1.1 200"), answered
    upload.close()
    follower.close()
    thread.join(60)
    assert serving.process.returncode == 0
    listed = world.client("alice").get(f"/api/workflows/{run}/workspace").json["items"]
    assert [(item["name"], item["size"]["raw"]) for item in listed] == [("large", size)]
    lines = [json.loads(line) for line in serving.log.read_text().splitlines() if line.startswith("{")]
    about = [line for line in lines if line.get("path", "").endswith("/events")]
    assert about
    assert (about[0]["run"], about[0]["user"], about[0]["status"]) == (run, "alice", 200)
    assert world.tokens["alice"] not in serving.log.read_text()


def test_a_line_of_a_log_names_request_run_and_user(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "reana_lite.server.access"):
        world.client("alice").put("/api/v1/runs/somerun/shares/bob", headers={"X-Request-ID": "abcdefgh-1"})
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert (line["request"], line["run"], line["user"], line["status"]) == ("abcdefgh-1", "somerun", "alice", 404)
