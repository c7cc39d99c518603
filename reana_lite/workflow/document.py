"""Workflow documents as text: YAML 1.1 with the place of every value, and `$ref` between documents.

`Documents` reads the document a workflow starts in and, as references ask for them, others, through the `fetch` it is
given: this module opens nothing itself. What comes out is a graph of dicts, lists and leaves in which a `Reference`
stands where a `$ref` was written, because the language treats what is reached by a reference differently (validation.py
fills no defaults into it). `Documents.locate` finds the place of a value by its pointer in the expanded document.
The language's schema is not known here: loading.py calls it, and validation.py changes the graph.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from reana_lite.errors import Fault, NotFound
from reana_lite.workflow.yaml_text import (
    MAX_VALUES,
    Lines,
    Parsed,
    Place,
    UnreadableError,
    expanded_size,
    json_key,
    kind_of,
    parse,
    why_not_json,
)

Fetch = Callable[[str], bytes]
"""URI (no fragment) -> the document's bytes; raises NotFound if there is none."""


@dataclass(slots=True, eq=False)
class Reference:
    """Stands where `{$ref: ...}` was written. `target` is a dict of the graph once resolved; None if `reason`."""

    uri: str
    base: str
    place: Place
    active: bool = False
    target: dict[Any, Any] | None = None
    reason: str = ""


class _UnresolvableError(Exception):
    pass


class Documents:
    """All documents of one workflow, references between them, and the places of their values."""

    def __init__(self, base: str, fetch: Fetch) -> None:
        """`base`: the URI of the toplevel folder, against which the first document's references are resolved."""
        self.base = base if base.endswith("/") else base + "/"
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.root: Any = None
        self._fetch = fetch
        self._first = ""
        self._top = Place("", "")
        self._roots: dict[str, Any] = {}
        self._unreadable: dict[str, str] = {}
        self._places: dict[int, tuple[Any, Place, Lines]] = {}
        self._moved: dict[tuple[int, Any], Place] = {}

    # -- reading -------------------------------------------------------------------------------------------------------
    def read(self, source: str) -> bool:
        """Reads the first document into `root`; whether that succeeded. What is wrong is in `faults` afterwards."""
        uri = urldefrag(self.base + source).url
        self._first = self.name(uri)
        try:
            self.root = self._read(uri, base=self.base)
        except _UnresolvableError as error:
            self.faults.append(Fault(self._first, "", str(error)))
        except UnreadableError as error:
            self.faults.append(error.fault)
        return not self.faults

    def complete(self) -> bool:
        """Resolves what is still unresolved and notes what can be no JSON; whether `plain` can be called."""
        size = self._measure(self.root, Place(self._first, ""), {}, set())
        if size > MAX_VALUES:
            self.faults.append(Fault(self._first, "", f"references expand to more than {MAX_VALUES} values"))
        return size <= MAX_VALUES

    def value(self, node: Any) -> Any:
        """What a node stands for: itself, or the target of a Reference (None if it has none), resolved now."""
        if not isinstance(node, Reference):
            return node
        try:
            return self._resolve(node)
        except _UnresolvableError:
            return None

    def name(self, uri: str) -> str:
        """How a document is called in messages: relative to the toplevel where possible."""
        return uri.removeprefix(self.base) or self._first or uri

    def _read(self, uri: str, *, base: str) -> Any:
        try:
            text = self._fetch(uri)
        except NotFound as error:
            raise _UnresolvableError(f"cannot read {uri}: {error.message}") from error
        parsed = parse(text, self.name(uri))
        self.warnings.extend(parsed.warnings)
        place = Place(self.name(uri), "", parsed.line)
        if not self._roots:
            self._top = place
        try:
            if expanded_size(parsed.value) > MAX_VALUES:
                raise UnreadableError(place.fault(f"aliases expand to more than {MAX_VALUES} values"))
            root = self._copy(parsed.value, parsed, place, base, set())
        except RecursionError as error:
            raise UnreadableError(place.fault("the document is nested too deeply")) from error
        self._roots[_normal(base)] = root
        return root

    def _copy(self, value: Any, parsed: Parsed, place: Place, base: str, active: set[int]) -> Any:
        """The value with References in place; containers become distinct objects with a known place.

        Tuples (`!!omap`) and bytes (`!!binary`) become lists, as they do in yadage.
        """
        if not isinstance(value, dict | list | tuple | bytes):
            return value
        if id(value) in active:
            raise UnreadableError(place.fault("an alias leads back into the value it stands in"))
        active.add(id(value))
        known = parsed.lines.get(id(value))
        lines = known[1] if known else {}
        members: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        copies = {key: self._copy(member, parsed, _below(place, key, lines), base, active) for key, member in members}
        active.discard(id(value))
        result: Any = copies if isinstance(value, dict) else list(copies.values())
        self._places[id(result)] = (result, place, lines)
        if isinstance(value, dict) and isinstance(value.get("$ref"), str):
            return Reference(value["$ref"], base, place)
        return result

    # -- references ----------------------------------------------------------------------------------------------------
    def _resolve(self, reference: Reference) -> dict[Any, Any]:
        if reference.active:
            raise _UnresolvableError("the reference leads back to itself")
        if reference.target is None and not reference.reason:
            reference.active = True
            try:
                reference.target = self._follow(reference)
            except _UnresolvableError as error:
                reference.reason = str(error)
            finally:
                reference.active = False
        if reference.target is None:
            raise _UnresolvableError(reference.reason)
        return reference.target

    def _follow(self, reference: Reference) -> dict[Any, Any]:
        uri, fragment = urldefrag(urljoin(reference.base, reference.uri))
        key = _normal(uri)
        if key in self._unreadable:
            raise _UnresolvableError(self._unreadable[key])
        if key not in self._roots:
            self._unreadable[key] = f"{self.name(uri)} is being read"
            try:
                self._read(uri, base=uri)
            except UnreadableError as error:
                self.faults.append(error.fault)
                self._unreadable[key] = f"{self.name(uri)} cannot be used: {error.fault.reason}"
                raise _UnresolvableError(self._unreadable[key]) from error
            except _UnresolvableError as error:
                self._unreadable[key] = str(error)
                raise
            del self._unreadable[key]
        node = self._roots[key]
        parts = unquote(fragment.lstrip("/")).split("/") if fragment else []
        for part in parts:
            node = self._step(node, part.replace("~1", "/").replace("~0", "~"), self.name(uri))
        if isinstance(node, Reference):
            node = self._resolve(node)
        if not isinstance(node, dict):
            raise _UnresolvableError(f"points at {kind_of(node)}; a $ref must point at a mapping")
        return node

    def _step(self, node: Any, part: str, name: str) -> Any:
        if isinstance(node, Reference):
            node = self._resolve(node)
        if isinstance(node, dict):
            if part not in node:
                raise _UnresolvableError(f"{name} has no key {part!r} there{_known(node)}")
            return node[part]
        if isinstance(node, list):
            try:
                return node[int(part)]
            except (ValueError, IndexError) as error:
                raise _UnresolvableError(f"{name} has no item {part!r} in a list of {len(node)} there") from error
        raise _UnresolvableError(f"{name} has {kind_of(node)} where {part!r} is looked for")

    def _measure(self, node: Any, place: Place, sizes: dict[int, int], active: set[int]) -> int:
        """Number of values below, references expanded; resolves them and notes every fault on the way."""
        if isinstance(node, Reference):
            return self._measure_reference(node, sizes, active)
        if not isinstance(node, dict | list):
            reason = why_not_json(node)
            if reason:
                self.faults.append(place.fault(reason))
            return 1
        if id(node) in sizes:
            return sizes[id(node)]
        active.add(id(node))
        size = 1
        members: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else enumerate(node)
        for key, member in members:
            below = self.place_below(node, key)
            if not isinstance(key, str | int | float | None):
                self.faults.append(below.fault(f"{kind_of(key)} cannot be a key; write text"))
            size += self._measure(member, below, sizes, active)
        active.discard(id(node))
        sizes[id(node)] = size
        return size

    def _measure_reference(self, reference: Reference, sizes: dict[int, int], active: set[int]) -> int:
        try:
            target = self._resolve(reference)
            if id(target) in active:
                raise _UnresolvableError("the reference leads back to itself")
        except _UnresolvableError as error:
            reference.target, reference.reason = None, str(error)
            self.faults.append(reference.place.fault(f"$ref {reference.uri!r}: {error}"))
            return 1
        return self._measure(target, reference.place, sizes, active)

    # -- what came of it -----------------------------------------------------------------------------------------------
    def to_json(self) -> Any:
        """The graph as plain JSON, references expanded; what cannot be expanded is null (and among the faults)."""

        def expand(node: Any) -> Any:
            return node.target if isinstance(node, Reference) else None

        return json.loads(json.dumps(self.root, default=expand, skipkeys=True))

    def made_of(self, new: Any, place: Place, members: dict[Any, Place] | None = None) -> None:
        """Notes where `new`, a short form written out, and its members stand in the document."""
        self._places[id(new)] = (new, place, {})
        self._moved.update({(id(new), key): where for key, where in (members or {}).items()})

    def place_of(self, container: Any) -> Place:
        """The place of a dict or list of the graph."""
        return self._places[id(container)][1]

    def locate(self, pointer: str) -> Place:
        """The place of the value at this pointer of the expanded document, or of what it would be a member of.

        Of what is reached by a reference that is its own place, not the reference's.
        """
        node = self.root
        place = self._top
        for part in pointer.split("/")[1:]:
            if isinstance(node, Reference):
                node = node.target
            key: Any = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list):
                key = int(key)
            elif isinstance(node, dict):
                key = next((known for known in node if known == key or json_key(known) == key), key)
            if not isinstance(node, dict | list):
                break
            place = self.place_below(node, key)
            if isinstance(node, dict) and key not in node:
                break
            node = node[key]
        reached = node.target if isinstance(node, Reference) else None
        return place if reached is None else self.place_of(reached)

    def place_below(self, node: Any, key: Any) -> Place:
        """The place of a member of a dict or list of the graph, or of what would be one."""
        if (id(node), key) in self._moved:
            return self._moved[id(node), key]
        _, place, lines = self._places.get(id(node), (None, Place("", ""), {}))
        return _below(place, key, lines)


def _below(place: Place, key: Any, lines: Lines) -> Place:
    line, text_line = lines.get(key, (place.line, None))
    part = str(json_key(key)).replace("~", "~0").replace("/", "~1")
    return Place(place.source, f"{place.pointer}/{part}", line, text_line)


def _normal(uri: str) -> str:
    return urlsplit(uri).geturl()


def _known(node: dict[Any, Any]) -> str:
    names = [str(key) for key in node]
    return f"; known: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else ""
