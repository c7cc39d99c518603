"""Numbers of the steps of atlas-susy-2018-22, computed in the analysis's own environment; prints one JSON document.

Run by test_atlas_susy_2018_22_physics.py with the Python of that environment: `numbers.py PART`. Nothing is judged
here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

CODE = Path(__file__).parents[2] / "workflows" / "atlas-susy-2018-22" / "code"
for name in ("likelihood", "select"):
    sys.path.insert(0, str(CODE / name))


def limit_of(limit: Any) -> dict[str, Any]:
    return {
        "cls": limit.cls_observed, "cls_expected": list(limit.cls_expected), "mu": limit.mu_observed,
        "mu_expected": list(limit.mu_expected),
    }  # fmt: skip


# -- likelihoods -------------------------------------------------------------------------------------------------------
def single_bins() -> dict[str, Any]:
    """Limits of single bins whose right values are known."""
    from asymptotics import Asymptotics
    from likelihoods import NO_ERROR_TAU
    from model import Model

    def one(n: float, b: float, d: float, s: float, alpha: float = 0.05) -> dict[str, Any]:
        model = Model(np.array([s]), np.array([b]), np.array([d]), np.array([NO_ERROR_TAU]), 0.0)
        return limit_of(Asymptotics(model, np.array([n])).limit(alpha))

    return {
        "five": one(51, 50, 7, 5),
        "five_90": one(51, 50, 7, 5, 0.1),
        "weak": one(51, 50, 7, 0.1),
        "nothing": one(28, 28, 5, 0.005),
        "strong": one(60, 60, 5, 5000),
    }


def signals(counts: Any, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """A made-up signal with MC errors of 3 to 40 %."""
    rng = np.random.default_rng(7)
    signal = scale * rng.exponential(1.0, len(counts.regions))
    return signal, signal * rng.uniform(0.03, 0.4, len(counts.regions))


def against_pyhf() -> dict[str, Any]:
    """CLs of the likelihoods of this search, here and with pyhf: at mu = 1 and at the observed limit."""
    from asymptotics import Asymptotics
    from likelihoods import model_of, pyhf_cls, read_counts, workspace

    _, multi, single = read_counts(CODE / "likelihood" / "counts.yml")
    answer = {}
    for counts in (*multi, single[2], single[4]):
        signal, error = signals(counts, 2.0 if len(counts.regions) > 1 else 15.0)
        model = model_of(counts, signal, error, 0.1)
        limit = Asymptotics(model, counts.observed).limit()
        start = {"mu": 0.5, "totalError": 0.0, "signal": 0.0}
        at_limit = model_of(counts, signal * limit.mu_observed, error * limit.mu_observed, 0.1)
        answer[counts.name] = limit_of(limit) | {
            "pyhf": pyhf_cls(workspace(counts, model), start),
            "pyhf_at_limit": pyhf_cls(workspace(counts, at_limit), start)[0],
        }
    return answer


def monte_carlo() -> dict[str, Any]:
    """The error of the limit from MC statistics, as estimated and from varied signals."""
    from asymptotics import Asymptotics
    from likelihoods import model_of, read_counts
    from model import Model
    from verdict import monte_carlo_error

    _, multi, _ = read_counts(CODE / "likelihood" / "counts.yml")
    counts = multi[1]
    signal, _ = signals(counts, 2.0)
    error = 0.15 * signal
    model = model_of(counts, signal, error, 0.1)
    fits = Asymptotics(model, counts.observed)
    mu = fits.limit().mu_observed
    rng = np.random.default_rng(11)
    varied = []
    for _ in range(60):
        other = Model(signal + error * rng.standard_normal(len(signal)), model.background, model.error, model.tau, 0.1)
        varied.append(Asymptotics(other, counts.observed).observed_limit(mu))
    return {"estimated": monte_carlo_error(fits, mu, error), "varied": float(np.std(np.log(varied)))}


def s95() -> dict[str, Any]:
    """S95 of all discovery regions, as the step `background` computes them."""
    from background import fit_background
    from background import s95 as region_s95
    from likelihoods import read_counts

    _, multi, single = read_counts(CODE / "likelihood" / "counts.yml")
    return {
        "s95": {counts.name: region_s95(counts) for counts in single},
        "fits": {counts.name: fit_background(counts) for counts in multi},
    }


def toys() -> dict[str, Any]:
    """Pseudo-experiments with nothing observed; CLs for a signal that goes to zero."""
    from asymptotics import Asymptotics
    from model import Model
    from toys import Toys

    model = Model(np.array([3.0]), np.array([0.8]), np.array([0.4]), np.array([1000.0]), 0.1)
    drawn = Toys(model, 0.0, n_toys=4000)
    again = Toys(model, 0.0, n_toys=4000)
    return {
        "limit": limit_of(drawn.limit(Asymptotics(model, np.array([0.0])).limit())),
        "tiny_mu": float(np.exp(drawn.log_cls(1e-4)[0])),
        "huge_mu": float(np.exp(drawn.log_cls(1e3)[0])),
        "same": bool((drawn.log_cls(0.7) == again.log_cls(0.7)).all()),
    }


def yields(n_passed: dict[str, int], n: int = 10_000) -> dict[str, Any]:
    """A merged sample in which these numbers of events pass and none elsewhere."""
    import yaml
    from merge_yields import efficiency
    from select_events import all_regions

    facts = yaml.safe_load((CODE / "select" / "regions.yml").read_text())
    rows = {name: efficiency([float(n_passed.get(name, 0))] * 3, [float(n)] * 3) for name in all_regions(facts)}
    return {"gluino-gluino": {"regions": rows, "n_events": n}}


def verdicts() -> dict[str, Any]:
    """Rows and verdicts for samples from nothing to far too much."""
    import limits
    from likelihoods import read_counts
    from verdict import decide

    _, multi, single = read_counts(CODE / "likelihood" / "counts.yml")
    background = {"s95": {counts.name: {"observed": 20.0} for counts in single}}
    answer: dict[str, Any] = {
        "decide": [decide(0.01, 2.0, 0.05), decide(0.2, 0.5, 0.05), decide(0.04, 1.03, 0.05), decide(0.06, 0.97, 0.05)]
    }
    cases = {
        "none": ({}, 1e-3), "none_but_huge": ({}, 10.0), "one": ({"MB-GGd-4-4000-22": 1}, 1e-3),
        "many": ({"MB-GGd-4-3400-22": 900, "SR6j-3400": 400, "SR6j-2200": 5}, 1e-3),
        "too_many": ({"MB-GGd-4-3400-22": 9000, "SR6j-3400": 9000}, 1e3),
        "few": ({"MB-GGd-4-3400-22": 900, "SR6j-3400": 400}, 1e-9),
    }  # fmt: skip
    for name, (passed, xsec) in cases.items():
        processes = {"gluino-gluino": {"xsec_pb": xsec, "xsec_error_pb": 0.2 * xsec}}
        signal = limits.Signal(yields(passed), {"gluino-gluino": xsec}, 139.0)
        found = limits.Limits(signal, 0.1)
        rows = [found.row(counts) for counts in (*multi, *single)]
        answer[name] = limits.judge(rows, found, processes, multi, background, 10_000) | {
            "limits": rows, "warnings": found.warnings, "regions": limits.regions(signal, single, 0.1),
        }  # fmt: skip
    return answer


# -- selection ---------------------------------------------------------------------------------------------------------
def block(events: list[dict[str, Any]], weights: list[float] | None = None) -> dict[str, Any]:
    """Events from lists of jets, electrons and muons (pt, eta, phi) and the missing momentum (x, y)."""
    arrays: dict[str, Any] = {
        "met_x": np.array([e["met"][0] for e in events], dtype=float),
        "met_y": np.array([e["met"][1] for e in events], dtype=float),
        "weight": np.array(weights or [1.0] * len(events)),
    }
    for kind in ("jet", "electron", "muon"):
        objects = [e.get(kind, []) for e in events]
        arrays[f"{kind}_n"] = np.array([len(o) for o in objects])
        flat = np.array([o for row in objects for o in row], dtype=float).reshape(-1, 3)
        for i, quantity in enumerate(("pt", "eta", "phi")):
            arrays[f"{kind}_{quantity}"] = flat[:, i]
    return arrays


def selection() -> dict[str, Any]:
    """Which regions hand-made events fall into, with a perfect detector."""
    import select_events as s
    import yaml

    facts = yaml.safe_load((CODE / "select" / "regions.yml").read_text())
    facts["response"]["jet"] |= {"pt_min": 1e9}
    facts["response"] |= {"met_sigma": 0.0, "cleaning_efficiency": 1.0}
    pi = np.pi
    back = [(900.0, 0.1, pi - 0.9), (800.0, -0.2, -pi + 0.9)]
    base = {"jet": back, "met": (1000.0, 0.0)}
    events = {
        "two_jets": base,
        "soft_forward_third": base | {"jet": [*back, (60.0, 2.6, 2.0)]},
        "forward_second": base | {"jet": [back[0], (800.0, 2.5, -pi + 0.9)]},
        "third_along_met": base | {"jet": [*back, (300.0, 0.0, 0.3)]},
        "electron_in_jet": base | {"electron": [(100.0, 0.1, pi - 0.9)]},
        "electron_is_jet": base | {"jet": [*back, (100.0, 1.5, 1.6)], "electron": [(99.0, 1.5, 1.6)]},
        "muon_in_jet": base | {"muon": [(50.0, 0.1, pi - 0.8)]},
        "muon_alone": base | {"muon": [(50.0, 1.5, 1.6)]},
        "soft_muon_alone": base | {"muon": [(5.5, 1.5, 1.6)]},
        "forward_muon_alone": base | {"muon": [(50.0, 2.75, 1.6)]},
        "low_met": base | {"met": (250.0, 0.0)},
        "no_jets": {"met": (1000.0, 0.0)},
    }
    reconstructed = s.reconstruct(block(list(events.values())), facts, process="gluino-gluino", index=0)
    answer = {}
    for i, name in enumerate(events):
        weight = np.zeros(len(events))
        weight[i] = 1.0
        found = s.select(reconstructed, facts, weight)
        answer[name] = {
            "regions": [region for region, counts in found["regions"].items() if counts[1] > 0],
            "preselected": found["cutflow"]["common"][1][2] > 0,
        }
    planar = s.aplanarity(np.array([[100.0, 80.0, 60.0]]), np.zeros((1, 3)), np.array([[0.0, 2.0, 4.0]]))
    round_ = s.aplanarity(
        np.array([[1.0, 1.0, 1e-3]]), np.array([[0.0, 0.0, np.arcsinh(1e3)]]), np.array([[0, pi / 2, 0]])
    )
    return {"events": answer, "planar": float(planar[0]), "round": float(round_[0])}


def weights() -> dict[str, Any]:
    """Efficiencies of the same events with other weights."""
    from merge_yields import merge

    def one(w: np.ndarray, passed: np.ndarray) -> dict[str, Any]:
        def count(mask: np.ndarray) -> list[float]:
            return [int(mask.sum()), float(w[mask].sum()), float((w[mask] ** 2).sum())]

        everything = np.ones(len(w), dtype=bool)
        row = {
            "process": "lhe", "index": 0, "seed": 1, "version": "x", "n_events": len(w), "sigma_lo_pb": 1.0,
            "sigma_lo_error_pb": 0.1, "regions": {"R": count(passed)},
            "cutflow": {"common": [["total", *count(everything)]]},
        }  # fmt: skip
        return merge([row])["regions"]["R"]

    passed = np.arange(1000) % 4 == 0
    signs = np.where(np.arange(1000) // 4 % 5 == 0, -1.0, 1.0)
    return {
        "unit": one(np.ones(1000), passed),
        "scaled": one(np.full(1000, 4.7e-4), passed),
        "signed": one(signs, passed),
        "none": one(np.ones(1000), np.zeros(1000, dtype=bool)),
    }


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](), allow_nan=False))  # noqa: T201 - the answer
