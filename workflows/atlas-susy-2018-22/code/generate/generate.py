"""Step `generate`: one block of events -> what the selection needs of them: jets, leptons, missing momentum.

Events come from Pythia (from a spectrum, or showering the events of an LHE file) or from a HepMC file. The numbers
follow from the sample, the process and the index of the block alone: never from the machine, the clock, a
cross-section, or the number of events asked for in all.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from reconstruct import Block

SEED_STRIDE = 10_000_000
PROCESS_CODES = {
    "gluino-gluino": 0, "squark-antisquark": 1, "stop-antistop": 2, "sbottom-antisbottom": 3, "strong": 4, "lhe": 5,
    "hepmc": 6,
}  # fmt: skip
SWITCHES = {
    "gluino-gluino": ("SUSY:gg2gluinogluino = on", "SUSY:qqbar2gluinogluino = on"),
    "strong": (
        "SUSY:gg2gluinogluino = on", "SUSY:qqbar2gluinogluino = on", "SUSY:qg2squarkgluino = on",
        "SUSY:gg2squarkantisquark = on", "SUSY:qqbar2squarkantisquark = on", "SUSY:qq2squarksquark = on",
    ),
}  # fmt: skip
PAIRS = ("SUSY:gg2squarkantisquark = on", "SUSY:qqbar2squarkantisquark = on")
CHUNK = 250
"""Events held in memory at once, in full; changes no number."""

MAX_FAILED = 0.01


def seed_of(process: str, index: int) -> int:
    """Pythia's seed, between 1 and 900000000 (0 would be the clock)."""
    return 1 + PROCESS_CODES[process] * SEED_STRIDE + index


def settings_of(sample: dict[str, object], folder: Path, process: str, index: int, states: list[int]) -> list[str]:
    """Everything Pythia is told. Multi-parton interactions are off: efficiencies do not need them, time does."""
    settings = [
        "Random:setSeed = on", f"Random:seed = {seed_of(process, index)}", "PartonLevel:MPI = off",
        "Print:quiet = on", "Next:numberCount = 0", "SLHA:verbose = 0",
    ]  # fmt: skip
    spectrum = folder / "generator.slha"
    settings += ["SLHA:readFrom = 2", f"SLHA:file = {spectrum}"] if spectrum.exists() else ["SLHA:readFrom = 0"]
    if sample["source"] == "lhe":
        return [*settings, "Beams:frameType = 4", f"Beams:LHEF = {folder / f'{process}-{index}.lhe'}"]
    settings.append("Beams:eCM = 13000.")
    if process in SWITCHES:
        return [*settings, *SWITCHES[process]]
    return [*settings, *PAIRS, f"SUSY:idVecA = {_vector(states)}", f"SUSY:idVecB = {_vector(states)}"]


def _vector(states: list[int]) -> str:
    return "{" + ",".join(map(str, states)) + "}"


def run_pythia(settings: list[str], n_events: int, block: Block) -> None:
    """Generate `n_events` and give them to the block; fails where Pythia fails on more than 1 % of them."""
    import awkward as ak
    import pythia8mc

    pythia = pythia8mc.Pythia("", False)
    for setting in settings:
        if not pythia.readString(setting):
            sys.exit(f"the generator does not know the setting {setting!r}")
    if not pythia.init():
        sys.exit("the generator did not start; its reasons stand above")
    block.version = f"pythia8mc {pythia.parm('Pythia:versionNumber'):.3f}"
    left = n_events
    while left > 0:
        events = pythia.nextBatch(min(CHUNK, left), errorMode="skip")
        left -= min(CHUNK, left)
        if len(events) == 0:
            continue
        particles = events.prt
        momentum = particles.p
        weights = events.info.weights
        block.add(
            counts=np.asarray(ak.num(particles.id, axis=1)),
            final=np.asarray(ak.flatten(particles.status)) > 0,
            pdg=np.asarray(ak.flatten(particles.id)),
            momentum=tuple(np.asarray(ak.flatten(momentum[c])) for c in ("px", "py", "pz", "e")),
            weights=np.asarray(ak.to_numpy(weights[:, 0]), dtype=float),
        )
    info = pythia.infoPython()
    block.sigma_lo_pb, block.sigma_lo_error_pb = 1e9 * info.sigmaGen(), 1e9 * info.sigmaErr()


def read_hepmc(path: Path, n_events: int, block: Block) -> None:
    """Give the first `n_events` of a HepMC file to the block."""
    import pyhepmc

    block.version = f"pyhepmc {pyhepmc.__version__}"
    chunk: list[tuple[object, ...]] = []
    with pyhepmc.open(str(path)) as stream:
        for number, event in enumerate(stream, 1):
            scale = 1.0 if event.momentum_unit == pyhepmc.Units.GEV else 1e-3
            p = event.numpy.particles
            keep = p.status == 1
            momentum = np.stack([p.px[keep], p.py[keep], p.pz[keep], p.e[keep]]) * scale
            weight = event.weights[0] if len(event.weights) else 1.0
            chunk.append((p.pid[keep].copy(), momentum, weight))
            if number == n_events:
                break
    for start in range(0, len(chunk), CHUNK):
        part = chunk[start : start + CHUNK]
        momentum = np.concatenate([c[1] for c in part], axis=1)
        block.add(
            counts=np.array([len(c[0]) for c in part]),
            final=np.ones(momentum.shape[1], dtype=bool),
            pdg=np.concatenate([c[0] for c in part]),
            momentum=tuple(momentum),
            weights=np.array([c[2] for c in part], dtype=float),
        )


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--process", required=True, choices=sorted(PROCESS_CODES))
    parser.add_argument("--block", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    sample = json.loads((options.sample / "sample.json").read_text())
    states = next(p["states"] for p in sample["processes"] if p["name"] == options.process)
    block = Block(
        process=options.process,
        index=options.block,
        seed=seed_of(options.process, options.block),
        invisible=sample["invisible"],
    )
    if sample["source"] == "hepmc":
        read_hepmc(options.sample / f"hepmc-{options.block}.hepmc", options.events, block)
    else:
        settings = settings_of(sample, options.sample, options.process, options.block, states)
        run_pythia(settings, options.events, block)
    failed = options.events - block.n_events
    if failed > MAX_FAILED * options.events:
        sys.exit(f"{failed} of {options.events} events failed, more than 1 %: the numbers would be biased")
    block.save(options.output)


if __name__ == "__main__":
    main()
