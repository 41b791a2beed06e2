# SPDX-License-Identifier: Apache-2.0
"""Decisions kept as values of a form: what the numbers are called is written once."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 5_000


def upgrade() -> None:
    """Create the table of forms, and cut what is kept already into names and values."""
    serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    forms = op.create_table(
        "decision_form",
        sa.Column("id", serial, nullable=False),
        sa.Column("names", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision_form")),
        sa.UniqueConstraint("names", name=op.f("uq_decision_form_names")),
    )
    with op.batch_alter_table("decision") as batch:
        batch.add_column(sa.Column("form_id", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("seen", sa.JSON(), nullable=True))
    _cut(op.get_bind(), forms)
    with op.batch_alter_table("decision") as batch:
        batch.alter_column("form_id", existing_type=sa.BigInteger(), nullable=False)
        batch.alter_column("seen", existing_type=sa.JSON(), nullable=False)
        batch.create_foreign_key(op.f("fk_decision_form_id_decision_form"), "decision_form", ["form_id"], ["id"])
        batch.drop_column("inputs")


def _cut(connection: sa.Connection, forms: sa.Table) -> None:
    known: dict[str, int] = {}
    last = -1
    page = sa.text("SELECT id, inputs FROM decision WHERE id > :last ORDER BY id LIMIT :rows")
    change = sa.text("UPDATE decision SET form_id = :form, seen = :seen WHERE id = :number")
    while rows := connection.execute(page, {"last": last, "rows": ROWS_AT_ONCE}).all():
        changed = []
        for number, inputs in rows:
            seen = json.loads(inputs) if isinstance(inputs, str) else inputs
            names = " ".join(seen)
            if names not in known:
                known[names] = len(known) + 1
                connection.execute(forms.insert().values(names=names))
            changed.append({"form": known[names], "seen": json.dumps(list(seen.values())), "number": number})
        connection.execute(change, changed)
        last = rows[-1][0]
