"""Figures over a mass plane: exclusion contours over published ones, maps of limits and efficiencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from reana_lite import contour
from reana_lite.comparison.axis import Axis
from reana_lite.comparison.fields import Quantity
from reana_lite.comparison.masslimit import MassPlane
from reana_lite.comparison.outcome import Outcome, Status
from reana_lite.comparison.overlap import Overlap
from reana_lite.errors import InvalidInput
from reana_lite.plots.drawing import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, draw, shortened
from reana_lite.result import Verdict

EXPECTED_BAND, THEORY_BAND = "#F2DE8F", "#F3B9A0"
_OVERLAYS = (GREEN, PURPLE, BLUE, ORANGE)
_FORBIDDEN, _OCHRE = "#E8E8E8", "#B59A2B"
_DASH_DOT = (0, (7, 2, 1.5, 2))
HEIGHT_INCHES = 7.4
PLANE_INCHES = 0.77 * HEIGHT_INCHES
"""Of the axes, text above the plane included."""
MAX_NUMBERS = 120
"""Points up to which a map has its numbers written in."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """Published lines in the plane, and what they are called."""

    label: str
    lines: Sequence[Sequence[contour.XY]]


def plot_contour(plane: MassPlane, path: Path, *, overlays: Sequence[Overlay] = ()) -> None:
    """Write observed and expected exclusion with their bands, the points, and published lines over them, to `path`."""
    _require(plane)
    draw(path, (8.4, HEIGHT_INCHES), lambda figure: _contour(figure, plane, overlays))


def plot_overlap(found: Overlap, path: Path, *, overlays: Sequence[Overlay] = ()) -> None:
    """Write the contours of several campaigns in one plane, and that of all together where there is one, to `path`."""
    draw(path, (8.4, HEIGHT_INCHES), lambda figure: _overlap(figure, found, overlays))


def plot_map(plane: MassPlane, quantity: Quantity, path: Path, *, overlays: Sequence[Overlay] = ()) -> None:
    """Write a quantity over the plane as colours (with its numbers, if they are few) and the observed exclusion."""
    _require(plane)
    if sum(value is not None for value in quantity.values(plane.outcomes)) < 3:
        raise InvalidInput(f"fewer than three points have {quantity.name}", field="map", value=quantity.name)
    draw(path, (9.4, HEIGHT_INCHES), lambda figure: _map(figure, plane, quantity, overlays))


def _require(plane: MassPlane) -> None:
    if not plane.covered:
        known = sum(o.status is Status.OK for o in plane.outcomes)
        raise InvalidInput(
            f"{known} points with a limit span no area of the plane {plane.x}, {plane.y}: a contour needs three that are "
            "not on one line", field="plot",
        )  # fmt: skip


def axis_label(axis: Axis) -> str:
    """The label of an axis with its unit (mathtext)."""
    unit = axis.unit.replace("$", "")
    return axis_text(axis) + (f" [{unit}]" if unit else "")


def axis_text(axis: Axis) -> str:
    """An axis without its unit: its LaTeX where matplotlib can set it, else its title or name."""
    if axis.math:
        try:
            import_module("matplotlib.mathtext").MathTextParser("path").parse(axis.math)
        except ValueError:  # LaTeX that is beyond mathtext
            return axis.text.replace("$", "")
        return axis.math
    return axis.text.replace("$", "")


# -- contour -----------------------------------------------------------------------------------------------------------
def _contour(figure: Any, plane: MassPlane, overlays: Sequence[Overlay]) -> None:
    axes = figure.add_subplot()
    _area(axes, plane.bands["expected"], EXPECTED_BAND, 1.0)
    _area(axes, plane.bands["observed_xsec"], THEORY_BAND, 1.2)
    _hatch_invalid(axes, plane)
    for name in ("observed_xsec_up", "observed_xsec_down"):
        _lines(axes, plane.curves[name], color=VERMILION, linewidth=1.1, linestyle=(0, (1, 1.5)), zorder=4)
    for name in ("expected_minus_1", "expected_plus_1"):
        _lines(axes, plane.curves[name], color=_OCHRE, linewidth=0.7, zorder=3)
    _lines(axes, plane.curves["expected"], color=BLACK, linewidth=1.8, linestyle=(0, (5, 2.5)), zorder=5)
    _lines(axes, plane.curves["observed"], color=VERMILION, linewidth=2.6, zorder=6)
    for at, overlay in enumerate(overlays):
        _lines(axes, overlay.lines, color=_OVERLAYS[at % 4], linewidth=2.0, linestyle=_DASH_DOT, zorder=7)
    _points(axes, plane)
    _frame(axes, plane, _head(axes, plane, _handles(plane, overlays, areas=True)))


def _overlap(figure: Any, found: Overlap, overlays: Sequence[Overlay]) -> None:
    axes = figure.add_subplot()
    line = import_module("matplotlib.lines").Line2D
    handles = []
    _hatch_invalid(axes, found.whole)
    for at, (name, plane) in enumerate(found.parts):
        color = part_color(at)
        _lines(axes, plane.curves["expected"], color=color, linewidth=1.4, linestyle=(0, (5, 2.5)), zorder=5)
        _lines(axes, plane.curves["observed"], color=color, linewidth=2.4, zorder=6)
        handles.append(line([], [], color=color, linewidth=2.4, label=shortened(name, 30)))
    if found.merged:
        _lines(axes, found.whole.curves["observed"], color=GREY, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=7)
        handles.append(line([], [], color=GREY, linewidth=1.2, linestyle=(0, (1, 1.5)), label="All together, observed"))
    handles.append(line([], [], color=BLACK, linewidth=1.4, label="Observed limit"))
    handles.append(line([], [], color=BLACK, linewidth=1.4, linestyle=(0, (5, 2.5)), label="Expected limit"))
    for at, overlay in enumerate(overlays):
        color = _OVERLAYS[(at + len(found.parts)) % len(_OVERLAYS)]
        _lines(axes, overlay.lines, color=color, linewidth=1.6, linestyle=_DASH_DOT, zorder=7)
        handles.append(
            line([], [], color=color, linewidth=1.6, linestyle=_DASH_DOT, label=shortened(overlay.label, 30))
        )
    if found.whole.invalid:
        patch = import_module("matplotlib.patches").Patch
        handles.append(patch(facecolor="none", edgecolor=GREY, hatch="////", linewidth=0.0, label="Outside validity"))
    _points(axes, found.whole)
    marked = {mark_of(o) for o in found.whole.outcomes}
    handles += [line([], [], linestyle="none", label=mark.capitalize(), **({"markeredgewidth": 0.9} | look))
                for mark, look in _MARKS.items() if mark in marked]  # fmt: skip
    _frame(axes, found.whole, _head(axes, found.whole, handles))


def part_color(at: int) -> str:
    """The colour of the nth campaign."""
    return (VERMILION, BLUE, *_OVERLAYS[:2], ORANGE)[at % 5]


def _area(axes: Any, polygons: Any, color: str, zorder: float) -> None:
    collection = import_module("matplotlib.collections").PolyCollection(
        polygons, facecolor=color, edgecolor=color, linewidth=0.4, zorder=zorder
    )
    axes.add_collection(collection, autolim=False)


def _hatch_invalid(axes: Any, plane: MassPlane) -> None:
    if plane.invalid:
        collection = import_module("matplotlib.collections").PolyCollection(
            [list(polygon) for polygon in plane.invalid], facecolor="none", edgecolor=GREY, linewidth=0.0,
            hatch="////", zorder=2.5,
        )  # fmt: skip
        axes.add_collection(collection, autolim=False)


def _lines(axes: Any, lines: Sequence[Sequence[contour.XY]], **look: Any) -> None:
    for line in lines:
        axes.plot([x for x, _ in line], [y for _, y in line], **look)


_MARKS: dict[str, dict[str, Any]] = {
    "excluded": {"marker": "o", "markerfacecolor": BLACK, "markeredgecolor": BLACK, "markersize": 3.2},
    "not excluded": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": BLACK, "markersize": 4.2},
    "undetermined": {"marker": "D", "markerfacecolor": "white", "markeredgecolor": BLACK, "markersize": 4.6},
    "no event passes": {"marker": "v", "markerfacecolor": "white", "markeredgecolor": BLUE, "markersize": 5.5},
    "failed": {"marker": "x", "markeredgecolor": VERMILION, "markersize": 6.5, "markeredgewidth": 1.6},
    "no result yet": {"marker": "+", "markeredgecolor": GREY, "markersize": 7.0, "markeredgewidth": 1.2},
}
"""How points are marked, in the order of the legend."""


def mark_of(outcome: Outcome) -> str:
    """What a point is marked as."""
    if outcome.status is Status.OK:
        return {Verdict.EXCLUDED: "excluded", Verdict.NOT_EXCLUDED: "not excluded"}.get(
            outcome.verdict or Verdict.UNDETERMINED, "undetermined"
        )
    return {Status.NO_SIGNAL: "no event passes", Status.FAILED: "failed"}.get(outcome.status, "no result yet")


def _points(axes: Any, plane: MassPlane) -> None:
    shrink = min(1.0, (200 / len(plane.outcomes)) ** 0.5)
    for mark, look in _MARKS.items():
        places = [plane.place(o) for o in plane.outcomes if mark_of(o) == mark]
        if places:
            axes.plot(
                [x for x, _ in places], [y for _, y in places], linestyle="none", zorder=8, clip_on=False,
                **({"markeredgewidth": 0.9 * shrink} | look | {"markersize": look["markersize"] * shrink}),
            )  # fmt: skip


def _frame(axes: Any, plane: MassPlane, rows: int) -> None:
    """Ranges, labels, a white head with room for `rows` lines of text, and the half of the plane that cannot be."""
    places = [plane.place(o) for o in plane.outcomes]
    left, right = _wider(min(x for x, _ in places), max(x for x, _ in places), 0.05)
    low, below_head = _wider(min(y for _, y in places), max(y for _, y in places), 0.05)
    low = max(low, 0.0) if min(y for _, y in places) >= 0 else low
    share = (0.2 + 0.25 * rows) / PLANE_INCHES
    high = below_head + (below_head - low) * share / (1.0 - share)
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.set_xlabel(axis_label(plane.named(plane.x)), fontsize=17)
    axes.set_ylabel(axis_label(plane.named(plane.y)), fontsize=17)
    axes.tick_params(labelsize=13)
    if has_diagonal(plane):
        axes.fill_between([left, right], [left, right], [high, high], color=_FORBIDDEN, linewidth=0.0, zorder=0.5)
        axes.plot([left, right], [left, right], color=GREY, linewidth=1.0, zorder=0.6)
        if min(right, below_head) - max(left, low) > 0.25 * (right - left):
            _say_forbidden(axes, plane, (max(left, low), min(right, below_head)), (right - left) / (high - low))
    rectangle = import_module("matplotlib.patches").Rectangle
    head = rectangle((left, below_head), right - left, high - below_head, facecolor="white", edgecolor=BLACK,
                     linewidth=1.0, zorder=8.5)  # fmt: skip
    axes.add_patch(head)
    fixed = import_module("matplotlib.ticker").FixedLocator
    minor, major = ([at for at in axes.yaxis.get_ticklocs(minor=m) if low <= at <= below_head] for m in (True, False))
    axes.yaxis.set_major_locator(fixed(major))
    axes.yaxis.set_minor_locator(fixed(minor))


def _say_forbidden(axes: Any, plane: MassPlane, ends: tuple[float, float], per_y: float) -> None:
    """What the grey half is, along its edge."""
    slope = math.degrees(math.atan(per_y * HEIGHT_INCHES / 8.4 * 0.97))
    at = ends[0] + 0.07 * (ends[1] - ends[0])
    said = f"{axis_text(plane.named(plane.y))} > {axis_text(plane.named(plane.x))}"
    axes.annotate(
        said, (at, at), xytext=(-3, 6), textcoords="offset points",
        rotation=slope, rotation_mode="anchor", fontsize=10.5, color=GREY, va="bottom", zorder=0.7,
    )  # fmt: skip


def has_diagonal(plane: MassPlane) -> bool:
    """Whether both axes are masses, the second that of the lightest particle: then it cannot be the heavier one."""
    light = plane.y in ("m_lsp", "m_neutralino_1") and plane.x.startswith("m_")
    return light and all(y <= x for x, y in map(plane.place, plane.outcomes))


def _wider(low: float, high: float, share: float) -> tuple[float, float]:
    span = (high - low) or max(abs(high), 1.0)
    return low - share * span, high + share * span


def _handles(plane: MassPlane, overlays: Sequence[Overlay], *, areas: bool) -> list[Any]:
    """What the legend says; `areas`: of bands and marks, too."""
    line, patch = import_module("matplotlib.lines").Line2D, import_module("matplotlib.patches").Patch
    dashes, dots = (0, (5, 2.5)), (0, (1, 1.5))
    handles = [line([], [], color=VERMILION, linewidth=2.6, label="Observed limit")]
    if areas and plane.bands["observed_xsec"]:
        handles.append(patch(facecolor=THEORY_BAND, edgecolor=VERMILION, linestyle=dots, linewidth=1.1,
                             label="Observed, cross-section ± 1σ"))  # fmt: skip
    handles.append(line([], [], color=BLACK, linewidth=1.8, linestyle=dashes, label="Expected limit"))
    if areas and plane.bands["expected"]:
        handles.append(patch(facecolor=EXPECTED_BAND, edgecolor=_OCHRE, linewidth=0.7, label="Expected ± 1σ"))
    for at, overlay in enumerate(overlays):
        handles.append(line([], [], color=_OVERLAYS[at % 4], linewidth=2.0, linestyle=_DASH_DOT,
                            label=shortened(overlay.label, 36)))  # fmt: skip
    if plane.invalid:
        handles.append(patch(facecolor="none", edgecolor=GREY, hatch="////", linewidth=0.0, label="Outside validity"))
    marked = {mark_of(o) for o in plane.outcomes}
    for mark, look in _MARKS.items():
        if mark in marked and (areas or mark not in ("excluded", "not excluded", "undetermined")):
            handles.append(line([], [], linestyle="none", label=mark.capitalize(), **({"markeredgewidth": 0.9} | look)))
    return handles


def _head(axes: Any, plane: MassPlane, handles: Sequence[Any]) -> int:
    """The legend and the text beside it, in the head of the figure; gives how many lines they take."""
    columns = 2 if len(handles) > 4 else 1
    legend = axes.legend(
        handles=handles, loc="upper right", bbox_to_anchor=(0.992, 0.992), fontsize=10, ncols=columns, labelspacing=0.35,
        handlelength=2.0, borderpad=0.1, columnspacing=1.0, handletextpad=0.6,
    )  # fmt: skip
    legend.set_zorder(9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return max(-(-len(handles) // columns), _headlines(axes, plane))


def _headlines(axes: Any, plane: MassPlane) -> int:
    """Analysis, luminosity and method at the upper left; gives how many lines that are."""
    names = list(dict.fromkeys(o.analysis for o in plane.outcomes))
    lumis = sorted({o.lumi_ifb for o in plane.outcomes if o.lumi_ifb is not None})
    lines: list[tuple[str, dict[str, Any]]] = [
        (shortened(name, 34), {"fontweight": "bold", "fontsize": 13}) for name in names[:3]
    ]
    if len(names) > 1:
        lines.append(("the best expected at each point", {"fontsize": 11}))
    said = ", ".join(f"{lumi:g}" for lumi in lumis)
    lines.append((f"{said} fb$^{{-1}}$, 95% CL" if said else "95% CL", {"fontsize": 12, "parse_math": True}))
    way = "bilinear in cells" if plane.lattice else "linear in triangles"
    method = {"fontsize": 9.5, "color": GREY}
    lines += [("Log of the limit on μ interpolated", method), (f"({way}), not extrapolated", method)]
    for at, (text, look) in enumerate(lines):
        axes.annotate(text, (0.0, 1.0), xycoords="axes fraction", xytext=(12, -12 - 18 * at), textcoords="offset points",
                      va="top", zorder=9, **({"parse_math": False} | look))  # fmt: skip
    return len(lines)


# -- maps --------------------------------------------------------------------------------------------------------------
def _map(figure: Any, plane: MassPlane, quantity: Quantity, overlays: Sequence[Overlay]) -> None:
    axes = figure.add_subplot()
    colors = import_module("matplotlib.colors")
    known = [(plane.place(o), v) for o, v in zip(plane.outcomes, quantity.values(plane.outcomes), strict=True)]
    points = [(place, v) for place, v in known if v is not None]
    mesh = contour.mesh([place for place, _ in points], missing=[place for place, v in known if v is None])
    values = [math.log10(v) if quantity.log else v for _, v in points]
    nodes, at_nodes = mesh.nodes, mesh.at_nodes(values)
    shown = [10**v for v in at_nodes] if quantity.log else at_nodes
    low, high = min(shown), max(shown)
    if low == high:
        low, high = low * 0.9, high * 1.1 or 1.0
    norm = colors.LogNorm(low, high) if quantity.log else colors.Normalize(min(low, 0.0), high)
    if mesh.triangles:
        triangulation = import_module("matplotlib.tri").Triangulation(
            [x for x, _ in nodes], [y for _, y in nodes], list(mesh.triangles)
        )
        drawn = axes.tripcolor(
            triangulation, shown, shading="gouraud", cmap="viridis", norm=norm, zorder=1, rasterized=True
        )
    else:
        drawn = axes.scatter([x for (x, _), _ in points], [y for (_, y), _ in points], c=[v for _, v in points],
                             cmap="viridis", norm=norm, zorder=1)  # fmt: skip
    bar = figure.colorbar(drawn, ax=axes, pad=0.02)
    region = "" if quantity.title.startswith(("95", "Exp", "$")) else f"{shortened(quantity.name, 34)}: "
    bar.set_label(region + quantity.title, fontsize=14, parse_math=not region)
    bar.ax.tick_params(labelsize=12)
    _hatch_invalid(axes, plane)
    _lines(axes, plane.curves["observed"], color=VERMILION, linewidth=2.6, zorder=6)
    _lines(axes, plane.curves["expected"], color=BLACK, linewidth=1.8, linestyle=(0, (5, 2.5)), zorder=5)
    for at, overlay in enumerate(overlays):
        _lines(axes, overlay.lines, color=_OVERLAYS[at % 4], linewidth=2.0, linestyle=_DASH_DOT, zorder=7)
    if len(points) <= MAX_NUMBERS:
        halo = import_module("matplotlib.patheffects").withStroke(linewidth=1.8, foreground="white")
        for (x, y), value in points:
            axes.text(x, y, _brief(value), ha="center", va="center", fontsize=7.5, zorder=8, path_effects=[halo])
    for o in plane.outcomes:
        if o.status is not Status.OK:
            axes.plot(*plane.place(o), linestyle="none", zorder=8, clip_on=False,
                      **({"markeredgewidth": 0.9} | _MARKS[mark_of(o)]))  # fmt: skip
    _frame(axes, plane, _head(axes, plane, _handles(plane, overlays, areas=False)))


def _brief(value: float) -> str:
    """Two or three figures, without an exponent where it can be."""
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.0e}"
