"""Where the folders of a job really lie on this machine, also where several trees make up one folder.

Pure. Almost always a virtual folder is one place. But the language lets several nodes write into one folder (two stages of
one name, `nest` off): then the job's own folder begins with what others have left there, and a folder it reads is the
union of several trees, later over earlier, laid out below the attempt's `view`. `fill` says what is to be copied where,
before the step starts (fill.py does it). Called by the backends of one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reana_lite.backends.base import Task

_LEFT = "files/_yadage_parmount_"


@dataclass(frozen=True, slots=True)
class Folders:
    """`real` by virtual folder; `inputs`: (virtual, real, digest) of each tree; `fill`: [from, to], in order."""

    real: dict[str, str]
    inputs: list[tuple[str, str, str]]
    fill: list[list[str]] = field(default_factory=list)

    @property
    def uses_view(self) -> bool:
        """Whether a folder is laid out below the view."""
        return any("/view/" in target for _, target in self.fill)


def folders_of(task: Task, place: str, real: Callable[[str, int], str]) -> Folders:
    """The folders of a task whose attempt lies at `place`; `real` gives the folder of a place."""
    own = task.job.folder
    bound = {own: f"{place}/files"}
    inputs = []
    shared: dict[str, str] = {}
    for tree in task.inputs:
        path = real(tree.key, tree.attempt)
        inputs.append((tree.folder, path, tree.digest))
        if bound.setdefault(tree.folder, path) != path:
            shared[tree.folder] = bound[own] if tree.folder == own else f"{place}/view{tree.folder}"
    bound.update(shared)
    fill = [[path, shared[folder]] for folder, path, _ in inputs if folder in shared]
    return Folders(bound, inputs, fill)


def parameter_texts(task: Task, text: Callable[[str], str]) -> dict[str, str]:
    """Parameter mounts of a step by path in its place: what is mounted, and the copy in its own folder that Yadage leaves."""
    mounts = [text(mount.text) for mount in task.job.environment.mounts]
    files = {f"mount{number}": content for number, content in enumerate(mounts)}
    return files | {f"{_LEFT}{number}.txt": content for number, content in enumerate(mounts)}


def own_texts(files: Mapping[str, str], place: str) -> list[list[str]]:
    """How those copies come over what others have left in a folder that is filled."""
    count = sum(name.startswith(_LEFT) for name in files)
    return [[f"{place}/mount{number}", f"{place}/{_LEFT}{number}.txt"] for number in range(count)]
