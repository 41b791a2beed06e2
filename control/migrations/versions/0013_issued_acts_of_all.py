# SPDX-License-Identifier: Apache-2.0
"""Acts of all zones found by when they were issued."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index."""
    op.create_index(op.f("ix_act_issued_ms"), "act", ["issued_ms"])
