# SPDX-License-Identifier: Apache-2.0
"""The first form of the control database: registry, schedules, ledger, decisions, tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    _site()
    _device()
    _zone()
    _schedule()
    _token()
    _act()
    _act_transition()
    _controller_state()
    _decision()
    _zone_state()


def _site() -> None:
    op.create_table(
        "site",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_site")),
    )


def _device() -> None:
    op.create_table(
        "device",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("last_n", sa.BigInteger(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("last_seen_ms", sa.BigInteger(), nullable=True),
        sa.Column("firmware", sa.String(), nullable=True),
        sa.Column("boot", sa.BigInteger(), nullable=True),
        sa.Column("rssi", sa.Float(), nullable=True),
        sa.Column("config_version", sa.BigInteger(), nullable=False),
        sa.Column("config_offset_min", sa.BigInteger(), nullable=True),
        sa.Column("config_due", sa.Boolean(), nullable=False),
        sa.Column("reported", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["site"], ["site.name"], name=op.f("fk_device_site")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_device")),
    )
    op.create_index(op.f("ix_device_site"), "device", ["site"], unique=False)


def _zone() -> None:
    op.create_table(
        "zone",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("device_key", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("area_m2", sa.Float(), nullable=True),
        sa.Column("root_depth_m", sa.Float(), nullable=True),
        sa.Column("flow_l_min", sa.Float(), nullable=True),
        sa.Column("grams_per_s", sa.Float(), nullable=True),
        sa.Column("max_seconds", sa.BigInteger(), nullable=False),
        sa.Column("litres_day", sa.Float(), nullable=False),
        sa.Column("grams_day", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["device_key"], ["device.key"], name=op.f("fk_zone_device_key")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_zone")),
        sa.UniqueConstraint("device_key", "number", name=op.f("uq_zone_device_key_number")),
    )


def _schedule() -> None:
    op.create_table(
        "schedule",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("zone_key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_schedule_zone_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule")),
    )
    op.create_index(op.f("ix_schedule_zone_key"), "schedule", ["zone_key"], unique=False)
    in_force = sa.text("enabled AND deleted_ms IS NULL")
    op.create_index(
        "uq_schedule_zone_key_enabled", "schedule", ["zone_key"], unique=True, sqlite_where=in_force, postgresql_where=in_force
    )


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("rights", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_token_digest")),
    )
    op.create_index(op.f("ix_token_name"), "token", ["name"], unique=False)


def _act() -> None:
    op.create_table(
        "act",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("device_key", sa.String(), nullable=False),
        sa.Column("zone_key", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("idempotency_key", sa.String(), nullable=True),
        sa.Column("planned_ms", sa.BigInteger(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("litres", sa.Float(), nullable=True),
        sa.Column("grams", sa.Float(), nullable=True),
        sa.Column("max_seconds", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=True),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("begun_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("result_seconds", sa.Float(), nullable=True),
        sa.Column("result_litres", sa.Float(), nullable=True),
        sa.Column("result_grams", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["device_key"], ["device.key"], name=op.f("fk_act_device_key")),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_act_zone_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_act")),
        sa.UniqueConstraint("device_key", "reference", name=op.f("uq_act_device_key_reference")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_act_idempotency_key")),
    )
    is_open = sa.text("state IN ('planned', 'held', 'sent', 'accepted', 'running', 'unknown')")
    op.create_index("ix_act_open", "act", ["state"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_index(op.f("ix_act_planned_ms"), "act", ["planned_ms"], unique=False)
    op.create_index(op.f("ix_act_zone_key_planned_ms"), "act", ["zone_key", "planned_ms"], unique=False)


def _act_transition() -> None:
    op.create_table(
        "act_transition",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("act_id", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["act_id"], ["act.id"], name=op.f("fk_act_transition_act_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_act_transition")),
    )
    op.create_index(op.f("ix_act_transition_act_id"), "act_transition", ["act_id"], unique=False)


def _controller_state() -> None:
    op.create_table(
        "controller_state",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_tick_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_controller_state")),
    )


def _decision() -> None:
    op.create_table(
        "decision",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("zone_key", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("acted", sa.Boolean(), nullable=False),
        sa.Column("reasons", sa.BigInteger(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("act_id", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_decision_zone_key")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index(op.f("ix_decision_at_ms"), "decision", ["at_ms"], unique=False)
    op.create_index(op.f("ix_decision_zone_key_id"), "decision", ["zone_key", "id"], unique=False)


def _zone_state() -> None:
    op.create_table(
        "zone_state",
        sa.Column("zone_key", sa.String(), nullable=False),
        sa.Column("latched", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("acted", sa.Boolean(), nullable=False),
        sa.Column("reasons", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["zone_key"], ["zone.key"], name=op.f("fk_zone_state_zone_key")),
        sa.PrimaryKeyConstraint("zone_key", name=op.f("pk_zone_state")),
    )
