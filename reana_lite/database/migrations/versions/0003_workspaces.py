"""Uploaded workspaces, their files, and the runs that use them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=255), server_default="", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
    )
    op.create_index("ix_workspaces_owner", "workspaces", ["owner"])
    op.create_table(
        "workspace_files",
        sa.Column("workspace", sa.String(length=32), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("since", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until", sa.Integer(), server_default="0", nullable=False),
        sa.Column("kind", sa.String(length=8), server_default="", nullable=False),
        sa.Column("key", sa.String(length=64), server_default="", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("inner", sa.Text(), server_default="", nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("digest", sa.String(length=80), server_default="", nullable=False),
        sa.Column("executable", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("target", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("workspace", "path", "made", "since", name=op.f("pk_workspace_files")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_workspace_files_key", "workspace_files", ["key"])
    op.create_table(
        "workspace_runs",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("workspace", sa.String(length=32), server_default="", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("specification", sa.Text(), server_default="", nullable=False),
        sa.Column("parameters", sa.Text(), server_default="", nullable=False),
        sa.Column("options", sa.Text(), server_default="", nullable=False),
        sa.Column("taken", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("deleted_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("run", name=op.f("pk_workspace_runs")),
    )
    op.create_index("ix_workspace_runs_workspace", "workspace_runs", ["workspace"])
