# SPDX-License-Identifier: Apache-2.0
"""Holidays of agencies, and litres that zones carry."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of holidays; zones begin without anything carried."""
    op.create_table(
        "holiday",
        sa.Column("agency_key", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["agency_key"], ["agency.key"], name=op.f("fk_holiday_agency_key_agency")),
        sa.PrimaryKeyConstraint("agency_key", "day", name=op.f("pk_holiday")),
    )
    with op.batch_alter_table("zone_state") as batch:
        batch.add_column(sa.Column("carried_l", sa.Float(), nullable=False, server_default="0"))
