"""Laying out the graph: open stages, when they are ready, and the rounds in which they are applied.

A round walks the open stages in order; a stage that is ready is applied at once and the one after it is passed over in
this round, as yadage does, because under-declared workflows depend on it. Only stages are looked at for which something
they wait for has changed: a stage that found unknown results counts them and is woken by the last; one whose query
found nothing is woken by a new member of the stage it names. Between rounds the engine predicts the results of the
nodes in `fresh`. Everything that goes wrong here ends the run, as InvalidWorkflow.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.job import RUN_ROOT
from reana_lite.workflow.expression import evaluate, is_expression, nodes_found
from reana_lite.workflow.graph import Folders, Graph, Node, Scope, folder_below
from reana_lite.workflow.query import Query, parse
from reana_lite.workflow.scheduling import Member, members
from reana_lite.workflow.spec import JqPublisher, Stage, Step, Workflow
from reana_lite.workflow.value import InputRecord, Json, escape


@dataclass(frozen=True, slots=True)
class InitStage:
    """The stage `init` of a scope: one purely publishing node that holds the scope's parameters."""

    node_name: str
    parameters: Json
    inputs: tuple[InputRecord, ...] = ()
    discover: bool = False
    relative: bool = True
    name: str = "init"

    @property
    def step(self) -> Step:
        """What its node publishes: its parameters, names of files looked up."""
        return Step(None, None, JqPublisher(".", True, self.discover, self.relative))


@dataclass(slots=True, eq=False)
class OpenStage:
    """A stage in its scope. `blockers` counts what it waits for since its last look, which was number `look`."""

    number: int
    stage: Stage | InitStage
    scope: Scope
    before: OpenStage | None = None
    after: OpenStage | None = None
    applied: bool = False
    queued: bool = False
    blockers: int = 0
    look: int = 0
    watches: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        """Where it is: offset and name."""
        return f"{self.scope.offset}/{self.stage.name}"


class Layout:
    """The open and applied stages of one run; grows its graph."""

    def __init__(self, graph: Graph, *, nest: bool = True, max_nodes: int = 200_000) -> None:
        self.graph = graph
        self.top = Scope("", RUN_ROOT)
        self.fresh: list[Node] = []
        self.applied: list[OpenStage] = []
        self._nest = nest
        self._max_nodes = max_nodes
        self._count = 0
        self._members = 0
        self._first: OpenStage | None = None
        self._last: OpenStage | None = None
        self._queue: list[tuple[int, OpenStage]] = []

    def start(
        self, workflow: Workflow, init: InitStage | None, *, init_folders: tuple[str, ...], subinits: Mapping[str, Any]
    ) -> None:
        """Opens the stages of the workflow, and after them the init stage if there is one."""
        self.top.init_folders, self.top.subinits = init_folders, subinits
        for stage in workflow.stages:
            self._open(stage, self.top)
        if init is not None:
            self._open(init, self.top)

    def open_stages(self) -> list[OpenStage]:
        """The stages not applied, in order."""
        stages, stage = [], self._first
        while stage is not None:
            stages.append(stage)
            stage = stage.after
        return stages

    @property
    def idle(self) -> bool:
        """Whether no open stage needs to be looked at."""
        return not self._queue

    # -- rounds --------------------------------------------------------------------------------------------------------
    def round(self) -> bool:
        """One walk over the open stages that may have become ready; whether any was applied."""
        position, passed_over, applied = -1, None, False
        later: list[OpenStage] = []
        while self._queue:
            number, stage = heapq.heappop(self._queue)
            stage.queued = False
            if stage.applied:
                continue
            if number <= position or stage is passed_over:
                later.append(stage)
                continue
            position = number
            try:
                if not self._ready(stage):
                    continue
                self._apply(stage)
            except InvalidWorkflow as error:
                raise _placed(error, stage) from error
            applied, passed_over = True, stage.after
            self._close(stage)
        for stage in later:
            self._look_at(stage)
        return applied

    def is_ready(self, stage: OpenStage) -> bool:
        """Whether a stage could be applied now, by a full evaluation that changes nothing; for checks."""
        if isinstance(stage.stage, InitStage):
            return True
        dependencies = stage.stage.dependencies
        if dependencies.kind == "expressions_fulfilled":
            return all(evaluate(expression, stage.scope, self.graph) for expression in dependencies.expressions)
        return all(self._lacking(stage.scope, parse(text)) == [] for text in dependencies.expressions)

    def check(self) -> None:
        """Raises AssertionError unless all invariants hold; if no stage waits to be looked at, none may be ready."""
        stages = self.open_stages()
        assert [stage.number for stage in stages] == sorted(stage.number for stage in stages), "order of open stages"
        assert len(stages) + len(self.applied) == self._count, "a stage was lost"
        assert self._last is (stages[-1] if stages else None), "the end of the open stages"
        assert all(stage.applied for stage in self.applied), "an applied stage is still open"
        assert not self.fresh, "nodes were laid out but not predicted"
        self._check_scope(self.top, stages)
        if self.idle:
            for stage in stages:
                assert not self.is_ready(stage), f"{stage.path} is ready but was not applied"

    def _check_scope(self, scope: Scope, stages: list[OpenStage]) -> None:
        inside = [stage for stage in stages if scope in stage.scope.outwards()]
        assert scope.open_stages == len(inside), f"open stages of {scope.offset!r}"
        unknown = [n for n in self.graph.nodes.values() if not n.known and scope in n.scope.outwards()]
        assert scope.unknown_nodes == len(unknown), f"unknown nodes of {scope.offset!r}"
        for inner in scope.scopes.values():
            self._check_scope(inner, stages)

    def now_known(self, node: Node) -> None:
        """To be called once the result of a node is known: wakes the stages that waited for it."""
        waiting, node.waiting = node.waiting, []
        self._wake(waiting)
        for scope in node.scope.outwards():
            scope.unknown_nodes -= 1
            self._look_at_all(scope.on_anything)
            if scope.waiting and scope.done:
                waiting, scope.waiting = scope.waiting, []
                self._wake(waiting)

    def changed(self, node: Node) -> None:
        """To be called when a known result has changed: stages that ask for values look again."""
        for scope in node.scope.outwards():
            self._look_at_all(scope.on_anything)

    def _wake(self, waiting: list[tuple[Any, int]]) -> None:
        for stage, look in waiting:
            if stage.look == look:
                stage.blockers -= 1
                if stage.blockers == 0:
                    self._look_at(stage)

    def _look_at(self, stage: OpenStage) -> None:
        if not (stage.queued or stage.applied):
            stage.queued = True
            heapq.heappush(self._queue, (stage.number, stage))

    def _look_at_all(self, stages: list[Any]) -> None:
        for stage in stages:
            self._look_at(stage)

    # -- open and applied ----------------------------------------------------------------------------------------------
    def _open(self, stage: Stage | InitStage, scope: Scope) -> None:
        opened = OpenStage(self._count, stage, scope, before=self._last)
        self._count += 1
        if self._last is None:
            self._first = opened
        else:
            self._last.after = opened
        self._last = opened
        for around in scope.outwards():
            around.open_stages += 1
        self._look_at(opened)

    def _close(self, stage: OpenStage) -> None:
        stage.applied = True
        if stage.before is None:
            self._first = stage.after
        else:
            stage.before.after = stage.after
        if stage.after is None:
            self._last = stage.before
        else:
            stage.after.before = stage.before
        self.applied.append(stage)
        for scope in stage.scope.outwards():
            scope.open_stages -= 1
            if scope.waiting and scope.done:
                waiting, scope.waiting = scope.waiting, []
                self._wake(waiting)

    def _touched(self, scope: Scope, name: str) -> None:
        """Members were added to a stage: whoever may see them looks again."""
        for stage in scope.on_member.get(name, ()):
            if stage.blockers == 0:
                self._look_at(stage)
        self._look_at_all(scope.on_anything)
        inner = scope
        while inner.outer is not None:
            outer = inner.outer
            for stage in outer.on_below.get(inner.stage, ()):
                if stage.blockers == 0:
                    self._look_at(stage)
            self._look_at_all(outer.on_anything)
            inner = outer

    # -- dependencies --------------------------------------------------------------------------------------------------
    def _ready(self, stage: OpenStage) -> bool:
        stage.look += 1
        stage.blockers = 0
        if isinstance(stage.stage, InitStage):
            return True
        dependencies = stage.stage.dependencies
        if dependencies.fault:
            raise InvalidWorkflow(dependencies.fault)
        if dependencies.kind == "expressions_fulfilled":
            return self._fulfilled(stage, dependencies.expressions)
        for text in dependencies.expressions:
            try:
                if not self._has_results(stage, parse(text)):
                    return False
            except InvalidWorkflow as error:
                raise InvalidWorkflow(f"its dependency {text!r}: {error.message}") from error
        return True

    def _fulfilled(self, stage: OpenStage, expressions: tuple[Json, ...]) -> bool:
        for expression in expressions:
            if not is_expression(expression):
                raise InvalidWorkflow(
                    f"the dependency {expression!r} is not an expression (it needs `expression_type`)"
                )
            if not evaluate(expression, stage.scope, self.graph):
                self._watch_anything(stage)
                return False
        return True

    def _has_results(self, stage: OpenStage, query: Query) -> bool:
        unknown = self._lacking(stage.scope, query)
        if unknown is None:
            self._watch(stage, query)
            return False
        if not unknown:
            return True
        if not query.grows:
            self._watch_anything(stage)
            return False
        stage.blockers = len(unknown)
        for waited_for in unknown:
            waited_for.waiting.append((stage, stage.look))
        return False

    def _lacking(self, scope: Scope, query: Query) -> list[Node] | list[Scope] | None:
        """What a dependency still lacks: nodes without a known result, scopes not done; None: it finds nothing."""
        found = query.find(scope.index)
        if not found:
            return None
        if "_nodeid" in _head(found[0]):
            return [node for node in nodes_found(query.text, scope, self.graph) if not node.known]
        return [below for below in _scopes(found, scope) if not below.done]

    def _watch(self, stage: OpenStage, query: Query) -> None:
        """The query found nothing: look again when a member is added that it may see."""
        if query.roots is None:
            self._watch_anything(stage)
            return
        for name in query.roots:
            if (key := name if query.plain else f"{name}/") not in stage.watches:
                stage.watches.add(key)
                stage.scope.on_member.setdefault(name, []).append(stage)
                if not query.plain:
                    stage.scope.on_below.setdefault(name, []).append(stage)

    def _watch_anything(self, stage: OpenStage) -> None:
        if "" not in stage.watches:
            stage.watches.add("")
            stage.scope.on_anything.append(stage)

    # -- applying ------------------------------------------------------------------------------------------------------
    def _apply(self, stage: OpenStage) -> None:
        scope = stage.scope
        if isinstance(stage.stage, InitStage):
            self._add_init(stage.stage, scope)
            self._touched(scope, stage.stage.name)
            return
        added = False
        for member in members(stage.stage, scope, self.graph, most=self._max_nodes):
            self._add(stage.stage, member, scope)
            added = True
        for key, expression in stage.stage.scheduler.register_values.items():
            if key in scope.values:
                raise InvalidWorkflow(f"the value {key!r} is already registered in this scope")
            scope.values[key] = expression
            self._touched(scope, "")
        if added:
            self._touched(scope, stage.stage.name)

    def _add_init(self, init: InitStage, scope: Scope) -> None:
        self._counted()
        self.fresh.append(
            self.graph.add(
                scope, init.name, name=init.node_name, step=init.step, parameters=init.parameters or {},
                inputs=list(init.inputs), folders=Folders.of(None, list(scope.init_folders)),
            )
        )  # fmt: skip

    def _add(self, stage: Stage, member: Member, scope: Scope) -> None:
        self._counted()
        upstream = [self.graph.nodes[path] for path in dict.fromkeys(record[0] for record in member.inputs)]
        readable: list[str] = []
        for node in upstream:
            readable.extend((node.folders.own,) if node.folders.own is not None else node.folders.others)
        if isinstance(member.body, Workflow):
            self._add_scope(stage, member, member.body, scope, readable)
            return
        if member.parameters is None or isinstance(member.parameters, bool | int | float):
            raise InvalidWorkflow(f"parameters must be a mapping, a list or a string, not {member.parameters!r}")
        own = folder_below(scope.folder, member.name) if self._nest else scope.folder
        self.fresh.append(
            self.graph.add(
                scope, stage.name, name=member.name, step=member.body, parameters=member.parameters or {},
                inputs=member.inputs, folders=Folders.of(own, readable),
            )
        )  # fmt: skip

    def _add_scope(self, stage: Stage, member: Member, workflow: Workflow, scope: Scope, readable: list[str]) -> None:
        listed = scope.index.setdefault(stage.name, [])
        relative = f"/{escape(stage.name)}/{len(listed)}"
        below = scope.subinits.get(member.name) or {}
        below = {"_data": below} if isinstance(below, str) else below
        if below.get("_data"):
            readable = [*readable, below["_data"]]
        inner = Scope(
            f"{scope.offset}{relative}", folder_below(scope.folder, member.name), scope, stage.name,
            index={"_offset": relative}, init_folders=tuple(readable),
            subinits={key: value for key, value in below.items() if key != "_data"},
        )  # fmt: skip
        listed.append(inner.index)
        scope.scopes[relative] = inner
        options = stage.scheduler.workflow_opts
        self._open(
            InitStage(
                f"init_{member.name}", member.parameters, tuple(member.inputs),
                bool(options.get("discover", False)), bool(options.get("relative", True)),
            ),
            inner,
        )  # fmt: skip
        for stage_below in workflow.stages:
            self._open(stage_below, inner)

    def _counted(self) -> None:
        self._members += 1
        if self._members > self._max_nodes:
            raise InvalidWorkflow(f"it would make more than {self._max_nodes} nodes (option max_nodes)")


def _head(value: Any) -> Any:
    """The first member of what a dependency selects, which must be a list of members."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]
    raise InvalidWorkflow("it must name a stage, not a single member of one (leave out the index at the end)")


def _scopes(found: list[Any], scope: Scope) -> list[Scope]:
    scopes = []
    for value in found:
        for member in value:
            if not (isinstance(member, dict) and "_offset" in member):
                raise InvalidWorkflow("it selects nodes and sub-workflows at once")
            scopes.append(scope.below(member["_offset"]))
    return scopes


def _placed(error: InvalidWorkflow, stage: OpenStage) -> InvalidWorkflow:
    details = {key: value for key, value in error.details.items() if key not in ("stage", "faults")}
    return InvalidWorkflow(f"stage {stage.path}: {error.message}", stage=stage.path, **details)
