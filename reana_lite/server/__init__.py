"""The server: pages for people, an API for programs, and REANA's API for REANA's own clients.

app.py: create_app, which puts the rest together. installation.py: what is served. auth.py: who asks, and `may`: what they
may. passwords.py: hashes. answers.py: errors as answers of each door. guard.py: hosts, headers, request ids, logs.
submissions.py: from a request to a run or a campaign (by intake.py), the one way in for all doors. uploads.py: files that
users send. files.py, sending.py, outcomes.py, exporting.py: files of runs, what runs say, and what is made of it, for all
doors. events.py: what happens, told to many. driving.py: the worker that `recast serve` starts. The doors, which do not know
one another: api/: the API; reana/: REANA's; pages/: HTML.
"""

from reana_lite.server.app import create_app
from reana_lite.server.installation import Installation, here

__all__ = ["Installation", "create_app", "here"]
