"""What a guest - whoever is not the operator of an installation - may ask it for: which images, whose workflows, which texts.

Workflows put parameters into shell lines without quotes, so texts have to be harmless there. Called by intake.py and, for
workflows that are uploaded, by the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reana_lite.analysis import Analysis, Example, Test
from reana_lite.analysis.parameter import Parameter
from reana_lite.backends.choice import refused_images
from reana_lite.config import Settings
from reana_lite.errors import InvalidInput, NotAllowed
from reana_lite.theory.scan import Point

PLAIN = re.compile(r"(?!-)[A-Za-z0-9_.,:+=@%/^-]*")
"""Texts that a shell takes as one word and as nothing else; no leading dash, because that would be an option."""

KNOWN_TEXTS = 1000
"""Texts of points that are kept as right, so that those of an axis are looked at once."""


def refuse_uploads(settings: Settings) -> None:
    """Raises NotAllowed where a workflow that a user uploads would run as plain processes of this machine."""
    if settings.backend in ("auto", "local") and not settings.uploaded_processes:
        raise NotAllowed(
            "this server runs steps as plain processes, so it takes only analyses of its catalogue; uploaded workflows need "
            "containers or a cluster (its operator may allow them by RECAST_ALLOW_UPLOADED_PROCESSES=1)"
        )


def check_images(settings: Settings, workflow: Any) -> None:
    """Raises NotAllowed that names every image of a workflow which this installation does not let its cluster run."""
    faults = refused_images(settings, workflow)
    if faults:
        raise NotAllowed("; ".join(faults))


def check_texts(analysis: Analysis, values: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a text that a shell would not take as one plain word, unless the analysis itself lists it.

    A text parameter needs an `enum`, a `const` or a `pattern` for a value other than its default to be taken at all.
    """
    declared = {parameter.name: parameter for parameter in analysis.parameters}
    trials: list[Example | Test] = [*analysis.examples.values(), *analysis.tests]
    known = {
        (name, text) for example in trials for name, value in example.parameters.items() for text in _strings(value)
    }
    for name, value in values.items():
        parameter = declared.get(name)
        allowed = set(_strings(parameter.default)) | _listed_texts(parameter.schema) if parameter is not None else set()
        for text in _strings(value):
            if text in allowed or (name, text) in known:
                continue
            if not PLAIN.fullmatch(text):
                raise InvalidInput(
                    f"parameter {name!r} is {text[:80]!r}; texts are made of letters, digits and _ . , : + = @ % / ^ -, and "
                    f"begin with no dash",
                    field=name, value=text,
                )  # fmt: skip
            if parameter is None or not _is_bounded(parameter):
                raise InvalidInput(
                    f"parameter {name!r} is a free text, which a server does not take; its analysis must say by `enum` or "
                    f"`pattern` which texts are right",
                    field=name, value=text,
                )  # fmt: skip


def check_points(points: Iterable[Point], analyses: Sequence[Analysis] = ()) -> Iterator[Point]:
    """The points, each as soon as its texts are known to be plain words that these analyses take; raises InvalidInput."""
    known: set[tuple[str, str]] = set()
    for point in points:
        for name, value in point.values.items():
            if not isinstance(value, str) or (name, value) in known:
                continue
            taking = [one for one in analyses if any(parameter.name == name for parameter in one.parameters)]
            for one in taking:
                check_texts(one, {name: value})
            if not taking and not PLAIN.fullmatch(value):
                raise InvalidInput(
                    f"{name!r} of point {point.name!r} is {value[:80]!r}; texts are made of letters, digits and "
                    f"_ . , : + = @ % / ^ -", field=name, value=value,
                )  # fmt: skip
            if len(known) < KNOWN_TEXTS:
                known.add((name, value))
        yield point


def _is_bounded(parameter: Parameter) -> bool:
    text = json.dumps(dict(parameter.schema))
    return any(f'"{word}":' in text for word in ("enum", "const", "pattern"))


def _listed_texts(schema: Any) -> set[str]:
    """All texts that a schema lists by enum or const, at any depth."""
    if isinstance(schema, Mapping):
        own = {*_strings(schema.get("enum")), *_strings(schema.get("const"))}
        return own.union(*(_listed_texts(value) for value in schema.values()))
    if isinstance(schema, list):
        return set().union(*(_listed_texts(value) for value in schema))
    return set()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
