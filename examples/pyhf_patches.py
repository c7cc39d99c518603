"""From a pyhf patchset to CLs: each patch is submitted as a theory, CLs come back.

    export RECAST_SERVER=https://recast.example.org RECAST_TOKEN=...
    python pyhf_patches.py ANALYSIS patchset.json gluino_1000 gluino_1200

A patch is submitted as its bytes, so that one that was made in memory (`jsonpatch.make_patch(background, full).patch`, or
that of `pyhf.PatchSet(...)["gluino_1000"]`) needs no file.
"""

import csv
import json
import sys
from pathlib import Path

from reana_lite.client import Client


def main(analysis: str, patchset: str, *names: str) -> None:
    patches = json.loads(Path(patchset).read_text())["patches"]
    wanted = [patch for patch in patches if not names or patch["metadata"]["name"] in names]

    with Client() as client:
        runs = []
        for patch in wanted:
            name = patch["metadata"]["name"]
            runs.append((name, client.submit(analysis, json.dumps(patch["patch"]).encode(), name=name)))
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["patch", "verdict", "cls_observed", "cls_expected", "mu_limit_observed"])
        for name, run in runs:
            result = run.wait().result()
            writer.writerow([name, result.verdict, result.cls_observed, result.cls_expected, result.mu_limit_observed])


if __name__ == "__main__":
    main(*sys.argv[1:])
