"""Local files on their way to becoming trees: what is taken, what is left out, and under which name."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from reana_lite.catalogue.fetching import copy_or_link
from reana_lite.errors import InvalidInput, NotFound

LEFT_OUT = (
    "__pycache__",
    "*.pyc",
    ".DS_Store",
    ".git",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
)
"""What tools leave beside code: it would change the digest of an analysis's files without changing what they do."""


class Scratch:
    """A folder for what must be put together first: the caller's, or one that goes when the process ends."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._count = 0

    def new(self) -> Path:
        """A path below it that does not exist yet."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="recast-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._count += 1
            path = self._folder / f"tree-{self._count}"
            if not path.exists():
                return path


def clean(path: Path, scratch: Scratch) -> Path:
    """The folder itself, or, where tools have left something in it, a copy without that; a file is left as it is."""
    if not path.is_dir() or not any(left_out(found.name) for found in path.rglob("*")):
        return path
    copy = scratch.new()
    copy.mkdir()
    for found in sorted(path.rglob("*")):
        relative = found.relative_to(path)
        if any(left_out(part) for part in relative.parts):
            continue
        _take(found, copy / relative)
    return copy


def gathered(base: Path, names: Iterable[str], scratch: Scratch, *, what: str) -> Path | None:
    """A folder that shows the files and folders named (relative to `base`) at the same paths; None if none are named.

    Raises NotFound for one that is not there and InvalidInput for one outside of `base`.
    """
    chosen: list[Path] = []
    for name in names:
        path = base / name
        if not path.exists():
            raise NotFound(f"{what}: {name!r} does not exist in {base}", path=str(path))
        if Path(name).is_absolute() or not path.resolve().is_relative_to(base.resolve()):
            raise InvalidInput(f"{what}: {name!r} lies outside of {base}", field=what, value=name)
        chosen.append(path)
    if not chosen:
        return None
    if any(path.resolve() == base.resolve() for path in chosen):
        return clean(base, scratch)
    folder = scratch.new()
    folder.mkdir()
    for path in chosen:
        _take(path, folder / path.resolve().relative_to(base.resolve()))
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                relative = found.relative_to(path)
                if not any(left_out(part) for part in relative.parts):
                    _take(found, folder / path.resolve().relative_to(base.resolve()) / relative)
    return folder


def renamed(path: Path, name: str, scratch: Scratch) -> Path:
    """The same file under another name."""
    if path.name == name:
        return path
    folder = scratch.new()
    copy_or_link(path, folder / name)
    return folder / name


def _take(found: Path, to: Path) -> None:
    if found.is_symlink():
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.is_symlink():
            to.symlink_to(found.readlink())
    elif found.is_dir():
        to.mkdir(parents=True, exist_ok=True)
    elif not to.exists():
        copy_or_link(found, to)


def left_out(name: str) -> bool:
    """Whether a file or folder of this name is something that tools leave beside code."""
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)
