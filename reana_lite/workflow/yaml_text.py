"""YAML 1.1 as PyYAML's safe loader reads it (JSON too), with the place of every value.

`parse` gives Python values and the line of every member, or the one fault that makes the text unreadable. It bounds
what a text may grow to. References, schemas and init data are the matter of document.py and initdata.py, its callers.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import yaml

from reana_lite.errors import Fault

MAX_BYTES = 8 * 1024 * 1024
"""Size of one document; published workflows have some kilobytes."""

MAX_VALUES = 1_000_000
"""Values of a workflow once aliases, merge keys and references are expanded; a guard against documents that explode."""

_MAX_INT_BITS = 14_000  # Python refuses to write integers of more than 4300 digits

Lines = dict[Any, tuple[int, int | None]]
"""Key or index of a member -> its line, and the first line of its text if that is a literal block."""

_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: document, JSON pointer, 1-based line; `text_line`: first line of a literal block."""

    source: str
    pointer: str
    line: int | None = None
    text_line: int | None = None

    def fault(self, reason: str) -> Fault:
        return Fault(self.source, self.pointer, reason, self.line)


@dataclass(slots=True)
class Parsed:
    """One document as Python values; `lines`: id of a dict or list -> (it, the line of each member)."""

    value: Any
    line: int | None = None
    lines: dict[int, tuple[Any, Lines]] = field(default_factory=dict)
    warnings: tuple[Fault, ...] = ()


class UnreadableError(Exception):
    """Internal: the text is no usable document; carries the Fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that also notes lines and repeated keys."""

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self.lines: dict[int, tuple[Any, Lines]] = {}
        self.repeated: list[tuple[int, str]] = []
        self._seen: set[int] = set()

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            # PyYAML's constructors let these through for a date such as 2024-13-01 or a text such as !!bool 2
            kind = node.tag.rsplit(":", 1)[-1]
            problem = f"{_short(node.value)} does not fit its type ({kind})"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error
        if isinstance(value, int) and value.bit_length() > _MAX_INT_BITS:
            raise yaml.constructor.ConstructorError(None, None, "the number has too many digits", node.start_mark)
        return value

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if id(node) not in self._seen:  # afterwards merged keys stand among its own
            self._seen.add(id(node))
            self._note_repeated(node)
        super().flatten_mapping(node)

    def _note_repeated(self, node: yaml.MappingNode) -> None:
        known: set[tuple[str, str]] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != _MERGE:
                key = (key_node.tag, key_node.value)
                if key in known:
                    self.repeated.append((key_node.start_mark.line + 1, key_node.value))
                known.add(key)

    def construct_yaml_map(self, node: yaml.MappingNode) -> Generator[dict[Any, Any], None, None]:
        data: dict[Any, Any] = {}
        yield data
        data.update(self.construct_mapping(node))
        lines = {}
        if isinstance(node, yaml.MappingNode):
            for key_node, value_node in node.value:
                key = self.construct_object(key_node, deep=True)
                lines[key] = (key_node.start_mark.line + 1, _text_line(value_node))
        self.lines[id(data)] = (data, lines)

    def construct_yaml_seq(self, node: yaml.SequenceNode) -> Generator[list[Any], None, None]:
        data: list[Any] = []
        yield data
        data.extend(self.construct_sequence(node))
        lines = {index: (item.start_mark.line + 1, _text_line(item)) for index, item in enumerate(node.value)}
        self.lines[id(data)] = (data, lines)


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)
_Loader.add_constructor("tag:yaml.org,2002:seq", _Loader.construct_yaml_seq)


def expanded_size(value: Any) -> int:
    """Number of values with aliases written out; what leads back into itself is not counted again."""
    sizes: dict[int, int] = {}

    def size(node: Any) -> int:
        if not isinstance(node, dict | list | tuple | bytes):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = 0
            members = node.values() if isinstance(node, dict) else node
            sizes[id(node)] = 1 + sum(map(size, members))
        return sizes[id(node)]

    return size(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text_line(node: yaml.Node) -> int | None:
    """First line of the text of a literal block (`|`), whose lines are the text's lines."""
    return node.start_mark.line + 2 if isinstance(node, yaml.ScalarNode) and node.style == "|" else None


def parse(text: bytes | str, source: str) -> Parsed:
    """The YAML (or JSON) document as PyYAML's safe loader reads it; raises UnreadableError with the line."""
    if len(text) > MAX_BYTES:
        raise UnreadableError(Fault(source, "", f"the document has {len(text)} bytes; at most {MAX_BYTES} are read"))
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise UnreadableError(Fault(source, "", f"no valid YAML: {reason}", mark.line + 1 if mark else None)) from error
    except yaml.YAMLError as error:
        raise UnreadableError(Fault(source, "", f"no valid YAML: {' '.join(str(error).split())}")) from error
    except RecursionError as error:
        raise UnreadableError(Fault(source, "", "the document is nested too deeply")) from error
    finally:
        if loader is not None:
            loader.dispose()
    warnings = tuple(
        Fault(source, "", f"key {key!r} is given twice in one mapping; the last one counts", line)
        for line, key in loader.repeated
    )
    return Parsed(value, node.start_mark.line + 1 if node is not None else None, loader.lines, warnings)


def json_key(key: Any) -> Any:
    """A key as JSON writes it: `on` becomes "true"."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def kind_of(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "nothing (null)" if value is None else f"a {type(value).__name__}")


def why_not_json(value: Any) -> str:
    """Why a leaf cannot be JSON, or ""."""
    if value is None or isinstance(value, str | int | float):
        return ""
    hint = "; quote it to keep it as text" if hasattr(value, "isoformat") else ""
    return f"{kind_of(value)} is not JSON{hint}"
