"""What a program gives -> what the API takes: names as parts of paths, theory files as bytes, requests as documents. Pure but
for the files that are named. Called by client.py and files.py of this package."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reana_lite.errors import InvalidInput

Theory = str | os.PathLike[str] | bytes | Mapping[str, Any]
"""A path, "sha256:..." of an uploaded file, the bytes of a file (a pyhf patch made in memory), or parameters by name."""


def part(name: str) -> str:
    """A name as one part of a path; raises InvalidInput for one that cannot be."""
    if not name or name in (".", ".."):
        raise InvalidInput(f"{name!r} is no name of a run, campaign or analysis", field="name", value=name)
    return quote(name, safe="")


def given(body: Mapping[str, Any]) -> dict[str, Any]:
    """What was really given: the server has defaults for the rest."""
    return {name: value for name, value in body.items() if value not in (None, "", [], {}, ())}


def several(theory: Theory | Sequence[Theory] | None) -> list[Theory]:
    """Theory files as a list."""
    if theory is None:
        return []
    if isinstance(theory, str | bytes | Mapping | os.PathLike):
        return [theory]
    return list(theory)


def file_of(theory: Theory) -> tuple[str, bytes]:
    """(name, content) of a theory file."""
    if isinstance(theory, bytes):
        return "theory", theory
    if isinstance(theory, Mapping):
        return "theory.json", json.dumps(theory).encode()
    return Path(theory).name, read(theory)


def read(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file; raises InvalidInput."""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidInput(
            f"{os.fspath(path)} cannot be read: {reason}", field="theory", value=os.fspath(path)
        ) from error


FORMS = {".csv": "csv", ".json": "json", ".txt": "text", ".tex": "latex", ".pdf": "pdf", ".png": "png", ".svg": "svg",
         ".html": "html"}  # fmt: skip
"""Forms that the ending of a file tells."""


def form_of(to: str | os.PathLike[str], form: str) -> str:
    """The form of a file that is to be written; raises InvalidInput where nothing tells."""
    found = form or FORMS.get(Path(to).suffix.lower(), "")
    if not found:
        raise InvalidInput(
            f"{os.fspath(to)} does not say what to write: give a format, or an ending of {', '.join(FORMS)}",
            field="format",
        )
    return found


def written(to: str | os.PathLike[str], content: bytes) -> Path:
    """Where content is now; raises InvalidInput if it cannot be written there."""
    path = Path(to).expanduser()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {(error.strerror or str(error)).lower()}", field="to") from error
    return path


def points_body(
    *, axes: Mapping[str, str | Sequence[Any]] | None, points: Sequence[Mapping[str, Any]],
    table: str | os.PathLike[str] | None, where: Sequence[str] | str,
) -> dict[str, Any]:  # fmt: skip
    """How the points of a scan are given, apart from files that are points."""
    return {
        "axes": {axis: one if isinstance(one, str) else list(one) for axis, one in (axes or {}).items()},
        "points": [dict(point) for point in points],
        "table": read(table).decode() if table is not None else "",
        "where": [where] if isinstance(where, str) else list(where),
    }
