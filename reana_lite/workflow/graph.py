"""The graph of one run: nodes, scopes and their index, folders, and which folders a text names.

A node is one step with its parameters bound, named by its path such as `/map/3`. A scope holds the stages of one
workflow or sub-workflow; its index (stage name -> members in order) is what queries look at. Edges come only from
values that were referenced. All operations cost what they touch: a node counts its unfinished parents, a scope counts
what is open or unknown in it and below. No rule of scheduling is here; layout.py adds, engine.py drives.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.job import RUN_ROOT
from reana_lite.workflow.folder import FolderIndex
from reana_lite.workflow.spec import NoopEnvironment, Step
from reana_lite.workflow.value import InputRecord, Json, escape


class NodeState(StrEnum):
    """Where a node stands. `submitted`: its job was asked for, or it waits for an answer about files."""

    DEFINED = "defined"
    SUBMITTED = "submitted"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class NodeKind(StrEnum):
    """`job`: runs a job. `publish`: no job, a failure is its own. `pure`: neither process nor environment."""

    JOB = "job"
    PUBLISH = "publish"
    PURE = "pure"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a node (virtual): its own, those of others it may read (sorted), and their names in parameters."""

    own: str | None
    others: tuple[str, ...]
    names: Mapping[str, str]

    @classmethod
    def of(cls, own: str | None, others: list[str]) -> Folders:
        """Folders with the names `workdir` and `readdir0`, `readdir1`, ... in the order given."""
        names = {f"readdir{index}": folder for index, folder in enumerate(others)}
        if own is not None:
            names["workdir"] = own
        return cls(own, tuple(sorted(others)), names)

    @property
    def lookup(self) -> str | None:
        """Where names of files are looked up: the own folder, else the only one that may be read."""
        if self.own is not None:
            return self.own
        return self.others[0] if len(self.others) == 1 else None


@dataclass(slots=True, eq=False)
class Node:
    """One step with its parameters bound.

    `result` counts when `known`, and can not change any more when `fixed`. `values` are the parameters with folder names
    filled in, keys sorted, while they are needed. `unmet` counts parents that have not finished; `doomed`: one of the
    ancestors has failed. `filled`: its job has ended, its folder holds what the job wrote. `rank`: as which it finished,
    from 1 on. `waiting`: stages that look again when the result is known, with the number of the look.
    """

    number: int
    path: str
    name: str
    scope: Scope
    stage: str
    index: int
    step: Step
    parameters: Json
    inputs: tuple[InputRecord, ...]
    parents: tuple[Node, ...]
    folders: Folders
    kind: NodeKind
    state: NodeState = NodeState.DEFINED
    known: bool = False
    result: Json = None
    values: Json = None
    failure: str = ""
    cause: str = ""
    unmet: int = 0
    doomed: bool = False
    fixed: bool = False
    filled: bool = False
    rank: int = 0
    key: str = ""
    attempt: int = 0
    digest: str = ""
    reused_from: str = ""
    children: list[Node] = field(default_factory=list)
    waiting: list[tuple[Any, int]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in (NodeState.FINISHED, NodeState.FAILED)


@dataclass(slots=True, eq=False)
class Scope:
    """The stages of one workflow or sub-workflow.

    `open_stages` and `unknown_nodes` count in it and below. `scopes` holds the scopes directly below by the offset that
    the index notes for them. `init_folders` are what its init node may read.
    """

    offset: str
    folder: str
    outer: Scope | None = None
    stage: str = ""
    index: dict[str, Any] = field(default_factory=dict)
    scopes: dict[str, Scope] = field(default_factory=dict)
    values: dict[str, Json] = field(default_factory=dict)
    init_folders: tuple[str, ...] = ()
    subinits: Mapping[str, Any] = field(default_factory=dict)
    open_stages: int = 0
    unknown_nodes: int = 0
    waiting: list[tuple[Any, int]] = field(default_factory=list)
    on_member: dict[str, list[Any]] = field(default_factory=dict)
    on_below: dict[str, list[Any]] = field(default_factory=dict)
    on_anything: list[Any] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether all its stages are applied and all its nodes have a known result, recursively."""
        return self.open_stages == 0 and self.unknown_nodes == 0

    def outwards(self) -> Iterator[Scope]:
        """This scope, the one around it, and so on to the top."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def below(self, relative: str) -> Scope:
        """The scope at an offset relative to this one; raises InvalidWorkflow if it lies deeper than one level."""
        if relative not in self.scopes:
            raise InvalidWorkflow(
                f"the scope {relative!r} cannot be reached from {self.offset or 'the top'}: only one level down can"
            )
        return self.scopes[relative]


def kind_of(step: Step) -> NodeKind:
    """Whether nodes of a step run a job."""
    if step.process is None and step.environment is None:
        return NodeKind.PURE
    if step.process is None or step.environment is None or isinstance(step.environment, NoopEnvironment):
        return NodeKind.PUBLISH
    return NodeKind.JOB


class Graph:
    """The nodes of one run by path, in order of creation, and their folders."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.folders: FolderIndex[Node] = FolderIndex(RUN_ROOT)
        self._finished = 0

    def add(
        self,
        scope: Scope,
        stage: str,
        *,
        name: str,
        step: Step,
        parameters: Json,
        inputs: list[InputRecord],
        folders: Folders,
    ) -> Node:
        """A new node at the end of its stage, with an edge from every node that its inputs name."""
        members = scope.index.setdefault(stage, [])
        index = len(members)
        path = f"{scope.offset}/{escape(stage)}/{index}"
        parents = tuple(self.nodes[upstream] for upstream in dict.fromkeys(record[0] for record in inputs))
        node = Node(
            len(self.nodes), path, name, scope, stage, index, step, parameters, tuple(inputs), parents, folders,
            kind_of(step),
        )  # fmt: skip
        for parent in parents:
            parent.children.append(node)
            node.unmet += parent.state is not NodeState.FINISHED
            node.doomed = node.doomed or parent.doomed or parent.state is NodeState.FAILED
        members.append({"_nodeid": path})
        self.nodes[path] = node
        if folders.own is not None:
            self.folders.add(folders.own, node)
        for around in scope.outwards():
            around.unknown_nodes += 1
        return node

    def finish(self, node: Node) -> list[Node]:
        """Marks a node finished; its children that can run now, in order of creation."""
        node.state = NodeState.FINISHED
        self._finished += 1
        node.rank = self._finished
        ready = []
        for child in node.children:
            child.unmet -= 1
            if child.unmet == 0 and not child.doomed:
                ready.append(child)
        return ready

    def fail(self, node: Node, failure: str, *, cause: str = "") -> None:
        """Marks a node failed; nothing downstream of it will run."""
        node.state, node.failure, node.cause = NodeState.FAILED, failure, cause
        downstream = [node]
        while downstream:
            for child in downstream.pop().children:
                if not child.doomed:
                    child.doomed = True
                    downstream.append(child)

    def check(self) -> None:
        """Raises AssertionError unless all invariants of the graph hold."""
        for number, (path, node) in enumerate(self.nodes.items()):
            assert (node.number, node.path) == (number, path), f"{path} is out of order"
            assert node.scope.index[node.stage][node.index] == {"_nodeid": path}, f"{path} is not in the index"
            assert [p.path for p in node.parents] == list(dict.fromkeys(r[0] for r in node.inputs)), f"edges of {path}"
            assert all(p.number < number and node in p.children for p in node.parents), f"parents of {path}"
            assert node.unmet == sum(p.state is not NodeState.FINISHED for p in node.parents), f"unmet of {path}"
            assert node.doomed == any(p.doomed or p.state is NodeState.FAILED for p in node.parents), f"doomed {path}"
            assert node.known or node.state is not NodeState.FINISHED, f"{path} finished without a result"
            started = node.state is not NodeState.DEFINED
            assert not started or (node.unmet == 0 and not node.doomed), f"{path} began before its parents finished"
            assert (node.state is NodeState.FAILED) == bool(node.failure), f"failure of {path}"

    def inputs_named(self, node: Node, texts: tuple[str, ...]) -> list[Node]:
        """Whose folders occur in the texts: ancestors of the node, and others that have finished by now (a stage that only
        waits for another has no edge to it). Those of the node's own folder that have finished belong to them, named or
        not. In the order in which they ended."""
        named = self.folders.named(texts)
        direct = {parent.number for parent in node.parents}
        found = {
            other.number: other
            for other in named.items.values()
            if other.number in direct
            or (other is not node and (other.state is NodeState.FINISHED or _descends(node, other)))
        }
        own = node.folders.own
        beside = self.folders.place(own).items if own is not None else []
        if len(beside) > 1:
            found.update((other.number, other) for other in beside if other.state is NodeState.FINISHED)
        if named.parents:
            for other in _ancestors(node):
                if other.folders.own is not None and self.folders.lies_below(other.folders.own, named.parents):
                    found[other.number] = other
        return sorted(found.values(), key=lambda other: (other.rank, other.number))


def _descends(node: Node, other: Node) -> bool:
    """Whether there is a way along edges from `other` to `node`."""
    seen = {node.number}
    todo = [node]
    while todo:
        for parent in todo.pop().parents:
            if parent is other:
                return True
            if parent.number > other.number and parent.number not in seen:
                seen.add(parent.number)
                todo.append(parent)
    return False


def _ancestors(node: Node) -> Iterator[Node]:
    seen: set[int] = set()
    todo = [node]
    while todo:
        for parent in todo.pop().parents:
            if parent.number not in seen:
                seen.add(parent.number)
                todo.append(parent)
                yield parent


def folder_below(folder: str, name: str) -> str:
    """The folder of a member called `name`; raises InvalidWorkflow if it would lie outside of `folder`'s root."""
    path = posixpath.normpath(f"{folder}/{name}")
    if path != RUN_ROOT and not path.startswith(f"{RUN_ROOT}/"):
        raise InvalidWorkflow(f"the name {name!r} makes a folder outside of the workspace; it must not climb with '..'")
    return path
