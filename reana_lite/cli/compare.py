"""`recast compare`: many results against each other and against what is published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from reana_lite.cli.screen import Installation, open_installation, plain
from reana_lite.errors import InvalidInput

if TYPE_CHECKING:
    from reana_lite.cli.gathering import Gathering
    from reana_lite.comparison import MassPlane, Outcome, Published, Table
    from reana_lite.plots import Overlay

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("names", metavar="RUN|CAMPAIGN|FILE...", nargs=-1, required=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json", "latex", "hepdata"]), default="text", show_default=True,
    help="How the table is written.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write to; for hepdata an empty folder.")
@click.option("--x", default="", metavar="AXIS", help="Mass axis of contours and mass limits, such as m_gluino.")
@click.option("--y", default="", metavar="AXIS", help="The other axis of the mass plane, such as m_lsp.")
@click.option("--at", "places", multiple=True, metavar="AXIS=VALUE", help="Only results there; may be repeated.")
@click.option("--rank", type=click.Choice(["theories", "analyses"]), help="Order by expected sensitivity.")
@click.option("--mass-limits", is_flag=True, help="Only the mass limits along --x.")
@click.option("--against", metavar="CAMPAIGN", help="What changed in CAMPAIGN, same theories.")
@click.option(
    "--published", multiple=True, metavar="[LABEL=]FILE", help="Published grid or contour (CSV, JSON); may be repeated."
)
@click.option("--plot", type=_FILE, help="Draw a contour, a row or a ranking (.pdf, .png, .svg, .html).")
@click.option("--map", "mapped", default="", metavar="QUANTITY", help="Draw this: xsec-limit, mu-limit, r, a region.")
@click.option(
    "--export", type=(click.Choice(["pyhf", "smodels"]), click.Path(file_okay=False, path_type=Path)), metavar="KIND DIR",
    help="Write a pyhf patchset or SModelS efficiency maps.",
)  # fmt: skip
@click.option("--topology", default="", help="Topology of the SModelS map: T1, T2, ..., or NAME=CONSTRAINT.")
def compare(names: tuple[str, ...], form: str, output: Path | None, **options: Any) -> None:
    """Compare results: a table, a ranking, what changed, agreement with what is published; contours and exports.

    \b
    Examples:
      recast compare latest --x m_gluino --y m_lsp --plot contour.pdf --published ATLAS=atlas.csv
      recast compare scan-v1 --against scan-v2
      recast compare search-a search-b --rank analyses --format latex
    """
    compare_by(Here(open_installation()), names, form, output, options)


@dataclass(frozen=True, slots=True)
class Described:
    """What exports say of an analysis: its energy, and (HEPData record, INSPIRE number) of its references."""

    sqrts_tev: float | None
    records: tuple[tuple[str, str], ...]


class Source(Protocol):
    """Where results come from: this installation, or a server."""

    def gather(self, names: Sequence[str], *, whole: bool = False) -> Gathering:
        """The results behind names."""
        ...

    def likelihoods(self, run: str) -> Iterator[tuple[str, bytes]]:
        """The files that a run declares as likelihoods: name and content."""
        ...

    def analysis(self, run: str) -> Described | None:
        """The analysis of a run, if it is still there."""
        ...


class Here:
    """Results of this installation."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def gather(self, names: Sequence[str], *, whole: bool = False) -> Gathering:
        """The results behind names."""
        from reana_lite.cli.gathering import gather

        return gather(self._installation, names, whole=whole)

    def likelihoods(self, run: str) -> Iterator[tuple[str, bytes]]:
        """The files that a run declares as likelihoods."""
        from reana_lite.cli.gathering import likelihoods_of

        return likelihoods_of(self._installation, run)

    def analysis(self, run: str) -> Described | None:
        """The analysis of a run, if its files are still where they were."""
        from reana_lite.catalogue import load_analysis
        from reana_lite.errors import ReanaLiteError

        try:
            found = load_analysis(Path(self._installation.database.get_run(run).request.get("target", "")))
        except (ReanaLiteError, OSError):
            return None
        return Described(found.sqrts_tev, tuple((str(c.hepdata or ""), str(c.inspire or "")) for c in found.references))


def compare_by(source: Source, names: Sequence[str], form: str, output: Path | None, options: dict[str, Any]) -> None:
    """Compare what a source has: tables to the terminal or a file, drawings, exports."""
    if form == "hepdata" and output is None:
        raise InvalidInput("HEPData's form is a folder: name it with --output", field="output")
    gathering = source.gather(names, whole=bool(options["export"]))
    places = _places(options["places"])
    asked = _asked(gathering.at(places), places, options)
    if options["export"]:
        _export(source, asked, *options["export"], topology=options["topology"])
    tables = _tables(source, asked, options)
    if options["plot"]:
        _plot(asked, options)
    drawn_only = (options["plot"] or options["export"]) and not output and form == "text" and not _wants_table(options)
    if not drawn_only:
        _write(tables, form, output, asked)


def _wants_table(options: dict[str, Any]) -> bool:
    return bool(options["rank"] or options["against"] or options["mass_limits"] or options["published"])


@dataclass(frozen=True, slots=True)
class Asked:
    """What was named, over which axes, and what is published about it."""

    gathering: Gathering
    x: str
    y: str
    at: dict[str, float]
    published: tuple[tuple[str, Published], ...]

    @property
    def outcomes(self) -> list[Outcome]:
        """All outcomes."""
        return self.gathering.outcomes

    @property
    def placed(self) -> list[Outcome]:
        """Outcomes that have a place on the axes; a failed one may have none."""
        axes = [axis for axis in (self.x, self.y) if axis]
        from reana_lite.comparison import Status

        return [o for o in self.outcomes if o.status is Status.OK or all(o.number(a) is not None for a in axes)]

    def plane(self) -> MassPlane:
        """The mass plane; InvalidInput if its axes are not known."""
        from reana_lite.comparison import mass_plane

        if not (self.x and self.y):
            raise InvalidInput(
                f"name the axes with --x and --y; what varies is {', '.join(self.gathering.axes) or 'nothing'}",
                field="x",
            )
        return mass_plane(self.placed, self.x, self.y)


def _asked(gathering: Gathering, places: dict[str, float], options: dict[str, Any]) -> Asked:
    """The axes: as given, else those of the scan if they are one or two. `m_lsp` is the other one, of two."""
    x, y = options["x"], options["y"]
    axes = sorted(gathering.axes, key=lambda axis: axis in ("m_lsp", "m_neutralino_1"))
    if not x and not y and len(axes) in (1, 2):
        x, y = axes[0], axes[1] if len(axes) == 2 else ""
    elif y and not x:
        raise InvalidInput(f"--y {y} needs --x", field="x")
    return Asked(gathering, x, y, places, tuple(_published(text) for text in options["published"]))


def _places(texts: Sequence[str]) -> dict[str, float]:
    places = {}
    for text in texts:
        axis, _, value = text.partition("=")
        try:
            places[axis] = float(value)
        except ValueError:
            raise InvalidInput(f"--at {text}: right is AXIS=VALUE, such as m_lsp=0", field="at", value=text) from None
    return places


def _published(text: str) -> tuple[str, Published]:
    from reana_lite.comparison import read_published

    label, separator, name = text.partition("=")
    if not separator or Path(text).is_file():
        label, name = Path(text).stem, text
    path = Path(name)
    if not path.is_file():
        raise InvalidInput(f"no file {name}: --published takes FILE or LABEL=FILE", field="published", value=text)
    return label, read_published(path.read_bytes(), path.name)


# -- tables ------------------------------------------------------------------------------------------------------------
def _tables(source: Source, asked: Asked, options: dict[str, Any]) -> list[Table]:
    """The table that was asked for, first; then those that belong to it."""
    from reana_lite import comparison

    axes = list(asked.gathering.axes)
    if options["mass_limits"]:
        return [_mass_limits(asked, required=True)]
    if options["against"]:
        other = source.gather([options["against"]]).at(asked.at)
        shared = [axis for axis in axes if axis in other.axes]
        return [comparison.what_changed(asked.outcomes, other.outcomes, axes=shared)]
    if options["rank"]:
        rank = comparison.rank_theories if options["rank"] == "theories" else comparison.rank_analyses
        return [rank(asked.outcomes, axes=axes)]
    grids = [grid for _, grid in asked.published if grid.points]
    tables = [comparison.cross_check(asked.outcomes, grid) for grid in grids]
    if not tables:
        tables = [comparison.results_table(asked.outcomes, axes=axes)]
    if asked.x and len(asked.placed) > 1:
        limits = _mass_limits(asked, required=False)
        tables += [limits] if limits.rows else []
    return tables


def _mass_limits(asked: Asked, *, required: bool) -> Table:
    """Mass limits along x in every row. Without `required`, none where a row is one point, or rows cannot be told."""
    from reana_lite.comparison import mass_limit, mass_limits_table, rows_of

    if not asked.x:
        raise InvalidInput("name the mass axis with --x", field="x")
    others = [axis for axis in asked.gathering.axes if axis != asked.x]
    if asked.y and asked.y not in others:
        others.append(asked.y)
    limits = []
    try:
        for at, row in rows_of(asked.placed, asked.x, others):
            if required or len({o.number(asked.x) for o in row}) > 1:
                limits.append(mass_limit(row, asked.x, at={**asked.at, **at}))
    except InvalidInput:
        if required:
            raise
        limits = []
    return mass_limits_table(limits)


def _write(tables: Sequence[Table], form: str, output: Path | None, asked: Asked) -> None:
    from reana_lite.comparison import tables as writing

    if form == "hepdata":
        from reana_lite.plots.hepdata import write_submission

        assert output is not None
        more = list(tables)
        if asked.x and asked.y:
            more += writing.contour_tables(asked.plane())
        names = ", ".join(dict.fromkeys(o.analysis for o in asked.outcomes))
        write_submission(more, output, comment=f"Reinterpretation with the preserved analysis {names}.")
        click.echo(f"written: {output}", err=True)
        return
    if form == "text":
        text = "\n".join(writing.to_text(table) for table in tables)
    elif form == "json":
        text = writing.to_json(*tables)
    else:
        text = (writing.to_csv if form == "csv" else writing.to_latex)(tables[0])
    if output is None:
        click.echo(text if form == "csv" else plain(text), nl=False)
        return
    output.write_text(text, encoding="utf-8", newline="")
    click.echo(f"written: {output}", err=True)


# -- plots -------------------------------------------------------------------------------------------------------------
def _plot(asked: Asked, options: dict[str, Any]) -> None:
    from reana_lite import plots
    from reana_lite.comparison import mass_limit, rows_of
    from reana_lite.comparison.fields import quantity

    path: Path = options["plot"]
    if options["rank"]:
        plots.plot_ranking(asked.outcomes, path, axes=asked.gathering.axes)
    elif asked.y or options["mapped"] or path.suffix.lower() == ".html":
        plane = asked.plane()
        overlays = _overlays(asked)
        if options["mapped"]:
            plots.plot_map(plane, quantity(options["mapped"], plane.outcomes), path, overlays=overlays)
        elif path.suffix.lower() == ".html":
            plots.write_page(plane, path, overlays=overlays)
        else:
            plots.plot_contour(plane, path, overlays=overlays)
    elif asked.x:
        rows = rows_of(asked.placed, asked.x, [axis for axis in asked.gathering.axes if axis != asked.x])
        if len(rows) != 1:
            others = ", ".join(rows[0][0]) if rows else ""
            raise InvalidInput(
                f"{len(rows)} rows along {asked.x}: choose one with --at ({others}), or give --y", field="at"
            )
        at, row = rows[0]
        plots.plot_row(row, mass_limit(row, asked.x, at={**asked.at, **at}), path)
    else:
        raise InvalidInput(
            f"what to draw is not clear: give --x and --y of {', '.join(asked.gathering.axes) or 'nothing that varies'}, "
            "or --rank", field="plot",
        )  # fmt: skip
    click.echo(f"drawn: {path}", err=True)


def _overlays(asked: Asked) -> list[Overlay]:
    """Published lines, and contours of published grids by the same interpolation as ours."""
    from reana_lite.comparison import Outcome, Status, mass_plane
    from reana_lite.plots import Overlay

    overlays = []
    for label, published in asked.published:
        if not {asked.x, asked.y} <= set(published.axes):
            raise InvalidInput(
                f"{published.source} is over {', '.join(published.axes)}, the plot over {asked.x}, {asked.y}",
                field="published",
            )
        if published.lines:
            flip = published.axes[0] != asked.x
            overlays.append(Overlay(label, [[(b, a) if flip else (a, b) for a, b in line] for line in published.lines]))
        elif with_r := [p for p in published.points if p.r]:
            grid = [
                Outcome(str(at), label, parameters=dict(p.place), status=Status.OK, observed=1 / (p.r or 1.0))
                for at, p in enumerate(with_r)
            ]
            overlays.append(Overlay(f"{label} (same method)", mass_plane(grid, asked.x, asked.y).curves["observed"]))
    return overlays


# -- exports -----------------------------------------------------------------------------------------------------------
def _export(source: Source, asked: Asked, kind: str, folder: Path, *, topology: str) -> None:
    files, notes = (_pyhf if kind == "pyhf" else _smodels)(source, asked, topology)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for note in notes:
        click.echo(plain(note), err=True)
    click.echo(f"exported: {len(files)} files below {folder}", err=True)


def _pyhf(source: Source, asked: Asked, topology: str) -> tuple[dict[str, str], list[str]]:
    from reana_lite.comparison.exports import SignalLikelihood, pyhf_files
    from reana_lite.theory import read_json

    axes = list(asked.gathering.axes)
    named: dict[str, list[SignalLikelihood]] = {}
    for item in asked.gathering.items:
        if item.result is None or not item.run:
            continue
        values = tuple(value for axis in axes if (value := item.outcome.number(axis)) is not None)
        for name, content in source.likelihoods(item.run):
            document = read_json(content, f"{name} of run {item.run}")
            named.setdefault(name, []).append(
                SignalLikelihood(item.outcome.theory, values or (item.outcome.theory,), document)
            )
    if not named:
        raise InvalidInput("none of the runs declares a likelihood", field="export")
    record = _hepdata_record(source, asked)
    notes = [] if record else ["no HEPData record of the analysis is known: references say ins0000000"]
    files = {}
    for name, likelihoods in named.items():
        description = f"signals of {likelihoods[0].theory} and {len(likelihoods) - 1} more for {name}"
        for file, text in pyhf_files(likelihoods, axes or ["theory"], description=description, hepdata=record).items():
            files[f"{name}/{file}"] = text
    return files, notes


def _smodels(source: Source, asked: Asked, topology: str) -> tuple[dict[str, str], list[str]]:
    from reana_lite.comparison.exports import smodels_files

    if not topology:
        raise InvalidInput("an SModelS map is of a topology: name it with --topology, such as T1", field="topology")
    if not (asked.x and asked.y):
        raise InvalidInput("an SModelS map needs --x (mother) and --y (lightest particle)", field="x")
    rows = []
    for item in asked.gathering.items:
        x, y = item.outcome.number(asked.x), item.outcome.number(asked.y)
        if item.result is not None and x is not None and y is not None:
            rows.append((item.result, (x, y)))
    analysis = _analysis(source, asked)
    sqrts = analysis.sqrts_tev if analysis is not None and analysis.sqrts_tev else 13.0
    return smodels_files(rows, topology, sqrts_tev=sqrts)


def _analysis(source: Source, asked: Asked) -> Described | None:
    """The analysis of the first run."""
    runs = (item.run for item in asked.gathering.items if item.run)
    return next((source.analysis(run) for run in runs), None)


def _hepdata_record(source: Source, asked: Asked) -> str:
    """The HEPData record of the analysis, as ins and the INSPIRE number; "" if nobody says."""
    analysis = _analysis(source, asked)
    for hepdata, inspire in analysis.records if analysis is not None else ():
        if hepdata or inspire:
            return hepdata or f"ins{inspire}"
    return ""
