"""A squark row of atlas-susy-2018-22: wall seconds, CPU seconds, and where they go, in an empty installation.

    python benchmarks/bench_scan.py [--points 20] [--events 5000] [--cores 2] [--json FILE]

The environment of the analysis is built before the clock starts. CPU seconds of steps are those that the installation has
recorded of every job; those of the installation itself (planning, driving, keeping outputs) are what is left of the whole.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ANALYSES = Path(__file__).parents[1] / "workflows"
GROUPS = {
    "generate": "generation and clustering", "select": "selection", "merge": "selection", "limits": "fits",
    "background": "fits", "plots": "figures",
}  # fmt: skip
PLAN = ["--grid", "m_gluino=1000:1999:1", "--grid", "m_lsp=0"]


def recast(home: Path, *arguments: str) -> tuple[float, float]:
    """(wall seconds, CPU seconds of the process and all its children) of one command."""
    environment = {**os.environ, "RECAST_HOME": str(home), "RECAST_CATALOGUE": str(ANALYSES)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "reana_lite", *arguments], check=True, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wall_s, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu_by_stage(home: Path) -> dict[str, tuple[int, float]]:
    """stage -> (jobs, CPU seconds) of all jobs but those before the clock."""
    found: dict[str, list[float]] = defaultdict(list)
    connection = sqlite3.connect(f"file:{home / 'records.db'}?mode=ro", uri=True)
    rows = connection.execute(
        "select nodes.node, jobs.details from nodes join jobs on jobs.key = nodes.key and jobs.attempt = nodes.attempt "
        "join points on points.run = nodes.run where jobs.first_run = nodes.run"
    )
    for node, details in rows:
        found[node.strip("/").split("/")[0]].append(json.loads(details or "{}").get("cpu_s") or 0.0)
    connection.close()
    return {stage: (len(seconds), sum(seconds)) for stage, seconds in found.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-scan-") as folder:
        home = Path(folder)
        few = ["-p", "n_events=100", "--cores", str(options.cores)]
        recast(home, "scan", "atlas-susy-2018-22", "--grid", "m_squark=2500", "--grid", "m_lsp=0", *few)
        before = cpu_by_stage(home)
        plan_s, _ = recast(home, "scan", "atlas-susy-2018-22", *PLAN, "--dry-run")
        step = 1000 // max(options.points, 1)
        masses = ",".join(str(1000 + step * at) for at in range(options.points))
        wall_s, cpu_s = recast(
            home, "scan", "atlas-susy-2018-22", "--grid", f"m_squark={masses}", "--grid", "m_lsp=0",
            "-p", f"n_events={options.events}", "--cores", str(options.cores), "--name", "row", "-q",
        )  # fmt: skip
        stages = {
            name: (count - before.get(name, (0, 0.0))[0], seconds - before.get(name, (0, 0.0))[1])
            for name, (count, seconds) in cpu_by_stage(home).items()
        }
    print(
        f"{options.points} points of {options.events} events, {options.cores} cores: {wall_s:.1f} s, {cpu_s:.1f} s of CPU"
    )
    print(f"planning 1,000 points, whole process: {plan_s:.2f} s\n")
    print("| stage | jobs | CPU seconds | part |\n| --- | --- | --- | --- |")
    shares: dict[str, float] = defaultdict(float)
    for name, (count, seconds) in sorted(stages.items(), key=lambda item: -item[1][1]):
        print(f"| {name} | {count} | {seconds:.1f} | {seconds / cpu_s:.1%} |")
        shares[GROUPS.get(name, "small steps")] += seconds
    shares["installation"] = cpu_s - sum(seconds for _, seconds in stages.values())
    print("\n" + ", ".join(f"{name} {seconds / cpu_s:.0%}" for name, seconds in shares.items()))
    if options.json:
        document = {"wall_s": wall_s, "cpu_s": cpu_s, "plan_s": plan_s, "stages": stages, "load": os.getloadavg()}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
