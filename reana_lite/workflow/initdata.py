"""What a run is given beside its workflow: init data, and the options that say where its files are.

Pure rules on text: init files merged in order (a later file replaces whole top-level values), then KEY=YAML assignments
over them; data options as one frozen DataOptions. Whoever reads the files and looks the folders up calls this with what
was read. All errors are InvalidInput with `field`, `value` where short, and `line` in an init file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from reana_lite.errors import InvalidInput, InvalidWorkflow
from reana_lite.workflow.value import Json, decoded
from reana_lite.workflow.yaml_text import (
    MAX_VALUES,
    Parsed,
    UnreadableError,
    expanded_size,
    json_key,
    kind_of,
    parse,
    why_not_json,
)


def init_file(name: str, text: bytes | str) -> dict[str, Json]:
    """One init file: a YAML mapping with text keys, as JSON."""
    parsed = _parsed(text, name, field="initfiles")
    if not isinstance(parsed.value, dict):
        what = "is empty" if parsed.value is None else f"holds {kind_of(parsed.value)}"
        raise InvalidInput(f"init file {name} {what}; it must hold a mapping", field="initfiles")
    for key in parsed.value:
        if not isinstance(key, str):
            line = parsed.lines[id(parsed.value)][1][key][0]
            raise InvalidInput(f"{name}:{line}: key {key!r} must be text; quote it", field="initfiles", line=line)
    result: dict[str, Json] = _json(parsed, name)
    return result


def assigned(assignments: Iterable[str], *, option: str = "-p") -> dict[str, Json]:
    """{KEY: value} of "KEY=YAML" texts, split at the first `=`; of a key given twice the last."""
    values: dict[str, Json] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign:
            raise InvalidInput(f"{option} {text!r} must be KEY=VALUE", field=option, value=text)
        values[key] = _json(_parsed(value, f"{option} {key}", field=key), f"{option} {key}", field=key)
    return values


def _parsed(text: bytes | str, name: str, *, field: str) -> Parsed:
    try:
        return parse(text, name)
    except UnreadableError as error:
        raise InvalidInput(str(error.fault), field=field, line=error.fault.line) from error


def _json(parsed: Parsed, name: str, *, field: str | None = None) -> Json:
    """The document as JSON has it: keys are text, nothing but JSON's values, aliases written out, strings decoded."""
    active: set[int] = set()

    def refuse(reason: str, top: str | None, line: int | None) -> InvalidInput:
        place = name if line is None or field is not None else f"{name}:{line}"
        return InvalidInput(f"{place}: {reason}", field=field or top, line=line)

    def copied(value: Any, top: str | None, line: int | None) -> Json:
        if isinstance(value, dict | list | tuple):
            return members(value, top, line)
        reason = why_not_json(value)
        if reason:
            raise refuse(reason, top, line)
        try:
            return decoded(value)
        except InvalidWorkflow as error:
            raise refuse(error.message, top, line) from error

    def members(value: Any, top: str | None, line: int | None) -> Json:
        if id(value) in active:
            raise refuse("an alias leads back into the value it stands in", top, line)
        active.add(id(value))
        known = parsed.lines.get(id(value), (None, {}))[1]
        copies = {}
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            if not isinstance(key, str | int | float | None):
                raise refuse(f"{kind_of(key)} cannot be a key; write text", top, line)
            below = known.get(key, (line, None))[0]
            copies[key] = copied(member, top if top is not None else str(json_key(key)), below)
        active.discard(id(value))
        return {json_key(key): copy for key, copy in copies.items()} if isinstance(value, dict) else [*copies.values()]

    try:
        if expanded_size(parsed.value) > MAX_VALUES:
            raise refuse(f"aliases expand to more than {MAX_VALUES} values", None, None)
        return json.loads(json.dumps(copied(parsed.value, None, parsed.line)))
    except RecursionError as error:
        raise refuse("the value is nested too deeply", None, None) from error


# -- options -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DataOptions:
    """Where a run's files come from (yadage's -d).

    `initdir` and the folders of `subinits` are relative to `pathbase`, or else to the work directory. `subinits`: a
    folder by scheduled name of a sub-workflow; a mapping holds its own folder as `_data` and the next level.
    `inputarchive` is the URL of a zip unpacked into the init directory, below `archivematch` only (a pattern that ends
    in `/`). `nest` False: all nodes share one folder. `ensure`, `overwrite`: make folders at layout, delete what was
    there before.
    """

    initdir: str = "init"
    pathbase: str | None = None
    subinits: Mapping[str, Any] = field(default_factory=dict)
    inputarchive: str | None = None
    archivematch: str | None = None
    nest: bool = True
    ensure: bool = True
    overwrite: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Json]) -> DataOptions:
        """The options by name, values already read as YAML; an option that is null counts as not given."""
        if "read" in options:
            raise InvalidInput("data option 'read' cannot be given as text; name a folder by initdir", field="read")
        _known(options, cls.__dataclass_fields__, "data option")
        given = {key: value for key, value in options.items() if value is not None}
        for key in ("initdir", "pathbase", "inputarchive", "archivematch"):
            _typed(given, key, str, "text")
        for key in ("nest", "ensure", "overwrite"):
            _typed(given, key, bool, "true or false")
        _subinits(given.get("subinits", {}), "subinits")
        match = given.get("archivematch")
        if match is not None and not match.endswith("/"):
            raise InvalidInput(f"archivematch {match!r} must end in '/'", field="archivematch", value=match)
        if match is not None and "inputarchive" not in given:
            raise InvalidInput("archivematch needs an inputarchive", field="archivematch", value=match)
        return cls(**given)


@dataclass(frozen=True, slots=True)
class InitOptions:
    """How the init stage looks values up as files (yadage's -w): patterns too; relative to the init directory."""

    discover: bool = True
    relative: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Json]) -> InitOptions:
        """The options by name, values already read as YAML."""
        _known(options, cls.__dataclass_fields__, "workflow option")
        for key in options:
            _typed(options, key, bool, "true or false")
        return cls(**options)


def _known(options: Mapping[str, Json], known: Iterable[str], what: str) -> None:
    names = list(known)
    for key, value in options.items():
        if key not in names:
            close = get_close_matches(key, names, n=1)
            meant = f" (is {close[0]!r} meant?)" if close else ""
            raise InvalidInput(f"unknown {what} {key!r}{meant}; known: {', '.join(names)}", field=key, value=value)


def _typed(options: Mapping[str, Json], key: str, kind: type, words: str) -> None:
    if key in options and not isinstance(options[key], kind):
        raise InvalidInput(f"{key} must be {words}, not {options[key]!r}", field=key, value=options[key])


def _subinits(value: Json, where: str) -> None:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} must be a mapping of stages to folders, not {value!r}", field="subinits")
    for name, below in value.items():
        if isinstance(below, dict) and name != "_data":
            _subinits(below, f"{where}/{name}")
        elif not isinstance(below, str):
            raise InvalidInput(f"{where}/{name} must be a folder, not {below!r}", field="subinits", value=below)
