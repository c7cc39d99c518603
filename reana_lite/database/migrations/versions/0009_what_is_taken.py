"""What a user has taken is summed up from an index of jobs that are over."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the index."""
    over = sa.text("ended_at > 0")
    columns = ["first_run", "size_bytes", "started_at", "ended_at"]
    op.create_index("ix_jobs_taken", "jobs", columns, sqlite_where=over, postgresql_where=over)
