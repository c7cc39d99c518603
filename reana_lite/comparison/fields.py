"""Numbers over a plane that are worth a map: limits on the cross-section and on mu, r, the efficiency of a region. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reana_lite.comparison.outcome import Outcome
from reana_lite.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Quantity:
    """One number of an outcome: its name, what it is called on an axis (mathtext allowed), whether its scale is a log."""

    name: str
    title: str
    log: bool
    of: Callable[[Outcome], float | None]

    def values(self, outcomes: Sequence[Outcome]) -> list[float | None]:
        """The numbers of outcomes, None where there is none (or none above 0 for a logarithmic scale)."""
        found = [self.of(outcome) for outcome in outcomes]
        return [None if value is None or (self.log and value <= 0) else value for value in found]


def _fb(value_pb: float | None) -> float | None:
    return None if value_pb is None else value_pb * 1e3


def _expected(outcome: Outcome) -> float | None:
    return outcome.expected[2] if outcome.expected else None


QUANTITIES = {
    one.name: one
    for one in (
        Quantity("xsec-limit", r"95% CL upper limit on $\sigma$ [fb]", True, lambda o: _fb(o.xsec_limit_observed_pb)),
        Quantity("xsec-limit-expected", r"Expected upper limit on $\sigma$ [fb]", True,
                 lambda o: _fb(o.xsec_limit_expected_pb)),
        Quantity("mu-limit", r"95% CL upper limit on $\mu$", True, lambda o: o.observed),
        Quantity("mu-limit-expected", r"Expected upper limit on $\mu$", True, _expected),
        Quantity("r", r"$r$ = 1 / (upper limit on $\mu$)", True, lambda o: o.r_observed),
        Quantity("r-expected", r"Expected $r$", True, lambda o: o.r_expected),
    )
}  # fmt: skip
"""What can be drawn as a map, by name; beside these the efficiency of every region, by the region's name."""


def quantity(name: str, outcomes: Sequence[Outcome]) -> Quantity:
    """The quantity of that name, or the efficiency of the region of that name; InvalidInput names what there is."""
    if name in QUANTITIES:
        return QUANTITIES[name]
    regions = list(dict.fromkeys(region for outcome in outcomes for region in outcome.efficiencies))
    if name not in regions:
        some = ", ".join(regions[:12]) + (", ..." if len(regions) > 12 else "")
        raise InvalidInput(
            f"no quantity or region {name!r}; there are {', '.join(QUANTITIES)}, "
            f"and the efficiencies of {some or 'no region'}",
            field="map", value=name,
        )  # fmt: skip

    def efficiency(outcome: Outcome) -> float | None:
        found = outcome.efficiencies.get(name)
        return found.value if found is not None else None

    return Quantity(name, "acceptance × efficiency", False, efficiency)
