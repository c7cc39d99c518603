"""From a node to its job: process and environment of the step, filled in with the node's parameters.

Pure. What fails here fails the node, not the run. The engine sends the JobSpec to a backend; `prepared` is the door.
"""

from __future__ import annotations

import json
import re
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.job import Environment, EnvironmentKind, JobSpec, Mount, Resources
from reana_lite.workflow import jqprogram, template
from reana_lite.workflow.graph import Folders
from reana_lite.workflow.spec import (
    ContainerEnvironment,
    LocalEnvironment,
    NoopEnvironment,
    Script,
    Step,
    StringCommand,
)
from reana_lite.workflow.value import Json, canonical

_UNITS = {"": 1, "k": 1000, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4, "P": 1000**5}
_UNITS |= {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4, "Pi": 1024**5}
_QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)\Z")


def contextualised(parameters: Json, folders: Folders) -> Json:
    """The parameters with `{workdir}` and `{readdir0}` in their texts filled in, keys sorted.

    Raises InvalidWorkflow for a placeholder with another name and for a single brace.
    """

    def filled(text: str) -> str:
        return _with_folders(text, folders) if "{" in text or "}" in text else text

    return canonical(parameters, change=filled)


def _with_folders(text: str, folders: Folders) -> str:
    try:
        return template.fill(text, (), folders.names)
    except (IndexError, AttributeError):
        return text  # a text with {} or {0} stays as it is, all of it
    except template.FILL_ERRORS as error:
        known = ", ".join(sorted(folders.names)) or "none here"
        raise InvalidWorkflow(
            f"the text {_short(text)} in a parameter cannot be used: {template.reason(error)}; folder names: {known}"
        ) from error


def prepared(step: Step, values: Json, folders: Folders) -> JobSpec | None:
    """The job of a node with these (contextualised) parameters; None if its environment runs nothing.

    Raises InvalidWorkflow with the reason if command, script or environment cannot be made.
    """
    environment = step.environment
    if step.process is None or environment is None:
        return None
    if isinstance(step.process, StringCommand):
        line, script = _filled(step.process.cmd, values, "command"), None
    elif isinstance(step.process, Script):
        if step.process.missing:
            raise InvalidWorkflow("the script has no interpreter (an object reached by $ref gets no defaults)")
        line, script = step.process.interpreter, _filled(step.process.script, values, "script")
    else:
        raise InvalidWorkflow("a manual process cannot be executed")
    if isinstance(environment, NoopEnvironment):
        return None
    if folders.own is None:
        raise InvalidWorkflow("a node without a folder of its own cannot run")
    if isinstance(environment, LocalEnvironment):
        if script is not None:
            raise InvalidWorkflow("scripts do not run in localproc-env; use string-interpolated-cmd or a container")
        return JobSpec(folders.own, line)
    if isinstance(environment, ContainerEnvironment):
        return _in_container(environment, folders.own, line, script, values, folders)
    raise InvalidWorkflow("a manual environment cannot be offered")


def _filled(text: str, values: Json, what: str) -> str:
    args, named = template.flattened(values)
    try:
        return template.fill(text, args, named)
    except template.FILL_ERRORS as error:
        given = f"; parameters: {', '.join(named)}" if named else ""
        raise InvalidWorkflow(f"the {what} cannot be filled in: {template.reason(error)}{given}") from error


def _in_container(
    environment: ContainerEnvironment, own: str, line: str, script: str | None, values: Json, folders: Folders
) -> JobSpec:
    missing = [key for key in environment.missing if key != "env"]
    if missing:
        raise InvalidWorkflow(f"the environment has no {missing[0]!r} (an object reached by $ref gets no defaults)")
    mounts = []
    for mount in environment.par_mounts:
        if mount.jqscript is None or mount.mountpath is None:
            raise InvalidWorkflow("a parameter mount needs `jqscript` and `mountpath`")
        mounts.append(Mount(mount.mountpath, jqprogram.text(mount.jqscript, values)))
    workdir = environment.workdir
    return JobSpec(
        own,
        f"source {environment.envscript} && {line}" if environment.envscript else line,
        script or None,
        Environment(
            EnvironmentKind.CONTAINER,
            image=f"{environment.image}:{environment.imagetag}",
            workdir=None if workdir is None else _with_folders(workdir, folders),
            mounts=tuple(mounts),
        ),
        resources(environment.resources),
    )


def resources(wanted: tuple[Json, ...]) -> Resources:
    """What a step asks for; sizes in bytes, times in seconds; what is not known is kept as text in `other`."""
    found: dict[str, Any] = {}
    other: list[str] = []
    for item in wanted:
        if not isinstance(item, dict):
            other.append(item if isinstance(item, str) else json.dumps(item))
            continue
        for key, value in item.items():
            field, number = _known(key, value)
            if number is None:
                other.append(f"{key}: {value if isinstance(value, str) else json.dumps(value)}")
            elif field == "cpus" and field in found:
                found[field] = max(found[field], number)
            else:
                found[field] = number
    return Resources(other=tuple(other), **found)


def _known(key: str, value: Json) -> tuple[str, float | int | None]:
    """(field of Resources, its value); the value is None if the key is not one of ours or the value no quantity."""
    if key in ("kubernetes_memory_limit", "memory"):
        size = quantity(value)
        return "memory_bytes", int(size) if size is not None and size >= 1 else None
    if key in ("kubernetes_cpu_limit", "kubernetes_cpu_request", "cpus"):
        text = str(value)
        cores = quantity(text[:-1]) if text.endswith("m") else quantity(value)
        cores = cores / 1000 if cores is not None and text.endswith("m") else cores
        return "cpus", cores if cores is not None and cores > 0 else None
    if key in ("kubernetes_job_timeout", "timeout_s"):
        limit = quantity(value)
        return "timeout_s", float(limit) if limit is not None and limit > 0 else None
    return key, None


def quantity(value: Json) -> float | None:
    """A number or a Kubernetes quantity ("8Gi", "500M"); None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _QUANTITY.match(str(value).strip())
    if found is None or found.group(2) not in _UNITS:
        return None
    try:
        return float(found.group(1)) * _UNITS[found.group(2)]
    except ValueError:
        return None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
