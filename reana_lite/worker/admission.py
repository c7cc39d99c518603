"""Who is next: fair between owners, by priority within an owner, in turn between runs of one priority.

The rule. The next job begun is of the owner with the fewest jobs under way (all workers of the database counted); of two
with as many, the one whose most urgent run has the higher priority, then the one whose run waits longer. Among an owner's
runs those of the highest priority come first, and runs of one priority take turns. So a priority orders one's own runs and
breaks ties, but takes nothing from others. An owner at their limit (that of the worker per user, or their own quota) waits.
Waiting is never failing.

Pure; only the loop calls this.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping

from reana_lite.drive import Drive


class Line:
    """The runs that have something to begin. Ask `next`, then say what became of it: `took`, `passed` or `dropped`."""

    def __init__(self, drives: Iterable[Drive], under_way: Mapping[str, int], limits: Mapping[str, int]) -> None:
        """`under_way`: jobs of each owner; `limits`: how many an owner may have, if that is limited."""
        by_owner: dict[str, dict[int, deque[Drive]]] = {}
        order: dict[str, int] = {}
        for drive in drives:
            levels = by_owner.setdefault(drive.owner, {})
            levels.setdefault(drive.priority, deque()).append(drive)
            order.setdefault(drive.owner, len(order))
        self._levels = {owner: [levels[p] for p in sorted(levels, reverse=True)] for owner, levels in by_owner.items()}
        self._limits = limits
        self._heap: list[tuple[int, int, int, str]] = []
        for owner, levels in by_owner.items():
            self._push(under_way.get(owner, 0), -max(levels), order[owner], owner)

    def next(self) -> Drive | None:
        """The run whose turn it is; None if nobody may begin anything."""
        return self._levels[self._heap[0][3]][0][0] if self._heap else None

    def took(self) -> None:
        """It begins a job."""
        count, priority, order, owner = heapq.heappop(self._heap)
        self._levels[owner][0].rotate(-1)
        self._push(count + 1, priority, order, owner)

    def passed(self) -> None:
        """It needed no room; the next one."""
        self._levels[self._heap[0][3]][0].rotate(-1)

    def dropped(self) -> None:
        """It has nothing to begin now."""
        owner = self._heap[0][3]
        levels = self._levels[owner]
        levels[0].popleft()
        if not levels[0]:
            levels.pop(0)
        if not levels:
            heapq.heappop(self._heap)

    def _push(self, count: int, priority: int, order: int, owner: str) -> None:
        if owner not in self._limits or count < self._limits[owner]:
            heapq.heappush(self._heap, (count, priority, order, owner))


def why_waiting(drive: Drive, *, preparing: bool, room: int, of_owner: int, limit: int | None, quota: bool) -> str:
    """Why a run that has jobs to begin has not begun them, in a few words; "" if it has none.

    `room` is what the backend gives; the owner has `of_owner` jobs under way and may have `limit`, by `quota` or because of
    the worker's limit per user.
    """
    waiting = len(drive.queue) + len(drive.later)
    if not waiting:
        return ""
    if drive.later and not drive.queue:
        return f"{len(drive.later)} to be tried again a little later"
    if preparing:
        return f"{waiting} wait for an environment to be made ready"
    if limit is not None and of_owner >= limit:
        if quota:
            return f"{waiting} wait: the quota of {drive.owner} is {limit} running jobs, and {of_owner} are under way"
        return f"{waiting} wait: {drive.owner} has {of_owner} jobs under way, and nobody may have more than {limit}"
    if room <= 0:
        return f"{waiting} wait for room"
    return f"{waiting} about to begin"
