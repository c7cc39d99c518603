"""A run in memory: answers from a dict of files, jobs that end as they are told; its engine is checked after every event."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from reana_lite.engine import ENGINE_VERSION, Engine
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
    SubmitJob,
    from_row,
    to_row,
)
from reana_lite.workflow.pattern import Tree, glob


@dataclass
class Run:
    """One engine, the events it took, the commands it gave, and the files that are there."""

    engine: Engine = field(default_factory=Engine)
    events: list[Event] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    jobs: dict[str, SubmitJob] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    finish: FinishRun | None = None
    queue: deque[Command] = field(default_factory=deque)

    def take(self, event: Event) -> list[Command]:
        """The engine takes an event, through its JSON form as the log stores it."""
        kind, body = to_row(event)
        stored = from_row(kind, json.loads(json.dumps(body)))
        self.events.append(stored)
        given = self.engine.handle(stored)
        self.commands.extend(given)
        self.queue.extend(given)
        for command in given:
            if isinstance(command, SubmitJob):
                self.jobs[command.node] = command
            elif isinstance(command, FinishRun):
                self.finish = command
        self.engine.check()
        return given

    def start(self, stages: list[Any], init: dict[str, Any] | None = None, **options: Any) -> list[Command]:
        """The first event; `trees`, `discover`, `relative`, `subinits` go to the init data, the rest to the options."""
        data = {key: options.pop(key) for key in ("trees", "discover", "relative", "subinits") if key in options}
        return self.take(RunStarted({"stages": stages}, InitData(init or {}, **data), ENGINE_VERSION, options))

    def answers(self, questions: tuple[Question, ...]) -> dict[str, Any]:
        """What the files say."""
        tree = Tree(self.files)
        answers: dict[str, Any] = {}
        for question in questions:
            if question.kind is QuestionKind.EXISTS:
                answers[str(question)] = tree.exists(question.path)
            elif question.kind is QuestionKind.GLOB:
                answers[str(question)] = glob(question.path, tree)
            elif question.path in self.files:
                answers[str(question)] = {"value": self.files[question.path]}
            else:
                answers[str(question)] = {"error": "no such file"}
        return answers

    def finish_job(self, node: str, *, reused_from: str = "", writes: dict[str, Any] | None = None) -> list[Command]:
        """The job of a node ends well, after writing files (name -> content) into its folder."""
        job = self.jobs[node]
        self.files.update({f"{job.job.folder}/{name}": content for name, content in (writes or {}).items()})
        digest = f"sha256:{node}"
        return self.take(JobFinished(node, f"key{node}", 1, digest, self.answers(job.questions), reused_from))

    def fail_job(self, node: str, message: str = "exit code 1", cause: str = "exit") -> list[Command]:
        """The job of a node fails."""
        job = self.jobs[node]
        return self.take(JobFailed(node, f"key{node}", 1, cause, message, "sha256:x", self.answers(job.questions)))

    def go(
        self, *, failing: tuple[str, ...] = (), writing: dict[str, dict[str, Any]] | None = None, started: bool = True
    ) -> FinishRun:
        """Obeys every command until the run is over; the jobs of `failing` nodes fail, others write `writing`."""
        while self.queue:
            command = self.queue.popleft()
            if isinstance(command, Look) and command in self.engine.outstanding():
                self.take(Looked(command.node, self.answers(command.questions)))
            elif isinstance(command, SubmitJob) and not self.engine.graph.nodes[command.node].ended:
                if started:
                    self.take(JobStarted(command.node, f"key{command.node}", 1))
                if command.node in failing:
                    self.fail_job(command.node)
                else:
                    self.finish_job(command.node, writes=(writing or {}).get(command.node))
        assert self.finish is not None, f"the run hangs: {self.engine.outstanding()}"
        return self.finish

    @property
    def nodes(self) -> dict[str, Any]:
        """The nodes of the snapshot."""
        nodes: dict[str, Any] = self.engine.snapshot()["nodes"]
        return nodes

    def results(self) -> dict[str, Any]:
        """Results by node path."""
        return {path: node["result"] for path, node in self.nodes.items()}

    def states(self) -> dict[str, str]:
        """States by node path."""
        return {path: node["state"] for path, node in self.nodes.items()}

    def replayed(self) -> Run:
        """Another run that takes the same events."""
        other = Run()
        for event in self.events:
            other.take(event)
        return other
