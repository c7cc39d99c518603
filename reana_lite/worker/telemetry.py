"""What a worker tells operators: counters, log lines as JSON, and health over HTTP.

Counters are plain numbers that one thread writes; nothing here decides anything. prometheus_client is not needed: its text
format is a line per number.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from reana_lite.job import JobOutcome, JobState

BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Upper bounds of the buckets of turn latency (seconds, without the waiting)."""

_RUN = re.compile(r"^(?P<run>[a-z][a-z0-9]{7})(?P<node>/[^\s:]*)?: ")


@dataclass(slots=True)
class Counters:
    """Numbers since the worker began; `queued`, `running`, `runs` are of the last look."""

    launched: int = 0
    retried: int = 0
    queued: int = 0
    running: int = 0
    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    turns_s: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_S))

    def ended(self, ended: Iterable[tuple[str, int, JobOutcome]]) -> None:
        """Attempts ended so: finished, stopped, or failed by cause."""
        for _, _, outcome in ended:
            self.ends[str(outcome.cause if outcome.state is JobState.FAILED else outcome.state)] += 1

    def turn_s(self, seconds: float) -> None:
        """A turn took so long (seconds)."""
        self.turns += 1
        self.turns_s += seconds
        for number, bound in enumerate(BUCKETS_S):
            self.buckets[number] += seconds <= bound

    def text(self) -> str:
        """All of them in the text format of Prometheus."""
        lines = []
        for name, kind, value in (
            ("jobs_queued", "gauge", self.queued), ("jobs_running", "gauge", self.running), ("runs", "gauge", self.runs),
            ("jobs_launched_total", "counter", self.launched), ("jobs_retried_total", "counter", self.retried),
        ):  # fmt: skip
            lines += [f"# TYPE recast_worker_{name} {kind}", f"recast_worker_{name} {value}"]
        lines.append("# TYPE recast_worker_jobs_ended_total counter")
        lines += [f'recast_worker_jobs_ended_total{{how="{how}"}} {count}' for how, count in sorted(self.ends.items())]
        lines.append("# TYPE recast_worker_turn_seconds histogram")
        lines += [
            f'recast_worker_turn_seconds_bucket{{le="{bound}"}} {count}'
            for bound, count in zip(BUCKETS_S, self.buckets, strict=True)
        ]
        lines.append(f'recast_worker_turn_seconds_bucket{{le="+Inf"}} {self.turns}')
        lines += [
            f"recast_worker_turn_seconds_sum {self.turns_s:.6f}",
            f"recast_worker_turn_seconds_count {self.turns}",
        ]
        return "\n".join(lines) + "\n"


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; the run and the node it is about, if its message begins with them."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        message = record.getMessage()
        line: dict[str, object] = {
            "at": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name, "message": message
        }  # fmt: skip
        if (about := _RUN.match(message)) is not None:
            line |= {name: value for name, value in about.groupdict().items() if value}
        line |= {name: value for name in ("run", "node", "job", "worker") if (value := getattr(record, name, None))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Health:
    """/healthz (the loop turns), /readyz (it has database and backend), /metrics; on a port of its own."""

    def __init__(self, port: int, *, counters: Callable[[], str], stuck_after_s: float = 120.0, host: str = "") -> None:
        self.turned_at = time.monotonic()
        self.trouble = "it has only just begun"
        health = self

        class Page(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                code, text = health.answer(self.path, counters, stuck_after_s)
                body = text.encode()
                self.send_response(code)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, port), Page)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def turned(self, trouble: str = "") -> None:
        """The loop is alive; `trouble` says what it cannot reach ("": nothing)."""
        self.turned_at, self.trouble = time.monotonic(), trouble

    def answer(self, path: str, counters: Callable[[], str], stuck_after_s: float) -> tuple[int, str]:
        """Status and text for a path."""
        if path == "/metrics":
            return 200, counters()
        silent_s = time.monotonic() - self.turned_at
        if path == "/healthz":
            return (
                (200, "ok\n") if silent_s < stuck_after_s else (503, f"the loop has not turned for {silent_s:.0f} s\n")
            )
        if path == "/readyz":
            return (503, self.trouble + "\n") if self.trouble else (200, "ok\n")
        return 404, "known: /healthz, /readyz, /metrics\n"

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
