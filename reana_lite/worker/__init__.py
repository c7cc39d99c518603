"""The worker: ONE loop that drives MANY runs, embedded by the command line or run as a program.

turn.py: what one turn holds. environments.py: software made ready. admission.py: who is next. ends.py: how attempts ended
and what is tried again. loop.py: the loop. telemetry.py: what it tells operators. program.py: the loop as a program.
"""

from reana_lite.worker.loop import Worker
from reana_lite.worker.turn import LEASE_S, POLL_S

__all__ = ["LEASE_S", "POLL_S", "Worker"]
