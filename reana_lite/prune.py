"""Makes room: removes kept outputs and kept trees that nobody needs any more, records first, so that nothing names what is
gone.

Never taken: what an unfinished run or an uploaded workspace names, or a worker is executing; by default, what a finished run
names either. Kept trees (input files, which nothing can make again) go only if nothing at all names them, no run however old
it is, no workspace and no uploaded theory, and if nobody has kept them for a day: who submits keeps files first and names
them in the run's record afterwards.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from reana_lite.database import Database, upkeep, workspaces
from reana_lite.inputs import owner_of
from reana_lite.storage.base import Storage

TREE_AGE_S = 86400.0
"""For how long a kept tree stays that nothing names (seconds): far longer than a submission takes."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """One place that went, and what it took (bytes)."""

    key: str
    attempt: int
    size_bytes: int


def prune(
    database: Database, storage: Storage, *, before: float, keep_runs: bool = True, dry_run: bool = False
) -> list[Pruned]:
    """Remove outputs made before that moment (UTC seconds), places without a record, and trees that nothing names; gives
    what went."""
    places = list(storage.places())  # first: what is made after this look is not looked at
    named = upkeep.places_of_runs(database, unfinished_only=not keep_runs) | workspaces.places(database)
    trees = upkeep.trees_named(database)
    recent = upkeep.ended_since(database, before)
    kept_runs = upkeep.runs_by_id(database, unfinished_only=not keep_runs)
    gone: list[Pruned] = []
    for key, attempt in places:
        if attempt == 0:
            if (key, 0) in trees or not _is_old(storage, key, before):
                continue
        elif owner_of(key) in kept_runs or (key, attempt) in named or (key, attempt) in recent:
            continue
        if attempt and not dry_run and not upkeep.forget_job(database, key, attempt, keep_runs=keep_runs):
            continue
        gone.append(Pruned(key, attempt, storage.size_bytes(key, attempt)))
        if not dry_run and (attempt or _is_old(storage, key, before)):
            storage.remove(key, attempt)
    return gone


def _is_old(storage: Storage, key: str, before: float) -> bool:
    """Whether nobody has kept a tree since that moment, nor for a day."""
    kept_at = storage.kept_at(key)
    return kept_at is None or kept_at < min(before, time.time() - TREE_AGE_S)
