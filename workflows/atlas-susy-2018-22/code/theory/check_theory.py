"""Step `theory`: read the theory strictly and write what events are made from, and nothing else, into a folder.

sample.json (processes, invisible particles) and generator.slha, or blocks of events of an LHE or HepMC file. The
folder does not depend on names, comments, cross-sections or particles that events never meet: it decides which
generated events may be used again.
"""

from __future__ import annotations

import argparse
import json
from itertools import chain
from pathlib import Path

import hepmc
import lhe
import slha
from particles import NEUTRAL
from refusal import guarded, refuse
from spectrum import Sample, generator_file, judge

BLOCK_SIZE = 2500
"""Events per block of a file; the same as block_size in workflow.yml."""


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("theory", type=Path)
    parser.add_argument("--format", required=True, choices=["slha", "lhe", "hepmc2", "hepmc3"])
    parser.add_argument("--sample", required=True, type=Path)
    options = parser.parse_args()
    if not options.theory.is_file():
        refuse(f"{options.theory} is not a file")
    options.sample.mkdir(parents=True, exist_ok=True)
    write = {"slha": from_slha, "lhe": from_lhe}.get(options.format, from_hepmc)
    sample = write(options.theory, options.sample)
    text = json.dumps(sample, indent=1, sort_keys=True)
    (options.sample / "sample.json").write_text(text + "\n", encoding="ascii")


def from_slha(theory: Path, folder: Path) -> dict[str, object]:
    """Processes of strong production that the spectrum opens."""
    spectrum = slha.read(theory.read_text(encoding="utf-8-sig", errors="replace"))
    sample = judge(spectrum)
    (folder / "generator.slha").write_text(generator_file(spectrum, sample), encoding="ascii")
    return {
        "source": "slha",
        "processes": [{"name": name, "states": list(states), "available": None} for name, states in sample.processes],
        "invisible": list(sample.invisible),
    }


def from_lhe(theory: Path, folder: Path) -> dict[str, object]:
    """The events of the file as one process; decays from the <slha> block of its header."""
    lines = lhe.lines_of(theory)
    header = lhe.read_header(lines)
    scan = lhe.cut_into_blocks(lines, folder, process="lhe", block_size=BLOCK_SIZE)
    invisible = sorted(scan.stable)
    if header.slha.strip():
        spectrum = slha.read(header.slha)
        decayed = {p for p, t in spectrum.decays.items() if t.width_gev > 0 and t.channels}
        sample = judge_left_over(spectrum, scan)
        neutral = {p for p, q in spectrum.quantum_numbers.items() if q.get(1, 0) == 0 and q.get(3, 1) == 1}
        lhe.check_stable(scan, decayed, neutral)
        (folder / "generator.slha").write_text(generator_file(spectrum, sample), encoding="ascii")
        invisible = sorted({*sample.invisible, *(scan.stable - decayed)})
    else:
        lhe.check_stable(scan, set(), set())
        unnamed = sorted(set(invisible) - set(NEUTRAL))
        if unnamed:
            refuse(f"particles {unnamed} need QNUMBERS in the <slha> block of the file")
    return {
        "source": "lhe",
        "processes": [{"name": "lhe", "states": sorted(scan.produced), "available": scan.n_events}],
        "invisible": invisible,
        "masses_gev": {str(p): m for p, m in sorted(scan.masses_gev.items())},
    }


def judge_left_over(spectrum: slha.Spectrum, scan: lhe.Scan) -> Sample:
    """Check the decays of the new particles that events leave to the generator."""
    return judge(spectrum, roots=tuple(sorted(scan.stable)), processes=(("lhe", tuple(sorted(scan.produced))),))


def from_hepmc(theory: Path, folder: Path) -> dict[str, object]:
    """The events of the file as one process, showered already."""
    lines = lhe.lines_of(theory)
    first = next(lines, "")
    scan = hepmc.cut_into_blocks(chain([first], lines), folder, process="hepmc", block_size=BLOCK_SIZE)
    return {
        "source": "hepmc",
        "processes": [{"name": "hepmc", "states": [], "available": scan.n_events}],
        "invisible": sorted(scan.stable),
        "masses_gev": {str(p): m for p, m in sorted(scan.masses_gev.items())},
    }


if __name__ == "__main__":
    guarded(main)
