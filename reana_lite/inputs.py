"""What steps do to their inputs, and how it is kept that nothing which another run reuses is ever changed.

The language lets a step write into the folders it reads, and processes of this machine cannot be kept from it. The
backend finds out afterwards; then the run itself must see what was written, and nobody may reuse it. But what another run
shows must stay as it is, so it is copied aside *before* a step may touch it: each run gets a place of its own for such an
input (at most one copy per run and input, sharing blocks where the file system can).

Hardly any step does that, so copies are made only for steps that are not known yet: the first time that a step of a
template (its texts without virtual paths and numbers) has ended well and left its inputs alone, the template is noted in
the database, and from then on its jobs read shared places directly, under watch (a backend does not watch inputs with
thousands of entries: nothing is learned of them). The worker calls this; no job is started here. Where steps get
copies of their own from a bucket, nothing has to be copied aside: what a step has changed is kept as a place of the run
(JobOutcome.details `kept_inputs`: {"KEY/ATTEMPT": [key, attempt, digest]}).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from reana_lite.database import Database, Transaction, jobs
from reana_lite.drive import Drive
from reana_lite.errors import NotFound, Unavailable
from reana_lite.event import SubmitJob
from reana_lite.job import Cause, Input, JobOutcome, JobSpec, JobState
from reana_lite.storage.base import Storage
from reana_lite.storage.local import LocalStorage

_VIRTUAL = re.compile(r"/reana-lite/(?:run|init)[^\s'\";|&<>()]*")
_NUMBER = re.compile(r"[0-9]+")


def template(job: JobSpec, *, writable: bool = False) -> str:
    """A name for all jobs that do the same: a digest of the texts without virtual paths and numbers.

    A container that was not let write (`writable` False) tells nothing of one that is.
    """
    texts = [_NUMBER.sub("#", _VIRTUAL.sub("@", text)) for text in (*job.texts(), job.environment.image)]
    if writable and job.environment.image:
        texts.append("writable")
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:32]


def own_key(run: str, tree: Input) -> str:
    """The key of the place that is a run's own copy of an input (attempt 1)."""
    return f"{run}-{tree.key}-{tree.attempt}"


def owner_of(key: str) -> str:
    """The run whose own copy a place is; "" for the outputs of jobs, which everybody may reuse."""
    run, dash, _ = key.partition("-")
    return run if dash else ""


class Inputs:
    """The inputs of the jobs of one worker. See the module."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self.storage = storage
        self._in_place = isinstance(storage, LocalStorage)
        self._harmless = jobs.harmless_templates(database)
        self._noted: list[str] = []

    def to_copy(self, transaction: Transaction, begun: Iterable[tuple[Drive, SubmitJob]]) -> list[tuple[Drive, Input]]:
        """The inputs of jobs about to begin that are to be copied aside first. Reads no storage."""
        if not self._in_place:
            return []
        wanted: dict[str, tuple[Drive, dict[tuple[str, int], Input]]] = {}
        for drive, submit in begun:
            if self._is_harmless(drive, submit):
                continue
            for tree in bound(drive, submit):
                if not owner_of(tree.key):
                    wanted.setdefault(drive.run, (drive, {}))[1][tree.key, tree.attempt] = tree
        found = []
        for run, (drive, trees) in wanted.items():
            shared = jobs.shared_places(transaction, list(trees), besides=run)
            found += [(drive, tree) for place, tree in trees.items() if place[1] == 0 or place in shared]
        return found

    def look_again(self, drive: Drive, submit: SubmitJob) -> None:
        """See what an earlier attempt at a job may have done to its inputs, before it is tried again."""
        if not self._in_place or self._is_harmless(drive, submit):
            return
        for tree in bound(drive, submit):
            if not owner_of(tree.key):
                try:
                    self._look_again(drive, tree)
                except Unavailable as error:
                    drive.trouble = error
                    return

    def _is_harmless(self, drive: Drive, submit: SubmitJob) -> bool:
        return not submit.inputs or template(submit.job, writable=drive.writable_inputs) in self._harmless

    def copy(self, run: str, tree: Input) -> Input | None:
        """A place of a run's own for an input (to be bound by Drive.rebind); safe to call from another thread.

        One that is gone gives None and stays as it is: the step will say so.
        """
        key = own_key(run, tree)
        try:
            digest = self.storage.clone(tree.key, tree.attempt, key)
        except NotFound:
            return None
        return Input(tree.folder, key, 1, digest)

    def ended(self, drive: Drive, submit: SubmitJob, outcome: JobOutcome) -> list[tuple[str, int]]:
        """Take note of what a job of `drive` did to its inputs; gives places that nobody may reuse any more."""
        if not submit.inputs:
            return []
        told = set(outcome.details.get("changed_inputs", ()))
        watched = not outcome.details.get("unwatched_inputs")
        name = template(submit.job, writable=drive.writable_inputs)
        untold = outcome.state is JobState.STOPPED or outcome.cause is Cause.LOST
        if not told and not untold:
            if outcome.state is JobState.FINISHED and name not in self._harmless and watched:
                self._harmless.add(name)
                self._noted.append(name)
            return []
        if untold and name in self._harmless:
            return []
        self._harmless.discard(name)
        kept = outcome.details.get("kept_inputs", {})
        spoiled = []
        for tree in bound(drive, submit):
            if place := kept.get(f"{tree.key}/{tree.attempt}"):
                drive.rebind(tree, Input(tree.folder, *place))
            elif not self._in_place:
                continue
            elif (tree.folder in told or untold) and tree.attempt and self._look_again(drive, tree):
                spoiled.append((tree.key, tree.attempt))
        return [place for place in spoiled if not owner_of(place[0])]

    def write(self, transaction: Transaction) -> None:
        """Keep what was learned."""
        if self._noted:
            jobs.note_harmless(transaction, self._noted)
            self._noted = []

    def _look_again(self, drive: Drive, tree: Input) -> bool:
        """Whether a place holds something else than is known of it; the run sees that from now on."""
        try:
            digest = self.storage.rescan(tree.key, tree.attempt)
        except NotFound:
            return False
        if digest == tree.digest:
            return False
        drive.rebind(tree, Input(tree.folder, tree.key, tree.attempt, digest))
        return True


def bound(drive: Drive, submit: SubmitJob) -> tuple[Input, ...]:
    """The inputs of a job where this run has them, with what they hold now."""
    if not drive.bound:
        return submit.inputs
    return tuple(drive.bound.get((tree.folder, tree.key, tree.attempt), tree) for tree in submit.inputs)
