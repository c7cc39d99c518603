"""What of the storage the two containers of a pod see, and where: its own volume, or parts of a shared one.

Pure. The same paths in both layouts (paths.py). In a volume of the pod's own all files are copies, brought by the stager.
Of a shared volume a step sees its own folder, to write, and its inputs; nothing else of it, and nothing beside the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reana_lite.backends.base import Task
from reana_lite.backends.kubernetes.options import Options
from reana_lite.backends.kubernetes.paths import ROOT, STEP, place_of
from reana_lite.backends.kubernetes.ticket import Bound

MOST_INPUTS = 500
"""A step that reads more places than this cannot run on a shared volume: each is a mount, which takes time and room in the
Job, and a step is never shown more of the volume than it reads."""

_Mount = dict[str, Any]


def mounts_of_stager(task: Task, bound: Bound, options: Options) -> list[_Mount]:
    """It brings inputs and takes outputs."""
    place = place_of(task.key, task.attempt)
    if options.claim:
        mounts = [*_inputs(task, options), _shared(options, place), *_view(task, bound, may_write=True)]
    else:
        # The cluster makes the folder of a sub-path writable for all, but not those above it: so each is named. The step's
        # own folder is made by the stager: it is to belong to the user of the step, who may set its times and mode.
        paths = [ROOT, f"{ROOT}/jobs", f"{ROOT}/trees", place, *([f"{place}/view"] if bound.uses_view else [])]
        mounts = [_store(path) for path in paths]
    return [*mounts, _work(STEP, "step")]


def mounts_of_step(task: Task, bound: Bound, options: Options) -> list[_Mount]:
    """It reads inputs and writes into its own folder."""
    place = place_of(task.key, task.attempt)
    if options.claim:
        writes = task.writable_inputs and bound.folders.uses_view
        own = _shared(options, f"{place}/files")
        mounts = [*_inputs(task, options), own, *_view(task, bound, may_write=writes)]
    else:
        mounts = [_store(ROOT) | {"readOnly": not task.writable_inputs}, _store(place)]
        if bound.uses_view:
            mounts.append(_store(f"{place}/view") | {"readOnly": not task.writable_inputs})
    return [*mounts, _work(STEP, "step")]


def too_many_inputs(task: Task, options: Options) -> str:
    """Why a step cannot have its inputs mounted, in one sentence; "" if it can."""
    found = len(_places(task)) if options.claim else 0
    if found <= MOST_INPUTS:
        return ""
    return f"it reads {found} folders, but at most {MOST_INPUTS} can be mounted from a shared volume: merge them in batches"


def _places(task: Task) -> dict[tuple[str, int], None]:
    return dict.fromkeys((tree.key, tree.attempt) for tree in task.inputs)


def _work(path: str, inner: str) -> _Mount:
    return {"name": "work", "mountPath": path, "subPath": inner}


def _store(path: str) -> _Mount:
    return _work(path, f"store{path[len(ROOT) :]}")


def _shared(options: Options, path: str) -> _Mount:
    return {
        "name": "shared",
        "mountPath": path,
        "subPath": f"{options.claim_path.strip('/')}{path[len(ROOT) :]}".lstrip("/"),
    }


def _view(task: Task, bound: Bound, *, may_write: bool) -> Iterator[_Mount]:
    if bound.uses_view:
        yield _work(f"{place_of(task.key, task.attempt)}/view", "view") | {"readOnly": not may_write}


def _inputs(task: Task, options: Options) -> Iterator[_Mount]:
    """Kept trees are shared by everybody, so that no step may write into one; a run that may have such a step has a copy."""
    for key, attempt in _places(task):
        yield _shared(options, f"{place_of(key, attempt)}/files") | {"readOnly": not (task.writable_inputs and attempt)}
