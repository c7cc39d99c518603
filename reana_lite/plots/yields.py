"""Plots of one result: yields per region, upper limits per likelihood. Called by the command line and the server."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from reana_lite.errors import InvalidInput
from reana_lite.plots.drawing import (
    BAND_1,
    BAND_2,
    BLACK,
    BLUE,
    GREY,
    SKY,
    VERMILION,
    draw,
    shortened,
)
from reana_lite.result import Limit, Region, Result

_Z_68 = 0.9944578832097535  # one-sided 16 %, in standard deviations


def plot_yields(result: Result, path: Path, *, regions: Sequence[str] | None = None) -> None:
    """Write observed, background and signal events per region to `path` (.pdf, .png, .svg).

    By default the regions with a likelihood of their own and those of the best limit; `regions` names others.
    """
    chosen = _chosen(result, regions)
    if not chosen:
        raise InvalidInput("the result has no region with an observed and a background count to plot", field="regions")
    width = max(7.6, 2.6 + 0.36 * len(chosen))
    draw(path, (width, 6.4), lambda figure: _yields(figure, result, chosen))


def plot_limits(result: Result, path: Path) -> None:
    """Write observed and expected upper limits on the signal strength, one row per likelihood, to `path`."""
    rows = [limit for limit in result.limits if limit.status != "ok" or limit.mu_limit_observed is not None]
    if not any(limit.status == "ok" for limit in rows):
        raise InvalidInput("the result has no upper limit to plot", field="limits")
    draw(path, (7.6, 2.5 + 0.36 * len(rows)), lambda figure: _limits(figure, result, rows))


# -- regions -------------------------------------------------------------------------------------------------------------
def _chosen(result: Result, names: Sequence[str] | None) -> list[Region]:
    if names is not None:
        return [result.region(name) for name in names]
    return [r for r in result.main_regions() if r.observed is not None and r.background is not None]


def _yields(figure: Any, result: Result, regions: Sequence[Region]) -> None:
    grid = figure.add_gridspec(2, 1, height_ratios=(3.2, 1.0), hspace=0.06)
    above = figure.add_subplot(grid[0])
    below = figure.add_subplot(grid[1], sharex=above)
    n = len(regions)
    edges = [at - 0.5 for at in range(n + 1)]
    background = [r.background or 0.0 for r in regions]
    errors = [r.background_error or 0.0 for r in regions]
    signal = [r.signal or 0.0 for r in regions]
    observed = [(at, r.observed) for at, r in enumerate(regions) if r.observed is not None]

    _step(above, edges, background, facecolor=SKY, edgecolor=BLUE, label="Background")
    low = [b - e for b, e in zip(background, errors, strict=True)]
    high = [b + e for b, e in zip(background, errors, strict=True)]
    _hatched(above, edges, low, high, label="Background uncertainty")
    total = [b + s for b, s in zip(background, signal, strict=True)]
    _line(above, edges, total, label="Background + signal")
    _points(above, observed, None)
    floor, top = _range(background, signal, [value for _, value in observed])
    above.set_yscale("log")
    above.set_ylim(floor, top)
    above.set_xlim(-0.5, n - 0.5)
    above.set_ylabel("Events", fontsize=16)
    ticks = import_module("matplotlib.ticker")
    above.yaxis.set_major_locator(ticks.LogLocator(numticks=12))
    above.yaxis.set_minor_locator(ticks.LogLocator(subs=range(2, 10), numticks=12))
    above.yaxis.set_minor_formatter(ticks.NullFormatter())
    above.tick_params(axis="y", labelsize=13)
    above.tick_params(axis="x", which="both", labelbottom=False, bottom=False, top=False)
    handles, labels = above.get_legend_handles_labels()
    order = [labels.index("Observed"), *(at for at, label in enumerate(labels) if label != "Observed")]
    legend = above.legend([handles[at] for at in order], [labels[at] for at in order], loc="upper right", fontsize=11)
    for text in legend.get_texts():
        text.set_parse_math(False)
    _say(above, _headlines(result))

    ratio = [(at, value, regions[at].background or 0.0) for at, value in observed]
    _hatched(
        below, edges,
        [1 - e / b if b else 0.0 for b, e in zip(background, errors, strict=True)],
        [1 + e / b if b else 2.0 for b, e in zip(background, errors, strict=True)],
    )  # fmt: skip
    below.axhline(1.0, color=GREY, linewidth=1.0)
    _line(below, edges, [t / b if b else 1.0 for t, b in zip(total, background, strict=True)])
    upper = 2.0 if any(t > 1.9 * b for t, b in zip(total, background, strict=True)) else 1.75
    _points(below, [(at, value / b) for at, value, b in ratio if b], {at: b for at, _, b in ratio})
    for at, value, b in ratio:
        if b and value / b > upper:
            below.plot([at], [upper * 0.93], marker="^", color=BLACK, markersize=6, clip_on=False)
    below.set_ylim(0.0, upper)
    below.set_yticks([0.0, 0.5, 1.0, 1.5])
    below.tick_params(axis="y", labelsize=13)
    below.set_ylabel("Ratio to\nbackground", loc="center", fontsize=12)
    below.set_xticks(range(n), [shortened(r.name, 40) for r in regions], rotation=90 if n > 6 else 0, parse_math=False)
    below.tick_params(axis="x", labelsize=11, which="both", top=False)
    below.tick_params(axis="x", which="minor", bottom=False)
    groups = [_group(result, region) for region in regions]
    for at in range(1, n):
        if groups[at] != groups[at - 1]:
            for axes in (above, below):
                axes.axvline(at - 0.5, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    figure.align_ylabels((above, below))


def _group(result: Result, region: Region) -> str:
    names = [limit.name for limit in result.limits if limit.kind != "single-bin"]
    return next((name for name in names if region.name.startswith(f"{name}-")), "")


def _range(*values: Sequence[float]) -> tuple[float, float]:
    """Lower and upper end of a logarithmic axis, with room for legend and text."""
    flat = [v for part in values for v in part if v > 0]
    floor = 10.0 ** max(math.floor(math.log10(min(flat, default=0.1))), -2)
    floor = min(floor, 0.5)
    top = max(flat, default=1.0)
    return floor, 0.9 * 10 ** math.ceil(math.log10(top * (top / floor) ** 0.7))


def _headlines(result: Result) -> list[tuple[str, bool]]:
    lines = [(shortened(result.analysis, 40), True), (f"{result.lumi_ifb:g} fb$^{{-1}}$", False)]
    lines.append((f"Signal: {shortened(result.theory, 36)}", False))
    verdict = {"excluded": "Excluded", "not-excluded": "Not excluded", "undetermined": "Undetermined"}[result.verdict]
    best = result.best
    if best is not None and best.r_observed is not None:
        lines.append((f"{verdict} at 95% CL", False))
        lines.append((f"r = {best.r_observed:.2f} ({shortened(best.name, 24)})", False))
    else:
        lines.append((verdict, False))
    if not result.within_validity:
        lines.append(("Outside the analysis's validity", False))
    return lines


def _say(axes: Any, lines: Sequence[tuple[str, bool]], *, x: float = 0.025, top: float = 0.95) -> None:
    for at, (line, strong) in enumerate(lines):
        weight = "bold" if strong else "normal"
        axes.text(
            x, top - at * 0.064, line, transform=axes.transAxes, va="top", fontsize=13 if strong else 12,
            fontweight=weight, parse_math=at == 1,
        )  # fmt: skip


# -- limits --------------------------------------------------------------------------------------------------------------
def _limits(figure: Any, result: Result, rows: Sequence[Limit]) -> None:
    axes = figure.add_subplot()
    n = len(rows)
    values = [1.0]
    for at, limit in enumerate(rows):
        y = n - 1 - at
        if limit.status != "ok" or limit.mu_limit_observed is None:
            continue
        values.append(limit.mu_limit_observed)
        expected = limit.mu_limit_expected
        if expected is not None:
            values += expected
            box = {"height": 0.62, "linewidth": 0.0}
            axes.barh(y, expected[4] - expected[0], left=expected[0], color=BAND_2, **box)
            axes.barh(y, expected[3] - expected[1], left=expected[1], color=BAND_1, **box)
            axes.plot([expected[2]] * 2, [y - 0.31, y + 0.31], color=BLACK, linestyle=(0, (2, 1)), linewidth=1.8)
        axes.plot([limit.mu_limit_observed], [y], marker="o", color=BLACK, markersize=6, linestyle="none")
    low, high = min(values) / 2.2, max(values) * 2.2
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(-0.8, n - 0.2)
    axes.axvline(1.0, color=VERMILION, linewidth=1.8)
    axes.set_yticks(range(n), [_row_name(result, limit) for limit in reversed(rows)], parse_math=False)
    axes.tick_params(axis="y", which="both", left=False, right=False, labelsize=12)
    axes.tick_params(axis="x", labelsize=12)
    axes.set_xlabel(r"95% CL upper limit on the signal strength $\mu$", fontsize=14)
    for at, limit in enumerate(rows):
        if limit.status != "ok":
            text = "no simulated event passes" if limit.status == "no-signal" else "the fit failed"
            axes.text(1.08, n - 1 - at, text, va="center", fontsize=11, fontstyle="italic", color=GREY)
    if any(limit is result.best for limit in rows):
        y = n - 1 - next(at for at, limit in enumerate(rows) if limit is result.best)
        axes.axhspan(y - 0.44, y + 0.44, facecolor="none", edgecolor=VERMILION, linewidth=1.2, linestyle=(0, (4, 2)))
    _limit_legend(axes, figure, result)


def _row_name(result: Result, limit: Limit) -> str:
    name = shortened(limit.name, 30)
    mark = " (toys)" if limit.method == "toys" else ""
    return f"{name}{mark}" + (" (decides)" if limit is result.best else "")


def _limit_legend(axes: Any, figure: Any, result: Result) -> None:
    line, patch = import_module("matplotlib.lines").Line2D, import_module("matplotlib.patches").Patch
    handles = [
        line([], [], color=BLACK, marker="o", linestyle="none", markersize=6, label="Observed"),
        line([], [], color=BLACK, linestyle=(0, (2, 1)), linewidth=1.8, label="Expected"),
        patch(facecolor=BAND_1, label=r"Expected $\pm 1\sigma$"),
        patch(facecolor=BAND_2, label=r"Expected $\pm 2\sigma$"),
        line([], [], color=VERMILION, linewidth=1.8, label=r"Theory ($\mu = 1$)"),
    ]
    axes.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.02, 1.0), ncols=5, fontsize=10, borderpad=0.2,
        columnspacing=1.0, handlelength=1.5,
    )  # fmt: skip
    lines = [shortened(result.analysis, 40), shortened(result.theory, 40), f"{result.lumi_ifb:g} fb$^{{-1}}$"]
    height = figure.get_size_inches()[1]
    for x, text, align in ((0.0, lines[0], "left"), (0.5, lines[1], "center"), (1.0, lines[2], "right")):
        axes.text(
            x, 1.0 + 0.52 / (height - 1.4), text, transform=axes.transAxes, ha=align, va="bottom", fontsize=12,
            fontweight="bold" if align == "left" else "normal", parse_math=align == "right",
        )  # fmt: skip


# -- pieces --------------------------------------------------------------------------------------------------------------
def _step(axes: Any, edges: Sequence[float], values: Sequence[float], **look: Any) -> None:
    axes.stairs(
        values, edges, fill=True, baseline=1e-9, linewidth=0.0, facecolor=look["facecolor"], label=look["label"]
    )
    axes.stairs(values, edges, baseline=None, color=look["edgecolor"], linewidth=1.4)


def _line(axes: Any, edges: Sequence[float], values: Sequence[float], *, label: str | None = None) -> None:
    axes.stairs(values, edges, baseline=None, color=VERMILION, linewidth=1.8, linestyle=(0, (5, 2)), label=label)


def _hatched(
    axes: Any, edges: Sequence[float], low: Sequence[float], high: Sequence[float], *, label: str | None = None
) -> None:
    axes.stairs(
        high, edges, baseline=[max(v, 1e-9) for v in low], fill=True, facecolor="none", edgecolor=GREY, linewidth=0.0,
        hatch="//////", label=label,
    )  # fmt: skip


def _points(axes: Any, points: Sequence[tuple[int, float]], scale: Mapping[int, float] | None) -> None:
    """Observed counts (over `scale`, if given) with their central 68 % Poisson intervals."""
    if not points:
        return
    xs, ys, downs, ups = [], [], [], []
    for at, value in points:
        by = scale[at] if scale else 1.0
        low, high = poisson_interval(value * by)
        xs.append(at)
        ys.append(value)
        downs.append(value - low / by)
        ups.append(high / by - value)
    axes.errorbar(
        xs,
        ys,
        yerr=[downs, ups],
        fmt="o",
        color=BLACK,
        markersize=5,
        linewidth=1.3,
        label=None if scale else "Observed",
    )


def poisson_interval(n: float) -> tuple[float, float]:
    """Central 68 % interval of a Poisson mean for `n` observed (Garwood; Wilson-Hilferty approximation, 1 %)."""
    if n <= 0:
        return 0.0, 1.841
    low = n * (1 - 1 / (9 * n) - _Z_68 / (3 * math.sqrt(n))) ** 3
    m = n + 1
    return max(low, 0.0), m * (1 - 1 / (9 * m) + _Z_68 / (3 * math.sqrt(m))) ** 3
