"""Submit every spectrum of a loop, wait for all, print one line of CSV for each.

    export RECAST_SERVER=https://recast.example.org RECAST_TOKEN=...
    python slha_loop.py atlas-susy-2018-22 spectra/*.slha -p n_events=20000 > verdicts.csv

All are queued before the first is waited for. A spectrum that was computed before, by anybody who may be seen, costs no
time: its steps are reused.
"""

import argparse
import csv
import sys
from pathlib import Path

from reana_lite.client import Client
from reana_lite.errors import InvalidInput, NotFound


def main() -> None:
    parser = argparse.ArgumentParser(description="Verdicts of an analysis for many theory files.")
    parser.add_argument("analysis")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    texts = dict(text.split("=", 1) for text in options.parameters)

    with Client() as client:
        runs = {}
        for path in options.files:
            try:
                runs[path] = client.submit(options.analysis, path, texts=texts)
            except InvalidInput as error:  # a spectrum that cannot be read is no reason to lose the others
                sys.stderr.write(f"{path.name}: {error.message}\n")

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(
            ["file", "verdict", "cls_observed", "r_observed", "r_expected", "xsec_limit_observed_pb", "run"]
        )
        for path, run in runs.items():
            over = run.wait()
            try:
                result = over.result()
            except NotFound:
                writer.writerow([path.name, over.state, "", "", "", "", over.id])
                continue
            numbers = [result.cls_observed, result.r_observed, result.r_expected, result.xsec_limit_observed_pb]
            writer.writerow([path.name, result.verdict, *numbers, over.id])


if __name__ == "__main__":
    main()
