"""The preserved analysis atlas-susy-2018-22 as a whole: a theory in, a verdict out, what is reused for the next one.

The numbers it must reproduce are in its analysis.yml (`recast test atlas-susy-2018-22`); here small samples run
through the real chain, and the facts that were typed in are held against their sources where those are at hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reana_lite.backends.environment import build_environment
from reana_lite.config import Settings
from reana_lite.errors import Unavailable
from reana_lite.result import read_result

ANALYSIS = Path(__file__).parents[2] / "workflows" / "atlas-susy-2018-22"
SHARED = Path(os.environ.get("RECAST_SHARED", Path(__file__).parents[3] / "shared")) / "physics"
needs_sources = pytest.mark.skipif(not SHARED.is_dir(), reason="the sources of the facts are not here")


# -- facts -------------------------------------------------------------------------------------------------------------
def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def all_cuts() -> dict[str, dict[str, Any]]:
    facts = load(ANALYSIS / "code" / "select" / "regions.yml")
    regions = dict(facts["discovery"])
    for group in facts["multibin"]:
        regions |= {name: group["common"] | bin_ for name, bin_ in group["bins"].items()}
    return regions


def test_every_region_has_cuts_and_counts() -> None:
    counts = load(ANALYSIS / "code" / "likelihood" / "counts.yml")
    names = [*counts["discovery"], *(region for rows in counts["multibin"].values() for region in rows)]
    assert len(names) == 70
    assert set(names) == set(all_cuts())
    assert {name: len(rows) for name, rows in counts["multibin"].items()} == {"MB-SSd": 24, "MB-GGd": 18, "MB-C": 18}


def test_bins_of_a_likelihood_do_not_overlap() -> None:
    groups = load(ANALYSIS / "code" / "select" / "regions.yml")["multibin"]
    infinity = float("inf")
    for group in groups:
        bins = list(group["bins"].items())
        for at, (name, one) in enumerate(bins):
            for other_name, other in bins[:at]:
                apart = any(
                    max(a[0], b[0]) >= min(infinity if x is None else x for x in (a[1], b[1]))
                    for a, b in ((one["met_sqrtht"], other["met_sqrtht"]), (one["meff"], other["meff"]))
                )
                assert apart, f"{name} and {other_name}"


@needs_sources
def test_cuts_are_those_of_the_source() -> None:
    source = load(SHARED / "ATLAS-SUSY-2018-22" / "analysis.yaml")
    cuts = all_cuts()
    for name, region in (source["discovery_regions"] | source["multibin_regions"]).items():
        wanted, found = region["cuts"], cuts[name]
        assert found["n_jets"] == [wanted["n_jets_min"], wanted.get("n_jets_max")], name
        for key, ours in (
            ("pt_j1", "pt_j1"), ("pt_j_last", "pt_last"), ("n_last", "n_last"), ("abs_eta_max", "abs_eta"),
            ("dphi123", "dphi123"), ("dphi_rest", "dphi_rest"), ("aplanarity", "aplanarity"),
        ):  # fmt: skip
            assert found[ours] == wanted[key], (name, key)
        for key, ours in (("met_sqrtHT", "met_sqrtht"), ("meff", "meff")):
            window = wanted[key] if isinstance(wanted[key], list) else [wanted[key], None]
            assert found[ours] == window, (name, key)


@needs_sources
def test_counts_are_those_of_the_source() -> None:
    source = load(SHARED / "ATLAS-SUSY-2018-22" / "analysis.yaml")
    counts = load(ANALYSIS / "code" / "likelihood" / "counts.yml")
    for name, region in source["discovery_regions"].items():
        found = counts["discovery"][name]
        assert [found[k] for k in ("observed", "background", "error")] == [
            region[k] for k in ("observed", "background", "background_error")
        ], name
    for name, region in source["multibin_regions"].items():
        found = counts["multibin"]["-".join(name.split("-")[:2])][name]
        likelihood = region["likelihood"]
        assert found["observed"] == likelihood["observed"], name
        assert found["background"] == pytest.approx(likelihood["background_postfit"], rel=1e-6), name
        assert found["error"] == pytest.approx(likelihood["background_postfit_error"], rel=1e-5), name


@needs_sources
@pytest.mark.parametrize("name", ["gluino", "squark", "stopsbottom"])
def test_cross_sections_are_those_of_the_source(name: str) -> None:
    source = json.loads(next((SHARED / "xsec").glob(f"pp13_{name}_*.json")).read_text())["data"]
    for mass, (value, error) in load(ANALYSIS / "xsec" / f"{name}.yml")["sigma_pb"].items():
        row = source[str(mass)]
        assert (value, error) == pytest.approx((row["xsec_pb"], row["unc_pb"]), rel=1e-5), mass


# -- the chain ---------------------------------------------------------------------------------------------------------
class Recast:
    """`recast` with a home of its own that has the analysis's environment already."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, code: int = 0) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAST_")}
        ended = subprocess.run(
            [sys.executable, "-m", "reana_lite", *arguments], env=kept | {"RECAST_HOME": str(self.home)}, text=True,
            capture_output=True, timeout=600, check=False,
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout if code == 0 else ended.stderr

    def run(self, theory: str, *parameters: str) -> dict[str, Any]:
        chosen = [part for parameter in parameters for part in ("-p", parameter)]
        example = str(ANALYSIS / "examples" / theory)
        out: dict[str, Any] = json.loads(self("run", str(ANALYSIS), example, *chosen, "--json", "--backend", "local"))
        assert out["state"] == "finished"
        return out

    def result(self, run: str) -> dict[str, Any]:
        text = self("results", run, "--json")
        read_result(text.encode())
        document: dict[str, Any] = json.loads(text)
        return document


@pytest.fixture(scope="module")
def recast(tmp_path_factory: pytest.TempPathFactory) -> Recast:
    home = tmp_path_factory.mktemp("home")
    lock = (ANALYSIS / "environment" / "requirements.lock").read_text()
    try:
        environment = build_environment(lock, Settings.from_environment().home, lambda _: None)
    except Unavailable as reason:
        pytest.skip(reason.message)
    (home / "environments").symlink_to(environment.parent)
    return Recast(home)


@pytest.fixture(scope="module")
def first(recast: Recast) -> dict[str, Any]:
    return recast.run("gluino_2000_0.slha", "n_events=400")


@pytest.mark.slow
def test_a_theory_gives_a_verdict_with_everything_that_was_declared(recast: Recast, first: dict[str, Any]) -> None:
    document = recast.result(first["run"])
    assert document["verdict"] == "excluded"
    assert document["best"] == "MB-GGd"
    assert document["lumi_ifb"] == 139.0
    assert document["processes"][0]["xsec_pb"] == pytest.approx(1.01e-3)
    assert document["processes"][0]["n_events"] == 400
    assert document["validity"] == {"within": True, "reasons": []}
    assert len(document["regions"]) == 70
    assert len(document["limits"]) == 13
    region = next(row for row in document["regions"] if row["name"] == "SR4j-2200")
    assert region["efficiency"] == pytest.approx(0.172, abs=0.15 * 0.172 + 3 * region["efficiency_error"])
    assert region["signal"] == pytest.approx(region["efficiency"] * 1.01 * 139)
    assert document["provenance"]["seeds"] == {"gluino-gluino": [1]}
    best = next(row for row in document["limits"] if row["name"] == "MB-GGd")
    assert best["extra"]["pyhf_cls_observed"] == pytest.approx(best["cls_observed"], rel=0.02)
    flow = document["cutflow"]["gluino-gluino"]["SR4j-2200"]
    fractions = [step["efficiency"] for step in flow.values()]
    assert fractions == sorted(fractions, reverse=True)
    assert fractions[-1] == region["efficiency"]
    workspace = Path(first["workspace"])
    for name in ("regions", "limits", "cutflow"):
        assert (workspace / "plots" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "| meff_2200 |" in (workspace / "result" / "cutflow.md").read_text()
    likelihood = json.loads((workspace / "limits" / "MB-GGd.json").read_text())
    assert len(likelihood["channels"]) == 18


@pytest.mark.slow
def test_another_cross_section_needs_no_new_events(recast: Recast, first: dict[str, Any]) -> None:
    run = recast.run("gluino_2000_0.slha", "n_events=400", "xsec_pb=1.0e-4", "xsec_error_pb=1.0e-5")
    # Computed again: cross-section, limits, result, plots.
    assert run["nodes"]["total"] - run["nodes"]["reused"] == 4
    document = recast.result(run["run"])
    assert document["verdict"] == "not-excluded"
    assert document["processes"][0]["xsec_source"] == "parameter xsec_pb"
    before = recast.result(first["run"])
    assert [r["efficiency"] for r in document["regions"]] == pytest.approx([r["efficiency"] for r in before["regions"]])


@pytest.mark.slow
def test_a_renamed_theory_reuses_everything_and_another_one_the_background(
    recast: Recast, first: dict[str, Any], tmp_path: Path
) -> None:
    text = (ANALYSIS / "examples" / "gluino_2000_0.slha").read_text()
    (tmp_path / "renamed.slha").write_text("# my own\n" + text.replace("2.0E+03", "2000.0"))
    run = recast.run(str(tmp_path / "renamed.slha"), "n_events=400")
    assert run["nodes"]["reused"] == run["nodes"]["total"]
    other = recast.run("squark_1200_600.slha", "n_events=300")
    document = recast.result(other["run"])
    assert other["nodes"]["reused"] >= 1
    assert document["processes"][0]["name"] == "squark-antisquark"
    assert document["processes"][0]["xsec_pb"] == pytest.approx(13.68e-3)


@pytest.mark.slow
def test_more_events_keep_the_blocks_there_are(recast: Recast) -> None:
    recast.run("squark_1200_600.slha", "n_events=2500")
    more = recast.run("squark_1200_600.slha", "n_events=2600")
    # theory, crosssection, background; the first block generated and selected.
    assert more["nodes"]["reused"] == 5
    assert recast.result(more["run"])["processes"][0]["n_events"] == 2600
