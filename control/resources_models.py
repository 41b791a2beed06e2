# SPDX-License-Identifier: Apache-2.0
"""Tables of the pumps, mains and supplies that zones share."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from control.models import Changeable, Row

__all__ = ["ResourceRow", "ResourceZoneRow"]


class ResourceRow(Changeable, Row):
    """A pump, a main or a supply of a site; `key` is "{site}:{name}". NULL binds nobody."""

    __tablename__ = "resource"

    key: Mapped[str] = mapped_column(primary_key=True)
    site: Mapped[str] = mapped_column(ForeignKey("site.name"), index=True)
    name: Mapped[str]
    title: Mapped[str]
    kind: Mapped[str]
    max_flow_l_min: Mapped[float | None]
    max_zones: Mapped[int | None]
    min_rest_s: Mapped[int]
    created_ms: Mapped[int]


class ResourceZoneRow(Row):
    """A zone that is watered through a resource."""

    __tablename__ = "resource_zone"

    resource_key: Mapped[str] = mapped_column(ForeignKey("resource.key"), primary_key=True)
    zone_key: Mapped[str] = mapped_column(ForeignKey("zone.key"), primary_key=True, index=True)
