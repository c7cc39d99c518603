"""Every exception of reana-lite; the tree is sorted by who can act.

    ReanaLiteError
    ├── InvalidInput        the user: a field, its value, the reason
    ├── InvalidAnalysis     the author: a source, a path in it, the reason
    │   ├── InvalidWorkflow     in a workflow document (several faults are reported together)
    │   └── InvalidResult       in what a step wrote as a result
    ├── NotFound            nothing of that name
    ├── NotAllowed          it exists, but not for this caller, or not on this installation
    ├── Conflict            the state of the thing forbids it now
    ├── Damaged             kept bytes are gone or not what was kept: they must be computed again
    └── Unavailable         the world does not answer; trying again may help (retry_after_s)

Outcomes of steps are values, never exceptions. A message is one sentence: what was wrong, where, what would be right.
Nothing else belongs here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one document: where (source file, JSON pointer, 1-based line) and what."""

    source: str
    path: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place} {self.path}: {self.reason}" if self.path else f"{place}: {self.reason}"


class ReanaLiteError(Exception):
    """The root: catch it at an edge, never raise it itself."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {name: value for name, value in details.items() if value is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self).__name__, self.message, self.details))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that API, CLI and event log share: {"error", "message", "details"}."""
        return {"error": type(self).__name__, "message": self.message, "details": self.details}


class InvalidInput(ReanaLiteError):
    """What the user gave cannot be used: `field`, `value`, `reason` say which and why."""

    def __init__(self, message: str, *, field: str | None = None, value: Any = None, **details: Any) -> None:
        super().__init__(message, field=field, value=value, **details)


class InvalidAnalysis(ReanaLiteError):
    """A preserved analysis is wrong: every fault of its documents, reported together."""

    def __init__(self, message: str, *, faults: Sequence[Fault] = (), **details: Any) -> None:
        dicts = [{"source": f.source, "path": f.path, "reason": f.reason, "line": f.line} for f in faults]
        super().__init__(message, **({"faults": dicts} if dicts else {}), **details)
        self.faults = tuple(faults)

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> InvalidAnalysis:
        """One error for all faults of a document: a line each."""
        return cls("\n".join(str(fault) for fault in faults), faults=faults)


class InvalidWorkflow(InvalidAnalysis):
    """A workflow document is not of the Yadage language."""


class InvalidResult(InvalidAnalysis):
    """What a step wrote as a result is not one."""


class NotFound(ReanaLiteError):
    """Nothing of that name."""


class NotAllowed(ReanaLiteError):
    """It exists, but not for this caller or not on this installation."""


class Conflict(ReanaLiteError):
    """The state of the thing forbids it now."""


class Damaged(ReanaLiteError):
    """Kept bytes are gone, or not what was kept; `key`, `attempt`, `path` say which. Trying again does not help."""

    def __init__(
        self, message: str, *, key: str | None = None, attempt: int | None = None, path: str | None = None
    ) -> None:
        super().__init__(message, key=key, attempt=attempt, path=path)

    @classmethod
    def at(cls, key: str, attempt: int, path: str) -> Damaged:
        """The error of one file of a place in storage."""
        what = f"{path!r} of {key}/{attempt} is damaged in storage; it must be computed again"
        return cls(what, key=key, attempt=attempt, path=path)


class Unavailable(ReanaLiteError):
    """The world does not answer; `retry_after_s` (seconds, or absent) says when trying again may help."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **details: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **details)


CLASSES: dict[str, type[ReanaLiteError]] = {
    c.__name__: c
    for c in (
        InvalidInput,
        InvalidAnalysis,
        InvalidWorkflow,
        InvalidResult,
        NotFound,
        NotAllowed,
        Conflict,
        Damaged,
        Unavailable,
    )
}

HTTP_STATUS: dict[type[ReanaLiteError], int] = {
    InvalidInput: 400, InvalidAnalysis: 422, InvalidWorkflow: 422, InvalidResult: 422,
    NotFound: 404, NotAllowed: 403, Conflict: 409, Damaged: 410, Unavailable: 503,
}  # fmt: skip

EXIT_CODE: dict[type[ReanaLiteError], int] = {
    InvalidInput: 2, InvalidAnalysis: 3, InvalidWorkflow: 3, InvalidResult: 3,
    NotFound: 4, NotAllowed: 5, Conflict: 6, Damaged: 7, Unavailable: 7,
}  # fmt: skip
"""Exit codes of the command line; 1 is a run that failed, 130 an interrupt."""


def from_dict(document: dict[str, Any]) -> ReanaLiteError:
    """The error that `to_dict` wrote down; raises NotFound for an unknown class."""
    return _rebuild(document["error"], document["message"], document.get("details") or {})


def _rebuild(name: str, message: str, details: dict[str, Any]) -> ReanaLiteError:
    if name not in CLASSES:
        raise NotFound(f"unknown error class {name!r}; known: {', '.join(CLASSES)}")
    cls = CLASSES[name]
    rest = dict(details)
    if issubclass(cls, InvalidAnalysis):
        return cls(message, faults=[Fault(**fault) for fault in rest.pop("faults", [])], **rest)
    return cls(message, **rest)
