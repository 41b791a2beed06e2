# SPDX-License-Identifier: Apache-2.0
"""The broker as the service sees it: its own mosquitto, or an outside one, with one face."""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.broker import Broker, BrokerConfig
from gateway.broker_save import BrokerSave
from gateway.broker_url import parse_broker_url, tls_context
from gateway.credentials import Credential, hash_password
from gateway.external_broker import ExternalBroker, ExternalBrokerConfig
from gateway.processes import DetachedProcess
from tirta.folder import DataFolder
from tirta.settings import Settings, split_host_port
from tirta.web import listen

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
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    keeper: Broker | ExternalBroker
    roles: Mapping[str, Credential]
    login: Credential | None

    @property
    def url(self) -> str:
        """The address without any secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

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
        """Put a device out, with its session; return what a person has to do still."""
        return await self.keeper.revoke(username)


def _hashed(roles: Mapping[str, Credential]) -> dict[str, str]:
    return {name: hash_password(role.password) for name, role in roles.items()}


@asynccontextmanager
async def open_broker(settings: Settings, folder: DataFolder, devices: Mapping[str, str]) -> AsyncIterator[Admission]:
    """Start, take over or address the broker; on leaving, stop it if it is ours.

    Parameters
    ----------
    devices : mapping
        User name -> password hash of every device.

    Raises
    ------
    NotPossible
        The address for our own is taken.
    BrokerMissing, BrokerFailed, InvalidInput
        It cannot be started, or is not addressed as it should be.
    """
    roles = {role.username: role for role in folder.roles()}
    users = {**devices, **_hashed(roles)}
    if settings.broker.url is None:
        host, port = split_host_port(settings.mqtt)
        config = BrokerConfig(folder.file("broker"), host, port, stop_timeout_s=_BROKER_STOP_S)
        if port and not DetachedProcess(config.folder / "mosquitto.pid.json").find():
            listen(host, port, "--mqtt").close()  # mosquitto would only say so in its log
        async with Broker(config, users, rng=random.Random()) as broker:
            reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
            yield Admission(reached, broker.port, None, broker, roles, None)
        return
    address = parse_broker_url(settings.broker.url)
    tls = tls_context(settings.broker.ca) if address.tls else None
    outside = ExternalBrokerConfig(
        settings.broker.folder or folder.file("broker"), address.host, address.port, tls, settings.broker.reload
    )
    keeper = ExternalBroker(outside, users)
    login = Credential(address.username, address.password) if address.username and address.password else None
    if login is None:
        await keeper.apply()
    yield Admission(address.host, address.port, tls, keeper, roles, login)
