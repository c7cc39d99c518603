"""Makes room: removes kept outputs that nobody needs any more, records first, so that nothing names what is gone.

Never taken: what an unfinished run or an uploaded workspace names, or a worker is executing; by default, what a finished run
names either.
"""

from __future__ import annotations

from dataclasses import dataclass

from reana_lite.database import Database, workspaces
from reana_lite.inputs import owner_of
from reana_lite.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Pruned:
    """One place that went, and what it took (bytes)."""

    key: str
    attempt: int
    size_bytes: int


def prune(
    database: Database, storage: Storage, *, before: float, keep_runs: bool = True, dry_run: bool = False
) -> list[Pruned]:
    """Remove outputs made before that moment (UTC seconds) and places without a record; gives what went."""
    places = list(storage.places())  # first: what is made after this look is not looked at
    named = database.places_of_runs(unfinished_only=not keep_runs) | workspaces.places(database)
    recent = database.ended_since(before)
    kept_runs = database.runs_by_id(unfinished_only=not keep_runs)
    gone: list[Pruned] = []
    for key, attempt in places:
        if attempt == 0 or owner_of(key) in kept_runs or (key, attempt) in named or (key, attempt) in recent:
            continue
        if not dry_run and not database.forget_job(key, attempt, keep_runs=keep_runs):
            continue
        gone.append(Pruned(key, attempt, storage.size_bytes(key, attempt)))
        if not dry_run:
            storage.remove(key, attempt)
    return gone
