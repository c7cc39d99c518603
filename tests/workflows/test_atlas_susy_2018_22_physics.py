"""Selection, weights, generation and likelihoods of atlas-susy-2018-22, in the analysis's own environment.

The environment is built once (as the local backend builds it, and shared with it); without a package index the tests
are skipped. Numbers come from atlas_susy_2018_22_numbers.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reana_lite.backends.environment import build_environment
from reana_lite.config import Settings
from reana_lite.errors import Unavailable

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
ANALYSIS = HERE.parents[1] / "workflows" / "atlas-susy-2018-22"
Numbers = Callable[[str], Any]


@pytest.fixture(scope="module")
def python() -> Path:
    lock = (ANALYSIS / "environment" / "requirements.lock").read_text()
    try:
        return build_environment(lock, Settings.from_environment().home, lambda _: None) / "bin" / "python"
    except Unavailable as reason:
        pytest.skip(reason.message)


def run(python: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), "-W", "error", "-W", "ignore::DeprecationWarning", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)


@pytest.fixture(scope="module")
def numbers(python: Path) -> Numbers:
    @cache
    def compute(part: str) -> Any:
        ended = run(python, HERE / "atlas_susy_2018_22_numbers.py", part)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return compute


# -- likelihoods -------------------------------------------------------------------------------------------------------
def test_a_single_bin_gives_the_known_limits_at_both_confidence_levels(numbers: Numbers) -> None:
    found = numbers("single_bins")
    assert found["five"]["mu"] == pytest.approx(4.0968, rel=1e-4)
    assert found["five_90"]["mu"] == pytest.approx(3.441, rel=1e-3)
    assert found["five_90"]["mu_expected"] == pytest.approx([1.678, 2.305, 3.315, 4.827, 6.770], rel=1e-3)


def test_a_weaker_signal_only_scales_the_limit(numbers: Numbers) -> None:
    found = numbers("single_bins")
    assert found["weak"]["mu"] == pytest.approx(50 * found["five"]["mu"], rel=1e-4)
    assert found["nothing"]["cls"] == pytest.approx(1.0, abs=1e-3)
    assert found["nothing"]["mu"] > 1000


def test_a_signal_far_too_large_gives_numbers_still(numbers: Numbers) -> None:
    found = numbers("single_bins")["strong"]
    assert 0 <= found["cls"] < 1e-50
    assert found["mu"] == pytest.approx(18.9 / 5000, rel=0.01)
    assert found["mu_expected"] == sorted(found["mu_expected"])


@pytest.mark.parametrize("name", ["MB-SSd", "MB-GGd", "MB-C", "SR2j-2800", "SR4j-2200"])
def test_likelihoods_are_those_of_pyhf(numbers: Numbers, name: str) -> None:
    found = numbers("against_pyhf")[name]
    observed, expected = found["pyhf"]
    assert found["cls"] == pytest.approx(observed, rel=2e-3)
    assert found["cls_expected"] == pytest.approx(expected, rel=5e-3)
    assert found["pyhf_at_limit"] == pytest.approx(0.05, rel=5e-3)
    assert (found["cls"] < 0.05) == (found["mu"] < 1)
    assert found["cls_expected"] == sorted(found["cls_expected"])


def test_the_error_of_the_limit_from_monte_carlo_is_what_varied_signals_show(numbers: Numbers) -> None:
    found = numbers("monte_carlo")
    # 60 variations know their spread to 9 %.
    assert found["estimated"] == pytest.approx(found["varied"], rel=0.25)


@pytest.mark.parametrize(
    ("region", "observed", "expected"),
    [
        ("SR2j-1600", 203, 248), ("SR2j-2200", 108, 115), ("SR2j-2800", 18, 24), ("SR4j-1000", 75, 75),
        ("SR4j-2200", 20, 20), ("SR4j-3400", 5.1, 6.4), ("SR6j-3400", 3.1, 3.0),
    ],
)  # fmt: skip
def test_s95_of_the_discovery_regions_is_the_published_one(
    numbers: Numbers, region: str, observed: float, expected: float
) -> None:
    found = numbers("s95")["s95"][region]
    assert found["observed"] == pytest.approx(observed, rel=0.08)
    assert found["expected"][2] == pytest.approx(expected, rel=0.08)


def test_small_backgrounds_get_their_limits_from_pseudo_experiments(numbers: Numbers) -> None:
    methods = {name: found["method"] for name, found in numbers("s95")["s95"].items()}
    assert [name for name, method in methods.items() if method == "toys"] == ["SR4j-3400", "SR6j-2200", "SR6j-3400"]
    # Nothing observed and no error on the signal: CLs = exp(-s), whatever the background.
    assert numbers("s95")["s95"]["SR6j-3400"]["observed"] == pytest.approx(2.996, rel=0.02)
    found = numbers("toys")
    assert found["same"]
    assert found["tiny_mu"] == pytest.approx(1.0, abs=1e-3)
    assert 0 < found["huge_mu"] < 1e-3
    assert (found["limit"]["cls"] < 0.05) == (found["limit"]["mu"] < 1)


def test_background_only_fits_are_close_to_what_was_fitted_before(numbers: Numbers) -> None:
    for fit in numbers("s95")["fits"].values():
        assert abs(fit["eta"]) < 1
        assert 0 < fit["eta_error"] < 1
        assert all(abs(pull) < 3.5 for pull in fit["pull"].values())


def test_the_verdict_is_open_where_two_errors_reach_across_one(numbers: Numbers) -> None:
    assert numbers("verdicts")["decide"] == ["excluded", "not-excluded", "undetermined", "undetermined"]


def test_no_event_passing_is_said_and_bounds_the_efficiency(numbers: Numbers) -> None:
    found = numbers("verdicts")["none"]
    assert {row["status"] for row in found["limits"]} == {"no-signal"}
    assert found["best"] is None
    assert found["verdict"] == "not-excluded"
    assert found["advice"]
    assert all(row["efficiency_upper"] == pytest.approx(3e-4) and row["n_passed"] == 0 for row in found["regions"])
    # 3/N of ten picobarn is more than any region allows: nothing can be said.
    assert numbers("verdicts")["none_but_huge"]["verdict"] == "undetermined"


@pytest.mark.parametrize("name", ["one", "many", "too_many", "few"])
def test_limits_agree_with_cls_and_with_the_verdict(numbers: Numbers, name: str) -> None:
    found = numbers("verdicts")[name]
    best = next(row for row in found["limits"] if row["name"] == found["best"])
    candidates = [row for row in found["limits"] if row["kind"] == "multi-bin" and row["status"] == "ok"]
    assert best["mu_limit_expected"][2] == min(row["mu_limit_expected"][2] for row in candidates)
    for row in found["limits"]:
        if row["status"] != "ok":
            continue
        assert (row["cls_observed"] < 0.05) == (row["mu_limit_observed"] < 1)
        assert row["mu_limit_expected"] == sorted(row["mu_limit_expected"])
        assert row["xsec_limit_observed_pb"] == pytest.approx(row["mu_limit_observed"] * row["xsec_pb"])
    wanted = {"one": "not-excluded", "many": "excluded", "too_many": "excluded", "few": "not-excluded"}
    assert found["verdict"] == wanted[name]


def test_too_few_events_for_pseudo_experiments_are_named(numbers: Numbers) -> None:
    found = numbers("verdicts")["many"]
    assert any("SR6j-2200: 5 generated events pass, too few" in warning for warning in found["warnings"])
    methods = {row["name"]: row["method"] for row in found["limits"]}
    assert (methods["SR6j-2200"], methods["SR6j-3400"]) == ("asymptotic", "toys")


# -- selection ---------------------------------------------------------------------------------------------------------
def test_hand_made_events_fall_into_the_right_regions(numbers: Numbers) -> None:
    events = numbers("selection")["events"]
    both = ["SR2j-1600", "SR2j-2200", "MB-SSd-2-2200-22", "MB-C-2-2200-22"]
    same = ("two_jets", "soft_forward_third", "electron_in_jet", "muon_in_jet", "soft_muon_alone", "forward_muon_alone")
    for name in same:
        assert events[name]["regions"] == both, name
    # |eta| counts for the leading two jets of SR2j-1600, not for those of SR2j-2200.
    assert events["forward_second"]["regions"] == ["SR2j-2200", "MB-C-2-2200-22"]
    assert events["third_along_met"] == {"regions": [], "preselected": True}
    for name in ("electron_is_jet", "muon_alone", "low_met", "no_jets"):
        assert events[name] == {"regions": [], "preselected": False}, name


def test_aplanarity_runs_from_a_plane_to_a_sphere(numbers: Numbers) -> None:
    found = numbers("selection")
    assert found["planar"] == pytest.approx(0.0, abs=1e-12)
    assert found["round"] == pytest.approx(0.5, abs=1e-3)


def test_efficiencies_do_not_depend_on_the_scale_of_weights(numbers: Numbers) -> None:
    found = numbers("weights")
    assert found["scaled"] == pytest.approx(found["unit"])
    assert found["unit"]["efficiency_error"] == pytest.approx((0.25 * 0.75 / 1000) ** 0.5)
    assert found["signed"]["efficiency"] == pytest.approx(0.25)
    assert found["signed"]["efficiency_error"] > 1.5 * found["unit"]["efficiency_error"]
    assert found["none"]["efficiency_upper"] == pytest.approx(3 / 1000)


# -- generation --------------------------------------------------------------------------------------------------------
def generate(python: Path, sample: Path, process: str, block: int, events: int, output: Path) -> bytes:
    ended = run(
        python, ANALYSIS / "code" / "generate" / "generate.py", sample, "--process", process, "--block", block,
        "--events", events, "--output", output,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return output.read_bytes()


def make_sample(folder: Path, theory: Path, file_format: str = "slha") -> Path:
    subprocess.run(
        [sys.executable, str(ANALYSIS / "code" / "theory" / "check_theory.py"), str(theory), "--format", file_format,
         "--sample", str(folder / "sample")], check=True, timeout=60,
    )  # fmt: skip
    return folder / "sample"


def test_a_block_is_the_same_whenever_it_is_generated_and_unlike_the_next(python: Path, tmp_path: Path) -> None:
    sample = make_sample(tmp_path, ANALYSIS / "examples" / "squark_1200_600.slha")
    first = generate(python, sample, "squark-antisquark", 0, 40, tmp_path / "a.npz")
    assert generate(python, sample, "squark-antisquark", 0, 40, tmp_path / "b.npz") == first
    assert generate(python, sample, "squark-antisquark", 1, 40, tmp_path / "c.npz") != first


def test_weights_of_an_event_file_stay_with_their_events(python: Path, tmp_path: Path) -> None:
    import numpy as np

    rows = "21 -1 0 0 501 502 0. 0. 1500. 1500. 0. 0. 9.\n21 -1 0 0 502 501 0. 0. -1500. 1500. 0. 0. 9.\n"
    momentum = (1500.0**2 - 1000.0**2) ** 0.5
    for sign, colours in ((1, "503 504"), (-1, "504 503")):
        rows += f"1000021 1 1 2 {colours} {sign * momentum:.8f} 0. 0. 1500. 1000. 0. 9.\n"
    weights = [float(i + 1) * (-1) ** i for i in range(21)]
    events = "".join(f"<event>\n 4 1 {w} 1000. 0.0078 0.1\n{rows}</event>\n" for w in weights)
    spectrum = (ANALYSIS / "examples" / "gluino_2000_0.slha").read_text().replace("2.0E+03", "1.0E+03")
    theory = tmp_path / "events.lhe"
    theory.write_text(
        f"<LesHouchesEvents>\n<header>\n<slha>\n{spectrum}</slha>\n</header>\n<init>\n2212 2212 6500 6500 0 0 0 0 -4 1\n"
        f"0.3 0.01 1.0 1\n</init>\n{events}</LesHouchesEvents>\n"
    )
    sample = make_sample(tmp_path, theory, "lhe")
    generate(python, sample, "lhe", 0, 21, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as block:
        found = block["weight"] / abs(block["weight"][0])
        assert found.tolist() == pytest.approx(weights)
        assert block["jet_n"].min() > 0


def test_a_generator_that_fails_too_often_fails_the_step(python: Path, tmp_path: Path) -> None:
    sample = make_sample(tmp_path, ANALYSIS / "examples" / "gluino_2000_0.slha")
    (sample / "generator.slha").write_text("BLOCK MASS\n 1000021 2000\n 1000022 3000\n")
    ended = run(
        python, ANALYSIS / "code" / "generate" / "generate.py", sample, "--process", "gluino-gluino", "--block", 0,
        "--events", 20, "--output", tmp_path / "a.npz",
    )  # fmt: skip
    assert ended.returncode != 0
    assert not (tmp_path / "a.npz").exists()
