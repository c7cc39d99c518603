"""From a submission to the start of its first process: milliseconds, and what an idle server takes of a core.

    python benchmarks/bench_start.py [--runs N] [--idle SECONDS] [--database URL]

`recast serve` as a user starts it (an empty folder, a worker beside it, processes of this machine). Each run is submitted
by the HTTP API over a connection that is kept, when the one before is over; its first step is a shell that notes the time
as its first act. Beside it: what the request takes, and what starting such a shell takes without us.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANALYSIS = """
reana_lite: 1
name: note
title: Notes the time
description: One step of the shell.
workflow: workflow.yml
parameters:
  properties:
    n: {type: integer, minimum: 0, default: 0, description: Which run.}
results:
- {name: said, kind: file, stage: note, output: out, media_type: text/plain}
"""

WORKFLOW = """
stages:
- name: note
  dependencies: [init]
  scheduler:
    scheduler_type: singlestep-stage
    parameters: {n: {step: init, output: n}, out: '{workdir}/out.txt'}
    step:
      process: {process_type: string-interpolated-cmd, cmd: 'date +%s.%N > NOTES/{n}; echo {n} > {out}'}
      environment: {environment_type: localproc-env}
      publisher: {publisher_type: frompar-pub, outputmap: {out: out}}
"""

LIMIT_S = 60.0


class Server:
    """`recast serve` in a folder of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        self.notes = folder / "notes"
        analysis = folder / "catalogue" / "note"
        for one in (self.notes, analysis):
            one.mkdir(parents=True)
        (analysis / "analysis.yml").write_text(ANALYSIS)
        (analysis / "workflow.yml").write_text(WORKFLOW.replace("NOTES", str(self.notes)))
        self.home = folder / "home"
        environment = {
            **os.environ, "RECAST_HOME": str(self.home), "RECAST_CATALOGUE": str(folder / "catalogue"),
            "RECAST_BACKEND": "local", **({"RECAST_DATABASE": database} if database else {}),
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reana_lite", "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if b"the token is in" in line:
                break
        else:
            raise SystemExit("recast serve has ended")
        access = json.loads((self.home / "server.json").read_text())
        self.token = access["token"]
        self.connection = http.client.HTTPConnection(access["url"].removeprefix("http://"), timeout=LIMIT_S)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request of the API."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        self.connection.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {text.decode()}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def processes(self) -> list[int]:
        """Ids of the server's processes."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu_s(self) -> float:
        """CPU seconds of all of them so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(database: str) -> Iterator[Server]:
    """A server, ended at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-start-", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder), database)
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)


def noted(path: Path) -> float:
    """When the step began (UTC seconds), waited for."""
    until = time.monotonic() + LIMIT_S
    while not (path.exists() and (text := path.read_text()).endswith("\n")):
        if time.monotonic() > until:
            raise SystemExit("the step does not begin")
        time.sleep(0.001)
    return float(text)


def bare(folder: Path) -> float:
    """Milliseconds to start such a shell without us."""
    asked_at = time.time()
    subprocess.run(["sh", "-c", f"date +%s.%N > {folder}/bare"], check=True)
    return (float((folder / "bare").read_text()) - asked_at) * 1000


def row(name: str, values: list[float]) -> str:
    """One line of the table."""
    ordered = sorted(values)
    last = ordered[max(0, round(len(ordered) * 0.95) - 1)]
    return f"{name:34} median {statistics.median(values):7.1f} ms, 95 % {last:7.1f}, worst {ordered[-1]:7.1f}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--idle", type=float, default=10.0)
    parser.add_argument("--database", default="")
    options = parser.parse_args()
    starts, answers, shells = [], [], []
    with serving(options.database) as server:
        for number in range(options.runs + 3):
            asked_at = time.time()
            run = server.ask("POST", "/runs", {"analysis": "note", "parameters": {"n": number}})
            answered_at = time.time()
            began_at = noted(server.notes / str(number))
            if number >= 3:  # the first ones load what is loaded once
                starts.append((began_at - asked_at) * 1000)
                answers.append((answered_at - asked_at) * 1000)
                shells.append(bare(server.notes))
            until = time.monotonic() + LIMIT_S
            while server.ask("GET", f"/runs/{run['id']}")["state"] != "finished":
                if time.monotonic() > until:
                    raise SystemExit("the run does not end")
                time.sleep(0.02)
        print(row("submission to start of process", starts))
        print(row("submission to answer", answers))
        print(row("the same shell without us", shells))
        if options.idle:
            time.sleep(1.0)
            before, at = server.cpu_s(), time.monotonic()
            time.sleep(options.idle)
            spent = server.cpu_s() - before
            print(f"idle server with its worker: {100 * spent / (time.monotonic() - at):.2f} % of a core")


if __name__ == "__main__":
    main()
