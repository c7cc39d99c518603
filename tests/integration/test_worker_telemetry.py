"""What a worker tells operators: lines of JSON, health and numbers over HTTP."""

from __future__ import annotations

import json
import logging
import sys
import urllib.error
import urllib.request

from reana_lite.job import Cause, JobOutcome, JobState
from reana_lite.worker.telemetry import Counters, Health, JsonLines


def record(message: str, **more: object) -> logging.LogRecord:
    made = logging.LogRecord("recast.run", logging.WARNING, "x.py", 1, message, (), None)
    made.__dict__.update(more)
    return made


def test_a_line_is_json_and_names_its_run_and_node() -> None:
    line = json.loads(JsonLines().format(record("abcd2345/init/fit_0: attempt 1 is tried again\nat once")))
    assert line["run"] == "abcd2345"
    assert line["node"] == "/init/fit_0"
    assert line["level"] == "warning"
    assert line["message"].endswith("again\nat once")
    assert "node" not in json.loads(JsonLines().format(record("abcd2345: over")))
    assert "run" not in json.loads(JsonLines().format(record("nothing: of the kind")))
    assert json.loads(JsonLines().format(record("x", worker="w1")))["worker"] == "w1"


def test_a_line_with_an_exception_is_one_line() -> None:
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        made = record("abcd2345: it cannot go on", exc_info=sys.exc_info())
    text = JsonLines().format(made)
    assert "\n" not in text
    assert "ZeroDivisionError: a bug" in json.loads(text)["exception"]


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_readiness_and_numbers() -> None:
    counters = Counters(launched=3)
    failed = JobOutcome(JobState.FAILED, Cause.MEMORY)
    counters.ended([("a", 1, JobOutcome(JobState.FINISHED)), ("b", 1, failed), ("c", 1, failed)])
    counters.turn_s(0.002)
    counters.turn_s(10.0)
    health = Health(0, counters=counters.text, stuck_after_s=60.0, host="127.0.0.1")
    try:
        assert get(health.port, "/healthz") == (200, "ok\n")
        assert get(health.port, "/readyz")[0] == 503, "not before the first turn"
        health.turned()
        assert get(health.port, "/readyz") == (200, "ok\n")
        health.turned("the database is down")
        assert get(health.port, "/readyz") == (503, "the database is down\n")
        assert get(health.port, "/healthz")[0] == 200, "an outage is no reason to be killed"
        health.turned_at -= 100.0
        assert get(health.port, "/healthz")[0] == 503
        assert get(health.port, "/else")[0] == 404
        lines = get(health.port, "/metrics")[1].splitlines()
        assert "recast_worker_jobs_launched_total 3" in lines
        assert 'recast_worker_jobs_ended_total{how="memory"} 2' in lines
        assert 'recast_worker_jobs_ended_total{how="finished"} 1' in lines
        assert 'recast_worker_turn_seconds_bucket{le="0.001"} 0' in lines
        assert 'recast_worker_turn_seconds_bucket{le="0.003"} 1' in lines
        assert 'recast_worker_turn_seconds_bucket{le="+Inf"} 2' in lines
    finally:
        health.close()
