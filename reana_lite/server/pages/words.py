"""How values are said on pages: numbers with their units, times, states as sign and word, texts made harmless. Pure.

Jinja escapes what is put into HTML; here is what escaping does not do: what a terminal or a reader would obey.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

SIGNS = {
    "finished": "✓", "failed": "✕", "refused": "⊘", "running": "▶", "queued": "…", "created": "○", "planned": "○",
    "stopped": "■", "excluded": "●", "not-excluded": "○", "undetermined": "◇",
}  # fmt: skip
"""A sign beside every state and verdict, so that its colour says nothing alone."""

WORDS = {"not-excluded": "not excluded", "planned": "not begun"}


def plain(text: object) -> str:
    """A text without escapes and control characters (tab and newline stay) or turns of direction."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def log_text(content: bytes) -> str:
    """What a step printed: colours and cursor movements are dropped, of a line overwritten in place its end is kept."""
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    text = _ESCAPE.sub("", text)
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))


def number(value: Any, figures: int = 3) -> str:
    """Three figures, a power of ten as ×10ⁿ; "–" for nothing."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else plain(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:.{figures}g}"
        return text if "e" not in text else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.{figures - 1}e}".partition("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_RAISED)}"


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def with_error(value: float | None, error: float | None) -> str:
    """value ± error, the value to the place of the error's second figure."""
    if value is None:
        return "–"
    if not error or not math.isfinite(error) or not 1e-5 < error < 1e6 or not math.isfinite(value):
        return number(value)
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{places}f} ± {error:.{places}f}"


def femtobarn(value_pb: Any, error_pb: float | None = None) -> str:
    """A cross-section with its unit: pb above 1 pb, fb above 0.001 fb, else ab."""
    if isinstance(value_pb, tuple):
        value_pb = value_pb[len(value_pb) // 2]
    if value_pb is None:
        return "–"
    size, unit = (1.0, "pb") if value_pb >= 1 else (1e3, "fb") if value_pb >= 1e-6 else (1e6, "ab")
    return f"{with_error(value_pb * size, None if error_pb is None else error_pb * size)} {unit}"


def mass(value: float | None) -> str:
    """A mass to the unit; "–" for none."""
    return "–" if value is None else f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """0.4 s, 45 s, 12 min 5 s, 3 h 20 min."""
    if seconds is None or seconds < 0:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float | None) -> str:
    """Bytes for people (powers of 1000)."""
    if count is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def moment(at: float | None) -> str:
    """A time (UTC, to the second); "–" for one that has not come."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "–"


def iso(at: float | None) -> str:
    """A time for the attribute `datetime`."""
    return datetime.fromtimestamp(at, UTC).isoformat() if at else ""


def word(state: object) -> str:
    """A state or verdict as a word."""
    return WORDS.get(str(state), plain(state))


def sign(state: object) -> str:
    """The sign beside it."""
    return SIGNS.get(str(state), "·")


def value(found: Any) -> str:
    """Any value of a parameter."""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int | float) or found is None:
        return number(found, 6)
    if isinstance(found, list | tuple):
        return ", ".join(value(one) for one in found)
    return plain(found)


FILTERS: dict[str, Callable[..., str]] = {
    "number": number, "with_error": with_error, "femtobarn": femtobarn, "mass": mass, "duration": duration, "size": size,
    "moment": moment, "iso": iso, "word": word, "sign": sign, "value": value, "plain": plain,
}  # fmt: skip
"""What templates may use."""
