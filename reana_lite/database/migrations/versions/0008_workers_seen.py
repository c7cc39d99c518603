"""Workers say when they were seen, whatever their lease; nothing is kept of theories beside their runs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column, and drop the table that nothing was written into."""
    op.add_column("workers", sa.Column("seen_at", sa.Double(), server_default="0", nullable=False))
    op.drop_table("theories")
