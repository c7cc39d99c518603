"""Step `crosssection`: production cross-section of every process (before decays), and where the theory stands.

The user's value comes before the file's (XSECTION of SLHA at 13 TeV, <init> of LHE, last GenCrossSection of HepMC),
the file's before the tables. Tables hold with everything else decoupled; for gluino and squarks together there is
none, and the generator's lowest order is taken after generation (xsec_pb stays null here).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import hepmc
import lhe
import slha
import yaml
from particles import SBOTTOMS, SQUARKS, STOPS, name_of
from refusal import guarded, refuse
from spectrum import HBAR_C_GEV_MM, Sample, judge, mass_of, validity

SQRTS_GEV = 13000.0
ORDERS = {0: "LO", 1: "NLO", 2: "NLO+NLL", 3: "NNLO+NNLL"}
TABLES = {
    "gluino-gluino": ("gluino", 1.0),
    "squark-antisquark": ("squark", 0.1),  # the table is for ten squarks
    "stop-antistop": ("stopsbottom", 1.0),
    "sbottom-antisbottom": ("stopsbottom", 1.0),
}


def interpolate(table: dict[int, list[float]], mass: float) -> tuple[float, float]:
    """Cross-section and error in pb at a mass in GeV: linear in ln(cross-section); refused outside the table."""
    masses = sorted(table)
    if not masses[0] <= mass <= masses[-1]:
        refuse(
            f"mass {mass:g} GeV is outside of the cross-section table ({masses[0]} to {masses[-1]} GeV); give xsec_pb"
        )
    if mass in table:
        return table[int(mass)][0], table[int(mass)][1]
    low = max(m for m in masses if m < mass)
    high = min(m for m in masses if m > mass)
    part = (mass - low) / (high - low)
    value = math.exp((1 - part) * math.log(table[low][0]) + part * math.log(table[high][0]))
    relative = (1 - part) * table[low][1] / table[low][0] + part * table[high][1] / table[high][0]
    return value, value * relative


def entry(value: float | None, error: float | None, order: str, source: str) -> dict[str, Any]:
    """One process of the answer."""
    return {"xsec_pb": value, "xsec_error_pb": error, "xsec_order": order, "xsec_source": source}


def from_tables(folder: Path, name: str, masses: list[float]) -> dict[str, Any]:
    """Sum over the states of a process. Errors of states are one error of the calculation: added linearly."""
    if name not in TABLES:
        return entry(None, None, "LO", "generator, all open channels of strong production")
    table_name, share = TABLES[name]
    table = yaml.safe_load((folder / f"{table_name}.yml").read_text(encoding="ascii"))
    parts = [interpolate(table["sigma_pb"], mass) for mass in masses]
    source = f"LHC SUSY Cross Section WG, table {table_name}"
    if share != 1:
        source += f", {len(masses)} of 10 squarks"
    return entry(share * sum(v for v, _ in parts), share * sum(e for _, e in parts), table["order"], source)


def from_xsection(spectrum: slha.Spectrum, name: str, states: tuple[int, ...]) -> dict[str, Any] | None:
    """The sum of the XSECTION entries that belong to a process, each at its highest order; None without any."""
    best: dict[tuple[int, ...], tuple[tuple[int, int], float]] = {}
    for x in spectrum.xsections:
        if abs(x.sqrts_gev - SQRTS_GEV) > 1 or x.beams != (2212, 2212) or len(x.final) != 2:
            continue
        if not all(abs(p) in states for p in x.final) or not belongs(name, x.final):
            continue
        if x.final not in best or x.order > best[x.final][0]:
            best[x.final] = (x.order, x.xsec_pb)
    total = sum(value for _, value in best.values())
    if total <= 0:
        return None
    order = min(order for order, _ in best.values())[0]
    source = f"XSECTION of the SLHA file ({len(best)} final states)"
    return entry(total, None, ORDERS.get(order, f"QCD order {order}"), source)


def belongs(name: str, final: tuple[int, ...]) -> bool:
    """True if this final state is one of the process: of squarks only pairs with an antisquark, unless all is open."""
    return name in ("strong", "gluino-gluino") or final[0] * final[1] < 0


def describe_slha(theory: Path, tables: Path, *, use_tables: bool) -> dict[str, Any]:
    """Processes, validity and warnings of a spectrum."""
    spectrum = slha.read(theory.read_text(encoding="utf-8-sig", errors="replace"))
    sample = judge(spectrum)
    reasons, warnings = validity(spectrum, sample)
    processes = {}
    for name, states in sample.processes:
        found = from_xsection(spectrum, name, states)
        if found is None and use_tables:
            found = from_tables(tables, name, [m for p in states if (m := mass_of(spectrum, p)) is not None])
        processes[name] = found or entry(None, None, "LO", "generator")
        if found and found["xsec_source"].startswith("XSECTION"):
            warnings.append(f"{name}: the XSECTION block names no error: no verdict at +-1 sigma of the cross-section")
    unchecked = [name for name, _ in sample.processes if name not in ("gluino-gluino", "squark-antisquark")]
    if unchecked:
        warnings.append(
            f"{', '.join(unchecked)}: not checked against published numbers, as direct gluinos and squarks were"
        )
    if any(name == "strong" for name, _ in sample.processes):
        warnings.append("the error of a lowest-order cross-section is not known (it may be 50 % and more)")
    return {"processes": processes, "validity": reasons, "warnings": warnings, "masses": _masses(spectrum, sample)}


def _masses(spectrum: slha.Spectrum, sample: Sample) -> dict[str, Any]:
    parents = [(m, p) for _, states in sample.processes for p in states if (m := mass_of(spectrum, p)) is not None]
    lsp = min((abs(spectrum.masses_gev.get(p, 0.0)) for p in sample.invisible), default=None)
    return {"parent_gev": min(parents)[0], "parent": name_of(min(parents)[1]), "lsp_gev": lsp}


def describe_file(theory: Path, sample: dict[str, Any]) -> dict[str, Any]:
    """Cross-section of a file of events, and what its particles say about validity."""
    value: float | None
    if sample["source"] == "lhe":
        header = lhe.read_header(lhe.lines_of(theory))
        value, error, where = header.xsec_pb, header.xsec_error_pb, "<init> of the LHE file"
        spectrum = slha.read(header.slha) if header.slha.strip() else None
    else:
        value, error = hepmc.last_cross_section(lhe.lines_of(theory))
        where, spectrum = "last cross-section in the HepMC file", None
    masses = {int(p): m for p, m in sample["masses_gev"].items()}
    produced = sample["processes"][0]["states"] or [p for p in masses if p not in sample["invisible"]]
    parents = [masses[p] for p in produced if p in masses]
    invisible = [
        abs(spectrum.masses_gev[p]) if spectrum and p in spectrum.masses_gev else masses.get(p)
        for p in sample["invisible"]
    ]
    lsp = min((m for m in invisible if m is not None), default=None)
    reasons = []
    if lsp is None:
        reasons.append("no invisible new particle in the events; the search was not checked for such theories")
    elif not parents:
        reasons.append(
            "the events do not say what was produced, so the mass difference to the invisible one is unknown"
        )
    elif min(parents) - lsp < 500:
        reasons.append(
            f"mass difference {min(parents) - lsp:.0f} GeV is below 500 GeV; without matched matrix elements the "
            "efficiency comes out too high"
        )
    if not set(produced) <= {1000021, *SQUARKS, *STOPS, *SBOTTOMS}:
        reasons.append("something else than gluinos and squarks is produced; the search was checked for these only")
    for pdg, table in spectrum.decays.items() if spectrum else ():
        if pdg in masses and 0 < table.width_gev < HBAR_C_GEV_MM:
            length = HBAR_C_GEV_MM / table.width_gev
            reasons.append(f"{name_of(pdg)} flies c tau = {length:.3g} mm; its decay is taken as prompt")
    found = entry(value if value and value > 0 else None, error, "as in the file", where)
    name = sample["processes"][0]["name"]
    known = {"parent_gev": min(parents, default=None), "parent": None, "lsp_gev": lsp}
    return {"processes": {name: found}, "validity": reasons, "warnings": [], "masses": known}


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("theory", type=Path)
    parser.add_argument("--format", required=True)
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--xsec-pb", default="None")
    parser.add_argument("--xsec-error-pb", default="None")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    sample = json.loads((options.sample / "sample.json").read_text())
    given = options.xsec_pb not in ("None", "null", "")
    if options.format == "slha":
        answer = describe_slha(options.theory, options.tables, use_tables=not given)
    else:
        answer = describe_file(options.theory, sample)
    if given:
        use_given(answer, options.xsec_pb, options.xsec_error_pb)
    for name, process in answer["processes"].items():
        if process["xsec_pb"] is None and name != "strong":
            refuse("the file names no cross-section; give the production cross-section with xsec_pb")
    options.output.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def use_given(answer: dict[str, Any], value: str, error: str) -> None:
    """Put the user's value in place of all others."""
    names = list(answer["processes"])
    if len(names) > 1:
        which = ", ".join(names)
        refuse(f"xsec_pb was given, but the theory opens {len(names)} processes ({which}); one value cannot be shared")
    known = error not in ("None", "null", "")
    answer["processes"][names[0]] = entry(float(value), float(error) if known else None, "user", "parameter xsec_pb")
    answer["warnings"] = [w for w in answer["warnings"] if "XSECTION" not in w and "lowest-order" not in w]
    answer["validity"] = [
        "gluino and squarks are both light: not checked against published numbers" if "lowest order" in r else r
        for r in answer["validity"]
    ]
    if not known:
        answer["warnings"].append("xsec_pb was given without error: no verdict at +-1 sigma of it")


if __name__ == "__main__":
    guarded(main)
