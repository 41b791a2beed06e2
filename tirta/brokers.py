# SPDX-License-Identifier: Apache-2.0
"""The broker as the service sees it: its own mosquitto, or an outside one, with one face."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.broker import Broker, BrokerConfig
from gateway.broker_config import SecureListeners
from gateway.broker_save import BrokerSave
from gateway.broker_url import parse_broker_url, tls_context
from gateway.credentials import Credential, hash_password
from gateway.errors import BrokerFailed
from gateway.external_broker import ExternalBroker, ExternalBrokerConfig
from gateway.processes import DetachedProcess
from tirta.errors import CertificateUnfit
from tirta.folder import DataFolder
from tirta.settings import Settings, split_host_port
from tirta.web import ANY_ADDRESS, listen

if TYPE_CHECKING:
    from tirta.certificates import Certificates

__all__ = ["Admission", "open_broker"]

_BROKER_STOP_S = 3.5  # to write its queues; a whole stop takes less than ten seconds [s]


@dataclass(frozen=True, slots=True)
class Admission:
    """Where the broker is, and who lets devices in there.

    Attributes
    ----------
    keeper : Broker or ExternalBroker
        Changes the broker's users.
    login : Credential or None
        The one account an outside broker's address names; None: the platform's roles have their own.
    certificates : Certificates or None
        What listeners with TLS prove themselves by, and devices that have one.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    keeper: Broker | ExternalBroker
    roles: Mapping[str, Credential]
    login: Credential | None
    certificates: Certificates | None = None

    @property
    def url(self) -> str:
        """The address without any secret."""
        return _url("mqtts" if self.tls else "mqtt", self.host, self.port)

    @property
    def secure_url(self) -> str | None:
        """The address of our own broker for other machines; None where it has none."""
        where = self.keeper.secure.passwords if isinstance(self.keeper, Broker) else None
        if where is None or self.certificates is None:
            return None
        return _url("mqtts", self.certificates.used.names[0] if where[0] in ANY_ADDRESS else where[0], where[1])

    @property
    def save(self) -> BrokerSave | None:
        """What a broker of our own has on disk; None of another's."""
        return self.keeper.save if isinstance(self.keeper, Broker) else None

    @property
    def state(self) -> str:
        """`running`, or what is known to be wrong with it."""
        return self.keeper.state if isinstance(self.keeper, Broker) else "running"

    def put(self, username: str, hashed: str) -> None:
        """Add a device, or give it another credential by its hash; it counts from the next `apply` on."""
        self.keeper.put({username: hashed})

    async def apply(self) -> str | None:
        """Have the broker work by the users as they stand; return what a person has to do still."""
        return await self.keeper.apply()

    async def expel(self, username: str) -> str | None:
        """Put a device out, with its session and certificate; return what a person has to do still."""
        if self.certificates is not None:
            try:
                if await asyncio.to_thread(self.certificates.revoke_device, username):
                    await self.take_certificates()
            except (CertificateUnfit, OSError) as exc:
                raise BrokerFailed(f"the certificate of {username} cannot be revoked: {exc}") from exc
        return await self.keeper.revoke(username)

    async def take_certificates(self) -> str | None:
        """Have the broker work by the certificates as they stand; return what a person has to do still."""
        if self.certificates is None:
            return None
        return await self.keeper.set_certificates(self.certificates.broker_certificates())


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _hashed(roles: Mapping[str, Credential]) -> dict[str, str]:
    return {name: hash_password(role.password) for name, role in roles.items()}


@asynccontextmanager
async def open_broker(
    settings: Settings, folder: DataFolder, devices: Mapping[str, str], certificates: Certificates | None = None
) -> AsyncIterator[Admission]:
    """Start, take over or address the broker; on leaving, stop it if it is ours.

    Parameters
    ----------
    devices : mapping
        User name -> password hash of every device.
    certificates : Certificates, optional
        What listeners with TLS prove themselves by; a device that is not among `devices` has none that counts.

    Raises
    ------
    NotPossible
        The address for our own is taken.
    BrokerMissing, BrokerFailed, InvalidInput
        It cannot be started, or is not addressed as it should be.
    """
    roles = {role.username: role for role in folder.roles()}
    users = {**devices, **_hashed(roles)}
    if certificates is not None:
        certificates.settle(devices.keys())
    if settings.broker.url is None:
        host, port = split_host_port(settings.mqtt)
        secure = _secure_listeners(settings)
        config = BrokerConfig(folder.file("broker"), host, port, secure, stop_timeout_s=_BROKER_STOP_S)
        if not DetachedProcess(config.folder / "mosquitto.pid.json").find():
            _require_free({"--mqtt": (host, port), "--mqtts": secure.passwords, "mqtts_certificates": secure.certificates})
        proof = None if certificates is None else certificates.broker_certificates()
        async with Broker(config, users, certificates=proof, rng=random.Random()) as broker:
            yield Admission(ANY_ADDRESS.get(host, host), broker.port, None, broker, roles, None, certificates)
        return
    address = parse_broker_url(settings.broker.url)
    tls = tls_context(settings.broker.ca) if address.tls else None
    outside = ExternalBrokerConfig(
        settings.broker.folder or folder.file("broker"), address.host, address.port, tls, settings.broker.reload
    )
    keeper = ExternalBroker(outside, users)
    login = Credential(address.username, address.password) if address.username and address.password else None
    admission = Admission(address.host, address.port, tls, keeper, roles, login, certificates)
    if login is None:
        await (keeper.apply() if certificates is None else admission.take_certificates())
    yield admission


def _secure_listeners(settings: Settings) -> SecureListeners:
    places = (settings.mqtts, settings.mqtts_certificates)
    return SecureListeners(*(None if place is None else split_host_port(place) for place in places))


def _require_free(places: Mapping[str, tuple[str, int] | None]) -> None:
    """Refuse what is taken already: mosquitto would only say so in its log."""
    for option, place in places.items():
        if place is not None and place[1]:
            listen(*place, option).close()
