"""Step `select`: one block of events -> detector response, cuts -> events and cutflow per region.

Weights are summed as they are (they may be negative); what they are worth in events is decided after merging.
"""

from __future__ import annotations

import argparse
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

STREAM = 201822
"""The random stream of the detector response; the generator has its own."""


@dataclass(frozen=True)
class Events:
    """What cuts are made on, one entry per event. Jets are padded with pt 0 to (events, most jets)."""

    jet_pt: np.ndarray
    jet_eta: np.ndarray
    dphi: np.ndarray
    n_jets: np.ndarray
    n_leptons: np.ndarray
    met: np.ndarray
    meff: np.ndarray
    met_sqrtht: np.ndarray
    aplanarity: np.ndarray


def padded(flat: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Ragged values as (events, largest count), padded with 0."""
    out = np.zeros((len(counts), max(1, int(counts.max(initial=0)))))
    out[np.arange(out.shape[1]) < counts[:, None]] = flat
    return out


def delta_phi(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance in phi, 0 to pi."""
    return np.abs((a - b + np.pi) % (2 * np.pi) - np.pi)


def reconstruct(block: Any, facts: dict[str, Any], *, process: str, index: int) -> Events:
    """Detector response and object definitions of one block."""
    rng = np.random.default_rng([STREAM, zlib.crc32(process.encode()), index])
    counts = block["jet_n"]
    response = facts["response"]["jet"]
    true_pt = block["jet_pt"]
    sigma = np.sqrt(
        (response["noise"] / true_pt) ** 2 + response["stochastic"] ** 2 / true_pt + response["constant"] ** 2
    )
    shift = true_pt * sigma * rng.standard_normal(len(true_pt))
    shift = np.where(true_pt > response["pt_min"], np.maximum(shift, -true_pt), 0.0)
    phi = padded(block["jet_phi"], counts)
    eta = padded(block["jet_eta"], counts)
    shifts = padded(shift, counts)
    noise = facts["response"]["met_sigma"] * rng.standard_normal((2, len(counts)))
    met_x = block["met_x"] - (shifts * np.cos(phi)).sum(axis=1) + noise[0]
    met_y = block["met_y"] - (shifts * np.sin(phi)).sum(axis=1) + noise[1]
    truth = padded(true_pt, counts)
    pt = truth + shifts
    kept, n_leptons = remove_overlap(block, facts["objects"], truth, pt, eta, phi)
    signal = facts["objects"]["jet"]
    pt = np.where(kept & (pt > signal["pt"]) & (np.abs(eta) < signal["abs_eta"]), pt, 0.0)
    order = np.argsort(-pt, axis=1, kind="stable")
    pt, eta, phi = (np.take_along_axis(values, order, axis=1) for values in (pt, eta, phi))
    met = np.hypot(met_x, met_y)
    ht = pt.sum(axis=1)
    dphi = np.where(pt > 0, delta_phi(phi, np.arctan2(met_y, met_x)[:, None]), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        met_sqrtht = np.where(ht > 0, met / np.sqrt(ht), 0.0)
    return Events(pt, eta, dphi, (pt > 0).sum(axis=1), n_leptons, met, met + ht, met_sqrtht, aplanarity(pt, eta, phi))


def remove_overlap(
    block: Any, objects: dict[str, Any], truth: np.ndarray, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which jets stay, and how many leptons are left in each event."""
    rules, base = objects["overlap"], objects["baseline_jet"]
    jets = (pt > base["pt"]) & (np.abs(eta) < base["abs_eta"])
    electrons = lepton(block, "electron", objects)
    if electrons.shape[-1]:
        near = distance(electrons, eta, phi) < rules["jet_near_electron"]
        hard = electrons[0][:, :, None] > rules["electron_share"] * truth[:, None, :]
        jets &= ~(near & hard & (electrons[0] > 0)[:, :, None]).any(axis=1)
    n_leptons = np.zeros(len(pt), dtype=int)
    for particles in (electrons, lepton(block, "muon", objects)):
        in_jet = ((distance(particles, eta, phi) < rules["lepton_near_jet"]) & jets[:, None, :]).any(axis=2)
        n_leptons += ((particles[0] > 0) & ~in_jet).sum(axis=1)
    return jets, n_leptons


def lepton(block: Any, name: str, objects: dict[str, Any]) -> np.ndarray:
    """(pt, eta, phi) of leptons, padded; pt is 0 where there is none or it fails the definition."""
    pt, eta, phi = (padded(block[f"{name}_{field}"], block[f"{name}_n"]) for field in ("pt", "eta", "phi"))
    good = (pt > objects[name]["pt"]) & (np.abs(eta) < objects[name]["abs_eta"])
    return np.stack([np.where(good, pt, 0.0), eta, phi])


def distance(particles: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Delta R of every lepton from every jet: (events, leptons, jets)."""
    return np.hypot(particles[1][:, :, None] - eta[:, None, :], delta_phi(particles[2][:, :, None], phi[:, None, :]))


def aplanarity(pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """3/2 of the smallest eigenvalue of the normalised momentum tensor of the jets (0 without jets)."""
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=2)
    tensor = np.einsum("eji,ejk->eik", p, p)
    trace = np.trace(tensor, axis1=1, axis2=2)
    tensor /= np.where(trace > 0, trace, 1.0)[:, None, None]
    return 1.5 * np.maximum(np.linalg.eigvalsh(tensor)[:, 0], 0.0)


def inside(values: np.ndarray, window: list[float | None]) -> np.ndarray:
    """From the lower edge, below the upper one; None is no edge."""
    low, high = window
    return (values >= (-np.inf if low is None else low)) & (values < (np.inf if high is None else high))


def label(name: str, value: float) -> str:
    """A name for a cut: dphi123_0p4, meff_2200."""
    return f"{name}_{value:g}".replace(".", "p") if value != 2 else f"{name}_2p0"


def cuts_of(region: dict[str, Any], events: Events) -> list[tuple[str, np.ndarray]]:
    """The cuts of a region in the order of the published cutflows."""
    n_last, pt_last = region["n_last"], region["pt_last"]
    least, most = region["n_jets"]
    cuts = []
    if (least, most) != (2, None):
        name = f"nj{least}" if most is None else f"nj{least}to{most}"
        cuts.append((name, inside(events.n_jets, [least, None if most is None else most + 1])))
    cuts.append((label("dphi123", region["dphi123"]), events.dphi[:, :3].min(axis=1) > region["dphi123"]))
    rest = events.dphi[:, 3:].min(axis=1, initial=np.inf)
    cuts.append((label("dphi_rest", region["dphi_rest"]), rest > region["dphi_rest"]))
    if region["pt_j1"] > 200 and region["pt_j1"] > pt_last:
        cuts.append((label("pt_j1", region["pt_j1"]), events.jet_pt[:, 0] > region["pt_j1"]))
    if pt_last > 50:
        cuts.append((label(f"pt_j{n_last}", pt_last), nth(events.jet_pt, n_last) > pt_last))
    if region["abs_eta"] < 2.8:
        central = (np.abs(events.jet_eta[:, :n_last]) < region["abs_eta"]).all(axis=1)
        cuts.append((label("eta", region["abs_eta"]), central & (events.n_jets >= n_last)))
    if region["aplanarity"] is not None:
        cuts.append((label("aplanarity", region["aplanarity"]), events.aplanarity > region["aplanarity"]))
    cuts.append((label("met_sqrtHT", region["met_sqrtht"][0]), inside(events.met_sqrtht, region["met_sqrtht"])))
    cuts.append((label("meff", region["meff"][0]), inside(events.meff, region["meff"])))
    return cuts


def nth(values: np.ndarray, n: int) -> np.ndarray:
    """The n-th column (from 1), 0 where there are fewer."""
    return values[:, n - 1] if values.shape[1] >= n else np.zeros(len(values))


def all_regions(facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Discovery and multi-bin regions by name, with all their cuts."""
    regions = dict(facts["discovery"])
    for group in facts["multibin"]:
        regions |= {name: group["common"] | bin_ for name, bin_ in group["bins"].items()}
    return regions


def count(passed: np.ndarray, weight: np.ndarray, factor: float = 1.0) -> list[float]:
    """[events, sum of weights, sum of their squares] of those passed; the factor is an efficiency."""
    w = weight[passed]
    return [int(passed.sum()), float(w.sum()) * factor, float((w**2).sum()) * factor**2]


def select(events: Events, facts: dict[str, Any], weight: np.ndarray) -> dict[str, Any]:
    """Events per region and cutflows."""
    rules = facts["preselection"]
    passed = (events.n_leptons == 0) & (events.met > rules["met"]) & (events.jet_pt[:, 0] > rules["pt_j1"])
    passed &= (events.n_jets >= rules["n_jets"]) & (events.meff > rules["meff"])
    cleaning = facts["response"]["cleaning_efficiency"]
    everything = np.ones(len(weight), dtype=bool)
    common = [["total", *count(everything, weight)], ["preselection", *count(passed, weight)],
              ["cleaning", *count(passed, weight, cleaning)]]  # fmt: skip
    regions, cutflow = {}, {"common": common}
    for name, region in all_regions(facts).items():
        left, steps = passed, []
        for cut, good in cuts_of(region, events):
            left = left & good
            steps.append([cut, *count(left, weight, cleaning)])
        regions[name] = count(left, weight, cleaning)
        if name in facts["discovery"]:
            cutflow[name] = steps
    return {"regions": regions, "cutflow": cutflow}


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path)
    parser.add_argument("--regions", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    facts = yaml.safe_load(options.regions.read_text(encoding="utf-8"))
    with np.load(options.events) as block:
        about = json.loads(str(block["about"]))
        events = reconstruct(block, facts, process=about["process"], index=about["index"])
        selected = select(events, facts, block["weight"])
    options.output.write_text(json.dumps({**about, **selected}) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
