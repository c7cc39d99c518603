"""A spectrum judged for this search: what is produced, what it decays through, and the generator's own file."""

from __future__ import annotations

from dataclasses import dataclass

from particles import (
    ABSENT_GEV,
    COLOURED,
    DECOUPLED_GEV,
    GLUINO,
    HIGGSES,
    NEUTRAL,
    SBOTTOMS,
    SQUARKS,
    STANDARD,
    STOPS,
    SUPERSYMMETRIC,
    WRITTEN,
    is_new,
    name_of,
)
from refusal import refuse
from slha import INSTEAD, MIXINGS, Spectrum, Table, branching_sum

HBAR_C_GEV_MM = 1.973269804e-13
"""hbar c in GeV mm: the proper decay length is this over the width."""


@dataclass(frozen=True)
class Sample:
    """What is generated: processes (name, produced states), the particles met in cascades, the invisible ones."""

    processes: tuple[tuple[str, tuple[int, ...]], ...]
    reached: tuple[int, ...]
    invisible: tuple[int, ...]


def mass_of(spectrum: Spectrum, pdg: int) -> float | None:
    """Mass in GeV without its sign, None if absent (not listed, or 9 TeV and above)."""
    mass = spectrum.masses_gev.get(abs(pdg))
    return None if mass is None or abs(mass) >= DECOUPLED_GEV else abs(mass)


def present(spectrum: Spectrum, codes: dict[int, str]) -> tuple[int, ...]:
    """Those of the particles that are light enough to count."""
    return tuple(pdg for pdg in sorted(codes) if mass_of(spectrum, pdg) is not None)


def choose_processes(spectrum: Spectrum) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The production processes that this spectrum opens.

    Each is a sample of its own. With a gluino and squarks both light the tables do not hold: one sample, all channels
    of strong production in the proportions of lowest order.
    """
    gluino, squarks = present(spectrum, {GLUINO: "~g"}), present(spectrum, SQUARKS)
    if gluino and squarks:
        return (("strong", present(spectrum, COLOURED)),)
    found = (
        ("gluino-gluino", gluino),
        ("squark-antisquark", squarks),
        ("stop-antistop", present(spectrum, STOPS)),
        ("sbottom-antisbottom", present(spectrum, SBOTTOMS)),
    )
    return tuple((name, states) for name, states in found if states)


def judge(
    spectrum: Spectrum,
    *,
    processes: tuple[tuple[str, tuple[int, ...]], ...] | None = None,
    roots: tuple[int, ...] | None = None,
) -> Sample:
    """What would be generated; refused where events would be wrong without a word.

    `processes` and `roots` (the particles left to decay) are given for files of events, else they follow from the
    spectrum.
    """
    if processes is None:
        processes = choose_processes(spectrum)
        if not processes:
            refuse("neither a gluino nor a squark below 9 TeV: this search has nothing to look for in this theory")
    reached: list[int] = []
    invisible: set[int] = set()
    todo = [pdg for _, states in processes for pdg in states] if roots is None else list(roots)
    while todo:
        pdg = abs(todo.pop())
        if pdg in reached or not (is_new(pdg) or pdg in spectrum.quantum_numbers or pdg in HIGGSES):
            continue
        table = spectrum.decays.get(pdg)
        stable = table is None or table.width_gev == 0 or not table.channels
        if stable and pdg in STANDARD:
            continue
        reached.append(pdg)
        if table is None or stable:
            _check_stable(spectrum, pdg, table)
            invisible.add(pdg)
        else:
            _check_decays(spectrum, pdg, table)
            todo += [d for branching, daughters in table.channels if branching > 0 for d in daughters]
    return Sample(processes, tuple(sorted(reached)), tuple(sorted(invisible)))


def _check_stable(spectrum: Spectrum, pdg: int, table: Table | None) -> None:
    numbers = spectrum.quantum_numbers.get(pdg)
    neutral = (numbers.get(1, 0) == 0 and numbers.get(3, 1) == 1) if numbers is not None else pdg in NEUTRAL
    if neutral:
        if mass_of(spectrum, pdg) is None and pdg not in spectrum.masses_gev:
            refuse(f"{name_of(pdg)} is produced in decays but has no mass in the MASS block")
        return
    why = (
        "has no DECAY table"
        if table is None
        else f"has width {table.width_gev:g} GeV and {len(table.channels)} channels"
    )
    refuse(f"{name_of(pdg)} is produced, is charged or coloured (or unknown) and {why}: it would be taken as stable")


def _check_decays(spectrum: Spectrum, pdg: int, table: Table) -> None:
    total = branching_sum(table)
    if abs(total - 1) > 0.01:
        refuse(f"the branching ratios of {name_of(pdg)} add up to {total:.4f}, not 1", line=table.line)
    mother = mass_of(spectrum, pdg)
    if mother is None:
        refuse(f"{name_of(pdg)} occurs in decays but has no mass below 9 TeV in the MASS block", line=table.line)
    closed = closed_fraction(spectrum, pdg, table)
    if closed > 0.01:
        refuse(
            f"{closed:.0%} of the decays of {name_of(pdg)} ({mother:g} GeV) go to particles heavier than itself",
            line=table.line,
        )


def closed_fraction(spectrum: Spectrum, pdg: int, table: Table) -> float:
    """Fraction of the decays that go to new particles heavier in sum than the decaying one."""
    mother, closed = mass_of(spectrum, pdg) or 0.0, 0.0
    for branching, daughters in table.channels:
        masses = [mass_of(spectrum, d) for d in daughters if is_new(d) or abs(d) in spectrum.quantum_numbers]
        if None in masses or sum(m for m in masses if m is not None) >= mother:
            closed += branching
    return closed


def generator_file(spectrum: Spectrum, sample: Sample) -> str:
    """Canonical SLHA with what the events depend on and nothing else: equal physics gives equal text."""
    known = dict.fromkeys(WRITTEN, ABSENT_GEV)
    for pdg in {*sample.reached, *(p for _, states in sample.processes for p in states)}:
        mass = spectrum.masses_gev.get(pdg)
        if mass is not None:
            known[pdg] = mass
    lines = ["BLOCK MODSEL", " 1 0", "BLOCK MINPAR", f" 3 {spectrum.tan_beta:.8E}"]
    for pdg in sorted(set(spectrum.quantum_numbers) & set(sample.reached)):
        lines.append(f"BLOCK QNUMBERS {pdg}")
        lines += [f" {key} {value}" for key, value in sorted(spectrum.quantum_numbers[pdg].items())]
    lines.append("BLOCK MASS")
    lines += [f" {pdg} {mass:.8E}" for pdg, mass in sorted(known.items())]
    for name, size in MIXINGS.items():
        entries = spectrum.mixings.get(name)
        needed = name in ("UMIX", "VMIX") or (name in INSTEAD and INSTEAD[name] not in spectrum.mixings)
        if entries is None and needed:
            entries = {(i, i): 1.0 for i in range(1, size + 1)}
        if entries:
            lines.append(f"BLOCK {name}")
            lines += [f" {i} {j} {value:.8E}" for (i, j), value in sorted(entries.items())]
    for pdg in sorted({*sample.reached, *SUPERSYMMETRIC}):
        lines += _decay_lines(pdg, spectrum.decays.get(pdg) if pdg in sample.reached else None)
    return "\n".join(lines) + "\n"


def _decay_lines(pdg: int, table: Table | None) -> list[str]:
    if table is None or table.width_gev == 0 or not table.channels:
        return [f"DECAY {pdg} {0.0:.8E}"] if pdg in WRITTEN or table is not None else []
    rows = sorted((tuple(sorted(d, key=lambda c: (-abs(c), c))), b) for b, d in table.channels if b > 0)
    return [f"DECAY {pdg} {table.width_gev:.8E}"] + [
        f" {branching:.8E} {len(daughters)} {' '.join(map(str, daughters))}" for daughters, branching in rows
    ]


def validity(spectrum: Spectrum, sample: Sample) -> tuple[list[str], list[str]]:
    """Why this theory lies outside of where the analysis was checked, and what else is worth a warning."""
    reasons, warnings = [], []
    lsp = min((abs(spectrum.masses_gev.get(p, 0.0)) for p in sample.invisible), default=None)
    for name, states in sample.processes:
        if name == "strong":
            reasons.append(
                "gluino and squarks are both light: cross-section at lowest order, one sample for all channels"
            )
        if lsp is None:
            reasons.append(f"{name}: no invisible new particle; the search was not checked for such theories")
            continue
        parent = min(m for p in states if (m := mass_of(spectrum, p)) is not None)
        if parent - lsp < 500:
            reasons.append(
                f"{name}: mass difference {parent - lsp:.0f} GeV is below 500 GeV; without matched matrix elements "
                "the efficiency comes out too high"
            )
    for pdg in sample.reached:
        table = spectrum.decays.get(pdg)
        if table is None or table.width_gev <= 0 or not table.channels:
            continue
        length = HBAR_C_GEV_MM / table.width_gev
        if length > 1:
            reasons.append(f"{name_of(pdg)} flies c tau = {length:.3g} mm; its decay is taken as prompt")
        closed = closed_fraction(spectrum, pdg, table)
        if closed > 0:
            warnings.append(f"{closed:.2%} of the decays of {name_of(pdg)} are closed by kinematics and left out")
    for pdg, table in sorted(spectrum.decays.items()):
        if is_new(pdg) and pdg not in sample.reached and 0 < table.width_gev < 1e-30:
            warnings.append(f"{name_of(pdg)} has width {table.width_gev:g} GeV; it is not met in these events")
    absent = [p for p in WRITTEN if p not in spectrum.masses_gev]
    if absent:
        warnings.append(f"{len(absent)} supersymmetric particles are not in the MASS block and count as decoupled")
    light = [p for p in (1000023, 1000024) if (m := mass_of(spectrum, p)) is not None and p not in sample.invisible]
    if light:
        warnings.append("charginos and neutralinos are light; their direct production is not looked at")
    return reasons, warnings
