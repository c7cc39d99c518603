"""Figures along one axis, and in order: limits along a mass axis with the mass limit, rankings by expected sensitivity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from reana_lite.comparison.masslimit import MassLimit
from reana_lite.comparison.outcome import Outcome, Status, by_theory, most_sensitive
from reana_lite.errors import InvalidInput
from reana_lite.plots.drawing import (
    BAND_1,
    BAND_2,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    draw,
    shortened,
)
from reana_lite.plots.plane import THEORY_BAND, axis_label, axis_text

MAX_ROWS = 40
"""Theories that a ranking shows; the best ones."""

_DASHES = (0, (5, 2.5))


def plot_row(outcomes: Sequence[Outcome], limit: MassLimit, path: Path) -> None:
    """Write upper limits along an axis with their bands, the theory with its error, and the mass limit, to `path`.

    Limits on the cross-section (fb) where all points have one, else on mu.
    """
    row = [most_sensitive(same) for same in by_theory(outcomes, [limit.axis]).values()]
    row.sort(key=lambda o: o.number(limit.axis) or 0.0)
    if sum(o.status is Status.OK and o.observed is not None for o in row) < 2:
        raise InvalidInput("fewer than two points have a limit along the axis", field="plot", value=limit.axis)
    draw(path, (8.4, 6.4), lambda figure: _row(figure, row, limit))


def _row(figure: Any, row: Sequence[Outcome], limit: MassLimit) -> None:
    axes = figure.add_subplot()
    known = [o for o in row if o.status is Status.OK and o.observed is not None]
    in_fb = all(o.xsec_pb for o in known)
    scale = [(o.xsec_pb or 0.0) * 1e3 if in_fb else 1.0 for o in known]
    xs = [o.number(limit.axis) or 0.0 for o in known]
    banded = [(x, o.expected, s) for x, o, s in zip(xs, known, scale, strict=True) if o.expected is not None]
    for weak, strong, color in ((0, 4, BAND_2), (1, 3, BAND_1)):
        axes.fill_between([x for x, _, _ in banded], [e[weak] * s for _, e, s in banded],
                          [e[strong] * s for _, e, s in banded], color=color, linewidth=0.0)  # fmt: skip
    axes.plot(
        [x for x, _, _ in banded], [e[2] * s for _, e, s in banded], color=BLACK, linestyle=_DASHES, linewidth=1.8
    )
    errors = [s * (o.relative_xsec_error or 0.0) for s, o in zip(scale, known, strict=True)]
    axes.fill_between(xs, [s - e for s, e in zip(scale, errors, strict=True)],
                      [s + e for s, e in zip(scale, errors, strict=True)],
                      color=THEORY_BAND, linewidth=0.0, zorder=2.1)  # fmt: skip
    axes.plot(xs, scale, color=VERMILION, linewidth=1.8, zorder=2.2)
    observed = [(o.observed or 0.0) * s for o, s in zip(known, scale, strict=True)]
    axes.plot(xs, observed, color=BLACK, linewidth=1.8, zorder=3)
    inside = [(x, y) for x, y, o in zip(xs, observed, known, strict=True) if o.within_validity]
    outside = [(x, y) for x, y, o in zip(xs, observed, known, strict=True) if not o.within_validity]
    axes.plot([x for x, _ in inside], [y for _, y in inside], "o", color=BLACK, markersize=5, zorder=3, clip_on=False)
    axes.plot([x for x, _ in outside], [y for _, y in outside], "o", color=BLACK, markerfacecolor="white", markersize=6,
              zorder=3, clip_on=False)  # fmt: skip
    axes.set_yscale("log")
    everything = [*observed, *scale, *(e[i] * s for _, e, s in banded for i in (0, 4))]
    low, high = min(v for v in everything if v > 0), max(everything)
    axes.set_ylim(low / 2, high * (high / low) ** 0.75)
    axes.set_xlim(min(xs), max(xs))
    axes.set_xlabel(axis_label(limit.named(limit.axis)), fontsize=17)
    axes.set_ylabel(r"95% CL upper limit on $\sigma$ [fb]" if in_fb else r"95% CL upper limit on $\mu$", fontsize=16)
    axes.tick_params(labelsize=13)
    _mark_limit(axes, limit)
    _mark_missing(axes, row, limit.axis)
    _row_legend(axes, row, limit, in_fb=in_fb, outside=bool(outside))


def _mark_limit(axes: Any, limit: MassLimit) -> None:
    reach = limit.reach["observed"]
    if reach.value is None:
        return
    axes.axvline(reach.value, ymax=0.5, color=VERMILION, linewidth=1.2, linestyle=(0, (2, 2)))
    unit = limit.named(limit.axis).unit
    axes.annotate(f"{reach.value:.0f} {unit}".strip(), (reach.value, 0.5), xycoords=("data", "axes fraction"), xytext=(0, 4),
                  textcoords="offset points", ha="center", fontsize=12, color=VERMILION)  # fmt: skip


def _mark_missing(axes: Any, row: Sequence[Outcome], axis: str) -> None:
    for outcome in row:
        if outcome.status is not Status.OK:
            text = {Status.NO_SIGNAL: "no event passes", Status.FAILED: "failed"}.get(outcome.status, "no result yet")
            axes.annotate(text, (outcome.number(axis) or 0.0, 0.03), xycoords=("data", "axes fraction"), rotation=90,
                          ha="center", va="bottom", fontsize=10, color=GREY)  # fmt: skip


def _row_legend(axes: Any, row: Sequence[Outcome], limit: MassLimit, *, in_fb: bool, outside: bool) -> None:
    line, patch = import_module("matplotlib.lines").Line2D, import_module("matplotlib.patches").Patch
    handles = [
        line([], [], color=BLACK, marker="o", markersize=5, linewidth=1.8, label="Observed"),
        line([], [], color=BLACK, linestyle=_DASHES, linewidth=1.8, label="Expected"),
        patch(facecolor=BAND_1, label="Expected ± 1σ"),
        patch(facecolor=BAND_2, label="Expected ± 2σ"),
        (patch(facecolor=THEORY_BAND, edgecolor=VERMILION, label="Theory ± 1σ")),
    ]
    if outside:
        handles.append(line([], [], color=BLACK, marker="o", markerfacecolor="white", linestyle="none", markersize=6,
                            label="Outside validity"))  # fmt: skip
    legend = axes.legend(handles=handles, loc="upper right", fontsize=11, labelspacing=0.3, borderpad=0.2)
    for text in legend.get_texts():
        text.set_parse_math(False)
    names = list(dict.fromkeys(o.analysis for o in row))
    lumis = sorted({o.lumi_ifb for o in row if o.lumi_ifb is not None})
    lines: list[tuple[str, dict[str, Any]]] = [(shortened(names[0], 34), {"fontweight": "bold", "fontsize": 14})]
    if len(names) > 1:
        lines.append((f"and {len(names) - 1} more; the best expected", {"fontsize": 11}))
    if lumis:
        lines.append((f"{', '.join(f'{lumi:g}' for lumi in lumis)} fb$^{{-1}}$", {"fontsize": 12, "parse_math": True}))
    for axis, value in limit.at.items():
        text = f"{axis_text(limit.named(axis))} = {value:g} {limit.named(axis).unit}".strip()
        lines.append((text, {"fontsize": 12, "parse_math": True}))
    lines.append(("Log of the limit interpolated linearly, not extrapolated", {"fontsize": 9.5, "color": GREY}))
    for at, (text, look) in enumerate(lines):
        axes.annotate(text, (0.0, 1.0), xycoords="axes fraction", xytext=(12, -14 - 20 * at), textcoords="offset points",
                      va="top", **({"parse_math": False} | look))  # fmt: skip


# -- rankings ----------------------------------------------------------------------------------------------------------
def plot_ranking(outcomes: Sequence[Outcome], path: Path, *, axes: Sequence[str] = ()) -> None:
    """Write expected and observed r of theories by all their analyses, the most sensitive first, to `path`."""
    groups = [
        [o for o in same if o.status is Status.OK and o.r_expected] for same in by_theory(outcomes, axes).values()
    ]
    groups = sorted((g for g in groups if g), key=lambda g: -max(o.r_expected or 0.0 for o in g))
    if not groups:
        raise InvalidInput("no result has an expected limit to rank", field="plot")
    shown = groups[:MAX_ROWS]
    draw(path, (8.4, 2.4 + 0.3 * len(shown)), lambda figure: _ranking(figure, shown, len(groups)))


def _ranking(figure: Any, groups: Sequence[Sequence[Outcome]], total: int) -> None:
    axes = figure.add_subplot()
    names = list(dict.fromkeys(o.analysis for group in groups for o in group))
    colors = (BLUE, ORANGE, GREEN, PURPLE, GREY)
    n = len(groups)
    values = [1.0]
    for at, group in enumerate(groups):
        y = n - 1 - at
        for o in sorted(group, key=lambda o: o.r_expected or 0.0):
            color = colors[names.index(o.analysis) % len(colors)]
            r, seen = o.r_expected or 0.0, o.r_observed
            axes.plot([r], [y], marker="s", color=color, markersize=7, linestyle="none", markerfacecolor="white",
                      markeredgewidth=1.6)  # fmt: skip
            values.append(r)
            if o.expected:
                ends = [1 / v for v in (o.expected[3], o.expected[1]) if v > 0]
                axes.plot(ends, [y] * len(ends), color=color, linewidth=1.4, alpha=0.7, zorder=1)
                values += ends
            if seen:
                axes.plot([seen], [y], marker="o", color=color, markersize=5, linestyle="none")
                values.append(seen)
    low, high = min(values), max(values)
    axes.set_xscale("log")
    axes.set_xlim(low / 1.8, high * 1.8)
    axes.set_ylim(-0.8, n - 0.2)
    axes.axvline(1.0, color=VERMILION, linewidth=1.6)
    axes.set_yticks(range(n), [shortened(g[0].theory, 36) for g in reversed(groups)], parse_math=False)
    axes.tick_params(axis="y", which="both", left=False, right=False, labelsize=11)
    axes.tick_params(axis="x", labelsize=12)
    if math.log10(high / low) < 1.5:
        ticks = import_module("matplotlib.ticker")
        axes.xaxis.set_major_locator(ticks.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ticks.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(ticks.NullFormatter())
    axes.set_xlabel(r"$r$ = 1 / (95% CL upper limit on $\mu$)", fontsize=14)
    line = import_module("matplotlib.lines").Line2D
    handles = [
        line([], [], color=BLACK, marker="s", markerfacecolor="white", markersize=7, label="Expected ± 1σ"),
        line([], [], color=BLACK, marker="o", linestyle="none", markersize=5, label="Observed"),
        *(line([], [], color=colors[at % len(colors)], linewidth=4, label=shortened(name, 30))
          for at, name in enumerate(names)),
    ]  # fmt: skip
    title = f"{n} of {total} theories" if n < total else None
    legend = axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=min(len(handles), 4),
                         fontsize=10, title=title, columnspacing=1.0, handlelength=1.6)  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
