"""Step `background`: what no theory changes: fits of the background alone, S95 of every discovery region.

S95 is the number of signal events excluded at 95 % CLs, without error on the signal. Regions with little background
get theirs from pseudo-experiments.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from asymptotics import Asymptotics
from likelihoods import TOYS_BELOW, Counts, model_of, read_counts
from model import Data, fit
from scipy.special import ndtr
from toys import Toys

N_TOYS = 20000


def fit_background(counts: Counts) -> dict[str, Any]:
    """The fit of a multi-bin likelihood with mu = 0: eta, its error, and the pull of every bin."""
    model = model_of(counts, np.zeros(len(counts.regions)), np.zeros(len(counts.regions)), 0.0)
    fitted = fit(model, Data.observed(model, counts.observed), mu=np.zeros(1))
    eta = float(fitted.eta[0])
    rate = counts.background + eta * counts.error
    eta_error = 1 / np.sqrt(1 + (counts.error**2 / rate).sum())
    pulls = (counts.observed - rate) / np.sqrt(np.maximum(rate, 1e-9))
    return {
        "eta": eta,
        "eta_error": float(eta_error),
        "fitted": dict(zip(counts.regions, map(float, rate), strict=True)),
        "pull": dict(zip(counts.regions, map(float, pulls), strict=True)),
    }


def s95(counts: Counts) -> dict[str, Any]:
    """S95 of a single region, observed and expected (-2 to +2 sigma), and the significance of an excess."""
    model = model_of(counts, np.ones(1), np.zeros(1), 0.0)
    asymptotic = Asymptotics(model, counts.observed)
    limit = asymptotic.limit()
    method = "asymptotic"
    if counts.background[0] < TOYS_BELOW:
        method, limit = "toys", Toys(model, float(counts.observed[0]), n_toys=N_TOYS).limit(limit)
    q0 = 2 * float((asymptotic.null.nll - asymptotic.best.nll)[0])
    return {
        "method": method,
        "observed": limit.mu_observed,
        "expected": list(limit.mu_expected),
        "p_value_of_excess": float(ndtr(-np.sqrt(max(q0, 0.0)))),
    }


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    _, multi, single = read_counts(options.counts)
    answer = {
        "fits": {counts.name: fit_background(counts) for counts in multi},
        "s95": {counts.name: s95(counts) for counts in single},
    }
    options.output.write_text(json.dumps(answer, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
