"""Results of runs and campaigns against each other, written: tables, drawings, HEPData, pyhf patch sets, SModelS maps.

Whoever calls has gathered the results (the command line from its records or from a server, the server from its own); here
they are compared over axes and become tables, texts and files. Nothing is looked up, nobody is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reana_lite.comparison import (
    MassPlane,
    Outcome,
    Overlap,
    Published,
    Status,
    Table,
    axes_of,
    cross_check,
    mass_limit,
    mass_limits,
    mass_limits_table,
    mass_plane,
    overlap,
    rank_analyses,
    rank_theories,
    results_table,
    rows_of,
    tables,
    what_changed,
)
from reana_lite.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from reana_lite.plots import Overlay
    from reana_lite.result import Result

TEXTS: dict[str, Callable[[Table], str]] = {"csv": tables.to_csv, "latex": tables.to_latex}
"""Forms that hold one table: the first one."""

LIGHTEST = ("m_lsp", "m_neutralino_1")
"""Axes that are drawn upwards."""

Likelihoods = Callable[[str], Iterable[tuple[str, bytes]]]
"""The files that a run declares as likelihoods: name and content."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """One theory by one analysis: its outcome, the whole result where it is wanted and there is one, and its run."""

    outcome: Outcome
    result: Result | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class Gathering:
    """All that was named, in order, and the axes over which it spreads."""

    items: tuple[Gathered, ...]
    axes: tuple[str, ...] = ()

    @property
    def outcomes(self) -> list[Outcome]:
        """The outcomes."""
        return [item.outcome for item in self.items]

    def at(self, places: Mapping[str, float]) -> Gathering:
        """Only what is at these places; NotFound says which there are."""
        items = self.items
        for axis, value in places.items():
            kept = tuple(item for item in items if item.outcome.number(axis) == value)
            if not kept:
                there = sorted({v for item in items if (v := item.outcome.number(axis)) is not None})
                some = ", ".join(f"{v:g}" for v in there[:10]) + (", ..." if len(there) > 10 else "")
                raise NotFound(f"nothing is at {axis} = {value:g}; there are {some or 'no such numbers'}")
            items = kept
        return Gathering(items, tuple(axis for axis in self.axes if axis not in places))


def places_of(texts: Iterable[str]) -> dict[str, float]:
    """AXIS=VALUE as typed; InvalidInput for anything else."""
    places = {}
    for text in texts:
        axis, _, value = text.partition("=")
        try:
            places[axis] = float(value)
        except ValueError:
            raise InvalidInput(f"at {text}: right is AXIS=VALUE, such as m_lsp=0", field="at", value=text) from None
    return places


def varying(outcomes: Sequence[Outcome], declared: Iterable[str] = ()) -> tuple[str, ...]:
    """The axes of the scans, those that vary; without scans, what varies."""
    named = [axis for axis in dict.fromkeys(declared) if len({o.number(axis) for o in outcomes} - {None}) > 1]
    return tuple(named or axes_of([o for o in outcomes if o.status is Status.OK] or outcomes))


@dataclass(frozen=True, slots=True)
class Described:
    """What exports say of an analysis: its energy, and (HEPData record, INSPIRE number) of its references."""

    sqrts_tev: float | None
    records: tuple[tuple[str, str], ...]

    @property
    def hepdata(self) -> str:
        """Its HEPData record, as ins and the INSPIRE number; "" if nobody says."""
        return next((hepdata or f"ins{inspire}" for hepdata, inspire in self.records if hepdata or inspire), "")


@dataclass(frozen=True, slots=True)
class Compared:
    """What was gathered, over which axes, at which places, and what is published about it."""

    gathering: Gathering
    x: str
    y: str
    at: Mapping[str, float]
    published: tuple[tuple[str, Published], ...] = ()

    @property
    def outcomes(self) -> list[Outcome]:
        """All outcomes."""
        return self.gathering.outcomes

    @property
    def placed(self) -> list[Outcome]:
        """Outcomes that have a place on the axes; a failed one may have none."""
        axes = [axis for axis in (self.x, self.y) if axis]
        return [o for o in self.outcomes if o.status is Status.OK or all(o.number(a) is not None for a in axes)]

    def plane(self) -> MassPlane:
        """The mass plane; InvalidInput if its axes are not known."""
        if not (self.x and self.y):
            raise InvalidInput(
                f"name the axes x and y; what varies is {', '.join(self.gathering.axes) or 'nothing'}", field="x"
            )
        return mass_plane(self.placed, self.x, self.y)

    def together(self) -> Overlap | None:
        """Several campaigns in the plane, a contour of each; None where there is one; InvalidInput if they are of other
        axes, or say too little."""
        return overlap(self.placed, self.x, self.y) if self.x and self.y else None


def compared(
    gathering: Gathering, *, x: str = "", y: str = "", at: Mapping[str, float] | None = None,
    published: Sequence[tuple[str, Published]] = (),
) -> Compared:  # fmt: skip
    """What is gathered, at these places, over axes: as given, else those of the scan if they are one or two.

    Raises InvalidInput for y without x, NotFound where nothing is at the places.
    """
    there = gathering.at(at or {})
    axes = sorted(there.axes, key=lambda axis: axis in LIGHTEST)
    if not x and not y and len(axes) in (1, 2):
        x, y = axes[0], axes[1] if len(axes) == 2 else ""
    elif y and not x:
        raise InvalidInput(f"the axis y, {y}, needs x", field="x")
    return Compared(there, x, y, dict(at or {}), tuple(published))


# -- tables ------------------------------------------------------------------------------------------------------------
def tables_of(
    one: Compared, *, rank: str = "", mass_limits: bool = False, against: Gathering | None = None
) -> list[Table]:
    """The table that is asked for, first; then those that belong to it. `rank`: theories or analyses."""
    axes = list(one.gathering.axes)
    if mass_limits:
        return [_mass_limits(one, required=True)]
    if against is not None:
        other = against.at(one.at)
        return [what_changed(one.outcomes, other.outcomes, axes=[axis for axis in axes if axis in other.axes])]
    if rank:
        return [(rank_theories if rank == "theories" else rank_analyses)(one.outcomes, axes=axes)]
    found = [cross_check(one.outcomes, grid) for _, grid in one.published if grid.points]
    if not found:
        found = [results_table(one.outcomes, axes=axes)]
    if one.x and _is_row(one):
        limits = _mass_limits(one, required=False)
        found += [limits] if limits.rows else []
    return found


def _is_row(one: Compared) -> bool:
    """Whether an analysis has two places on the axis: runs that have nothing in common make no mass limit."""
    places: dict[str, set[float | None]] = {}
    for outcome in one.placed:
        places.setdefault(outcome.analysis, set()).add(outcome.number(one.x))
    return any(len(there) > 1 for there in places.values())


def _mass_limits(one: Compared, *, required: bool) -> Table:
    """Mass limits along x in every row. Without `required`, none where a row is one point, or rows cannot be told."""
    if not one.x:
        raise InvalidInput("mass limits need the mass axis x", field="x")
    others = [axis for axis in one.gathering.axes if axis != one.x]
    if one.y and one.y not in others:
        others.append(one.y)
    try:
        limits = mass_limits(one.placed, one.x, others, at=one.at, least=1 if required else 2)
    except InvalidInput:
        if required:
            raise
        limits = []
    return mass_limits_table(limits)


def text_of(found: Sequence[Table], form: str) -> str:
    """Tables as text, json (all of them), csv or latex (the first one)."""
    if form == "text":
        return "\n".join(tables.to_text(table) for table in found)
    if form == "json":
        return tables.to_json(*found)
    return TEXTS[form](found[0])


def write_hepdata(one: Compared, found: Sequence[Table], folder: Path) -> None:
    """Write tables, and the contours if there is a plane, as a HEPData submission into an empty folder."""
    from reana_lite.plots.hepdata import write_submission

    more = list(found)
    if one.x and one.y:
        several = one.together()
        parts = several.parts if several is not None else (("", one.plane()),)
        more += [table for name, plane in parts for table in tables.contour_tables(plane, campaign=name)]
    names = ", ".join(dict.fromkeys(o.analysis for o in one.outcomes))
    write_submission(more, folder, comment=f"Reinterpretation with the preserved analysis {names}.")


# -- drawings ----------------------------------------------------------------------------------------------------------
def draw(one: Compared, path: Path, *, rank: str = "", quantity: str = "") -> None:
    """Draw a ranking, a map of a quantity, the plane with its contours, or a row; by the ending of the path.

    Raises InvalidInput where it is not clear what to draw, or there is too little of it.
    """
    from reana_lite import plots
    from reana_lite.comparison import fields

    page = path.suffix.lower() == ".html"
    if rank:
        plots.plot_ranking(one.outcomes, path, axes=one.gathering.axes)
    elif one.y or quantity or page:
        overlays = _overlays(one)
        found = one.together() if not quantity else None
        if found is not None:
            (plots.write_page if page else plots.plot_overlap)(found, path, overlays=overlays)
            return
        plane = one.plane()
        if quantity:
            plots.plot_map(plane, fields.quantity(quantity, plane.outcomes), path, overlays=overlays)
        elif page:
            plots.write_page(plane, path, overlays=overlays)
        else:
            plots.plot_contour(plane, path, overlays=overlays)
    elif one.x:
        rows = rows_of(one.placed, one.x, [axis for axis in one.gathering.axes if axis != one.x])
        if len(rows) != 1:
            others = ", ".join(rows[0][0]) if rows else ""
            raise InvalidInput(f"{len(rows)} rows along {one.x}: choose one by at ({others}), or give y", field="at")
        at, row = rows[0]
        plots.plot_row(row, mass_limit(row, one.x, at={**one.at, **at}), path)
    else:
        raise InvalidInput(
            f"what to draw is not clear: give x and y of {', '.join(one.gathering.axes) or 'nothing that varies'}, "
            "or rank", field="plot",
        )  # fmt: skip


def _overlays(one: Compared) -> list[Overlay]:
    """Published lines, and contours of published grids by the same interpolation as ours."""
    from reana_lite.plots import Overlay

    overlays = []
    for label, published in one.published:
        if not {one.x, one.y} <= set(published.axes):
            raise InvalidInput(
                f"{published.source} is over {', '.join(published.axes)}, the plot over {one.x}, {one.y}",
                field="published",
            )
        if published.lines:
            flip = published.axes[0] != one.x
            overlays.append(Overlay(label, [[(b, a) if flip else (a, b) for a, b in line] for line in published.lines]))
        elif with_r := [p for p in published.points if p.r]:
            grid = [
                Outcome(str(at), label, parameters=dict(p.place), status=Status.OK, observed=1 / (p.r or 1.0))
                for at, p in enumerate(with_r)
            ]
            overlays.append(Overlay(f"{label} (same method)", mass_plane(grid, one.x, one.y).curves["observed"]))
    return overlays


# -- exports -----------------------------------------------------------------------------------------------------------
def declared_likelihoods(declared: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, path below the workspace) of the likelihoods that a run declares, a number after the name where a stage has
    one of each of its nodes."""
    found: list[tuple[str, str]] = []
    for name, row in declared.items():
        if row["kind"] == "likelihood":
            value = row["value"]
            several = [path for path in value if path] if isinstance(value, list) else []
            found += [(f"{name}-{at}", str(path)) for at, path in enumerate(several, 1)] or [(name, str(value))]
    return found


def pyhf(one: Compared, likelihoods: Likelihoods, analysis: Described | None) -> tuple[dict[str, str], list[str]]:
    """(files by name, what must be said of them): a patch set for each likelihood that the runs declare.

    Raises InvalidInput if none of them declares one.
    """
    from reana_lite.comparison.exports import SignalLikelihood, pyhf_files
    from reana_lite.theory import read_json

    axes = list(one.gathering.axes)
    named: dict[str, list[SignalLikelihood]] = {}
    for item in one.gathering.items:
        if item.result is None or not item.run:
            continue
        values = tuple(value for axis in axes if (value := item.outcome.number(axis)) is not None)
        for name, content in likelihoods(item.run):
            document = read_json(content, f"{name} of run {item.run}")
            named.setdefault(name, []).append(
                SignalLikelihood(item.outcome.theory, values or (item.outcome.theory,), document)
            )
    if not named:
        raise InvalidInput("none of the runs declares a likelihood", field="export")
    record = analysis.hepdata if analysis is not None else ""
    notes = [] if record else ["no HEPData record of the analysis is known: references say ins0000000"]
    files = {}
    for name, many in named.items():
        description = f"signals of {many[0].theory} and {len(many) - 1} more for {name}"
        for file, text in pyhf_files(many, axes or ["theory"], description=description, hepdata=record).items():
            files[f"{name}/{file}"] = text
    return files, notes


def smodels(one: Compared, analysis: Described | None, *, topology: str) -> tuple[dict[str, str], list[str]]:
    """(files by name, what must be said of them): efficiency maps of a topology over x and y, from whole results."""
    from reana_lite.comparison.exports import smodels_files

    if not topology:
        raise InvalidInput("an SModelS map is of a topology: name it, such as T1", field="topology")
    if not (one.x and one.y):
        raise InvalidInput("an SModelS map needs the axes x (mother) and y (lightest particle)", field="x")
    rows = []
    for item in one.gathering.items:
        x, y = item.outcome.number(one.x), item.outcome.number(one.y)
        if item.result is not None and x is not None and y is not None:
            rows.append((item.result, (x, y)))
    sqrts = analysis.sqrts_tev if analysis is not None and analysis.sqrts_tev else 13.0
    return smodels_files(rows, topology, sqrts_tev=sqrts)
