"""Step `limits`: efficiencies and cross-sections -> signal, CLs, upper limits, verdict.

The likelihood that decides is chosen by expected limit among the three multi-bin models only: they overlap and are
never combined; the discovery regions stand beside them. Signal in control regions is neglected.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from asymptotics import Asymptotics, Limit
from likelihoods import TOYS_BELOW, Counts, model_of, pyhf_cls, read_counts, workspace
from model import Model
from toys import Toys
from verdict import advise, decide, monte_carlo_error

N_TOYS = 10000
FEWEST_FOR_TOYS = 10
"""With fewer events the signal may well be 0 within its MC error, and no limit from pseudo-experiments exists."""

PYHF_AGREEMENT = 0.02


class Signal:
    """Yields per region from all processes: events, MC error, number passed, efficiency of the whole."""

    def __init__(self, yields: dict[str, Any], xsec_pb: dict[str, float], lumi_ifb: float) -> None:
        self.yields, self.xsec_pb, self.lumi_ifb = yields, xsec_pb, lumi_ifb
        self.total_pb = sum(xsec_pb.values())

    def events(self, region: str) -> float:
        """Expected events."""
        return sum(self._scale(p) * y["regions"][region]["efficiency"] for p, y in self.yields.items())

    def mc_error(self, region: str) -> float:
        """Its error from the number of generated events; processes are independent."""
        return math.hypot(*(self._scale(p) * y["regions"][region]["efficiency_error"] for p, y in self.yields.items()))

    def upper(self, region: str) -> float:
        """Upper bound of the efficiency at 95 %: bounds of the processes weighted by cross-section."""
        return (
            sum(x * self.yields[p]["regions"][region]["efficiency_upper"] for p, x in self.xsec_pb.items())
            / self.total_pb
        )

    def n_passed(self, region: str) -> int:
        """Generated events that passed."""
        return sum(y["regions"][region]["n_passed"] for y in self.yields.values())

    def _scale(self, process: str) -> float:
        return self.xsec_pb[process] * 1000 * self.lumi_ifb

    def of(self, counts: Counts) -> tuple[np.ndarray, np.ndarray]:
        """Events and MC errors in the regions of a likelihood."""
        return np.array([self.events(r) for r in counts.regions]), np.array([self.mc_error(r) for r in counts.regions])


class Limits:
    """All limits on one signal; problems become warnings, never exceptions."""

    def __init__(self, signal: Signal, delta: float) -> None:
        self.signal, self.delta = signal, delta
        self.warnings: list[str] = []
        self.fits: dict[str, Asymptotics] = {}

    def row(self, counts: Counts) -> dict[str, Any]:
        """One entry of `limits` in the result document."""
        kind = "multi-bin" if len(counts.regions) > 1 else "single-bin"
        toys = self._needs_toys(counts)
        base = {"name": counts.name, "kind": kind, "method": "toys" if toys else "asymptotic"}
        signal, error = self.signal.of(counts)
        model = model_of(counts, signal, error, self.delta)
        negative = [r for r, s in zip(counts.regions, signal, strict=True) if s < 0]
        if negative:
            self.warnings.append(
                f"{counts.name}: weights add up to less than 0 in {', '.join(negative)}; taken as no signal"
            )
        if not (model.signal > 0).any():
            return base | self._empty("no-signal")
        try:
            fits = Asymptotics(model, counts.observed)
            limit = fits.limit()
            if toys:
                limit = Toys(model, float(counts.observed[0]), n_toys=N_TOYS).limit(limit)
            _check_finite(limit)
        except (ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError) as problem:
            self.warnings.append(f"{counts.name}: no limit: {problem}")
            return base | self._empty("failed")
        self.fits[counts.name] = fits
        several = kind == "multi-bin"
        relative = monte_carlo_error(fits, limit.mu_observed, error) if several else float(error[0] / signal[0])
        return base | self._filled(limit, fits, relative)

    def _needs_toys(self, counts: Counts) -> bool:
        if len(counts.regions) > 1 or counts.background[0] >= TOYS_BELOW:
            return False
        passed = self.signal.n_passed(counts.regions[0])
        if 0 < passed < FEWEST_FOR_TOYS:
            self.warnings.append(
                f"{counts.name}: {passed} generated events pass, too few for pseudo-experiments; the limit is asymptotic"
            )
        return passed >= FEWEST_FOR_TOYS

    def _filled(self, limit: Limit, fits: Asymptotics, relative: float) -> dict[str, Any]:
        total = self.signal.total_pb
        return {
            "status": "ok",
            "cls_observed": limit.cls_observed,
            "cls_expected": list(limit.cls_expected),
            "mu_limit_observed": limit.mu_observed,
            "mu_limit_expected": list(limit.mu_expected),
            "xsec_pb": total,
            "xsec_limit_observed_pb": limit.mu_observed * total,
            "xsec_limit_expected_pb": [mu * total for mu in limit.mu_expected],
            "r_observed": 1 / limit.mu_observed,
            "r_expected": 1 / limit.mu_expected[2],
            "delta_nll": fits.delta_nll(),
            "extra": {"r_mc_error": relative / limit.mu_observed, "mu_best": float(fits.best.mu[0])},
        }

    def _empty(self, status: str) -> dict[str, Any]:
        keys = (
            "cls_observed", "cls_expected", "mu_limit_observed", "mu_limit_expected", "xsec_limit_observed_pb",
            "xsec_limit_expected_pb", "r_observed", "r_expected", "delta_nll",
        )  # fmt: skip
        return {"status": status, "xsec_pb": self.signal.total_pb, **dict.fromkeys(keys)}


def _check_finite(limit: Limit) -> None:
    numbers = [limit.cls_observed, *limit.cls_expected, limit.mu_observed, *limit.mu_expected]
    if not all(math.isfinite(x) for x in numbers):
        raise ArithmeticError("the fit gave a number that is not finite")


def judge(
    rows: list[dict[str, Any]],
    limits: Limits,
    processes: dict[str, Any],
    counts: list[Counts],
    background: dict[str, Any],
    n_events: int,
) -> dict[str, Any]:
    """`best`, the verdict, the verdict at +- 1 sigma of the cross-section, advice."""
    ok = [row for row in rows if row["kind"] == "multi-bin" and row["status"] == "ok"]
    if not ok:
        return _without_limit(limits.signal, background, n_events)
    best = min(ok, key=lambda row: row["mu_limit_expected"][2])
    r = best["r_observed"]
    relative = best["extra"]["r_mc_error"] / r
    answer = {
        "best": best["name"],
        "verdict": decide(best["cls_observed"], r, relative),
        "advice": advise(r, relative, n_events, from_file=bool({"lhe", "hepmc"} & set(processes))),
    }
    which = next(c for c in counts if c.name == best["name"])
    for name, sign in (("verdict_xsec_up", 1), ("verdict_xsec_down", -1)):
        answer[name] = _shifted(limits, which, processes, sign, relative)
    if {answer["verdict_xsec_up"], answer["verdict_xsec_down"]} == {"excluded", "not-excluded"}:
        answer["advice"].append("the verdict changes within the error of the cross-section")
    return answer


def _shifted(limits: Limits, counts: Counts, processes: dict[str, Any], sign: int, relative: float) -> str | None:
    errors = {name: process["xsec_error_pb"] for name, process in processes.items()}
    if any(error is None for error in errors.values()):
        return None
    xsec = {name: max(x + sign * errors[name], 1e-3 * x) for name, x in limits.signal.xsec_pb.items()}
    signal, error = Signal(limits.signal.yields, xsec, limits.signal.lumi_ifb).of(counts)
    fits = Asymptotics(model_of(counts, signal, error, limits.delta), counts.observed)
    mu = fits.observed_limit(limits.fits[counts.name].observed_limit(1.0))
    return decide(float(np.exp(fits.log_cls(np.ones(1))[0])), 1 / mu, relative)


def _without_limit(signal: Signal, background: dict[str, Any], n_events: int) -> dict[str, Any]:
    """No event passes anywhere that counts: not excluded if even the upper bound of the yield is below S95."""
    allowed = [
        signal.upper(region) * signal.total_pb * 1000 * signal.lumi_ifb / entry["observed"]
        for region, entry in background["s95"].items()
    ]
    verdict = "not-excluded" if max(allowed) < 1 else "undetermined"
    advice = [
        f"no event passes in the multi-bin regions; {9 * n_events:,} more events lower the bound on the efficiency ten times"
    ]
    return {"best": None, "verdict": verdict, "verdict_xsec_up": None, "verdict_xsec_down": None, "advice": advice}


def regions(signal: Signal, counts: list[Counts], delta: float) -> list[dict[str, Any]]:
    """The `regions` of the result document."""
    rows = []
    for likelihood in counts:
        for i, region in enumerate(likelihood.regions):
            events, error = signal.events(region), signal.mc_error(region)
            scale = signal.total_pb * 1000 * signal.lumi_ifb
            rows.append({
                "name": region,
                "observed": float(likelihood.observed[i]),
                "background": float(likelihood.background[i]),
                "background_error": float(likelihood.error[i]),
                "n_passed": signal.n_passed(region),
                "efficiency": events / scale,
                "efficiency_error": error / scale,
                "efficiency_upper": signal.upper(region),
                "signal": events,
                "signal_mc_error": error,
                "signal_systematic": abs(delta * events),
            })  # fmt: skip
    return rows


def hold_against_pyhf(limits: Limits, row: dict[str, Any], document: dict[str, Any]) -> None:
    """Compute CLs of the deciding likelihood with pyhf as well; a difference is a warning."""
    try:
        best = limits.fits[row["name"]].best
        start = {"mu": float(best.mu[0]), "totalError": float(best.eta[0]), "signal": float(best.beta[0])}
        observed, expected = pyhf_cls(document, start)
    except Exception as problem:  # noqa: BLE001 - a second opinion must not cost the result
        limits.warnings.append(f"{row['name']}: pyhf could not fit this likelihood ({problem})")
        return
    row["extra"] |= {"pyhf_cls_observed": observed, "pyhf_cls_expected": expected}
    if abs(observed - row["cls_observed"]) > PYHF_AGREEMENT * max(row["cls_observed"], 1e-3):
        limits.warnings.append(f"{row['name']}: CLs is {row['cls_observed']:.4g} here and {observed:.4g} with pyhf")


def main() -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("counts", "yields", "crosssection", "background", "output", "likelihoods"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--signal-systematic", type=float, required=True)
    options = parser.parse_args()
    delta = options.signal_systematic
    if not 0 <= delta < 1:
        parser.error("the signal systematic is a fraction, at least 0 and below 1")
    yields, facts, background = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (options.yields, options.crosssection, options.background)
    )
    lumi_ifb, multi, single = read_counts(options.counts)
    processes = facts["processes"]
    for name, process in processes.items():
        if process["xsec_pb"] is None:
            process["xsec_pb"] = yields[name]["sigma_lo_pb"]
    signal = Signal(yields, {name: p["xsec_pb"] for name, p in processes.items()}, lumi_ifb)
    limits = Limits(signal, delta)
    rows = [limits.row(counts) for counts in (*multi, *single)]
    n_events = min(y["n_events"] for y in yields.values())
    answer = judge(rows, limits, processes, multi, background, n_events)
    for counts in multi:
        model: Model = model_of(counts, *signal.of(counts), delta)
        document = workspace(counts, model)
        (options.likelihoods / f"{counts.name}.json").write_text(
            json.dumps(document, indent=1) + "\n", encoding="ascii"
        )
        if counts.name == answer["best"]:
            hold_against_pyhf(limits, next(row for row in rows if row["name"] == counts.name), document)
    answer |= {
        "lumi_ifb": lumi_ifb,
        "processes": processes,
        "regions": regions(signal, [*single, *multi], delta),
        "limits": rows,
        "warnings": limits.warnings,
    }
    options.output.write_text(json.dumps(answer, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
