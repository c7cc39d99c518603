"""What is given to a Yadage workflow: init files, -p, and yadage's -d and -w options as they are typed.

Init files are merged in order, later whole values over earlier ones, and -p over both. The files they speak of become
the tree at INIT_ROOT: an init folder (`initdir`) or an unpacked archive (`inputarchive`); `subinits` lie beside it.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from reana_lite.analysis.parameter import near
from reana_lite.catalogue import Sources, local_bytes, unpack
from reana_lite.catalogue.fetching import retrieve
from reana_lite.errors import InvalidInput
from reana_lite.job import INIT_ROOT
from reana_lite.target.files import Scratch
from reana_lite.target.prepared import Brought

SUBINITS = f"{INIT_ROOT}/.subinits"
"""Where init folders of sub-workflows appear: below INIT_ROOT, but where no pattern of an init file finds them."""

_LIMIT_BYTES = 64 * 1024 * 1024
_DATA_OPTIONS = (
    "initdir",
    "pathbase",
    "subinits",
    "inputarchive",
    "archivematch",
    "nest",
    "ensure",
    "overwrite",
    "read",
)
_WORKFLOW_OPTIONS = ("discover", "relative")


@dataclass(frozen=True, slots=True)
class Data:
    """The files a workflow starts with, and the options that came with them."""

    brought: tuple[Brought, ...] = ()
    subinits: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def assigned(assignments: Iterable[str], *, option: str = "-p") -> dict[str, str]:
    """{KEY: VALUE as typed} of "KEY=VALUE" texts; raises InvalidInput for one without "="."""
    found: dict[str, str] = {}
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise InvalidInput(f"{option} {text!r} is not KEY=VALUE", field=option, value=text)
        found[key] = value
    return found


def yaml_values(texts: Mapping[str, str], *, option: str = "-p") -> dict[str, Any]:
    """The same with each value read as YAML."""
    values = {}
    for key, text in texts.items():
        try:
            values[key] = json_like(yaml.safe_load(text), f"{option} {key}")
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            reason = getattr(error, "problem", None) or error
            raise InvalidInput(f"{option} {key}: {text!r} is not YAML: {reason}", field=key, value=text) from error
    return values


def init_data(files: Sequence[Path], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Init files merged in order, and `extra` over them."""
    merged: dict[str, Any] = {}
    for path in files:
        merged.update(init_file(path))
    merged.update(extra)
    return merged


def init_file(path: Path) -> dict[str, Any]:
    """One init file: a YAML mapping with text keys, JSON below; raises NotFound, InvalidInput with the line."""
    text = local_bytes(path, limit_bytes=_LIMIT_BYTES)
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        reason = getattr(error, "problem", None) or " ".join(str(error).split()) or "nested too deeply"
        raise InvalidInput(
            f"init file {path}{line} is not YAML: {reason}", field="initfiles", value=str(path)
        ) from error
    if not isinstance(value, dict):
        what = "empty" if value is None else f"a {type(value).__name__}"
        raise InvalidInput(f"init file {path} is {what}; it must be a mapping", field="initfiles", value=str(path))
    for key in value:
        if not isinstance(key, str):
            raise InvalidInput(
                f"init file {path}: key {key!r} must be a text (quote it)", field="initfiles", value=str(path)
            )
    plain: dict[str, Any] = json_like(value, f"init file {path}")
    return plain


def json_like(value: Any, where: str) -> Any:
    """The value as JSON has it (keys become texts); raises InvalidInput for dates, and for aliases that explode."""
    _measure(value, where, {}, set())
    try:
        return json.loads(json.dumps(value))
    except TypeError as error:
        raise InvalidInput(f"{where} holds something that JSON does not know: {error}", field=where) from error


def _measure(value: Any, where: str, known: dict[int, int], active: set[int]) -> int:
    """Number of values with aliases written out."""
    if isinstance(value, datetime.date):
        raise InvalidInput(f"{where} holds the date {value}; write it in quotes", field=where, value=str(value))
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) in active:
        raise InvalidInput(f"{where} holds an alias of something around it: a circle", field=where)
    if id(value) not in known:
        active.add(id(value))
        members = value.values() if isinstance(value, dict) else value
        size = 1 + sum(_measure(member, where, known, active) for member in members)
        active.discard(id(value))
        if size > 2_000_000:
            raise InvalidInput(f"{where} holds more than 2000000 values (aliases count each time)", field=where)
        known[id(value)] = size
    return known[id(value)]


def data_options(
    options: Mapping[str, Any], sources: Sources, *, folder: Path, scratch: Scratch, lenient: bool = False
) -> Data:
    """What -d says (values already read as YAML), with every file it names found; paths are relative to `folder`.

    `lenient`: an init folder that does not exist is only worth a warning, as yadage has it.
    """
    for key in options:
        if key not in _DATA_OPTIONS:
            raise InvalidInput(f"unknown data option {key!r}{near(key, _DATA_OPTIONS)}", field=key, value=options[key])
    if "read" in options:
        raise InvalidInput("data option 'read' cannot be used (it cannot in yadage either)", field="read")
    base = folder
    if options.get("pathbase"):
        base = _folder(folder, options["pathbase"], "pathbase")
    brought: list[Brought] = []
    warnings: list[str] = []
    if options.get("inputarchive"):
        brought.append(Brought(INIT_ROOT, path=_archive(options, sources, folder=folder, scratch=scratch)))
    elif options.get("archivematch"):
        raise InvalidInput("data option 'archivematch' needs 'inputarchive'", field="archivematch")
    elif options.get("initdir") is not None:
        try:
            brought.append(Brought(INIT_ROOT, path=_folder(base, options["initdir"], "initdir")))
        except InvalidInput as error:
            if not lenient:
                raise
            warnings.append(error.message)
    subinits: dict[str, Any] = {}
    if options.get("subinits"):
        subinits = _subinits(options["subinits"], base, SUBINITS, brought)
    rest: dict[str, Any] = {}
    for key, default in (("nest", True), ("ensure", True)):
        value = options.get(key, default)
        if not isinstance(value, bool):
            raise InvalidInput(f"data option {key!r} is {value!r}; right is true or false", field=key, value=value)
        if value is not default and key == "nest":
            rest["nest"] = False
        elif value is not default:
            warnings.append("data option 'ensure' has no effect: a job's folder is made when it starts")
    if options.get("overwrite"):
        warnings.append("data option 'overwrite' has no effect: every run has a workspace of its own")
    return Data(tuple(brought), subinits, rest, tuple(warnings))


def workflow_options(texts: Mapping[str, str]) -> dict[str, bool]:
    """`discover` and `relative` of the init stage, as -w says."""
    values = yaml_values(texts, option="-w")
    for key, value in values.items():
        if key not in _WORKFLOW_OPTIONS:
            raise InvalidInput(f"unknown workflow option {key!r}{near(key, _WORKFLOW_OPTIONS)}", field=key, value=value)
        if not isinstance(value, bool):
            raise InvalidInput(f"workflow option {key!r} is {value!r}; right is true or false", field=key, value=value)
    return {key: bool(value) for key, value in values.items()}


def host_paths(value: Any, where: str = "") -> list[str]:
    """A warning for each text that names an existing file of this machine by its absolute path."""
    found: list[str] = []
    if isinstance(value, str):
        if value.startswith("/") and len(value) < 4096 and "\n" not in value and "\0" not in value and _exists(value):
            found.append(
                f"{where} names {value} on this machine by its absolute path: changes of it are not seen by reuse, and "
                f"containers do not have it; give it through an init folder (-d initdir=FOLDER)"
            )
    elif isinstance(value, Mapping):
        for key, item in value.items():
            found += host_paths(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for item in value:
            found += host_paths(item, where)
    return found


def _exists(text: str) -> bool:
    try:
        return text != "/" and Path(text).exists()
    except OSError:
        return False


def _folder(base: Path, name: Any, what: str) -> Path:
    if not isinstance(name, str):
        raise InvalidInput(f"data option {what!r} is {name!r}; right is the path of a folder", field=what, value=name)
    path = base / Path(name).expanduser()
    if not path.is_dir():
        reason = "is no folder" if path.exists() else "does not exist"
        raise InvalidInput(f"data option {what!r}: {path} {reason}", field=what, value=name)
    return path


def _archive(options: Mapping[str, Any], sources: Sources, *, folder: Path, scratch: Scratch) -> Path:
    uri = str(options["inputarchive"])
    archive = folder / Path(uri).expanduser()
    if "://" in uri:
        archive = scratch.new() / (uri.split("?")[0].rstrip("/").rpartition("/")[2] or "archive.zip")
        retrieve(uri, archive, sources)
    elif not archive.is_file():
        raise InvalidInput(f"data option 'inputarchive': {archive} is no file", field="inputarchive", value=uri)
    unpacked = scratch.new()
    match = options.get("archivematch") or ""
    unpack(archive, unpacked, match=str(match))
    return unpacked


def _subinits(value: Any, base: Path, virtual: str, brought: list[Brought]) -> dict[str, Any]:
    """Virtual folders in the place of local ones, nested as given."""
    if not isinstance(value, dict):
        raise InvalidInput(
            f"data option 'subinits' is {value!r}; right is a mapping of stages to folders", field="subinits"
        )
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = str(key)
        if "/" in name or name in ("", ".", ".."):
            raise InvalidInput(f"data option 'subinits': {name!r} is no name of a stage", field="subinits", value=name)
        here = virtual if name == "_data" else f"{virtual}/{name}"
        if isinstance(item, str):
            place = f"{here}/_data"
            brought.append(Brought(place, path=_folder(base, item, "subinits")))
            found[name] = place
        else:
            found[name] = _subinits(item, base, here, brought)
    return found
