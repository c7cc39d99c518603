"""The form of an analysis, from what it declares: one field per parameter, axes of its scans; and what was typed into it.

Nothing is validated here: values go on as texts, the server's intake says what is wrong with which of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import FileStorage, ImmutableMultiDict

from reana_lite.analysis import Analysis, Parameter
from reana_lite.errors import InvalidInput
from reana_lite.server.pages.site import Asked

FILE_LIMIT_BYTES = 200_000_000
"""Largest theory file that a form takes (bytes); the server's own limit may be lower."""

_Files = ImmutableMultiDict[str, FileStorage]


@dataclass(frozen=True, slots=True)
class Field:
    """One input: `kind` is number, text or choice; `hint` says what is right; `placeholder` the default."""

    name: str
    kind: str
    label: str
    hint: str
    unit: str
    placeholder: str
    value: str = ""
    options: tuple[str, ...] = ()
    fault: str = ""
    required: bool = False

    @property
    def id(self) -> str:
        """Its id on the page."""
        return f"p-{self.name}"


def fields(analysis: Analysis, typed: Mapping[str, str], faults: Mapping[str, str]) -> list[Field]:
    """The fields of an analysis's parameters with what was typed and what is wrong with it."""
    return [_field(parameter, typed, faults) for parameter in analysis.parameters]


def _field(parameter: Parameter, typed: Mapping[str, str], faults: Mapping[str, str]) -> Field:
    options = tuple(shown(value) for value in parameter.schema.get("enum", ()))
    if not options and parameter.types == ("boolean",):
        options = ("true", "false")
    number = bool(set(parameter.types) & {"integer", "number"})
    return Field(
        parameter.name,
        "choice" if options else "number" if number else "text",
        parameter.name,
        parameter.description,
        parameter.unit,
        shown(parameter.default) if parameter.has_default else "",
        typed.get(f"p.{parameter.name}", ""),
        options,
        faults.get(parameter.name, ""),
        parameter.required and not parameter.has_default,
    )


def shown(value: Any) -> str:
    """A value as it is typed into a field."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def asked_of(analysis: Analysis, typed: Mapping[str, str], files: _Files) -> Asked:
    """What a submitted form asks for; raises InvalidInput only for what is no form of this page."""
    parameters = {
        key[2:]: text.strip() for key, text in typed.items() if key.startswith("p.") and text.strip()
    }  # fmt: skip
    how = typed.get("theory", "")
    if how not in ("", "files", "example", "scan", "table", "none"):
        raise InvalidInput(
            f"theory is given by {how!r}; right is files, example, scan or table", field="theory", value=how
        )
    uploads = tuple(_content(one) for one in files.getlist("file") if one.filename) if how in ("files", "table") else ()
    table = None
    if how == "table":
        found = files.get("points")
        if found is None or not found.filename:
            raise InvalidInput("the table of points is missing: choose a CSV file", field="points")
        table = _content(found)
    axes: tuple[tuple[str, str, str, str], ...] = ()
    template = ""
    if how == "scan":
        template = typed.get("template", "") or (analysis.scans[0].name if analysis.scans else "")
        axes = _axes(analysis, template, typed)
    if how == "files" and not uploads:
        raise InvalidInput("no theory file was chosen: choose one, or one of the examples", field="file")
    return Asked(
        analysis.name,
        name=typed.get("name", "").strip(),
        files=uploads,
        parameters=parameters,
        example=typed.get("example", "") if how == "example" else "",
        axes=axes,
        template=template,
        where=typed.get("where", "").strip() if how in ("scan", "table") else "",
        table=table,
        reuse=not typed.get("anew"),
    )


def _axes(analysis: Analysis, template: str, typed: Mapping[str, str]) -> tuple[tuple[str, str, str, str], ...]:
    scan = next((one for one in analysis.scans if one.name == template), None)
    if scan is None:
        raise InvalidInput(f"{analysis.name} has no scan {template!r}", field="template", value=template)
    rows = []
    for axis in scan.axes:
        low, high, step = (typed.get(f"a.{template}.{axis.name}.{end}", "").strip() for end in ("from", "to", "step"))
        if low or high or step:
            rows.append((axis.name, low, high, step))
    if not rows:
        raise InvalidInput(
            f"no axis has values: give at least one of {', '.join(axis.name for axis in scan.axes)} a range",
            field=f"a.{template}.{scan.axes[0].name}",
        )
    return tuple(rows)


def _content(upload: FileStorage) -> tuple[str, bytes]:
    content = upload.stream.read(FILE_LIMIT_BYTES + 1)
    name = (upload.filename or "file").replace("\\", "/").rpartition("/")[2] or "file"
    if len(content) > FILE_LIMIT_BYTES:
        raise InvalidInput(f"{name} is larger than {FILE_LIMIT_BYTES // 1_000_000} MB", field="file", value=name)
    return name, content


def faults_of(error: InvalidInput) -> dict[str, str]:
    """What is wrong, by field; under "" what belongs to none."""
    rows = error.details.get("faults") or []
    found = {str(row["field"]): str(row["reason"]) for row in rows if isinstance(row, dict) and row.get("field")}
    if not found:
        found = {str(error.details.get("field") or ""): error.message}
    return found
