# SPDX-License-Identifier: Apache-2.0
"""Pumps, mains and supplies that zones share, and acts that are parts of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables; every act so far is a run of its own."""
    op.create_table(
        "resource",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("max_flow_l_min", sa.Float(), nullable=True),
        sa.Column("max_zones", sa.BigInteger(), nullable=True),
        sa.Column("min_rest_s", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=True),
        sa.Column("updated_by", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_resource_site_site")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_resource")),
    )
    op.create_index(op.f("ix_resource_site"), "resource", ["site"])
    op.create_table(
        "resource_zone",
        sa.Column("resource_key", sa.String(), nullable=False),
        sa.Column("zone_key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["resource_key"], ["resource.key"], name=op.f("fk_resource_zone_resource_key_resource")),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_resource_zone_zone_key_zone")),
        sa.PrimaryKeyConstraint("resource_key", "zone_key", name=op.f("pk_resource_zone")),
    )
    op.create_index(op.f("ix_resource_zone_zone_key"), "resource_zone", ["zone_key"])
    op.add_column("act", sa.Column("part", sa.BigInteger(), nullable=False, server_default="1"))
    op.add_column("act", sa.Column("parts", sa.BigInteger(), nullable=False, server_default="1"))
    op.add_column("act", sa.Column("continues", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(op.f("ix_act_ended_ms"), "act", ["ended_ms"])
    op.create_index(
        "ix_act_continues",
        "act",
        ["zone_key"],
        sqlite_where=sa.text("continues"),
        postgresql_where=sa.text("continues"),
    )
