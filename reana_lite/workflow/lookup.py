"""What is known about files while a graph grows: answers, and what need not be asked.

Publishers look at files where they please: in the folder of their node, in an upstream folder, among the files a run was
started with. The folder of a node that has not finished, or that runs no job, counts as empty, without asking; a
prediction that looked into a folder is made again when that folder has its files. Used by the engine, which turns what
is asked here into questions and the answers to these back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.job import RUN_ROOT
from reana_lite.workflow import publisher as publishers
from reana_lite.workflow.folder import tidy
from reana_lite.workflow.graph import Graph, Node, NodeState
from reana_lite.workflow.publisher import Lookup
from reana_lite.workflow.value import Json

Unknown = tuple[Lookup, str]
"""What is not known of files yet and is to be asked: the kind of question, and a virtual path or pattern."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A result by what is known of files; `asked` is still to be answered; `fixed`: no file was looked at."""

    result: Json
    asked: tuple[Unknown, ...]
    fixed: bool


class FileKnowledge:
    """The answers about files so far, by node, and which predictions look into which folders."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._answers: dict[str, dict[str, Any]] = {}
        self._lookers: dict[str, dict[str, Node]] = {}

    def evaluate(self, node: Node) -> Evaluation:
        """The result of a node's publisher; raises InvalidWorkflow if it has none."""
        known = self._answers.get(node.path, {})
        asked: dict[Unknown, None] = {}
        looked = False

        def ask(lookup: Lookup, path: str) -> Any:
            nonlocal looked
            looked = True
            key = f"{lookup}:{path}"
            if key in known:
                return known[key]
            answer = self._without_asking(node, lookup, path)
            if answer is not None:
                return answer
            asked[lookup, path] = None
            return publishers.nothing(lookup)

        result = publishers.publish(node.step.publisher, node.values, node.folders, ask)
        return Evaluation(result, tuple(asked), not looked)

    def questions(self, node: Node) -> tuple[Unknown, ...]:
        """What is to be asked when the job of a node has ended."""
        asked: dict[Unknown, None] = {}

        def ask(lookup: Lookup, path: str) -> Any:
            if lookup is Lookup.EXISTS and tidy(path) == node.folders.own:
                return True
            asked[lookup, path] = None
            return publishers.nothing(lookup)

        try:
            publishers.publish(node.step.publisher, node.values, node.folders, ask)
        except InvalidWorkflow:
            return ()  # said again when the job has ended: until then nothing is wrong
        return tuple(asked)

    def answered(self, node: Node, answers: dict[str, Any]) -> None:
        """Takes the answers to what a node asked."""
        if answers:
            self._answers.setdefault(node.path, {}).update(answers)

    def forget_volatile(self, node: Node) -> None:
        """Answers about places of the run that belong to no node may have changed since a prediction."""
        known = self._answers.get(node.path, {})
        for key in list(known):
            path = tidy(before_magic(key.partition(":")[2]))
            if (path == RUN_ROOT or path.startswith(f"{RUN_ROOT}/")) and not self._graph.folders.owners(path)[1]:
                del known[key]

    def ended(self, node: Node) -> list[Node]:
        """A node has finished: nothing more is asked for it; the nodes whose predictions looked into its folder."""
        self._answers.pop(node.path, None)
        return list(self._lookers.pop(node.path, {}).values())

    def _without_asking(self, node: Node, lookup: Lookup, path: str) -> Any:
        """The answer if no file can be there (or the path is a node's folder), else None."""
        fixed = tidy(before_magic(path) if lookup is Lookup.GLOB else path)
        folder, owners = self._graph.folders.owners(fixed)
        if not owners:
            return None
        if lookup is Lookup.EXISTS and fixed == folder:
            return True
        if any(owner.filled and (owner is node or owner.state is NodeState.FINISHED) for owner in owners):
            return None
        for owner in owners:
            if owner is not node and not owner.ended:
                self._lookers.setdefault(owner.path, {})[node.path] = node
        if lookup is Lookup.DOCUMENT:
            return {"error": "there is no such file"}
        if lookup is Lookup.GLOB and fixed == folder and publishers.MAGIC.isdisjoint(path):
            return [path]
        return publishers.nothing(lookup)


def before_magic(path: str) -> str:
    """A path, or of a pattern the folders before its first component with magic."""
    fixed = []
    for part in path.split("/"):
        if not publishers.MAGIC.isdisjoint(part):
            break
        fixed.append(part)
    return "/".join(fixed) or "/"
