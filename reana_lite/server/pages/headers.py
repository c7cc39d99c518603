"""What pages say to the browser beside guard.py's headers, where these are too strict or not strict enough."""

from __future__ import annotations

from reana_lite.server.guard import POLICY, SANDBOX

PLOT = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace("data:;", "data: blob:;")
"""For pages with an interactive plot: plotly writes style elements of its own. Scripts stay as strict."""

ARTIFACT = SANDBOX + "; frame-ancestors 'none'"
"""For files that a run has written: they have no origin, run nothing, load nothing."""

PDF = "default-src 'none'; object-src 'self'; frame-ancestors 'none'"
"""For PDF files: a browser's own viewer does not work in a sandbox of ours, and is one."""
