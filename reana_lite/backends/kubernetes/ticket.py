"""What the stager in a pod is told: which files to bring, what to lay out, where outputs go, how much.

The ticket is a JSON document; the pod gets it in its Secret, or a link to it if it is large.
reana_lite/staging reads it. No network here but the storage's own signing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from reana_lite.artifact import Manifest
from reana_lite.backends.base import Task
from reana_lite.backends.binding import Binding
from reana_lite.backends.folders import Folders, folders_of, parameter_texts
from reana_lite.backends.kubernetes.paths import HOME, LINE, LINE_LIMIT_BYTES, SCRIPT, place_of
from reana_lite.errors import Unavailable
from reana_lite.job import EnvironmentKind


class Granted(Protocol):
    """Leave to upload: where to, and the fields of the form."""

    @property
    def url(self) -> str:
        """Where the form goes."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """What goes into it, beside `key` and the file."""
        ...


class Documents(Protocol):
    """What this backend needs of any storage beyond Storage: small documents beside the files of a place."""

    def manifest(self, key: str, attempt: int) -> Manifest | None:
        """The manifest of a complete place."""
        ...

    def put_ticket(self, name: str, data: bytes, *, valid_s: int) -> str:
        """Keep a ticket; a link with which it can be read, or its path in the pod."""
        ...

    def drop_ticket(self, name: str) -> None:
        """Remove a ticket; no error if it is gone."""
        ...

    def put_document(self, key: str, attempt: int, name: str, data: bytes) -> None:
        """Keep a small document beside the files of a place."""
        ...

    def get_document(self, key: str, attempt: int, name: str) -> bytes | None:
        """Such a document, or None."""
        ...


@runtime_checkable
class ObjectStorage(Documents, Protocol):
    """A bucket: signed requests, with which pods bring and keep files."""

    def link(self, key: str, attempt: int, path: str, *, valid_s: int) -> str:
        """A link with which one file can be read."""
        ...

    def permit(self, key: str, attempt: int, *, valid_s: int, max_bytes: int) -> Granted:
        """Leave to write below one place."""
        ...

    def permit_copies(self, key: str, *, valid_s: int, max_bytes: int) -> Granted:
        """Leave to write whole places of one key: <attempt>/ below what is given."""
        ...


@dataclass(frozen=True, slots=True)
class Bound:
    """A task with its paths bound: what pod and ticket have in common."""

    line: str
    line_in_file: bool
    script: bool
    variables: dict[str, str]
    workdir: str
    mounts: dict[str, str]
    uses_view: bool
    texts: dict[str, str]
    links: dict[str, str]
    folders: Folders


def bind(task: Task) -> Bound:
    """Bind the virtual paths of a task to their places in a pod."""
    job, place = task.job, place_of(task.key, task.attempt)
    folders = folders_of(task, place, lambda key, attempt: f"{place_of(key, attempt)}/files")
    binding = Binding(folders.real, f"{place}/view")
    line = binding.text(job.line)
    texts: dict[str, str] = {}
    if len(line.encode(errors="surrogateescape")) > LINE_LIMIT_BYTES:
        texts[LINE] = line
    if job.script is not None:
        texts[SCRIPT] = binding.text(job.script)
    parameters = parameter_texts(task, binding.text)
    texts |= {f"{place}/{name}": text for name, text in parameters.items() if name.startswith("files/")}
    variables = {"HOME": HOME} | {name: binding.text(value) for name, value in job.environment.variables}
    workdir = binding.text(job.environment.workdir or "")
    if job.environment.kind is EnvironmentKind.PROCESS and not workdir:
        workdir = f"{place}/files"
    return Bound(
        line=line, line_in_file=LINE in texts, script=job.script is not None, variables=variables, workdir=workdir,
        mounts={m.path: parameters[f"mount{n}"] for n, m in enumerate(job.environment.mounts)},
        uses_view=binding.uses_view or folders.uses_view, texts=texts,
        links=binding.links() if binding.uses_view else {}, folders=folders,
    )  # fmt: skip


def ticket_of(
    task: Task, bound: Bound, *, storage: Documents, manifest: Callable[[str, int], Manifest | None], valid_s: int,
    timeout_s: float | None, most_files: int, most_bytes: int, patience_s: float = 600.0,
) -> dict[str, Any]:  # fmt: skip
    """The ticket of a task; raises Unavailable if an input is gone from storage."""
    place = place_of(task.key, task.attempt)
    ticket: dict[str, Any] = {
        "version": 1, "key": task.key, "attempt": task.attempt, "own": f"{place}/files", "view": f"{place}/view",
        "inputs": [], "texts": bound.texts, "fill": bound.folders.fill,
        "links": {f"{place}/view/{path}": real for path, real in bound.links.items()},
        "watch": [],
        "timeout_s": timeout_s, "most_files": most_files, "most_bytes": most_bytes,
        "patience_s": patience_s,
    }  # fmt: skip
    if task.writable_inputs:
        rows = zip(bound.folders.inputs, task.inputs, strict=True)
        ticket["watch"] = [[*row, f"{tree.key}/{tree.attempt}"] for row, tree in rows]
    for key, attempt in dict.fromkeys((tree.key, tree.attempt) for tree in task.inputs):
        found = manifest(key, attempt)
        if found is None:
            raise Unavailable(f"an input is gone from storage ({key}/{attempt})", gone=True)
        if isinstance(storage, ObjectStorage):
            entries: list[list[Any]] = [
                [*a.to_list(), storage.link(key, attempt, a.path, valid_s=valid_s) if a.kind == "file" else ""]
                for a in found.artifacts
            ]
            ticket["inputs"].append({"folder": f"{place_of(key, attempt)}/files", "entries": entries})
    if isinstance(storage, ObjectStorage):
        permit = storage.permit(task.key, task.attempt, valid_s=valid_s, max_bytes=most_bytes)
        ticket["permit"] = {"url": permit.url, "fields": dict(permit.fields)}
        if ticket["watch"]:
            key = copies_of(task)
            permit = storage.permit_copies(key, valid_s=valid_s, max_bytes=most_bytes)
            ticket["copies"] = {"key": key, "url": permit.url, "fields": dict(permit.fields)}
    else:
        ticket["place"] = place  # on a volume, where everything lies already
    return ticket


def copies_of(task: Task) -> str:
    """The key of the places for inputs that a task has changed (attempt 1, 2, ... by the input): they are the run's own."""
    run = task.label.partition("/")[0]
    return f"{run if run.isalnum() and run.isascii() else 'none'}-{task.key}-{task.attempt}"
