"""What is known of particles by their PDG code: name, charge, colour, whether it is new physics.

Pure facts (PDG Monte Carlo numbering scheme, arXiv:hep-ph/0311123 for supersymmetry). Particles that a theory brings
along come from its QNUMBERS blocks, not from here.
"""

from __future__ import annotations

from dataclasses import dataclass

ABSENT_GEV = 9000.0
"""States at this mass and above count as absent (the convention of published simplified models)."""

DECOUPLED_GEV = 1.0e5
"""Mass written for supersymmetric particles that a theory leaves out."""


@dataclass(frozen=True, slots=True)
class Particle:
    """`charge3` is three times the electric charge; `colour` 1, 3 (either triplet), 6 or 8; `boson` by spin.

    `self_conjugate`: no distinct antiparticle.
    """

    pdg: int
    name: str
    charge3: int
    colour: int
    boson: bool
    self_conjugate: bool = False

    @property
    def invisible(self) -> bool:
        """Neutral and uncoloured: if stable, it leaves missing momentum."""
        return self.charge3 == 0 and self.colour == 1


def _table() -> dict[int, Particle]:
    rows: list[tuple[int, str, int, int, bool, bool]] = []
    flavours = ("down", "up", "strange", "charm", "bottom", "top")
    for pdg, name in enumerate(flavours, 1):
        charge3 = 2 if pdg % 2 == 0 else -1
        rows.append((pdg, name, charge3, 3, False, False))
        rows.append((1000000 + pdg, f"{name}_squark_{'1' if pdg > 4 else 'left'}", charge3, 3, True, False))
        rows.append((2000000 + pdg, f"{name}_squark_{'2' if pdg > 4 else 'right'}", charge3, 3, True, False))
    for pdg, name in ((11, "electron"), (13, "muon"), (15, "tau")):
        rows.append((pdg, name, -3, 1, False, False))
        rows.append((pdg + 1, f"{name}_neutrino", 0, 1, False, False))
        rows.append((1000000 + pdg, f"{name}_slepton_{'1' if pdg == 15 else 'left'}", -3, 1, True, False))
        rows.append((2000000 + pdg, f"{name}_slepton_{'2' if pdg == 15 else 'right'}", -3, 1, True, False))
        rows.append((1000001 + pdg, f"{name}_sneutrino", 0, 1, True, False))
        rows.append((2000001 + pdg, f"{name}_sneutrino_right", 0, 1, True, False))
    rows += [
        (21, "gluon", 0, 8, True, True), (22, "photon", 0, 1, True, True), (23, "Z", 0, 1, True, True),
        (24, "W", 3, 1, True, False), (25, "higgs", 0, 1, True, True), (35, "heavy_higgs", 0, 1, True, True),
        (36, "pseudoscalar_higgs", 0, 1, True, True), (37, "charged_higgs", 3, 1, True, False),
        (45, "third_higgs", 0, 1, True, True), (46, "second_pseudoscalar_higgs", 0, 1, True, True),
        (7, "b_prime", -1, 3, False, False), (8, "t_prime", 2, 3, False, False),
        (17, "tau_prime", -3, 1, False, False), (18, "tau_prime_neutrino", 0, 1, False, False),
        (32, "Z_prime", 0, 1, True, True), (33, "Z_second", 0, 1, True, True), (34, "W_prime", 3, 1, True, False),
        (39, "graviton", 0, 1, True, True), (42, "leptoquark", -1, 3, True, False),
        (1000021, "gluino", 0, 8, False, True), (1000039, "gravitino", 0, 1, False, True),
        (1000024, "chargino_1", 3, 1, False, False), (1000037, "chargino_2", 3, 1, False, False),
        (111, "pi0", 0, 1, True, True), (211, "pi_plus", 3, 1, True, False), (113, "rho0", 0, 1, True, True),
        (213, "rho_plus", 3, 1, True, False), (311, "K0", 0, 1, True, False), (321, "K_plus", 3, 1, True, False),
        (130, "K0_long", 0, 1, True, True), (310, "K0_short", 0, 1, True, True), (221, "eta", 0, 1, True, True),
    ]  # fmt: skip
    for number, pdg in enumerate((1000022, 1000023, 1000025, 1000035, 1000045), 1):
        rows.append((pdg, f"neutralino_{number}", 0, 1, False, True))
    return {row[0]: Particle(*row) for row in rows}


KNOWN: dict[int, Particle] = _table()

SUPERSYMMETRIC: tuple[int, ...] = tuple(
    sorted(p for p in KNOWN if 1000000 < p < 3000000 and p not in (1000045, 2000012, 2000014, 2000016))
)
"""The particles of the minimal supersymmetric standard model (gravitino included), ascending."""

SQUARKS: frozenset[int] = frozenset(p for p in SUPERSYMMETRIC if KNOWN[p].colour == 3)
GLUINO = 1000021

ONSHELL_GEV: dict[int, float] = {6: 172.5, 23: 91.19, 24: 80.38, 25: 125.1, 5: 4.7, 4: 1.4, 15: 1.777, 13: 0.106}
"""Masses of the heavier particles of the standard model, where a theory does not give them."""


def is_new(pdg: int) -> bool:
    """Whether that code is reserved for physics beyond the standard model (by the numbering scheme)."""
    code = abs(pdg)
    if code >= 1000000000:  # nuclei
        return False
    return code in (7, 8, 17, 18) or 32 <= code <= 80 or code > 1000000


def name_of(pdg: int) -> str:
    """The particle's name with its code, for messages."""
    known = KNOWN.get(abs(pdg))
    return f"{known.name} ({pdg})" if known else str(pdg)
