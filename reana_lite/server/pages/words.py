"""How values are said on pages: numbers with their units, times, states as sign and word, texts made harmless. Pure.

Jinja escapes what is put into HTML; here is what escaping does not do: what a terminal or a reader would obey.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from reana_lite import legible
from reana_lite.comparison import in_words, quantity_name
from reana_lite.legible import plain as plain
from reana_lite.legible import printed
from reana_lite.result.forms import CLS_SHOWN, method_in_words

SIGNS = {
    "finished": "✓", "failed": "✕", "refused": "⊘", "running": "▶", "queued": "…", "created": "○", "planned": "○",
    "stopped": "■", "excluded": "●", "not-excluded": "○", "undetermined": "◇",
}  # fmt: skip
"""A sign beside every state and verdict, so that its colour says nothing alone."""

WORDS = {"not-excluded": "not excluded", "planned": "not begun"}


def log_text(content: bytes) -> str:
    """What a step printed, as a page shows it."""
    return printed(content.decode("utf-8", "replace"))


TYPOGRAPHY = (
    (re.compile(r"\+/?-(?=\s?\d)"), "±"), (re.compile(r"±\s?(\d) sigma\b"), r"±\1σ"), (re.compile(r"\bfb\^-1\b"), "fb⁻¹"),
    (re.compile(r"\bsqrt\(s\)"), "√s"), (re.compile(r"\b(limit on|log\(limit on|strength) mu\b"), r"\1 μ"),
    (re.compile(r"(\d)/fb\b"), r"\1 fb⁻¹"), (re.compile(r"^mu$"), "μ"),
    (re.compile(r"\bmu (limit|multiplies)\b"), r"μ \1"),
    (re.compile(r"\blimits on mu\b"), "limits on μ"), (re.compile(r"`([^`]{1,80})`"), r"\1"),
)  # fmt: skip
"""What authors write for lack of a key, and what readers expect."""


def prose(text: object) -> str:
    """A sentence of an author or of the program as a paper would set it: ±1σ, fb⁻¹, √s, μ."""
    found = plain(text)
    for pattern, better in TYPOGRAPHY:
        found = pattern.sub(better, found)
    return found


def heading(title: str) -> str:
    """The title of a column."""
    return prose(title)


def cls(value: float | None) -> str:
    """CLs as people quote it: three figures, very small ones as a bound."""
    return "< 10⁻⁶" if value is not None and 0 <= value < CLS_SHOWN else number(value)


def number(value: Any, figures: int = 3) -> str:
    """Three figures (zeros at the end count), a power of ten as ×10ⁿ; "–" for nothing. For what was measured."""
    if value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else plain(value)
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value)}"
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:#.{figures}g}"
        return text.rstrip(".") if "e" not in text else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.{figures - 1}e}".partition("e")
    return f"{mantissa}×{power_of_ten(int(exponent))}"


def power_of_ten(exponent: int) -> str:
    """10ⁿ; 1 and 10 as they are."""
    return f"{10**exponent}" if exponent in (0, 1) else f"10{str(exponent).translate(_RAISED)}"


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
    """A mass to the unit, a smaller place on an axis to three figures; "–" for none."""
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


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
    """Bytes for people; "–" for nothing."""
    return "–" if count is None else legible.size(count)


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
    """Any value that somebody chose, as it is: parameters, places on axes, counts."""
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int | float) and math.isfinite(found) and 1e-4 <= abs(found) < 1e9:
        return f"{found:.6g}" if isinstance(found, float) and found != int(found) else f"{int(found)}"
    if isinstance(found, int | float) or found is None:
        return number(found)
    if isinstance(found, list | tuple):
        return ", ".join(value(one) for one in found)
    return plain(found)


def found(one: Any, error: float | None = None) -> str:
    """A reference, or what was found: a number with its error, four figures without one; or a word."""
    if isinstance(one, bool) or not isinstance(one, int | float):
        return word(one) if one is not None else "–"
    return with_error(one, error) if error else number(one, 4) if isinstance(one, float) else f"{one}"


def signed(figure: float) -> str:
    """A difference with its sign, one place."""
    return f"{figure:+.1f}".replace("-", "−")


FILTERS: dict[str, Callable[..., str]] = {
    "number": number, "cls": cls, "prose": prose, "heading": heading, "with_error": with_error, "femtobarn": femtobarn,
    "mass": mass, "duration": duration, "size": size, "moment": moment, "iso": iso, "word": word, "sign": sign,
    "value": value, "plain": plain, "found": found, "signed": signed, "quantity": quantity_name,
    "method": method_in_words, "in_words": in_words,
}  # fmt: skip
"""What templates may use."""
