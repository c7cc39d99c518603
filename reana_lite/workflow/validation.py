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
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft4Validator, validators
from jsonschema.exceptions import ValidationError

from reana_lite.errors import Fault
from reana_lite.workflow.document import Documents, Reference
from reana_lite.workflow.yaml_text import MAX_VALUES, Place

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

_EXPECTED_WITHOUT_KIND: dict[str, Callable[[dict[Any, Any]], bool]] = {
    "process": lambda value: "cmd" in value,  # a string-interpolated-cmd
    "environment": lambda value: not value,  # a noop-env
    "publisher": lambda value: False,
}
"""What the default kind of an object can be taken for when the key that tells is absent."""


@cache
def schema() -> Schema:
    """The JSON Schema of a workflow after filling in."""
    text = files("reana_lite.workflow").joinpath("schema.json").read_text(encoding="utf-8")
    document: Schema = json.loads(text)
    return document


@cache
def _validator() -> Any:
    # without "$schema", which would bring the plain Draft4Validator back for every sub-workflow
    rules = {key: value for key, value in schema().items() if key != "$schema"}
    return validators.extend(Draft4Validator, {"oneOf": _one_of})(rules)  # type: ignore[no-untyped-call]


def _one_of(validator: Any, alternatives: list[Schema], value: Any, rules: Schema) -> Iterator[ValidationError]:
    """`oneOf`, but a value that names its kind is held against that alternative alone.

    The others could only refuse it. What is said is then about the kind that was meant, and sub-workflows in
    sub-workflows are not validated three times at each level.
    """
    chosen = chosen_of(value, alternatives)
    if chosen is not None:
        yield from validator.descend(value, alternatives[chosen])
    else:
        yield from Draft4Validator.VALIDATORS["oneOf"](validator, alternatives, value, rules)


# -- filling in --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Filled:
    """What came of filling in: `faults` nobody else finds; `untyped`: a plainer word for what the schema will say of
    objects that did not say what they are, because defaults of several kinds are in them now."""

    faults: tuple[Fault, ...]
    untyped: tuple[Fault, ...]


def fill(documents: Documents) -> Filled:
    """Writes out short forms and sets defaults in the graph."""
    filling = _Filling(documents)
    filling.fits(documents.root, schema())
    return Filled(tuple(filling.faults), tuple(filling.untyped))


class _Filling:
    """A walk of the graph along the schema. `fits` tells whether a node is valid, and changes it on the way.

    Where alternatives are told apart by a key, only the one that is meant is walked: the others would refuse the value
    and leave nothing behind - with one exception, `_walk_cases`. References are resolved when the walk reaches them,
    because one that points into parameters sees them before or after their short form was written out.
    """

    def __init__(self, documents: Documents) -> None:
        self.faults: list[Fault] = []
        self.untyped: list[Fault] = []
        self._documents = documents
        self._valid: set[tuple[int, int, bool]] = set()
        self._invalid: dict[tuple[int, int, bool], int] = {}
        self._changes = 0
        self._active: set[int] = set()
        self._visits = 0

    def fits(self, node: Any, rules: Schema) -> bool:
        value = self._documents.value(node)
        rules = _deref(rules)
        if not isinstance(value, dict | list):
            return _type_fits(value, rules)
        visit = (id(value), id(rules), isinstance(node, Reference))
        if visit in self._valid:
            return True  # walked before, and what is valid stays so
        if id(value) in self._active or self._invalid.get(visit) == self._changes:
            return False  # of a circle, documents.complete() tells
        self._visits += 1
        if self._visits > 2 * MAX_VALUES:
            _note(self.faults, self._documents.place_of(value).fault("the workflow is too large to be validated"))
            return False
        self._active.add(id(value))
        good = self._walk(node, value, rules)
        self._active.discard(id(value))
        if good:
            self._valid.add(visit)
        else:
            self._invalid[visit] = self._changes
        return good

    def _walk(self, node: Any, value: dict[Any, Any] | list[Any], rules: Schema) -> bool:
        good = _type_fits(value, rules)
        if isinstance(value, dict):
            if "properties" in rules:
                good = self._properties(node, value, rules) and good
            good = good and all(key in value for key in rules.get("required", ()))
            good = good and not ("not" in rules and all(key in value for key in rules["not"]["required"]))
        elif "items" in rules:
            for member in value:  # all of them, for what it leaves behind
                good = self.fits(member, rules["items"]) and good
        if "oneOf" in rules:
            good = self._choose(node, value, rules["oneOf"]) and good
        return good

    def _choose(self, node: Any, value: Any, alternatives: list[Schema]) -> bool:
        self._active.discard(id(value))
        chosen = chosen_of(value, alternatives)
        if chosen is not None:
            if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
                for rules in map(_deref, alternatives):
                    if rules.get("additionalProperties") is False:
                        self._unknown_keys(value, rules["properties"])
            return self.fits(node, alternatives[chosen])
        return sum([self.fits(node, each) for each in alternatives]) == 1

    def _properties(self, node: Any, value: dict[Any, Any], rules: Schema) -> bool:
        good = True
        if rules.get("additionalProperties") is False:
            good = not self._unknown_keys(value, rules["properties"])
        if rules.get("title") == "stage":
            self._write_out_dependencies(value)
        elif rules.get("title") == "scheduler":
            self._write_out_parameters(value)
            self._walk_cases(value, rules)
        fit = True
        for key, below in rules["properties"].items():
            if key in value:
                if key in _KIND_KEYS and "oneOf" in below:
                    self._look_for_kind(key, value[key], below)
                fit = self.fits(value[key], below) and fit
        if fit and not isinstance(node, Reference):
            for key, below in rules["properties"].items():
                if "default" in below and key not in value:
                    value[key] = copy.deepcopy(below["default"])
                    self._changes += 1
        return good and fit

    def _walk_cases(self, scheduler: dict[Any, Any], rules: Schema) -> None:
        """A jq-stage is tried as a singlestep-stage first: its `cases` are filled though its own rules ignore them."""
        known = schema()["definitions"]["singlestep-stage"]["properties"]
        if rules is schema()["definitions"]["jq-stage"] and "cases" in scheduler:
            self.fits(scheduler["cases"], known["cases"])

    def _unknown_keys(self, value: dict[Any, Any], known: Schema) -> bool:
        unknown = [key for key in value if key not in known]
        if any(isinstance(key, str) for key in unknown) and not all(isinstance(key, str) for key in unknown):
            # yadage sorts them for its message and fails over that, even where another alternative allows any key
            _note(self.faults, self._documents.place_of(value).fault("its keys must be text"))
        return bool(unknown)

    def _look_for_kind(self, name: str, node: Any, rules: Schema) -> None:
        """Notes an object without the key that tells its kind, unless the default kind is what was meant."""
        kind, expected = _KIND_KEYS[name], _EXPECTED_WITHOUT_KIND.get(name)
        if expected is None or not isinstance(node, dict) or kind in node or expected(node):
            return
        reason = f"`{kind}` is missing; known: {', '.join(_kinds(rules['oneOf'], kind))}"
        _note(self.untyped, self._documents.place_of(node).fault(reason))

    def _write_out_dependencies(self, stage: dict[Any, Any]) -> None:
        queries = stage.get("dependencies")
        if isinstance(queries, list):
            written = {"dependency_type": "jsonpath_ready", "expressions": queries}
            place = self._documents.place_of(queries)
            self._documents.made_of(written, place, {"expressions": place})
            stage["dependencies"] = written
            self._changes += 1

    def _write_out_parameters(self, scheduler: dict[Any, Any]) -> None:
        if scheduler.get("scheduler_type") not in ("singlestep-stage", "multistep-stage"):
            return
        if "parameters" not in scheduler:
            reason = "`parameters` is missing; write `parameters: {}` if there are none"
            _note(self.faults, self._documents.place_of(scheduler).fault(reason))
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
        self._changes += 1


def _deref(rules: Schema) -> Schema:
    target = rules.get("$ref")
    if target is None:
        return rules
    found: Schema = schema()["definitions"][target.rsplit("/", 1)[1]] if "/" in target else schema()
    return found


def chosen_of(value: Any, alternatives: list[Schema]) -> int | None:
    """Which of the alternatives a value can only mean: the one whose kind it names; None if it names none of them."""
    if isinstance(value, dict):
        for index, rules in enumerate(map(_deref, alternatives)):
            for key, below in rules.get("properties", {}).items():
                if key in value and "enum" in below and value[key] in below["enum"]:
                    return index
    return None


def _type_fits(value: Any, rules: Schema) -> bool:
    if "enum" in rules and value not in rules["enum"]:
        return False
    if "oneOf" in rules and "type" not in rules and not isinstance(value, dict):
        return any(_type_fits(value, _deref(each)) for each in rules["oneOf"])
    allowed = rules.get("type")
    return allowed is None or _type_of(value) in ([allowed] if isinstance(allowed, str) else allowed)


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
        case "oneOf" if not isinstance(value, dict) and "required" in rule[0]:
            pass  # its type is wrong, which is said elsewhere
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
        case "type" if "oneOf" in rules:
            pass  # said with the alternatives
        case "type" if path[-1:] == ["parameters"] and isinstance(value, dict):
            yield path, "must be a list of {key, value}; the short form, a mapping, is not read through a $ref"
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
    kinds = _kinds(rule, key)
    nullable = any(each.get("type") == "null" for each in alternatives)
    if not isinstance(value, dict):
        yield path, f"must be a mapping with {key!r}{' or null' if nullable else ''}, not {_shown(value)}"
        return
    if key not in value:
        yield path, f"{key!r} is missing; known: {', '.join(kinds)}"
        return
    yield [*path, key], f"unknown {key} {_shown(value[key])}{_meant(value[key], kinds)}; known: {', '.join(kinds)}"


def _kinds(alternatives: list[Schema], key: str) -> list[str]:
    """The kinds among alternatives, null not counted."""
    rules = [_deref(each) for each in alternatives]
    return [each["properties"][key]["enum"][0] for each in rules if "properties" in each]


def _note(notes: list[Fault], fault: Fault) -> None:
    if fault not in notes:
        notes.append(fault)


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
