# SPDX-License-Identifier: Apache-2.0
"""Budgets of water by month, acts beyond a budget, what people set of a device's configuration, tests of valves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, without anything in them; no act was beyond a budget, nobody has set anything."""
    op.create_table(
        "water_budget",
        sa.Column("agency_key", sa.String(), nullable=False),
        sa.Column("month", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("litres", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["agency_key"], ["agency.key"], name=op.f("fk_water_budget_agency_key_agency")),
        sa.PrimaryKeyConstraint("agency_key", "month", name=op.f("pk_water_budget")),
    )
    op.create_table(
        "valve_test",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("zones", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("stopped_by", sa.String(), nullable=True),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_valve_test_site_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_valve_test")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_valve_test_idempotency_key")),
    )
    op.create_index(op.f("ix_valve_test_site"), "valve_test", ["site"])
    unended = sa.text("ended_ms IS NULL")
    op.create_index("ix_valve_test_open", "valve_test", ["id"], sqlite_where=unended, postgresql_where=unended)
    # Added one by one: SQLite takes a nullable column without copying the table.
    op.add_column("act", sa.Column("override", sa.String(), nullable=True))
    op.add_column("act", sa.Column("beyond", sa.String(), nullable=True))
    op.add_column("device", sa.Column("wanted", sa.JSON(), nullable=True))
    op.add_column("device", sa.Column("config_refused", sa.String(), nullable=True))
