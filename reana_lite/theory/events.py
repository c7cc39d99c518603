"""What is known of a file of generated events after one pass: counts, weights, cross-section, what is undecayed.

Pure. lhe.py and hepmc.py fill it in. Cross-sections are in pb, energies in GeV, weights in the file's own unit: an
efficiency is sum(w passed) / sum(w), whatever that unit, with its error from the sum of w^2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reana_lite.theory.particle import is_new
from reana_lite.theory.reading import refuse

BEAM_GEV = 6500.0
PROTON = 2212


@dataclass(frozen=True, slots=True)
class EventFile:
    """Facts of an event file. `weighting` is the LHE IDWTUP (absolute value 3: unit weights; 4: mean weight = pb).

    `matching`: settings of jet matching found in the header (ickkw, xqcut, ktdurham), by name, where switched on.
    `undecayed`: PDG codes of new particles in the final state. `slha`: the header's spectrum, from `slha_line`.
    """

    version: str
    n_events: int
    sum_weights: float
    sum_weights_squared: float
    n_negative: int = 0
    xsec_pb: float | None = None
    xsec_error_pb: float | None = None
    weighting: int | None = None
    matching: Mapping[str, float] = field(default_factory=dict)
    undecayed: tuple[int, ...] = ()
    slha: bytes | None = None
    slha_line: int = 0
    warnings: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """The JSON form, without the spectrum."""
        return {
            "version": self.version,
            "n_events": self.n_events,
            "sum_weights": self.sum_weights,
            "sum_weights_squared": self.sum_weights_squared,
            "n_negative": self.n_negative,
            "xsec_pb": self.xsec_pb,
            "xsec_error_pb": self.xsec_error_pb,
            "weighting": self.weighting,
            "matching": dict(self.matching),
            "undecayed": list(self.undecayed),
        }


class Tally:
    """Sums over the events of one file; refuses what makes them meaningless."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.n_events = 0
        self.n_negative = 0
        self.sum_weights = 0.0
        self.sum_weights_squared = 0.0
        self.undecayed: set[int] = set()

    def add(self, weight: float) -> None:
        """Count one event of that weight."""
        self.n_events += 1
        self.n_negative += weight < 0.0
        self.sum_weights += weight
        self.sum_weights_squared += weight * weight

    def final(self, pdg: int) -> None:
        """Note a particle of the final state."""
        if is_new(pdg):
            self.undecayed.add(abs(pdg))

    def check(self) -> None:
        """Refuse a file without events or with weights that do not add up to something."""
        if self.n_events == 0:
            raise refuse(self.source, "no events")
        if not abs(self.sum_weights) > 1e-9 * self.sum_weights_squared**0.5:
            raise refuse(
                self.source, f"the weights of {self.n_events} events add up to 0; no efficiency can be computed"
            )
        if not self.sum_weights_squared < float("inf"):
            raise refuse(self.source, "the weights are too large for a sum")
        if self.sum_weights < 0.0:
            raise refuse(self.source, f"the weights of {self.n_events} events add up to {self.sum_weights:g}, below 0")


def check_beam(source: str, pdg: int, energy_gev: float, *, line: int) -> None:
    """Refuse any beam but protons of 6.5 TeV."""
    if pdg != PROTON or abs(energy_gev - BEAM_GEV) > 1.0:
        reason = f"beam of particle {pdg} with {energy_gev:g} GeV; protons (2212) of {BEAM_GEV:g} GeV each are needed"
        raise refuse(source, reason, line=line)
