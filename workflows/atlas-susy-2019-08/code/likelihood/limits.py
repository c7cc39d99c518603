"""Step `limits`: the published likelihood with a signal -> CLs at mu = 1, upper limits on mu, yields per region.

`--cross-check true` computes CLs with pyhf as well (some 15 s) and refuses numbers that do not agree.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import jsonpatch
import numpy as np
from asymptotics import Asymptotics, Limit
from background import SIGNAL_CHANNELS
from model import Model, bins_of, systematics
from refusal import guarded, refuse
from workspace import build

NAME = "1Lbb"
AGREEMENT, AGREEMENT_ABSOLUTE = 0.02, 5e-4
"""How far CLs of pyhf may lie from ours, relative or absolute."""

CHANGES = "the patch changes more than it adds: background, data or measurement are not those that were published"


def patched(likelihood: dict[str, Any], operations: list[Any]) -> dict[str, Any]:
    """The likelihood with the patch applied; refused where it does not fit."""
    try:
        document = jsonpatch.apply_patch(likelihood, operations)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, KeyError, TypeError) as error:
        refuse(f"the patch does not fit this likelihood: {error}")
    if not isinstance(document, dict):
        refuse("after the patch nothing is left of the likelihood")
    return document


def is_signal(sample: dict[str, Any], poi: str) -> bool:
    """True if the sample scales with the signal strength."""
    return any(m["type"] == "normfactor" and m["name"] == poi for m in sample["modifiers"])


def only_adds(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """True if without its signal samples the likelihood is the one there was."""
    poi = before["measurements"][0]["config"]["poi"]
    channels = [
        {**channel, "samples": [sample for sample in channel["samples"] if not is_signal(sample, poi)]}
        for channel in after["channels"]
    ]
    return bool({**after, "channels": channels} == before)


def model_of(document: dict[str, Any]) -> Model:
    """The model of a patched likelihood; refused if it is not one."""
    try:
        return build(document)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        refuse(f"the patched likelihood is not a workspace: {type(error).__name__} {error}")


def yields(model: Model, background: dict[str, Any]) -> list[dict[str, Any]]:
    """The `regions` of the result document: observed, background (after the fit to control regions), signal per bin."""
    theta = model.parameters.start.copy()
    theta[model.poi] = 1.0
    size, signal = len(model.bins), model.signal
    events = np.bincount(model.bin_of, weights=np.where(signal, model.entries(theta), 0.0), minlength=size)
    mc = np.sqrt(np.bincount(model.bin_of, weights=np.where(signal, model.mc_error, 0.0) ** 2, minlength=size))
    systematic = np.sqrt(sum(change**2 for change in systematics(model, signal)) + np.zeros(size))
    return [
        {
            "bin": name,
            **background["bins"][name],
            "signal": float(events[at]),
            "signal_mc_error": float(mc[at]),
            "signal_systematic": float(systematic[at]),
        }
        for at, name in enumerate(model.bins)
    ]


def start_of(model: Model, values: dict[str, float]) -> np.ndarray:
    """Where the fit of the background alone ended; parameters of the signal at their nominal values."""
    p = model.parameters
    return np.array([values.get(name, nominal) for name, nominal in zip(p.names, p.start, strict=True)])


def filled(limit: Limit, fits: Asymptotics) -> dict[str, Any]:
    """Numbers of a limit that was found."""
    numbers = [limit.cls_observed, *limit.cls_expected, limit.mu_observed, *limit.mu_expected]
    if not all(math.isfinite(x) for x in numbers):
        raise ArithmeticError("the fit gave a number that is not finite")
    p = fits.model.parameters
    at_one = fits.at(1.0).theta
    sigma = np.where(p.sigma > 0, p.sigma, np.inf)
    pulls = np.where(p.fixed, 0.0, (at_one - fits.data.aux) / sigma)
    largest = np.argsort(-np.abs(pulls))[:10]
    return {
        "status": "ok",
        "cls_observed": limit.cls_observed,
        "cls_expected": list(limit.cls_expected),
        "mu_limit_observed": limit.mu_observed,
        "mu_limit_expected": list(limit.mu_expected),
        "delta_nll": fits.delta_nll(),
        "extra": {
            "mu_best": fits.mu_best,
            "largest_pulls_at_mu_1": {p.names[at]: float(pulls[at]) for at in largest},
        },
    }


def empty(status: str) -> dict[str, Any]:
    """A limit that there is not."""
    keys = ("cls_observed", "cls_expected", "mu_limit_observed", "mu_limit_expected", "delta_nll")
    return {"status": status, **dict.fromkeys(keys), "extra": {}}


def cross_check(document: dict[str, Any], limit: Limit) -> dict[str, Any]:
    """CLs by pyhf, from its own start; refused if it does not agree."""
    import pyhf  # slow to import, and seldom asked for

    workspace = pyhf.Workspace(document)
    settings = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    model = workspace.model(modifier_settings=settings)
    bounds = model.config.suggested_bounds()
    bounds[model.config.poi_index] = (0.0, max(5.0, 4 * limit.mu_observed))
    observed, expected = pyhf.infer.hypotest(
        1.0, workspace.data(model), model, test_stat="qtilde", return_expected_set=True, par_bounds=bounds
    )
    theirs = [float(observed), *map(float, expected)]
    for ours, other in zip((limit.cls_observed, *limit.cls_expected), theirs, strict=True):
        if abs(ours - other) > max(AGREEMENT * other, AGREEMENT_ABSOLUTE):
            refuse(f"CLs is {ours:.5g} here, but {other:.5g} by pyhf: the fits of this signal cannot be trusted")
    return {"pyhf_cls_observed": theirs[0], "pyhf_cls_expected": theirs[1:]}


def judge(
    likelihood: dict[str, Any], operations: list[Any], background: dict[str, Any], *, check: bool
) -> dict[str, Any]:
    """The answer of the step."""
    document = patched(likelihood, operations)
    model = model_of(document)
    if set(model.bins) != set(background["bins"]):
        refuse("the patch changes which regions there are")
    rows = yields(model, background)
    warnings: list[str] = []
    inside = bins_of(model, SIGNAL_CHANNELS)
    counts = np.array([row["signal"] for row in rows])
    if (counts < 0).any():
        names = ", ".join(row["bin"] for row in rows if row["signal"] < 0)
        warnings.append(f"the signal is negative in {names}")
    entry: dict[str, Any]
    if not (counts[inside] > 0).any():
        entry = empty("no-signal")
        warnings.append("no signal in any signal region: there is no limit")
    else:
        try:
            fits = Asymptotics(model, start_of(model, background["start"]))
            limit = fits.limit()
            entry = filled(limit, fits)
            if check:
                entry["extra"] |= cross_check(document, limit)
        except (ArithmeticError, np.linalg.LinAlgError) as problem:
            warnings.append(f"{NAME}: no limit: {problem}")
            entry = empty("failed")
    signal = model.signal
    if not (model.mc_error[signal] > 0).any():
        warnings.append("the signal has no Monte Carlo error (staterror)")
    if not any((change > 0).any() for change in systematics(model, signal)):
        warnings.append("the signal has no systematic error")
    return {
        "digest": background["digest"],
        "regions": [row for row, is_inside in zip(rows, inside, strict=True) if is_inside],
        "controls": [row for row, is_inside in zip(rows, inside, strict=True) if not is_inside],
        "limit": {"name": NAME, "kind": "full", "method": "asymptotic", **entry},
        "outside": [] if only_adds(likelihood, document) else [CHANGES],
        "warnings": warnings,
        "n_parameters": len(model.parameters.names),
    }


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("likelihood", "patch", "background", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--cross-check", default="false")
    options = parser.parse_args()
    likelihood, operations, background = (
        json.loads(path.read_text(encoding="utf-8")) for path in (options.likelihood, options.patch, options.background)
    )
    answer = judge(likelihood, operations, background, check=options.cross_check.lower() == "true")
    options.output.write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    guarded(main)
