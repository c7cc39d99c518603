"""Parameters of a theory: numbers with units, texts and switches, from a plain YAML or JSON mapping.

Pure. `m_gluino: 2000`, `xsec_pb: 0.001` (the unit is in the name) and `m_gluino: {value: 2, unit: TeV}` are the forms.
Scalars are read by our own rules, not by YAML's: 1e3 and 1.0D+03 are numbers, 1_000 and .inf are refused.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass

import yaml

from reana_lite.errors import InvalidInput
from reana_lite.theory.patch import read_json
from reana_lite.theory.reading import Faults, as_text, number, refuse, shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 4
MAX_PARAMETERS = 10_000

Value = float | int | str | bool

_SCALES: dict[str, tuple[str, float]] = {
    "keV": ("GeV", 1e-6), "MeV": ("GeV", 1e-3), "GeV": ("GeV", 1.0), "TeV": ("GeV", 1e3),
    "mb": ("pb", 1e9), "ub": ("pb", 1e6), "nb": ("pb", 1e3), "pb": ("pb", 1.0), "fb": ("pb", 1e-3), "ab": ("pb", 1e-6),
    "1/pb": ("1/fb", 1e-3), "1/fb": ("1/fb", 1.0), "1/ab": ("1/fb", 1e3),
    "mm": ("mm", 1.0), "cm": ("mm", 10.0), "m": ("mm", 1000.0), "ns": ("ns", 1.0), "ps": ("ns", 1e-3), "s": ("ns", 1e9),
    "rad": ("rad", 1.0), "%": ("1", 0.01), "1": ("1", 1.0),
}  # fmt: skip
_UNITS = {unit.lower(): unit for unit in _SCALES} | {"ifb": "1/fb", "ipb": "1/pb", "iab": "1/ab"}
_SUFFIXES = {"kev", "mev", "gev", "tev", "nb", "pb", "fb", "ab", "ifb", "ipb", "iab", "mm", "cm", "ns", "ps", "rad"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_LIKE_NUMBER = re.compile(r"[+-]?\.?[0-9][0-9_.,eEdD+-]*|[+-]?\.?(?:inf|nan)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value of a theory; `unit` is "" where none is known (a name such as xsec_pb carries its own)."""

    name: str
    value: Value
    unit: str = ""

    def to(self, unit: str) -> float:
        """The value in another unit of the same kind; InvalidInput if there is none, or it is not a number."""
        wanted = _UNITS.get(unit.lower())
        if wanted is None:
            raise refuse(self.name, f"unknown unit {shown(unit)!r}; known: {', '.join(_SCALES)}")
        if not self.unit or _SCALES[self.unit][0] != _SCALES[wanted][0] or isinstance(self.value, str | bool):
            raise refuse(self.name, f"{self.value!r} {self.unit} cannot be expressed in {wanted}")
        if wanted == self.unit:
            return float(self.value)
        return float(self.value) * _SCALES[self.unit][1] / _SCALES[wanted][1]


def parameter(name: str, value: Value, *, unit: str | None = None) -> Parameter:
    """A parameter by name, its unit taken from the name where it is not given; InvalidInput for odd names and units."""
    try:
        return _parameter(name, value, unit)
    except ValueError as error:
        raise refuse("parameters", f"{shown(name)}: {error}") from error


def _parameter(name: str, value: Value, unit: str | None) -> Parameter:
    if not _NAME.fullmatch(name):
        raise ValueError("not a name (letters, digits, _ . -; a letter first)")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    suffix = name.rpartition("_")[2].lower()
    named = _UNITS[suffix] if "_" in name and suffix in _SUFFIXES else ""
    if unit is None:
        return Parameter(name, value, named)
    known = _UNITS.get(unit.lower())
    if known is None:
        raise ValueError(f"unknown unit {shown(unit)!r}; known: {', '.join(_SCALES)}")
    if named and named != known:
        raise ValueError(f"the name says {named}, the unit {known}")
    if isinstance(value, str | bool):
        raise ValueError(f"a unit stands beside {shown(repr(value))}, which is not a number")
    return Parameter(name, value, known)


def scalar(text: str) -> Value:
    """The value of a plain (unquoted) text: a number, true or false, else itself; ValueError for odd numbers."""
    if re.fullmatch(r"[+-]?[0-9]{1,15}", text):
        return int(text)
    if text in ("true", "True", "false", "False"):
        return text[0] in "tT"
    if _LIKE_NUMBER.fullmatch(text) and not re.fullmatch(r"[0-9]+(?:[-.][0-9]+){2,}", text):  # dates, versions
        return number(text)
    return text


def read_parameters(content: bytes, source: str) -> tuple[Parameter, ...]:
    """The parameters of a YAML or JSON mapping, sorted by name; InvalidInput with line and reason for every fault."""
    if len(content) > MAX_BYTES:
        raise refuse(source, f"{len(content)} bytes; parameters have at most {MAX_BYTES}")
    root = _compose(as_text(content, source), source)
    faults = Faults(source)
    found: dict[str, Parameter] = {}
    for key, node in _pairs(root, faults):
        line = node.start_mark.line + 1
        if len(found) >= MAX_PARAMETERS:
            raise refuse(source, f"more than {MAX_PARAMETERS} parameters", line=line)
        try:
            found[key] = _from_node(key, node, faults)
        except ValueError as error:
            faults.add(f"{shown(key)}: {error}", line=line)
    if not found and not faults.found:
        faults.add("no parameters")
    faults.check()
    return tuple(found[name] for name in sorted(found))


def _compose(text: str, source: str) -> yaml.MappingNode:
    if text.lstrip().startswith("{"):
        with suppress(InvalidInput):  # JSON may be indented with tabs, YAML (a flow mapping) may not
            text = json.dumps(read_json(text.encode(), source))
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.BaseLoader):
            line = event.start_mark.line + 1 if event.start_mark else None
            if isinstance(event, yaml.AliasEvent):
                raise refuse(source, "a YAML alias (*); write the value itself", line=line)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise refuse(source, "nested too deep for parameters", line=line)
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise refuse(source, f"not YAML: {shown(error.problem or 'unreadable')}", line=line) from error
    except yaml.YAMLError as error:
        raise refuse(source, f"not YAML: {shown(str(error))}") from error
    if not isinstance(root, yaml.MappingNode):
        raise refuse(source, "neither a mapping of parameters nor any other known form of a theory")
    return root


def _pairs(root: yaml.MappingNode, faults: Faults) -> list[tuple[str, yaml.Node]]:
    pairs = []
    seen: dict[str, int] = {}
    for key, node in root.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            faults.add("a key that is not a text", line=line)
        elif key.value in seen:
            faults.add(f"second {shown(key.value)!r}; the first is on line {seen[key.value]}", line=line)
        else:
            seen[key.value] = line
            pairs.append((key.value, node))
    if len(pairs) == 1 and pairs[0][0] == "parameters" and isinstance(pairs[0][1], yaml.MappingNode):
        return _pairs(pairs[0][1], faults)
    return pairs


def _from_node(name: str, node: yaml.Node, faults: Faults) -> Parameter:
    unit: str | None = None
    if isinstance(node, yaml.MappingNode):
        parts = dict(_pairs(node, faults))
        if "value" not in parts or not parts.keys() <= {"value", "unit"}:
            raise ValueError("a mapping with other keys than value and unit")
        if "unit" in parts:
            unit = str(parts["unit"].value)
        node = parts["value"]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("neither a number nor a text")
    value = scalar(node.value) if node.style is None else node.value
    if node.style is None and node.value in ("", "~", "null"):
        raise ValueError("no value")
    return _parameter(name, value, unit)
