"""Secrets of owners; the queue is read owner by owner; workers say what they do."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table and the index, and replace the index that knew no owners."""
    op.create_table(
        "secrets",
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=8), server_default="", nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.Column("identity", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name=op.f("pk_secrets")),
    )
    op.add_column("workers", sa.Column("doing", sa.Text(), server_default="", nullable=False))
    op.drop_index("ix_runs_state_priority_queued_at", "runs")
    op.create_index("ix_runs_state_owner_priority_queued_at", "runs", ["state", "owner", "priority", "queued_at"])
