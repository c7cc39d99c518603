"""List the pods of an installation, then watch them, for ever: a thread that calls back with small records.

A watch may be cut, may be silent, may say that its version is too old (410): it then goes on from where it was, or lists
anew. Whatever happened meanwhile is found by comparing lists, so no end is missed. Called by the backend.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from reana_lite.backends.kubernetes.api import Api, Gone, Refused, Watching
from reana_lite.backends.kubernetes.record import Pod, pod_from
from reana_lite.errors import Unavailable

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 10.0
"""Between tries while the API server does not answer."""


class Watch(threading.Thread):
    """See the module. `seen` is called for each pod as it is, `gone` for each that is no more (with its last record);
    `listed` after each list, when all that is there has been seen."""

    def __init__(
        self, api: Api, selector: str, *, seen: Callable[[Pod], None], gone: Callable[[Pod], None],
        listed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__(name="watch", daemon=True)
        self.api = api
        self.selector = selector
        self.seen = seen
        self.gone = gone
        self.listed = listed
        self.lists = 0
        self._pods: dict[str, Pod] = {}
        self._version = ""
        self._ended = threading.Event()
        self._watching: Watching | None = None

    def run(self) -> None:
        """Until closed."""
        pause = 0.0
        while not self._ended.wait(pause):
            try:
                if not self._version:
                    self._version = self._list()
                self._follow()
                pause = 0.0
            except Gone:
                self._version = ""
            except (Unavailable, Refused) as error:
                if pause >= 1.0 or not isinstance(error, Unavailable):
                    log.warning("pods cannot be watched: %s", error.message)
                if pause >= 1.0:
                    self._version = ""  # a server that came back may not know our version
                pause = min(LONGEST_PAUSE_S, max(0.2, 2 * pause))
            except Exception:
                log.exception("what a watch said could not be understood; listing anew")
                self._version, pause = "", 1.0

    def known(self) -> list[Pod]:
        """The pods that are there, as far as is known; from any thread."""
        return list(self._pods.values())

    def close(self) -> None:
        """End; returns when the thread has ended."""
        self._ended.set()
        watching = self._watching
        if watching is not None:
            watching.close()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout=5.0)

    def _list(self) -> str:
        items, version = self.api.list_pods(self.selector)
        there = {pod.uid: pod for pod in map(pod_from, items)}
        before, self._pods = self._pods, there
        for uid, pod in before.items():
            if uid not in there:
                self.gone(pod)
        for pod in there.values():
            self.seen(pod)
        self.lists += 1
        self.listed()
        return version

    def _follow(self) -> None:
        """Events until the server ends the watch, or it is cut (Unavailable)."""
        watching = self._watching = self.api.watch_pods(self.selector, self._version)
        try:
            for event in watching:
                self._take(event)
                if self._ended.is_set():
                    break
        finally:
            watching.close()
            self._watching = None

    def _take(self, event: dict[str, Any]) -> None:
        document = event["object"]
        version = document["metadata"].get("resourceVersion", "")
        if event["type"] != "BOOKMARK":
            pod = pod_from(document)
            if event["type"] == "DELETED":
                self._pods.pop(pod.uid, None)
                self.gone(pod)
            else:
                self._pods[pod.uid] = pod
                self.seen(pod)
        self._version = version or self._version
