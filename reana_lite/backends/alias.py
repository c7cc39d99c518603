"""A path without blanks for a folder that has some: steps get shell-safe paths, because the language quotes nothing.

A symbolic link to the folder, of a name that depends on the folder alone (so that paths written into files stay true),
in the user's cache folder or, if that has blanks too, in a private folder of the system's temporary one. Called by
the backends of one machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from reana_lite.backends.binding import is_safe
from reana_lite.errors import Unavailable


def shell_safe(folder: Path) -> str:
    """The folder's own path if a shell takes it as it stands, else that of a link to it; raises Unavailable."""
    real = os.path.realpath(folder)
    if is_safe(real):
        return real
    name = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
    for base in _bases():
        with contextlib.suppress(OSError):
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            stat = base.lstat()
            if stat.st_uid != os.getuid() or not base.is_dir() or base.is_symlink():
                continue
            _link(base / name, real)
            return str(base / name)
    raise Unavailable(
        f"the path {real!r} holds blanks or other letters of the shell, and no folder for a link was found"
    )


def _bases() -> list[Path]:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    bases = [Path(cache) / "recast-links", Path(tempfile.gettempdir()) / f"recast-{os.getuid()}"]
    return [base for base in bases if is_safe(str(base)) and base.is_absolute()]


def _link(path: Path, target: str) -> None:
    """Make or keep a link; another process may do the same."""
    if path.is_symlink() and str(path.readlink()) == target:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(path)
