"""Accounts of the server, their tokens and shares; what was uploaded, who did what."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _name(name: str, length: int = 255) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length), server_default="", nullable=False)


def _number(name: str, kind: type = sa.Integer) -> sa.Column[Any]:
    return sa.Column(name, kind(), server_default="0", nullable=False)


def upgrade() -> None:
    """Make them all."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=100), nullable=False),
        _name("email"),
        _name("full_name"),
        _name("password"),
        _name("role", 16),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        _number("disk_bytes", sa.BigInteger),
        _number("running_jobs"),
        _number("cpu_s", sa.BigInteger),
        _number("created_at", sa.Double),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        _name("owner", 100),
        _name("kind", 8),
        _name("name"),
        _name("role", 16),
        _number("created_at", sa.Double),
        _number("expires_at", sa.Double),
        _number("used_at", sa.Double),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tokens")),
        sa.UniqueConstraint("id", name=op.f("uq_tokens_id")),
    )
    op.create_index("ix_tokens_owner", "tokens", ["owner"])
    op.create_table(
        "shares",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("object", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=100), nullable=False),
        _number("created_at", sa.Double),
        sa.PrimaryKeyConstraint("kind", "object", "user", name=op.f("pk_shares")),
    )
    op.create_index("ix_shares_user", "shares", ["user"])
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        _number("at", sa.Double),
        _name("who", 100),
        _name("what", 32),
        _name("object"),
        _name("address", 64),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        _name("digest", 64),
        _number("status"),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        _number("created_at", sa.Double),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_idempotency")),
    )
    op.create_table(
        "throttle",
        sa.Column("key", sa.String(length=200), nullable=False),
        _number("failures"),
        _number("last_at", sa.Double),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttle")),
    )
    op.create_table(
        "theory_files",
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        _name("name"),
        _name("format", 32),
        _number("size_bytes", sa.BigInteger),
        _name("key", 64),
        _number("created_at", sa.Double),
        sa.PrimaryKeyConstraint("owner", "digest", name=op.f("pk_theory_files")),
    )
    op.create_index("ix_theory_files_key", "theory_files", ["key"])
    op.create_index("ix_runs_owner_created_at_id", "runs", ["owner", "created_at", "id"])
