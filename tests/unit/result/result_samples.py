"""A result document as an analysis with three likelihoods writes it; tests change copies of it."""

from __future__ import annotations

from typing import Any


def region(name: str, observed: float, background: float, error: float, efficiency: float = 0.1) -> dict[str, Any]:
    n_passed = round(efficiency * 10_000)
    return {
        "name": name, "observed": observed, "background": background, "background_error": error,
        "n_passed": n_passed, "efficiency": efficiency, "efficiency_error": (efficiency / 10_000) ** 0.5,
        "efficiency_upper": 3e-4 if n_passed == 0 else efficiency + 0.005, "signal": efficiency * 140.0,
        "signal_mc_error": (efficiency / 10_000) ** 0.5 * 140.0, "signal_systematic": efficiency * 14.0,
    }  # fmt: skip


def limit(name: str, mu: float, cls: float) -> dict[str, Any]:
    return {
        "name": name, "kind": "multi-bin", "method": "asymptotic", "status": "ok", "cls_observed": cls,
        "cls_expected": [cls / 10, cls / 3, cls, min(3 * cls, 1.0), min(10 * cls, 1.0)], "mu_limit_observed": mu,
        "mu_limit_expected": [mu * f for f in (0.5, 0.7, 1.0, 1.4, 2.0)], "xsec_pb": 1.01e-3,
        "xsec_limit_observed_pb": mu * 1.01e-3, "xsec_limit_expected_pb": mu * 1.01e-3, "r_observed": 1 / mu,
        "r_expected": 1 / mu, "delta_nll": 3.2,
    }  # fmt: skip


def no_limit(name: str, status: str = "no-signal") -> dict[str, Any]:
    empty = dict.fromkeys(limit(name, 1.0, 0.5))
    return empty | {"name": name, "kind": "single-bin", "method": "asymptotic", "status": status}


def document() -> dict[str, Any]:
    return {
        "version": 1,
        "analysis": "atlas-susy-2018-22",
        "theory": {"name": "gluino 2000/0", "parameters": {"m_gluino": 2000.0, "m_lsp": 0.0},
                   "units": {"m_gluino": "GeV"}},
        "run": "r1",
        "lumi_ifb": 139.0,
        "processes": [
            {"name": "gluino-gluino", "xsec_pb": 1.01e-3, "xsec_error_pb": 1.3e-4, "xsec_order": "NNLOapprox+NNLL",
             "xsec_source": "LHC SUSY cross-section working group", "n_events": 10_000}
        ],
        "regions": [
            region("SR2j-1600", 2111, 2190, 130, 0.08), region("SR4j-2200", 60, 60, 5, 0.172),
            region("SR4j-3400", 4, 5.7, 1.0, 0.13), region("SR6j-3400", 0, 0.8, 0.4, 0.0),
        ],
        "limits": [limit("MB-SSd", 0.9, 0.03), limit("MB-GGd", 0.38, 1e-4), no_limit("SR6j-3400")],
        "best": "MB-GGd",
        "verdict": "excluded",
        "verdict_xsec_up": "excluded",
        "verdict_xsec_down": "excluded",
        "validity": {"within": True, "reasons": []},
        "advice": [],
        "warnings": ["27 particles without a mass are taken as decoupled"],
        "cutflow": {"SR4j-2200": [["all", 1.0], ["preselection", 0.885]]},
        "provenance": {"seeds": [1, 2]},
    }  # fmt: skip
