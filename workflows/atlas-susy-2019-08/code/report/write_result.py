"""Step `result`: limits on mu -> cross-sections, verdict, validity: the result document and a table of yields."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import yaml

LUMI_IFB = 139.0
PROCESS = "chargino-neutralino"
TABLE = (
    "name", "observed", "background", "background_error", "signal", "signal_mc_error", "signal_systematic", "efficiency",
    "efficiency_error",
)  # fmt: skip
REGIONS = {
    # Names by mT and mCT; windows in GeV from ATLAS's SimpleAnalysis, EwkOneLeptonTwoBjets2018.
    "SRLMEM_mct2": ("SR-LM", (100.0, 160.0)),
    "SRMMEM_mct2": ("SR-MM", (160.0, 240.0)),
    "SRHMEM_mct2": ("SR-HM", (240.0, None)),
}
MCT_GEV = {"low": (180.0, 230.0), "med": (230.0, 280.0), "high": (280.0, None)}
NEAR_ONE = 0.05
XSEC_IS_FITTED = (
    "the published signal has the error of its cross-section among the fitted parameters (SigXSec); verdicts at +-1 sigma "
    "of it come on top of that"
)


def interpolate(table: dict[int, list[float]], mass: float) -> tuple[float, float] | None:
    """Cross-section and error in pb at a mass in GeV, linear in ln(cross-section); None outside of the table."""
    masses = sorted(table)
    if not masses[0] <= mass <= masses[-1]:
        return None
    if mass in table:
        return table[int(mass)][0], table[int(mass)][1]
    low = max(m for m in masses if m < mass)
    high = min(m for m in masses if m > mass)
    part = (mass - low) / (high - low)
    value = math.exp((1 - part) * math.log(table[low][0]) + part * math.log(table[high][0]))
    relative = (1 - part) * table[low][1] / table[low][0] + part * table[high][1] / table[high][0]
    return value, value * relative


def process(
    signal: dict[str, Any], table: dict[str, Any], xsec_pb: float | None, error_pb: float | None
) -> dict[str, Any]:
    """The production process with its cross-section: the table's for published points, else the user's."""
    known: dict[str, Any] = {"xsec_pb": None, "xsec_error_pb": None, "xsec_order": None, "xsec_source": None}
    if signal["source"] == "published":
        found = interpolate(table["sigma_pb"], signal["masses"]["parent_gev"])
        if found is not None:
            source = "LHC SUSY Cross Section WG, wino-like C1N2"
            known = dict(zip(known, (*found, table["order"], source), strict=True))
    elif xsec_pb is not None:
        known = dict(zip(known, (xsec_pb, error_pb, "user", "parameter xsec_pb"), strict=True))
    return {"name": PROCESS if signal["source"] == "published" else "signal", **known, "n_events": 0}


def region(row: dict[str, Any], xsec_pb: float | None) -> dict[str, Any]:
    """A bin of a signal region as the result document has it; the efficiency includes the branching ratios."""
    channel, _, rest = row["bin"].partition("[")
    which, mct = list(MCT_GEV.items())[int(rest[:-1])]
    name, mt = REGIONS[channel]
    events = None if xsec_pb is None else xsec_pb * 1000 * LUMI_IFB
    return {
        "name": f"{name}-{which}-mCT",
        "observed": row["observed"],
        "background": row["background"],
        "background_error": row["background_error"],
        "n_passed": None,
        "efficiency": None if events is None else row["signal"] / events,
        "efficiency_error": None if events is None else row["signal_mc_error"] / events,
        "efficiency_upper": None,
        "signal": row["signal"],
        "signal_mc_error": row["signal_mc_error"],
        "signal_systematic": row["signal_systematic"],
        "extra": {
            "mt_gev": list(mt),
            "mct_gev": list(mct),
            "background_after_fit_to_all": row["fitted"],
            "background_error_after_fit_to_all": row["fitted_error"],
        },
    }


def limit(found: dict[str, Any], xsec_pb: float | None) -> dict[str, Any]:
    """The limit with what follows from it."""
    mu, expected = found["mu_limit_observed"], found["mu_limit_expected"]
    in_pb = mu is not None and xsec_pb is not None
    return {
        **found,
        "xsec_pb": xsec_pb,
        "xsec_limit_observed_pb": mu * xsec_pb if in_pb else None,
        "xsec_limit_expected_pb": [m * xsec_pb for m in expected] if in_pb else None,
        "r_observed": None if mu is None else 1 / mu,
        "r_expected": None if mu is None else 1 / expected[2],
    }


def verdicts(found: dict[str, Any], relative: float | None) -> dict[str, str | None]:
    """The verdict, and at the cross-section +-1 sigma: there the limit on mu is held against 1 +- its relative error."""
    if found["status"] != "ok":
        return {"verdict": "undetermined", "verdict_xsec_up": None, "verdict_xsec_down": None}

    def at(strength: float) -> str:
        return "excluded" if found["mu_limit_observed"] < strength else "not-excluded"

    return {
        "verdict": "excluded" if found["cls_observed"] < 0.05 else "not-excluded",
        "verdict_xsec_up": None if relative is None else at(1 + relative),
        "verdict_xsec_down": None if relative is None else at(1 - relative),
    }


def parameters(masses: dict[str, float] | None) -> dict[str, float]:
    """The masses of a published signal in GeV, named as the axes of analysis.yml; {} for a signal of one's own."""
    if masses is None:
        return {}
    return {"m_c1n2": masses["parent_gev"], "m_lsp": masses["lsp_gev"]}


def advice(found: dict[str, Any], signal: dict[str, Any], xsec_pb: float | None) -> list[str]:
    """What the user can do."""
    said = []
    if found["status"] == "ok" and abs(1 / found["mu_limit_observed"] - 1) < NEAR_ONE:
        said.append("r is within 5 % of 1: the verdict is no better than that")
    if signal["source"] != "published" and xsec_pb is None:
        said.append("give the cross-section that the signal is normalised to (-p xsec_pb=...) for limits in pb")
    return said


def result(
    signal: dict[str, Any], limits: dict[str, Any], background: dict[str, Any], made: dict[str, Any]
) -> dict[str, Any]:
    """The result document, but for what only the installation knows."""
    xsec, error = made["xsec_pb"], made["xsec_error_pb"]
    found = limits["limit"]
    warnings = list(limits["warnings"])
    if signal["source"] == "published":
        warnings.append(XSEC_IS_FITTED)
    if not signal["verified"]:
        warnings.append("a patch alone does not say which likelihood it was made for; only a patchset has its digest")
    return {
        "theory": {"parameters": parameters(signal["masses"])},
        "lumi_ifb": LUMI_IFB,
        "processes": [made],
        "regions": [region(row, xsec) for row in limits["regions"]],
        "limits": [limit(found, xsec)],
        "best": found["name"] if found["status"] == "ok" else None,
        **verdicts(found, None if xsec is None or error is None else error / xsec),
        "validity": {"within": not limits["outside"], "reasons": limits["outside"]},
        "advice": advice(found, signal, xsec),
        "warnings": warnings,
        "provenance": {"likelihood_digest": limits["digest"], "signal": signal["source"]},
        "extra": {
            "point": signal["name"],
            "values": signal["values"],
            "masses": signal["masses"],
            "controls": limits["controls"],
            "background_pulls": background["pulls"],
            "background_normalisation": background["free"],
            "n_parameters": limits["n_parameters"],
        },
    }


def number(text: str) -> float | None:
    """A parameter that may be absent."""
    return None if text in ("None", "null", "") else float(text)


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("signal", "limits", "background", "xsec", "output", "table"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--xsec-pb", default="None")
    parser.add_argument("--xsec-error-pb", default="None")
    options = parser.parse_args()
    signal, limits, background = (
        json.loads(path.read_text(encoding="utf-8")) for path in (options.signal, options.limits, options.background)
    )
    given = number(options.xsec_pb)
    if given is not None and signal["source"] == "published":
        sys.stderr.write("refused: xsec_pb is for signals of your own; published points are normalised to the table\n")
        sys.exit(3)
    table = yaml.safe_load(options.xsec.read_text(encoding="utf-8"))
    document = result(signal, limits, background, process(signal, table, given, number(options.xsec_error_pb)))
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    options.output.write_text(text + "\n", encoding="utf-8")
    with options.table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, TABLE, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(document["regions"])


if __name__ == "__main__":
    main()
