"""One run as a machine: events in, commands out.

`handle(event)` takes a fact and gives the commands that follow from it; replaying the events of a log gives the same
graph, the same job specs, and `outstanding()` tells what was commanded and not answered. No clock, no thread, no file,
no network. The worker calls it; what the language means is in reana_lite.workflow.

Options of RunStarted: `nest` (default true; false: all nodes use the top folder), `disable_prepub` (default false;
true: no result is known before its node has run), `max_nodes` (default 200000).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from reana_lite.errors import Conflict, InvalidWorkflow
from reana_lite.event import (
    Command,
    Event,
    FinishRun,
    InitData,
    JobFailed,
    JobFinished,
    JobStarted,
    Look,
    Looked,
    Question,
    QuestionKind,
    RunStarted,
    RunState,
    StopJob,
    StopRequested,
    SubmitJob,
)
from reana_lite.job import INIT_ROOT, Input, JobSpec
from reana_lite.workflow import step as steps
from reana_lite.workflow.folder import FolderIndex, tidy
from reana_lite.workflow.graph import Graph, Node, NodeKind, NodeState
from reana_lite.workflow.layout import InitStage, Layout
from reana_lite.workflow.lookup import FileKnowledge, Unknown
from reana_lite.workflow.publisher import known_in_advance
from reana_lite.workflow.snapshot import snapshot
from reana_lite.workflow.spec import Stage, Workflow
from reana_lite.workflow.value import Json, decoded, escape

ENGINE_VERSION = 1
"""Raised when the same events may give another graph than before."""

MAX_NODES = 200_000


class Engine:
    """One run. `state` is running until a FinishRun was given; then nothing changes any more."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.layout = Layout(self.graph)
        self.state = RunState.CREATED
        self.error = ""
        self.init = InitData()
        self._options: dict[str, Any] = {}
        self._submitted: dict[str, SubmitJob] = {}
        self._looks: dict[str, Look] = {}
        self._predicting: set[str] = set()
        self._files = FileKnowledge(self.graph)
        self._trees: FolderIndex[Input] = FolderIndex(INIT_ROOT)
        self._ready: list[Node] = []
        self._commands: list[Command] = []
        self._jobs = dict.fromkeys(("total", "submitted", "running", "finished", "reused", "failed"), 0)

    # -- events --------------------------------------------------------------------------------------------------------
    def handle(self, event: Event) -> list[Command]:
        """Takes one event; the commands that follow from it, in order.

        Raises Conflict for an event that cannot happen now (another start, a node without a job).
        """
        if isinstance(event, RunStarted):
            self._start(event)
        elif self.state is RunState.CREATED:
            raise Conflict(f"the first event of a run must be RunStarted, not {type(event).__name__}")
        elif self.state is not RunState.RUNNING:
            return []
        elif isinstance(event, StopRequested):
            self._finish(RunState.STOPPED, f"stopped by {event.by}" if event.by else "stopped")
        elif isinstance(event, Looked):
            self._looked(event)
        else:
            self._job_event(event)
        commands, self._commands = self._commands, []
        return commands

    def outstanding(self) -> list[Command]:
        """What was commanded and not answered yet, to be issued again after a replay."""
        if self.state in (RunState.CREATED, RunState.RUNNING):
            return [*self._submitted.values(), *self._looks.values()]
        return [*(StopJob(path) for path in self._submitted), FinishRun(self.state, self.error)]

    def _start(self, event: RunStarted) -> None:
        if self.state is not RunState.CREATED:
            raise Conflict("the run has started already")
        if event.engine_version != ENGINE_VERSION:
            raise Conflict(
                f"the run was started by an engine of version {event.engine_version}; this one has version "
                f"{ENGINE_VERSION} and may lay out another graph"
            )
        self.state = RunState.RUNNING
        self.init, self._options = event.init, event.options
        self.layout = Layout(
            self.graph,
            nest=bool(event.options.get("nest", True)),
            max_nodes=int(event.options.get("max_nodes", MAX_NODES)),
        )
        self._guarded(lambda: self._open(Workflow.from_json(event.workflow)))

    def _open(self, workflow: Workflow) -> None:
        init = None
        if self.init.parameters:
            init = InitStage("init", decoded(self.init.parameters), (), self.init.discover, self.init.relative)
        for tree in self.init.trees:
            self._trees.add(tidy(tree.folder), tree)
        self.layout.start(workflow, init, init_folders=(INIT_ROOT,), subinits=self.init.subinits)
        self._advance()

    def _job_event(self, event: JobStarted | JobFinished | JobFailed) -> None:
        node = self.graph.nodes.get(event.node)
        if node is None or event.node not in self._submitted:
            raise Conflict(f"{type(event).__name__} for {event.node}, which has no job that is not ended")
        node.key, node.attempt = event.key, event.attempt
        if isinstance(event, JobStarted):
            self._count("running", node.state is NodeState.SUBMITTED)
            node.state = NodeState.RUNNING
            return
        del self._submitted[event.node]
        self._count("running", -(node.state is NodeState.RUNNING))
        self._files.answered(node, event.answers)
        node.filled = True
        node.digest = event.digest
        if isinstance(event, JobFinished):
            node.reused_from = event.reused_from
            self._guarded(lambda: self._job_finished(node))
        else:
            self._guarded(lambda: self._job_failed(node, event))

    def _job_finished(self, node: Node) -> None:
        self._count("reused", bool(node.reused_from))
        self._publish(node)
        self._advance()

    def _job_failed(self, node: Node, event: JobFailed) -> None:
        self._fail(node, event.message or f"the job failed ({event.cause})", cause=event.cause)
        if node.known and event.answers:  # it may look at files that are there although the job failed
            self._now_known(node, self._files.evaluate(node).result)
        self._advance()

    def _looked(self, event: Looked) -> None:
        look = self._looks.pop(event.node, None)
        if look is None:
            raise Conflict(f"Looked for {event.node}, which has not asked anything")
        missing = [str(question) for question in look.questions if str(question) not in event.answers]
        if missing:
            self._looks[event.node] = look
            raise Conflict(f"Looked for {event.node} does not answer {missing[0]}")
        node = self.graph.nodes[event.node]
        self._predicting.discard(node.path)
        self._files.answered(node, event.answers)

        def go_on() -> None:
            if node.state is NodeState.SUBMITTED:
                self._publish(node)
            else:
                self._predict(node)
            self._advance()

        self._guarded(go_on)

    # -- looking at it -------------------------------------------------------------------------------------------------
    def progress(self) -> dict[str, int]:
        """Counts of nodes with a job: total, submitted so far, running, finished, reused among these, failed."""
        return dict(self._jobs)

    def folder(self, node: str) -> str:
        """The virtual folder of a node; raises KeyError if there is no such node or it has none."""
        own = self.graph.nodes[node].folders.own
        if own is None:
            raise KeyError(node)
        return own

    def promised(self, node: str) -> list[str]:
        """The paths below its own folder that a node is known to publish before it has run."""
        found = self.graph.nodes[node]
        own = found.folders.own
        return [] if own is None or not found.known else sorted(set(_below(found.result, own + "/")))

    def outputs(self, stage: str) -> list[Json]:
        """The known results of the nodes of a stage in order; `stage` is a name, or a path into sub-workflows."""
        listed = self.layout.top.index.get(stage)
        if listed is None:
            found = [node for node in self.graph.nodes.values() if f"{node.scope.offset}/{escape(node.stage)}" == stage]
        else:
            found = [self.graph.nodes[member["_nodeid"]] for member in listed if "_nodeid" in member]
        return [node.result for node in found if node.known]

    def snapshot(self) -> dict[str, Any]:
        """Everything about the run as one plain document (see workflow/snapshot.py), with its state and error."""
        return {"state": str(self.state), "error": self.error, **snapshot(self.graph, self.layout)}

    def check(self) -> None:
        """Raises AssertionError unless all invariants hold; costs as much as the graph is large."""
        if self.state is RunState.CREATED:
            return
        assert not self._commands, "commands were not given out"
        self.graph.check()
        jobs = [node for node in self.graph.nodes.values() if node.kind is NodeKind.JOB]
        count = {state: sum(node.state is state for node in jobs) for state in NodeState}
        assert self._jobs["finished"] == count[NodeState.FINISHED]
        assert self._jobs["failed"] == count[NodeState.FAILED]
        assert self._jobs["running"] == sum(self.graph.nodes[p].state is NodeState.RUNNING for p in self._submitted)
        assert self._jobs["reused"] == sum(bool(node.reused_from) for node in jobs)
        if self.state is not RunState.RUNNING:
            return
        self.layout.check()
        assert self._submitted or self._looks, "the run goes on but nothing is under way"
        assert self._jobs["total"] == len(jobs)
        assert self._predicting <= set(self._looks)
        assert self.layout.idle or self._predicting, "stages wait to be looked at"
        for node in self.graph.nodes.values():
            waits = node.unmet > 0 or node.doomed or node.path in self._looks or node.path in self._submitted
            assert node.ended or waits, f"{node.path} could run"

    # -- going on ------------------------------------------------------------------------------------------------------
    def _guarded(self, change: Any) -> None:
        """Does it; an error of the language ends the run."""
        try:
            change()
        except InvalidWorkflow as error:
            self._finish(RunState.FAILED, error.message)
        except RecursionError:
            self._finish(RunState.FAILED, "a value of the workflow is nested too deeply")

    def _advance(self) -> None:
        """Lays out and submits until nothing more follows from what is known, then sees whether the run is over.

        While a prediction waits for an answer about files no stage is applied.
        """
        while True:
            while not (self._predicting or self.layout.idle):
                self._round()
            if not self._ready:
                break
            ready, self._ready = self._ready, []
            for node in ready:
                self._run(node)
        if not (self._submitted or self._looks):
            self._end()

    def _round(self) -> None:
        self.layout.round()
        fresh, self.layout.fresh = self.layout.fresh, []
        for node in fresh:
            if node.kind is NodeKind.JOB:
                self._count("total")
            if not self._options.get("disable_prepub", False):
                self._predict(node)
            if node.unmet == 0 and not node.doomed:
                self._ready.append(node)

    def _end(self) -> None:
        failed = [node for node in self.graph.nodes.values() if node.state is NodeState.FAILED]
        if not failed:
            self._finish(RunState.FINISHED, self._nothing_done())
            return
        named = ", ".join(f"{node.path} ({node.failure})" for node in failed[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        self._finish(RunState.FAILED, f"workflow finished but failed: {named}{more}")

    def _nothing_done(self) -> str:
        """Why a run has succeeded in doing nothing at all; "" if it has done something, or there was nothing to do."""
        idle = [one.stage for one in self.layout.open_stages() if isinstance(one.stage, Stage)]
        if self._jobs["total"] or not idle:
            return ""
        names = ", ".join(stage.name for stage in idle[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")
        if not self.init.parameters and any("init" in stage.dependencies.expressions for stage in idle):
            return (
                f"nothing was computed: no parameters or input files were given, and the stages wait for them ({names})"
            )
        return f"nothing was computed: what the stages wait for did not come about ({names})"

    def _finish(self, state: RunState, error: str) -> None:
        self.state, self.error = state, error
        self._commands = [command for command in self._commands if not isinstance(command, SubmitJob | Look)]
        self._commands.extend(StopJob(path) for path in self._submitted)
        self._commands.append(FinishRun(state, error))

    # -- nodes ---------------------------------------------------------------------------------------------------------
    def _predict(self, node: Node) -> None:
        """The result of a node before it has run, if it can be known; asks about files that are there already."""
        try:
            if node.values is None:
                node.values = steps.contextualised(node.parameters, node.folders)
            if not known_in_advance(node.step.publisher, node.folders):
                return
            evaluation = self._files.evaluate(node)
        except InvalidWorkflow as error:
            raise InvalidWorkflow(f"node {node.path}: {error.message}", node=node.path) from error
        node.fixed = evaluation.fixed
        if evaluation.asked:
            self._predicting.add(node.path)
            self._look(node, evaluation.asked)
        else:
            self._now_known(node, evaluation.result)

    def _run(self, node: Node) -> None:
        """A node whose parents have all finished: submits its job, or publishes if it has none."""
        node.state = NodeState.SUBMITTED
        self._files.forget_volatile(node)
        try:
            if node.values is None:
                node.values = steps.contextualised(node.parameters, node.folders)
            job = None if node.kind is NodeKind.PURE else steps.prepared(node.step, node.values, node.folders)
        except InvalidWorkflow as error:
            if node.kind is NodeKind.PURE:
                raise InvalidWorkflow(f"node {node.path}: {error.message}", node=node.path) from error
            self._fail(node, error.message)
            return
        if job is None:
            self._publish(node)
            return
        questions = () if node.fixed else _questions(self._files.questions(node))
        command = SubmitJob(node.path, job, self._inputs(node, job), questions)
        self._submitted[node.path] = command
        self._commands.append(command)
        self._count("submitted")

    def _publish(self, node: Node) -> None:
        """The result of a node that has ended well; it fails if its publisher does."""
        if not node.fixed:
            try:
                evaluation = self._files.evaluate(node)
            except InvalidWorkflow as error:
                if node.kind is NodeKind.PURE:
                    raise InvalidWorkflow(f"node {node.path}: {error.message}", node=node.path) from error
                self._fail(node, error.message)
                return
            if evaluation.asked and node.kind is NodeKind.JOB:
                self._fail(node, f"the question {':'.join(evaluation.asked[0])} of its publisher was not answered")
                return
            if evaluation.asked:
                self._look(node, evaluation.asked)
                return
            self._now_known(node, evaluation.result)
        node.values = None
        if node.kind is NodeKind.JOB:
            self._count("finished")
        self._ready.extend(self.graph.finish(node))
        for looker in self._files.ended(node):
            if looker.state is NodeState.DEFINED and looker.path not in self._looks:
                self._predict(looker)

    def _fail(self, node: Node, failure: str, *, cause: str = "") -> None:
        self.graph.fail(node, failure, cause=cause)
        if node.kind is NodeKind.JOB:
            self._count("failed")

    def _now_known(self, node: Node, result: Json) -> None:
        if not node.known:
            node.known, node.result = True, result
            self.layout.now_known(node)
        elif node.result != result:
            node.result = result
            self.layout.changed(node)

    def _count(self, name: str, by: int = 1) -> None:
        self._jobs[name] += by

    # -- files ---------------------------------------------------------------------------------------------------------
    def _look(self, node: Node, asked: Iterable[Unknown]) -> None:
        if node.path not in self._looks:
            command = Look(node.path, _questions(asked))
            self._looks[node.path] = command
            self._commands.append(command)

    def _inputs(self, node: Node, job: JobSpec) -> tuple[Input, ...]:
        """The folders a job reads, by path: ancestors and init trees whose folders occur in its texts."""
        texts = job.texts()
        inputs = [
            Input(other.folders.own, other.key, other.attempt, other.digest)
            for other in self.graph.inputs_named(node, texts)
            if other.key and other.folders.own is not None and other.state is NodeState.FINISHED
        ]
        named = self._trees.named(texts)
        trees = {tree.folder: tree for tree in named.items.values()}
        for place in named.parents.values():
            trees.update((tree.folder, tree) for tree in place.everything())
        inputs.extend(trees.values())
        return tuple(sorted(inputs, key=lambda tree: tree.folder))


def _below(value: Json, prefix: str) -> Iterator[str]:
    """The texts in a value that begin so."""
    if isinstance(value, str):
        if value.startswith(prefix):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _below(inner, prefix)
    elif isinstance(value, list):
        for inner in value:
            yield from _below(inner, prefix)


def _questions(asked: Iterable[Unknown]) -> tuple[Question, ...]:
    return tuple(Question(QuestionKind(lookup.value), path) for lookup, path in asked)
