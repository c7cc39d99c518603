"""REANA's API under /api, as an unmodified reana-client 0.9 and recast-atlas 0.4 speak it.

documents.py: our records as its documents. workspace.py: files. runs.py: workflows as runs. doors.py, files.py, account.py:
the endpoints. What is compatible and what differs: docs/reana.md.
"""

from flask import Blueprint

from reana_lite.server.reana import account, doors, files

blueprint = Blueprint("reana", __name__, url_prefix="/api")
for part in (account, doors, files):
    part.add(blueprint)
