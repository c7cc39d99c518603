"""Step `blocks`: which blocks of events make up the samples: blocks.yml for the scatter of `generate`.

A block is named by its process and its index: more events to the same theory add blocks and keep the ones there are.
The index runs slower than the process, so that the names of members stay as they are, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def plan(processes: list[dict[str, object]], *, n_events: int, block_size: int) -> list[dict[str, object]]:
    """Blocks of at most `block_size` events; a file gives no more events than it holds (`available`)."""
    blocks = []
    for index in range(-(-n_events // block_size)):
        for process in processes:
            available = process["available"]
            total = n_events if available is None else min(n_events, int(str(available)))
            events = min(block_size, total - index * block_size)
            if events > 0:
                blocks.append({"process": process["name"], "index": index, "events": events})
    return blocks


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", type=Path)
    parser.add_argument("--n-events", type=int, required=True)
    parser.add_argument("--block-size", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    sample = json.loads((options.sample / "sample.json").read_text())
    blocks = plan(sample["processes"], n_events=options.n_events, block_size=options.block_size)
    options.output.write_text(json.dumps({"blocks": blocks}, indent=1) + "\n")


if __name__ == "__main__":
    main()
