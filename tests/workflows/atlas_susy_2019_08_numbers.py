"""Numbers of the steps of atlas-susy-2019-08, computed in the analysis's own environment; prints one JSON document.

Run by test_atlas_susy_2019_08.py with the Python of that environment: `numbers.py PART [FOLDER]`; FOLDER has the
published files. Nothing is judged here.
"""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

CODE = Path(__file__).parents[2] / "workflows" / "atlas-susy-2019-08" / "code"
for name in ("likelihood", "report"):
    sys.path.insert(0, str(CODE / name))

SETTINGS = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


# -- an invented likelihood with every kind of modifier ----------------------------------------------------------------
def invented() -> dict[str, Any]:
    def sample(name: str, data: list[float], *modifiers: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "data": data, "modifiers": list(modifiers)}

    def modifier(kind: str, name: str, data: Any = None) -> dict[str, Any]:
        return {"type": kind, "name": name, "data": data}

    def shape(name: str, low: list[float], high: list[float]) -> dict[str, Any]:
        return modifier("histosys", name, {"lo_data": low, "hi_data": high})

    def norm(name: str, low: float, high: float) -> dict[str, Any]:
        return modifier("normsys", name, {"lo": low, "hi": high})

    return {
        "version": "1.0.0",
        "channels": [
            {
                "name": "CR",
                "samples": [
                    sample("top", [100.0], modifier("normfactor", "mu_top"), norm("scale", 0.8, 1.3),
                           shape("tilt", [95.0], [110.0]), modifier("lumi", "lumi")),
                    sample("other", [20.0], norm("tilt", 0.9, 1.2), modifier("shapesys", "other_error", [4.0])),
                ],
            },
            {
                "name": "SR",
                "samples": [
                    sample("top", [12.0, 5.0], modifier("normfactor", "mu_top"), norm("scale", 1.25, 0.7),
                           shape("tilt", [11.0, 5.5], [14.0, 4.0]), modifier("staterror", "stat_SR", [1.0, 0.8]),
                           modifier("lumi", "lumi")),
                    sample("other", [3.0, 0.0], norm("scale", 0.95, 1.05), modifier("staterror", "stat_SR", [0.5, 0.0])),
                    sample("signal", [2.0, 6.0], modifier("normfactor", "mu"), shape("tilt", [1.8, 5.0], [2.1, 6.5]),
                           modifier("staterror", "stat_SR", [0.2, 0.4]), norm("signal_error", 0.6, 1.5)),
                ],
            },
        ],
        "observations": [{"name": "CR", "data": [118.0]}, {"name": "SR", "data": [17.0, 6.0]}],
        "measurements": [
            {
                "name": "m",
                "config": {
                    "poi": "mu",
                    "parameters": [
                        {"name": "lumi", "auxdata": [1.0], "sigmas": [0.02], "bounds": [[0.9, 1.1]], "inits": [1.0]},
                        {"name": "mu_top", "bounds": [[0.0, 5.0]], "inits": [1.0]},
                    ],
                },
            }
        ],
    }  # fmt: skip


def published(folder: str, point: str) -> dict[str, Any]:
    import jsonpatch

    patches = json.loads((Path(folder) / "patchset.json").read_text())["patches"]
    patch = next(row["patch"] for row in patches if row["metadata"]["name"] == point)
    document: dict[str, Any] = jsonpatch.apply_patch(json.loads((Path(folder) / "BkgOnly.json").read_text()), patch)
    return document


def points_of(model: Any, count: int) -> list[np.ndarray]:
    """Parameters at random, also far outside of +-1, at which every bin expects something."""
    p, generator = model.parameters, np.random.default_rng(7)
    interpolated = np.arange(len(p.names)) < model.up.shape[1]
    out: list[np.ndarray] = []
    while len(out) < count:
        width = np.where(interpolated, (0.3, 0.8, 1.6)[len(out) % 3], 0.05)
        theta = np.clip(p.start + width * generator.normal(size=len(width)), p.low, p.high)
        theta = np.where(p.fixed, p.start, theta)
        if np.isfinite(model.nll(theta, model.data())):
            out.append(theta)
    return out


def against_pyhf(document: dict[str, Any]) -> dict[str, Any]:
    """-ln L and rates, ours and pyhf's, at random parameters; derivatives against differences."""
    import pyhf
    from workspace import build

    model = build(document)
    workspace = pyhf.Workspace(document)
    theirs = workspace.model(modifier_settings=SETTINGS)
    observed = np.array(workspace.data(theirs))
    data = model.data()
    offsets, rates, gradients, hessians = [], [], [], []
    for theta in points_of(model, 6):
        other = np.array(theirs.config.suggested_init())
        for name, value in zip(model.parameters.names, theta, strict=True):
            base, _, at = name.partition("[")
            other[theirs.config.par_slice(base).start + (int(at[:-1]) if at else 0)] = value
        expected = theirs.expected_data(other, include_auxdata=False)
        ordered = np.concatenate([expected[theirs.config.channel_slices[c["name"]]] for c in document["channels"]])
        rates.append(float(np.abs(ordered / model.expected(theta) - 1).max()))
        offsets.append(float(-theirs.logpdf(other, observed)[0] - model.nll(theta, data)))
        gradient, hessian, _ = model.derivatives(theta, data)
        step = 1e-6
        units = [step * unit for unit in np.eye(len(theta))]
        numeric = np.array([(model.nll(theta + u, data) - model.nll(theta - u, data)) / (2 * step) for u in units])
        second = np.array(
            [
                (model.derivatives(theta + u, data)[0] - model.derivatives(theta - u, data)[0]) / (2 * step)
                for u in units
            ]
        )
        gradients.append(float(np.abs(gradient - numeric).max() / np.abs(gradient).max()))
        hessians.append(float(np.abs(hessian - second).max() / np.abs(hessian).max()))
    return {
        "offset_spread": max(offsets) - min(offsets), "rates": max(rates), "gradient": max(gradients),
        "hessian": max(hessians), "parameters": [len(model.parameters.names), int(theirs.config.npars)],
    }  # fmt: skip


def likelihood() -> dict[str, Any]:
    return against_pyhf(invented())


def published_likelihood(folder: str) -> dict[str, Any]:
    return against_pyhf(published(folder, "C1N2_Wh_hbb_150_0"))


def limit_of(document: dict[str, Any]) -> dict[str, Any]:
    from asymptotics import Asymptotics
    from workspace import build

    fits = Asymptotics(build(document))
    limit = fits.limit()
    return {
        "cls": [limit.cls_observed, *limit.cls_expected], "mu": limit.mu_observed, "mu_expected": list(limit.mu_expected),
        "best": fits.mu_best, "delta_nll": fits.delta_nll(),
        "cls_at_limit": float(np.exp(fits.log_cls(limit.mu_observed))),
    }  # fmt: skip


def limits() -> dict[str, Any]:
    """Limits on the invented signal, by pyhf too; the same signal weaker, much weaker, and too strong."""
    import pyhf

    document = invented()
    workspace = pyhf.Workspace(document)
    model = workspace.model(modifier_settings=SETTINGS)
    observed, expected = pyhf.infer.hypotest(
        1.0, workspace.data(model), model, test_stat="qtilde", return_expected_set=True
    )
    out = {"pyhf": [float(observed), *map(float, expected)], "one": limit_of(document)}
    for name, factor in (("tenth", 0.1), ("tiny", 1e-4), ("huge", 1e4)):
        scaled = copy.deepcopy(document)
        signal = scaled["channels"][1]["samples"][2]
        signal["data"] = [factor * x for x in signal["data"]]
        for modifier in signal["modifiers"]:
            if modifier["type"] == "histosys":
                modifier["data"] = {key: [factor * x for x in row] for key, row in modifier["data"].items()}
            elif modifier["type"] == "staterror":
                modifier["data"] = [factor * x for x in modifier["data"]]
        out[name] = limit_of(scaled)
    deficit = copy.deepcopy(document)
    deficit["observations"][1]["data"] = [3.0, 0.0]
    out["deficit"] = limit_of(deficit)
    return out


def refusals() -> dict[str, str]:
    """What is said of likelihoods that are not understood."""
    from limits import judge, model_of
    from refusal import Refused
    from workspace import build

    def said(change: Any) -> str:
        document = invented()
        change(document["channels"][1]["samples"], document)
        try:
            model_of(document)
        except Refused as refusal:
            return str(refusal)
        return ""

    def put(modifier: dict[str, Any]) -> Any:
        return lambda samples, _: samples[2]["modifiers"].append(modifier)

    out = {
        "kind": said(put({"name": "x", "type": "shapefactor", "data": None})),
        "poi": said(lambda samples, _: samples.pop(2)),
        "factor": said(put({"name": "x", "type": "normsys", "data": {"hi": 1.1, "lo": 0.0}})),
        "bins": said(lambda samples, _: samples[2]["data"].append(1.0)),
        "errors": said(put({"name": "x", "type": "staterror", "data": [1.0]})),
        "text": said(put({"name": "x", "type": "staterror", "data": [1.0, "2"]})),
        "names": said(put({"name": "scale", "type": "normfactor", "data": None})),
        "kinds": said(put({"name": "lumi", "type": "normfactor", "data": None})),
        "twice": said(lambda samples, _: samples.append(samples[2])),
        "modifiers": said(lambda samples, _: samples[2].pop("modifiers")),
        "observed": said(lambda _, document: document["observations"].pop()),
        "nothing": said(lambda samples, _: None),
    }
    background = {"bins": {name: {} for name in build(invented()).bins}, "start": {}, "digest": ""}
    for name, operations in {
        "path": [{"op": "add", "path": "/channels/9/samples/0", "value": {}}],
        "test": [{"op": "test", "path": "/version", "value": "2.0.0"}],
        "gone": [{"op": "remove", "path": "/channels/0"}],
        "all": [{"op": "replace", "path": "", "value": []}],
    }.items():
        try:
            judge(invented(), operations, background, check=False)
            out[name] = ""
        except Refused as refusal:
            out[name] = str(refusal)
    return out


# -- the published one -------------------------------------------------------------------------------------------------
def validation(folder: str) -> dict[str, Any]:
    """CLs and limits of every point of validation.json, as the steps compute them."""
    from background import describe
    from limits import judge

    likelihood = json.loads((Path(folder) / "BkgOnly.json").read_text())
    patches = {
        row["metadata"]["name"]: row["patch"]
        for row in json.loads((Path(folder) / "patchset.json").read_text())["patches"]
    }
    background = describe(likelihood)
    points = json.loads((Path(folder) / "validation.json").read_text())["points"]
    answers = {row["name"]: judge(likelihood, patches[row["name"]], background, check=False) for row in points}
    return {"digest": background["digest"], "limits": {name: answer["limit"] for name, answer in answers.items()},
            "outside": [name for name, answer in answers.items() if answer["outside"] or answer["warnings"]],
            "parameters": [answer["n_parameters"] for answer in answers.values()]}  # fmt: skip


def odd_patches(folder: str) -> dict[str, Any]:
    """Answers for patches that change the background, add nothing, nothing to the signal regions, or less than nothing."""
    from background import describe
    from limits import judge

    likelihood = json.loads((Path(folder) / "BkgOnly.json").read_text())
    background = describe(likelihood)
    poi = {"name": "mu_SIG", "type": "normfactor", "data": None}

    def add(channel: int, data: list[float]) -> dict[str, Any]:
        value = {"name": "signal", "data": data, "modifiers": [poi]}
        return {"op": "add", "path": f"/channels/{channel}/samples/-", "value": value}

    change = {"op": "replace", "path": "/observations/5/data", "value": [0.0, 0.0, 0.0]}
    patches = {
        "plain": [add(5, [0.0, 1.0, 3.0])],
        "data": [add(5, [0.0, 1.0, 3.0]), change],
        "nothing": [add(5, [0.0, 0.0, 0.0])],
        "control": [add(0, [3.0])],
        "negative": [add(5, [0.0, 1.0, -5000.0])],
        "strong": [add(5, [0.0, 1e5, 3e5])],
        "weak": [add(5, [0.0, 1e-5, 3e-5])],
    }
    return {name: judge(likelihood, patch, background, check=False) for name, patch in patches.items()}


def main() -> None:
    part, *arguments = sys.argv[1:]
    sys.stdout.write(json.dumps(globals()[part](*arguments)))


if __name__ == "__main__":
    main()
