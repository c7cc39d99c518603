"""The end of a step, judged."""

from __future__ import annotations

import pytest

from reana_lite.backends.verdict import describe, judge, size
from reana_lite.job import Cause, JobOutcome, JobState


@pytest.mark.parametrize(
    ("told", "state", "cause", "words"),
    [
        ({"exit_code": 0}, "finished", None, ""),
        ({"exit_code": 0, "full": True}, "finished", None, ""),
        ({"exit_code": 1}, "failed", "exit", "exit code 1"),
        ({"exit_code": -11}, "failed", "exit", "SIGSEGV"),
        ({"exit_code": 137}, "failed", "exit", "SIGKILL"),
        ({"exit_code": 137, "oom": True}, "failed", "memory", "out of memory"),
        ({"exit_code": 1, "oom": True}, "failed", "exit", "exit code 1"),
        ({"exit_code": 1, "full": True}, "failed", "disk", "disk is full"),
        ({"exit_code": 1, "log_tail": b"x: Disk quota exceeded\n"}, "failed", "disk", "disk is full"),
        ({"exit_code": -15, "reason": "time", "limit": 1.5}, "failed", "time", "1.5 s"),
        ({"exit_code": 0, "reason": "time", "limit": 1.5}, "failed", "time", "1.5 s"),
        ({"exit_code": -9, "reason": "memory", "limit": 2**30}, "failed", "memory", "1 GiB"),
        ({"exit_code": -15, "reason": "stopped"}, "stopped", None, "request"),
        ({"exit_code": 126, "log_tail": b"sh: cat: Argument list too long"}, "failed", "exit", "by a file"),
    ],
)
def test_judge(told: dict, state: str, cause: str | None, words: str) -> None:
    record = judge(**told)
    assert (record["state"], record.get("cause"), record["exit_code"]) == (state, cause, told["exit_code"])
    assert words in record.get("message", "")


def test_a_signal_without_a_name() -> None:
    assert describe(-63) in ("killed by signal 63",)
    assert describe(128 + 63).endswith("signal 63")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (8 << 30, "8 GiB"), (5 << 50, "5.12e+03 TiB")]
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    "outcome",
    [
        JobOutcome(JobState.FINISHED),
        JobOutcome(JobState.FINISHED, None, 0, "", "sha256:0", 5, 1.5, 2.5, False, {"changed_inputs": ["/x"]}),
        JobOutcome(JobState.FAILED, Cause.TIME, -9, "took longer", "sha256:0", 0, 1.0, 2.0),
        JobOutcome(JobState.STOPPED, message="stopped"),
    ],
)
def test_an_exit_record_tells_the_outcome_again(outcome: JobOutcome) -> None:
    assert JobOutcome.from_dict(outcome.to_dict()) == outcome
