"""What an axis is called: its unit, its name for readers and in LaTeX, as the analysis declares them. Pure.

An analysis says it in the schema of a scan's axis or of a parameter (`unit`, `title`, `latex`); where none does, names by
convention (m_gluino, m_lsp) are known, and a name that begins with m_ is a mass in GeV.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reana_lite.analysis import Analysis

KNOWN = {
    "m_gluino": ("m(g̃)", r"m(\tilde{g})"), "m_squark": ("m(q̃)", r"m(\tilde{q})"),
    "m_lsp": ("m(χ̃⁰₁)", r"m(\tilde{\chi}^0_1)"), "m_stop": ("m(t̃₁)", r"m(\tilde{t}_1)"),
    "m_sbottom": ("m(b̃₁)", r"m(\tilde{b}_1)"), "m_chargino_1": ("m(χ̃±₁)", r"m(\tilde{\chi}^\pm_1)"),
    "m_neutralino_1": ("m(χ̃⁰₁)", r"m(\tilde{\chi}^0_1)"), "m_neutralino_2": ("m(χ̃⁰₂)", r"m(\tilde{\chi}^0_2)"),
    "m_c1n2": ("m(χ̃±₁, χ̃⁰₂)", r"m(\tilde{\chi}^\pm_1, \tilde{\chi}^0_2)"),
}  # fmt: skip
"""Names of masses by convention: as letters can, and in LaTeX."""

_BAD = re.compile(r"[$%#&~\n]|\\(?:input|include|write|def|csname|catcode|openin|read)(?![A-Za-z])")


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: `name` in files and commands, `title` for readers ("" none), `latex` without dollars ("" none)."""

    name: str
    unit: str = ""
    title: str = ""
    latex: str = ""

    @property
    def text(self) -> str:
        """What it is called on pages and terminals, without its unit."""
        return self.title or self.name

    @property
    def heading(self) -> str:
        """The same with its unit: "m(g̃) [GeV]"."""
        return self.text + self.in_brackets

    @property
    def in_brackets(self) -> str:
        """Its unit as the end of a heading: " [GeV]"; "" where it has none."""
        return f" [{self.unit}]" if self.unit else ""

    @property
    def math(self) -> str:
        """LaTeX between dollars; "" where there is none."""
        return f"${self.latex}$" if self.latex else ""

    def value(self, number: float) -> str:
        """A place on it: "m(χ̃⁰₁) = 0 GeV"."""
        return f"{self.text} = {number:g} {self.unit}".rstrip()


Axes = Mapping[str, Axis]
"""Axes by name, as far as they are declared."""


def axis_of(name: str, *declared: Axes) -> Axis:
    """The axis of that name: as the first that declares it says, completed by convention."""
    found = next((axes[name] for axes in declared if name in axes), Axis(name))
    title, latex = KNOWN.get(name, ("", ""))
    if found.title and not found.latex:
        latex = ""  # a title of the analysis's own goes before a symbol by convention
    unit = found.unit or ("GeV" if name.startswith("m_") else "")
    return Axis(name, unit, found.title or title, found.latex or latex)


def declared_axes(analysis: Analysis) -> dict[str, Axis]:
    """The axes of an analysis's scans, and its parameters, which can be axes, too."""
    schemas = [(one.name, one.schema) for scan in analysis.scans for one in scan.axes]
    return _declared([*schemas, *((one.name, one.schema) for one in analysis.parameters)])


def described_axes(document: Mapping[str, Any]) -> dict[str, Axis]:
    """The same of an analysis as the API describes it."""
    schemas = [pair for scan in document["scans"].values() for pair in scan["axes"].items()]
    return _declared([*schemas, *document["parameters"]["properties"].items()])


def joined(many: Iterable[Axes]) -> dict[str, Axis]:
    """Axes of several analyses; of two that declare one name, the first that gives it a title."""
    found: dict[str, Axis] = {}
    for axes in many:
        for name, axis in axes.items():
            if name not in found or (axis.title and not found[name].title):
                found[name] = axis
    return found


def _declared(schemas: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Axis]:
    return joined({name: _axis(name, schema)} for name, schema in schemas)


def _axis(name: str, schema: Mapping[str, Any]) -> Axis:
    unit, title, latex = (
        text if isinstance(text := schema.get(key), str) else "" for key in ("unit", "title", "latex")
    )
    return Axis(name, unit, title, "" if _BAD.search(latex) else latex)
