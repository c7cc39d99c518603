"""What is tried again unasked: a table by cause."""

from __future__ import annotations

import pytest

from reana_lite.job import Cause
from reana_lite.retry import LONGEST_WAIT_S, LOST, SHUT_DOWN, Try, memory, retry

GIB = 1 << 30


@pytest.mark.parametrize("cause", [Cause.EXIT, Cause.TIME, Cause.DISK, Cause.IMAGE])
def test_what_a_step_did_is_never_tried_again(cause: Cause) -> None:
    assert retry([Try(cause)], memory_limit_bytes=64 * GIB) is None
    assert retry([Try(Cause.LOST), Try(cause, "node-lost")]) is None


@pytest.mark.parametrize("reason", LOST)
def test_what_the_platform_did_is_tried_again_so_often(reason: str) -> None:
    rule = LOST[reason]
    tries = [Try(Cause.LOST, reason)]
    waits = []
    while (again := retry(tries)) is not None:
        waits.append(again.after_s)
        tries.append(Try(Cause.LOST, reason))
        assert again.words == rule.words
    assert len(waits) == rule.limit
    assert waits[0] == rule.wait_s
    assert waits == sorted(waits)
    assert max(waits) <= LONGEST_WAIT_S


def test_an_image_is_asked_for_again_if_its_registry_may_have_been_away() -> None:
    tries = [Try(Cause.IMAGE, "image-pull")]
    waits = []
    while (again := retry(tries)) is not None:
        waits.append(again.after_s)
        tries.append(tries[0])
    assert waits == [15.0, 30.0, 60.0, 120.0]
    assert retry([Try(Cause.IMAGE, "image-missing")]) is None


def test_each_reason_has_a_limit_of_its_own() -> None:
    tries = [Try(Cause.LOST, "preempted")] * 10 + [Try(Cause.LOST, SHUT_DOWN)] * 5 + [Try(Cause.LOST)] * 2
    assert retry(tries) is not None
    assert retry([*tries, Try(Cause.LOST)]) is None
    assert retry([Try(Cause.LOST, "no such reason")] * 3) is None, "an unknown reason counts as plainly lost"


def test_out_of_memory_gets_twice_as_much_up_to_the_limit() -> None:
    tries: list[Try] = []
    given = [memory(tries, GIB, memory_limit_bytes=6 * GIB)]
    while True:
        tries.append(Try(Cause.MEMORY, "", given[-1]))
        if retry(tries, memory_limit_bytes=6 * GIB) is None:
            break
        given.append(memory(tries, GIB, memory_limit_bytes=6 * GIB))
    assert given == [GIB, 2 * GIB, 4 * GIB, 6 * GIB]
    assert retry([Try(Cause.MEMORY, "", GIB)]) is None, "without a limit it is not tried again"
    assert retry([Try(Cause.MEMORY)], memory_limit_bytes=6 * GIB) is None, "twice of what?"
    assert memory([Try(Cause.LOST, "", GIB)], GIB, memory_limit_bytes=6 * GIB) == GIB
    assert memory([], None, memory_limit_bytes=6 * GIB) is None
    assert memory([Try(Cause.MEMORY, "", GIB)], 9 * GIB, memory_limit_bytes=6 * GIB) == 9 * GIB
