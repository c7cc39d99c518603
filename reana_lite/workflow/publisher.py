"""What a node publishes: its parameters and, where the publisher looks at files, answers about files -> its outputs.

No file is opened: a publisher asks through `ask(lookup, path)`, and whoever calls decides from where the answer comes.
`known_in_advance` says which results follow before anything has run. Used by the engine, for predictions and for ends.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from reana_lite.errors import InvalidWorkflow
from reana_lite.workflow import jqprogram, template
from reana_lite.workflow.graph import Folders
from reana_lite.workflow.spec import (
    ConstantPublisher,
    GlobPublisher,
    InterpolatedPublisher,
    JqPublisher,
    ManualPublisher,
    ParameterPublisher,
    Publisher,
    YamlPublisher,
)
from reana_lite.workflow.value import Json, canonical, through_jq


class Lookup(StrEnum):
    """What can be asked about files: `exists` (bool), `glob` (sorted list of paths), `document` ({"value"} or
    {"error"})."""

    EXISTS = "exists"
    GLOB = "glob"
    DOCUMENT = "document"


Ask = Callable[[Lookup, str], Any]
"""Answers one question about files."""

MAGIC = frozenset("*?[")
"""Characters that make a path a pattern."""

_NO_ANSWER: dict[Lookup, Any] = {Lookup.EXISTS: False, Lookup.GLOB: [], Lookup.DOCUMENT: {"value": None}}


def nothing(lookup: Lookup) -> Any:
    """The answer if there are no files at all."""
    return _NO_ANSWER[lookup]


def known_in_advance(publisher: Publisher, folders: Folders) -> bool:
    """Whether the result is predicted before the node has run."""
    match publisher:
        case ParameterPublisher() | ConstantPublisher():
            return True
        case InterpolatedPublisher(glob=glob) | JqPublisher(glob=glob):
            return not glob or folders.own is None
        case _:
            return False


def publish(publisher: Publisher, values: Json, folders: Folders, ask: Ask) -> Json:
    """The result of a node, keys sorted; `values` are its parameters with folder names filled in.

    Raises InvalidWorkflow with the reason if the publisher cannot be evaluated.
    """
    missing = getattr(publisher, "missing", ())
    if missing:
        raise InvalidWorkflow(f"the publisher has no {missing[0]!r} (an object reached by $ref gets no defaults)")
    match publisher:
        case ConstantPublisher(publish=constant):
            return canonical(dict(constant))
        case ParameterPublisher(outputmap=outputmap):
            return canonical(_from_parameters(dict(outputmap), values))
        case InterpolatedPublisher():
            return canonical(_interpolated(publisher.publish, publisher, values, folders, ask))
        case JqPublisher():
            return _from_jq(publisher, values, folders, ask)
        case GlobPublisher(globexpression=pattern, outputkey=key):
            return {key: ask(Lookup.GLOB, f"{_own(folders)}/{pattern}")}
        case YamlPublisher(yamlfile=name):
            answer = ask(Lookup.DOCUMENT, f"{_own(folders)}/{name}")
            if "error" in answer:
                raise InvalidWorkflow(f"the file {name!r} to be published cannot be used: {answer['error']}")
            return canonical(answer["value"])
        case ManualPublisher():
            raise InvalidWorkflow("manual publishing is not available")


def _own(folders: Folders) -> str:
    if folders.own is None:
        raise InvalidWorkflow("the publisher looks for files, but the node has no folder of its own")
    return folders.own


# -- frompar-pub -------------------------------------------------------------------------------------------------------
def _from_parameters(outline: Json, values: Json) -> Json:
    if isinstance(outline, dict):
        return {key: _from_parameters(element, values) for key, element in outline.items()}
    if isinstance(outline, list):
        return [_from_parameters(element, values) for element in outline]
    if outline is None or outline is False:
        return outline
    try:
        return values[outline]
    except (KeyError, IndexError, TypeError):
        raise InvalidWorkflow(f"the publisher's outputmap names {outline!r}, which is not a parameter") from None


# -- interpolated-pub --------------------------------------------------------------------------------------------------
def _interpolated(outline: Json, publisher: InterpolatedPublisher, values: Json, folders: Folders, ask: Ask) -> Json:
    if isinstance(outline, dict):
        return {key: _interpolated(element, publisher, values, folders, ask) for key, element in outline.items()}
    if isinstance(outline, list):
        return [_interpolated(element, publisher, values, folders, ask) for element in outline]
    if not isinstance(outline, str):
        return outline
    own = _own(folders)
    args, named = template.as_given(values)
    if "workdir" in named:
        raise InvalidWorkflow("a parameter called 'workdir' hides the folder of the node in interpolated-pub")
    try:
        text = template.fill(outline, args, {**named, "workdir": own})
    except template.FILL_ERRORS as error:
        raise InvalidWorkflow(f"the text {outline!r} cannot be published: {template.reason(error)}") from error
    path = f"{own}/{text}" if publisher.relative_paths and not text.startswith("/") else text
    if not publisher.glob:
        return path
    return ask(Lookup.GLOB, path) or text


# -- fromparjq-pub -----------------------------------------------------------------------------------------------------
def _from_jq(publisher: JqPublisher, values: Json, folders: Folders, ask: Ask) -> Json:
    result = through_jq(values) if publisher.script == "." else canonical(jqprogram.first(publisher.script, values))
    folder = folders.lookup
    if folder is None:
        return result
    return canonical(_looked_up(result, publisher, folder, ask))


def _looked_up(value: Json, publisher: JqPublisher, folder: str, ask: Ask) -> Json:
    if isinstance(value, dict):
        return {key: _looked_up(element, publisher, folder, ask) for key, element in value.items()}
    if isinstance(value, list):
        return [_looked_up(element, publisher, folder, ask) for element in value]
    if not isinstance(value, str):
        return value
    path = f"{folder}/{value}" if publisher.relative_paths and not value.startswith("/") else value
    if not path.startswith("/"):
        return value
    pattern = not MAGIC.isdisjoint(path)
    if publisher.try_exact and (path != value or (publisher.glob and pattern)) and ask(Lookup.EXISTS, path):
        return path
    if publisher.glob and (pattern or not publisher.try_exact):
        return ask(Lookup.GLOB, path) or value
    return value
