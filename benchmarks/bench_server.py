"""The server as users get it, under load: requests, followers of events, submissions at once, large files.

    python benchmarks/bench_server.py requests [--runs 100000] [--database URL] [--rate 200] [--seconds 20] [--workers N]
    python benchmarks/bench_server.py followers [--followers 1000]
    python benchmarks/bench_server.py submissions [--count 500]
    python benchmarks/bench_server.py files

A real `recast serve` (without a worker, so that only the server is measured), and the generator of the load in a process of its own,
both on this machine. `--keep FOLDER` keeps the filled database for the next time.
"""

# ruff: noqa: E501 - rows and requests as they are
from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from server_filling import Filled, fill

import reana_lite
from reana_lite.database import Database

HERE = Path(__file__).parent
THEORY = b"m_gluino: {value: 2000, unit: GeV}\nm_lsp: {value: 0, unit: GeV}\nxsec_pb: 0.00101\n"
MIX = {"list": 0.25, "status": 0.45, "result": 0.2, "submit": 0.1}
"""What the requests of the load are, as parts of all."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs: where, what is in it, its processes."""

    port: int
    home: Path
    filled: Filled
    pids: tuple[int, ...]

    def cpu_s(self) -> float:
        """CPU seconds that its processes have used."""
        ticks = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Memory of its processes, shared pages counted in parts (megabytes)."""
        total = 0
        for pid in self.pids:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.findall(r"^Pss:\s+(\d+)", text, re.M)[0])
        return total / 1000


def say(line: str, file: Any = sys.stdout) -> None:
    """Tell a line."""
    print(line, file=file, flush=True)


def environment(home: Path, database: str) -> dict[str, str]:
    """What the server is told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAST_")}
    return {
        **kept,
        "RECAST_HOME": str(home),
        "RECAST_CATALOGUE": str(home / "catalogue"),
        "RECAST_DATABASE": database,
        "RECAST_USER": "benchmark",
        "PYTHONUNBUFFERED": "1",
    }


def prepare(home: Path, database: str, runs: int) -> Filled:
    """A filled installation; the one that is there, if there is one."""
    note = home / "filled.json"
    if note.exists():
        return Filled(**json.loads(note.read_text()))
    shutil.copytree(Path(reana_lite.__file__).parent / "template", home / "catalogue" / "counting")
    path = home / "catalogue" / "counting" / "analysis.yml"
    path.write_text(path.read_text().replace("name: NAME", "name: counting"))
    begun = time.perf_counter()
    filled = fill(Database(database), runs)
    note.write_text(json.dumps(asdict(filled)))
    say(f"filled {runs} runs in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return filled


@contextlib.contextmanager
def served(home: Path, database: str, runs: int, *options: str, **more: str) -> Iterator[Served]:
    """`recast serve` over it."""
    filled = prepare(home, database, runs)
    with (home / "serve.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "reana_lite", "serve", "--port", "0", "--no-worker", *options],
            env=environment(home, database) | more,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + 60
        while not (found := re.search(r"recast serves http://127.0.0.1:(\d+)", (home / "serve.log").read_text())):
            assert process.poll() is None, (home / "serve.log").read_text()[-2000:]
            assert time.monotonic() < until
            time.sleep(0.05)
        port = int(found[1])
        get(port, "/readyz", "")
        yield Served(port, home, filled, tuple(family(process.pid)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def get(port: int, path: str, token: str, *, method: str = "GET", body: bytes = b"", kind: str = "") -> bytes:
    """One request on a connection of its own; the body of the answer."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"Content-Type": kind} if kind else {})
    connection.request(method, path, body=body or None, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status < 400, (answer.status, content[:300])
    return content


def text_of(method: str, path: str, token: str, document: Any = None) -> str:
    """A request as it goes over the wire."""
    body = "" if document is None else json.dumps(document)
    kind = "" if document is None else "Content-Type: application/json\r\n"
    kind += f"Authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"


def upload_theory(server: Served, token: str) -> str:
    """The digest of a theory file that is there now."""
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="t.yml"\r\n\r\n' + THEORY + b"\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    made = get(server.port, "/api/v1/theories", token, method="POST", body=form, kind=kind)
    return str(json.loads(made)["items"][0]["digest"])


def generate(plan: dict[str, Any]) -> dict[str, Any]:
    """Let the generator send a plan."""
    done = subprocess.run(
        [sys.executable, str(HERE / "server_load.py")],
        input=json.dumps(plan) + "\n",
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def requests(server: Served, *, rate: float, seconds: float) -> None:
    """An open loop of the mix; times by kind."""
    draw, filled = random.Random(3), server.filled
    token = filled.tokens["user00"]
    theory = upload_theory(server, token)
    finished = filled.runs["finished"]

    def one(kind: str, number: int) -> str:
        owner = draw.choice(list(filled.tokens.values()))
        if kind == "list":
            query = draw.choice(
                [
                    "",
                    "?limit=20",
                    "?state=failed",
                    "?state=queued&limit=20",
                    f"?theory=gg_{number % 700}",
                    f"?campaign={draw.choice(filled.campaigns)}",
                ]
            )
            return text_of("GET", f"/api/v1/runs{query}", token if "campaign" in query else owner)
        if kind == "submit":
            asked = {"analysis": "counting", "theories": [theory], "parameters": {"n_events": 100 + number}}
            return text_of("POST", "/api/v1/runs", token, asked)
        return text_of("GET", f"/api/v1/runs/{draw.choice(finished)}" + ("/result" if kind == "result" else ""), token)

    kinds = draw.choices(list(MIX), list(MIX.values()), k=int(rate * seconds))
    plan = [[kind, number / rate, one(kind, number), False] for number, kind in enumerate(kinds)]
    warm = [[kind, number / 50, one(kind, 10**6 + number), False] for number, kind in enumerate(kinds[:100])]
    generate({"host": "127.0.0.1", "port": server.port, "requests": warm})
    used = server.cpu_s()
    found = generate({"host": "127.0.0.1", "port": server.port, "requests": plan})
    used = server.cpu_s() - used
    say(
        f"{len(plan)} requests in {found['took_s']:.1f} s over {found['connections']} connections; CPU: server {used:.1f} s, "
        f"generator {found['cpu_s']:.1f} s; memory {server.rss_mb():.0f} MB; load {os.getloadavg()[0]:.1f}; "
        f"the generator was late by {1000 * found['late_s']:.0f} ms at most"
    )
    for kind in (*MIX, "all"):
        times = sorted(took for name, took, _ in found["seen"] if kind in (name, "all"))
        bad = [status for name, _, status in found["seen"] if kind in (name, "all") and not 200 <= status < 400]
        show(kind, times, bad)


def show(kind: str, times: list[float], bad: list[int]) -> None:
    """A row of the table."""
    at = [1000 * times[min(len(times) - 1, int(part * len(times)))] for part in (0.5, 0.95, 0.99, 1.0)]
    cells = " | ".join(f"{ms:.1f}" for ms in at)
    say(f"| {kind} | {len(times)} | {cells} | {f'{len(bad)} refused: {sorted(set(bad))}' if bad else ''} |")


def followers(server: Served, *, count: int, rate: float, seconds: float) -> None:
    """Many who follow events of runs, each of them one that may change at any time, while others ask."""
    filled, tokens = server.filled, list(server.filled.tokens.values())
    idle_mb, idle_cpu = server.rss_mb(), server.cpu_s()
    users = list(filled.tokens)
    streams = [
        text_of("GET", "/api/v1/events", filled.tokens[users[number % len(users)]]) for number in range(count // 2)
    ]
    queued = filled.runs["queued"]
    streams += [
        text_of("GET", f"/api/v1/runs/{queued[number % len(queued)]}/events", tokens[0]) for number in range(count // 4)
    ]
    streams += [
        text_of("GET", f"/api/v1/campaigns/{filled.campaigns[number % len(filled.campaigns)]}/events", tokens[0])
        for number in range(count // 8)
    ]
    streams += [
        text_of("GET", "/api/v1/events", tokens[number % len(tokens)]) for number in range(count - len(streams))
    ]
    generator = subprocess.Popen(
        [sys.executable, str(HERE / "server_load.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert generator.stdin is not None
    assert generator.stdout is not None
    generator.stdin.write(json.dumps({"host": "127.0.0.1", "port": server.port, "followers": streams}) + "\n")
    generator.stdin.flush()
    assert generator.stdout.readline() == "following\n"
    began, used = time.perf_counter(), server.cpu_s()
    time.sleep(5)
    quiet = (server.cpu_s() - used) / (time.perf_counter() - began)
    say(
        f"{count} followers: memory {server.rss_mb():.0f} MB ({idle_mb:.0f} without), CPU while nothing happens {100 * quiet:.0f} % of a "
        f"core, {used - idle_cpu:.1f} s to take them in"
    )
    requests(server, rate=rate, seconds=seconds)
    at = time.time()
    get(server.port, f"/api/v1/runs/{queued[-1]}/stop", tokens[0], method="POST")
    time.sleep(3)
    rest, _ = generator.communicate("end\n", timeout=60)
    found = json.loads(rest)
    last = [moment - at for moment in found["heard"] if moment > at]
    say(
        f"events heard: {len(found['heard'])}; refused: {found['refused']}; of one stop {len(last)} of its owner's followers heard, "
        f"the first after {1000 * min(last, default=0):.0f} ms, the last after {1000 * max(last, default=0):.0f} ms"
    )


def submissions(server: Served, *, count: int) -> None:
    """That many workflows created, filled with a file and started at once, as reana-client does it; all are looked for."""
    tokens = server.filled.tokens
    users = list(tokens)[:10]
    for step in ("create", "upload", "start"):
        sent = []
        for number in range(count):
            user = users[number % len(users)]
            name, query = f"at-once-{number}", f"access_token={tokens[user]}"
            if step == "create":
                sent.append(text_of("POST", f"/api/workflows?workflow_name={name}&{query}", "", SERIAL))
            elif step == "upload":
                sent.append(text_of("POST", f"/api/workflows/{name}/workspace?file_name=in.txt&{query}", "", number))
            else:
                sent.append(text_of("POST", f"/api/workflows/{name}/start?{query}", "", {}))
        plan = [[step, number * 0.0005, text, True] for number, text in enumerate(sent)]
        used = server.cpu_s()
        found = generate({"host": "127.0.0.1", "port": server.port, "requests": plan})
        times = sorted(took for _, took, _ in found["seen"])
        bad = [status for _, _, status in found["seen"] if not 200 <= status < 300]
        show(step, times, bad)
        say(
            f"  {found['took_s']:.1f} s in all, {count / found['took_s']:.0f} a second, CPU of the server {server.cpu_s() - used:.1f} s; "
            f"{next((body[:200] for body in found['bodies'] if 'error' in body.lower()), '')}"
        )
    names: list[str] = []
    for user in users:
        listed = json.loads(
            get(
                server.port,
                f"/api/workflows?size=1000&search=%7B%22name%22%3A%5B%22at-once%22%5D%7D&access_token={tokens[user]}",
                "",
            )
        )
        names += [item["name"] for item in listed["items"] if item["status"] == "queued"]
    wanted = {f"at-once-{number}.1" for number in range(count)}
    say(
        f"queued: {len(names)}, of {len(wanted)} wanted {len(wanted & set(names))} are there, {len(names) - len(set(names))} twice"
    )


SERIAL = {
    "workflow": {
        "type": "serial",
        "specification": {
            "steps": [{"name": "one", "environment": "docker.io/library/busybox", "commands": ["cat in.txt > out.txt"]}]
        },
    },
    "inputs": {"files": ["in.txt"]},
    "outputs": {"files": ["out.txt"]},
}


def files(server: Served) -> None:
    """A large file and many small ones through the API, against the bare disk (or bucket)."""
    import http.client
    import zipfile

    token, size, many = server.filled.tokens["user00"], 200_000_000, 1000
    block = os.urandom(1 << 20)
    large = (block * (size // len(block) + 1))[:size]
    made = get(
        server.port,
        f"/api/workflows?workflow_name=files&access_token={token}",
        "",
        method="POST",
        body=json.dumps(SERIAL).encode(),
        kind="application/json",
    )
    run = json.loads(made)["workflow_id"]
    where = f"/api/workflows/{run}/workspace"

    def timed(what: str, raw: float, act: Any, count: float) -> None:
        used, begun = server.cpu_s(), time.perf_counter()
        act()
        took = time.perf_counter() - begun
        say(f"| {what} | {took:.2f} | {count / took:.0f} | {raw:.2f} | {server.cpu_s() - used:.2f} |")

    def raw_write(parts: list[bytes]) -> float:
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=server.home) as folder:
            for number, part in enumerate(parts):
                (Path(folder) / str(number)).write_bytes(part)
            return time.perf_counter() - begun

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def ask(method: str, path: str, body: bytes | None = None) -> bytes:
        connection.request(method, path, body=body, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 400, content[:300]
        return content

    small = [f"{number} ".encode() * 800 for number in range(many)]
    say("| what | seconds | MB or files a second | bare writing or reading, seconds | CPU of the server, seconds |")
    timed("upload 200 MB", raw_write([large]), lambda: ask("POST", f"{where}?file_name=large", large), size / 1e6)
    timed(
        "upload 1000 files of 4 kB, one after the other",
        raw_write(small),
        lambda: [ask("POST", f"{where}?file_name=s/{number}", part) for number, part in enumerate(small)],
        many,
    )
    begun = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=server.home) as stored:
        stored.write(large)
        begun = time.perf_counter()
        Path(stored.name).read_bytes()
        bare = time.perf_counter() - begun
    timed(
        "download 200 MB",
        bare,
        lambda: None if ask("GET", f"{where}/large") == large else sys.exit("it is another file"),
        size / 1e6,
    )

    def fetch_all() -> None:
        content = ask("GET", f"{where}/s")
        with tempfile.TemporaryFile() as archive:
            archive.write(content)
            with zipfile.ZipFile(archive) as opened:
                assert len(opened.namelist()) == many
                assert opened.read("s/7") == small[7]

    timed("download 1000 files as an archive", 0.0, fetch_all, many)
    say(f"memory of the server {server.rss_mb():.0f} MB; load {os.getloadavg()[0]:.1f}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["requests", "followers", "submissions", "files"])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--database", default="")
    parser.add_argument("--keep", default="")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", default="")
    parser.add_argument("--followers", type=int, default=1000)
    parser.add_argument("--count", type=int, default=500)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recast-bench-") as scratch:
        home = Path(asked.keep or scratch)
        home.mkdir(parents=True, exist_ok=True)
        database = asked.database or f"sqlite:///{home}/records.db"
        options = ["--workers", asked.workers] if asked.workers else []
        runs = asked.runs if asked.what in ("requests", "followers") else min(asked.runs, 2000)
        with served(home, database, runs, *options, RECAST_BACKEND="container") as server:
            if asked.what == "requests":
                requests(server, rate=asked.rate, seconds=asked.seconds)
            elif asked.what == "followers":
                followers(server, count=asked.followers, rate=asked.rate / 4, seconds=asked.seconds)
            elif asked.what == "submissions":
                submissions(server, count=asked.count)
            else:
                files(server)


if __name__ == "__main__":
    main()
