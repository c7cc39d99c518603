"""The data model of the language: JSON values, their leaves, and references to the outputs of nodes.

A result is read as a tree of references to its leaves; a parameter made of references is what gives a node its inputs
and its edges. Numbers, order of keys and encoded strings follow design notes 11.1 to 11.3 of the language. Nothing here
knows stages or files. Used by every other module of this package and by the engine.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reana_lite.errors import InvalidWorkflow

Json = Any
"""A JSON value: None, bool, int, float, str, list of Json, dict of str to Json."""

ENCODED = "b64json://"
"""A string with this start carries base64 of JSON and stands for that value."""

_LARGEST_DOUBLE = 1.7976931348623157e308
_EXACT_INTEGERS = 2**53
_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Reference:
    """One leaf of the result of a node: the node's path, a JSON pointer into the result, the value found there."""

    node: str
    pointer: str
    value: Json

    def __repr__(self) -> str:
        return f"{self.node}#{self.pointer}"


Tree = Any
"""A JSON value in which leaves may be References."""

InputRecord = tuple[str, str]
"""(path of the upstream node, JSON pointer into its result)."""


def escape(part: str) -> str:
    """One part of a JSON pointer or of a node's path, with `~` and `/` written as `~0` and `~1`."""
    return part.replace("~", "~0").replace("/", "~1") if "~" in part or "/" in part else part


def canonical(value: Json, *, change: Callable[[str], str] | None = None) -> Json:
    """The value as it is read: keys of mappings sorted, encoded strings replaced; `change` is applied to each string.

    Raises InvalidWorkflow if an encoded string does not carry JSON.
    """
    kind = type(value)
    if kind is str:
        text: str = value if change is None else change(value)
        return _decoded(text, change) if text.startswith(ENCODED) else text
    if kind is list:
        return [canonical(element, change=change) for element in value]
    if kind is dict:
        return {key: canonical(value[key], change=change) for key in sorted(value)}
    return value


def decoded(value: Json) -> Json:
    """The value as it is stored: encoded strings replaced, order of keys kept; the same object if none occurs."""
    return canonical_kept(value) if _has_encoded(value) else value


def canonical_kept(value: Json) -> Json:
    """As `canonical`, but keys stay in the order in which they were written."""
    if isinstance(value, str):
        return _decoded(value, None) if value.startswith(ENCODED) else value
    if isinstance(value, list):
        return [canonical_kept(element) for element in value]
    if isinstance(value, dict):
        return {key: canonical_kept(element) for key, element in value.items()}
    return value


def _has_encoded(value: Json) -> bool:
    kind = type(value)
    if kind is str:
        return bool(value.startswith(ENCODED))
    if kind is list:
        return any(_has_encoded(element) for element in value)
    if kind is dict:
        return any(_has_encoded(element) for element in value.values())
    return False


def _decoded(text: str, change: Callable[[str], str] | None) -> Json:
    value: Json = text
    for _ in range(_DEPTH):
        if not (isinstance(value, str) and value.startswith(ENCODED)):
            return canonical(value, change=change)
        try:
            value = json.loads(base64.b64decode(value.replace(ENCODED, "")).decode("utf-8"))
        except (binascii.Error, ValueError) as error:
            raise InvalidWorkflow(f"the string {text[:60]!r} does not carry base64 of JSON: {error}") from error
    raise InvalidWorkflow(f"the string {text[:60]!r} is encoded more than {_DEPTH} times")


def references(node: str, value: Json, pointer: str = "") -> Tree:
    """The (canonical) result `value` of `node`, or the part of it at `pointer`, as a tree of references.

    Strings, numbers and true become references; null, false and empty containers stay what they are.
    """
    kind = type(value)
    if kind is dict:
        return {key: references(node, element, f"{pointer}/{escape(key)}") for key, element in value.items()}
    if kind is list:
        return [references(node, element, f"{pointer}/{index}") for index, element in enumerate(value)]
    if value is None or value is False:
        return Reference(node, "", value) if not pointer else value
    return Reference(node, pointer, value)


def resolve(tree: Tree, inputs: list[InputRecord]) -> Json:
    """The tree with every reference replaced by its value; each one met is appended to `inputs`."""
    kind = type(tree)
    if kind is Reference:
        inputs.append((tree.node, tree.pointer))
        return tree.value
    if kind is dict:
        return {key: resolve(element, inputs) for key, element in tree.items()}
    if kind is list:
        return [resolve(element, inputs) for element in tree]
    return tree


def read_pointer(value: Json, pointer: str) -> Json:
    """What a JSON pointer points at; KeyError, IndexError or ValueError if there is nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def through_jq(value: Json) -> Json:
    """The value as jq's program `.` gives it back: numbers become doubles, integral ones integers; keys sorted."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS else _double(_clipped(value))
    if kind is float:
        return _double(value)
    if kind is list:
        return [through_jq(element) for element in value]
    return {key: through_jq(value[key]) for key in sorted(value)}


def _clipped(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _double(value: float) -> Json:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return math.copysign(_LARGEST_DOUBLE, value)
    return int(value) if value.is_integer() else value
