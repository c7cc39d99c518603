"""Toy generator: the transverse momentum of each event falls exponentially, the harder the heavier the gluino is."""

import argparse
import json
import random
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("theory", type=Path)
parser.add_argument("--events", type=int, required=True, help="events of all blocks together")
parser.add_argument("--seed", type=int, required=True, help="the block: its seed")
parser.add_argument("--blocks", type=int, nargs="+", required=True, help="seeds of all blocks")
parser.add_argument("--output", type=Path, required=True)
options = parser.parse_args()

masses = json.loads(options.theory.read_text())["parameters"]
mean_gev = 0.25 * (masses["m_gluino"] - masses["m_lsp"])
if mean_gev <= 0:
    raise SystemExit("m_gluino must be larger than m_lsp")

position, number = options.blocks.index(options.seed), len(options.blocks)
n_events = options.events // number + (position < options.events % number)
stream = random.Random(options.seed)
lines = [f"{stream.expovariate(1.0 / mean_gev):.3f}\n" for _ in range(n_events)]
options.output.write_text("".join(lines))
