"""The form of an analysis, from what it declares: one field per parameter, axes of its scans; and what was typed into it.

Nothing is validated here: values go on as texts, the server's intake says what is wrong with which of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from werkzeug.datastructures import FileStorage, ImmutableMultiDict

from reana_lite.analysis import Analysis, Parameter
from reana_lite.errors import InvalidInput
from reana_lite.server.pages.site import FilledForm, KeptFile
from reana_lite.theory.scan import MAX_TABLE_BYTES

FILES = 500
"""Theory files that a form takes at once."""

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


WAYS = ("files", "kept", "example", "scan", "each", "patchset", "table", "published", "none")
"""How a form gives a theory, or many."""

Keep = Callable[[str, IO[bytes]], KeptFile]


def asked_of(
    analysis: Analysis, typed: Mapping[str, str], files: _Files, *, keep: Keep, kept: Sequence[str] = (),
    also: Sequence[str] = (),
) -> FilledForm:  # fmt: skip
    """What a submitted form asks for; raises InvalidInput only for what is no form of this page, or no theory file.

    `keep` takes in a file that was sent; `kept` are the digests of files that were sent before, `also` other analyses.
    """
    how = typed.get("theory", "") or "none"
    if how not in WAYS:
        raise InvalidInput(f"theory is given by {how!r}; right is one of {', '.join(WAYS)}", field="theory", value=how)
    asked = FilledForm(
        analysis.name,
        also=tuple(also),
        name=typed.get("name", "").strip(),
        parameters={key[2:]: text.strip() for key, text in typed.items() if key.startswith("p.") and text.strip()},
        example=typed.get("example", "") if how == "example" else "",
        reuse=not typed.get("anew"),
    )
    asked = _with_theory(asked, how, analysis, typed, files, keep, tuple(kept))
    if asked.many:
        return replace(asked, where=typed.get("where", "").strip())
    if also and len(asked.theories) == 1:
        return replace(asked, theories=(), each=asked.theories)
    if also:
        raise InvalidInput("several analyses are asked by a scan, or with one theory file", field="also")
    return asked


def _with_theory(
    asked: FilledForm,
    how: str,
    analysis: Analysis,
    typed: Mapping[str, str],
    files: _Files,
    keep: Keep,
    kept: tuple[str, ...],
) -> FilledForm:
    """With what its way of giving a theory asks for."""
    first = analysis.scans[0].name if analysis.scans else ""
    if how == "files":
        return replace(asked, theories=_sent(files, "file", keep))
    if how == "kept":
        if not kept:
            raise InvalidInput("no theory file was sent before: choose one", field="file")
        return replace(asked, theories=kept)
    if how == "each":
        return replace(asked, each=_sent(files, "each", keep))
    if how == "patchset":
        return replace(asked, patchset=_sent(files, "patchset", keep)[0])
    if how == "scan":
        template = typed.get("template", "") or first
        axes = _axes(analysis, template, typed)
        return replace(asked, axes=axes, template=template if len(analysis.scans) > 1 else "")
    if how == "published":
        listed = [scan.name for scan in analysis.scans if scan.points]
        if not listed:
            raise InvalidInput(f"{analysis.name} publishes no points", field="theory", value=how)
        template = typed.get("published", "") or listed[0]
        return replace(asked, published=True, template=template if len(analysis.scans) > 1 else "")
    if how == "table":
        shared = tuple(keep(_name(one), one.stream).digest for one in files.getlist("file") if one.filename)
        return replace(asked, table=_table(files), theories=shared)
    return asked


def _sent(files: _Files, field: str, keep: Keep) -> tuple[str, ...]:
    """Digests of the theory files of a field; raises InvalidInput if there is none."""
    chosen = [one for one in files.getlist(field) if one.filename]
    if not chosen:
        raise InvalidInput("no theory file was chosen: choose one, or another way to give a theory", field=field)
    if len(chosen) > FILES:
        raise InvalidInput(f"{len(chosen)} files are too many for a form, which takes {FILES}", field=field)
    return tuple(keep(_name(one), one.stream).digest for one in chosen)


def _table(files: _Files) -> str:
    found = files.get("points")
    if found is None or not found.filename:
        raise InvalidInput("the table of points is missing: choose a CSV file", field="points")
    content = found.stream.read(MAX_TABLE_BYTES + 1)
    if len(content) > MAX_TABLE_BYTES:
        raise InvalidInput(f"the table is larger than {MAX_TABLE_BYTES // 1_000_000} MB", field="points")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("the table of points is no text in UTF-8", field="points") from error


def _name(upload: FileStorage) -> str:
    return (upload.filename or "file").replace("\\", "/").rpartition("/")[2] or "file"


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


def faults_of(error: InvalidInput) -> dict[str, str]:
    """What is wrong, by field; under "" what belongs to none."""
    rows = error.details.get("faults") or []
    found = {str(row["field"]): str(row["reason"]) for row in rows if isinstance(row, dict) and row.get("field")}
    if not found:
        found = {str(error.details.get("field") or ""): error.message}
    return found
