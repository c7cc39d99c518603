"""The process in which jq programs run: a line of JSON in, a line out, within limits of time, memory and size.

jqprogram.py starts it by its path; it imports nothing of ours. A program that takes too long ends this process by a signal
(SIGPROF), one that takes too much memory by another (SIGABRT) or by a MemoryError; its caller tells which and starts anew.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from functools import lru_cache
from typing import Any

import jq  # type: ignore[import-not-found]  # a compiled module without stubs


@lru_cache(maxsize=512)
def _compiled(program: str) -> Any:
    return jq.compile(program)


def _answer(how: str, program: str, text: str, most: int) -> dict[str, Any]:
    """{"outputs": [...]}, or {"fault": "valid"|"run"|"size", "reason"}."""
    try:
        compiled = _compiled(program)
    except ValueError as error:
        return {"fault": "valid", "reason": str(error)}
    outputs: list[Any] = []
    try:
        if how == "text":
            outputs.append(compiled.input_text(text).text())
        elif how == "first":
            for output in compiled.input_text(text):
                outputs.append(output)
                break
        elif how == "every":
            for output in compiled.input_text(text):
                if len(outputs) >= most:
                    return {"fault": "size", "reason": f"it has more than {most} outputs"}
                outputs.append(output)
    except ValueError as error:
        return {"fault": "run", "reason": str(error)}
    return {"outputs": outputs}


def main(seconds: float, memory_bytes: int, output_bytes: int, most: int) -> None:
    """Answer until there is nothing more to read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            how, program, text = json.loads(line)
            written = json.dumps(_answer(how, program, text, most)).encode()
            if len(written) > output_bytes:
                written = json.dumps({"fault": "size", "reason": f"it gives more than {output_bytes} bytes"}).encode()
        except MemoryError:
            written = b'{"fault": "memory"}'
        except RecursionError:
            written = b'{"fault": "size", "reason": "its values are nested too deeply"}'
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(written + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:5]))
