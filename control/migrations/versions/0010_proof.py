# SPDX-License-Identifier: Apache-2.0
"""Verdicts on acts, how zones stand by them, and how soon there has to be flow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MOVED = "state IN ('done', 'failed', 'indeterminate') AND action IN ('irrigate', 'feed')"
INDEXES = {
    "ix_act_unproved": ("act", "ended_ms", f"verdict IS NULL AND {MOVED}"),
    "ix_act_proof_due": ("act", "proof_due_ms", "proof_due_ms IS NOT NULL"),
    "ix_zone_proof_held": ("zone_proof", "zone_key", "held_ms IS NOT NULL"),
}


def upgrade() -> None:
    """Add them; what ended before has no evidence, for nobody looked."""
    with op.batch_alter_table("act") as batch:
        batch.add_column(sa.Column("verdict", sa.String(), nullable=True))
        batch.add_column(sa.Column("proof", sa.JSON(none_as_null=True), nullable=True))
        batch.add_column(sa.Column("proof_due_ms", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("zone") as batch:
        batch.add_column(sa.Column("flow_within_s", sa.BigInteger(), nullable=False, server_default="30"))
    op.create_table(
        "zone_proof",
        sa.Column("zone_key", sa.String(), nullable=False),
        sa.Column("disproved", sa.BigInteger(), nullable=False),
        sa.Column("finding", sa.String(), nullable=True),
        sa.Column("act_id", sa.String(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=True),
        sa.Column("held_ms", sa.BigInteger(), nullable=True),
        sa.Column("released_ms", sa.BigInteger(), nullable=True),
        sa.Column("leak_ms", sa.BigInteger(), nullable=True),
        sa.Column("leak_l_min", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_zone_proof_zone_key_zone")),
        sa.PrimaryKeyConstraint("zone_key", name=op.f("pk_zone_proof")),
    )
    for name, (table, column, where) in INDEXES.items():
        op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.execute(sa.table("act", sa.column("verdict")).update().where(sa.text(MOVED)).values(verdict="no-evidence"))
