# SPDX-License-Identifier: Apache-2.0
"""Let devices in and put them out: registry, broker and ingest together, in that order.

Invariant: the registry is written first, and the broker's users always follow from it whole, so that a crash in between is
mended by the next start.
"""

from __future__ import annotations

import asyncio
import logging

from api.services import Issued
from control import registry
from control.audit import Trail
from control.database import Database
from gateway import Address, Catalogue
from gateway.credentials import hash_password, new_credential
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from tirta.brokers import Admission

__all__ = ["DeviceProvisioner", "known_devices"]

logger = logging.getLogger(__name__)


def known_devices(database: Database, catalogue: Catalogue, devices: DeviceTable) -> dict[str, str]:
    """Make every registered device known to ingest; return the broker's users: user name -> hash."""
    with database.reader() as session:
        users = dict(registry.broker_users(session))
        zones = registry.zone_numbers(session)
        after: str | None = None
        while True:
            page, after = registry.list_devices(session, limit=1000, after=after)
            for device in page:
                kind = catalogue.kinds.get(device.kind)
                if kind is None:
                    logger.warning("%s is of the unknown kind %s", device.key, device.kind, extra={"action": "kind_unknown"})
                else:
                    devices.put(Address(device.site, device.name), kind, zones.get(device.key, ()))
            if after is None:
                return users


class DeviceProvisioner:
    """The API's way to the broker."""

    def __init__(
        self, database: Database, catalogue: Catalogue, devices: DeviceTable, admission: Admission, feed: LiveFeed
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._devices = devices
        self._admission = admission
        self._feed = feed
        self._changing = asyncio.Lock()

    async def provision(self, address: Address) -> Issued:
        """Make the credential of a registered device and let it in."""
        return await self._issue(address, None)

    async def rotate(self, address: Address, trail: Trail | None = None) -> Issued:
        """Make a new credential, valid at once; the old one is refused from then on."""
        issued = await self._issue(address, trail)
        self._tell_gone(address)
        return issued

    async def _issue(self, address: Address, trail: Trail | None) -> Issued:
        credential = new_credential(address.username)
        async with self._changing:
            users = await asyncio.to_thread(self._keep, address, credential.password, trail)
            notice = await self._admission.admit(users)
        return Issued(credential.password, notice)

    def _keep(self, address: Address, password: str, trail: Trail | None) -> dict[str, str]:
        with self._database.session() as session:
            registry.set_password_hash(session, address.key, hash_password(password), trail=trail)
        return known_devices(self._database, self._catalogue, self._devices)

    async def revoke(self, address: Address) -> str | None:
        """Put a device out that the registry has revoked; return what a person has to do still."""
        async with self._changing:
            self._devices.remove(address)
            self._tell_gone(address)
            return await self._admission.expel(address.username)

    def _tell_gone(self, address: Address) -> None:
        # The broker ends the device's session without telling its last will.
        self._feed.publish("device", {"device": address.key, "online": False})
