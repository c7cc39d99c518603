"""How a result is shown: CSV of its regions, and a summary for people.

Pure: a Result in, text out; called by the command line and the server. Numbers are rounded here and nowhere else.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reana_lite.result import Limit, Region, Result

_COLUMNS = (
    "name", "observed", "background", "background_error", "n_passed", "efficiency", "efficiency_error",
    "efficiency_upper", "signal", "signal_mc_error", "signal_systematic",
)  # fmt: skip

LIMITS_ARE = "upper limits at 95 % confidence level by CLs; mu multiplies the cross-section of the theory"
"""What limits are, for whoever reads them."""

_METHODS = {
    "asymptotic": "asymptotic: formulas for many events, rough where less than some 5 are expected",
    "toys": "toys: pseudo-experiments",
}


def method_in_words(method: str) -> str:
    """The method of a limit with what a reader must know of it; other methods as the analysis calls them."""
    return _METHODS.get(method, method)


_WORDS = {"excluded": "EXCLUDED", "not-excluded": "NOT EXCLUDED", "undetermined": "UNDETERMINED"}


def to_csv(result: Result) -> str:
    """The regions, one row each (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for region in result.regions:
        writer.writerow([cell(getattr(region, name)) for name in _COLUMNS])
    return out.getvalue()


def cell(value: Any) -> Any:
    """A value for CSV: a text that a spreadsheet would take for a formula gets a quote in front."""
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@", "|", "%"):
        return "'" + value
    return "" if value is None else value


def to_text(result: Result) -> str:
    """The summary: verdict, r, driving region and validity; then cross-sections, limits, regions, warnings."""
    theory = f": {_clean(result.theory)}" if result.theory else ""
    lines = [f"{_WORDS[result.verdict]} at 95 % CL{theory} by {_clean(result.analysis)}"]
    lines += _place(result)
    lines += _decision(result)
    if result.processes:
        rows = [
            [p.name, f"{p.n_events}", _fb(p.xsec_pb, p.xsec_error_pb), p.xsec_order or "-", p.xsec_source or "-"]
            for p in result.processes
        ]
        lines += ["", *_table(["process", "events", "cross-section", "order", "source"], rows)]
    if result.limits:
        rows = [_limit_row(limit, best=limit is result.best) for limit in result.limits]
        head = ["likelihood", "CLs observed", "expected", "limit on mu observed", "expected (-1, +1 sigma)", "method"]
        lines += ["", *_table(head, rows), f"  {LIMITS_ARE}"]
        methods = dict.fromkeys(limit.method for limit in result.limits if limit.status == "ok" and limit.method)
        lines += [f"  {_clean(method_in_words(method))}" for method in methods]
    shown = result.main_regions()
    if shown:
        head = ["region [events]", "observed", "background", "signal", "acceptance x efficiency"]
        lines += ["", *_table(head, [_region_row(region) for region in shown])]
        if len(shown) < len(result.regions):
            lines.append(f"  ({len(result.regions) - len(shown)} more regions in the JSON and CSV forms)")
    for title, texts in (("warnings", result.warnings), ("advice", result.advice)):
        if texts:
            lines += ["", f"{title}:", *(f"  {_clean(text)}" for text in texts)]
    return "\n".join(lines) + "\n"


PLACES = 8
"""Parameters of a theory that are named; a spectrum has many more, which its name stands for."""


def _place(result: Result) -> list[str]:
    """Where the theory is: its parameters with their units, if they are few."""
    units = result.document["theory"].get("units", {})
    said = [
        f"{_clean(name)} = {value:g} {_clean(str(units.get(name, _unit(name))))}".rstrip()
        for name, value in result.parameters.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return [f"  {', '.join(said)}"] if 0 < len(said) <= PLACES else []


def _unit(name: str) -> str:
    """GeV for masses, whose names begin with m_, where a result says nothing."""
    return "GeV" if name.startswith("m_") else ""


def _decision(result: Result) -> list[str]:
    lines = []
    best = result.best
    if best is not None and best.status == "ok":
        text = f"r = {_short(best.r_observed)} observed, {_short(best.r_expected)} expected; "
        expected = best.cls_expected[2] if best.cls_expected else None
        text += f"CLs {_cls(best.cls_observed)} observed, {_cls(expected)} expected"
        lines.append(f"  {text} ({_clean(best.name)}, {best.method}); excluded from r = 1, below CLs = 0.05")
        if best.xsec_limit_observed_pb is not None:
            middle = best.xsec_limit_expected_pb
            middle = middle[2] if isinstance(middle, tuple) else middle
            text = f"cross-section limit {_fb(best.xsec_limit_observed_pb)} observed, {_fb(middle)} expected"
            lines.append(f"  {text}, of the theory {_fb(best.xsec_pb)}, luminosity {result.lumi_ifb:g}/fb")
    elif best is not None:
        lines.append(f"  no limit: {best.status} in {_clean(best.name)}")
    else:
        lines.append("  no limit could be set")
    region = result.driving_region()
    if region is not None:
        observed, background, signal = _region_row(region)[1:4]
        text = f"driving region {_clean(region.name)}: {observed} observed, {background} background, {signal} signal"
        lines.append(f"  {text}")
    if result.verdict_xsec_up is not None or result.verdict_xsec_down is not None:
        up, down = result.verdict_xsec_up or "unknown", result.verdict_xsec_down or "unknown"
        lines.append(f"  at the cross-section +1 sigma: {up}; -1 sigma: {down}")
    lines.append("  within validity" if result.within_validity else "  OUTSIDE VALIDITY:")
    lines += [f"    {_clean(reason)}" for reason in result.reasons]
    return lines


def _limit_row(limit: Limit, *, best: bool) -> list[str]:
    name = f"{limit.name} *" if best else limit.name
    if limit.status != "ok":
        return [name, limit.status, "", "", "", limit.method]
    expected = limit.mu_limit_expected
    band = f"{_short(expected[2])} ({_short(expected[1])}, {_short(expected[3])})" if expected else "-"
    median = limit.cls_expected[2] if limit.cls_expected else None
    return [name, _cls(limit.cls_observed), _cls(median), _short(limit.mu_limit_observed), band, limit.method]


def _region_row(region: Region) -> list[str]:
    efficiency = _pm(region.efficiency, region.efficiency_error)
    if region.n_passed == 0:
        efficiency = f"< {_short(region.efficiency_upper)}"
    return [
        region.name,
        "-" if region.observed is None else f"{region.observed:g}",
        _pm(region.background, region.background_error),
        _pm(region.signal, region.signal_mc_error),
        efficiency,
    ]


def _table(head: Sequence[str], rows: list[list[str]]) -> list[str]:
    rows = [[_clean(text) for text in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(head, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        first = f"  {row[0]:<{widths[0]}}"
        return (first + "".join(f"  {text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True))).rstrip()

    return [line(head), *(line(row) for row in rows)]


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


CLS_SHOWN = 1e-6
"""Below it CLs is not told from 0: neither asymptotic formulas nor pseudo-experiments say anything there."""


def _cls(value: float | None) -> str:
    return "< 1e-6" if value is not None and 0 <= value < CLS_SHOWN else _short(value)


def _pm(value: float | None, error: float | None) -> str:
    """A number and its error, both to the digit that the error's second figure has."""
    if value is None:
        return "-"
    if not error:
        return f"{value:.4g}"
    shown = f"{error:.1e}"
    digits = 1 - int(shown.partition("e")[2])
    if digits > 6 or digits < -6:
        return f"{value:.3g} ± {error:.2g}"
    digits = max(digits, 0)
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _fb(value_pb: float | None, error_pb: float | None = None) -> str:
    """A cross-section in fb or pb, whichever reads better."""
    if value_pb is None:
        return "-"
    unit, scale = ("pb", 1.0) if value_pb >= 1.0 else ("fb", 1e3)
    error = None if error_pb is None else error_pb * scale
    return f"{_pm(value_pb * scale, error) if error else _short(value_pb * scale)} {unit}"


def _clean(text: str) -> str:
    """A text from outside without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)
