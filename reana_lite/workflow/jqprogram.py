"""jq programs over JSON values, bounded in time and memory.

A program sees its input and nothing else: no environment variables, no clock, no modules, so that the same events give
the same graph everywhere. Numbers come back as jq gives them (a double that is integral becomes an integer). Used by
the jq stage, cases, publishers and parameter mounts.

Programs may be anybody's, and jq's own loops cannot be interrupted from within: whatever is more than a path into its input
runs in a helper process (jqhelper.py), one for each of ours, started when it is first needed. Processor time counts, not time
of the clock, so that a machine under load changes nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import jq  # type: ignore[import-not-found]  # a compiled module without stubs

from reana_lite.errors import InvalidWorkflow, Unavailable
from reana_lite.workflow.value import Json

LIMIT_S = 10.0
"""Processor time of one evaluation (s); published workflows need milliseconds."""

LIMIT_BYTES = 1 << 30
"""Memory of the helper process (bytes)."""

LIMIT_OUTPUT_BYTES = 64_000_000
"""What a program may give, as JSON (bytes)."""

LIMIT_OUTPUTS = 1_000_000

LIMIT_PROGRAM = 100_000
"""Length of a program (characters)."""

_CLOSED = """{} as $ENV | def env: {}; def now: error("now is not available: a run must be repeatable");
def input_filename: null; def modulemeta: error("modules are not available"); (
"""

_PATH = re.compile(r"\s*(?:\.[A-Za-z_]\w*|\.?\[\d{0,9}\]|\.)(?:\.[A-Za-z_]\w*|\.?\[\d{0,9}\]){0,50}\s*", re.ASCII)
"""Programs that only look into their input: they end, and are run here."""


@lru_cache(maxsize=2048)
def _compiled(program: str) -> Any:
    try:
        return jq.compile(f"{_CLOSED}{program}\n)")
    except ValueError as error:
        raise _invalid(program, error) from error


def check(program: str) -> None:
    """Raises InvalidWorkflow if the program is not valid; nothing is run."""
    _ran("check", program, None)


def every(program: str, value: Json) -> list[Json]:
    """All outputs of the program; raises InvalidWorkflow if it is not valid, fails, or is beyond the limits."""
    return _ran("every", program, value)


def first(program: str, value: Json) -> Json:
    """The first output; raises InvalidWorkflow if the program is not valid, fails, gives none, or is beyond the limits."""
    outputs = _ran("first", program, value)
    if not outputs:
        raise InvalidWorkflow(f"the jq program {_short(program)} gave no output")
    return outputs[0]


def text(program: str, value: Json) -> str:
    """All outputs as JSON texts, a line each (strings quoted, non-ASCII escaped)."""
    written: str = _ran("text", program, value)[0]
    return written


def _ran(how: str, program: str, value: Json) -> list[Any]:
    if len(program) > LIMIT_PROGRAM:
        raise InvalidWorkflow(f"the jq program {_short(program)} has more than {LIMIT_PROGRAM} characters")
    try:
        given = json.dumps(value)
    except RecursionError:
        raise InvalidWorkflow(f"the input of the jq program {_short(program)} is nested too deeply") from None
    if _PATH.fullmatch(program):
        return _here(how, program, given)
    answer = _helper.ask(how, f"{_CLOSED}{program}\n)", given)
    fault, reason = answer.get("fault"), str(answer.get("reason", ""))
    if fault == "valid":
        raise _invalid(program, reason)
    if fault == "run":
        raise _failed(program, reason)
    if fault is not None:
        reason = reason or f"it takes more than {LIMIT_BYTES >> 20} MiB of memory"
        raise InvalidWorkflow(f"the jq program {_short(program)} was ended: {reason}")
    outputs: list[Any] = answer["outputs"]
    return outputs


def _here(how: str, program: str, given: str) -> list[Any]:
    compiled = _compiled(program)
    if how == "check":
        return []
    try:
        ready = compiled.input_text(given)
        if how == "text":
            return [ready.text()]
        return list(ready.all()) if how == "every" else [output for output, _ in zip(ready, "1", strict=False)]
    except ValueError as error:
        raise _failed(program, error) from error


def _invalid(program: str, reason: object) -> InvalidWorkflow:
    return InvalidWorkflow(f"the jq program {_short(program)} is not valid: {_first_line(reason)}")


def _failed(program: str, reason: object) -> InvalidWorkflow:
    return InvalidWorkflow(f"the jq program {_short(program)} failed: {_first_line(reason)}")


def _short(program: str) -> str:
    return repr(program if len(program) <= 80 else program[:77] + "...")


def _first_line(reason: object) -> str:
    return str(reason).strip().split("\n")[0]


class _Helper:
    """The helper process of this one; threads take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, how: str, program: str, given: str) -> dict[str, Any]:
        """What it answers, or the limit at which it ended."""
        line = json.dumps([how, program, given]).encode() + b"\n"
        with self._lock:
            for _ in range(3):
                process = self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                try:
                    process.stdin.write(line)
                    process.stdin.flush()
                    answer = process.stdout.readline()
                except OSError:  # it has ended
                    answer = b""
                except BaseException:  # an interrupt: its answer would be taken for the next one's
                    self._end()
                    raise
                if answer.endswith(b"\n"):
                    found: dict[str, Any] = json.loads(answer)
                    return found
                code = self._end()
                if code == -signal.SIGPROF:
                    return {"fault": "time", "reason": f"it takes more than {LIMIT_S:g} s of processor time"}
                if code in (-signal.SIGABRT, -signal.SIGSEGV):
                    return {"fault": "memory"}
        raise Unavailable("the process that runs jq programs ends again and again", retry_after_s=10.0)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            limits = (str(LIMIT_S), str(LIMIT_BYTES), str(LIMIT_OUTPUT_BYTES), str(LIMIT_OUTPUTS))
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(Path(__file__).with_name("jqhelper.py")), *limits],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/",
                env={name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            )  # fmt: skip
        return self._process

    def _end(self) -> int:
        """End the process if there is one; its exit code as subprocess gives it."""
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended, and what was written is lost
            process.stdin.close()
        process.stdout.close()
        try:
            code = process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        return code

    def close(self) -> None:
        """End it with us."""
        with self._lock:
            self._end()

    def forked(self) -> None:
        """In a process that was forked off: the helper is its parent's."""
        self._lock = threading.Lock()
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # not ours to wait for
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    os.close(pipe.fileno())
                    _abandoned.append(pipe)


_abandoned: list[Any] = []
"""Pipes whose descriptors are closed: never flushed, never closed again."""

_helper = _Helper()
atexit.register(_helper.close)
os.register_at_fork(after_in_child=_helper.forked)
