"""Watching pods: cuts, versions that are too old, ends that happened while nobody watched."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

from reana_lite.backends.kubernetes.api import Gone
from reana_lite.backends.kubernetes.record import Pod
from reana_lite.backends.kubernetes.watch import Watch
from reana_lite.errors import Unavailable

LIMIT_S = 10.0


def pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


class Script:
    """An API server that says what the test wants: lists in order, and watches (events; an exception ends one)."""

    namespace = "n"

    def __init__(self, lists: list[tuple[list[dict[str, Any]], str]], watches: list[list[Any]]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []
        self.over = threading.Event()

    def list_pods(self, selector: str) -> tuple[list[dict[str, Any]], str]:
        return self.lists.pop(0)

    def watch_pods(self, selector: str, version: str) -> Any:
        self.asked.append(version)
        return Stream(self.watches.pop(0) if self.watches else [self.over])


class Stream:
    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            if isinstance(event, threading.Event):
                event.wait(LIMIT_S)
                return
            yield event

    def close(self) -> None:
        for event in self.events:
            if isinstance(event, threading.Event):
                event.set()


def told(script: Script, count: int) -> list[tuple[str, str]]:
    """The first so many calls of a watch over that script."""
    calls: queue.Queue[tuple[str, str]] = queue.Queue()

    def saw(kind: str) -> Any:
        return lambda there: calls.put((kind, there.name if isinstance(there, Pod) else ""))

    watch = Watch(script, "s", seen=saw("seen"), gone=saw("gone"))  # type: ignore[arg-type]
    watch.start()
    try:
        return [calls.get(timeout=LIMIT_S) for _ in range(count)]
    finally:
        watch.close()
        assert not watch.is_alive()


def test_a_list_then_what_happens_after_it() -> None:
    events = [{"type": "ADDED", "object": pod("b", 6)}, {"type": "DELETED", "object": pod("a", 7)}]
    script = Script([([pod("a", 1)], "5")], [events])
    assert told(script, 3) == [("seen", "a"), ("seen", "b"), ("gone", "a")]
    assert script.asked[0] == "5"


def test_a_watch_that_is_cut_goes_on_from_where_it_was() -> None:
    watches = [
        [{"type": "ADDED", "object": pod("a", 6)}, Unavailable("cut")],
        [{"type": "ADDED", "object": pod("b", 8)}],
    ]
    script = Script([([], "5")], watches)
    assert told(script, 2) == [("seen", "a"), ("seen", "b")]
    assert script.asked[:2] == ["5", "6"]


def test_bookmarks_move_the_version_on() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "40"}}}
    script = Script([([], "5")], [[bookmark], [{"type": "ADDED", "object": pod("a", 41)}]])
    assert told(script, 1) == [("seen", "a")]
    assert script.asked[:2] == ["5", "40"]


def test_a_version_that_is_too_old_means_a_new_list_and_no_end_is_missed() -> None:
    lists = [([pod("a", 1), pod("b", 2)], "5"), ([pod("b", 9)], "9")]
    script = Script(lists, [[Gone("too old")]])
    assert told(script, 4) == [("seen", "a"), ("seen", "b"), ("gone", "a"), ("seen", "b")]
    assert script.asked[:2] == ["5", "9"]


def test_what_cannot_be_understood_means_a_new_list() -> None:
    script = Script([([], "5"), ([pod("a", 9)], "9")], [[{"type": "ADDED", "object": {}}]])
    assert told(script, 1) == [("seen", "a")]
