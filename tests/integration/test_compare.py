"""`recast compare` on stored results: tables, contours, rankings, differences, published grids, exports, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "result"))

from result_samples import document, limit

from reana_lite.errors import EXIT_CODE, Conflict, InvalidInput, NotAllowed, NotFound

MASSES = [float(m) for m in range(1600, 2601, 200)]
LIGHT = [0.0, 400.0, 800.0]


def result_at(run: str, mass: float, light: float, mu: float, **changes: Any) -> dict[str, Any]:
    """A result document with this limit on mu."""
    made = document()
    best = limit("MB-GGd", mu, 0.04 if mu < 1 else 0.3)
    up, down = ("excluded" if mu / f < 1 else "not-excluded" for f in (1.2, 0.8))
    verdict = "excluded" if mu < 1 else "not-excluded"
    return made | {
        "run": run, "theory": {"name": f"gluino_{mass:.0f}_{light:.0f}", "parameters": {"m_gluino": mass, "m_lsp": light}},
        "limits": [best], "best": "MB-GGd", "verdict": verdict, "verdict_xsec_up": up, "verdict_xsec_down": down,
    } | changes  # fmt: skip


def mu_at(mass: float, light: float) -> float:
    return math.exp((mass - 2250 + light / 4) / 150)


@pytest.fixture
def campaign(recast: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A campaign whose points are over: results by a formula; (2600, 800) failed, one was refused, one has not begun."""
    from reana_lite.campaign import Request
    from reana_lite.config import Settings
    from reana_lite.database import Database, campaigns
    from reana_lite.event import RunState
    from reana_lite.theory.scan import Point

    monkeypatch.setenv("RECAST_HOME", str(recast.home))
    settings = Settings.from_environment()

    def make(name: str, analysis: str = "atlas-susy-2018-22", factor: float = 1.0, **changes: Any) -> str:
        database = Database(settings.database)
        places = [(m, light) for m in MASSES for light in LIGHT] + [(2800.0, 0.0), (2800.0, 400.0)]
        points = [Point(f"gluino_{m:.0f}_{light:.0f}", {"m_gluino": m, "m_lsp": light}) for m, light in places]
        record = campaigns.create(
            database, name=name, owner=settings.user, digest=name, request=Request((analysis,)),
            points=[(analysis, point) for point in points], skipped={},
        )  # fmt: skip
        runs, refused = {}, {len(points) - 1: "BR of the gluino add up to 0.5"}
        for number, (mass, light) in enumerate(places[:-2], 1):
            runs[number] = campaigns.PlannedRun(
                f"{name}{number}", analysis, f"gluino_{mass:.0f}_{light:.0f}", {}, ("x", {})
            )
        with database.transaction() as transaction:
            campaigns.fill(transaction, record, runs, refused)
        for number, (mass, light) in enumerate(places[:-2], 1):
            run = f"{name}{number}"
            failed = (mass, light) == (2600.0, 800.0)
            database.set_run_state(run, RunState.RUNNING)
            database.set_run_state(
                run, RunState.FAILED if failed else RunState.FINISHED, error="out of memory" if failed else ""
            )
            if not failed:
                made = result_at(run, mass, light, factor * mu_at(mass, light), analysis=analysis, **changes)
                database.save_result(run, "result", made)
        database.close()
        return name

    return make


def test_a_campaign_as_text_and_json(call, campaign) -> None:
    campaign("scan1")
    said = call("compare", "scan1")
    assert said.code == 0, said
    assert "20 results" in said.out
    assert "1 failed" not in said.out.split("\n")[0]
    assert "2 failed" in said.out
    assert "out of memory" in said.out
    assert "BR of the gluino add up" in said.out
    assert "1 missing" in said.out
    assert "mass limits along m_gluino" in said.out
    tables = json.loads(call("compare", "latest", "--format", "json").out)
    assert [t["table"] for t in tables] == ["results", "mass-limits"]
    massless = tables[1]["rows"][0]
    assert massless["m_lsp"] == 0
    assert massless["observed"] == pytest.approx(2250)
    assert massless["observed_xsec_up"] == pytest.approx(2250 + 150 * math.log(1 + 1.3e-4 / 1.01e-3))
    assert tables[1]["rows"][1]["observed"] == pytest.approx(2150)


def test_help_has_examples(call) -> None:
    assert "recast compare latest" in call("compare", "--help").out.split("Examples")[1]


def test_forms_of_the_table(call, campaign, recast) -> None:
    campaign("scan1")
    rows = list(csv.DictReader(io.StringIO(call("compare", "scan1", "--format", "csv").out)))
    assert len(rows) == 20
    assert {row["m_gluino [GeV]"] for row in rows} == {str(m) for m in [*MASSES, 2800.0]}
    latex = call("compare", "scan1", "--format", "latex", "--mass-limits", "--x", "m_gluino", "-o", "t.tex")
    assert latex.code == 0
    assert r"\begin{tabular}" in (recast.folder / "t.tex").read_text()
    some = json.loads(call("compare", "scan1", "--at", "m_lsp=400", "--mass-limits", "--format", "json").out)
    assert [row["m_lsp"] for row in some["rows"]] == [400]


def test_runs_and_files_are_compared_too(call, campaign, recast) -> None:
    campaign("scan1")
    (recast.folder / "mine.json").write_text(json.dumps(result_at("r9", 3000.0, 0.0, 7.0)))
    said = call("compare", "scan14", "scan1.1", "mine.json", "--format", "json", "--x", "m_gluino", "--y", "m_lsp")
    table = json.loads(said.out)
    table = table[0] if isinstance(table, list) else table
    assert [row["run"] for row in table["rows"]] == ["scan14", "scan11", "r9"]


def test_rankings_and_differences(call, campaign) -> None:
    campaign("first")
    campaign("second", analysis="other-search", factor=0.5)
    ranked = json.loads(call("compare", "first", "second", "--rank", "analyses", "--format", "json").out)
    assert ranked["summary"]["most_sensitive"] == {"other-search": 17}
    best = json.loads(call("compare", "first", "--rank", "theories", "--format", "json").out)
    assert best["rows"][0]["theory"] == "gluino_1600_0"
    changed = json.loads(call("compare", "first", "--against", "second", "--format", "json").out)
    assert changed["summary"]["changes"] == {"numbers": 16, "verdict": 1, "same": 3}
    assert changed["summary"]["r_ratio"]["median"] == pytest.approx(2.0)


GRID = "m_gluino,m_lsp,r\n" + "".join(
    f"{m:.0f},{light:.0f},{1 / (1.1 * mu_at(m, light)):.6g}\n" for m in MASSES for light in LIGHT
)


def test_against_a_published_grid(call, campaign, write) -> None:
    campaign("scan1")
    write("grid.csv", GRID)
    said = call("compare", "scan1", "--published", "ATLAS=grid.csv")
    assert said.code == 0, said
    assert "verdicts: 17 of 17 agree" in said.out
    assert "1 failed" in said.out
    assert "median 0.909" in said.out


def test_plots(call, campaign, recast, write) -> None:
    pytest.importorskip("mplhep")
    campaign("scan1")
    write("grid.csv", GRID)
    write("line.csv", "m_lsp,m_gluino\n0,2300\n400,2200\n800,1900\n")
    for number, args in enumerate((
        ["--published", "ATLAS=grid.csv", "--published", "line.csv"], ["--map", "mu-limit"], ["--map", "SR4j-2200"],
        ["--at", "m_lsp=0"], ["--rank", "theories"],
    )):  # fmt: skip
        said = call("compare", "scan1", *args, "--plot", f"p{number}.png")
        assert said.code == 0, said
        assert "drawn: p" in said.err
        assert (recast.folder / f"p{number}.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_is_self_contained(call, campaign, recast) -> None:
    pytest.importorskip("plotly")
    campaign("scan1")
    first = call("compare", "scan1", "--plot", "a.html")
    assert first.code == 0, first
    call("compare", "scan1", "--plot", "b.html")
    page = (recast.folder / "a.html").read_text()
    assert page == (recast.folder / "b.html").read_text()
    assert "gluino_2000_0" in page
    assert 'src="http' not in page
    assert "out of memory" in page


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the validator leaves files open
def test_hepdata(call, campaign, recast) -> None:
    pytest.importorskip("hepdata_lib")
    import yaml

    campaign("scan1")
    said = call("compare", "scan1", "--format", "hepdata", "-o", "sub")
    assert said.code == 0, said
    documents = list(yaml.safe_load_all((recast.folder / "sub" / "submission.yaml").read_text()))
    assert [d["name"] for d in documents[1:]][:2] == ["20 results", "mass limits along m_gluino"]
    assert (recast.folder / "sub" / "submission.tar.gz").is_file()
    contour = yaml.safe_load((recast.folder / "sub" / "exclusion_contour_observed.yaml").read_text())
    assert [v["header"]["name"] for v in contour["independent_variables"]] == ["line", r"$m(\tilde{g})$"]
    call("compare", "scan1", "--format", "hepdata", "-o", "sub").refused(EXIT_CODE[InvalidInput], "empty folder")


def test_campaigns_in_one_plane_have_a_contour_each(call, campaign, recast) -> None:
    pytest.importorskip("matplotlib")
    campaign("scan1")
    campaign("scan2", factor=2.0)
    said = call("compare", "scan1", "scan2", "--plot", "both.pdf")
    assert said.code == 0, said
    assert (recast.folder / "both.pdf").read_bytes().startswith(b"%PDF")
    table = json.loads(call("compare", "scan1", "scan2", "--mass-limits", "--x", "m_gluino", "--format", "json").out)
    massless = {row["campaign"]: row["observed"] for row in table["rows"] if row["m_lsp"] == 0}
    assert massless["scan1"] == pytest.approx(2250, abs=1)
    assert massless["scan2"] == pytest.approx(2250 - 150 * math.log(2), abs=1)
    said = call("compare", "scan1", "scan2", "--x", "m_gluino", "--y", "m_squark", "--plot", "no.pdf")
    said.refused(EXIT_CODE[InvalidInput], "campaign scan1 has no m_squark", "compare campaigns of the same axes")


def test_extras_that_are_not_installed_are_named(call, campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign("scan1")
    monkeypatch.setitem(sys.modules, "hepdata_lib", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    call("compare", "scan1", "--format", "hepdata", "-o", "s").refused(EXIT_CODE[NotAllowed], "'reana-lite[hepdata]'")
    call("compare", "scan1", "--plot", "a.html").refused(EXIT_CODE[NotAllowed], "'reana-lite[interactive]'")


def test_exports(call, campaign, recast, monkeypatch: pytest.MonkeyPatch) -> None:
    from reana_lite.cli import gathering

    campaign("scan1")
    said = call("compare", "scan1", "--export", "smodels", "maps", "--topology", "T1")
    assert said.code == 0, said
    text = (recast.folder / "maps" / "SR4j_2200" / "T1.txt").read_text()
    assert text.count("0.172") == 17

    def likelihoods(installation: object, run: str) -> Any:
        mu = {"name": "mu", "type": "normfactor", "data": None}
        signal = {"name": "signal", "data": [float(run.removeprefix("scan1"))], "modifiers": [mu]}
        background = {"name": "background", "data": [5.0], "modifiers": []}
        yield "MB-GGd", json.dumps({
            "version": "1.0.0", "channels": [{"name": "SR", "samples": [background, signal]}],
            "observations": [{"name": "SR", "data": [5.0]}],
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        }).encode()  # fmt: skip

    monkeypatch.setattr(gathering, "likelihoods_of", likelihoods)
    said = call("compare", "scan1", "--export", "pyhf", "patches")
    assert said.code == 0, said
    patchset = json.loads((recast.folder / "patches" / "MB-GGd" / "patchset.json").read_text())
    assert len(patchset["patches"]) == 17
    assert patchset["patches"][0]["metadata"] == {"name": "gluino_1600_0", "values": [1600.0, 0.0]}
    assert patchset["metadata"]["labels"] == ["m_gluino", "m_lsp"]


@pytest.mark.parametrize(
    ("args", "error", "words"),
    [
        (["nosuch"], NotFound, ["nosuch"]),
        (["scan1", "--format", "hepdata"], InvalidInput, ["--output"]),
        (["scan1", "--at", "m_lsp"], InvalidInput, ["AXIS=VALUE"]),
        (["scan1", "--at", "m_lsp=17"], NotFound, ["there are 0, 400, 800"]),
        (["scan1", "--x", "m_stop", "--mass-limits"], InvalidInput, ["m_stop", "m_gluino, m_lsp"]),
        (["scan1", "--y", "m_lsp"], InvalidInput, ["m_lsp, needs x"]),
        (["scan1", "--published", "none.csv"], InvalidInput, ["no file none.csv"]),
        (["scan1", "--plot", "p.docx"], InvalidInput, [".pdf, .svg, .png"]),
        (["scan1", "--x", "m_gluino", "--plot", "p.png"], InvalidInput, ["3 rows along m_gluino", "at (m_lsp)"]),
        (["scan1", "--at", "m_lsp=0", "--at", "m_gluino=2000", "--plot", "p.png"], InvalidInput, ["not clear"]),
        (["scan1", "--map", "SR99", "--plot", "p.png"], InvalidInput, ["SR99", "SR4j-2200"]),
        (["scan1", "--export", "smodels", "d"], InvalidInput, ["topology"]),
        (["scan1", "--export", "pyhf", "d"], InvalidInput, ["declares a likelihood"]),
        (["scan1", "--against", "nosuch"], NotFound, ["nosuch"]),
        (["scan1", "--rank", "best"], InvalidInput, ["theories"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(call, campaign, args: list[str], error: type, words: list[str]) -> None:
    campaign("scan1")
    call("compare", *args).refused(EXIT_CODE[error], *words)


def test_a_run_without_result_document(call, campaign, recast) -> None:
    from reana_lite.config import Settings
    from reana_lite.database import Database
    from reana_lite.event import RunState

    campaign("scan1")
    settings = Settings.from_environment()
    database = Database(settings.database)
    for run, states in (("plain", (RunState.RUNNING, RunState.FINISHED)), ("young", ())):
        database.create_run(run=run, name=run, owner=settings.user, analysis="a", theory="t")
        for state in states:
            database.set_run_state(run, state)
    database.close()
    call("compare", "plain").refused(EXIT_CODE[Conflict], "declares no result document")
    said = call("compare", "young")
    assert said.code == 0
    assert "1 missing" in said.out
