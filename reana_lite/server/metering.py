"""What a server tells Prometheus: requests by endpoint, followers, and how the installation stands.

Each process counts for itself, in files of a folder that all of them share (the variable PROMETHEUS_MULTIPROC_DIR, set before
prometheus_client is imported); one listener, at a port of its own that is nobody's but the operator's, adds them up. Labels
are addresses as they are declared, never as they are asked: names of users and runs are not told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from reana_lite.database import Database, listing
from reana_lite.errors import ReanaLiteError

BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds of the buckets of durations (seconds), until an answer begins to be sent."""

QUEUE_S = 5.0
"""How old the counts of runs may be (seconds), however often somebody asks."""

_registry = CollectorRegistry()
_took = Histogram(
    "recast_request_seconds", "Seconds until an answer began to be sent.", ["method", "endpoint", "status"],
    buckets=BUCKETS_S, registry=_registry,
)  # fmt: skip
_in_flight = Gauge(
    "recast_requests_in_flight", "Requests that are being answered.", registry=_registry, multiprocess_mode="livesum"
)
_followers = Gauge("recast_followers", "Followers of events.", registry=_registry, multiprocess_mode="livesum")
_sent = Counter("recast_errors_total", "Errors of the server itself, by endpoint.", ["endpoint"], registry=_registry)


def install(app: Flask, followers: Callable[[Flask], int]) -> None:
    """Count the requests of an application."""

    def before() -> None:
        g.metered_at = time.perf_counter()
        _in_flight.inc()

    def after(response: Response) -> Response:
        endpoint = request.url_rule.rule if request.url_rule is not None else "none"
        took_s = time.perf_counter() - g.get("metered_at", time.perf_counter())
        _took.labels(request.method, endpoint, str(response.status_code)).observe(took_s)
        if response.status_code >= 500:
            _sent.labels(endpoint).inc()
        if "events" in endpoint:
            _followers.set(followers(app))
            response.call_on_close(lambda: _followers.set(followers(app)))
        return response

    def gone(error: BaseException | None) -> None:
        if g.pop("metered_at", None) is not None:
            _in_flight.dec()

    app.before_request(before)
    app.after_request(after)
    app.teardown_request(gone)


class Standing(Collector):
    """How the installation stands, looked up when somebody asks and it is not known from just before."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._found: tuple[float, dict[str, int], float, int] | None = None

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Runs by state, how long the first one in the queue has waited, workers; nothing if the database does not answer."""
        runs = GaugeMetricFamily("recast_runs", "Runs by state.", labels=["state"])
        waits = GaugeMetricFamily("recast_queue_wait_seconds", "How long the run that has waited longest has waited.")
        workers = GaugeMetricFamily("recast_workers", "Workers that are alive.")
        answers = GaugeMetricFamily("recast_database_up", "Whether the database answers.")
        try:
            counts, longest_s, alive = self._standing()
        except ReanaLiteError:
            answers.add_metric([], 0)
            return [answers]
        for state, count in counts.items():
            runs.add_metric([state], count)
        waits.add_metric([], longest_s)
        workers.add_metric([], alive)
        answers.add_metric([], 1)
        return [runs, waits, workers, answers]

    def _standing(self) -> tuple[dict[str, int], float, int]:
        with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > QUEUE_S:
                counts, longest_s = listing.standing(self.database)
                self._found = time.monotonic(), counts, longest_s, len(listing.workers(self.database))
                self.database.close()  # processes are forked from this one: they shall inherit no connection
            return self._found[1:]


def registry_of(database: Database, *, folder: str = "") -> CollectorRegistry:
    """All there is to tell: of all processes that count in a folder, or of this process."""
    registry = CollectorRegistry() if folder else _registry
    if folder:
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
        registry.register(Standing(database))
    return registry


def text_of(database: Database, *, folder: str = "") -> str:
    """The same as the text that Prometheus reads."""
    return generate_latest(registry_of(database, folder=folder)).decode()


class _Quiet(WSGIRequestHandler):
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Not worth a line."""


def listen(database: Database, *, host: str, port: int, folder: str) -> WSGIServer:
    """Tell whoever asks at that address for /metrics, in a thread of its own."""
    tell = make_wsgi_app(registry_of(database, folder=folder))
    server = make_server(host, port, tell, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def forget(pid: int) -> None:
    """A process has ended: what it had under way counts no more."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
