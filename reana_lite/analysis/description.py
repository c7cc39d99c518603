"""The value of analysis.yml -> Analysis, or every fault of it together, each with its line.

The shape is checked by analysis.schema.json; here are the rules a schema cannot say. Nothing is looked up on disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from reana_lite.analysis.document import Document
from reana_lite.analysis.expectation import Expectation
from reana_lite.analysis.parameter import Parameter, bind, check, near
from reana_lite.analysis.recorded import Record
from reana_lite.errors import Fault, InvalidAnalysis, InvalidInput
from reana_lite.theory.condition import Expression
from reana_lite.theory.scan import Template

RESERVED = ("theory", "theory_format", "theory_files", "init")
"""Init parameters that every analysis gets (see target.py); no parameter or file of an analysis may be called so."""

REMOTE = ("github:", "gitlab-cern:", "http://", "https://")
"""Beginnings of toplevels that are not on this machine."""


@dataclass(frozen=True, slots=True)
class Citation:
    """Where something was published."""

    title: str
    arxiv: str = ""
    doi: str = ""
    inspire: str = ""
    hepdata: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Software:
    """Third-party software: the image steps name, the lock file that stands in for it, how the image is built."""

    image: str
    requirements: str = ""
    containerfile: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class TheoryNeed:
    """Which theory files an analysis takes, and whether it cannot do without."""

    formats: tuple[str, ...] = ()
    required: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """A result an analysis declares: output `output` of stage `stage`; or, of a workflow that only names files, `path`
    below its workspace. `kind` is result, table, plot, likelihood or file."""

    name: str
    kind: str = "file"
    stage: str = ""
    output: str = ""
    path: str = ""
    media_type: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A file fetched on first use; `sha256` is 64 hex digits.

    With `member` the address gives an archive, and the file (and its digest) is that member, whatever else lies there.
    """

    url: str
    sha256: str
    filename: str = ""
    description: str = ""
    member: str = ""

    @property
    def name(self) -> str:
        """What the file is called where a step sees it."""
        return self.filename or (self.member or self.url.split("?")[0]).rstrip("/").rpartition("/")[2] or "data"


@dataclass(frozen=True, slots=True)
class Example:
    """A named theory and parameters to try an analysis with."""

    theory: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class Test:
    """A run of the analysis and what is expected of its results."""

    name: str
    theory: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    expect: tuple[Expectation, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class ScanTemplate:
    """How the axes of a scan become a theory: a theory file (`template`), and texts of parameters, with placeholders.

    `physical`: which points exist ("": all). `points`: a table of the points of a scan that says none.
    """

    name: str
    axes: tuple[Parameter, ...]
    template: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    points: str = ""
    physical: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A preserved search. Paths are relative to the folder of analysis.yml; `source` names that file.

    `records`: what its tests gave when they were recorded, by the test's name (validation.json beside it).
    """

    name: str
    title: str
    workflow: str
    source: str = ""
    description: str = ""
    collaboration: str = ""
    references: tuple[Citation, ...] = ()
    tags: tuple[str, ...] = ()
    lumi_ifb: float | None = None
    sqrts_tev: float | None = None
    toplevel: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Download] = field(default_factory=dict)
    environments: tuple[Software, ...] = ()
    theory: TheoryNeed | None = None
    parameters: tuple[Parameter, ...] = ()
    scans: tuple[ScanTemplate, ...] = ()
    results: tuple[Declared, ...] = ()
    examples: Mapping[str, Example] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()
    records: Mapping[str, Record] = field(default_factory=dict)

    def bind(self, values: Mapping[str, Any], *, texts: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Values of all parameters, defaults filled in; raises InvalidInput (parameter.bind)."""
        return bind(self.parameters, values, texts=texts, analysis=self.name)

    def paths(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """(place in the document, relative path) of everything that must lie in the analysis's folder."""
        yield from _paths(self)


def parse(document: Document) -> Analysis:
    """The Analysis that a document describes; raises InvalidAnalysis with all its faults."""
    faults = [*document.repetitions(), *_shape(document)]
    if not faults:
        analysis = _build(document)
        faults = list(_rules(document, analysis))
        if not faults:
            return analysis
    raise InvalidAnalysis.of(sorted(dict.fromkeys(faults), key=lambda fault: fault.line or 0))


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of analysis.yml."""
    text = resources.files("reana_lite").joinpath("analysis.schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _shape(document: Document) -> Iterator[Fault]:
    """What the schema says against the document."""
    from jsonschema import Draft202012Validator

    value = document.value
    if not isinstance(value, dict):
        yield document.fault((), "an analysis is a mapping that begins with `reana_lite: 1`")
        return
    if "reana_lite" not in value:
        yield document.fault((), "`reana_lite: 1`, the version of the format, is missing")
    elif value["reana_lite"] != 1:
        shown = value["reana_lite"]
        yield document.fault(("reana_lite",), f"format version {shown!r} is not known here; this program reads 1")
        return
    for error in Draft202012Validator(schema()).iter_errors(value):
        path = tuple(error.absolute_path)
        if error.validator == "required":
            for name in error.validator_value:
                if name not in error.instance and name != "reana_lite":
                    yield document.fault(path, f"{name!r} is missing")
        elif error.validator == "additionalProperties" and isinstance(error.instance, dict):
            known = error.schema.get("properties", {})
            for name in sorted(error.instance.keys() - known.keys()):
                yield document.fault((*path, name), f"unknown key {name!r}{near(name, known)}")
        elif "propertyNames" in error.absolute_schema_path:
            yield document.fault((*path, error.instance), f"{error.instance!r} is no name: letters, digits, _ and -")
        else:
            yield document.fault(path, _plainly(error))


def _plainly(error: Any) -> str:
    """One schema error as a phrase about the value."""
    value = error.instance
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:79] + "…"
    match error.validator:
        case "enum":
            options = [str(option) for option in error.validator_value]
            return f"{shown} is not known{near(str(value), options)}"
        case "const":
            return f"{shown} must be {error.validator_value!r}"
        case "type":
            wanted = error.validator_value
            return f"{shown} must be of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "oneOf":
            return "exactly one of `value`, `equals`, and `minimum` and/or `maximum` is to be given"
        case "pattern":
            return f"{shown} does not look right; it must match {error.validator_value}"
        case "minLength":
            return "must not be empty"
        case _:
            return str(error.message)


def _build(document: Document) -> Analysis:
    value: dict[str, Any] = document.value
    declared = value.get("parameters", {"properties": {}})
    required = set(declared.get("required", ()))
    theory = value.get("theory")
    return Analysis(
        name=value["name"],
        title=value["title"],
        workflow=value["workflow"],
        source=document.source,
        description=value.get("description", ""),
        collaboration=value.get("collaboration", ""),
        references=tuple(
            Citation(**{name: str(text) for name, text in one.items()}) for one in value.get("references", ())
        ),
        tags=tuple(value.get("tags", ())),
        lumi_ifb=value.get("lumi_ifb"),
        sqrts_tev=value.get("sqrts_tev"),
        toplevel=value.get("toplevel", ""),
        files=dict(value.get("files", {})),
        data={key: Download(**one) for key, one in value.get("data", {}).items()},
        environments=tuple(Software(**one) for one in value.get("environments", ())),
        theory=None
        if theory is None
        else TheoryNeed(tuple(theory.get("formats", ())), theory.get("required", True), theory.get("description", "")),
        parameters=tuple(
            Parameter(name, one, required=name in required) for name, one in declared["properties"].items()
        ),
        scans=tuple(
            ScanTemplate(
                name,
                tuple(
                    Parameter(axis, schema, required="default" not in schema) for axis, schema in one["axes"].items()
                ),
                one.get("template", ""),
                one.get("parameters", {}),
                one.get("points", ""),
                one.get("physical", ""),
                one.get("description", ""),
            )
            for name, one in value.get("scans", {}).items()
        ),
        results=tuple(Declared(**one) for one in value.get("results", ())),
        examples={
            name: Example(_names(one.get("theory")), one.get("parameters", {}), one.get("description", ""))
            for name, one in value.get("examples", {}).items()
        },
        tests=tuple(
            Test(
                name=one["name"],
                theory=_names(one.get("theory")),
                parameters=one.get("parameters", {}),
                expect=tuple(Expectation(**expectation) for expectation in one["expect"]),
                description=one.get("description", ""),
            )
            for one in value.get("tests", ())
        ),
    )


def _names(theory: str | list[str] | None) -> tuple[str, ...]:
    return () if theory is None else (theory,) if isinstance(theory, str) else tuple(theory)


def _paths(analysis: Analysis) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not analysis.toplevel.startswith(REMOTE):
        if analysis.toplevel:
            yield ("toplevel",), analysis.toplevel
        yield ("workflow",), f"{analysis.toplevel}/{analysis.workflow}" if analysis.toplevel else analysis.workflow
    for key, path in analysis.files.items():
        yield ("files", key), path
    for index, software in enumerate(analysis.environments):
        if software.requirements:
            yield ("environments", index, "requirements"), software.requirements
        if software.containerfile:
            yield ("environments", index, "containerfile"), software.containerfile
    for scan in analysis.scans:
        for key, path in (("template", scan.template), ("points", scan.points)):
            if path:
                yield ("scans", scan.name, key), path
    for name, example in analysis.examples.items():
        for path in example.theory:
            yield ("examples", name, "theory"), path
    for index, test in enumerate(analysis.tests):
        for path in test.theory:
            yield ("tests", index, "theory"), path


def _rules(document: Document, analysis: Analysis) -> Iterator[Fault]:
    """Faults that no schema finds."""
    for place, path in analysis.paths():
        parts = path.split("/")
        if path.startswith("/") or "\0" in path or ".." in parts:
            yield document.fault(place, f"{path!r} leads out of the analysis's folder; paths are relative to it")
    yield from _names_apart(document, analysis)
    unfit = list(_parameters(document, analysis))
    yield from unfit
    yield from _scans(document, analysis)
    yield from _twice(document, ("results",), [result.name for result in analysis.results])
    yield from _twice(document, ("tests",), [test.name for test in analysis.tests])
    yield from _twice(document, ("environments",), [software.image for software in analysis.environments])
    if not unfit:  # nothing can be judged by a schema that is none
        yield from _trials(document, analysis)


def _names_apart(document: Document, analysis: Analysis) -> Iterator[Fault]:
    """Everything that becomes an init parameter needs a name of its own."""
    taken: dict[str, str] = dict.fromkeys(RESERVED, "a name that every analysis gets")
    groups: list[tuple[tuple[str, ...], Sequence[str], str]] = [
        (("files",), list(analysis.files), "a key of files"),
        (("data",), list(analysis.data), "a key of data"),
        (("parameters", "properties"), [parameter.name for parameter in analysis.parameters], "a parameter"),
    ]
    for place, names, what in groups:
        for name in names:
            if name in taken:
                yield document.fault((*place, name), f"{name!r} is also {taken[name]}; choose another name")
            taken.setdefault(name, what)


def _scans(document: Document, analysis: Analysis) -> Iterator[Fault]:
    """Axes are schemas with names of their own; conditions can be read and are about axes."""
    parameters = {parameter.name for parameter in analysis.parameters}
    for scan in analysis.scans:
        place = ("scans", scan.name)
        if scan.template and analysis.theory is None:
            yield document.fault(place, "the analysis declares no `theory` and cannot take one")
        if not scan.template and not scan.parameters:
            yield document.fault(place, "neither `template` nor `parameters` says what the axes become")
        yield from _schemas(document, (*place, "axes"), scan.axes)
        known = {axis.name for axis in scan.axes}
        for name in sorted(known & parameters):
            yield document.fault((*place, "axes", name), f"{name!r} is also a parameter; choose another name")
        for name, text in scan.parameters.items():
            here = (*place, "parameters", name)
            if name not in parameters:
                yield document.fault(here, f"no parameter {name!r}{near(name, parameters)}")
            yield from _of_axes(document, here, known, text, whole=False)
        if scan.physical:
            yield from _of_axes(document, (*place, "physical"), known, scan.physical, whole=True)


def _of_axes(document: Document, place: tuple[str, ...], known: set[str], text: str, *, whole: bool) -> Iterator[Fault]:
    """What a text of a scan needs must be axes; it is an expression as a `whole`, or has placeholders."""
    try:
        names = Expression.of(text).names if whole else Template.of(text.encode(), "text").names
    except InvalidInput as error:
        yield document.fault(place, error.message)
        return
    for name in sorted(names - known):
        yield document.fault(place, f"no axis {name!r}{near(name, known)}")


def _parameters(document: Document, analysis: Analysis) -> Iterator[Fault]:
    place = ("parameters", "properties")
    known = {parameter.name for parameter in analysis.parameters}
    for name in document.value.get("parameters", {}).get("required", ()):
        if name not in known:
            yield document.fault(
                ("parameters", "required"), f"{name!r} is required but not declared{near(name, known)}"
            )
    yield from _schemas(document, place, analysis.parameters)


def _schemas(document: Document, place: tuple[str, ...], parameters: Sequence[Parameter]) -> Iterator[Fault]:
    """Schemas that are none, and defaults that they refuse."""
    from jsonschema import Draft202012Validator, SchemaError

    for parameter in parameters:
        here = (*place, parameter.name)
        if "$ref" in json.dumps(parameter.schema):
            yield document.fault(here, "references ($ref) are not possible in parameters; write it out")
            continue
        try:
            Draft202012Validator.check_schema(dict(parameter.schema))
        except SchemaError as error:
            yield document.fault((*here, *error.absolute_path), f"not a JSON Schema: {error.message}")
            continue
        if parameter.schema.get("writeOnly") is True or parameter.schema.get("format") == "password":
            yield document.fault(
                here,
                "a parameter cannot be a secret (writeOnly, format password): parameters are kept in clear with every run "
                "and its results; give it to the steps as a secret of the run's owner",
            )
        if parameter.has_default:
            reason = check(parameter, parameter.default)
            if reason:
                yield document.fault((*here, "default"), f"the default is refused: {reason}")


def _twice(document: Document, place: tuple[str, ...], names: Sequence[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield document.fault((*place, index), f"{name!r} stands here for the second time")


def _trials(document: Document, analysis: Analysis) -> Iterator[Fault]:
    """Examples and tests must be runs that the analysis would accept."""
    declared = {result.name for result in analysis.results}
    trials: list[tuple[tuple[str | int, ...], Example | Test]] = [
        *((("examples", name), example) for name, example in analysis.examples.items()),
        *((("tests", index), test) for index, test in enumerate(analysis.tests)),
    ]
    for place, trial in trials:
        try:
            bind(analysis.parameters, trial.parameters, analysis=analysis.name)
        except InvalidInput as error:
            yield document.fault((*place, "parameters"), error.message.replace("\n", "; "))
        if trial.theory and analysis.theory is None:
            yield document.fault((*place, "theory"), "the analysis declares no `theory` and cannot take one")
        if not trial.theory and analysis.theory is not None and analysis.theory.required:
            yield document.fault(place, "the analysis needs a theory, and none is named here")
        if isinstance(trial, Test):
            for index, expectation in enumerate(trial.expect):
                here = (*place, "expect", index)
                if not declared:
                    yield document.fault(here, "the analysis declares no `results` that could be held against this")
                elif expectation.result and expectation.result not in declared:
                    unknown = expectation.result
                    yield document.fault((*here, "result"), f"no result {unknown!r}{near(unknown, declared)}")
