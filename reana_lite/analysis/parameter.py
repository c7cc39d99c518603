"""What a user gave -> values of an analysis's declared parameters, or every fault of it with what would be right.

Called when a run is prepared and when the examples and tests of an analysis are checked. Units are those declared; a
value typed with another unit of the same kind is converted, never guessed.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from reana_lite.errors import InvalidInput

UNITS: dict[str, tuple[str, float]] = {
    "eV": ("energy", 1e-9), "keV": ("energy", 1e-6), "MeV": ("energy", 1e-3), "GeV": ("energy", 1.0),
    "TeV": ("energy", 1e3),
    "ab": ("area", 1e-6), "fb": ("area", 1e-3), "pb": ("area", 1.0), "nb": ("area", 1e3), "mb": ("area", 1e9),
    "1/ab": ("1/area", 1e3), "1/fb": ("1/area", 1.0), "1/pb": ("1/area", 1e-3),
    "mm": ("length", 1.0), "cm": ("length", 10.0), "m": ("length", 1e3),
    "s": ("time", 1.0), "ns": ("time", 1e-9),
}  # fmt: skip
"""Unit -> (kind, size in the kind's own unit). GeV, pb, 1/fb, mm, s are 1."""

_WORDS = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false",
          "array": "a list", "object": "a mapping", "null": "null"}  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: its JSON Schema, unit ("" if it has none), default and meaning."""

    name: str
    schema: Mapping[str, Any]
    required: bool = False

    @property
    def unit(self) -> str:
        """The unit of its values, "" if they have none."""
        return str(self.schema.get("unit", ""))

    @property
    def description(self) -> str:
        """What it means, one sentence."""
        return str(self.schema.get("description", ""))

    @property
    def has_default(self) -> bool:
        """Whether it may be left out and then has a value."""
        return "default" in self.schema

    @property
    def default(self) -> Any:
        """The value it has when it is left out (None also if it has no default)."""
        return self.schema.get("default")

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The JSON types it may have; () if any."""
        declared = self.schema.get("type", ())
        return (declared,) if isinstance(declared, str) else tuple(declared)

    @property
    def right(self) -> str:
        """What a right value looks like, as a phrase: "a whole number from 1 to 100000, in GeV"."""
        schema = self.schema
        if "const" in schema:
            return repr(schema["const"])
        if "enum" in schema:
            values = schema["enum"]
            return "one of " + ", ".join(str(value) for value in values[:12]) + (", ..." if len(values) > 12 else "")
        phrase = " or ".join(_WORDS.get(name, name) for name in self.types) or "a value"
        low, high = schema.get("minimum"), schema.get("maximum")
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        bounds = [
            f"from {low}" if low is not None else f"above {above}" if above is not None else "",
            f"to {high}" if high is not None else f"below {below}" if below is not None else "",
        ]
        if low is None and above is None and high is not None:
            bounds[1] = f"up to {high}"
        phrase = " ".join([phrase, *filter(None, bounds)])
        if "pattern" in schema:
            phrase += f" matching {schema['pattern']}"
        if "multipleOf" in schema:
            phrase += f", a multiple of {schema['multipleOf']}"
        return f"{phrase}, in {self.unit}" if self.unit else phrase


def near(name: str, known: Iterable[str]) -> str:
    """ "; did you mean X or Y?" for names that look like `name`, or what is known at all."""
    names = sorted(known)
    lower = {candidate.lower(): candidate for candidate in names}
    close = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    if not names:
        return "; there is none"
    return f"; known: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"


def bind(
    parameters: Iterable[Parameter],
    values: Mapping[str, Any],
    *,
    texts: Mapping[str, str] | None = None,
    analysis: str = "",
) -> dict[str, Any]:
    """Values of all declared parameters, defaults filled in, in the order of their declaration.

    `values` are JSON; `texts` are as typed on a command line ("2 TeV", "1e4") and win over them. Raises one
    InvalidInput for all faults: unknown name, wrong type, out of range, missing.
    """
    declared = {parameter.name: parameter for parameter in parameters}
    texts = texts or {}
    faults: list[tuple[str, Any, str]] = []
    owner = f" of {analysis}" if analysis else ""
    for name in dict.fromkeys([*values, *texts]):
        if name not in declared:
            value = texts.get(name, values.get(name))
            faults.append((name, value, f"no parameter {name!r}{owner}{near(name, declared)}"))
    bound: dict[str, Any] = {}
    for name, parameter in declared.items():
        if name in texts:
            value, reason = _from_text(parameter, texts[name])
        elif name in values:
            value, reason = values[name], ""
        elif parameter.has_default:
            bound[name] = parameter.default
            continue
        else:
            if parameter.required:
                faults.append((name, None, f"parameter {name!r}{owner} is needed: {parameter.right}"))
            continue
        reason = reason or check(parameter, value)
        if reason:
            faults.append((name, value, reason))
        bound[name] = int(value) if _is_whole(parameter, value) else value
    if faults:
        first = faults[0]
        raise InvalidInput(
            "\n".join(reason for _, _, reason in faults),
            field=first[0],
            value=first[1],
            reason=first[2],
            faults=[{"field": name, "value": value, "reason": reason} for name, value, reason in faults]
            if len(faults) > 1
            else None,
        )
    return bound


def check(parameter: Parameter, value: Any) -> str:
    """What is wrong with a value of a parameter and what would be right; "" if it is right."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"parameter {parameter.name!r} is {value}; right is {parameter.right}"
    errors = list(_validator(parameter).iter_errors(value))
    if errors:
        deep = [error for error in errors if error.absolute_path]
        detail = f" (at {'/'.join(str(part) for part in deep[0].absolute_path)}: {deep[0].message})" if deep else ""
        return f"parameter {parameter.name!r} is {_shown(value)}{detail}; right is {parameter.right}"
    if any("{" in text or "}" in text for text in _strings(value)):
        return (
            f"parameter {parameter.name!r} is {_shown(value)}; braces are placeholders of the workflow language and "
            f"cannot be part of a value"
        )
    return ""


def _from_text(parameter: Parameter, text: str) -> tuple[Any, str]:
    """(value, "") or (text, what is wrong) for a value as typed."""
    types = parameter.types
    if "string" in types and not set(types) & {"integer", "number", "boolean", "null"}:
        return text, ""
    stripped = text.strip()
    if not types or set(types) & {"integer", "number"}:
        number, rest = _leading_number(stripped)
        if number is not None and not rest:
            return number, ""
        if number is not None and parameter.unit:
            converted = _convert(number, rest, parameter.unit)
            if converted is None:
                return text, f"parameter {parameter.name!r} is {text!r}; right is {parameter.right}"
            return converted, ""
    try:
        return yaml.safe_load(stripped) if stripped else "", ""
    except yaml.YAMLError:
        return text, "" if "string" in types or not types else f"parameter {parameter.name!r}: {text!r} is not YAML"


def _leading_number(text: str) -> tuple[int | float | None, str]:
    head, _, rest = text.partition(" ")
    for read in (int, float):
        try:
            if "_" not in head:
                return read(head), rest.strip()
        except ValueError:
            continue
    return None, text


def _convert(value: float, unit: str, wanted: str) -> float | None:
    if unit == wanted:
        return value
    if unit not in UNITS or wanted not in UNITS or UNITS[unit][0] != UNITS[wanted][0]:
        return None
    return float(f"{value * UNITS[unit][1] / UNITS[wanted][1]:.15g}")


def _is_whole(parameter: Parameter, value: Any) -> bool:
    return (
        isinstance(value, float)
        and value.is_integer()
        and "integer" in parameter.types
        and "number" not in parameter.types
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _validator(parameter: Parameter) -> Any:
    from jsonschema import Draft202012Validator  # imported late: listing a catalogue needs none of it

    return Draft202012Validator(dict(parameter.schema))
