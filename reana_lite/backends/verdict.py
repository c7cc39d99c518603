"""How a step's end is judged: wait status, what we did to it and the end of its log -> state, cause, one sentence.

Pure. Called by the supervisor.
"""

from __future__ import annotations

import signal
from typing import Any

from reana_lite.legible import binary_size

size = binary_size

_NO_SPACE = (b"No space left on device", b"Disk quota exceeded")


def judge(
    *,
    exit_code: int,
    reason: str = "",
    limit: float | None = None,
    log_tail: bytes = b"",
    oom: bool = False,
    full: bool = False,
) -> dict[str, Any]:
    """The beginning of an exit record: state, cause, exit_code, message.

    `exit_code` is negative for a signal. `reason`: why we killed it ("stopped", "time" with `limit` in seconds,
    "memory" with `limit` in bytes) or "". `oom`: the kernel has killed for memory meanwhile; `full`: no disk is left.
    """  # fmt: skip
    if reason == "stopped":
        return {"state": "stopped", "exit_code": exit_code, "message": "stopped on request"}
    if reason == "time":
        return _failed(
            "time", exit_code, f"took longer than its time limit of {limit:g} s; allow more time for this step"
        )
    if reason == "memory":
        return _failed("memory", exit_code, f"used more than its memory limit of {size(limit or 0)}; allow more memory")
    if exit_code == 0:
        return {"state": "finished", "exit_code": 0}
    if full or any(text in log_tail for text in _NO_SPACE):
        return _failed(
            "disk", exit_code, f"the disk is full ({describe(exit_code)}); make room, or use another storage"
        )
    if oom and exit_code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return _failed("memory", exit_code, "the machine ran out of memory and the kernel killed it; run fewer at once")
    if exit_code in (126, 2, 1) and b"Argument list too long" in log_tail:
        text = f"{describe(exit_code)}; a command in it got more arguments than the kernel takes (pass them by a file)"
        return _failed("exit", exit_code, text)
    return _failed("exit", exit_code, describe(exit_code))


def _failed(cause: str, exit_code: int, message: str) -> dict[str, Any]:
    return {"state": "failed", "cause": cause, "exit_code": exit_code, "message": message}


def describe(exit_code: int) -> str:
    """An exit code in words."""
    if exit_code < 0:
        return f"killed by signal {_signal_name(-exit_code)}"
    text = f"exit code {exit_code}"
    if exit_code == 126:
        return text + ": a command was found but could not be executed (has it no x bit? `sh FILE` does without)"
    if exit_code == 127:
        return text + ": a command was not found in the step's environment"
    if 128 < exit_code < 128 + 65:
        return text + f": a command was killed by signal {_signal_name(exit_code - 128)}"
    return text


def _signal_name(number: int) -> str:
    hint = {signal.SIGKILL: ", often for want of memory", signal.SIGSEGV: ", a crash of the program"}
    try:
        return f"{number} ({signal.Signals(number).name}{hint.get(signal.Signals(number), '')})"
    except ValueError:
        return str(number)
