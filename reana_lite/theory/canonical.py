"""The canonical SLHA text of a spectrum: what a generator gets, never the user's text.

Pure. Generators guess where a file is odd: Pythia 8.317 reads 2.0D+03 as 2, drops a block whose header holds a tab, and
takes a negative width for a stable particle, all silently.
"""

from __future__ import annotations

from collections.abc import Mapping

from reana_lite.theory.particle import DECOUPLED_GEV, SUPERSYMMETRIC, is_new
from reana_lite.theory.reading import exact
from reana_lite.theory.slha import Decay, Spectrum


def normalise(spectrum: Spectrum, *, cross_sections: bool = False) -> bytes:
    """The spectrum as canonical SLHA text: equal theories give equal bytes, whatever their files looked like.

    Blanks only, E notation, no comments, everything sorted. XSECTION is left out unless `cross_sections` is set: what
    generates events should not depend on it.
    Where a supersymmetric particle is in MASS, those left out are written at 1e5 GeV: generators assume light ones
    (Pythia: 500 GeV). With them go what Pythia needs to see supersymmetry at all (MODSEL), unit mixing matrices where
    there are none (it takes them for zero) and tan(beta) = 10. Every new particle gets a DECAY table, of width 0 if
    it has none, so that no generator computes its own. Known particles without channels are left to the generator.
    """
    lines: list[str] = []
    for pdg, q in sorted(spectrum.quantum_numbers.items()):
        lines.append(f"BLOCK QNUMBERS {pdg}")
        values = (q.charge3, q.spin_states, q.colour, 0 if q.self_conjugate else 1)
        lines += [f" {index} {value}" for index, value in enumerate(values, 1)]
    masses = dict(spectrum.masses_gev)
    blocks = dict(spectrum.blocks)
    if any(pdg in masses for pdg in SUPERSYMMETRIC):
        masses = dict.fromkeys(SUPERSYMMETRIC, DECOUPLED_GEV) | masses
        blocks = _with_defaults(blocks)
    lines.append("BLOCK MASS")
    lines += [f" {pdg} {exact(mass)}" for pdg, mass in sorted(masses.items())]
    for name, entries in sorted(blocks.items()):
        lines.append(f"BLOCK {name}")
        for key, value in sorted(entries.items()):
            text = str(int(value)) if name == "MODSEL" and value == int(value) else exact(value)
            lines.append(" " + " ".join([*map(str, key), text]))
    new = {pdg for pdg in masses if is_new(pdg) or pdg in spectrum.quantum_numbers}
    for pdg in sorted(new | set(spectrum.decays)):
        lines += _decay_lines(pdg, spectrum.decays.get(pdg), known=pdg not in new)
    if cross_sections:
        lines += _cross_section_lines(spectrum)
    return ("\n".join(lines) + "\n").encode("ascii")


def _cross_section_lines(spectrum: Spectrum) -> list[str]:
    """An XSECTION per entry, in pb; scale scheme and parton densities are not kept."""
    rows = sorted(
        (x.sqrts_gev, x.beams, x.final, x.qcd_order, x.ew_order, x.kappa_f, x.kappa_r, x.xsec_pb)
        for x in spectrum.xsections
    )
    lines = []
    for sqrts, beams, final, qcd, ew, kappa_f, kappa_r, value in dict.fromkeys(rows):
        lines.append(f"XSECTION {exact(sqrts)} {beams[0]} {beams[1]} {len(final)} {' '.join(map(str, final))}")
        lines.append(f" 0 {qcd} {ew} {exact(kappa_f)} {exact(kappa_r)} 0 {exact(value)} file")
    return lines


def _with_defaults(blocks: dict[str, Mapping[tuple[int, ...], float]]) -> dict[str, Mapping[tuple[int, ...], float]]:
    """The blocks with those added without which Pythia would not start, or start with couplings of zero."""
    completed = dict(blocks)
    completed.setdefault("MODSEL", {(1,): 0.0})
    for name, size, instead in _MIXINGS:
        if name not in blocks and instead not in blocks:
            completed[name] = {(i, i): 1.0 for i in range(1, size + 1)}
    if (3,) not in blocks.get("MINPAR", {}) and (2,) not in blocks.get("HMIX", {}):
        completed["MINPAR"] = dict(blocks.get("MINPAR", {})) | {(3,): 10.0}
    return completed


_MIXINGS = (
    ("NMIX", 4, "NMNMIX"), ("UMIX", 2, ""), ("VMIX", 2, ""),
    ("STOPMIX", 2, "USQMIX"), ("SBOTMIX", 2, "DSQMIX"), ("STAUMIX", 2, "SELMIX"),
)  # fmt: skip


def _decay_lines(pdg: int, decay: Decay | None, *, known: bool) -> list[str]:
    open_channels = [c for c in decay.channels if c.branching > 0] if decay else []
    if decay is None or decay.width_gev <= 0 or not open_channels:
        return [] if known else [f"DECAY {pdg} {exact(0.0)}"]
    rows = sorted((c.daughters, c.branching) for c in open_channels)
    return [f"DECAY {pdg} {exact(decay.width_gev)}"] + [
        f" {exact(branching)} {len(daughters)} {' '.join(map(str, daughters))}" for daughters, branching in rows
    ]
