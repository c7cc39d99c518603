"""One attempt as the backend follows it: what was asked, where it stands, what was done to it. No network, no thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.record import About, Pod


@dataclass(slots=True)
class Attempt:
    """See the module. Times are seconds since the epoch. `intent` is what we end it for (see ends.Evidence).
    `has_ticket`: storage holds its ticket, or may. `go_at`: when its step began, its inputs being there, as far as that has
    been asked (`go_asked_at`)."""

    key: str
    attempt: int
    name: str
    about: About
    task: Task | None = None
    submitted_at: float = 0.0
    created_at: float = 0.0
    pod: Pod | None = None
    started: bool = False
    intent: str = ""
    why: str = ""
    intent_at: float = 0.0
    sent: bool = False
    exists: bool = False
    over: bool = False
    has_ticket: bool = False
    trouble_at: float = 0.0
    go_at: float = 0.0
    go_asked_at: float = 0.0
    told: set[str] = field(default_factory=set)

    @property
    def place(self) -> tuple[str, int]:
        """Its name everywhere."""
        return self.key, self.attempt


class Rate:
    """So many per second, from any number of threads: `take` waits for its turn; False if `ended` came first."""

    def __init__(self, per_s: float) -> None:
        self._gap = 1.0 / per_s
        self._next = 0.0
        self._lock = threading.Lock()

    def take(self, ended: threading.Event) -> bool:
        """Wait for the next turn. After an idle time, a tenth of a second's worth may go at once."""
        with self._lock:
            now = time.monotonic()
            mine = self._next = max(self._next + self._gap, now - 0.1)
        return not ended.wait(max(0.0, mine - now))


def about_of(task: Task, image: str, options: Options, *, submitted_at: float) -> About:
    """What is known of a task before its Job exists."""
    return About(
        task.key, task.attempt, task.job.resources.timeout_s or options.timeout_s,
        task.job.resources.memory_bytes or options.memory_bytes, options.disk_bytes, image, task.environment_digest,
        submitted_at,
    )  # fmt: skip
