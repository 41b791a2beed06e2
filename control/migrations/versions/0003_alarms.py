# SPDX-License-Identifier: Apache-2.0
"""Alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of alarms."""
    op.create_table(
        "alarm",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=True),
        sa.Column("agency", sa.String(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("cleared_ms", sa.BigInteger(), nullable=True),
        sa.Column("seen_ms", sa.BigInteger(), nullable=True),
        sa.Column("seen_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    for column in ("site", "agency", "since_ms", "cleared_ms"):
        op.create_index(op.f(f"ix_alarm_{column}"), "alarm", [column], unique=False)
    is_open = sa.text("cleared_ms IS NULL")
    op.create_index(
        "uq_alarm_code_subject_open", "alarm", ["code", "subject"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
