"""`recast compare`: many results against each other and against what is published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from reana_lite.cli.screen import Installation, open_installation, plain
from reana_lite.errors import InvalidInput

if TYPE_CHECKING:
    from reana_lite.comparison import Published, Table
    from reana_lite.export import Compared, Described, Gathering

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
        from reana_lite.export import Described

        try:
            found = load_analysis(Path(self._installation.database.get_run(run).request.get("target", "")))
        except (ReanaLiteError, OSError):
            return None
        return Described(found.sqrts_tev, tuple((str(c.hepdata or ""), str(c.inspire or "")) for c in found.references))


def compare_by(source: Source, names: Sequence[str], form: str, output: Path | None, options: dict[str, Any]) -> None:
    """Compare what a source has: tables to the terminal or a file, drawings, exports."""
    from reana_lite import export

    if form == "hepdata" and output is None:
        raise InvalidInput("HEPData's form is a folder: name it with --output", field="output")
    gathering = source.gather(names, whole=bool(options["export"]))
    one = export.compared(
        gathering, x=options["x"], y=options["y"], at=export.places_of(options["places"]),
        published=[_published(text) for text in options["published"]],
    )  # fmt: skip
    if options["export"]:
        _export(source, one, *options["export"], topology=options["topology"])
    against = source.gather([options["against"]]) if options["against"] and not options["mass_limits"] else None
    tables = export.tables_of(
        one, rank=options["rank"] or "", mass_limits=options["mass_limits"], against=against
    )  # also where only a drawing is wanted: what cannot be compared is told
    if options["plot"]:
        export.draw(one, options["plot"], rank=options["rank"] or "", quantity=options["mapped"])
        click.echo(f"drawn: {options['plot']}", err=True)
    drawn_only = (options["plot"] or options["export"]) and not output and form == "text" and not _wants_table(options)
    if not drawn_only:
        _write(tables, form, output, one)


def _wants_table(options: dict[str, Any]) -> bool:
    return bool(options["rank"] or options["against"] or options["mass_limits"] or options["published"])


def _published(text: str) -> tuple[str, Published]:
    from reana_lite.comparison import read_published

    label, separator, name = text.partition("=")
    if not separator or Path(text).is_file():
        label, name = Path(text).stem, text
    path = Path(name)
    if not path.is_file():
        raise InvalidInput(f"no file {name}: --published takes FILE or LABEL=FILE", field="published", value=text)
    return label, read_published(path.read_bytes(), path.name)


def _write(tables: Sequence[Table], form: str, output: Path | None, one: Compared) -> None:
    from reana_lite import export

    if form == "hepdata":
        assert output is not None
        export.write_hepdata(one, tables, output)
        click.echo(f"written: {output}", err=True)
        return
    text = export.text_of(tables, form)
    if output is None:
        click.echo(text if form == "csv" else plain(text), nl=False)
        return
    output.write_text(text, encoding="utf-8", newline="")
    click.echo(f"written: {output}", err=True)


def _export(source: Source, one: Compared, kind: str, folder: Path, *, topology: str) -> None:
    from reana_lite import export

    runs = (item.run for item in one.gathering.items if item.run)
    analysis = next((source.analysis(run) for run in runs), None)
    if kind == "pyhf":
        files, notes = export.pyhf(one, source.likelihoods, analysis)
    else:
        files, notes = export.smodels(one, analysis, topology=topology)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for note in notes:
        click.echo(plain(note), err=True)
    click.echo(f"exported: {len(files)} files below {folder}", err=True)
