"""Campaigns and their points."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "campaigns",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), server_default="", nullable=False),
        sa.Column("owner", sa.String(length=255), server_default="", nullable=False),
        sa.Column("digest", sa.String(length=64), server_default="", nullable=False),
        sa.Column("request", sa.Text(), server_default="", nullable=False),
        sa.Column("skipped", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("stopped_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_campaigns_owner_name")),
        sa.UniqueConstraint("owner", "digest", name=op.f("uq_campaigns_owner_digest")),
    )
    op.create_table(
        "points",
        sa.Column("campaign", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("target", sa.String(length=255), server_default="", nullable=False),
        sa.Column("key", sa.String(length=64), server_default="", nullable=False),
        sa.Column("name", sa.String(length=255), server_default="", nullable=False),
        sa.Column("document", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("run", sa.String(length=32), server_default="", nullable=False),
        sa.Column("before", sa.String(length=32), server_default="", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("campaign", "number", name=op.f("pk_points")),
        sa.UniqueConstraint("campaign", "target", "key", name=op.f("uq_points_campaign_target_key")),
    )
    op.create_index("ix_points_campaign_run", "points", ["campaign", "run"])
