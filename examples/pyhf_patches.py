"""From a pyhf patchset to CLs: each patch is submitted as a theory, CLs come back.

    export RECAST_SERVER=https://recast.example.org RECAST_TOKEN=...
    python pyhf_patches.py ANALYSIS patchset.json gluino_1000 gluino_1200

A patch is submitted as its bytes, so that one that was made in memory (`jsonpatch.make_patch(background, full).patch`, or
that of `pyhf.PatchSet(...)["gluino_1000"]`) needs no file.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

from reana_lite.client import Client


def main() -> None:
    parser = argparse.ArgumentParser(description="CLs of an analysis for patches of a pyhf patchset.")
    parser.add_argument("analysis")
    parser.add_argument("patchset", type=Path)
    parser.add_argument("names", nargs="*", help="patches of it; all, if none is named")
    given = parser.parse_args()
    patches = json.loads(given.patchset.read_text())["patches"]
    wanted = [patch for patch in patches if not given.names or patch["metadata"]["name"] in given.names]

    with Client() as client:
        runs = []
        for patch in wanted:
            name = patch["metadata"]["name"]
            runs.append((name, client.submit(given.analysis, json.dumps(patch["patch"]).encode(), name=name)))
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["patch", "verdict", "cls_observed", "cls_expected", "mu_limit_observed"])
        for name, run in runs:
            result = run.wait().result()
            writer.writerow([name, result.verdict, result.cls_observed, result.cls_expected, result.mu_limit_observed])


if __name__ == "__main__":
    main()
