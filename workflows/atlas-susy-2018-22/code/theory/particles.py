"""Particles of the supersymmetric zoo by PDG code: names, charge, colour; what this search can produce."""

from __future__ import annotations

NEUTRAL = {
    1000012: "~nu_eL", 1000014: "~nu_muL", 1000016: "~nu_tauL",
    2000012: "~nu_eR", 2000014: "~nu_muR", 2000016: "~nu_tauR",
    1000022: "~chi_10", 1000023: "~chi_20", 1000025: "~chi_30", 1000035: "~chi_40", 1000045: "~chi_50",
    1000039: "~gravitino",
}  # fmt: skip
CHARGED = {
    1000011: "~e_L-", 1000013: "~mu_L-", 1000015: "~tau_1-",
    2000011: "~e_R-", 2000013: "~mu_R-", 2000015: "~tau_2-",
    1000024: "~chi_1+", 1000037: "~chi_2+",
}  # fmt: skip
SQUARKS = {
    1000001: "~d_L", 1000002: "~u_L", 1000003: "~s_L", 1000004: "~c_L",
    2000001: "~d_R", 2000002: "~u_R", 2000003: "~s_R", 2000004: "~c_R",
}  # fmt: skip
SBOTTOMS = {1000005: "~b_1", 2000005: "~b_2"}
STOPS = {1000006: "~t_1", 2000006: "~t_2"}
GLUINO = 1000021
COLOURED = {**SQUARKS, **SBOTTOMS, **STOPS, GLUINO: "~g"}
SUPERSYMMETRIC = {**NEUTRAL, **CHARGED, **COLOURED}
WRITTEN = sorted(set(SUPERSYMMETRIC) - {1000039, 1000045, 2000012, 2000014, 2000016})
"""Particles whose mass a generator must be told: it assumes 500 GeV otherwise."""

HIGGSES = {25: "h0", 35: "H0", 36: "A0", 37: "H+", 45: "H3", 46: "A2"}
STANDARD = {*range(1, 7), *range(11, 17), 21, 22, 23, 24, 25, 111, 211, 113, 213, 221, 130, 310, 321, 311}
"""Particles that the generator decays by itself."""

DECOUPLED_GEV = 9000.0
"""States at this mass and above count as absent (the convention of the simplified models)."""

ABSENT_GEV = 1.0e5
"""The mass absent states are given in the generator's file."""


def name_of(pdg: int) -> str:
    """The particle's name with its code, for messages."""
    name = SUPERSYMMETRIC.get(abs(pdg)) or HIGGSES.get(abs(pdg))
    return f"{name} ({pdg})" if name else f"particle {pdg}"


def is_new(pdg: int) -> bool:
    """True for particles beyond the Standard Model (with one Higgs boson)."""
    code = abs(pdg)
    return (
        code in SUPERSYMMETRIC
        or code in (35, 36, 37, 45, 46)
        or (code > 1000000 and code < 10000000)
        or (40 < code < 81 or 6 < code < 9 or 16 < code < 19 or 25 < code < 38)
    )
