# SPDX-License-Identifier: Apache-2.0
"""Tables of the control database.

Invariant: rows stay inside this room; what leaves it are plain records (`control.records`). Instants are milliseconds
since the Unix epoch, UTC, in columns ending in `_ms`. Types are those that SQLite and PostgreSQL share.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, Integer, MetaData, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = [
    "CONTINUED_ACTS",
    "OPEN_ACTS",
    "PROOF_DUE",
    "SERIAL",
    "UNPROVED_ACTS",
    "ActRow",
    "AgencyRow",
    "Changeable",
    "CityRow",
    "ControllerRow",
    "DecisionFormRow",
    "DecisionRow",
    "DeviceRow",
    "HolidayRow",
    "Row",
    "ScheduleRow",
    "ScheduleVersionRow",
    "SiteRow",
    "TransitionRow",
    "ValveTestRow",
    "WaterBudgetRow",
    "ZoneRow",
    "ZoneStateRow",
]

# Written out: SQLite uses the partial index only where it sees the index's own condition.
OPEN_ACTS = text("state IN ('planned', 'held', 'sent', 'accepted', 'running', 'unknown')")
CONTINUED_ACTS = text("continues")
UNPROVED_ACTS = text("verdict IS NULL AND state IN ('done', 'failed', 'indeterminate') AND action IN ('irrigate', 'feed')")
PROOF_DUE = text("proof_due_ms IS NOT NULL")
SERIAL = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only in an INTEGER key


class Row(DeclarativeBase):
    """Base of every table; constraints get names, so that later migrations can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger, float: Float, str: String, bool: Boolean, dict[str, Any]: JSON}  # noqa: RUF012


class Changeable:
    """What people change: its version, and who made it so.

    The version rises with each change by a person and with nothing else, so that two people at one thing are told apart.
    """

    version: Mapped[int] = mapped_column(default=1)
    updated_ms: Mapped[int | None]
    updated_by: Mapped[str | None]


class CityRow(Changeable, Row):
    """A city or regency."""

    __tablename__ = "city"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    created_ms: Mapped[int]


class AgencyRow(Changeable, Row):
    """A department of a city; `key` is "{city}:{agency}"."""

    __tablename__ = "agency"

    key: Mapped[str] = mapped_column(primary_key=True)
    city: Mapped[str] = mapped_column(ForeignKey("city.name"), index=True)
    name: Mapped[str]
    title: Mapped[str]
    created_ms: Mapped[int]


class SiteRow(Changeable, Row):
    """A place with one time zone."""

    __tablename__ = "site"

    name: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    timezone: Mapped[str]
    created_ms: Mapped[int]
    # Never NULL: migration 0002 fills it, and `control.sites`, which alone writes it, takes no site without an agency. The
    # column says so only in words, since SQLite forbids NULL afterwards only by copying a table to which others refer.
    agency_key: Mapped[str | None] = mapped_column(ForeignKey("agency.key"), index=True)
    pillars: Mapped[list[str] | None] = mapped_column(JSON)
    activity: Mapped[str | None]
    tags: Mapped[str | None]  # " a b ", in order: with blanks around each, so that one can be looked for
    longitude: Mapped[float | None]
    latitude: Mapped[float | None]


class DeviceRow(Changeable, Row):
    """A field device; `key` is "{site}:{device}"."""

    __tablename__ = "device"

    key: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.name"), index=True)
    name: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    password_hash: Mapped[str]
    created_ms: Mapped[int]
    revoked_ms: Mapped[int | None]
    last_n: Mapped[int]  # highest command number ever used or heard of
    online: Mapped[bool]
    last_seen_ms: Mapped[int | None]
    firmware: Mapped[str | None]
    boot: Mapped[int | None]
    rssi: Mapped[float | None]
    config_version: Mapped[int]
    config_offset_min: Mapped[int | None]  # offset from UTC that the device was last told
    config_due: Mapped[bool]  # the desired configuration changed and was not yet published
    reported: Mapped[dict[str, Any] | None]
    wanted: Mapped[dict[str, Any] | None]  # what people set of its configuration, as `control.configs` understands it
    config_refused: Mapped[str | None]  # names of what it refuses of its configuration
    tags: Mapped[str | None]


class ZoneRow(Changeable, Row):
    """A bed, a pond or a measuring point of a device; `key` is "{site}:{device}:{number}"."""

    __tablename__ = "zone"

    key: Mapped[str] = mapped_column(primary_key=True)
    device_key: Mapped[str] = mapped_column(ForeignKey("device.key"))
    number: Mapped[int]
    title: Mapped[str]
    type: Mapped[str]
    area_m2: Mapped[float | None]
    root_depth_m: Mapped[float | None]
    flow_l_min: Mapped[float | None]
    grams_per_s: Mapped[float | None]
    max_seconds: Mapped[int]
    litres_day: Mapped[float]
    grams_day: Mapped[float]
    flow_within_s: Mapped[int]
    tags: Mapped[str | None]

    __table_args__ = (UniqueConstraint("device_key", "number"),)


class HolidayRow(Row):
    """A holiday of an agency; `day` is a date as YYYY-MM-DD."""

    __tablename__ = "holiday"

    agency_key: Mapped[str] = mapped_column(ForeignKey("agency.key"), primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]


class WaterBudgetRow(Row):
    """The litres that an agency may give in a month of the year, 1 to 12; a month without a row has no limit."""

    __tablename__ = "water_budget"

    agency_key: Mapped[str] = mapped_column(ForeignKey("agency.key"), primary_key=True)
    month: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    litres: Mapped[float]


class ScheduleRow(Row):
    """What is to be done in a zone, as a definition that `control.schedules` understands."""

    __tablename__ = "schedule"

    id: Mapped[str] = mapped_column(primary_key=True)
    zone_key: Mapped[str] = mapped_column(ForeignKey("zone.key"), index=True)
    kind: Mapped[str]
    version: Mapped[int]
    enabled: Mapped[bool]
    definition: Mapped[dict[str, Any]]
    created_ms: Mapped[int]
    updated_ms: Mapped[int]
    deleted_ms: Mapped[int | None]
    updated_by: Mapped[str | None]

    __table_args__ = (
        # Two plans for one zone would each spend the day's budget without knowing of the other.
        Index(
            "uq_schedule_zone_key_enabled",
            "zone_key",
            unique=True,
            sqlite_where=text("enabled AND deleted_ms IS NULL"),
            postgresql_where=text("enabled AND deleted_ms IS NULL"),
        ),
    )


class ScheduleVersionRow(Row):
    """What a schedule said, after `since_ms` and up to `until_ms`: what was planned then can be told later."""

    __tablename__ = "schedule_version"

    schedule_id: Mapped[str] = mapped_column(ForeignKey("schedule.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    zone_key: Mapped[str] = mapped_column(ForeignKey("zone.key"), index=True)
    enabled: Mapped[bool]
    definition: Mapped[dict[str, Any]]
    since_ms: Mapped[int]
    until_ms: Mapped[int | None]  # None: it is in force


class ActRow(Row):
    """One physical act, or a stop: what was meant, how it stands, what came of it."""

    __tablename__ = "act"

    id: Mapped[str] = mapped_column(primary_key=True)
    reference: Mapped[str]  # the id the device knows it by: the same, or "local-{boot}-{k}"
    device_key: Mapped[str] = mapped_column(ForeignKey("device.key"))
    zone_key: Mapped[str | None] = mapped_column(ForeignKey("zone.key"))
    action: Mapped[str]
    origin: Mapped[str]
    version: Mapped[int]
    actor: Mapped[str]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    planned_ms: Mapped[int]
    issued_ms: Mapped[int]
    expires_ms: Mapped[int]
    seconds: Mapped[float | None]
    litres: Mapped[float | None]
    grams: Mapped[float | None]
    max_seconds: Mapped[int | None]
    state: Mapped[str]
    reason: Mapped[str | None]
    n: Mapped[int | None]
    sent_ms: Mapped[int | None]  # last handed over
    begun_ms: Mapped[int | None]
    ended_ms: Mapped[int | None]
    result_seconds: Mapped[float | None]
    result_litres: Mapped[float | None]
    result_grams: Mapped[float | None]
    part: Mapped[int] = mapped_column(default=1)  # of `parts`, each an act, in which a run goes
    parts: Mapped[int] = mapped_column(default=1)
    continues: Mapped[bool] = mapped_column(default=False)  # the next part is still to be planned, or to be left out
    override: Mapped[str | None]  # why it may go beyond a budget, in the words of who asked for it
    beyond: Mapped[str | None]  # which budgets it goes beyond: words of "day", "month" and "device", with blanks between
    verdict: Mapped[str | None]
    proof: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    proof_due_ms: Mapped[int | None]  # when it is looked at once more

    __table_args__ = (
        UniqueConstraint("device_key", "reference"),
        Index(None, "zone_key", "planned_ms"),
        Index(None, "zone_key", "issued_ms"),
        Index(None, "planned_ms"),
        Index(None, "issued_ms"),
        Index(None, "ended_ms"),
        Index("ix_act_continues", "zone_key", sqlite_where=CONTINUED_ACTS, postgresql_where=CONTINUED_ACTS),
        Index(
            "ix_act_open",
            "state",
            sqlite_where=OPEN_ACTS,
            postgresql_where=OPEN_ACTS,
        ),
        Index("ix_act_unproved", "ended_ms", sqlite_where=UNPROVED_ACTS, postgresql_where=UNPROVED_ACTS),
        Index("ix_act_proof_due", "proof_due_ms", sqlite_where=PROOF_DUE, postgresql_where=PROOF_DUE),
    )


class TransitionRow(Row):
    """An act's step from one state to the next, by whom and why."""

    __tablename__ = "act_transition"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    act_id: Mapped[str] = mapped_column(ForeignKey("act.id"), index=True)
    at_ms: Mapped[int]
    before: Mapped[str | None]
    state: Mapped[str]
    cause: Mapped[str]
    actor: Mapped[str]


class DecisionFormRow(Row):
    """What the numbers of decisions are called, in order, with blanks between: there are few such forms."""

    __tablename__ = "decision_form"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    names: Mapped[str] = mapped_column(unique=True)


class DecisionRow(Row):
    """What a rule decided for a zone, with the numbers it saw: `seen`, one for each name of its form."""

    __tablename__ = "decision"

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    zone_key: Mapped[str] = mapped_column(ForeignKey("zone.key"))
    at_ms: Mapped[int]
    kind: Mapped[str]
    acted: Mapped[bool]
    reasons: Mapped[int]
    form_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("decision_form.id"))
    seen: Mapped[list[Any]] = mapped_column(JSON)
    act_id: Mapped[str | None]

    form: Mapped[DecisionFormRow] = relationship(lazy="joined", innerjoin=True)

    __table_args__ = (Index(None, "zone_key", "id"), Index(None, "at_ms"))


class ValveTestRow(Row):
    """A test of valves, one after the other; how far it is says the ledger: each valve's act has an id made from this one."""

    __tablename__ = "valve_test"

    id: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.name"), index=True)
    zones: Mapped[list[str]] = mapped_column(JSON)
    seconds: Mapped[float]
    actor: Mapped[str]
    begun_ms: Mapped[int]
    ended_ms: Mapped[int | None]
    stopped_by: Mapped[str | None]
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)

    __table_args__ = (
        Index("ix_valve_test_open", "id", sqlite_where=text("ended_ms IS NULL"), postgresql_where=text("ended_ms IS NULL")),
    )


class ControllerRow(Row):
    """Where the controller stands; one row."""

    __tablename__ = "controller_state"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_tick_ms: Mapped[int]


class ZoneStateRow(Row):
    """What the controller carries from one tick to the next for a zone."""

    __tablename__ = "zone_state"

    zone_key: Mapped[str] = mapped_column(ForeignKey("zone.key"), primary_key=True)
    latched: Mapped[bool]
    kind: Mapped[str]
    acted: Mapped[bool]
    reasons: Mapped[int]
    carried_l: Mapped[float] = mapped_column(default=0.0)  # of missed runs, for the next one to make up
