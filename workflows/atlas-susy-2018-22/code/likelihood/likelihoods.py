"""The likelihoods of this search from its counts: three multi-bin models and ten single regions; as pyhf workspaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from model import Model

NO_ERROR_TAU = 1e7
"""Effective MC events of a signal without MC error."""

TOYS_BELOW = 10.0
"""Single regions with less background than this get their limits from pseudo-experiments."""


@dataclass(frozen=True)
class Counts:
    """Regions of one likelihood with observed events, background and its error."""

    name: str
    regions: tuple[str, ...]
    observed: np.ndarray
    background: np.ndarray
    error: np.ndarray


def read_counts(path: Path) -> tuple[float, list[Counts], list[Counts]]:
    """(luminosity in 1/fb, multi-bin likelihoods, discovery regions one by one) of counts.yml."""
    facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    multi = [_counts(name, rows) for name, rows in facts["multibin"].items()]
    single = [_counts(name, {name: row}) for name, row in facts["discovery"].items()]
    return float(facts["lumi_ifb"]), multi, single


def _counts(name: str, rows: dict[str, dict[str, float]]) -> Counts:
    columns = (
        np.array([row[key] for row in rows.values()], dtype=float) for key in ("observed", "background", "error")
    )
    return Counts(name, tuple(rows), *columns)


def model_of(counts: Counts, signal: np.ndarray, mc_error: np.ndarray, delta: float) -> Model:
    """The model for a signal with its MC errors, in events; bins whose weights add up to nothing get none."""
    some = (signal > 0) & (mc_error >= 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = np.where(some & (mc_error > 0), (signal / mc_error) ** 2, NO_ERROR_TAU)
    signal = np.where(some, signal, 0.0)
    return Model(signal, counts.background, counts.error, np.minimum(tau, NO_ERROR_TAU), delta)


def workspace(counts: Counts, model: Model) -> dict[str, Any]:
    """The same likelihood as a pyhf workspace (parameter of interest: mu)."""
    channels = []
    for i, region in enumerate(counts.regions):
        b, d, s = float(counts.background[i]), float(counts.error[i]), float(model.signal[i])
        if model.single:
            background = {"name": "background_error", "type": "shapesys", "data": [d]}
        else:
            background = {"name": "totalError", "type": "histosys", "data": {"hi_data": [b + d], "lo_data": [b - d]}}
        samples = [{"name": "background", "data": [b], "modifiers": [background]}]
        modifiers: list[dict[str, Any]] = [{"name": "mu", "type": "normfactor", "data": None}]
        if model.delta:
            modifiers.append(
                {"name": "signal", "type": "normsys", "data": {"hi": 1 + model.delta, "lo": 1 - model.delta}}
            )
        if s > 0:
            error = s / float(np.sqrt(model.tau[i]))
            modifiers.append({"name": f"mc_{region}", "type": "shapesys", "data": [error]})
        samples.append({"name": "signal", "data": [s], "modifiers": modifiers})
        channels.append({"name": region, "samples": samples})
    return {
        "version": "1.0.0",
        "channels": channels,
        "observations": [
            {"name": region, "data": [float(n)]} for region, n in zip(counts.regions, counts.observed, strict=True)
        ],
        "measurements": [{"name": counts.name, "config": {"poi": "mu", "parameters": []}}],
    }


def pyhf_cls(document: dict[str, Any], start: dict[str, float]) -> tuple[float, list[float]]:
    """CLs at mu = 1, observed and expected, as pyhf computes them from a workspace; `start` is where its fits begin."""
    import pyhf  # slow to import

    loaded = pyhf.Workspace(document)
    model = loaded.model()
    data = loaded.data(model)
    first, bounds = model.config.suggested_init(), model.config.suggested_bounds()
    for name, value in start.items():
        if name in model.config.parameters:
            first[model.config.par_slice(name)] = [value]
    bounds[model.config.poi_index] = (0.0, max(10.0, 4 * start["mu"]))
    observed, expected = pyhf.infer.hypotest(
        1.0, data, model, test_stat="qtilde", return_expected_set=True, init_pars=first, par_bounds=bounds
    )
    return float(observed), [float(e) for e in expected]
