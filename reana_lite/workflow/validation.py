"""What a workflow document must be: short forms written out, defaults filled in, then the schema, then sentences.

The filling-in follows the schema alternative by alternative, as yadage's does: an alternative that is refused in the
end may have left defaults behind, and an object that is reached by a reference is not filled in itself. The schema
(schema.json, JSON Schema draft 4) then has the only say about what is valid; its findings become faults with a place.
loading.py calls `fill` and `faults`; spec.py calls `faults` for plain JSON.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

from reana_lite.errors import Fault
from reana_lite.workflow.document import Documents, Place, Reference

Schema = dict[str, Any]

_SELECTOR_KEYS = ("steps", "stages", "step")

_KIND_KEYS = {
    "scheduler": "scheduler_type",
    "dependencies": "dependency_type",
    "process": "process_type",
    "publisher": "publisher_type",
    "environment": "environment_type",
}
"""Property whose value is one of several objects -> the key that tells which."""


@cache
def schema() -> Schema:
    """The JSON Schema of a workflow after filling in."""
    text = files("reana_lite.workflow").joinpath("schema.json").read_text(encoding="utf-8")
    document: Schema = json.loads(text)
    return document


@cache
def _validator() -> Draft4Validator:
    return Draft4Validator(schema())


# -- filling in --------------------------------------------------------------------------------------------------------
def fill(documents: Documents) -> list[Fault]:
    """Writes out short forms and sets defaults in the graph; names the schedulers that have no `parameters`."""
    filling = _Filling(documents)
    filling.fits(documents.root, schema())
    return filling.faults


class _Filling:
    """A walk of the graph along the schema. `fits` tells whether a value is valid and changes it on the way.

    `hasty` stops at the first error and fills in nothing after it: the alternatives behind one that fits are tried so.
    """

    def __init__(self, documents: Documents) -> None:
        self.faults: list[Fault] = []
        self._documents = documents
        self._incomplete: set[int] = set()

    def fits(self, node: Any, rules: Schema, *, hasty: bool = False) -> bool:
        checks = self._checks(node, _deref(rules), hasty)
        return all(checks) if hasty else all(list(checks))

    def _checks(self, node: Any, rules: Schema, hasty: bool) -> Iterator[bool]:
        value = node.target if isinstance(node, Reference) else node
        if "type" in rules:
            allowed = rules["type"]
            yield _type_of(value) in ([allowed] if isinstance(allowed, str) else allowed)
        if "enum" in rules:
            yield value in rules["enum"]
        if isinstance(value, dict):
            if rules.get("additionalProperties") is False:
                yield all(key in rules["properties"] for key in value)
            if "properties" in rules:
                yield from self._properties(node, value, rules, hasty)
            yield all(key in value for key in rules.get("required", ()))
            if "not" in rules:
                yield not all(key in value for key in rules["not"]["required"])
        if isinstance(value, list) and "items" in rules:
            for member in value:
                yield self.fits(member, rules["items"], hasty=hasty)
        if "oneOf" in rules:
            alternatives = iter(rules["oneOf"])
            yield any(self.fits(node, each) for each in alternatives)
            for each in alternatives:
                yield not self.fits(node, each, hasty=True)

    def _properties(self, node: Any, value: dict[Any, Any], rules: Schema, hasty: bool) -> Iterator[bool]:
        if rules.get("title") == "stage":
            self._write_out_dependencies(value)
        elif rules.get("title") == "scheduler":
            self._write_out_parameters(value)
        good = True
        for key, below in rules["properties"].items():
            if key in value:
                fits = self.fits(value[key], below, hasty=hasty)
                good = good and fits
                yield fits
        if good and not isinstance(node, Reference):
            for key, below in rules["properties"].items():
                if "default" in below and key not in value:
                    value[key] = copy.deepcopy(below["default"])

    def _write_out_dependencies(self, stage: dict[Any, Any]) -> None:
        queries = stage.get("dependencies")
        if isinstance(queries, list):
            written = {"dependency_type": "jsonpath_ready", "expressions": queries}
            place = self._documents.place_of(queries)
            self._documents.made_of(written, place, {"expressions": place})
            stage["dependencies"] = written

    def _write_out_parameters(self, scheduler: dict[Any, Any]) -> None:
        if scheduler.get("scheduler_type") not in ("singlestep-stage", "multistep-stage"):
            return
        if "parameters" not in scheduler:
            if id(scheduler) not in self._incomplete:
                self._incomplete.add(id(scheduler))
                place = self._documents.place_of(scheduler)
                self.faults.append(place.fault("`parameters` is missing; write `parameters: {}` if there are none"))
            return
        given = scheduler["parameters"]
        if not isinstance(given, dict):
            return
        written = []
        for key, value in given.items():
            if isinstance(value, dict) and any(name in value for name in _SELECTOR_KEYS):
                value["expression_type"] = "stage-output-selector"
            entry = {"key": key, "value": value}
            place = self._documents.place_below(given, key)
            self._documents.made_of(entry, place, {"key": place, "value": place})
            written.append(entry)
        places = enumerate(self._documents.place_below(given, key) for key in given)
        self._documents.made_of(written, self._documents.place_of(given), dict(places))
        scheduler["parameters"] = written


def _deref(rules: Schema) -> Schema:
    target = rules.get("$ref")
    if target is None:
        return rules
    found: Schema = schema()["definitions"][target.rsplit("/", 1)[1]] if "/" in target else schema()
    return found


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    names: dict[type, str] = {str: "string", dict: "object", list: "array", type(None): "null"}
    return names.get(type(value), "none of JSON's")


# -- validating --------------------------------------------------------------------------------------------------------
Locate = Callable[[str], Place]


def faults(plain: Any, locate: Locate) -> list[Fault]:
    """Everything the schema has against this plain JSON, as sentences with a place, in the order of the document."""
    found = [
        locate(_pointer(path)).fault(reason)
        for error in _validator().iter_errors(plain)
        for path, reason in _explain(error, [])
    ]
    return sorted(set(found), key=lambda fault: (fault.source, fault.line or 0, fault.path, fault.reason))


def _pointer(path: Iterable[Any]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _explain(error: ValidationError, above: list[Any]) -> Iterator[tuple[list[Any], str]]:
    """(path, sentence) of what is wrong: of alternatives, only what is wrong with the one that is meant."""
    path = above + list(error.path)
    value: Any = error.instance
    rule: Any = error.validator_value
    rules: Any = error.schema
    match error.validator:
        case "oneOf" if "required" in rule[0]:
            yield path, _bodies(value, [each["required"][0] for each in rule])
        case "oneOf":
            yield from _explain_choice(error, path)
        case "additionalProperties":
            allowed = list(rules["properties"])
            for key in value:
                if key not in allowed:
                    yield [*path, key], f"unknown key {key!r}{_meant(key, allowed)}; known: {', '.join(allowed)}"
        case "required":
            absent = [key for key in rule if key not in value]
            yield path, f"{_names(absent)} {'is' if len(absent) == 1 else 'are'} missing"
        case "type":
            yield path, f"must be {_types(rule)}, not {_shown(value)}"
        case "enum":
            yield path, f"must be {' or '.join(map(repr, rule))}, not {_shown(value)}"
        case "not":
            yield path, f"{_names(rule['required'], ' and ')} cannot both be given"
        case _:
            yield path, error.message


def _explain_choice(error: ValidationError, path: list[Any]) -> Iterator[tuple[list[Any], str]]:
    """What is wrong with a value that is one of several objects told apart by a key such as scheduler_type."""
    value: Any = error.instance
    rule: Any = error.validator_value
    key = _KIND_KEYS[str(path[-1])] if path and path[-1] in _KIND_KEYS else "type"
    alternatives = [_deref(each) for each in rule]
    kinds = [each["properties"][key]["enum"][0] for each in alternatives if "properties" in each]
    nullable = any(each.get("type") == "null" for each in alternatives)
    if not isinstance(value, dict):
        yield path, f"must be a mapping with {key!r}{' or null' if nullable else ''}, not {_shown(value)}"
        return
    if key not in value:
        yield path, f"{key!r} is missing; known: {', '.join(kinds)}"
        return
    if value[key] not in kinds:
        yield [*path, key], f"unknown {key} {_shown(value[key])}{_meant(value[key], kinds)}; known: {', '.join(kinds)}"
        return
    meant = kinds.index(value[key])
    for below in error.context or ():
        if below.schema_path[0] == meant:
            yield from _explain(below, path)


def _bodies(value: Any, keys: list[str]) -> str:
    given = [key for key in keys if key in value]
    wanted = " or ".join(f"`{key}`" for key in keys)
    return f"needs exactly one of {wanted}" + (f", not {_names(given, ' and ')}" if given else "")


def _names(keys: Iterable[str], joint: str = ", ") -> str:
    return joint.join(f"`{key}`" for key in keys)


def _meant(key: Any, known: list[str]) -> str:
    close = get_close_matches(key, known, n=1, cutoff=0.75) if isinstance(key, str) else []
    return f" (is {close[0]!r} meant?)" if close else ""


def _types(allowed: str | list[str]) -> str:
    words = {"object": "a mapping", "array": "a list", "string": "text", "number": "a number"}
    words |= {"boolean": "true or false", "null": "null"}
    return " or ".join(words[each] for each in ([allowed] if isinstance(allowed, str) else allowed))


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
