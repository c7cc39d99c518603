"""Results against each other and against what is published. Pure: things in, things and texts out.

references   the numbers an analysis declares with their tolerances, and what its tests gave (`recast test`)
axis         what axes are called, as analyses declare it
outcome      what one run says of one theory, in few numbers
masslimit    exclusion along a mass axis and in a mass plane (geometry: contour.py)
overlap      several campaigns in one plane
fields       numbers over a plane that are worth a map
ranking      theories and analyses by expected sensitivity
difference   two sets of results of the same theories
published    published grids and lines, and results against them point by point
tables       what all of these are written as: text, CSV, JSON, LaTeX
exports      what pyhf and SModelS read
"""

from reana_lite.comparison.difference import what_changed
from reana_lite.comparison.masslimit import MassLimit, MassPlane, Reach, mass_limit, mass_plane, rows_of
from reana_lite.comparison.outcome import Outcome, Status, axes_of, by_theory, most_sensitive, outcome_of
from reana_lite.comparison.overlap import Overlap, campaigns_of, mass_limits, overlap
from reana_lite.comparison.published import Published, PublishedPoint, cross_check, read_published
from reana_lite.comparison.ranking import rank_analyses, rank_theories
from reana_lite.comparison.references import (
    Row,
    compare_to_references,
    found_in,
    in_words,
    passed,
    quantity_name,
    recorded_rows,
    summary,
    to_csv,
    to_json,
    to_markdown,
    to_text,
    validation_of,
)
from reana_lite.comparison.tables import Column, Table, mass_limits_table, results_table

__all__ = [
    "Column",
    "MassLimit",
    "MassPlane",
    "Outcome",
    "Overlap",
    "Published",
    "PublishedPoint",
    "Reach",
    "Row",
    "Status",
    "Table",
    "axes_of",
    "by_theory",
    "campaigns_of",
    "compare_to_references",
    "cross_check",
    "found_in",
    "in_words",
    "mass_limit",
    "mass_limits",
    "mass_limits_table",
    "mass_plane",
    "most_sensitive",
    "outcome_of",
    "overlap",
    "passed",
    "quantity_name",
    "rank_analyses",
    "rank_theories",
    "read_published",
    "recorded_rows",
    "results_table",
    "rows_of",
    "summary",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_text",
    "validation_of",
    "what_changed",
]
