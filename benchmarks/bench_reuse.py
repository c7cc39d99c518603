"""What reuse saves: a second theory, a re-run after a changed fit, an extended scan; jobs computed against the ideal.

    python benchmarks/bench_reuse.py [--json FILE]

The ideal is what differs and nothing else. Runs are of the minimal analysis that `recast catalogue create` makes (two blocks
of events, a selection, a limit) with few events: steps are short, so jobs are what to look at, and times are mostly those of
starting. Each case is also timed from nothing (in an empty installation, with its environment), which gives the ratio.
"""

# ruff: noqa: T201 - a program for the terminal
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

EVENTS = ["-p", "n_events=4000"]
ROW = ["--grid", "m_gluino=1600:2400:200", "--grid", "m_lsp=0"]
LONGER = ["--grid", "m_gluino=1600:2600:200", "--grid", "m_lsp=0"]


@dataclass(frozen=True)
class Case:
    """What was asked, how long it took with and without what was there, jobs computed and the fewest possible."""

    name: str
    seconds: float
    from_nothing_s: float
    computed: int
    ideal: int


class Installation:
    """`recast` with a home of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self.home, self.folder = folder / "home", folder / "work"
        self.folder.mkdir(parents=True)
        self("catalogue", "create", "search")

    def __call__(self, *arguments: str) -> str:
        environment = {**os.environ, "RECAST_HOME": str(self.home)}
        return subprocess.run(
            [sys.executable, "-m", "reana_lite", *arguments], check=True, env=environment, cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ).stdout  # fmt: skip

    def timed(self, *arguments: str) -> tuple[float, dict[str, Any]]:
        """(wall seconds, the JSON document) of one command."""
        begun = time.perf_counter()
        out = self(*arguments, "-q", "--json")
        return time.perf_counter() - begun, json.loads(out)

    def change_fit(self) -> None:
        """A remark in the program that sets the limit: the step is another one, and so is nothing else."""
        with (self.folder / "search" / "code" / "limit.py").open("a") as stream:
            stream.write("\n# changed\n")


def computed(document: dict[str, Any]) -> int:
    """Jobs of a campaign that it has computed itself."""
    steps = document["steps"]
    return int(steps["finished"]) - int(steps.get("reused", 0))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench-reuse-"))
    cases: list[Case] = []

    def fresh(name: str, *arguments: str, changed: bool = False) -> float:
        installation = Installation(scratch / name)
        if changed:
            installation.change_fit()
        return installation.timed(*arguments)[0]

    try:
        used = Installation(scratch / "used")
        first_s, first = used.timed("scan", "./search", *ROW, *EVENTS, "--name", "row")
        cases.append(Case("a scan of 5 points, nothing there", first_s, first_s, computed(first), computed(first)))
        per_point = computed(first) // 5
        again_s, again = used.timed("scan", "./search", *ROW, *EVENTS, "--name", "row")
        same = computed(again) - computed(first)
        cases.append(Case("the same scan once more", again_s, first_s, same, 0))
        point = ["scan", "./search", "--grid", "m_gluino=2500", "--grid", "m_lsp=0", *EVENTS, "--name", "second"]
        seconds, document = used.timed(*point)
        cases.append(Case("a second theory", seconds, fresh("second", *point), computed(document), per_point))
        longer = ["scan", "./search", *LONGER, *EVENTS, "--name", "longer"]
        seconds, document = used.timed(*longer)
        cases.append(
            Case("the scan with one more point", seconds, fresh("longer", *longer), computed(document), per_point)
        )
        used.change_fit()
        refit = ["scan", "./search", *ROW, *EVENTS, "--name", "refit"]
        seconds, document = used.timed(*refit)
        cases.append(
            Case("5 points after a changed fit", seconds, fresh("refit", *refit, changed=True), computed(document), 5)
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("| case | seconds | from nothing | ratio | jobs computed | ideal |\n| --- | --- | --- | --- | --- | --- |")
    for case in cases:
        ratio = case.seconds / case.from_nothing_s
        print(
            f"| {case.name} | {case.seconds:.2f} | {case.from_nothing_s:.2f} | {ratio:.2f} | {case.computed} | {case.ideal} |"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(case) for case in cases], indent=1) + "\n")
    if any(case.computed > case.ideal for case in cases):
        sys.exit("more was computed than differs")


if __name__ == "__main__":
    main()
