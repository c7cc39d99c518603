"""Numbers with a meaning read from declared artifacts: yields per region, CLs, upper limits, the verdict.

Pure: bytes in, a validated Result out, and its forms (JSON, CSV, a summary). The format is ../result.schema.json;
what a schema cannot say (which numbers must agree with which) is in checks.py, CSV and the summary in forms.py. An
analysis's last step writes the numbers; run, theory and provenance are added with `assemble`. Cross-sections in pb,
luminosity in 1/fb, yields in events, limits at 95 % confidence level.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from reana_lite.analysis.expectation import find
from reana_lite.errors import Fault, InvalidInput, InvalidResult, NotFound
from reana_lite.result import checks, forms
from reana_lite.theory import Theory, read_json

VERSION = 1


class Verdict(StrEnum):
    """What a result says of a theory, at 95 % confidence level."""

    EXCLUDED = "excluded"
    NOT_EXCLUDED = "not-excluded"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class Process:
    """One production process: its cross-section before decays, with error, order and source, and how many events."""

    name: str
    xsec_pb: float | None
    xsec_error_pb: float | None
    xsec_order: str | None
    xsec_source: str | None
    n_events: int
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Region:
    """One signal region: counts, efficiency (with the upper bound where nothing passes) and the theory's yield."""

    name: str
    observed: float | None
    background: float | None
    background_error: float | None
    n_passed: int | None
    efficiency: float | None
    efficiency_error: float | None
    efficiency_upper: float | None
    signal: float | None
    signal_mc_error: float | None
    signal_systematic: float | None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limit:
    """CLs at mu = 1 and upper limits from one likelihood; the five expected values ascend (-2 to +2 sigma for mu)."""

    name: str
    kind: str
    method: str
    status: str
    cls_observed: float | None
    cls_expected: tuple[float, ...] | None
    mu_limit_observed: float | None
    mu_limit_expected: tuple[float, ...] | None
    xsec_pb: float | None
    xsec_limit_observed_pb: float | None
    xsec_limit_expected_pb: float | tuple[float, ...] | None
    r_observed: float | None
    r_expected: float | None
    delta_nll: float | None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """A validated result; `document` is its JSON form."""

    analysis: str
    theory: str
    parameters: Mapping[str, Any]
    run: str
    lumi_ifb: float
    processes: tuple[Process, ...]
    regions: tuple[Region, ...]
    limits: tuple[Limit, ...]
    best: Limit | None
    verdict: Verdict
    verdict_xsec_up: Verdict | None
    verdict_xsec_down: Verdict | None
    within_validity: bool
    reasons: tuple[str, ...]
    advice: tuple[str, ...]
    warnings: tuple[str, ...]
    document: Mapping[str, Any]

    def region(self, name: str) -> Region:
        """The region of that name; NotFound names those that exist."""
        return _named(self.regions, name, "region")

    def limit(self, name: str) -> Limit:
        """The limit of that name; NotFound names those that exist."""
        return _named(self.limits, name, "limit")

    def main_regions(self) -> tuple[Region, ...]:
        """The regions with a likelihood of their own and those of the best limit; all, if there is neither."""
        own = {limit.name for limit in self.limits}
        prefix = f"{self.best.name}-" if self.best is not None else None
        picked = tuple(r for r in self.regions if r.name in own or (prefix and r.name.startswith(prefix)))
        return picked or self.regions

    def driving_region(self) -> Region | None:
        """The region with the largest signal over sqrt(background + its error^2): where the verdict comes from."""
        known = [r for r in self.regions if r.signal and r.background is not None]
        if self.best is not None:
            name = self.best.name
            known = [r for r in known if r.name == name or r.name.startswith(f"{name}-")] or known

        def weight(region: Region) -> float:
            background, error = region.background or 0.0, region.background_error or 0.0
            return (region.signal or 0.0) / math.sqrt(max(background, 0.5) + error * error)

        return max(known, key=weight, default=None)

    def to_json(self) -> str:
        """The document, indented, in the order of the schema."""
        return json.dumps(self.document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """The regions as CSV (RFC 4180), one row each; texts that a spreadsheet would run are defused."""
        return forms.to_csv(self)

    def to_text(self) -> str:
        """A summary for people: verdict, r, the driving region and validity first."""
        return forms.to_text(self)


_Row = TypeVar("_Row", Process, Region, Limit)


# -- reading and validating -------------------------------------------------------------------------------------------
def read_result(content: bytes, source: str = "result") -> Result:
    """The result that a JSON document holds; InvalidResult lists every fault with its place."""
    try:
        document = read_json(content, source)
    except InvalidInput as error:
        raise InvalidResult(error.message, faults=[Fault(**f) for f in error.details.get("faults", [])]) from error
    return result_of(document, source)


def assemble(
    parts: Iterable[tuple[str, bytes]],
    *,
    analysis: str,
    theory: Theory,
    run: str,
    provenance: Mapping[str, Any],
    lumi_ifb: float | None = None,
) -> Result:
    """The result of a run from the JSON documents (name, content) that its analysis declares as results.

    What the analysis wrote is kept; analysis, theory and run are set here, warnings and validity of the theory are
    added, provenance is joined (ours wins). A member written by two documents is a fault.
    """
    document: dict[str, Any] = {}
    written: dict[str, str] = {}
    for source, content in parts:
        try:
            part = read_json(content, source)
        except InvalidInput as error:
            raise InvalidResult(error.message, faults=[Fault(**f) for f in error.details.get("faults", [])]) from error
        if not isinstance(part, dict):
            raise InvalidResult.of([Fault(source, "", "a result is a JSON object")])
        for key, value in part.items():
            if key in written:
                raise InvalidResult.of([Fault(source, f"/{key}", f"written by {written[key]} too")])
            written[key], document[key] = source, value
    names = " + ".join(dict.fromkeys(written.values())) or "result"
    given = theory.to_dict()
    said = document.get("theory")
    own = said.get("parameters", {}) if isinstance(said, dict) and isinstance(said.get("parameters", {}), dict) else {}
    document["theory"] = {"name": theory.name, "parameters": own | given["parameters"], "units": given["units"]}
    document |= {"version": VERSION, "analysis": analysis, "run": run}
    if lumi_ifb is not None:
        document.setdefault("lumi_ifb", lumi_ifb)
    for key in ("processes", "regions", "limits", "advice", "warnings"):
        document.setdefault(key, [])
    for key in ("best", "verdict_xsec_up", "verdict_xsec_down"):
        document.setdefault(key, None)
    if isinstance(document["warnings"], list):
        document["warnings"] = list(dict.fromkeys([*theory.warnings, *map(_hashable, document["warnings"])]))
    validity = document.setdefault("validity", {"within": True, "reasons": []})
    if theory.validity and isinstance(validity, dict) and isinstance(validity.get("reasons"), list):
        reasons = [*validity["reasons"], *(r for r in theory.validity if r not in validity["reasons"])]
        document["validity"] = {**validity, "within": False, "reasons": reasons}
    wrote = document.get("provenance")
    document["provenance"] = (wrote if isinstance(wrote, dict) else {}) | dict(provenance)
    return result_of(document, names)


def result_of(document: Any, source: str = "result", *, known: bool = False) -> Result:
    """The result that a parsed document holds; InvalidResult lists every fault with its place.

    `known`: it was a Result before, as those in the database were, and is not checked again (some 15 ms each).
    """
    if not known and (faults := checks.faults_of(document, source)):
        raise InvalidResult.of(faults)
    ordered = {key: document[key] for key in checks.schema()["properties"] if key in document}
    limits = tuple(_build(Limit, row) for row in document["limits"])
    up, down = document["verdict_xsec_up"], document["verdict_xsec_down"]
    return Result(
        analysis=document["analysis"],
        theory=document["theory"]["name"],
        parameters=document["theory"]["parameters"],
        run=document["run"],
        lumi_ifb=document["lumi_ifb"],
        processes=tuple(_build(Process, row) for row in document["processes"]),
        regions=tuple(_build(Region, row) for row in document["regions"]),
        limits=limits,
        best=next((limit for limit in limits if limit.name == document["best"]), None),
        verdict=Verdict(document["verdict"]),
        verdict_xsec_up=Verdict(up) if up else None,
        verdict_xsec_down=Verdict(down) if down else None,
        within_validity=document["validity"]["within"],
        reasons=tuple(document["validity"]["reasons"]),
        advice=tuple(document["advice"]),
        warnings=tuple(document["warnings"]),
        document=ordered,
    )


def lookup(document: Mapping[str, Any], path: str) -> Any:
    """What stands at a path such as regions.SR4j-2200.efficiency (or with /); NotFound says where the path ends.

    Members of lists are entered by their name.
    """
    try:
        return find(document, path if "/" in path else _slashed(document, path))
    except LookupError as error:
        raise NotFound(str(error.args[0])) from error


def _slashed(document: Any, path: str) -> str:
    """The path with / for those dots that separate: names may hold dots themselves (SR0.5)."""
    done: list[str] = []
    rest = path.split(".")
    while rest:
        for size in range(len(rest), 0, -1):
            try:
                find(document, "/".join([*done, ".".join(rest[:size])]))
            except LookupError:
                continue
            break
        else:
            size = 1
        done.append(".".join(rest[:size]))
        rest = rest[size:]
    return "/".join(done)


def _build(kind: type[_Row], row: Mapping[str, Any]) -> _Row:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return kind(**values)


def _named(rows: Sequence[_Row], name: str, what: str) -> _Row:
    for row in rows:
        if row.name == name:
            return row
    raise NotFound(f"no {what} {name!r}; there are {', '.join(row.name for row in rows) or 'none'}")


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str) else json.dumps(value)
