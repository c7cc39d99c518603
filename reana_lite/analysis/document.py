"""YAML text -> plain JSON-like value, with the line of everything in it.

Strict where YAML is dangerous: size, depth, number of values (aliases count as often as they are used, so that a "bomb"
or a circle ends here), two equal keys. Used for analysis.yml, and by the catalogue for recast.yml and reana.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from reana_lite.errors import Fault, InvalidAnalysis

LIMIT_BYTES = 5_000_000
LIMIT_VALUES = 200_000
LIMIT_DEPTH = 60

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document: its value, the name of its source, and the 1-based line of each path."""

    value: Any
    source: str
    lines: Mapping[Path, int] = field(default_factory=dict)
    repeated: tuple[Path, ...] = ()

    def line(self, path: Sequence[str | int]) -> int | None:
        """The line of what stands at `path`, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                return line
        return None

    def fault(self, path: Sequence[str | int], reason: str) -> Fault:
        """A fault at `path` of this document."""
        return Fault(self.source, pointer(path), reason, self.line(path))

    def repetitions(self) -> Iterator[Fault]:
        """A fault for each key that a mapping has twice."""
        for path in self.repeated:
            yield self.fault(path, "this key stands here twice; only one can be meant")


def pointer(path: Sequence[str | int]) -> str:
    """A path as a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def read_document(content: bytes | str, source: str) -> Document:
    """The document in `content`; raises InvalidAnalysis (with the line) if it is not YAML or beyond the limits."""
    if len(content) > LIMIT_BYTES:
        raise _refusal(source, f"is {len(content)} bytes long; at most {LIMIT_BYTES} are read")
    text = content
    if isinstance(content, bytes):
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _refusal(source, f"is not UTF-8 text (byte {error.start})") from error
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            reader = _Reader(loader, source)
            value = None if node is None else reader.read(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise _refusal(source, f"not YAML: {reason}", None if mark is None else mark.line + 1) from error
    except yaml.YAMLError as error:
        raise _refusal(source, f"not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise _refusal(source, f"is nested deeper than {LIMIT_DEPTH} levels") from error
    return Document(value, source, reader.lines, tuple(reader.repeated))


def _refusal(source: str, reason: str, line: int | None = None) -> InvalidAnalysis:
    return InvalidAnalysis.of([Fault(source, "", reason, line)])


class _Reader:
    """Turns YAML nodes into values, noting lines."""

    def __init__(self, loader: Any, source: str) -> None:
        self.loader = loader
        self.source = source
        self.lines: dict[Path, int] = {}
        self.repeated: list[Path] = []
        self.above: list[int] = []
        self.values = 0

    def read(self, node: yaml.Node, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.values += 1
        if self.values > LIMIT_VALUES:
            raise _refusal(self.source, f"holds more than {LIMIT_VALUES} values (aliases count each time)", line)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, line)
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _refusal(self.source, f"{pointer(path)}: the tag {node.tag} is not read here", line)
        if id(node) in self.above:
            raise _refusal(self.source, f"{pointer(path)} is an alias of something around it: a circle", line)
        if len(path) > LIMIT_DEPTH:
            raise _refusal(self.source, f"is nested deeper than {LIMIT_DEPTH} levels", line)
        self.above.append(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self.above.pop()

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        written: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in sources:
                    value = self.read(source, path)
                    if not isinstance(value, dict):
                        raise _refusal(self.source, "only mappings can be merged by <<", key_node.start_mark.line + 1)
                    merged = {**value, **merged}
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise _refusal(self.source, f"{pointer(path)}: a key must be a text", key_node.start_mark.line + 1)
            key = str(key_node.value)
            here = (*path, key)
            if key in written:
                self.repeated.append(here)
            self.lines[here] = key_node.start_mark.line + 1
            written[key] = self.read(value_node, here)
        return {**merged, **written}

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return self.loader.construct_object(node)
        except (ValueError, TypeError) as error:
            raise _refusal(self.source, f"{node.value!r} cannot be read: {error}", line) from error
