"""Passwords of local accounts: hashed with argon2id (RFC 9106); unknown names take as long as known ones."""

from __future__ import annotations

from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from reana_lite.errors import InvalidInput

SHORTEST = 10
"""Characters a password needs: length is what helps (NIST SP 800-63B, 5.1.1)."""

LONGEST = 1000
"""Longer ones are refused, so that hashing them is no work for an attacker to give."""


def hashed(password: str) -> str:
    """What is stored of a password; raises InvalidInput if it is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"a password has at least {SHORTEST} and at most {LONGEST} characters", field="password")
    return _hasher().hash(password)


def is_right(password: str, stored: str) -> bool:
    """Whether a password is the one that was stored; an empty `stored` takes as long and is never right."""
    try:
        return _hasher().verify(stored or _nobody(), password[:LONGEST]) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=3, memory_cost=65536, parallelism=1)


@cache
def _nobody() -> str:
    return _hasher().hash("nobody's password")
