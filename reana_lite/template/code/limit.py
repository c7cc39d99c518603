"""Statistics: CLs and upper limits of each region, and the result document.

The probability of n events or fewer is Poisson's, averaged over the error of the background (a Gaussian cut at zero).
"""

import argparse
import json
import math
import random
from pathlib import Path
from typing import Any

PROBABILITIES = (0.02275, 0.15866, 0.5, 0.84134, 0.97725)  # -2, -1, 0, +1, +2 standard deviations
N_TOYS = 200


def at_most(n: int, mean: float) -> float:
    """Poisson probability of n events or fewer."""
    term = total = math.exp(-mean)
    for k in range(1, n + 1):
        term *= mean / k
        total += term
    return min(total, 1.0)


def averaged(n: int, signal: float, backgrounds: list[float]) -> float:
    """The same for signal plus background, averaged over what the background may be."""
    return sum(at_most(n, signal + background) for background in backgrounds) / len(backgrounds)


def cls(n: int, signal: float, backgrounds: list[float]) -> float:
    """CLs = p(s+b) / p(b) of a count n."""
    return averaged(n, signal, backgrounds) / averaged(n, 0.0, backgrounds)


def mu_limit(n: int, signal: float, backgrounds: list[float]) -> float:
    """The signal strength at which CLs is 0.05."""
    low, high = 0.0, 1.0
    while cls(n, high * signal, backgrounds) > 0.05:
        low, high = high, 2.0 * high
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if cls(n, middle * signal, backgrounds) > 0.05 else (low, middle)
    return 0.5 * (low + high)


def quantile(probability: float, backgrounds: list[float]) -> int:
    """The count that background alone does not exceed with this probability."""
    n = 0
    while averaged(n, 0.0, backgrounds) < probability:
        n += 1
    return n


def limit(region: dict[str, Any], signal: float, xsec_pb: float) -> dict[str, Any]:
    """The limit of one region, in the words of the result document."""
    empty: dict[str, Any] = {
        "name": region["name"], "kind": "single-bin", "method": "toys", "status": "no-signal", "cls_observed": None,
        "cls_expected": None, "mu_limit_observed": None, "mu_limit_expected": None, "xsec_pb": xsec_pb,
        "xsec_limit_observed_pb": None, "xsec_limit_expected_pb": None, "r_observed": None, "r_expected": None,
        "delta_nll": None,
    }  # fmt: skip
    if signal <= 0.0:
        return empty
    stream = random.Random(1)
    sigma = region["background_error"]
    backgrounds = [max(stream.gauss(region["background"], sigma), 1e-9) for _ in range(N_TOYS)]
    expected = [quantile(probability, backgrounds) for probability in PROBABILITIES]
    observed = mu_limit(region["observed"], signal, backgrounds)
    bands = [mu_limit(n, signal, backgrounds) for n in expected]
    return empty | {
        "status": "ok",
        "cls_observed": cls(region["observed"], signal, backgrounds),
        "cls_expected": [cls(n, signal, backgrounds) for n in expected],
        "mu_limit_observed": observed,
        "mu_limit_expected": bands,
        "xsec_limit_observed_pb": observed * xsec_pb,
        "xsec_limit_expected_pb": [mu * xsec_pb for mu in bands],
        "r_observed": 1.0 / observed,
        "r_expected": 1.0 / bands[2],
    }


def counted(region: dict[str, Any], n_passed: int, n_events: int, produced: float) -> dict[str, Any]:
    """One region of the result document; `produced` is the number of events that the cross-section predicts."""
    efficiency = n_passed / n_events
    error = math.sqrt(efficiency * (1.0 - efficiency) / n_events)
    return {
        "name": region["name"], "observed": region["observed"], "background": region["background"],
        "background_error": region["background_error"], "n_passed": n_passed, "efficiency": efficiency,
        "efficiency_error": error, "efficiency_upper": 3.0 / n_events if n_passed == 0 else None,
        "signal": efficiency * produced, "signal_mc_error": error * produced, "signal_systematic": 0.0,
    }  # fmt: skip


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("theory", type=Path)
parser.add_argument("regions", type=Path)
parser.add_argument("counts", type=Path)
parser.add_argument("--output", type=Path, required=True)
options = parser.parse_args()

xsec_pb = json.loads(options.theory.read_text())["parameters"]["xsec_pb"]
search = json.loads(options.regions.read_text())
counts = json.loads(options.counts.read_text())
n_events = counts["n_events"]
produced = xsec_pb * 1000.0 * search["lumi_ifb"]

regions = [counted(one, counts["n_passed"][one["name"]], n_events, produced) for one in search["regions"]]
limits = [limit(one, row["signal"], xsec_pb) for one, row in zip(search["regions"], regions, strict=True)]
usable = [one for one in limits if one["status"] == "ok"]
best = min(usable, key=lambda one: one["mu_limit_expected"][2], default=None)
verdict = "undetermined" if best is None else "excluded" if best["cls_observed"] < 0.05 else "not-excluded"

result = {
    "version": 1,
    "lumi_ifb": search["lumi_ifb"],
    "processes": [
        {"name": "gluino-gluino", "xsec_pb": xsec_pb, "xsec_error_pb": None, "xsec_order": None,
         "xsec_source": "theory file", "n_events": n_events},
    ],
    "regions": regions,
    "limits": limits,
    "best": best["name"] if best else None,
    "verdict": verdict,
    "verdict_xsec_up": None,
    "verdict_xsec_down": None,
    "validity": {"within": False, "reasons": ["a toy: its numbers are invented"]},
    "advice": [],
    "warnings": [] if best else ["no event passes the selection of any region"],
}  # fmt: skip
options.output.write_text(json.dumps(result, indent=1) + "\n")
