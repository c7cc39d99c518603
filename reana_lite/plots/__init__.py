"""Publication plots of results and comparisons, and pages to look at them.

A place: it writes files. `yields`: one result, per region and per likelihood. `plane`: exclusion in a mass plane, maps of
limits and efficiencies. `row`: limits along a mass axis, rankings. `interactive`: one HTML file. `drawing`: what figures
share. Called by the command line and the server.
"""

from reana_lite.plots.drawing import FORMATS
from reana_lite.plots.interactive import write_page
from reana_lite.plots.plane import Overlay, plot_contour, plot_map, plot_overlap
from reana_lite.plots.row import plot_ranking, plot_row
from reana_lite.plots.yields import plot_limits, plot_yields, poisson_interval

__all__ = [
    "FORMATS",
    "Overlay",
    "plot_contour",
    "plot_limits",
    "plot_map",
    "plot_overlap",
    "plot_ranking",
    "plot_row",
    "plot_yields",
    "poisson_interval",
    "write_page",
]
