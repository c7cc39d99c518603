"""Step `merge`: yields of all blocks -> efficiency and cutflow per process, with their Monte Carlo errors.

efficiency = sum of weights passed / sum of all weights; its error from the sums of squared weights. Weights may be
negative. Where nothing passes, 3/N is the upper bound at 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

Counts = list[float]


def add(a: Counts, b: Counts) -> Counts:
    """Sum of [events, sum w, sum w^2]."""
    return [x + y for x, y in zip(a, b, strict=True)]


def efficiency(passed: Counts, everything: Counts) -> dict[str, float | int]:
    """Efficiency with error; passed and failed events are independent."""
    n, w, w2 = passed
    _, w_all, w2_all = everything
    value = w / w_all
    variance = ((1 - value) ** 2 * w2 + value**2 * max(w2_all - w2, 0.0)) / w_all**2
    effective = w_all**2 / w2_all
    upper = 3 / effective if n == 0 else value + 1.645 * math.sqrt(variance)
    return {
        "n_passed": int(n),
        "efficiency": value,
        "efficiency_error": math.sqrt(variance) if n else 0.0,
        "efficiency_upper": upper,
    }


def merge(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """All blocks of one process as one sample."""
    everything: Counts = [0, 0.0, 0.0]
    regions: dict[str, Counts] = {}
    cutflow: dict[str, dict[str, Counts]] = {}
    for block in blocks:
        everything = add(everything, block["cutflow"]["common"][0][1:])
        for name, counts in block["regions"].items():
            regions[name] = add(regions[name], counts) if name in regions else counts
        for name, steps in block["cutflow"].items():
            flow = cutflow.setdefault(name, {})
            for step, *counts in steps:
                flow[step] = add(flow[step], counts) if step in flow else counts
    if everything[1] <= 0:
        raise SystemExit(f"the weights of {everything[0]:.0f} events add up to {everything[1]:g}: no efficiency")
    n = sum(b["n_events"] for b in blocks)
    return {
        "n_events": n,
        "blocks": [b["index"] for b in blocks],
        "seeds": [b["seed"] for b in blocks],
        "generator": sorted({b["version"] for b in blocks}),
        "sigma_lo_pb": sum(b["n_events"] * b["sigma_lo_pb"] for b in blocks) / n,
        "sigma_lo_error_pb": math.sqrt(sum((b["n_events"] * b["sigma_lo_error_pb"]) ** 2 for b in blocks)) / n,
        "regions": {name: efficiency(counts, everything) for name, counts in regions.items()},
        "cutflow": {
            name: {step: efficiency(counts, everything) for step, counts in flow.items()}
            for name, flow in cutflow.items()
        },
    }


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("yields", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    blocks = [json.loads(path.read_text()) for path in options.yields]
    blocks.sort(key=lambda b: (b["process"], b["index"]))
    names = list(dict.fromkeys(b["process"] for b in blocks))
    merged = {name: merge([b for b in blocks if b["process"] == name]) for name in names}
    options.output.write_text(json.dumps(merged, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
