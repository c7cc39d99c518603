"""Selection: counts the events of all blocks above the threshold of each region."""

import argparse
import json
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("regions", type=Path)
parser.add_argument("events", type=Path, nargs="+")
parser.add_argument("--output", type=Path, required=True)
options = parser.parse_args()

regions = json.loads(options.regions.read_text())["regions"]
momenta = [float(line) for path in options.events for line in path.read_text().splitlines()]
counts = {region["name"]: sum(pt > region["pt_min_gev"] for pt in momenta) for region in regions}
options.output.write_text(json.dumps({"n_events": len(momenta), "n_passed": counts}, indent=1) + "\n")
