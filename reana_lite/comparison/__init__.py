"""Results against each other and against what is published. Pure: things in, things and texts out.

references   the numbers an analysis declares with their tolerances (`recast test`)
outcome      what one run says of one theory, in few numbers
masslimit    exclusion along a mass axis and in a mass plane (geometry: contour.py)
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
from reana_lite.comparison.published import Published, PublishedPoint, cross_check, read_published
from reana_lite.comparison.ranking import rank_analyses, rank_theories
from reana_lite.comparison.references import (
    Row,
    compare_to_references,
    passed,
    to_csv,
    to_json,
    to_markdown,
    to_text,
)
from reana_lite.comparison.tables import Column, Table, mass_limits_table, results_table

__all__ = [
    "Column",
    "MassLimit",
    "MassPlane",
    "Outcome",
    "Published",
    "PublishedPoint",
    "Reach",
    "Row",
    "Status",
    "Table",
    "axes_of",
    "by_theory",
    "compare_to_references",
    "cross_check",
    "mass_limit",
    "mass_limits_table",
    "mass_plane",
    "most_sensitive",
    "outcome_of",
    "passed",
    "rank_analyses",
    "rank_theories",
    "read_published",
    "results_table",
    "rows_of",
    "to_csv",
    "to_json",
    "to_markdown",
    "to_text",
    "what_changed",
]
