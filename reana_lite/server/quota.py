"""What users have taken, and whether they may take more: asked by everything that queues runs or stores bytes for somebody.

Bytes are those of steps' outputs, of uploaded workspaces and of theory files. A sum is at most USAGE_S old, but what this
process stores meanwhile is in it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from reana_lite.database import users
from reana_lite.database.users import Usage, User
from reana_lite.errors import NotAllowed
from reana_lite.server.installation import Installation

USAGE_S = 10.0
"""How old a sum may be (seconds)."""

_sums: dict[tuple[int, str], tuple[float, Usage]] = {}
_lock = threading.Lock()


def check(installation: Installation, user: User) -> None:
    """Raises NotAllowed if a user has taken all they may (bytes, seconds of steps)."""
    quota = user.quota
    if not (quota.disk_bytes or quota.cpu_s):
        return
    taken = usage(installation, user.name)
    for what, used, most in (("disk_bytes", taken.disk_bytes, quota.disk_bytes), ("cpu_s", taken.cpu_s, quota.cpu_s)):
        if most and used >= most:
            raise NotAllowed(f"the quota {what} of {user.name} is used up: {used:g} of {most:g}", quota=what, used=used)


def store(installation: Installation, user: User, size_bytes: int) -> None:
    """Count bytes that are about to be stored for a user; raises NotAllowed, and counts none, if there is no room."""
    most, key = user.quota.disk_bytes, (id(installation.database), user.name)
    if not most:
        return
    found = usage(installation, user.name)
    with _lock:
        at, found = _sums.get(key, (time.monotonic(), found))
        if found.disk_bytes + size_bytes > most:
            raise NotAllowed(
                f"the quota disk_bytes of {user.name} has no room for {size_bytes:g} bytes: {found.disk_bytes:g} of {most:g} "
                f"are used", quota="disk_bytes", used=found.disk_bytes,
            )  # fmt: skip
        _sums[key] = at, replace(found, disk_bytes=found.disk_bytes + size_bytes)


def usage(installation: Installation, owner: str) -> Usage:
    """What a user has taken, at most USAGE_S old."""
    key, now = (id(installation.database), owner), time.monotonic()
    with _lock:
        known = _sums.get(key)
    if known is None or now - known[0] > USAGE_S:
        known = now, users.usage(installation.database, owner)
        with _lock:
            _sums[key] = known
    return known[1]


def forget() -> None:
    """Sum up anew, whoever is asked for."""
    with _lock:
        _sums.clear()
