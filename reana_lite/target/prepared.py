"""What a user asked for, and the frozen thing a worker can run: the values that `resolve` takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from reana_lite.analysis import Analysis, Declared
from reana_lite.backends.base import StandIn
from reana_lite.event import InitData
from reana_lite.storage.base import Storage
from reana_lite.workflow.yaml_text import Place


class TargetKind(StrEnum):
    """What was named."""

    ANALYSIS = "analysis"
    WORKFLOW = "workflow"
    REANA = "reana"
    RECAST = "recast"


@dataclass(frozen=True, slots=True)
class Brought:
    """Files that a run brings along as one tree at `folder` (virtual): a local file or folder, or bytes by path."""

    folder: str
    path: Path | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """What a user says beside TARGET.

    `files`: theory files of an analysis, init files of a workflow, an INPUTDATA file of a recast.yml. `assignments`:
    "KEY=VALUE" as typed (-p); `parameters`: the same as JSON (they lose against assignments). `data_options`: yadage's
    -d as typed. `stand_ins`: image -> lock file on this machine. `folder`: what relative paths are relative to.
    `scratch`: a folder of the caller's for what must be unpacked; it must live until the files are kept. `checking`: it
    is to be checked, not run: an analysis needs no theory, and those of its examples and tests are read, too.
    """

    files: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data_options: tuple[str, ...] = ()
    workflow_options: tuple[str, ...] = ()
    toplevel: str = ""
    example: str = ""
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    scratch: Path | None = None
    checking: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that decides a run, before its files are kept.

    `workflow` is RunStarted.workflow (plain JSON): a Yadage document with `stages`, or for `engine` "serial" the spec
    of serial.py. `parameters`, `discover`, `relative`, `subinits` are those of InitData. `options` goes into
    RunStarted.options (stand_ins {image: lock text}, nest). `values` are the user's parameters, defaults filled in.
    `results` are the declared ones. `reuse` False: nothing of other runs is to be used. `origin`: where TARGET was.
    `locate`: pointer in `workflow` -> where that stands in the documents, if they are files.
    """

    kind: TargetKind
    name: str
    workflow: dict[str, Any]
    origin: str
    engine: str = "yadage"
    parameters: dict[str, Any] = field(default_factory=dict)
    brought: tuple[Brought, ...] = ()
    discover: bool = True
    relative: bool = True
    subinits: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    results: tuple[Declared, ...] = ()
    analysis: Analysis | None = None
    theory: Any = None
    example: str = ""
    reuse: bool = True
    warnings: tuple[str, ...] = ()
    locate: Callable[[str], Place] | None = None

    def keep(self, storage: Storage) -> InitData:
        """Keep the files this run brings along, and give what it starts with."""
        trees = []
        for brought in self.brought:
            if brought.path is not None:
                trees.append(storage.keep_tree(brought.path, brought.folder))
            else:
                trees.append(storage.keep_bytes(dict(brought.files), brought.folder))
        return InitData(
            parameters=self.parameters,
            trees=tuple(trees),
            discover=self.discover,
            relative=self.relative,
            subinits=self.subinits,
        )
