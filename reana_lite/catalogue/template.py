"""A new analysis from the minimal one that comes with the program: a folder to be changed step by step."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from reana_lite.errors import Conflict, InvalidInput

TEMPLATE = Path(__file__).parent.parent / "template"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def create(name: str, folder: Path | None = None) -> Path:
    """The folder (default: the last part of the name, below the current one) of a new analysis called `name`."""
    if not _NAME.fullmatch(name):
        right = "letters, digits and . _ -, with / between parts, such as my-search or cms/my-search"
        raise InvalidInput(f"{name!r} cannot be the name of an analysis; right is {right}", field="name", value=name)
    target = folder if folder is not None else Path(name.rpartition("/")[2])
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise Conflict(f"{target} exists already; name another folder", path=str(target))
    shutil.copytree(TEMPLATE, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for path in (target / "analysis.yml", target / "README.md"):
        path.write_text(re.sub(r"\bNAME\b", name, path.read_text("utf-8")), "utf-8")
    return target
