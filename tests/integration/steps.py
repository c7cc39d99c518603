"""Workflows of one or few steps, as text, for tests that are about what happens to a step."""

from __future__ import annotations

import json
from typing import Any


def step(line: str, out: str = "{workdir}/out", *, after: str = "", **more: Any) -> dict[str, Any]:
    """A stage whose step runs `line` with {out}, {diary} and, with `after`, {input}: the output of that stage."""
    parameters: dict[str, Any] = {"out": out}
    if "{diary}" in line:
        parameters["diary"] = {"step": "init", "output": "diary"}
    if after:
        parameters["input"] = {"stages": after, "output": "out", "unwrap": True}
    environment = {"environment_type": "localproc-env"}
    needs_init = '"init"' in json.dumps(parameters) + json.dumps(more)
    return {
        "dependencies": ([after] if after else []) + (["init"] if needs_init else []),
        "scheduler": {
            "scheduler_type": "singlestep-stage",
            "parameters": parameters | more.pop("parameters", {}),
            "step": {
                "process": {"process_type": "string-interpolated-cmd", "cmd": line},
                "environment": environment,
                "publisher": more.pop("publisher", {"publisher_type": "frompar-pub", "outputmap": {"out": "out"}}),
            },
        },
    }


def workflow(**stages: dict[str, Any]) -> str:
    """The document of some stages (JSON is YAML)."""
    return json.dumps({"stages": [{"name": name, **stage} for name, stage in stages.items()]}, indent=1)


def scatter(line: str, over: str = "ns", *, gather: str = "") -> dict[str, Any]:
    """A stage with a node for each member of the parameter `over`, as {n}."""
    stage = step(line)
    scheduler = stage["scheduler"]
    scheduler["scheduler_type"] = "multistep-stage"
    scheduler["parameters"]["n"] = {"step": "init", "output": over}
    stage["dependencies"].append("init")
    scheduler["scatter"] = {"method": "zip", "parameters": ["n"]}
    return stage
