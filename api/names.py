# SPDX-License-Identifier: Apache-2.0
"""Ids in paths: `{site}`, `{site}:{device}`, `{site}:{device}:{zone}` and ids of acts and schedules.

An id of another shape names nothing, so it is answered as not found, with the shape it should have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Path
from pydantic import Field

from api.errors import InvalidField, NotFound
from gateway import Address
from gateway.topics import is_name

__all__ = [
    "AgencyId",
    "CityId",
    "DeviceId",
    "RecordId",
    "ResourceId",
    "SiteId",
    "ZoneId",
    "ZoneKey",
    "ZoneText",
    "parse_device_id",
    "parse_zone_id",
    "record_number",
    "zone_in_body",
]

_NAME: Final = "[a-z0-9_-]{1,64}"
_ZONE_NUMBER: Final = "([1-9]|[1-5][0-9]|6[0-4])"
_ZONE_ID: Final = re.compile(f"({_NAME}):({_NAME}):{_ZONE_NUMBER}")
_DEVICE_ID: Final = re.compile(f"({_NAME}):({_NAME})")
_RECORD_ID: Final = re.compile("[0-9A-Za-z_:-]{1,200}")


@dataclass(frozen=True, slots=True)
class ZoneKey:
    """Name one bed or pond: its device and its number there."""

    address: Address
    number: int

    @property
    def key(self) -> str:
        """The id used in paths."""
        return f"{self.address.key}:{self.number}"


def parse_device_id(text: str) -> Address | None:
    """Return the device that an id names, or None if it is no device's id."""
    match = _DEVICE_ID.fullmatch(text)
    return Address(match[1], match[2]) if match else None


def parse_zone_id(text: str) -> ZoneKey | None:
    """Return the zone that an id names, or None if it is no zone's id."""
    match = _ZONE_ID.fullmatch(text)
    return ZoneKey(Address(match[1], match[2]), int(match[3])) if match else None


def record_number(text: str) -> int | None:
    """Return the number that an id is, or None if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def zone_in_body(field: str, text: str) -> ZoneKey:
    """Return the zone that a field of a request names.

    Raises
    ------
    InvalidField
        It is no zone's id.
    """
    zone = parse_zone_id(text)
    if zone is None:
        raise InvalidField(field, "a zone is named {site}:{device}:{zone}, such as taman-kota:bedeng-1:1")
    return zone


def _site(
    site: Annotated[
        str,
        Path(
            description="Name of the site.",
            examples=["taman-kota"],
            json_schema_extra={"pattern": f"^{_NAME}$"},
        ),
    ],
) -> str:
    if not is_name(site):
        raise NotFound("There is no such site; a site's name is 1 to 64 of a-z 0-9 - _.")
    return site


def _device(
    device: Annotated[
        str,
        Path(
            description="Id of the device: `{site}:{device}`.",
            examples=["taman-kota:bedeng-1"],
            json_schema_extra={"pattern": f"^{_NAME}:{_NAME}$"},
        ),
    ],
) -> Address:
    address = parse_device_id(device)
    if address is None:
        raise NotFound("There is no such device; a device's id is {site}:{device}, such as taman-kota:bedeng-1.")
    return address


def _zone(
    zone: Annotated[
        str,
        Path(
            description="Id of the zone: `{site}:{device}:{zone}`.",
            examples=["taman-kota:bedeng-1:1"],
            json_schema_extra={"pattern": f"^{_NAME}:{_NAME}:{_ZONE_NUMBER}$"},
        ),
    ],
) -> ZoneKey:
    key = parse_zone_id(zone)
    if key is None:
        raise NotFound("There is no such zone; a zone's id is {site}:{device}:{zone}, such as taman-kota:bedeng-1:1.")
    return key


def _record(
    record: Annotated[
        str,
        Path(
            description="Id, as given in a list.",
            examples=["01KAQZ7J5RT0M3Q4W1D0V6B3NM"],
            json_schema_extra={"pattern": "^[0-9A-Za-z_:-]{1,200}$"},
        ),
    ],
) -> str:
    if _RECORD_ID.fullmatch(record) is None:
        raise NotFound("There is nothing with this id.")
    return record


def _city(
    city: Annotated[
        str,
        Path(description="Name of the city.", examples=["city"], json_schema_extra={"pattern": f"^{_NAME}$"}),
    ],
) -> str:
    if not is_name(city):
        raise NotFound("There is no such city; a city's name is 1 to 64 of a-z 0-9 - _.")
    return city


def _agency(
    agency: Annotated[
        str,
        Path(
            description="Id of the agency: `{city}:{agency}`.",
            examples=["city:agency"],
            json_schema_extra={"pattern": f"^{_NAME}:{_NAME}$"},
        ),
    ],
) -> str:
    if _DEVICE_ID.fullmatch(agency) is None:
        raise NotFound("There is no such agency; an agency's id is {city}:{agency}, such as city:agency.")
    return agency


def _resource(
    resource: Annotated[
        str,
        Path(
            description="Id of the pump, main or supply: `{site}:{name}`.",
            examples=["taman-kota:pompa-utara"],
            json_schema_extra={"pattern": f"^{_NAME}:{_NAME}$"},
        ),
    ],
) -> str:
    if _DEVICE_ID.fullmatch(resource) is None:
        raise NotFound("There is no such resource; a resource's id is {site}:{name}, such as taman-kota:pompa-utara.")
    return resource


ZoneText = Annotated[str, Field(max_length=150, json_schema_extra={"pattern": f"^{_NAME}:{_NAME}:{_ZONE_NUMBER}$"})]
"""A zone's id in a body or a filter, to be read by `zone_in_body`, whose answer says more than a pattern's."""

CityId = Annotated[str, Depends(_city)]
AgencyId = Annotated[str, Depends(_agency)]
SiteId = Annotated[str, Depends(_site)]
DeviceId = Annotated[Address, Depends(_device)]
ZoneId = Annotated[ZoneKey, Depends(_zone)]
RecordId = Annotated[str, Depends(_record)]
ResourceId = Annotated[str, Depends(_resource)]
