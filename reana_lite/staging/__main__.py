"""The program: the ticket is in its environment, the record of what happened goes into the pod's status."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

from reana_lite.backends.kubernetes import paths
from reana_lite.staging.stager import Stager


def report(record: dict[str, Any], path: str) -> None:
    """Put a record where the cluster keeps it with the pod's status, without what would be too long."""
    short = {
        name: value for name, value in record.items() if name not in ("changed_inputs", "kept_inputs", "copied_links")
    }
    for name in ("message", "error"):
        if name in short:
            short[name] = short[name][:800]
    if len(record) > len(short):
        short["more"] = True
    with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(json.dumps(short))


def main() -> int:
    """0 if outputs are in storage, complete; else 1, and the pod's status says why."""
    stager = Stager(os.environ.get(paths.TICKET_VARIABLE, ""), out=sys.stdout.buffer)
    signal.signal(signal.SIGTERM, stager.terminate)
    record = stager.run()
    record["phases"] = stager.phases()
    report(record, paths.TERMINATION)
    if record.get("error"):
        sys.stderr.write(f"reana-lite: {record['error']}\n")
    return 1 if record.get("error") or record["state"] == "stopped" or not record.get("digest") else 0


if __name__ == "__main__":
    sys.exit(main())
