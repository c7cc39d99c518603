"""One run in the hands of a worker: its engine, the events not yet in the log, the jobs it waits for.

Turns events into the engine's commands, answers its questions from the run's workspace, and keeps what the worker has to
write and to do. It starts no job and writes no record itself; only worker.py uses it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from reana_lite.backends.base import StandIn
from reana_lite.engine import Engine
from reana_lite.errors import Conflict, Damaged, ReanaLiteError, Unavailable
from reana_lite.event import (
    Event,
    FinishRun,
    JobFailed,
    JobFinished,
    Look,
    Looked,
    RunStarted,
    RunState,
    StopJob,
    SubmitJob,
    from_row,
    to_row,
)
from reana_lite.job import RUN_ROOT, Input, JobOutcome, Secret
from reana_lite.serial import SerialEngine
from reana_lite.storage.base import Storage
from reana_lite.workflow.pattern import glob
from reana_lite.workspace import Workspace

log = logging.getLogger(__name__)


LOST_LIMIT = 2
"""How often a job is computed again whose outputs were gone as soon as they were there."""


@dataclass(slots=True)
class NodeRow:
    """Where a node's job stands, as the database shows it."""

    key: str
    attempt: int
    state: str
    reused_from: str = ""


@dataclass(slots=True)
class Drive:
    """See the module. `salt`, `stand_ins`, `strict`, `writable_inputs` are the run's own options (RunStarted.options);
    with `strict` a step must make the files it publishes. `trouble`: storage did not tell what the run needs to go on: what
    is decided from then on is not written, and the run is read from its log again later. `damaged`:
    places that storage has lost, to be forgotten; `lost`: how often that befell a node. `bound`: where this run has an input
    by now, if not where the engine thinks. `later`: jobs to be tried again, from when on (the worker's clock). `secret_names`
    are what its steps may know (None: all of the owner's); their values come from the worker."""

    run: str
    epoch: int
    storage: Storage
    host: bool = False
    engine: Engine | SerialEngine = field(default_factory=Engine)
    seq: int = 0
    fresh: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    owner: str = ""
    priority: int = 0
    queue: deque[SubmitJob] = field(default_factory=deque)
    later: list[tuple[float, SubmitJob]] = field(default_factory=list)
    waiting: dict[str, SubmitJob] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    nodes: dict[str, NodeRow] = field(default_factory=dict)
    finish: FinishRun | None = None
    broken: bool = False
    trouble: Unavailable | None = None
    damaged: list[tuple[str, int]] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    salt: str = ""
    stand_ins: dict[str, StandIn] = field(default_factory=dict)
    strict: bool = False
    writable_inputs: bool = False
    secret_names: tuple[str, ...] | None = ()
    secrets: tuple[Secret, ...] = ()
    bound: dict[tuple[str, str, int], Input] = field(default_factory=dict)
    rebound: list[list[Any]] = field(default_factory=list)
    workspace: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.workspace = Workspace(self.storage, host=self.host)

    def take(self, *events: Event) -> None:
        """Let the engine handle events, and all that follows from them at once, in order."""
        pending = deque(events)
        while pending and not self.broken and self.trouble is None:
            event = pending.popleft()
            try:
                self.show(event)
                row = to_row(event)
                follow_ups = self._obey(self.engine.handle(event))
            except Unavailable as error:
                self.trouble = error
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the other runs of the worker go on
                self._note_damage(error)
                self.broke(error)
                return
            self.fresh.append(row)
            pending.extend(follow_ups)

    def broke(self, error: Exception) -> None:
        """The run cannot go on, by a fault of this program or of its files: it has failed, and nobody waits for its jobs."""
        log.error("%s: it cannot go on", self.run, exc_info=error)
        said = error.message if isinstance(error, ReanaLiteError) else f"{type(error).__name__}: {error}"
        self._end(RunState.FAILED, f"the run could not be driven any further: {said}")

    def cut_off(self) -> None:
        """The run is stopped without asking its engine, which lacks what it needs from storage."""
        self.fresh.clear()
        self._end(RunState.STOPPED, "")

    def _end(self, state: RunState, error: str) -> None:
        self.broken = True
        self.trouble = None
        self.finish = FinishRun(state, error)
        self.released += [*self.waiting, *(submit.node for submit in self.queue)]
        self.queue.clear()
        self.later.clear()

    def replay(self, rows: Iterable[tuple[int, str, dict[str, Any]]]) -> None:
        """Bring the engine to where the log left it, and take up what was under way."""
        for seq, kind, body in rows:
            event = _event(seq, kind, body)
            self.show(event)
            self.engine.handle(event)
            self.seq = seq + 1
        try:
            follow_ups = self._obey(self.engine.outstanding())
        except Unavailable as error:
            self.trouble = error
            return
        self.take(*follow_ups)

    @property
    def key_salt(self) -> str:
        """What keeps apart what must not be shared: the run's salt and which secrets its steps know."""
        if not self.secrets:
            return self.salt
        return "|".join([self.salt, *(f"{secret.name}={secret.identity}" for secret in self.secrets)])

    def withdraw(self, nodes: set[str]) -> None:
        """These nodes do not want to begin any more."""
        self.queue = deque(submit for submit in self.queue if submit.node not in nodes)
        self.later = [(due, submit) for due, submit in self.later if submit.node not in nodes]

    def due(self, now: float) -> None:
        """What was to be tried again later, and is due, goes to the front of the queue."""
        for _, submit in (ready := [one for one in self.later if one[0] <= now]):
            self.queue.appendleft(submit)
        if ready:
            self.later = [one for one in self.later if one[0] > now]

    def written(self) -> None:
        """The fresh events and node rows are in the database now."""
        self.seq += len(self.fresh)
        self.fresh.clear()
        self.nodes.clear()

    def finished_job(self, submit: SubmitJob, key: str, attempt: int, *, digest: str, reused_from: str) -> None:
        """A node's job has succeeded, here or long ago."""
        self.waiting.pop(submit.node, None)
        self.nodes[submit.node] = NodeRow(key, attempt, "finished", reused_from)
        try:
            self.workspace.place(Input(submit.job.folder, key, attempt, digest))
            answers = self.workspace.answer(submit.questions)
        except Unavailable as error:
            self.trouble = error
            return
        except Exception as error:  # noqa: BLE001 - as in `take`
            place = self._note_damage(error)
            if place == (key, attempt) and self._again(submit, place):
                return
            self.broke(error)
            return
        self.take(JobFinished(submit.node, key, attempt, digest, answers, reused_from, self._moved()))

    def _note_damage(self, error: Exception) -> tuple[str, int] | None:
        """What storage has lost is forgotten by the worker, so that whoever needs it next computes it again."""
        if not isinstance(error, Damaged) or not error.details.get("key"):
            return None
        place = str(error.details["key"]), int(error.details["attempt"])
        self.damaged.append(place)
        return place

    def _again(self, submit: SubmitJob, place: tuple[str, int]) -> bool:
        """Compute a job again whose outputs are gone already; False if that has been tried often enough."""
        self.lost[submit.node] = self.lost.get(submit.node, 0) + 1
        if self.lost[submit.node] > LOST_LIMIT:
            return False
        self.workspace.remove(submit.job.folder, place)
        self.nodes[submit.node] = NodeRow("", 0, "queued")
        self.queue.appendleft(submit)
        return True

    def failed_job(self, submit: SubmitJob, key: str, attempt: int, *, outcome: JobOutcome) -> None:
        """A node's job has failed for good."""
        self.waiting.pop(submit.node, None)
        self.nodes[submit.node] = NodeRow(key, attempt, "failed")
        cause = str(outcome.cause or outcome.state)
        event = JobFailed(submit.node, key, attempt, cause, outcome.message, outcome.digest, moved=self._moved())
        self.take(event)

    def missing_outputs(self, submit: SubmitJob, key: str, attempt: int) -> list[str]:
        """What the node is known to publish from its own folder and has not made, as paths in the workspace."""
        if not self.strict or isinstance(self.engine, SerialEngine):
            return []
        promised = self.engine.promised(submit.node)
        if not promised:
            return []
        made = Workspace(self.storage)
        try:
            made.place(Input(submit.job.folder, key, attempt, ""))
            return self._not_made(promised, made)
        except Unavailable as error:
            self.trouble = error
        except OSError as error:
            self.broke(error)
        return []

    @staticmethod
    def _not_made(promised: Iterable[str], made: Workspace) -> list[str]:
        return [path[len(RUN_ROOT) + 1 :] for path in promised if not (made.exists(path) or glob(path, made))]

    def rebind(self, tree: Input, place: Input) -> None:
        """From now on this run has an input elsewhere, or the same place holds something else."""
        self._rebind([tree.folder, tree.key, tree.attempt, place.key, place.attempt, place.digest])
        self.rebound.append([tree.folder, tree.key, tree.attempt, place.key, place.attempt, place.digest])

    def _rebind(self, row: Sequence[Any]) -> None:
        folder, key, attempt, new_key, new_attempt, digest = row
        place = Input(folder, new_key, new_attempt, digest)
        for origin, known in self.bound.items():
            if (known.folder, known.key, known.attempt) == (folder, key, attempt):
                self.bound[origin] = place
        self.bound[folder, key, attempt] = place
        self.workspace.replace(folder, (key, attempt), (new_key, new_attempt))

    def _moved(self) -> list[list[Any]]:
        """What was bound anew since the last event that says so."""
        moved, self.rebound = self.rebound, []
        return moved

    def folders(self) -> Iterator[tuple[str, str, int]]:
        """(virtual folder, key, attempt) of every finished node; of a serial run only the newest, which is all of it."""
        if isinstance(self.engine, SerialEngine):
            if self.engine.tree is not None:
                yield RUN_ROOT, self.engine.tree.key, self.engine.tree.attempt
            return
        for node, (key, attempt) in self.places.items():
            folder = self.engine.folder(node)
            place = self.bound.get((folder, key, attempt))
            yield (folder, key, attempt) if place is None else (folder, place.key, place.attempt)

    def show(self, event: Event) -> None:
        """Keep the workspace in step with what an event says about files."""
        if isinstance(event, RunStarted):
            if event.options.get("engine") == "serial":
                self.engine = SerialEngine()
            for tree in event.init.trees:
                self.workspace.place(tree)
            self.salt = str(event.options.get("salt", ""))
            names = event.options.get("secrets", ())
            self.secret_names = None if names is True else tuple(names or ())
            self.strict = bool(event.options.get("strict", False))
            self.writable_inputs = bool(event.options.get("writable_inputs", False))
            self.stand_ins = {image: StandIn(image, lock) for image, lock in event.options.get("stand_ins", {}).items()}
        elif isinstance(event, JobFinished):
            folder = self.engine.folder(event.node)
            self.places[event.node] = (event.key, event.attempt)
            self.workspace.place(Input(folder, event.key, event.attempt, event.digest))
        if isinstance(event, JobFinished | JobFailed):
            for row in event.moved:
                self._rebind(row)

    def _obey(self, commands: Sequence[object]) -> list[Event]:
        """Do what needs no backend; keep the rest. Gives the events that follow at once."""
        follow_ups: list[Event] = []
        for command in commands:
            match command:
                case SubmitJob():
                    self.queue.append(command)
                case Look():
                    follow_ups.append(Looked(command.node, self.workspace.answer(command.questions)))
                case StopJob():
                    self.released.append(command.node)
                case FinishRun():
                    self.finish = command
        return follow_ups


def _event(seq: int, kind: str, body: dict[str, Any]) -> Event:
    try:
        return from_row(kind, body)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Conflict(f"event {seq} of the run's log ({kind}) is none that this version can read") from error


def replayed(run: str, rows: Iterable[tuple[int, str, dict[str, Any]]], storage: Storage) -> Drive:
    """A run as its log tells it, for looking only: nothing that is under way is taken up."""
    drive = Drive(run, 0, storage)
    for seq, kind, body in rows:
        event = _event(seq, kind, body)
        drive.show(event)
        drive.engine.handle(event)
    if isinstance(drive.engine, SerialEngine) and drive.engine.tree is not None:
        drive.workspace = Workspace(storage)
        tree = drive.engine.tree
        drive.workspace.place(Input(RUN_ROOT, tree.key, tree.attempt, tree.digest))
    return drive
