"""The preserved analysis atlas-susy-2019-08: its own fits against pyhf, the published likelihood against its numbers,
and the whole of it: a point, a patch or a patchset in, a verdict out.

The environment of the analysis is built once (as the local backend builds it, and shared with it); without a package
index these tests are skipped, and without the published files those that need them. Numbers come from
atlas_susy_2019_08_numbers.py.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from reana_lite.backends.environment import build_environment
from reana_lite.catalogue import load_analysis
from reana_lite.config import Settings
from reana_lite.errors import Unavailable
from reana_lite.result import read_result
from reana_lite.theory import likelihood_digest, read_json, read_patchset

HERE = Path(__file__).parent
ANALYSIS = HERE.parents[1] / "workflows" / "atlas-susy-2019-08"
SHARED = Path(os.environ.get("RECAST_SHARED", HERE.parents[2] / "shared")) / "physics"
PUBLISHED = SHARED / "ATLAS-SUSY-2019-08"
needs_files = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published likelihood is not here")
slow = pytest.mark.slow
Numbers = Callable[..., Any]


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# -- facts -------------------------------------------------------------------------------------------------------------
@needs_files
def test_the_digests_are_those_of_the_published_files() -> None:
    data = load_analysis(ANALYSIS).data
    assert {key: download.member for key, download in data.items()} == {
        "likelihood": "BkgOnly.json",
        "patchset": "patchset.json",
    }
    for download in data.values():
        assert hashlib.sha256((PUBLISHED / download.name).read_bytes()).hexdigest() == download.sha256


@needs_files
def test_the_published_patchset_is_for_the_published_likelihood() -> None:
    likelihood = load(PUBLISHED / "BkgOnly.json")
    patchset = read_patchset(read_json((PUBLISHED / "patchset.json").read_bytes(), "patchset.json"), "patchset.json")
    patchset.verify(likelihood)
    assert len(patchset.patches) == 125
    own = load(ANALYSIS / "examples" / "own_patchset.json")
    assert own["metadata"]["digests"]["sha256"] == likelihood_digest(likelihood)


@needs_files
def test_cross_sections_are_those_of_the_source() -> None:
    source = load(SHARED / "xsec" / "pp13_winopm_C1N2_NLO+NLL.json")["data"]
    table = yaml.safe_load((ANALYSIS / "xsec" / "wino_c1n2.yml").read_text())["sigma_pb"]
    assert min(table) <= 150
    assert max(table) >= 1000
    for mass, (value, error) in table.items():
        assert (value, error) == (source[str(mass)]["xsec_pb"], source[str(mass)]["unc_pb"]), mass


@needs_files
def test_references_are_those_of_the_source() -> None:
    points = {row["name"]: row for row in load(PUBLISHED / "validation.json")["points"]}
    for test in load_analysis(ANALYSIS).tests:
        row = points[test.parameters["point"]]
        found = {one.path: one for one in test.expect}
        assert found["limits/1Lbb/cls_observed"].value == pytest.approx(row["cls_obs"], rel=1e-5)
        for at, value in enumerate(row["cls_exp_bands"]):
            assert found[f"limits/1Lbb/cls_expected/{at}"].value == pytest.approx(value, rel=1e-5)
        limit_pb = found["limits/1Lbb/xsec_limit_observed_pb"].value
        assert limit_pb == pytest.approx(row["published_ul_fb"] / 1000, rel=1e-6)


# -- fits --------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def environment() -> Path:
    lock = (ANALYSIS / "environment" / "requirements.lock").read_text()
    try:
        return build_environment(lock, Settings.from_environment().home, lambda _: None)
    except Unavailable as reason:
        pytest.skip(reason.message)


@pytest.fixture(scope="module")
def numbers(environment: Path) -> Numbers:
    @cache
    def compute(*arguments: str) -> Any:
        command = [str(environment / "bin" / "python"), "-W", "error", "-W", "ignore::DeprecationWarning"]
        ended = subprocess.run(
            [*command, str(HERE / "atlas_susy_2019_08_numbers.py"), *arguments], capture_output=True, text=True,
            check=False, timeout=600, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return compute


def assert_is_pyhfs(found: dict[str, Any]) -> None:
    ours, theirs = found["parameters"]
    assert ours == theirs
    assert found["rates"] < 1e-12
    assert found["offset_spread"] < 1e-6  # -ln L is some 10^4: the rest is rounding
    assert found["gradient"] < 1e-5
    assert found["hessian"] < 1e-5


@slow
def test_the_likelihood_is_pyhfs_for_every_kind_of_modifier(numbers: Numbers) -> None:
    assert_is_pyhfs(numbers("likelihood"))


@slow
@needs_files
def test_the_published_likelihood_is_pyhfs(numbers: Numbers) -> None:
    found = numbers("published_likelihood", str(PUBLISHED))
    assert_is_pyhfs(found)
    assert found["parameters"] == [126, 126]


@slow
def test_cls_is_pyhfs(numbers: Numbers) -> None:
    found = numbers("limits")
    assert found["one"]["cls"] == pytest.approx(found["pyhf"], rel=1e-4)


@slow
def test_limits_follow_the_strength_of_the_signal(numbers: Numbers) -> None:
    found = numbers("limits")
    for name in ("one", "tenth", "tiny", "huge", "deficit"):
        row = found[name]
        assert row["cls_at_limit"] == pytest.approx(0.05, rel=1e-3), name
        assert row["cls"][1:] == sorted(row["cls"][1:]), name
        assert row["mu_expected"] == sorted(row["mu_expected"]), name
        assert (row["mu"] < 1) == (row["cls"][0] < 0.05), name
    assert found["tiny"]["mu"] == pytest.approx(1000 * found["tenth"]["mu"], rel=0.03)
    assert found["huge"]["cls"][0] < 1e-50
    assert found["deficit"]["best"] == 0.0
    assert found["deficit"]["mu"] < found["deficit"]["mu_expected"][2]


@slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("kind", "channel SR, sample signal, shapefactor x: this kind of modifier is not known"),
        ("poi", "no sample has the normfactor mu"),
        ("factor", "normsys x: factors must be above 0"),
        ("bins", "sample signal has 3 bins; the channel has 2"),
        ("errors", "staterror x: 2 numbers are needed"),
        ("text", "not all of it are finite numbers"),
        ("names", "scale is used as a factor and as an interpolated parameter"),
        ("kinds", "normfactor lumi: the name is also that of a lumi"),
        ("twice", "sample signal is there twice"),
        ("modifiers", "the patched likelihood is not a workspace"),
        ("observed", "channel SR: no observation of 2 bins"),
        ("path", "the patch does not fit this likelihood"),
        ("test", "the patch does not fit this likelihood"),
        ("gone", "the patch changes which regions there are"),
        ("all", "nothing is left of the likelihood"),
    ],
)
def test_what_is_not_understood_is_refused(numbers: Numbers, name: str, sentence: str) -> None:
    assert sentence in numbers("refusals")[name]
    assert numbers("refusals")["nothing"] == ""


# -- the published likelihood ------------------------------------------------------------------------------------------
def at_massless_lsp(found: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {int(name.split("_")[3]): row for name, row in found["limits"].items() if name.endswith("_0")}


@slow
@needs_files
def test_every_point_of_the_validation_comes_out(numbers: Numbers) -> None:
    found = numbers("validation", str(PUBLISHED))
    source = load(PUBLISHED / "validation.json")
    assert found["digest"] == source["digest"]
    assert found["outside"] == []
    assert len(found["limits"]) == len(source["points"]) == 23
    for row in source["points"]:
        limit = found["limits"][row["name"]]
        theirs = [row["cls_obs"], *row["cls_exp_bands"]]
        for ours, other in zip([limit["cls_observed"], *limit["cls_expected"]], theirs, strict=True):
            assert abs(ours - other) <= max(0.02 * other, 5e-4), row["name"]
    # pyhf's fits of signals far too strong end in a higher minimum here and there; elsewhere four digits agree.
    same = [
        row["name"]
        for row in source["points"]
        if found["limits"][row["name"]]["cls_observed"] == pytest.approx(row["cls_obs"], rel=2e-4)
    ]
    assert len(same) >= 15


@slow
@needs_files
def test_the_two_benchmarks_come_out_within_two_per_cent(numbers: Numbers) -> None:
    limits = numbers("validation", str(PUBLISHED))["limits"]
    for name, observed, expected in (("700_0", 0.0228, 0.0023), ("700_400", 0.581, 0.280)):
        row = limits[f"C1N2_Wh_hbb_{name}"]
        assert row["cls_observed"] == pytest.approx(observed, rel=0.02)
        assert row["cls_expected"][2] == pytest.approx(expected, rel=0.02)


@slow
@needs_files
def test_upper_limits_and_verdicts_are_the_published_ones(numbers: Numbers) -> None:
    limits = numbers("validation", str(PUBLISHED))["limits"]
    table = yaml.safe_load((ANALYSIS / "xsec" / "wino_c1n2.yml").read_text())["sigma_pb"]
    judged = 0
    for row in load(PUBLISHED / "validation.json")["points"]:
        limit, xsec_fb = limits[row["name"]], 1000 * table[row["m1"]][0]
        assert limit["mu_limit_observed"] * xsec_fb == pytest.approx(row["published_ul_fb"], rel=0.05), row["name"]
        r = xsec_fb / row["published_ul_fb"]
        if not 0.95 < r < 1.05:
            judged += 1
            assert (limit["cls_observed"] < 0.05) == (r > 1), row["name"]
    assert judged == 23


@slow
@needs_files
def test_the_mass_limit_at_massless_lsp(numbers: Numbers) -> None:
    rows = at_massless_lsp(numbers("validation", str(PUBLISHED)))

    def crossing(values: dict[int, float]) -> float:
        """Where ln(CLs), linear in mass between points, first reaches ln(0.05)."""
        goal, masses = math.log(0.05), sorted(values)
        low, high = next((a, b) for a, b in pairwise(masses) if values[a] <= goal < values[b])
        return low + (high - low) * (goal - values[low]) / (values[high] - values[low])

    assert crossing({m: math.log(row["cls_observed"]) for m, row in rows.items()}) == pytest.approx(740, abs=5)
    assert crossing({m: math.log(row["cls_expected"][2]) for m, row in rows.items()}) == pytest.approx(840, abs=5)


@slow
@needs_files
def test_odd_patches_get_an_answer_that_says_so(numbers: Numbers) -> None:
    found = numbers("odd_patches", str(PUBLISHED))
    plain = found["plain"]["limit"]
    assert plain["status"] == "ok"
    assert found["plain"]["outside"] == []
    assert found["plain"]["warnings"] == [
        "the signal has no Monte Carlo error (staterror)",
        "the signal has no systematic error",
    ]
    assert found["data"]["outside"] == [
        "the patch changes more than it adds: background, data or measurement are not those that were published"
    ]
    for name in ("nothing", "control"):
        assert found[name]["limit"]["status"] == "no-signal"
        assert "no signal in any signal region: there is no limit" in found[name]["warnings"]
    assert found["negative"]["limit"]["status"] == "failed"
    assert "the signal is negative in SRHMEM_mct2[2]" in found["negative"]["warnings"]
    for name, factor in (("strong", 1e5), ("weak", 1e-5)):
        assert found[name]["limit"]["mu_limit_observed"] * factor == pytest.approx(plain["mu_limit_observed"], rel=1e-3)


# -- the whole ---------------------------------------------------------------------------------------------------------
class Recast:
    """`recast` with a home of its own that has the analysis's environment already, and the published files as mirror."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, code: int = 0, mirror: str = str(PUBLISHED)) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAST_")}
        ended = subprocess.run(
            [sys.executable, "-m", "reana_lite", *arguments], text=True, capture_output=True, timeout=600, check=False,
            env=kept | {"RECAST_HOME": str(self.home), "RECAST_DATA_MIRROR": mirror},
        )  # fmt: skip
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout if code == 0 else ended.stderr

    def run(self, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """(what `recast run` says, the result document)"""
        out: dict[str, Any] = json.loads(self("run", str(ANALYSIS), *arguments, "--json", "--backend", "local"))
        assert out["state"] == "finished"
        text = self("results", out["run"], "--json")
        read_result(text.encode())
        return out, json.loads(text)


@pytest.fixture(scope="module")
def recast(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Recast:
    home = tmp_path_factory.mktemp("home")
    (home / "environments").symlink_to(environment.parent)
    return Recast(home)


@slow
@needs_files
def test_a_published_point_gives_its_verdict(recast: Recast) -> None:
    run, document = recast.run("-p", "point=C1N2_Wh_hbb_700_0")
    limit = document["limits"][0]
    assert limit["cls_observed"] == pytest.approx(0.0228, rel=0.02)
    assert limit["cls_expected"][2] == pytest.approx(0.0023, rel=0.02)
    assert limit["kind"] == "full"
    assert limit["xsec_limit_observed_pb"] == pytest.approx(0.0079, rel=0.05)
    assert (document["best"], document["verdict"], document["verdict_xsec_down"]) == ("1Lbb", "excluded", "excluded")
    assert document["validity"] == {"within": True, "reasons": []}
    assert document["processes"][0]["xsec_pb"] == 0.0095103
    assert document["extra"]["masses"] == {"parent_gev": 700.0, "lsp_gev": 0.0}
    assert document["theory"]["parameters"] == {"m_c1n2": 700.0, "m_lsp": 0.0}
    regions = {row["name"]: row for row in document["regions"]}
    assert len(regions) == 9
    assert regions["SR-LM-low-mCT"]["observed"] == 16
    assert regions["SR-LM-low-mCT"]["background"] == pytest.approx(8.8, abs=0.1)
    assert regions["SR-HM-high-mCT"]["signal"] == pytest.approx(7.14, abs=0.01)
    assert len(load(Path(run["workspace"]) / "signal" / "patch.json")) == 8
    again, other = recast.run("-p", "point=C1N2_Wh_hbb_700_400")
    assert again["nodes"]["reused"] == 1  # the background
    assert other["verdict"] == "not-excluded"
    assert other["theory"]["parameters"] == {"m_c1n2": 700.0, "m_lsp": 400.0}
    same, _ = recast.run("-p", "point=C1N2_Wh_hbb_700_0")
    assert same["nodes"]["reused"] == same["nodes"]["total"]


@slow
@needs_files
def test_a_point_has_a_place_on_the_axes_of_comparisons(recast: Recast) -> None:
    """`-p point=` alone gives masses: runs beside scans stand in the same tables and planes."""
    places = {"C1N2_Wh_hbb_700_0": (700.0, 0.0), "C1N2_Wh_hbb_600_200": (600.0, 200.0)}
    runs = [recast.run("-p", f"point={point}")[0]["run"] for point in places]
    rows = list(csv.DictReader(recast("compare", *runs, "--format", "csv").splitlines()))
    assert [(float(row["m_c1n2 [GeV]"]), float(row["m_lsp [GeV]"])) for row in rows] == list(places.values())


@slow
@needs_files
def test_a_patch_of_ones_own_is_a_theory(recast: Recast) -> None:
    _, document = recast.run(
        str(ANALYSIS / "examples" / "own_patch.json"), "-p", "xsec_pb=0.01", "-p", "xsec_error_pb=0.002"
    )
    assert document["theory"]["name"] == "own_patch"
    assert document["processes"][0]["xsec_source"] == "parameter xsec_pb"
    limit = document["limits"][0]
    assert limit["xsec_limit_observed_pb"] == pytest.approx(0.01 * limit["mu_limit_observed"])
    assert document["verdict"] == document["verdict_xsec_up"] == "not-excluded"
    assert any("does not say which likelihood" in warning for warning in document["warnings"])


@slow
@needs_files
def test_a_patchset_of_ones_own_is_a_theory_and_point_chooses(recast: Recast) -> None:
    example = str(ANALYSIS / "examples" / "own_patchset.json")
    _, strong = recast.run(example, "-p", "point=strong")
    _, weak = recast.run(example, "-p", "point=weak")
    assert (strong["verdict"], weak["verdict"]) == ("excluded", "not-excluded")
    assert strong["processes"][0]["xsec_pb"] is None
    assert any("xsec_pb" in advice for advice in strong["advice"])
    assert strong["extra"]["values"] == {"strength": 4.0}
    # The fitted MC error does not scale: nearly 8 times, not exactly.
    assert weak["limits"][0]["mu_limit_observed"] == pytest.approx(
        8 * strong["limits"][0]["mu_limit_observed"], rel=0.05
    )


@slow
@needs_files
def test_what_cannot_be_is_refused_with_a_sentence(recast: Recast, tmp_path: Path) -> None:
    asked = ("run", str(ANALYSIS), "--backend", "local")
    assert "which point is meant was not said" in recast(*asked, code=1)
    said = recast(*asked, "-p", "point=C1N2_Wh_hbb_700_10", code=1)
    assert "there is no 'C1N2_Wh_hbb_700_10' among the 125" in said
    assert "C1N2_Wh_hbb_700_0" in said
    said = recast(*asked, "-p", "point=C1N2_Wh_hbb_700_0", "-p", "xsec_pb=0.01", code=1)
    assert "xsec_pb is for signals of your own" in said
    patchset = load(ANALYSIS / "examples" / "own_patchset.json")
    patchset["metadata"]["digests"]["sha256"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(patchset))
    said = recast(*asked, str(tmp_path / "other.json"), "-p", "point=weak", code=1)
    assert "the given patchset was made for a likelihood with digest 0000" in said
    own = str(ANALYSIS / "examples" / "own_patch.json")
    assert "only a patchset has points" in recast(*asked, own, "-p", "point=weak", code=1)


@slow
@needs_files
def test_a_damaged_likelihood_is_not_used(recast: Recast, tmp_path: Path) -> None:
    (tmp_path / "BkgOnly.json").write_bytes((PUBLISHED / "BkgOnly.json").read_bytes() + b" ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RECAST_")}
    ended = subprocess.run(
        [sys.executable, "-m", "reana_lite", "run", str(ANALYSIS), "-p", "point=C1N2_Wh_hbb_700_0"], text=True,
        capture_output=True, timeout=120, check=False,
        env=kept | {"RECAST_HOME": str(tmp_path / "home"), "RECAST_DATA_MIRROR": str(tmp_path),
                    "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert ended.returncode == 7, ended.stdout + ended.stderr
    assert "BkgOnly.json in the mirror has another sha256 than the analysis says" in ended.stderr
