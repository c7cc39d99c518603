"""Outcomes with limits that follow from a formula; the published maps of the shared physics folder, where it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from reana_lite.comparison import Outcome, Status
from reana_lite.result import Verdict

SHARED = Path(os.environ.get("RECAST_SHARED", Path(__file__).parents[4] / "shared")) / "physics"
BAND = (0.5, 0.7, 1.0, 1.4, 2.0)


def outcome(mu: float | None, *, expected: float | None = None, status: str = "ok", **more: Any) -> Outcome:
    """An outcome with this observed limit on mu; numbers beginning with m_ are its place."""
    place = {name: more.pop(name) for name in list(more) if name.startswith("m_")}
    if status != "ok" or mu is None:
        return Outcome(
            more.pop("theory", "bad"), more.pop("analysis", "a"), parameters=place, status=Status(status), **more
        )
    xsec = more.get("xsec_pb", 2e-3)
    middle = mu if expected is None else expected
    known = {
        "verdict": Verdict.EXCLUDED if mu < 1 else Verdict.NOT_EXCLUDED, "observed": mu,
        "expected": tuple(middle * f for f in BAND), "r_observed": 1 / mu, "r_expected": 1 / middle,
        "cls_observed": 1e-52 if mu < 1e-6 else 0.04, "xsec_pb": xsec, "xsec_error_pb": 4e-4,
        "xsec_limit_observed_pb": mu * xsec, "xsec_limit_expected_pb": middle * xsec, "likelihood": "L",
    }  # fmt: skip
    name = more.pop("theory", "t_" + "_".join(f"{v:g}" for v in place.values()))
    return Outcome(name, more.pop("analysis", "a"), parameters=place, status=Status.OK, **(known | more))


def published_map(topology: str, table: str, factor: float, axis: str) -> list[Outcome]:
    """Published upper limits over the reference cross-section; skips where the shared folder is not."""
    limits = SHARED / "ATLAS-SUSY-2018-22" / "upper_limits" / f"{topology}.json"
    if not limits.is_file():
        pytest.skip("no shared physics data")
    rows = json.loads((SHARED / "xsec" / f"pp13_{table}_NNLO+NNLL.json").read_text())["data"]
    found = []
    for (mass, light), limit_fb in json.loads(limits.read_text())["upperLimits"]:
        row = rows.get(f"{mass:.0f}")
        if row is not None:
            xsec, error = row["xsec_pb"] * factor, row["unc_pb"] * factor
            found.append(
                outcome(limit_fb * 1e-3 / xsec, xsec_pb=xsec, xsec_error_pb=error, **{axis: mass, "m_lsp": light})
            )
    return found
