# SPDX-License-Identifier: Apache-2.0
"""Let devices in and put them out: registry, broker and ingest together, in that order.

Invariant: the registry is written first, and each start makes the broker's users and the known devices of it anew, so that a
crash in between is mended by the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from api.services import CertificateRefused, Certified, Issued, RequestRefused
from control import registry
from control.audit import Trail
from control.database import Database
from control.records import Device
from gateway import Address, Catalogue
from gateway.credentials import hash_password, new_credential
from gateway.errors import BrokerFailed
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from tirta.brokers import Admission
from tirta.errors import CertificateUnfit, RequestUnfit

if TYPE_CHECKING:
    from tirta.certificates import Certificates

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
                _make_known(devices, catalogue, device, zones.get(device.key, ()))
            if after is None:
                return users


def _make_known(devices: DeviceTable, catalogue: Catalogue, device: Device, zones: Collection[int]) -> None:
    kind = catalogue.kinds.get(device.kind)
    if kind is None:
        logger.warning("%s is of the unknown kind %s", device.key, device.kind, extra={"action": "kind_unknown"})
    else:
        devices.put(Address(device.site, device.name), kind, zones)


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
        hashed = hash_password(credential.password)
        async with self._changing:  # of two credentials for one device, the broker's is the registry's
            await asyncio.to_thread(self._keep, address, hashed, trail)
            self._admission.put(address.username, hashed)
        return Issued(credential.password, await self._admission.apply())

    def _keep(self, address: Address, hashed: str, trail: Trail | None) -> None:
        with self._database.session() as session:
            registry.set_password_hash(session, address.key, hashed, trail=trail)
            device = registry.get_device(session, address.key)
            zones = registry.zone_numbers(session, address.key).get(address.key, [])
        _make_known(self._devices, self._catalogue, device, zones)

    async def certify(self, address: Address, request: str, trail: Trail) -> Certified:
        """Give a device a certificate for the key in its request; those it had before count no more."""
        certificates = self._admission.certificates
        if certificates is None:
            raise CertificateRefused("it does not speak TLS; run tirta init --tls, and set mqtts_certificates")
        async with self._changing:
            made = await asyncio.to_thread(self._certify, certificates, address, request, trail)
        try:
            return replace(made, notice=await self._admission.take_certificates())
        except OSError as exc:
            raise BrokerFailed(f"the broker's list of certificates cannot be written: {exc}") from exc

    def _certify(self, certificates: Certificates, address: Address, request: str, trail: Trail) -> Certified:
        try:
            with self._database.session() as session:
                registry.note_certificate(session, address.key, trail=trail)
                certificate = certificates.sign_device(address.username, request)
        except RequestUnfit as exc:
            raise RequestRefused(str(exc)) from exc
        except CertificateUnfit as exc:
            raise CertificateRefused(str(exc)) from exc
        except OSError as exc:
            raise BrokerFailed(f"the certificate cannot be kept: {exc}") from exc
        return Certified(certificate, certificates.devices.authority.pem)

    async def revoke(self, address: Address) -> str | None:
        """Put a device out that the registry has revoked; return what a person has to do still."""
        async with self._changing:  # behind whoever gives it a credential now: from here on the registry refuses that
            self._devices.remove(address)
        self._tell_gone(address)
        return await self._admission.expel(address.username)

    def _tell_gone(self, address: Address) -> None:
        # The broker ends the device's session without telling its last will.
        self._feed.publish("device", {"device": address.key, "online": False})
