"""Comparisons and results as files that a door sends: text, figures, HEPData, pyhf, SModelS. The content is export.py's.

Who calls has looked whether what is named may be seen. One figure is drawn at a time: matplotlib's settings are those of
the process.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from reana_lite import export
from reana_lite.catalogue import load_analysis
from reana_lite.comparison import Table
from reana_lite.database import RunRecord, results
from reana_lite.database.campaigns import CampaignRecord
from reana_lite.errors import InvalidInput, NotFound, ReanaLiteError
from reana_lite.export import Compared, Described, Gathered, Gathering, declared_likelihoods
from reana_lite.job import RUN_ROOT
from reana_lite.result import Result, result_of
from reana_lite.server import outcomes
from reana_lite.server.files import drive_of
from reana_lite.server.installation import Installation

TEXTS = {
    "json": ("application/json", "json"), "csv": ("text/csv", "csv"), "text": ("text/plain", "txt"),
    "latex": ("application/x-latex", "tex"),
}  # fmt: skip
FIGURES = {"pdf": "application/pdf", "png": "image/png", "svg": "image/svg+xml"}
ARCHIVES = ("hepdata", "pyhf", "smodels")
FORMS = (*TEXTS, *FIGURES, "html", *ARCHIVES)
"""All forms of a comparison: `html` is the interactive plane, archives are zip files."""

MEDIA = (*(kind for kind, _ in TEXTS.values()), *FIGURES.values(), "text/html", "application/zip")

WHOLE = 2000
"""Runs whose whole results or likelihoods are in memory for one export."""

LIKELIHOOD_BYTES = 100_000_000
"""The most that the likelihoods of one export may have together (bytes)."""

_drawing = Lock()


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was made."""

    content: bytes
    media_type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is made of a comparison: `rank` theories or analyses, what changed `against` others, a map of a `quantity`."""

    rank: str = ""
    mass_limits: bool = False
    against: Gathering | None = None
    quantity: str = ""
    topology: str = ""


def gathered(
    installation: Installation, *, campaigns: Sequence[CampaignRecord] = (), runs: Sequence[RunRecord] = (),
    whole: bool = False,
) -> Gathering:  # fmt: skip
    """What campaigns and runs say, with whole results if they are wanted; raises InvalidInput for nothing, or too many."""
    database = installation.database
    items: dict[str, Gathered] = {}
    declared: list[str] = []
    axes = outcomes.axes_declared([*campaigns, *runs], installation.catalogue())
    for campaign, rows in outcomes.rows_of_campaigns(database, campaigns, axes=axes):
        for row in rows:
            name = row.point.run or f"{campaign.id}/{row.point.target}/{row.point.number}"
            items[name] = Gathered(row.outcome, run=row.point.run)
        declared += campaign.request.axes
    for record in runs:
        items[record.id] = Gathered(outcomes.outcome_of_record(database, record, axes=axes), run=record.id)
    if not items:
        raise InvalidInput("name runs or campaigns that are to be compared", field="runs")
    found = list(items.values())
    if whole:
        found = _with_results(installation, found)
    return Gathering(tuple(found), export.varying([item.outcome for item in found], declared))


def _with_results(installation: Installation, items: Sequence[Gathered]) -> list[Gathered]:
    runs = [item.run for item in items if item.run]
    if len(runs) > WHOLE:
        raise InvalidInput(
            f"{len(runs)} runs are too many for one export of this form; right are {WHOLE}", field="runs"
        )
    known = {run: result_of(document, known=True) for run, document in results.documents(installation.database, runs)}
    return [Gathered(item.outcome, known.get(item.run), item.run) for item in items]


def tables_of(one: Compared, options: Options) -> list[Table]:
    """The tables that are asked for."""
    return export.tables_of(one, rank=options.rank, mass_limits=options.mass_limits, against=options.against)


def exported(installation: Installation, one: Compared, options: Options, form: str) -> Exported:
    """A comparison as a file in one of FORMS; raises InvalidInput where there is too little for it."""
    if form in TEXTS:
        kind, ending = TEXTS[form]
        return Exported(export.text_of(tables_of(one, options), form).encode(), kind, f"comparison.{ending}")
    if form in (*FIGURES, "html"):
        name = "ranking" if options.rank else "map" if options.quantity else "contour" if one.y else "row"
        return drawn(
            f"{name}.{form}", lambda path: export.draw(one, path, rank=options.rank, quantity=options.quantity)
        )
    if form == "hepdata":
        return hepdata(one, tables_of(one, options))
    if form not in ARCHIVES:
        raise NotFound(f"nothing is written as {form!r}; forms are {', '.join(FORMS)}", format=form)
    analysis = _analysis(installation, one)
    if form == "pyhf":
        files, notes = export.pyhf(one, _Likelihoods(installation), analysis)
    else:
        files, notes = export.smodels(one, analysis, topology=options.topology)
    if notes:
        files = {**files, "NOTES.txt": "".join(f"{note}\n" for note in notes)}
    return archived({name: text.encode() for name, text in files.items()}, f"{form}.zip")


def hepdata(one: Compared, found: Sequence[Table]) -> Exported:
    """Tables as a submission that HEPData takes as it is."""
    with tempfile.TemporaryDirectory() as folder, _drawing:
        path = Path(folder) / "submission"
        export.write_hepdata(one, found, path)
        files = {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.suffix == ".yaml"}
    return archived(files, "hepdata.zip")


def drawn(name: str, draw: Callable[[Path], None]) -> Exported:
    """A figure, by the ending of its name."""
    with tempfile.TemporaryDirectory() as folder, _drawing:
        path = Path(folder) / name
        draw(path)
        return Exported(path.read_bytes(), FIGURES.get(path.suffix[1:], "text/html"), name)


def figure_of(result: Result, what: str, form: str) -> Exported:
    """The yields or limits of one run as a figure; `form` one of FIGURES."""
    from reana_lite.plots import plot_limits, plot_yields

    plot = plot_limits if what == "limits" else plot_yields
    return drawn(f"{what}.{form}", lambda path: plot(result, path))


def result_in(result: Result, form: str) -> Exported:
    """One result as json, csv (its regions) or text."""
    write = {"json": result.to_json, "csv": result.to_csv, "text": result.to_text}[form]
    kind, ending = TEXTS[form]
    return Exported(write().encode(), kind, f"result.{ending}")


def archived(files: Mapping[str, bytes], name: str) -> Exported:
    """Files as a zip archive; equal files give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return Exported(out.getvalue(), "application/zip", name)


class _Likelihoods:
    """The files that runs declare as likelihoods, as long as they are not too large together: as objects they take ten
    times as much memory."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._left = LIKELIHOOD_BYTES

    def __call__(self, run: str) -> Iterator[tuple[str, bytes]]:
        database = self._installation.database
        declared = database.get_result(run, "declared") or {}
        wanted = declared_likelihoods(declared)
        if not wanted:
            return
        workspace = drive_of(self._installation, database.get_run(run)).workspace
        for name, path in wanted:
            with workspace.open(f"{RUN_ROOT}/{path}") as source:
                content = source.read(self._left + 1)
            self._left -= len(content)
            if self._left < 0:
                raise InvalidInput(
                    f"the likelihoods have more than {LIKELIHOOD_BYTES} bytes: export fewer runs", field="runs"
                )
            yield name, content


def _analysis(installation: Installation, one: Compared) -> Described | None:
    """The analysis of the first run, if it is still to be found."""
    run = next((item.run for item in one.gathering.items if item.run), "")
    try:
        found = load_analysis(Path(str(installation.database.get_run(run).request.get("target", "")))) if run else None
    except (ReanaLiteError, OSError):
        return None
    if found is None:
        return None
    return Described(found.sqrts_tev, tuple((str(c.hepdata or ""), str(c.inspire or "")) for c in found.references))
