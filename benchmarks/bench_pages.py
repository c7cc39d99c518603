"""How long the server takes for each page, and what pages weigh: campaigns of 53 and 1,000 points, a run of 1,000 steps.

    python benchmarks/bench_pages.py [--points 1000] [--repeats 20]

Time is that of a request inside one process (no network, no browser): the first one after the start, the median and the
slowest of the others. Bytes are those of the HTML as it is sent, and without what is drawn. Budgets: 50 kB, 100 ms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from pages_filling import pages, site, without_plots

BUDGET_BYTES, BUDGET_MS = 50_000, 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Weight and server time of every page.")
    parser.add_argument("--points", type=int, nargs="*", default=[53, 1000])
    parser.add_argument("--steps", type=int, default=500, help="of each of two stages of one run")
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    write = sys.stdout.write
    for points in options.points:
        with tempfile.TemporaryDirectory() as home:
            client, ids = site(Path(home), points=points, steps=options.steps)
            write(f"{points} points, {2 * options.steps + 4} steps\n")
            write(f"{'page':20} {'kB':>7} {'no plot':>8} {'first ms':>9} {'median':>7} {'slowest':>8}\n")
            for name, address in pages(ids).items():
                took = []
                for _ in range(options.repeats + 1):
                    begun = time.perf_counter()
                    page = client.get(address)
                    took.append(1e3 * (time.perf_counter() - begun))
                    assert page.status_code == 200, (address, page.text[:2000])
                light, median = len(without_plots(page.data)), statistics.median(took[1:])
                over = " over" if light > BUDGET_BYTES or median > BUDGET_MS else ""
                times = f"{took[0]:9.0f} {median:7.1f} {max(took[1:]):8.1f}"
                write(f"{name:20} {len(page.data) / 1e3:7.1f} {light / 1e3:8.1f} {times}{over}\n")


if __name__ == "__main__":
    main()
