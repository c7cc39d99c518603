"""Names of objects in a bucket: where the parts of a place lie, and file names as every object store takes them.

Pure and light: the program that stages a pod's files (staging.py) uses it too.
"""

from __future__ import annotations

import hashlib
import os
import re
from urllib.parse import quote

from reana_lite.errors import InvalidInput

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

SEGMENT_LIMIT = 200
"""Longest part of an object's name between slashes (bytes; file-backed stores take 255)."""

PATH_LIMIT = 700
"""Longest name of a file as an object (bytes; S3 takes 1024 for the whole name)."""


def check_key(key: str) -> str:
    """The key of a place, unchanged; raises InvalidInput if it cannot be one."""
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{key!r} is not a key: letters, digits, - and _", field="key", value=key)
    return key


def place_name(key: str, attempt: int) -> str:
    """Prefix of everything of a place, with a slash at its end; raises InvalidInput for what is no key."""
    check_key(key)
    return f"jobs/{key}/{attempt}/" if attempt else f"trees/{key}/"


def file_name(path: str) -> str:
    """The name of an artifact below `files/`: percent-encoded, because stores differ in what they take (control characters,
    backslashes, bytes that are no UTF-8); a digest of the path where that is too long."""
    name = quote(os.fsencode(path), safe="/-_.+=@,")
    if len(name) > PATH_LIMIT or any(len(part) > SEGMENT_LIMIT for part in name.split("/")):
        return "~" + hashlib.sha256(os.fsencode(path)).hexdigest()
    return name
