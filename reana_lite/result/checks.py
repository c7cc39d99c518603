"""Whether a result document is one: the schema, and which of its numbers must agree with which.

Pure. Called when a result is read or assembled. Nothing is corrected here: a fault is named with its JSON pointer.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from reana_lite.errors import Fault

ALPHA = 0.05
"""Excluded if and only if CLs(mu = 1) is below this."""

AGREEMENT = 2e-3
"""How far numbers that follow from each other may differ, relative (they are often written rounded)."""

MAX_FAULTS = 50


def faults_of(document: Any, source: str) -> list[Fault]:
    """Every fault of a parsed result document, in the order of their places; none if it is valid."""
    found = sorted(_validator().iter_errors(document), key=lambda e: [str(part) for part in e.absolute_path])
    faults = [Fault(source, "".join(f"/{part}" for part in e.absolute_path), _reason(e)) for e in found]
    faults += [Fault(source, path, reason) for path, reason in _not_finite(document, "")]
    if not faults:
        faults = [Fault(source, path, reason) for path, reason in _disagreements(document)]
    return faults[:MAX_FAULTS]


@cache
def schema() -> dict[str, Any]:
    text = files("reana_lite").joinpath("result.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # slow to import; not every caller validates

    return Draft202012Validator(schema())


def _reason(error: Any) -> str:
    said = " ".join(str(error.message).split())
    return said if len(said) <= 200 else f"{said[:120]} … {said[-70:]}"


def _disagreements(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What the schema cannot say: (JSON pointer, reason) of numbers and words that contradict each other."""
    for part in ("processes", "regions", "limits"):
        names = [row["name"] for row in document[part]]
        for at, name in enumerate(names):
            if name in names[:at]:
                yield f"/{part}/{at}/name", f"second one called {name!r}"
    for at, row in enumerate(document["regions"]):
        if row["n_passed"] == 0 and row["efficiency"] is not None and row["efficiency_upper"] is None:
            yield f"/regions/{at}/efficiency_upper", "no event passes; 3/N is the upper bound of the efficiency"
        if row["n_passed"] == 0 and row["efficiency"]:
            yield f"/regions/{at}/efficiency", f"{row['efficiency']:g} although no event passes"
    for at, row in enumerate(document["limits"]):
        for path, reason in _limit_disagreements(row):
            yield f"/limits/{at}{path}", reason
    validity = document["validity"]
    if validity["within"] == bool(validity["reasons"]):
        yield "/validity", "outside validity if and only if there are reasons"
    yield from _verdict_disagreements(document)


def _limit_disagreements(row: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    numbers = ("cls_observed", "cls_expected", "mu_limit_observed", "mu_limit_expected", "r_observed", "r_expected")
    if row["status"] != "ok":
        for key in numbers:
            if row[key] is not None:
                yield f"/{key}", f"a number although the status is {row['status']!r}"
        return
    for key in ("cls_observed", "cls_expected"):
        if row[key] is None:
            yield f"/{key}", "missing although the status is 'ok'"
    for key in ("cls_expected", "mu_limit_expected", "xsec_limit_expected_pb"):
        values = row[key]
        if isinstance(values, list) and values != sorted(values):
            yield f"/{key}", "the five expected values do not ascend"
    median = row["mu_limit_expected"][2] if row["mu_limit_expected"] else None
    xsec_median = row["xsec_limit_expected_pb"]
    xsec_median = xsec_median[2] if isinstance(xsec_median, list) else xsec_median
    for mu, r, xsec, what in (
        (row["mu_limit_observed"], row["r_observed"], row["xsec_limit_observed_pb"], "observed"),
        (median, row["r_expected"], xsec_median, "expected"),
    ):
        if r is not None and (mu is None or not _agree(r * mu, 1.0)):
            yield f"/r_{what}", f"{r:g} is not 1 / (limit on mu = {mu})"
        if xsec is not None and None not in (mu, row["xsec_pb"]) and not _agree(xsec, mu * row["xsec_pb"]):
            yield f"/xsec_limit_{what}_pb", f"{xsec:g} pb is not (limit on mu = {mu:g}) x {row['xsec_pb']:g} pb"


def _verdict_disagreements(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    verdict, up, down = document["verdict"], document["verdict_xsec_up"], document["verdict_xsec_down"]
    rank = {"not-excluded": 0, "undetermined": 1, "excluded": 2, None: None}
    for key, lower, higher in (("verdict_xsec_up", verdict, up), ("verdict_xsec_down", down, verdict)):
        low, high = rank[lower], rank[higher]
        if low is not None and high is not None and low == 2 and high == 0:
            yield f"/{key}", f"{lower} at the lower cross-section but {higher} at the higher one"
    name = document["best"]
    if name is None:
        if verdict == "excluded":
            yield "/verdict", "excluded, but no limit is named best"
        return
    best = next((row for row in document["limits"] if row["name"] == name), None)
    if best is None:
        yield "/best", f"{name!r} is not among the limits"
    elif best["status"] != "ok":
        if verdict == "excluded":
            yield "/verdict", f"{verdict}, but the status of the best limit is {best['status']!r}"
    elif best["cls_observed"] is None:
        return
    elif verdict != "undetermined" and (best["cls_observed"] < ALPHA) != (verdict == "excluded"):
        yield (
            "/verdict",
            f"{verdict}, but CLs at mu = 1 is {best['cls_observed']:.4g} in {name} (excluded below {ALPHA})",
        )
    elif best["mu_limit_observed"] is not None and abs(best["mu_limit_observed"] - 1.0) > 0.02:
        excluded = best["mu_limit_observed"] < 1.0
        if excluded != (best["cls_observed"] < ALPHA):
            text = f"limit on mu {best['mu_limit_observed']:.4g} contradicts CLs {best['cls_observed']:.4g} at mu = 1"
            yield f"/limits/{document['limits'].index(best)}/mu_limit_observed", text


def _not_finite(value: Any, path: str) -> Iterable[tuple[str, str]]:
    """NaN and infinity (which JSON does not have, but Python's dicts do), anywhere in the document."""
    if isinstance(value, float | int) and not abs(value) <= sys.float_info.max:
        yield path, f"{str(value)[:20]} is not a number that a result may hold"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _not_finite(inner, f"{path}/{key}")
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            yield from _not_finite(inner, f"{path}/{at}")


def _agree(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=AGREEMENT, abs_tol=1e-300)
