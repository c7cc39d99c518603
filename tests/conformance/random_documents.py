"""Random workflow documents, mostly almost valid: three files that refer to each other."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable
from typing import Any

STEPS = [
    "steps.yml#/s0", "steps.yml#/s1", "steps.yml#s0", "steps.yml#/s2", "steps.yml#/list/0", "steps.yml#/a~1b",
    "#/stages/0/scheduler/step", "flow.yml#/stages/0/scheduler/step", "./steps.yml#/s%30",
]  # fmt: skip


class Maker:
    """Documents from one source of randomness; `errors`: how often something is left out, added or replaced."""

    def __init__(self, source: random.Random, errors: float) -> None:
        self._random = source
        self._errors = errors

    def documents(self) -> dict[str, Any]:
        """File name -> document."""
        workflow: Any = {"stages": [self._stage(1) for _ in range(self._random.randint(1, 3))]}
        if self._chance(0.02):
            workflow = {"$ref": "flow.yml"}
        steps = {
            "s0": self._step(False), "s1": self._step(False), "a/b": self._step(False), "list": [self._step(False)],
            "s2": {"$ref": self._one("#/s0", "steps.yml#/s1", "flow.yml#/stages/0/scheduler/step", "#/s2")},
            "text": "x", "process": self._process(), "environment": self._environment(), "selector": self._value(),
            "publisher": self._publisher(), "parameters": {"a": 1}, "stage": self._stage(0),
            "dependencies": self._one(["init"], {"dependency_type": "jsonpath_ready", "expressions": []}),
        }  # fmt: skip
        flow = {"stages": [self._stage(0) for _ in range(self._random.randint(0, 2))]}
        return {"workflow.yml": workflow, "steps.yml": steps, "flow.yml": flow}

    def _one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _chance(self, of: float) -> bool:
        return self._random.random() < of

    def _spoilt(self, mapping: dict[Any, Any], often: float = 0.3) -> dict[Any, Any]:
        if not self._chance(often * self._errors):
            return mapping
        key = self._random.choice(list(mapping) or ["x"])
        match self._random.randint(0, 2):
            case 0:
                mapping.pop(key, None)
            case 1:
                mapping[key] = self._junk()
            case _:
                mapping[self._one("foo", "cmd", "script", "name", "step", "workflow", "cases", "glob", 1, True)] = 1
        return mapping

    def _junk(self) -> Any:
        return self._one(
            None, True, 0, 2.0, "x", "", [], {}, [1, None], {"a": 1}, {1: 2, None: 3, False: 4}, {"$ref": 5},
            {"$ref": "steps.yml#/s0"}, {"$ref": "#/stages/0"}, {"step": "q"}, datetime.date(2020, 1, 1), 10**30,
        )  # fmt: skip

    def _kind(self, key: str, kinds: dict[str, Callable[[], dict[str, Any]]]) -> dict[Any, Any]:
        kind = self._random.choice(list(kinds))
        made: dict[Any, Any] = {key: kind, **kinds[kind]()}
        if self._chance(0.1 * self._errors):
            del made[key]
        return self._spoilt(made)

    def _process(self) -> Any:
        if self._chance(0.1):
            return None
        return self._kind("process_type", {
            "string-interpolated-cmd": lambda: {"cmd": "x"},
            "interpolated-script-cmd": lambda: {"script": "x"},
            "manual-instructions-proc": lambda: {"instructions": "x"},
        })  # fmt: skip

    def _environment(self) -> Any:
        if self._chance(0.2):
            return self._one(None, {})
        more = {
            "imagetag": "x",
            "resources": ["CVMFS"],
            "env": {"a": 1},
            "workdir": "/x",
            "par_mounts": [{"jqscript": "."}],
        }
        return self._kind("environment_type", {
            "localproc-env": dict,
            "noop-env": dict,
            "docker-encapsulated": lambda: {"image": "b", **{k: v for k, v in more.items() if self._chance(0.3)}},
        })  # fmt: skip

    def _publisher(self) -> Any:
        return self._kind("publisher_type", {
            "constant-pub": lambda: {"publish": {"a": [1]}},
            "frompar-pub": lambda: {"outputmap": {"o": "x"}},
            "interpolated-pub": lambda: {"publish": self._one({"o": "*"}, ["a"], "s", True, 2)},
            "fromparjq-pub": dict,
            "fromglob-pub": lambda: {"globexpression": "*", "outputkey": "k"},
            "fromyaml-pub": lambda: {"yamlfile": "x"},
        })  # fmt: skip

    def _step(self, references: bool = True) -> Any:
        if references and self._chance(0.25):
            return {"$ref": self._one(*STEPS), **({"dropped": 1} if self._chance(0.2) else {})}
        step = {"process": self._process(), "environment": self._environment(), "publisher": self._publisher()}
        for key in step:
            if references and self._chance(0.06):
                step[key] = {"$ref": self._one(f"steps.yml#/{key}", f"#/stages/0/scheduler/step/{key}")}
        return self._spoilt(step)

    def _value(self) -> Any:
        if self._chance(0.1):
            return {"$ref": "steps.yml#/selector"}
        return self._one({"step": "init", "output": "x"}, {"stages": "a"}, "t", 1, 2.0, [1], {"a": {"step": "q"}})

    def _parameters(self) -> Any:
        if self._chance(0.1 * self._errors):
            return {"$ref": "steps.yml#/parameters"}
        if self._chance(0.15):
            return [self._spoilt({"key": "k", "value": self._value()}) for _ in range(self._random.randint(0, 2))]
        return self._spoilt({key: self._value() for key in self._random.sample("abc", self._random.randint(0, 3))})

    def _body(self, depth: int) -> dict[str, Any]:
        choice = self._random.random()
        if choice < 0.7:
            return {"step": self._step()}
        if choice < 0.85 and depth > 0:
            inner = {"stages": [self._stage(depth - 1) for _ in range(self._random.randint(0, 2))]}
            return {"workflow": {"$ref": "flow.yml"} if self._chance(0.3) else inner}
        return {"cases": [self._spoilt({"if": ".x", "step": self._step()}) for _ in range(self._random.randint(0, 2))]}

    def _stage(self, depth: int) -> Any:
        if self._chance(0.05):
            return {"$ref": self._one("steps.yml#/stage", "flow.yml#/stages/0", "flow.yml#/stages/-1")}
        kind = self._one("singlestep-stage", "multistep-stage", "jq-stage")
        scheduler = {"scheduler_type": kind, **self._body(depth)}
        if kind == "jq-stage":
            scheduler["bindings"] = {"x": 1}
        else:
            scheduler["parameters"] = self._parameters()
        if kind == "multistep-stage":
            scheduler["scatter"] = {"parameters": ["a"], "method": "zip"}
            scheduler["batchsize"] = self._one(2, 2.0)
        members = list(scheduler.items())
        self._random.shuffle(members)
        stage = {"name": self._one("init", "a", "b"), "scheduler": self._spoilt(dict(members))}
        if self._chance(0.6):
            stage["dependencies"] = self._one(["init"], {"dependency_type": "jsonpath_ready", "expressions": ["a"]})
        return self._spoilt(stage)
