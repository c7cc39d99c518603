"""The worker: ONE loop that drives MANY runs, embedded by the command line or run as a program.

turn.py: what it has in its hands, and what one turn holds. loop.py: the loop. holding.py: runs come and go. beginnings.py,
admission.py: jobs begin, and who is next. outbox.py: what the backend is told. delivery.py, ends.py: how attempts ended, and
what is tried again. environments.py: software made ready. telemetry.py: what operators are told. program.py: the loop as a
program.
"""

from reana_lite.worker.loop import Worker
from reana_lite.worker.turn import LEASE_S, POLL_S

__all__ = ["LEASE_S", "POLL_S", "Worker"]
