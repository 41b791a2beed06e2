# SPDX-License-Identifier: Apache-2.0
"""Tirta's own broker with TLS, as a device meets it: verified, renewed under open connections, known by certificates."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.broker import Broker, BrokerConfig
from gateway.broker_config import BrokerCertificates, SecureListeners
from gateway.broker_url import tls_context
from gateway.credentials import INGEST, Credential, hash_password, new_credential
from gateway.errors import LinkLost
from gateway.knock import knock
from tests.servers.certificates import Signer, request_pem
from tests.servers.mosquitto import mosquitto_executable
from tirta.certificates import Authority, DeviceCertificates
from tirta.certificates.authority import private_pem

DEVICE = "taman-kota/bedeng-1"
OTHER = "taman-kota/bedeng-2"
LOOPBACK = ("127.0.0.1", 0)
DAY = timedelta(days=1)


class Ground:
    """A broker, its authority and the devices' secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.make(folder, [], datetime.now(UTC))
        self.devices = DeviceCertificates(folder, self.authority)
        self.devices.settle((DEVICE, OTHER), datetime.now(UTC))
        self.credentials = {name: new_credential(name) for name in (DEVICE, OTHER, INGEST)}
        users = {name: hash_password(one.password) for name, one in self.credentials.items()}
        config = BrokerConfig(folder / "broker", secure=SecureListeners(LOOPBACK, LOOPBACK))
        self.broker = Broker(config, users, certificates=self.certificates(), rng=random.Random(1))

    def certificates(self) -> BrokerCertificates:
        server = self.authority.sign_server(["localhost"], datetime.now(UTC), DAY)
        return BrokerCertificates(server, self.authority.pem, self.devices.revoked_pem)

    def trust(self, authority: str | None = None) -> ssl.SSLContext:
        """Return a device's context that trusts this authority."""
        path = self.folder / "trusted.pem"
        path.write_text(authority or self.authority.pem)
        context = tls_context(path)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 asks for by itself
        return context

    def with_certificate(self, username: str) -> ssl.SSLContext:
        """Return the context of a device that shows a certificate made for it."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self.showing(self.devices.sign(username, request_pem(key), datetime.now(UTC)), private_pem(key))

    def showing(self, certificate: str, key: str) -> ssl.SSLContext:
        path = self.folder / "device.pem"
        path.write_text(key + certificate)
        context = self.trust()
        context.load_cert_chain(path)
        return context

    @property
    def port(self) -> int:
        assert self.broker.secure.passwords is not None
        return self.broker.secure.passwords[1]

    @property
    def certificate_port(self) -> int:
        assert self.broker.secure.certificates is not None
        return self.broker.secure.certificates[1]

    async def connects(self, context: ssl.SSLContext, username: str = DEVICE) -> bool:
        """Tell whether a device gets in by its certificate; its password is a wrong one."""
        return await knock("127.0.0.1", self.certificate_port, Credential(username, "none"), tls=context)


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    mosquitto_executable()
    ground = Ground(tmp_path)
    async with ground.broker:
        yield ground


async def _serial(ground: Ground, port: int) -> int:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ground.trust(), server_hostname="localhost")
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


async def test_device_that_verifies_is_let_in_by_its_password(ground: Ground) -> None:
    for host in ("127.0.0.1", "localhost"):
        assert await knock(host, ground.port, ground.credentials[DEVICE], tls=ground.trust())
    assert not await knock("127.0.0.1", ground.port, Credential(DEVICE, "wrong"), tls=ground.trust())


async def test_device_that_trusts_another_authority_does_not_connect(ground: Ground) -> None:
    with pytest.raises(LinkLost, match="certificate verify failed"):
        await knock("127.0.0.1", ground.port, ground.credentials[DEVICE], tls=ground.trust(Signer.root().pem))


async def test_device_that_asks_for_another_host_does_not_connect(tmp_path: Path) -> None:
    mosquitto_executable()
    ground = Ground(tmp_path)
    elsewhere = BrokerCertificates(_without_loopback(ground))
    async with Broker(
        BrokerConfig(tmp_path / "b", secure=SecureListeners(LOOPBACK)), {}, certificates=elsewhere, rng=random.Random(1)
    ) as broker:
        assert broker.secure.passwords is not None
        with pytest.raises(LinkLost, match="IP address mismatch"):
            await knock("127.0.0.1", broker.secure.passwords[1], ground.credentials[DEVICE], tls=ground.trust())


def _without_loopback(ground: Ground) -> str:
    """Return a certificate of the right authority for another machine."""
    signer = Signer(load_pem_private_key(ground.authority.key_file.read_bytes(), None), ground.authority.certificate)
    server = signer.server((x509.DNSName("other.lan"),))
    return server.key_pem + server.pem


async def test_plain_words_on_the_port_of_tls_are_not_answered(ground: Ground) -> None:
    with pytest.raises(LinkLost):
        await knock("127.0.0.1", ground.port, ground.credentials[DEVICE])


async def test_old_protocols_are_refused(ground: Ground) -> None:
    context = ground.trust()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises(LinkLost):
        await knock("127.0.0.1", ground.port, ground.credentials[DEVICE], tls=context)


async def test_renewal_counts_for_new_connections_and_leaves_those_that_are_open(ground: Ground) -> None:
    before = await _serial(ground, ground.port)
    device = ground.credentials[DEVICE]
    client = aiomqtt.Client(
        "127.0.0.1", ground.port, username=DEVICE, password=device.password, identifier=DEVICE, tls_context=ground.trust()
    )
    async with client:
        await client.publish(f"tirta/v1/{DEVICE}/telemetry", b"{}", qos=1)

        await ground.broker.set_certificates(ground.certificates())

        assert await _serial(ground, ground.port) != before
        assert await _serial(ground, ground.port) == await _serial_on_disk(ground)
        await client.publish(f"tirta/v1/{DEVICE}/telemetry", b"{}", qos=1)  # on the same connection


async def _serial_on_disk(ground: Ground) -> int:
    pem = (ground.folder / "broker" / "server.pem").read_bytes()
    return x509.load_pem_x509_certificates(pem)[0].serial_number


async def test_device_with_a_certificate_is_let_in_as_itself_without_a_password(ground: Ground) -> None:
    context = ground.with_certificate(DEVICE)

    # It names another user and client id, and is itself all the same: what it says in the other's name reaches nobody.
    device = aiomqtt.Client(
        "127.0.0.1", ground.certificate_port, identifier="other", username=OTHER, password="x", tls_context=context
    )
    role = ground.credentials[INGEST]
    platform = aiomqtt.Client("127.0.0.1", ground.broker.port, identifier=INGEST, username=INGEST, password=role.password)
    async with platform, device:
        await platform.subscribe("tirta/v1/+/+/telemetry", qos=1)
        for username in (OTHER, DEVICE):
            await device.publish(f"tirta/v1/{username}/telemetry", b"{}", qos=1)
        heard = await anext(aiter(platform.messages))

    assert str(heard.topic) == f"tirta/v1/{DEVICE}/telemetry"


async def test_device_without_a_certificate_does_not_get_in_where_one_is_asked_for(ground: Ground) -> None:
    with pytest.raises(LinkLost):
        await knock("127.0.0.1", ground.certificate_port, ground.credentials[DEVICE], tls=ground.trust())


async def test_certificate_of_another_authority_is_refused(ground: Ground) -> None:
    stranger = Signer.root().server((), use=ExtendedKeyUsageOID.CLIENT_AUTH, title=DEVICE)

    with pytest.raises(LinkLost):
        await ground.connects(ground.showing(stranger.pem, stranger.key_pem))


async def test_certificate_of_the_server_is_not_one_of_a_device(ground: Ground) -> None:
    both = ground.authority.sign_server(["localhost"], datetime.now(UTC), DAY)

    with pytest.raises(LinkLost):
        await ground.connects(ground.showing(both, ""))


async def test_revoked_device_is_put_out_and_its_certificate_counts_no_more(ground: Ground) -> None:
    context, other = ground.with_certificate(DEVICE), ground.with_certificate(OTHER)
    async with aiomqtt.Client("127.0.0.1", ground.certificate_port, tls_context=context, identifier=DEVICE) as client:
        await client.subscribe(f"tirta/v1/{DEVICE}/stored")
        assert ground.devices.settle({OTHER}, datetime.now(UTC))

        await ground.broker.set_certificates(ground.certificates())
        await ground.broker.revoke(DEVICE)

        with pytest.raises(aiomqtt.MqttError):  # its session was ended
            await anext(aiter(client.messages))

    with pytest.raises(LinkLost):
        await ground.connects(context)
    assert await ground.connects(other, OTHER)


async def test_certificate_given_in_place_of_another_shuts_that_one_out(ground: Ground) -> None:
    first, second = ground.with_certificate(DEVICE), ground.with_certificate(DEVICE)

    await ground.broker.set_certificates(ground.certificates())

    with pytest.raises(LinkLost):
        await ground.connects(first)
    assert await ground.connects(second)
