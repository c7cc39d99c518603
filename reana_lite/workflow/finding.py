"""Findings: what is wrong or doubtful in a workflow that the schema accepts, each with its place.

`Report` gathers them without repeats: a step that several stages share is looked at for each of them. check.py fills it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from reana_lite.errors import Fault, InvalidWorkflow
from reana_lite.workflow import jqprogram, placeholder
from reana_lite.workflow.value import Json
from reana_lite.workflow.yaml_text import Place

Locate = Callable[[str], Place]
"""Pointer in the plain JSON of a workflow -> where it stands."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at: where and what (`fault`), and whether it is certain to fail."""

    fault: Fault
    severity: Severity

    def __str__(self) -> str:
        return f"{self.severity}: {self.fault}"


class Report:
    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self._found: dict[Finding, None] = {}

    def add(self, pointer: str, reason: str, *, certain: bool, text_offset: int = 0) -> None:
        place = self._locate(pointer)
        fault = place.fault(reason)
        if place.text_line is not None:
            fault = replace(fault, line=place.text_line + text_offset)
        self._found[Finding(fault, Severity.ERROR if certain else Severity.WARNING)] = None

    def error(self, pointer: str, reason: str) -> None:
        self.add(pointer, reason, certain=True)

    def warning(self, pointer: str, reason: str) -> None:
        self.add(pointer, reason, certain=False)

    def template(
        self, text: str, pointer: str, known: Callable[[str], bool] | None, hint: str, *, parameter: bool = False
    ) -> None:
        """Placeholders of a command, a published text or a parameter's value: each must be known; None: all are."""
        for problem in placeholder.problems(text, known, hint, positional_ends=parameter):
            self.add(pointer, problem.reason, certain=True, text_offset=problem.line)

    def templates(self, value: Json, pointer: str, known: Callable[[str], bool], hint: str) -> None:
        """Placeholders in every text of a parameter's value."""
        for path, text in texts(value, pointer):
            self.template(text, path, known, hint, parameter=True)

    def program(self, program: str, pointer: str) -> None:
        """A jq program must be one."""
        try:
            jqprogram.check(program)
        except InvalidWorkflow as error:
            self.error(pointer, error.message)

    def findings(self) -> list[Finding]:
        return sorted(self._found, key=lambda f: (f.fault.source, f.fault.line or 0, f.fault.path, f.fault.reason))


def texts(value: Json, at: str) -> Iterator[tuple[str, str]]:
    """(pointer, text) of every text in a value."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from texts(below, f"{at}/{escaped(key)}")
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from texts(below, f"{at}/{index}")


def escaped(key: str) -> str:
    """A key as part of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1")
