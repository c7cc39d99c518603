"""Lines of the tables of one's profile and of the administration. Made by site.py, shown by account.py and admin.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenLine:
    """A token as its owner may see it: never the token itself."""

    id: str
    name: str
    role: str
    created_at: float
    used_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class QuotaLine:
    """One limit: `unit` is bytes, runs or jobs; `limit` None is none."""

    name: str
    used: float
    limit: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class UserLine:
    """A user as an administrator sees them."""

    name: str
    role: str
    active: bool
    runs: int
    used_bytes: int | None
    limit_bytes: int | None


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker that is alive: runs that it drives, when it started and last gave a sign of life (UTC seconds)."""

    name: str
    host: str
    runs: int
    started_at: float
    seen_at: float
    backend: str


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One entry of the audit log."""

    number: int
    at: float
    who: str
    what: str
    about: str
