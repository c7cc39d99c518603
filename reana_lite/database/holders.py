"""Which workers are alive: on this machine the kernel knows, of others we know until when they have a lease.

A worker has one lease for all that it holds. A killed process of this machine is found dead at once, a suspended one is
not robbed; elsewhere the lease decides. Only the database package uses this.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """A worker's row: where it runs, which process it is, until when it may be silent (UTC seconds)."""

    id: str
    host: str
    pid: int
    process: str
    lease_until: float


def alive(holders: Iterable[Holder], *, host: str, now: float) -> list[str]:
    """Ids of the workers that still hold what they have taken, seen from `host`."""
    return [holder.id for holder in holders if _is_alive(holder, host, now)]


def _is_alive(holder: Holder, host: str, now: float) -> bool:
    if holder.host != host or holder.pid == os.getpid() or holder.process == "?":
        return holder.lease_until > now
    return process_start(holder.pid) == holder.process


@lru_cache(1)
def this_host() -> str:
    """A name for where process ids mean the same: host name, boot and process namespace."""
    boot, namespace = "", ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        pass  # not Linux: the host name must do
    return f"{platform.node()}/{boot}/{namespace}"[:255]


def process_start(pid: int) -> str:
    """When a process began, as the kernel counts it: a pid used again differs. "" if there is none, or it is a zombie.

    "?" where the kernel does not tell.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else "?"
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
