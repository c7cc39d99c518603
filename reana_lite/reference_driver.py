"""Runs `yadage-run` inside the environment of yadage.lock, once per request line, each in a forked child.

Executed as a script by that environment's interpreter, so nothing of reana_lite may be imported here; reference.py
starts it and speaks with it: one JSON object a line on standard input, one a line back on standard output.

Request: `arguments` (of yadage-run), `folder` (current directory), `variables` (added to the environment), `report`
(file the outcome is written to), `log` (file for all that is printed), `limit_s`, `quick` (keep compiled jq programs
and parsed JSONPaths: the same results, sooner). Answer: {"ended": true}, or {"ended": false}: the limit was reached.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import pathlib
import signal
import sys
from types import FrameType
from typing import Any


def class_name(error: Any) -> str:
    """Module-qualified name of an exception or its class; bare for builtins."""
    kind = error if isinstance(error, type) else type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def prepare() -> None:
    """Import everything once, and give globs an order: yadage takes the file system's, here names are sorted."""
    for name in ("yadage.steering", "yadage.steering_object", "adage.nodestate", "packtivity", "click"):
        importlib.import_module(name)
    implementation = importlib.import_module("glob2.impl")
    implementation.Globber.listdir = staticmethod(lambda path: sorted(os.listdir(path)))  # noqa: PTH208 - names, not paths


def hasten() -> None:
    """Compile each jq program and parse each JSONPath once: anew for every use, they are most of yadage's time."""
    jq: Any = importlib.import_module("jq")
    jq.jq = functools.lru_cache(maxsize=4096)(jq.jq)
    jsonpath: Any = importlib.import_module("jsonpath_rw")
    jsonpath.parse = functools.lru_cache(maxsize=4096)(jsonpath.parse)


def observe(report: dict[str, Any]) -> None:
    """Let the report say in which phase an error came and why nodes failed; yadage's snapshot does not."""
    steering = importlib.import_module("yadage.steering_object")
    failed = importlib.import_module("adage.nodestate").FAILED
    cls = steering.YadageSteering
    create, serialize = cls.create.__func__, cls.serialize

    def create_and_note(kind: Any, /, **options: Any) -> Any:
        report["phase"] = "load"
        made = create(kind, **options)
        report["phase"] = "run"
        return made

    def serialize_and_note(self: Any) -> Any:
        graph = self.workflow.dag
        for identifier in graph.nodes():
            node = graph.getNode(identifier)
            backend = node.backend or self.controller.backend
            if node.state is failed and backend is not None:
                info = backend.fail_info(node.resultproxy)
                if info:
                    report["failures"][identifier] = {"class": class_name(info[0]), "message": str(info[1])}
        return serialize(self)

    cls.create = classmethod(create_and_note)
    cls.serialize = serialize_and_note


def run(request: dict[str, Any]) -> dict[str, Any]:
    """One yadage-run in this process; the report says how it ended."""
    click = importlib.import_module("click")
    report: dict[str, Any] = {"error": None, "phase": "start", "failures": {}}
    observe(report)
    code: Any = 0
    try:
        main = importlib.import_module("yadage.steering").main
        main.main(args=request["arguments"], standalone_mode=False, prog_name="yadage-run")
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.ClickException as error:
        cause = error.__context__ if error.__context__ is not None else error
        code = error.exit_code
        report["error"] = {"class": class_name(cause), "message": str(cause)}
    except SystemExit as exit_:
        code = exit_.code
    except Exception as error:  # noqa: BLE001 - whatever yadage raises is the answer; its command line prints a traceback
        code = 1
        report["error"] = {"class": class_name(error), "message": str(error), "uncaught": True}
    if report["error"] is None:
        report["phase"] = "done"
    report["exit_code"] = code
    return report


def child(request: dict[str, Any]) -> None:
    """The forked child: its own session, folder, variables and log; leaves the report and goes."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.chdir(request["folder"])
    os.environ.update(request["variables"])
    if request.get("quick"):
        hasten()
    report = run(request)
    part = pathlib.Path(request["report"] + ".part")
    part.write_text(json.dumps(report), encoding="utf-8")
    part.rename(request["report"])


def serve_one(request: dict[str, Any]) -> bool:
    """Fork, wait within the limit, end whatever the child has left (yadage leaves its pool); False: limit reached."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            child(request)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)

    signal.setitimer(signal.ITIMER_REAL, request["limit_s"])
    ended = waited = False
    try:
        os.waitpid(pid, 0)
        ended = waited = True
    except TimeoutError:
        ended = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not waited:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return ended


def ring(_number: int, _frame: FrameType | None) -> None:
    """The limit of a run is reached."""
    raise TimeoutError


def leave(_number: int, _frame: FrameType | None) -> None:
    """Asked to end: end the child first."""
    raise SystemExit(0)


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    prepare()
    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGTERM, leave)
    for line in sys.stdin:
        ended = serve_one(json.loads(line))
        answers.write(json.dumps({"ended": ended}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
