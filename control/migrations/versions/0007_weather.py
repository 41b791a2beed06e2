# SPDX-License-Identifier: Apache-2.0
"""Forecasts, and the rain that was measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of forecasts and of hours of rain."""
    op.create_table(
        "forecast",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_by", sa.String(), nullable=False),
        sa.Column("entries", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_forecast_site_site")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast")),
        sa.UniqueConstraint("site", "source", "issued_ms", name=op.f("uq_forecast_site_source_issued_ms")),
    )
    op.create_index(op.f("ix_forecast_site_issued_ms"), "forecast", ["site", "issued_ms"])
    op.create_table(
        "rain_hour",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("mm", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_rain_hour_site_site")),
        sa.PrimaryKeyConstraint("site", "hour_ms", name=op.f("pk_rain_hour")),
    )
