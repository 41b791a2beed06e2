# SPDX-License-Identifier: Apache-2.0
"""Cities and agencies above sites; people, grants, sessions, invitations; the audit trail; versions of what people change.

What form 0001 holds stays: its sites get a default city and agency, its tokens the grants that their rights meant.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DEFAULT_CITY, DEFAULT_AGENCY = "city", "city:agency"


def upgrade() -> None:
    """Create the new tables, widen the old ones, carry their rows over."""
    _cities()
    _sites()
    _versions()
    _person()
    _token()
    _grants()
    _sign_ins()
    _audit()


def _changeable() -> tuple[sa.Column[int], sa.Column[int], sa.Column[str]]:
    return (
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=True),
        sa.Column("updated_by", sa.String(), nullable=True),
    )


def _cities() -> None:
    op.create_table(
        "city",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_changeable(),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_city")),
    )
    op.create_table(
        "agency",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("city", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        *_changeable(),
        sa.ForeignKeyConstraint(["city"], ["city.name"], name=op.f("fk_agency_city")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_agency")),
    )
    op.create_index(op.f("ix_agency_city"), "agency", ["city"], unique=False)


def _sites() -> None:
    connection = op.get_bind()
    # Written out: a column is added with its constraint in place, without copying a table that others refer to.
    op.execute("ALTER TABLE site ADD COLUMN agency_key VARCHAR CONSTRAINT fk_site_agency_key REFERENCES agency (key)")
    for column in (
        sa.Column("pillars", sa.JSON(), nullable=True),
        sa.Column("activity", sa.String(), nullable=True),
        sa.Column("tags", sa.String(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
    ):
        op.add_column("site", column)
    op.create_index(op.f("ix_site_agency_key"), "site", ["agency_key"], unique=False)
    oldest = connection.execute(sa.text("SELECT min(created_ms) FROM site")).scalar()
    if oldest is None:
        return
    values = {"city": DEFAULT_CITY, "key": DEFAULT_AGENCY, "at": oldest}
    connection.execute(sa.text("INSERT INTO city (name, title, created_ms, version) VALUES (:city, 'City', :at, 1)"), values)
    connection.execute(
        sa.text(
            "INSERT INTO agency (key, city, name, title, created_ms, version) VALUES (:key, :city, 'agency', 'Agency', :at, 1)"
        ),
        values,
    )
    connection.execute(sa.text("UPDATE site SET agency_key = :key"), values)


def _versions() -> None:
    for table in ("site", "device", "zone"):
        op.add_column(table, sa.Column("version", sa.BigInteger(), nullable=False, server_default="1"))
        op.add_column(table, sa.Column("updated_ms", sa.BigInteger(), nullable=True))
        op.add_column(table, sa.Column("updated_by", sa.String(), nullable=True))
    for table in ("device", "zone"):
        op.add_column(table, sa.Column("tags", sa.String(), nullable=True))
    op.add_column("schedule", sa.Column("updated_by", sa.String(), nullable=True))


def _person() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("home_type", sa.String(), nullable=False),
        sa.Column("home_key", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_ms", sa.BigInteger(), nullable=True),
        sa.Column("issuer", sa.String(), nullable=True),
        sa.Column("subject", sa.String(), nullable=True),
        *_changeable(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("login", name=op.f("uq_person_login")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_person_issuer_subject")),
    )


def _token() -> None:
    op.add_column("token", sa.Column("expires_ms", sa.BigInteger(), nullable=True))
    op.add_column("token", sa.Column("used_ms", sa.BigInteger(), nullable=True))
    op.execute("ALTER TABLE token ADD COLUMN owner_id VARCHAR CONSTRAINT fk_token_owner_id REFERENCES person (id)")
    op.create_index(op.f("ix_token_owner_id"), "token", ["owner_id"], unique=False)


def _grants() -> None:
    op.create_table(
        "role_grant",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.String(), nullable=True),
        sa.Column("token_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("scope_type", sa.String(), nullable=False),
        sa.Column("scope_key", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_role_grant_person_id")),
        sa.ForeignKeyConstraint(["token_id"], ["token.id"], name=op.f("fk_role_grant_token_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grant")),
    )
    op.create_index(op.f("ix_role_grant_person_id"), "role_grant", ["person_id"], unique=False)
    op.create_index(op.f("ix_role_grant_token_id"), "role_grant", ["token_id"], unique=False)
    # A service's token read what a viewer's did; an operator's did everything.
    for role, rights in (("viewer", ("viewer", "service")), ("supervisor", ("operator",)), ("operator", ("operator",))):
        op.get_bind().execute(
            sa.text(
                "INSERT INTO role_grant (token_id, role, scope_type, scope_key)"
                " SELECT id, :role, 'all', '' FROM token WHERE rights IN :rights ORDER BY id"
            ).bindparams(sa.bindparam("rights", expanding=True)),
            {"role": role, "rights": rights},
        )
    op.drop_column("token", "rights")


def _sign_ins() -> None:
    op.create_table(
        "sign_in",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_sign_in_person_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in")),
    )
    op.create_index(op.f("ix_sign_in_person_id"), "sign_in", ["person_id"], unique=False)
    op.create_table(
        "invitation",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_invitation_person_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_invitation")),
    )
    op.create_index(op.f("ix_invitation_person_id"), "invitation", ["person_id"], unique=False)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("city", sa.String(), nullable=True),
        sa.Column("agency", sa.String(), nullable=True),
        sa.Column("site", sa.String(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_site_id"), "audit", ["site", "id"], unique=False)
    op.create_index(op.f("ix_audit_target_id"), "audit", ["target", "id"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for what in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit"
                " BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END"
            )
    elif op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the audit trail is only added to'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_is_only_added_to()"
        )
