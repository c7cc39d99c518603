"""Records of runs, their events, and the jobs they share: SQLite in one file, or PostgreSQL.

tables.py: what a record is made of. records.py: rows as things. database.py: the object everybody holds, and what many read
of runs and jobs. transaction.py: many writes as one, and those about runs. The rest are functions of one of the two, by noun:
jobs, workers (what workers write); campaigns, workspaces, workspace_runs, secrets; users, tokens, shares, audit, repeats,
theory_files, throttle (the server's); listing, queue, results, history, upkeep (what is read of many). opening.py and
migrations/: how a database comes to be and grows. Rules about runs and jobs are not here, except the tables of allowed
transitions, applied as compare-and-set.
"""

from reana_lite.database.database import Database
from reana_lite.database.records import Claim, JobRecord, NodeRecord, RunRecord
from reana_lite.database.transaction import Transaction

__all__ = ["Claim", "Database", "JobRecord", "NodeRecord", "RunRecord", "Transaction"]
