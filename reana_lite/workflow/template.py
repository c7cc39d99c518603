"""Placeholders: Python's string formatting as the language uses it, without a way into Python.

Values are plain JSON, so the only attributes that mean something are those of numbers; all others (methods print
addresses, names with underscores open the interpreter) count as missing. Widths and precisions are bounded. Used for
parameters (`{workdir}`), commands, scripts and published texts.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

WIDEST = 100_000
"""Largest number that a format specification may carry."""

_NUMBER_ATTRIBUTES = frozenset({"real", "imag", "numerator", "denominator"})
_ITEMS = re.compile(r"\[[^\]]*\]")
_LONG_NUMBER = re.compile(r"\d{5,}")


class _Guarded(string.Formatter):
    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        for attribute in _ITEMS.sub("", field_name).split(".")[1:]:
            if attribute not in _NUMBER_ATTRIBUTES:
                raise AttributeError(f"values have no attribute {attribute!r}")
        return super().get_field(field_name, args, kwargs)

    def format_field(self, value: Any, format_spec: str) -> str:
        if any(int(digits) > WIDEST for digits in _LONG_NUMBER.findall(format_spec)):
            raise ValueError(f"a format specification is wider than {WIDEST}")
        return format(value, format_spec)


_GUARDED = _Guarded()


def fill(template: str, args: Sequence[Any], values: Mapping[str, Any]) -> str:
    """The template with its placeholders replaced; raises what str.format raises (KeyError, IndexError, ValueError,
    AttributeError, TypeError)."""
    if "{" not in template and "}" not in template:
        return template
    if _harmless(template):
        return template.format(*args, **values)
    return _GUARDED.vformat(template, args, values)


def _harmless(template: str) -> bool:
    """Whether no placeholder has an attribute, a nested placeholder or a large number in its specification."""
    try:
        for _, name, specification, _ in _GUARDED.parse(template):
            if name and "." in name:
                return False
            if specification and ("{" in specification or _LONG_NUMBER.search(specification)):
                return False
    except ValueError:
        return False
    return True


def flattened(parameters: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named values of a command: lists of the first level are joined by blanks."""
    if isinstance(parameters, dict):
        return [], {key: _joined(value) for key, value in parameters.items()}
    if isinstance(parameters, list):
        return [_joined(value) for value in parameters], {}
    return [], {"value": parameters}


def as_given(parameters: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named values of a published text: lists stay lists."""
    if isinstance(parameters, dict):
        return [], parameters
    if isinstance(parameters, list):
        return parameters, {}
    return [], {"value": parameters}


def reason(error: Exception) -> str:
    """Why a template could not be filled in, as the end of a sentence."""
    if isinstance(error, KeyError):
        return f"there is no value for the placeholder {{{error.args[0]}}} (write {{{{ and }}}} for literal braces)"
    if isinstance(error, IndexError):
        return "it has a placeholder without a name, but the values have names (write {{ and }} for literal braces)"
    return f"{error} (write {{{{ and }}}} for literal braces)"


FILL_ERRORS = (KeyError, IndexError, ValueError, AttributeError, TypeError, MemoryError, OverflowError)
"""What `fill` may raise."""


def _joined(value: Any) -> Any:
    return " ".join([str(element) for element in value]) if isinstance(value, list) else value
