"""One self-contained HTML page of a mass plane, to look at points one by one. plotly (extra `interactive`) draws it.

Nothing is loaded from elsewhere: the page works offline and years later. The same content gives the same bytes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from reana_lite import contour
from reana_lite.comparison.masslimit import MassPlane
from reana_lite.comparison.outcome import Outcome
from reana_lite.comparison.overlap import Overlap
from reana_lite.errors import InvalidInput, NotAllowed
from reana_lite.plots.drawing import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILION
from reana_lite.plots.plane import EXPECTED_BAND, THEORY_BAND, Overlay, mark_of, part_color

_SYMBOLS = {
    "excluded": ("circle", BLACK), "not excluded": ("circle-open", BLACK), "undetermined": ("diamond-open", BLACK),
    "no event passes": ("triangle-down-open", BLUE), "failed": ("x", VERMILION), "no result yet": ("cross-thin-open", GREY),
}  # fmt: skip


def write_page(found: MassPlane | Overlap, path: Path, *, overlays: Sequence[Overlay] = ()) -> None:
    """Write the page: contours, bands, published lines, and every point with its numbers under the pointer."""
    try:
        plotly = import_module("plotly.graph_objects")
        writer = import_module("plotly.io")
    except ImportError as error:
        raise NotAllowed("an interactive page needs plotly: pip install 'reana-lite[interactive]'") from error
    figure = plotly.Figure(**_figure(found, overlays))
    page = writer.to_html(figure, include_plotlyjs=True, full_html=True, div_id="plane", validate=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InvalidInput(f"cannot write {path}: {error.strerror}", field="plot", value=str(path)) from error


def figure_of(found: MassPlane | Overlap) -> dict[str, Any]:
    """The same figure as JSON for plotly's script; `customdata` of a point is the run behind it."""
    figure = _figure(found, ())
    return {"data": figure["data"], "layout": {**figure["layout"], "template": None, "plot_bgcolor": "#ffffff"}}


def _figure(found: MassPlane | Overlap, overlays: Sequence[Overlay]) -> dict[str, Any]:
    """Traces and layout."""
    plane = found if isinstance(found, MassPlane) else found.whole
    drawn = [*_areas(plane), *_curves(plane)] if isinstance(found, MassPlane) else _parts(found)
    frame = {"mirror": True, "showline": True, "ticks": "inside"}
    names = ", ".join(dict.fromkeys(o.analysis for o in plane.outcomes))
    return {
        "data": [*drawn, *_published(overlays), *_points(plane)],
        "layout": {
            "title": {"text": f"{_safe(names)}: exclusion at 95% CL<br><sup>{_safe(plane.method)}</sup>"},
            "xaxis": {"title": {"text": _safe(plane.named(plane.x).heading)}, **frame},
            "yaxis": {"title": {"text": _safe(plane.named(plane.y).heading)}, **frame},
            "template": "simple_white", "hovermode": "closest",
        },
    }  # fmt: skip


def _areas(plane: MassPlane) -> list[dict[str, Any]]:
    named = (
        ("expected", "Expected ± 1σ", EXPECTED_BAND),
        ("observed_xsec", "Observed, cross-section ± 1σ", THEORY_BAND),
    )
    traces = [_area(plane.bands[name], label, color) for name, label, color in named if plane.bands[name]]
    return traces + _invalid(plane)


def _invalid(plane: MassPlane) -> list[dict[str, Any]]:
    if not plane.invalid:
        return []
    return [_area([list(p) for p in plane.invalid], "Outside validity", "rgba(120,120,120,0.18)")]


def _area(polygons: Sequence[Sequence[contour.XY]], label: str, color: str) -> dict[str, Any]:
    xs, ys = _joined([[*polygon, polygon[0]] for polygon in polygons])
    return {"type": "scatter", "x": xs, "y": ys, "fill": "toself", "fillcolor": color, "mode": "none", "name": label,
            "hoverinfo": "skip"}  # fmt: skip


def _curves(plane: MassPlane) -> list[dict[str, Any]]:
    return [
        _line("Expected limit", plane.curves["expected"], {"color": BLACK, "dash": "dash", "width": 2}),
        _line("Observed limit", plane.curves["observed"], {"color": VERMILION, "width": 3}),
    ]


def _parts(found: Overlap) -> list[dict[str, Any]]:
    """Contours of several campaigns, and of all together where there is one."""
    traces = _invalid(found.whole)
    for at, (name, plane) in enumerate(found.parts):
        look = {"color": part_color(at)}
        traces.append(_line(f"{_safe(name)}, observed", plane.curves["observed"], look | {"width": 3}))
        traces.append(_line(f"{_safe(name)}, expected", plane.curves["expected"], look | {"width": 2, "dash": "dash"}))
    if found.merged:
        curve = found.whole.curves["observed"]
        traces.append(_line("All together, observed", curve, {"color": GREY, "width": 1.5, "dash": "dot"}))
    return traces


def _published(overlays: Sequence[Overlay]) -> list[dict[str, Any]]:
    colors = (GREEN, PURPLE, BLUE)
    return [
        _line(_safe(overlay.label), overlay.lines, {"color": colors[at % 3], "dash": "dashdot", "width": 2})
        for at, overlay in enumerate(overlays)
    ]


def _line(label: str, lines: Sequence[Sequence[contour.XY]], look: dict[str, Any]) -> dict[str, Any]:
    xs, ys = _joined(lines)
    return {"type": "scatter", "x": xs, "y": ys, "mode": "lines", "line": look, "name": label, "hoverinfo": "skip"}


def _points(plane: MassPlane) -> list[dict[str, Any]]:
    traces = []
    for mark, (symbol, color) in _SYMBOLS.items():
        outcomes = [o for o in plane.outcomes if mark_of(o) == mark]
        if outcomes:
            traces.append({
                "type": "scatter", "mode": "markers", "name": mark.capitalize(),
                "x": [plane.place(o)[0] for o in outcomes], "y": [plane.place(o)[1] for o in outcomes],
                "marker": {"symbol": symbol, "color": color, "size": 9}, "text": [_hover(o) for o in outcomes],
                "customdata": [o.run for o in outcomes],
                "hovertemplate": "%{text}<extra></extra>",
            })  # fmt: skip
    return traces


def _hover(o: Outcome) -> str:
    lines = [f"<b>{_safe(o.theory)}</b>", _safe(o.analysis)]
    expected = o.expected[2] if o.expected else None
    for label, value in (("r observed", o.r_observed), ("r expected", o.r_expected), ("CLs observed", o.cls_observed),
                         ("limit on μ observed", o.observed), ("limit on μ expected", expected),
                         ("cross-section [pb]", o.xsec_pb),
                         ("its limit observed [pb]", o.xsec_limit_observed_pb)):  # fmt: skip
        if value is not None:
            lines.append(f"{label} = {value:.4g}")
    if o.likelihood:
        lines.append(f"decided by {_safe(o.likelihood)}")
    lines += [f"outside validity: {_safe(reason)}" for reason in o.reasons]
    if o.message:
        lines.append(_safe(o.message))
    if o.run:
        lines.append(f"run {_safe(o.run)}")
    return "<br>".join(lines)


def _joined(lines: Sequence[Sequence[contour.XY]]) -> tuple[list[float | None], list[float | None]]:
    """Coordinates of several lines, with a gap between each two."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for line in lines:
        xs += [*(x for x, _ in line), None]
        ys += [*(y for _, y in line), None]
    return xs[:-1], ys[:-1]


def _safe(text: str) -> str:
    """A text that a page shows and does not obey."""
    return html.escape("".join(c if c.isprintable() else "?" for c in text)[:200])
