"""A worker's sign of life goes on while its loop is busy: taking up many runs, waiting for storage, reading large files.

A thread of its own, which gives it only while the loop has turned lately: a loop that is stuck loses its runs to others.
Only the loop calls this.
"""

from __future__ import annotations

import logging
import threading
import time

from reana_lite.database import Database, workers
from reana_lite.errors import ReanaLiteError
from reana_lite.worker.turn import LEASE_S

log = logging.getLogger(__name__)

RENEW_S = LEASE_S / 4
"""After how long without a sign of life the thread gives one (seconds)."""

STUCK_S = 300.0
"""After how long without a turn the loop is taken to be stuck (seconds)."""


class Lease:
    """See the module. The loop calls `renew` at its own pace, and `turned` at each turn."""

    def __init__(self, database: Database, worker: str) -> None:
        self.database = database
        self.worker = worker
        self._renewed_at = self._turned_at = time.monotonic()
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def turned(self) -> None:
        """The loop is alive."""
        self._turned_at = time.monotonic()

    def renew(self, doing: str | None = None) -> None:
        """Give a sign of life, and say what the worker is doing if that has changed.

        Not within the transaction of a turn: nobody would see it before that ends. Raises Unavailable, Conflict.
        """
        with self._lock:
            with self.database.transaction() as transaction:
                workers.renew(transaction, self.worker, lease_s=LEASE_S)
                if doing is not None:
                    workers.note_doing(transaction, self.worker, doing)
            self._renewed_at = time.monotonic()

    def close(self) -> None:
        """Give none any more; idempotent."""
        self._ending.set()
        self._thread.join(10.0)

    def _keep(self) -> None:
        while not self._ending.wait(RENEW_S / 4):
            now = time.monotonic()
            if now - self._renewed_at < RENEW_S or now - self._turned_at > STUCK_S:
                continue
            try:
                self.renew()
            except ReanaLiteError as error:  # the loop will learn it, too
                log.debug("no sign of life could be given: %s", error.message)
