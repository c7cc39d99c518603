"""A named, ordered set of theories: grids over axes, tables, files, the patches of a patchset.

Pure: texts and contents in, a Scan out. What its points become - a spectrum from a template, a file, parameters - is
target/points.py's. Bounded: what would be too many points is refused before they are made.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from reana_lite.errors import InvalidInput
from reana_lite.theory.condition import Expression
from reana_lite.theory.parameters import Value, scalar
from reana_lite.theory.patch import PatchSet
from reana_lite.theory.reading import Faults, as_text, shown

LIMIT = 100_000
"""Points a scan may have, where no setting says another number."""

LOOKED_AT = 20
"""A grid whose conditions leave few points may have this many times the limit before them; that takes seconds."""

MAX_TABLE_BYTES = 64 * 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
_RIGHT = "right is NAME=START:STOP:STEP, NAME=log:START:STOP:NUMBER, NAME=lin:START:STOP:NUMBER or NAME=A,B,C"


@dataclass(frozen=True, slots=True)
class Axis:
    """What one parameter of the theories runs through, in order."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One theory of a scan before it is read: values by axis, and what stands for it besides ("": nothing).

    `source` is the path of a file, or the name of a patch.
    """

    name: str
    values: Mapping[str, Value] = field(default_factory=dict)
    source: str = ""

    @property
    def key(self) -> str:
        """What tells it from others: the same values (in any order, 2000 as 2000.0) and source, the same key."""
        rows = sorted((name, _plain(value)) for name, value in self.values.items())
        text = json.dumps([rows, self.source], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Scan:
    """Points in order. Left out were `unphysical` ones, those `excluded` by a condition, and `repeated` ones."""

    points: tuple[Point, ...]
    unphysical: int = 0
    excluded: int = 0
    repeated: int = 0

    @property
    def digest(self) -> str:
        """Names the set of its points and their order."""
        return hashlib.sha256("".join(point.key for point in self.points).encode()).hexdigest()[:32]

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of all axes, in order of their appearance."""
        return tuple(dict.fromkeys(name for point in self.points for name in point.values))


def scan_of(
    points: Iterable[Point],
    *,
    where: Sequence[Expression] = (),
    physical: Sequence[Expression] = (),
    limit: int = LIMIT,
    known: Callable[[Point], Mapping[str, Value]] | None = None,
) -> Scan:
    """The points that exist (`physical`) and are wanted (`where`); InvalidInput if none is left, or more than `limit`.

    `known` gives what conditions may name beside a point's values, such as the masses in its file; it is asked only where
    there are conditions, and changes neither a point nor its key.
    """
    kept: dict[str, Point] = {}
    unphysical = excluded = repeated = 0
    for point in points:
        values = {**known(point), **point.values} if known is not None and where else point.values
        rules = where if values or known is None else ()  # a file that cannot be read is refused by itself, later
        for rule in rules:
            if missing := rule.names - values.keys():
                there = ", ".join(values) or "none"
                name = sorted(missing)[0]
                raise InvalidInput(
                    f"--where {rule.text!r}: there is no axis {name!r}; there are {there}", field="where"
                )
        if not _all_hold(physical, point.values):
            unphysical += 1
        elif not _all_hold(rules, values):
            excluded += 1
        elif (key := point.key) in kept:
            repeated += 1
        elif len(kept) == limit:
            raise too_many(f"more than {limit}")
        else:
            kept[key] = point
    if not kept:
        left_out = [f"{n} {what}" for n, what in ((unphysical, "unphysical"), (excluded, "left out by --where")) if n]
        why = f" ({', '.join(left_out)})" if left_out else ""
        raise InvalidInput(f"the scan has no points{why}", field="scan")
    return Scan(tuple(kept.values()), unphysical, excluded, repeated)


def _all_hold(rules: Sequence[Expression], values: Mapping[str, Value]) -> bool:
    """Whether nothing speaks against a point; a value that cannot be compared is for the reader of the point to refuse."""
    try:
        return all(rule.holds(values) for rule in rules)
    except InvalidInput:
        return True


def too_many(number: str) -> InvalidInput:
    """The error for a scan that is too large."""
    reason = "make steps larger, add --where, or raise RECAST_SCAN_LIMIT"
    return InvalidInput(f"the scan has {number} points; {reason}", field="scan")


# -- grids -----------------------------------------------------------------------------------------------------------


def parse_axis(text: str, *, limit: int = LIMIT) -> Axis:
    """The axis that "NAME=START:STOP:STEP" (both ends included), "NAME=log:START:STOP:NUMBER" or "NAME=A,B,C" says."""
    name, sign, spec = text.partition("=")
    name, spec = name.strip(), spec.strip()
    if not sign or not _NAME.fullmatch(name) or not spec:
        raise _refuse(text, _RIGHT)
    parts = [part.strip() for part in spec.split(":")]
    if len(parts) == 1:
        values: tuple[Value, ...] = tuple(_scalar(text, part.strip()) for part in spec.split(","))
    elif len(parts) == 4 and parts[0] in ("log", "lin"):
        values = _spaced(text, parts, limit)
    elif len(parts) == 3:
        values = _stepped(text, parts, limit)
    else:
        raise _refuse(text, _RIGHT)
    seen: set[str] = set()
    for value in values:
        if _plain(value) in seen:
            raise _refuse(text, f"{show(value)} stands there twice")
        seen.add(_plain(value))
    return Axis(name, values)


def grid(axes: Sequence[Axis], *, limit: int = LIMIT) -> Iterator[Point]:
    """All combinations, the first axis slowest; InvalidInput at once for far too many or an axis given twice."""
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"the axis {name} is given twice; give all its values at once", field="grid", value=name)
    count = math.prod(len(axis.values) for axis in axes)
    if count > limit * LOOKED_AT:
        raise too_many(str(count))
    return (
        Point(",".join(f"{n}={show(v)}" for n, v in zip(names, row, strict=True)), dict(zip(names, row, strict=True)))
        for row in itertools.product(*(axis.values for axis in axes))
    )


def show(value: Value) -> str:
    """A value as it stands in names of points and in templates: 2000, 0.1, 1e-05."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else f"{value:.12g}"


def _stepped(text: str, parts: Sequence[str], limit: int) -> tuple[Value, ...]:
    start, stop, step = (_decimal(text, part) for part in parts)
    if step == 0 or (stop - start) / step < 0:
        raise _refuse(text, f"steps of {step} never lead from {start} to {stop}")
    ratio = (stop - start) / step
    if ratio >= limit * LOOKED_AT:
        raise too_many(f"{ratio:.3g}")
    return tuple(_number(start + n * step) for n in range(int(ratio) + 1))


def _spaced(text: str, parts: Sequence[str], limit: int) -> tuple[Value, ...]:
    first, last = (float(_decimal(text, part)) for part in parts[1:3])
    if not re.fullmatch(r"[0-9]{1,9}", parts[3]) or not int(parts[3]):
        raise _refuse(text, f"{parts[3]!r} is not a number of values")
    number = int(parts[3])
    if number > limit * LOOKED_AT:
        raise too_many(str(number))
    if parts[0] == "log" and not (first > 0 and last > 0):
        raise _refuse(text, "a logarithmic axis lies above 0")
    if number == 1:
        return (_number(_decimal(text, parts[1])),)
    fractions = [n / (number - 1) for n in range(number)]
    if parts[0] == "log":
        spaced = [first * math.pow(last / first, fraction) for fraction in fractions]
    else:
        spaced = [first + (last - first) * fraction for fraction in fractions]
    return tuple(_number(Decimal(f"{value:.12g}")) for value in spaced)


def _decimal(text: str, part: str) -> Decimal:
    try:
        value = Decimal(part) if "_" not in part else Decimal("nan")
    except InvalidOperation as error:
        raise _refuse(text, f"{shown(part)!r} is not a number; {_RIGHT}") from error
    if not value.is_finite() or abs(value) > Decimal("1e30") or (value and abs(value) < Decimal("1e-30")):
        raise _refuse(text, f"{shown(part)!r} is not a number between 1e-30 and 1e30")
    return value


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() and abs(value) < 10**15 else float(value)


def _scalar(text: str, part: str) -> Value:
    if not part:
        raise _refuse(text, "a value is missing between two commas")
    try:
        value = scalar(part)
    except ValueError as error:
        raise _refuse(text, str(error)) from error
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _plain(value: Value) -> str:
    return f"'{value}" if isinstance(value, str) else show(value)


def _refuse(text: str, reason: str) -> InvalidInput:
    return InvalidInput(f"--grid {shown(text)!r}: {reason}", field="grid", value=shown(text))


# -- tables, files, patchsets -----------------------------------------------------------------------------------------


def read_table(content: bytes, source: str) -> tuple[Point, ...]:
    """The points of a CSV file whose first line names the parameters (comma, semicolon or tab between; # comments).

    A column `name` names the points. InvalidInput with the line of every row that has too few or too many cells.
    """
    if len(content) > MAX_TABLE_BYTES:
        raise InvalidInput(f"{source}: a table of points has at most {MAX_TABLE_BYTES} bytes, this has more")
    lines = as_text(content, source).splitlines()
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if len(numbered) < 2:
        raise InvalidInput(f"{source}: a table has a line with names and at least one with values", field="csv")
    separator = max(",;\t", key=numbered[0][1].count)
    faults = Faults(source)
    try:
        rows = list(csv.reader((line for _, line in numbered), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:  # such as a cell beyond csv's own limit
        raise InvalidInput(f"{source}: no table that can be read: {error}", field="csv") from error
    names = [cell.strip() for cell in rows[0]]
    for name in names:
        if not _NAME.fullmatch(name) or names.count(name) > 1:
            reason = "stands there twice" if names.count(name) > 1 else "is not a name (letters, digits, _ and .)"
            faults.add(f"column {shown(name)!r} {reason}", line=numbered[0][0])
    faults.check()
    points = []
    for (line, _), row in zip(numbered[1:], rows[1:], strict=False):
        if len(row) != len(names):
            faults.add(f"{len(row)} cells for {len(names)} columns", line=line)
            continue
        try:
            points.append(_row(names, [cell.strip() for cell in row]))
        except ValueError as error:
            faults.add(str(error), line=line)
    faults.check()
    return tuple(points)


def _row(names: Sequence[str], cells: Sequence[str]) -> Point:
    values: dict[str, Value] = {}
    title = ""
    for name, cell in zip(names, cells, strict=True):
        if name == "name":
            title = cell
        elif cell:
            value = scalar(cell)
            values[name] = (
                int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
            )
    return Point(title or ",".join(f"{name}={show(value)}" for name, value in values.items()), values)


def of_files(paths: Iterable[str]) -> tuple[Point, ...]:
    """A point for each file, named as it is."""
    found = []
    for path in paths:
        name = path.rpartition("/")[2].removesuffix(".gz")
        found.append(Point(name.rpartition(".")[0] or name, {}, path))
    return tuple(found)


def of_patchset(patchset: PatchSet) -> tuple[Point, ...]:
    """A point for each patch, with its values by label."""
    return tuple(
        Point(name, dict(zip(patchset.labels, patch.values, strict=True)), name)
        for name, patch in patchset.patches.items()
    )


# -- templates --------------------------------------------------------------------------------------------------------

_PLACEHOLDER = re.compile(r"\{([^{}\n:]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A theory file with placeholders: `{m_gluino}`, or an expression of axes such as `{(m_gluino + m_lsp) / 2}`."""

    source: str
    parts: tuple[str, ...]
    expressions: tuple[Expression, ...]

    @classmethod
    def of(cls, content: bytes, source: str) -> Template:
        """The template that a file's content is; InvalidInput with the line of a placeholder that cannot be read."""
        text = as_text(content, source)
        faults = Faults(source)
        parts, expressions = [], []
        at = 0
        for match in _PLACEHOLDER.finditer(text):
            parts.append(text[at : match.start()])
            at = match.end()
            try:
                expressions.append(Expression.of(match[1].strip()))
            except InvalidInput as error:
                faults.add(error.message, line=text.count("\n", 0, match.start()) + 1)
        faults.check()
        return cls(source, (*parts, text[at:]), tuple(expressions))

    @property
    def names(self) -> frozenset[str]:
        """The axes that it needs."""
        return frozenset(name for expression in self.expressions for name in expression.names)

    def fill(self, values: Mapping[str, Value]) -> bytes:
        """The file for these values; InvalidInput for one that is missing."""
        filled = [show(self._value(expression, values)) for expression in self.expressions]
        pieces: list[Any] = [*itertools.chain(*zip(self.parts, filled, strict=False)), self.parts[-1]]
        return "".join(pieces).encode()

    @staticmethod
    def _value(expression: Expression, values: Mapping[str, Value]) -> Value:
        value = expression.value(values)
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
