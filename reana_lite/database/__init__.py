"""Records of runs, their events, and the jobs they share: SQLite in one file, or PostgreSQL.

tables.py: what a record is made of. records.py: rows as things. holders.py: which workers are alive. transaction.py: all
writes. database.py: reads, and the object everybody holds. opening.py and migrations/: how a database comes to be and
grows. Rules about runs and jobs are not here, except the tables of allowed transitions, applied as compare-and-set.
"""

from reana_lite.database.database import Database
from reana_lite.database.records import Claim, JobRecord, NodeRecord, RunRecord
from reana_lite.database.transaction import Transaction

__all__ = ["Claim", "Database", "JobRecord", "NodeRecord", "RunRecord", "Transaction"]
