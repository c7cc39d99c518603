"""Particles -> jets, leptons and missing momentum of a block of events, before any detector response.

Momenta in GeV. Vectorised over events: particles come as flat arrays with the number per event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ETA_MAX = 4.9
"""The calorimeters' reach: particles beyond are not seen."""

JET_RADIUS = 0.4
JET_PT_MIN = 15.0
LEPTON_PT_MIN = 5.0
LEPTON_ETA_MAX = 2.8
NEUTRINOS = (12, 14, 16)


@dataclass
class Block:
    """Objects of one block of events, filled chunk by chunk."""

    process: str
    index: int
    seed: int
    invisible: list[int]
    version: str = ""
    sigma_lo_pb: float = 0.0
    sigma_lo_error_pb: float = 0.0
    n_events: int = 0
    parts: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(
        self,
        *,
        counts: np.ndarray,
        final: np.ndarray,
        pdg: np.ndarray,
        momentum: tuple[np.ndarray, ...],
        weights: np.ndarray,
    ) -> None:
        """Take a chunk: `counts` particles per event, and for each whether it is final, its code, (px, py, pz, E)."""
        event = np.repeat(np.arange(len(counts)), counts)[final]
        code = np.abs(pdg[final])
        px, py, pz, energy = (component[final] for component in momentum)
        self._refuse_charged_relics(code)
        pt = np.hypot(px, py)
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = np.where(pt > 0, np.arcsinh(pz / np.where(pt > 0, pt, 1.0)), np.copysign(np.inf, pz))
        phi = np.arctan2(py, px)
        seen = ~np.isin(code, [*NEUTRINOS, *self.invisible]) & (np.abs(eta) < ETA_MAX)
        n = len(counts)
        self._keep("met_x", -np.bincount(event[seen], px[seen], minlength=n))
        self._keep("met_y", -np.bincount(event[seen], py[seen], minlength=n))
        self._keep("weight", weights)
        for name, lepton in (("electron", 11), ("muon", 13)):
            chosen = (code == lepton) & (pt > LEPTON_PT_MIN) & (np.abs(eta) < LEPTON_ETA_MAX)
            self._keep(f"{name}_n", np.bincount(event[chosen], minlength=n))
            for field_name, values in (("pt", pt), ("eta", eta), ("phi", phi)):
                self._keep(f"{name}_{field_name}", values[chosen])
        inside = seen & (code != 13)
        self._jets(event[inside], (px[inside], py[inside], pz[inside], energy[inside]), n)
        self.n_events += n

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.parts.setdefault(name, []).append(values)

    def _refuse_charged_relics(self, code: np.ndarray) -> None:
        new = (code >= 1000001) & (code <= 2999999)
        relics = sorted(set(code[new].tolist()) - set(self.invisible))
        if relics:
            raise SystemExit(f"new particles {relics} are left over and would be taken for ordinary ones")

    def _jets(self, event: np.ndarray, momentum: tuple[np.ndarray, ...], n: int) -> None:
        import awkward as ak
        import fastjet

        offsets = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=n))])
        record = ak.contents.RecordArray(
            [ak.contents.NumpyArray(np.ascontiguousarray(c)) for c in momentum],
            ["px", "py", "pz", "E"],
            parameters={"__record__": "Momentum4D"},
        )
        particles = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), record))
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, JET_RADIUS)
        jets = fastjet.ClusterSequence(particles, definition).inclusive_jets(JET_PT_MIN)
        count = np.asarray(ak.num(jets.px, axis=1))
        px, py, pz = (np.asarray(ak.flatten(jets[c])) for c in ("px", "py", "pz"))
        pt = np.hypot(px, py)
        # Hardest first within each event, so that the order depends on nothing else.
        order = np.lexsort((-pt, np.repeat(np.arange(n), count)))
        self._keep("jet_n", count)
        self._keep("jet_pt", pt[order])
        self._keep("jet_eta", np.arcsinh(pz / pt)[order])
        self._keep("jet_phi", np.arctan2(py, px)[order])

    def save(self, path: Path) -> None:
        """Write the block; equal blocks give equal bytes."""
        arrays = {name: np.concatenate(parts) for name, parts in sorted(self.parts.items())}
        about = {
            "process": self.process, "index": self.index, "seed": self.seed, "n_events": self.n_events,
            "version": self.version, "sigma_lo_pb": self.sigma_lo_pb,
            "sigma_lo_error_pb": self.sigma_lo_error_pb,
        }  # fmt: skip
        with path.open("wb") as stream:
            np.savez(stream, about=np.array(json.dumps(about, sort_keys=True)), **arrays)
