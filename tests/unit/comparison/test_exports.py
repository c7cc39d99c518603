"""Exports: a patchset that gives the likelihood back, efficiency maps in SModelS's form."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "result"))

from result_samples import document

from reana_lite.comparison.exports import SignalLikelihood, pyhf_files, smodels_files, split_signal
from reana_lite.comparison.outcome import Status, outcome_of
from reana_lite.errors import InvalidInput
from reana_lite.export import declared_likelihoods
from reana_lite.result import result_of
from reana_lite.theory.patch import read_patchset


def likelihood(signal: float) -> dict[str, Any]:
    def channel(name: str) -> dict[str, Any]:
        mu = {"name": "mu", "type": "normfactor", "data": None}
        return {"name": name, "samples": [
            {"name": "signal", "data": [signal], "modifiers": [mu]},
            {"name": "background", "data": [50.0], "modifiers": [{"name": "k", "type": "normfactor", "data": None}]},
        ]}  # fmt: skip

    return {
        "version": "1.0.0", "channels": [channel("SR1"), channel("SR2")],
        "observations": [{"name": "SR1", "data": [52.0]}, {"name": "SR2", "data": [3.0]}],
        "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
    }  # fmt: skip


def apply(target: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    done = copy.deepcopy(target)
    for operation in patch:
        at, number = re.fullmatch(r"/channels/(\d+)/samples/(\d+)", operation["path"]).groups()
        assert operation["op"] == "add"
        done["channels"][int(at)]["samples"].insert(int(number), operation["value"])
    return done


def test_the_patch_gives_the_likelihood_back() -> None:
    whole = likelihood(4.0)
    rest, patch = split_signal(whole)
    assert [[s["name"] for s in c["samples"]] for c in rest["channels"]] == [["background"]] * 2
    again = apply(rest, patch)
    for mine, theirs in zip(again["channels"], whole["channels"], strict=True):
        assert sorted(s["name"] for s in mine["samples"]) == sorted(s["name"] for s in theirs["samples"])
    assert whole == likelihood(4.0)


def test_a_patchset_fits_its_background() -> None:
    signals = [SignalLikelihood("gluino 2000/0", (2000.0, 0.0), likelihood(4.0)),
               SignalLikelihood("gluino 2000-0", (2400.0, 0.0), likelihood(1.0))]  # fmt: skip
    files = pyhf_files(signals, ["m_gluino", "m_lsp"], description="two", hepdata="ins1827025")
    patchset = read_patchset(json.loads(files["patchset.json"]), "patchset.json")
    patchset.verify(json.loads(files["BkgOnly.json"]))
    assert list(patchset.patches) == ["gluino_2000_0", "gluino_2000_0_2"]
    assert patchset.labels == ("m_gluino", "m_lsp")
    assert json.loads(files["patchset.json"])["metadata"]["references"] == {"hepdata": "ins1827025"}


def test_what_makes_no_patchset() -> None:
    other = likelihood(1.0)
    other["channels"][0]["samples"][1]["data"] = [51.0]
    with pytest.raises(InvalidInput, match="backgrounds of a and b are not the same"):
        pyhf_files(
            [SignalLikelihood("a", (1.0,), likelihood(1.0)), SignalLikelihood("b", (2.0,), other)],
            ["x"],
            description="",
        )
    with pytest.raises(InvalidInput, match="same x"):
        pyhf_files([SignalLikelihood(n, (1.0,), likelihood(1.0)) for n in "ab"], ["x"], description="")
    with pytest.raises(InvalidInput, match="no run has a likelihood"):
        pyhf_files([], ["x"], description="")
    background = likelihood(1.0)
    background["measurements"][0]["config"]["poi"] = "other"
    with pytest.raises(InvalidInput, match="parameter of interest 'other'"):
        split_signal(background)


def result(**changes: Any) -> Any:
    return result_of(document() | changes)


def test_efficiency_maps_of_smodels() -> None:
    outside = result(validity={"within": False, "reasons": ["compressed"]})
    files, notes = smodels_files(
        [(result(), (2000.0, 0.0)), (result(), (1800.0, 100.0)), (outside, (1.0, 0.5))], "T1", sqrts_tev=13.0
    )
    assert "id: ATLAS-SUSY-2018-22\nsqrts: 13*TeV\nlumi: 139/fb\n" in files["globalInfo.txt"]
    assert files["SR4j_2200/dataInfo.txt"].splitlines() == [
        "dataType: efficiencyMap", "dataId: SR4j_2200", "observedN: 60", "expectedBG: 60", "bgError: 5"]  # fmt: skip
    text = files["SR4j_2200/T1.txt"]
    assert text.startswith("txName: T1\nconstraint: [[['jet','jet']],[['jet','jet']]]\n")
    # SModels 3 evaluates the axes as nested lists of x and y, and skips maps of which it is said that validation failed
    assert "\nvalidated: TBD\naxes: [[x, y], [x, y]]\n" in text
    written = text.split("efficiencyMap: ")[1].replace("*GeV", "")
    assert json.loads(written) == [[[[1800, 100]] * 2, 0.172], [[[2000, 0]] * 2, 0.172]]
    assert json.loads(files["SR6j_3400/T1.txt"].split("efficiencyMap: ")[1].replace("*GeV", ""))[0][1] == 0
    assert notes[0] == "1 theories outside validity are left out"
    assert notes[1].startswith("all are regions without an upper limit on their events")


def test_limits_on_events_are_the_analysis_s_own() -> None:
    made = document()
    made["extra"] = {"s95": {"SR4j-2200": {"observed": 20.85, "expected": [10, 12, 13.9, 20, 30]}}}
    files, _ = smodels_files([(result_of(made), (2000.0, 0.0))], "TX=[[['W']],[['W']]]", sqrts_tev=13.0)
    assert "upperLimit: 0.15*fb\nexpectedUpperLimit: 0.1*fb\n" in files["SR4j_2200/dataInfo.txt"]
    assert "constraint: [[['W']],[['W']]]" in files["SR4j_2200/TX.txt"]


def with_limits(scale: float = 1.0) -> Any:
    """A result whose regions have limits on their events, but for one."""
    made = document()
    for region in made["regions"]:
        region["efficiency"] *= scale
    names = ("SR2j-1600", "SR4j-2200", "SR4j-3400")
    made["extra"] = {"s95": {name: {"observed": 20.0, "expected": [10, 12, 14, 20, 30]} for name in names}}
    return result_of(made)


def test_regions_without_a_limit_on_events_are_left_out_where_others_have_one() -> None:
    files, notes = smodels_files([(with_limits(), (2000.0, 0.0))], "T1", sqrts_tev=13.0)
    assert {name.partition("/")[0] for name in files} == {"globalInfo.txt", "SR2j_1600", "SR4j_2200", "SR4j_3400"}
    assert notes == ["1 regions without an upper limit on their events are left out, because SModelS needs one of each"]


READ = """
import sys
from smodels.experiment.databaseObj import Database
(result,) = Database(sys.argv[1], force_load="txt").getExpResults()
print(result.globalInfo.id, *(f"{d.dataInfo.dataId}={d.txnameList[0].txnameData.getValueFor([1900.0, 0.0] * 2):.4f}"
                              for d in result.datasets))
"""


def test_smodels_reads_the_maps(tmp_path: Path) -> None:
    """By SModelS itself: RECAST_TEST_SMODELS names a Python that has it (pip install smodels)."""
    python = os.environ.get("RECAST_TEST_SMODELS", "")
    if not python:
        pytest.skip("RECAST_TEST_SMODELS names no Python with smodels")
    points = [(with_limits(m / 2000), (m, light)) for m in (1800.0, 2000.0) for light in (0.0, 400.0)]
    files, _ = smodels_files(points, "T1", sqrts_tev=13.0)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "version").write_text("test1\n")
    for name, text in files.items():
        path = tmp_path / "db" / "13TeV" / "ATLAS" / "ATLAS-SUSY-2018-22-eff" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    said = subprocess.run(
        [python, "-c", READ, str(tmp_path / "db")], capture_output=True, text=True, check=True, timeout=300
    )
    assert said.stdout.split() == ["ATLAS-SUSY-2018-22", "SR2j_1600=0.0760", "SR4j_2200=0.1634", "SR4j_3400=0.1235"]


def test_what_makes_no_map() -> None:
    with pytest.raises(InvalidInput, match="unknown topology 'T9'; known: T1"):
        smodels_files([(result(), (1.0, 0.0))], "T9", sqrts_tev=13.0)
    with pytest.raises(InvalidInput, match="one analysis, not of 2"):
        smodels_files([(result(), (1.0, 0.0)), (result(analysis="b"), (2.0, 0.0))], "T1", sqrts_tev=13.0)
    outside = result(validity={"within": False, "reasons": ["compressed"]})
    with pytest.raises(InvalidInput, match="within validity"):
        smodels_files([(outside, (1.0, 0.0))], "T1", sqrts_tev=13.0)


def test_outcomes_of_results() -> None:
    found = outcome_of(result(), values={"m_gluino": 2001.0})
    assert (found.status, found.likelihood, found.observed) == (Status.OK, "MB-GGd", 0.38)
    assert found.parameters["m_gluino"] == 2001.0
    assert found.relative_xsec_error == pytest.approx(1.3e-4 / 1.01e-3)
    assert found.efficiencies["SR4j-2200"].value == 0.172
    nothing = outcome_of(result(best=None, verdict="undetermined", limits=[]))
    assert (nothing.status, nothing.observed, nothing.likelihood) == (Status.FAILED, None, "")
    no_signal = document()["limits"][2:]
    empty = outcome_of(result(best="SR6j-3400", verdict="undetermined", limits=no_signal))
    assert empty.status is Status.NO_SIGNAL


def test_a_likelihood_of_every_node_of_a_stage_has_a_number() -> None:
    declared = {
        "one": {"kind": "likelihood", "value": "fit/bkg.json"},
        "many": {"kind": "likelihood", "value": ["fit_0/a.json", None, "fit_1/b.json"]},
        "table": {"kind": "table", "value": "t.csv"},
    }
    assert declared_likelihoods(declared) == [
        ("one", "fit/bkg.json"), ("many-1", "fit_0/a.json"), ("many-2", "fit_1/b.json"),
    ]  # fmt: skip
