"""The process of gunicorn that answers: threads with small stacks, and an end in good order."""

from __future__ import annotations

import threading
from types import FrameType
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

STACK_BYTES = 1 << 20
"""The stack of a thread: there are many, and none of them goes deep."""


class Answering(ThreadWorker):  # type: ignore[misc]
    """gunicorn's worker with threads. When it is to end, followers of events are let go at once: they come again to whoever
    serves next and go on after the last event they heard; requests under way are finished."""

    def init_process(self) -> None:
        """Begin."""
        threading.stack_size(STACK_BYTES)
        super().init_process()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: answer what is there, take nothing new."""
        super().handle_exit(sig, frame)
        # not from within a signal handler: the locks may be held by the very thread that it interrupts
        threading.Thread(target=self._let_go, name="let-go", daemon=True).start()

    def _let_go(self) -> None:
        from reana_lite.server.api import following

        app: Any = self.wsgi
        following.end(app)
