"""What all figures share: formats, colours, the style of the field, a file that is written completely or not at all.

matplotlib and mplhep (extra `plots`) are loaded when a figure is drawn. The same content gives the same bytes: no dates,
no random names; no display is needed. Colours are of the Okabe-Ito palette, told apart with any colour vision and in grey.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from reana_lite.errors import InvalidInput, NotAllowed

FORMATS: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": "reana-lite"},
    ".svg": {"Date": None, "Creator": "reana-lite"},
    ".png": {"Software": None},
}
"""Formats by ending, with the metadata that keeps a file free of dates and versions."""

BLUE, SKY, VERMILION, BLACK, GREY = "#0072B2", "#A9D6F2", "#D55E00", "#000000", "#666666"
BAND_1, BAND_2 = "#5FA8D3", "#CFE4F2"
GREEN, ORANGE, PURPLE = "#009E73", "#E69F00", "#CC79A7"


def shortened(text: str, limit: int) -> str:
    """A text from outside for a figure: nothing that cannot be printed, not too long."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def draw(path: Path, size_inches: tuple[float, float], fill: Callable[[Any], None]) -> None:
    """Make a figure, let `fill` draw into it, and write it by the ending of `path`, completely or not at all."""
    metadata = FORMATS.get(path.suffix.lower())
    if metadata is None:
        raise InvalidInput(
            f"cannot write {path.name}: a plot ends in {', '.join(FORMATS)}", field="plot", value=path.name
        )
    try:
        matplotlib, mplhep = import_module("matplotlib"), import_module("mplhep")
        agg, figures = import_module("matplotlib.backends.backend_agg"), import_module("matplotlib.figure")
    except ImportError as error:
        raise NotAllowed("plots need matplotlib and mplhep: pip install 'reana-lite[plots]'") from error
    ours = {
        "svg.hashsalt": "reana-lite", "svg.fonttype": "path", "pdf.fonttype": 42, "hatch.linewidth": 0.6,
        "hatch.color": GREY, "mathtext.fontset": "custom", "mathtext.rm": "sans", "mathtext.it": "sans:italic",
        "mathtext.bf": "sans:bold", "mathtext.default": "regular", "ytick.major.size": 8,
        "ytick.minor.size": 4, "axes.formatter.limits": (-2, 4),
        "font.sans-serif": ["TeX Gyre Heros", "DejaVu Sans"], "text.usetex": False,
    }  # fmt: skip
    beside = path.with_name(f".{path.name}.part")
    with matplotlib.rc_context({**mplhep.style.ATLAS, **ours}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = figures.Figure(figsize=size_inches)
        agg.FigureCanvasAgg(figure)
        fill(figure)
        try:
            figure.savefig(
                beside, format=path.suffix.lower()[1:], metadata=metadata, dpi=200, bbox_inches="tight", pad_inches=0.08
            )
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise InvalidInput(f"cannot write {path}: {error.strerror}", field="plot", value=str(path)) from error
