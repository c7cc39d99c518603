"""Short ways to write stages for tests."""

from __future__ import annotations

from typing import Any

LOCAL = {"environment_type": "localproc-env"}


def step(cmd: str = "true", publisher: Any = None, environment: Any = None) -> dict[str, Any]:
    """A step that runs a shell line; it publishes its parameter `out` unless told otherwise."""
    return {
        "process": {"process_type": "string-interpolated-cmd", "cmd": cmd},
        "environment": environment or LOCAL,
        "publisher": publisher or {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}},
    }


def globbing(pattern: str) -> dict[str, Any]:
    """A publisher whose result is known only after the step has run."""
    publish = {"out": pattern}
    return {"publisher_type": "interpolated-pub", "publish": publish, "glob": True, "relative_paths": True}


def output(stage: str, name: str | None = None, *, many: bool = False, **more: Any) -> dict[str, Any]:
    """The expression for an output of a stage."""
    expression = {"expression_type": "stage-output-selector", "stages" if many else "step": stage, **more}
    return expression if name is None else {**expression, "output": name}


def _stage(name: str, after: list[str], scheduler: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "dependencies": {"dependency_type": "jsonpath_ready", "expressions": after},
        "scheduler": scheduler,
    }


def _body(body: Any) -> dict[str, Any]:
    if isinstance(body, list):
        return {"cases": body} if body and "if" in body[0] else {"workflow": {"stages": body}}
    return {"step": body or step()}


def single(name: str, parameters: dict[str, Any], body: Any = None, *, after: Any = (), **more: Any) -> dict[str, Any]:
    """A singlestep-stage; `body` is a step, a list of stages, or a list of cases."""
    pairs = [{"key": key, "value": value} for key, value in parameters.items()]
    scheduler = {"scheduler_type": "singlestep-stage", "parameters": pairs, **_body(body), **more}
    return _stage(name, list(after), scheduler)


def multi(
    name: str,
    parameters: dict[str, Any],
    over: list[str],
    body: Any = None,
    *,
    after: Any = (),
    method: str = "zip",
    **more: Any,
) -> dict[str, Any]:
    """A multistep-stage that scatters over the parameters named."""
    made = single(name, parameters, body, after=after, **more)
    made["scheduler"] |= {"scheduler_type": "multistep-stage", "scatter": {"method": method, "parameters": over}}
    return made


def jq_stage(name: str, bindings: Any, stepscript: str, *, after: Any = (), **more: Any) -> dict[str, Any]:
    """A jq-stage."""
    scheduler = {"scheduler_type": "jq-stage", "bindings": bindings, "stepscript": stepscript, "postscript": "."}
    return _stage(name, list(after), {**scheduler, **_body(None), **more})
