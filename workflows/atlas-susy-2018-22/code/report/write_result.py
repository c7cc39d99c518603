"""Step `result`: everything the run found as one result document, a cutflow for people, and a table of yields."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

NEGLECTED = (
    "signal in the control regions is neglected; the regions based on boosted decision trees are not used; the error of "
    "the cross-section is not fitted but shown as verdicts at +-1 sigma"
)
TABLE = (
    "name", "observed", "background", "background_error", "signal", "signal_mc_error", "signal_systematic", "n_passed",
    "efficiency", "efficiency_error", "efficiency_upper",
)  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    """A JSON document."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def processes(limits: dict[str, Any], yields: dict[str, Any]) -> list[dict[str, Any]]:
    """The `processes` of the result document."""
    return [
        {"name": name, **facts, "n_events": yields[name]["n_events"]} for name, facts in limits["processes"].items()
    ]


def cutflow(limits: dict[str, Any], yields: dict[str, Any]) -> dict[str, Any]:
    """Per process, region and cut: events passed, efficiency with error, expected events."""
    flows: dict[str, Any] = {}
    for name, sample in yields.items():
        scale = limits["processes"][name]["xsec_pb"] * 1000 * limits["lumi_ifb"]
        flows[name] = {
            region: {
                step: {
                    "n_passed": counts["n_passed"],
                    "efficiency": counts["efficiency"],
                    "efficiency_error": counts["efficiency_error"],
                    "signal": counts["efficiency"] * scale,
                }
                for step, counts in steps.items()
            }
            for region, steps in sample["cutflow"].items()
        }
    return flows


def markdown(flows: dict[str, Any], lumi_ifb: float) -> str:
    """The cutflows as Markdown tables."""
    lines = [f"# Cutflow, expected events at {lumi_ifb:g}/fb"]
    for process, regions in flows.items():
        lines += ["", f"## {process}"]
        for region, steps in regions.items():
            lines += ["", f"| {region} | generated events | fraction | expected |", "|---|---:|---:|---:|"]
            for step, c in steps.items():
                fraction = f"{c['efficiency']:.4f} ± {c['efficiency_error']:.4f}"
                lines.append(f"| {step} | {c['n_passed']} | {fraction} | {c['signal']:.4g} |")
    return "\n".join(lines) + "\n"


def result(
    crosssection: dict[str, Any], yields: dict[str, Any], background: dict[str, Any], limits: dict[str, Any]
) -> dict[str, Any]:
    """The result document, but for what only the installation knows (theory, run, provenance of jobs)."""
    reasons = crosssection["validity"]
    return {
        "lumi_ifb": limits["lumi_ifb"],
        "processes": processes(limits, yields),
        "regions": limits["regions"],
        "limits": limits["limits"],
        "best": limits["best"],
        "verdict": limits["verdict"],
        "verdict_xsec_up": limits["verdict_xsec_up"],
        "verdict_xsec_down": limits["verdict_xsec_down"],
        "validity": {"within": not reasons, "reasons": reasons},
        "advice": limits["advice"],
        "warnings": [*crosssection["warnings"], *limits["warnings"], NEGLECTED],
        "cutflow": cutflow(limits, yields),
        "provenance": {
            "generator": sorted({version for sample in yields.values() for version in sample["generator"]}),
            "seeds": {name: sample["seeds"] for name, sample in yields.items()},
        },
        "extra": {
            "s95": background["s95"],
            "background_fits": background["fits"],
            "masses": crosssection["masses"],
        },
    }


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("crosssection", "yields", "background", "limits", "output", "cutflow", "table"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    crosssection, yields, background, limits = (
        load(path) for path in (options.crosssection, options.yields, options.background, options.limits)
    )
    document = result(crosssection, yields, background, limits)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    options.output.write_text(text + "\n", encoding="utf-8")
    options.cutflow.write_text(markdown(document["cutflow"], document["lumi_ifb"]), encoding="utf-8")
    with options.table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, TABLE, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(document["regions"])


if __name__ == "__main__":
    main()
