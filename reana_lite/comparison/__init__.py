"""Results against each other and against what is published. Pure: things in, things and texts out.

`references`: the numbers an analysis declares with their tolerances (`recast test`). `outcome`: what one run says of one
theory, in few numbers. `masslimit`: exclusion along a mass axis and in a mass plane. `ranking`, `difference`,
`published`: theories and analyses in order, two campaigns, a published grid. `tables`: how they are written; `exports`:
what other programs read.
"""

from reana_lite.comparison.references import (
    Row,
    compare_to_references,
    passed,
    to_csv,
    to_json,
    to_markdown,
    to_text,
)

__all__ = ["Row", "compare_to_references", "passed", "to_csv", "to_json", "to_markdown", "to_text"]
