"""Lists of many runs: by state and owner, what has just ended, points without a run, answers that are outdated."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("ix_runs_owner_state_created_at_id", "runs", ["owner", "state", "created_at", "id"])
    op.create_index("ix_runs_ended_at", "runs", ["ended_at"])
    op.create_index("ix_points_run_campaign", "points", ["run", "campaign"])
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
