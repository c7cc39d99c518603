"""What this machine has for jobs: cores, memory, and some things that workflows ask for by name. Called by backends."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of the machine, or what a control group leaves of it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            total = min(total, int(Path(path).read_text(encoding="ascii")))
    return total


def has(resource: str) -> bool:
    """Whether this machine has what a workflow asks for by that name (CVMFS, a GPU)."""
    name = resource.lower()
    if "cvmfs" in name:
        return Path("/cvmfs").is_dir() and any(Path("/cvmfs").iterdir())
    if "gpu" in name:
        return shutil.which("nvidia-smi") is not None
    return False


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot."""
    try:
        with open("/proc/vmstat", "rb") as stream:  # noqa: PTH123
            return next(int(line.split()[1]) for line in stream if line.startswith(b"oom_kill "))
    except (OSError, StopIteration):
        return 0
