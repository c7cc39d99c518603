"""`python -m reana_lite` is `recast`."""

from reana_lite.cli import main

main()
