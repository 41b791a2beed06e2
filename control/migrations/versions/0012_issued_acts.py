# SPDX-License-Identifier: Apache-2.0
"""Acts of a zone found by when they were issued."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index(op.f("ix_act_zone_key_issued_ms"), "act", ["zone_key", "issued_ms"])
