"""The runs of one theory among many."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the index."""
    op.create_index("ix_runs_owner_theory_created_at_id", "runs", ["owner", "theory", "created_at", "id"])
