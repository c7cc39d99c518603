"""Passwords of local accounts: hashed with argon2id (RFC 9106); unknown names take as long as known ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from reana_lite.errors import InvalidInput, Unavailable

SHORTEST = 10
"""Characters a password needs: length is what helps (NIST SP 800-63B, 5.1.1)."""

LONGEST = 1000
"""Longer ones are refused, so that hashing them is no work for an attacker to give."""


AT_ONCE = 2
"""Passwords that are hashed at the same time: each takes 64 MiB and a core for a tenth of a second."""

WAITING = 8
"""Those that are hashed and those that wait for it; more are told to come again, so that threads stay free for others."""

_turns = threading.BoundedSemaphore(AT_ONCE)
_places = threading.BoundedSemaphore(WAITING)


def hashed(password: str) -> str:
    """What is stored of a password; raises InvalidInput if it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"a password has at least {SHORTEST} and at most {LONGEST} characters", field="password")
    with _turn():
        return _hasher().hash(password)


def is_right(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored; an empty `stored` takes as long and is never right.

    Raises Unavailable (429) if too many are looked at already.
    """
    try:
        with _turn():
            return _hasher().verify(stored or _nobody(), password[:LONGEST]) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


@contextmanager
def _turn() -> Iterator[None]:
    if not _places.acquire(blocking=False):
        raise Unavailable("too many sign in at this moment; try again", retry_after_s=2, throttled=True)
    try:
        with _turns:
            yield
    finally:
        _places.release()


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=3, memory_cost=65536, parallelism=1)


@cache
def _nobody() -> str:
    return _hasher().hash("nobody's password")
