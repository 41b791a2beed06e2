# SPDX-License-Identifier: Apache-2.0
"""What schedules said, version by version; of those that are there the one in force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and put into it what is in force."""
    op.create_table(
        "schedule_version",
        sa.Column("schedule_id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("zone_key", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedule.id"], name=op.f("fk_schedule_version_schedule_id_schedule")),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_schedule_version_zone_key_zone")),
        sa.PrimaryKeyConstraint("schedule_id", "version", name=op.f("pk_schedule_version")),
    )
    op.create_index(op.f("ix_schedule_version_zone_key"), "schedule_version", ["zone_key"])
    op.execute(
        "INSERT INTO schedule_version (schedule_id, version, zone_key, enabled, definition, since_ms, until_ms)"
        " SELECT id, version, zone_key, enabled, definition, updated_ms, deleted_ms FROM schedule"
    )
