"""Media types of files that runs have written, by their names and first bytes: never more than is harmless to say. Pure."""

from __future__ import annotations

import mimetypes

SHOWN = frozenset({"application/json", "text/plain", "image/png", "image/jpeg", "application/pdf"})
"""Media types that programs are told; all others are octets to whoever asks."""

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"})
"""What a page can show as an image, in a sandbox."""

_BEGINNINGS = {
    "image/png": (b"\x89PNG",), "image/jpeg": (b"\xff\xd8",), "image/gif": (b"GIF8",), "image/webp": (b"RIFF",),
    "application/pdf": (b"%PDF-",),
}  # fmt: skip
_TEXTS = (".txt", ".log", ".md", ".yml", ".yaml", ".slha", ".spc", ".lhe", ".dat", ".py", ".sh", ".tex", ".xml", ".html",
          ".htm", ".js", ".css", ".cfg", ".ini", ".toml", ".rst", ".hepmc")  # fmt: skip


def media_type(name: str) -> str:
    """What a file is by its name, as far as it is harmless to say so: what a browser would execute is plain text."""
    guessed = mimetypes.guess_type(name)[0] or ""
    if guessed in SHOWN:
        return guessed
    text = is_text(name, guessed) or guessed.endswith(("+xml", "/xml"))
    return "text/plain" if text else "application/octet-stream"


def checked_type(name: str, beginning: bytes) -> str:
    """What its name says, if its first bytes agree; else text or octets. For pages, which show it in a sandbox."""
    guessed = mimetypes.guess_type(name)[0] or ""
    if guessed in _BEGINNINGS:
        return guessed if beginning.startswith(_BEGINNINGS[guessed]) else "application/octet-stream"
    if guessed in ("image/svg+xml", "text/csv", "application/json"):
        return guessed
    return "text/plain" if is_text(name, guessed) else "application/octet-stream"


def is_text(name: str, guessed: str = "") -> bool:
    """Whether people read it."""
    return guessed.startswith("text/") or name.lower().endswith(_TEXTS)
