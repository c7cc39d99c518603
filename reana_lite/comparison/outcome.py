"""Outcome: what one run says of one theory, in the numbers that comparisons use, or why it says nothing. Pure.

Results are long; comparisons of many need few of their numbers. Limits are those of the likelihood that decides (`best`
of the result). Masses in GeV, cross-sections in pb.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from reana_lite.comparison.axis import Axes, Axis, axis_of, joined
from reana_lite.errors import InvalidInput
from reana_lite.result import Limit, Result, Verdict

Value = float | int | str | bool | None


class Status(StrEnum):
    """Whether there is a limit, and if not, why."""

    OK = "ok"
    NO_SIGNAL = "no-signal"  # no simulated event passes
    FAILED = "failed"  # the run, its fit, or the reading of its theory
    MISSING = "missing"  # there is no result yet


@dataclass(frozen=True, slots=True)
class Efficiency:
    """Acceptance times efficiency of one region, its Monte Carlo error, and the events of the theory."""

    value: float | None
    error: float | None
    signal: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One theory by one analysis. `observed` is the limit on mu, `expected` those at -2, -1, 0, +1, +2 sigma.

    `xsec_pb` with its error is the sum of all processes; the errors are added linearly (scales and parton densities move
    all of them together). `r_mc_error` is the Monte Carlo error of r_observed. `axes`: what its parameters are called;
    `campaign`: the name of that which it is a point of, "" for a run of none.
    """

    theory: str
    analysis: str
    run: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    status: Status = Status.MISSING
    verdict: Verdict | None = None
    verdict_xsec_up: Verdict | None = None
    verdict_xsec_down: Verdict | None = None
    likelihood: str = ""
    method: str = ""
    cls_observed: float | None = None
    cls_expected: float | None = None
    observed: float | None = None
    expected: tuple[float, ...] | None = None
    r_observed: float | None = None
    r_expected: float | None = None
    r_mc_error: float | None = None
    xsec_pb: float | None = None
    xsec_error_pb: float | None = None
    xsec_limit_observed_pb: float | None = None
    xsec_limit_expected_pb: float | None = None
    within_validity: bool = True
    reasons: tuple[str, ...] = ()
    lumi_ifb: float | None = None
    efficiencies: Mapping[str, Efficiency] = field(default_factory=dict)
    message: str = ""
    campaign: str = ""
    axes: Axes = field(default_factory=dict)

    @property
    def relative_xsec_error(self) -> float | None:
        """The error of the cross-section over the cross-section."""
        if not self.xsec_pb or self.xsec_error_pb is None:
            return None
        return self.xsec_error_pb / self.xsec_pb

    def number(self, axis: str) -> float | None:
        """A parameter that is a finite number."""
        value = self.parameters.get(axis)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return float(value)


def outcome_of(result: Result, *, values: Mapping[str, Value] | None = None, axes: Axes | None = None) -> Outcome:
    """The outcome that a result holds. `values` are those of its point in a scan; they come before what the result says.

    `axes`: as the analysis declares them; without, the units that the result has.
    """
    units = result.document["theory"].get("units", {}) if axes is None else {}
    best = result.best
    known = [p for p in result.processes if p.xsec_pb is not None]
    errors = [p.xsec_error_pb for p in known]
    xsec = sum(p.xsec_pb or 0.0 for p in known) if known and len(known) == len(result.processes) else None
    error = sum(e or 0.0 for e in errors) if xsec is not None and all(e is not None for e in errors) else None
    outcome = Outcome(
        theory=result.theory,
        analysis=result.analysis,
        run=result.run,
        parameters={**result.parameters, **(values or {})},
        status=_status(result),
        verdict=result.verdict,
        verdict_xsec_up=result.verdict_xsec_up,
        verdict_xsec_down=result.verdict_xsec_down,
        likelihood=best.name if best is not None else "",
        xsec_pb=xsec,
        xsec_error_pb=error,
        within_validity=result.within_validity,
        reasons=result.reasons,
        lumi_ifb=result.lumi_ifb,
        efficiencies={r.name: Efficiency(r.efficiency, r.efficiency_error, r.signal) for r in result.regions},
        axes=axes if axes is not None else {name: Axis(name, unit) for name, unit in units.items()},
    )
    return _with_limit(outcome, best) if best is not None and best.status == "ok" else outcome


def _status(result: Result) -> Status:
    if result.best is not None:
        return Status(result.best.status)
    stati = {limit.status for limit in result.limits}
    return Status.NO_SIGNAL if stati == {"no-signal"} else Status.FAILED


def _with_limit(outcome: Outcome, best: Limit) -> Outcome:
    limit = best.xsec_limit_expected_pb
    mc = best.extra.get("r_mc_error")
    return replace(
        outcome,
        method=best.method,
        cls_observed=best.cls_observed,
        cls_expected=best.cls_expected[2] if best.cls_expected else None,
        observed=best.mu_limit_observed,
        expected=best.mu_limit_expected,
        r_observed=best.r_observed,
        r_expected=best.r_expected,
        r_mc_error=float(mc) if isinstance(mc, int | float) and not isinstance(mc, bool) else None,
        xsec_pb=best.xsec_pb if best.xsec_pb is not None else outcome.xsec_pb,
        xsec_limit_observed_pb=best.xsec_limit_observed_pb,
        xsec_limit_expected_pb=limit[2] if isinstance(limit, tuple) else limit,
    )


# -- many of them ----------------------------------------------------------------------------------------------------
def axes_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Parameters that are numbers in all outcomes and not the same in all, in the order of the first outcome.

    Of parameters that are equal everywhere (m_lsp and m_neutralino_1) the one with the shortest name.
    """
    if not outcomes:
        return []
    names = [name for name in outcomes[0].parameters if all(o.number(name) is not None for o in outcomes)]
    varying: dict[tuple[float | None, ...], str] = {}
    for name in names:
        column = tuple(o.number(name) for o in outcomes)
        if len(set(column)) > 1 and len(name) < len(varying.get(column, name + "+")):
            varying[column] = name
    return [name for name in names if name in varying.values()]


def axes_named(outcomes: Iterable[Outcome], names: Iterable[str]) -> dict[str, Axis]:
    """What these axes are called, as the analyses of the outcomes declare them."""
    known = joined({id(o.axes): o.axes for o in outcomes}.values())
    return {name: axis_of(name, known) for name in names}


def require_axis(outcomes: Sequence[Outcome], axis: str) -> list[float]:
    """The values of an axis; InvalidInput names what there is instead if an outcome has none."""
    values = []
    for outcome in outcomes:
        value = outcome.number(axis)
        if value is None:
            numbers = ", ".join(n for n in outcome.parameters if outcome.number(n) is not None) or "none"
            raise InvalidInput(
                f"{outcome.theory} ({outcome.run or outcome.analysis}) has no number {axis!r}; it has {numbers}",
                field="axis", value=axis,
            )  # fmt: skip
        values.append(value)
    return values


Key = tuple[Value | float, ...]


def key_of(outcome: Outcome, axes: Sequence[str]) -> Key:
    """What tells a theory from others: its place on the axes; where there are none, its name."""
    return tuple(outcome.parameters.get(axis) for axis in axes) if axes else (outcome.theory,)


def by_theory(outcomes: Iterable[Outcome], axes: Sequence[str] = ()) -> dict[Key, list[Outcome]]:
    """Outcomes of the same theory together, in the order of their first."""
    found: dict[Key, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(key_of(outcome, axes), []).append(outcome)
    return found


def most_sensitive(outcomes: Sequence[Outcome]) -> Outcome:
    """Of several outcomes of one theory the one with the highest expected r; without any, one that says why not."""
    known = [o for o in outcomes if o.status is Status.OK and o.r_expected is not None]
    if known:
        return max(known, key=lambda o: o.r_expected or 0.0)
    order = list(Status)
    return min(outcomes, key=lambda o: order.index(o.status))
