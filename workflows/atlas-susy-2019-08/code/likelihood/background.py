"""Step `background`: what no signal changes: the digest of the likelihood, and its fits without signal.

The background of the table is the one after a fit to the control regions only, as in the paper; all fits with a signal
begin where the fit to all regions ends.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from fit import Fit, covariance, fit
from model import Data, Model, bins_of
from refusal import guarded
from workspace import build

SIGNAL_CHANNELS = ("SRLMEM_mct2", "SRMMEM_mct2", "SRHMEM_mct2")
SILENT = "silent"


def digest(likelihood: Any) -> str:
    """The digest of a likelihood as patchsets name it (pyhf.utils.digest): sha256 of its JSON with sorted keys."""
    return hashlib.sha256(json.dumps(likelihood, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()


def with_silent_signal(likelihood: dict[str, Any]) -> dict[str, Any]:
    """The likelihood with an empty signal: a model has a parameter of interest, and the published one lacks its sample."""
    poi = likelihood["measurements"][0]["config"]["poi"]
    first, *others = likelihood["channels"]
    empty = {
        "name": SILENT,
        "data": [0.0] * len(first["samples"][0]["data"]),
        "modifiers": [{"name": poi, "type": "normfactor", "data": None}],
    }
    return {**likelihood, "channels": [{**first, "samples": [*first["samples"], empty]}, *others]}


def errors(model: Model, data: Data, fitted: Fit) -> np.ndarray:
    """Error of the expected count of every bin, from the covariance of the fit."""
    spread = covariance(model, data, fitted.theta, mu_fixed=True)
    slopes = model.derivatives(fitted.theta, data)[2]
    return np.sqrt(np.maximum(np.einsum("bp,pq,bq->b", slopes, spread, slopes), 0.0))


def describe(likelihood: dict[str, Any]) -> dict[str, Any]:
    """The answer of the step."""
    model = build(with_silent_signal(likelihood))
    data = model.data()
    everything = fit(model, data, mu=0.0)
    controls = data.only(~bins_of(model, SIGNAL_CHANNELS))
    before = fit(model, controls, start=everything.theta, mu=0.0)
    p = model.parameters
    constrained = (p.sigma > 0) & ~p.fixed
    columns = zip(
        model.bins,
        data.n,
        model.expected(before.theta),
        errors(model, controls, before),
        model.expected(everything.theta),
        errors(model, data, everything),
        strict=True,
    )
    keys = ("observed", "background", "background_error", "fitted", "fitted_error")
    return {
        "digest": digest(likelihood),
        "bins": {name: dict(zip(keys, map(float, values), strict=True)) for name, *values in columns},
        "start": {name: float(value) for name, value in zip(p.names, everything.theta, strict=True)},
        "pulls": {
            name: float((everything.theta[at] - data.aux[at]) / p.sigma[at])
            for at, name in enumerate(p.names)
            if constrained[at]
        },
        "free": {
            name: float(everything.theta[at]) for at, name in enumerate(p.names) if name in ("mu_Top", "mu_ST", "mu_W")
        },
    }


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--likelihood", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    answer = describe(json.loads(options.likelihood.read_text(encoding="utf-8")))
    options.output.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    guarded(main)
