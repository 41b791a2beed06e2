# SPDX-License-Identifier: Apache-2.0
"""The link through a network that misbehaves, and against a broker that talks nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shlex
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mqtt5
import pytest
import uvloop

from gateway.broker_url import tls_context
from gateway.credentials import INGEST
from gateway.errors import LinkLost
from gateway.link import Link, LinkConfig
from tests.servers.mosquitto import Mosquitto

DEVICE = "pilot/bed-1"
TOPIC = f"tirta/v1/{DEVICE}/telemetry"
OPENSSL = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    " -subj '/CN=tirta test' -addext subjectAltName=IP:127.0.0.1"
)


class Proxy:
    """A TCP proxy whose faults are switched while it runs."""

    def __init__(self, broker: Mosquitto, tls: ssl.SSLContext | None = None) -> None:
        self.broker = broker
        self.tls = tls
        self.segment = 65536
        self.black_hole = False
        self.reset_after: int | None = None  # bytes towards the client
        self.to_broker = bytearray()
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            up_reader, up_writer = await asyncio.open_connection(self.broker.host, self.broker.port)
        except OSError:
            writer.close()
            return
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, up_writer, None), self._pump(up_reader, writer, writer))
        for one in (writer, up_writer):
            one.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter | None
    ) -> None:
        while data := await reader.read(65536):
            if client is None:
                self.to_broker += data
            while self.black_hole:  # noqa: ASYNC110 - a switch of the test
                await asyncio.sleep(0.02)
            if client is not None and self.reset_after is not None:
                writer.write(data[: self.reset_after])
                await asyncio.sleep(0.05)
                self.reset_after = None
                sock = client.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.transport.abort()
                raise ConnectionResetError
            for start in range(0, len(data), self.segment):
                writer.write(data[start : start + self.segment])
                await writer.drain()
                if self.segment < 100:
                    await asyncio.sleep(0)
        writer.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, devices=(DEVICE,)) as running:
        yield running


def config_for(broker: Mosquitto, username: str, port: int, **changes: object) -> LinkConfig:
    credential = broker[username]
    config = LinkConfig(
        host="127.0.0.1",
        port=port,
        username=credential.username,
        password=credential.password,
        client_id=credential.username,
        subscriptions=(("tirta/v1/+/+/telemetry", 1),) if username == INGEST else (),
        backoff_min_s=0.05,
        backoff_max_s=0.2,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def connected(config: LinkConfig) -> AsyncIterator[Link]:
    async with Link(config, rng=random.Random(1)) as link:
        await link.wait_connected(10)
        yield link


async def gather(link: Link, wanted: set[bytes]) -> list[bytes]:
    """Read and acknowledge until all of `wanted` has been seen."""
    got: list[bytes] = []
    async with asyncio.timeout(30):
        async for burst in link.bursts():
            got += burst.payloads
            link.acknowledge(burst)
            if wanted <= set(got):
                return got
    return got


async def test_stream_in_single_bytes_arrives_whole(broker: Mosquitto) -> None:
    async with Proxy(broker) as proxy:
        proxy.segment = 1
        sent = [b"%d" % number * 20 for number in range(50)]
        async with connected(config_for(broker, INGEST, proxy.port)) as ingest:
            async with connected(config_for(broker, DEVICE, broker.port)) as device:
                for message in sent:
                    await device.publish(TOPIC, message)
            assert await gather(ingest, set(sent)) == sent


async def test_connection_reset_amid_a_packet_loses_nothing(broker: Mosquitto) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(broker))
        device = await stack.enter_async_context(connected(config_for(broker, DEVICE, broker.port)))
        ingest = await stack.enter_async_context(connected(config_for(broker, INGEST, proxy.port)))
        proxy.reset_after = 150
        sent = [b"%03d" % number + bytes(100) for number in range(100)]
        for message in sent:
            await device.publish(TOPIC, message)
        got = await gather(ingest, set(sent))
        assert ingest.counters.reconnects == 1
        assert ingest.session_present
        assert set(got) == set(sent)


async def test_black_hole_is_found_within_one_and_a_half_keepalives(broker: Mosquitto) -> None:
    loop = asyncio.get_running_loop()
    async with Proxy(broker) as proxy, connected(config_for(broker, INGEST, proxy.port, keep_alive_s=2)) as ingest:
        await asyncio.sleep(0.6)
        began_s = loop.time()
        proxy.black_hole = True
        while ingest.connected:  # noqa: ASYNC110 - seen from outside
            await asyncio.sleep(0.02)
        assert loop.time() - began_s <= 1.5 * 2 + 0.3
        proxy.black_hole = False
        await ingest.wait_connected(15)


async def test_paused_link_is_not_taken_for_a_dead_peer(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST, broker.port, keep_alive_s=1, burst_bytes=4096, read_bytes=4096)
    async with connected(config) as ingest, connected(config_for(broker, DEVICE, broker.port)) as device:
        sent = {b"%03d" % number + bytes(997) for number in range(200)}
        await asyncio.gather(*(device.publish(TOPIC, message) for message in sent))
        await asyncio.sleep(3)
        assert ingest.connected
        assert set(await gather(ingest, sent)) == sent
        assert ingest.counters.connections == 1


async def test_publish_into_a_black_hole_is_lost_after_its_timeout(broker: Mosquitto) -> None:
    async with Proxy(broker) as proxy, connected(config_for(broker, DEVICE, proxy.port, publish_timeout_s=0.3)) as device:
        proxy.black_hole = True
        with pytest.raises(LinkLost, match=r"within 0\.3 s"):
            await device.publish(TOPIC, b"x")
        proxy.black_hole = False
        await device.publish(TOPIC, b"y")


async def test_acknowledgements_are_never_carried_to_another_connection(broker: Mosquitto) -> None:
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(broker))
        device = await stack.enter_async_context(connected(config_for(broker, DEVICE, broker.port)))
        ingest = await stack.enter_async_context(connected(config_for(broker, INGEST, proxy.port)))
        await device.publish(TOPIC, b"x")
        reader = ingest.bursts()
        burst = await anext(reader)
        proxy.reset_after = 0
        await device.publish(TOPIC, b"y")
        async with asyncio.timeout(60):
            while ingest.counters.reconnects == 0 or not ingest.connected:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)
        proxy.to_broker.clear()
        assert not ingest.acknowledge(burst)
        await asyncio.sleep(0.2)
        assert burst.acks not in proxy.to_broker
        again = await anext(reader)
        assert b"x" in again.payloads
        assert ingest.acknowledge(again)


async def talk_nonsense(answer: bytes) -> tuple[Link, str]:
    """Let a link meet a broker that greets, then sends `answer`; give the link as it then stood, and what it heard."""
    heard = bytearray()
    connack = mqtt5.ConnAckPacket().write()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(1000)
            writer.write(connack + answer)
            while data := await reader.read(1000):
                heard.extend(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    config = LinkConfig(
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        username="u",
        password="p",
        client_id="u",
        backoff_min_s=5,
        backoff_max_s=10,
    )
    async with Link(config, rng=random.Random(1)) as link:
        async with asyncio.timeout(60):
            while "next try" not in link.state:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)
        state = link.state
        await asyncio.sleep(0.1)
    server.close()
    await server.wait_closed()
    return link, f"{state} / {heard.hex()}"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the codec's panic leaves one behind
@pytest.mark.parametrize("answer", [b"\x00\x00", b"\x30\x05\x00\x02\xff\xff\x00", b"\x30\xff\xff\xff\x7f", b"\xf0\x00"])
async def test_malformed_bytes_end_the_connection_and_are_counted(answer: bytes) -> None:
    link, told = await talk_nonsense(answer)
    assert link.counters.malformed == 1
    assert mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.MALFORMED_PACKET).write().hex() in told


async def test_disconnect_by_the_broker_with_reason_142_ends_the_reconnecting() -> None:
    loop = asyncio.get_running_loop()
    taken_over = mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER).write()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read(1000)
        writer.write(mqtt5.ConnAckPacket().write() + taken_over)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = LinkConfig(host="127.0.0.1", port=port, username="u", password="p", client_id="u", backoff_min_s=0.01)
    end_s = loop.time() + 10
    async with Link(replace(config, backoff_max_s=0.02), rng=random.Random(1)) as link:
        while "taken over" not in link.state:
            assert loop.time() < end_s
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
        assert connections == 1
        assert not link.connected
    server.close()
    await server.wait_closed()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [*shlex.split(OPENSSL), "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return key, cert


async def test_tls_is_verified_and_carries_large_bursts(broker: Mosquitto, certificate: tuple[Path, Path]) -> None:
    key, cert = certificate
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    async with Proxy(broker, server_side) as proxy:
        sent = {b"%04d" % number + bytes(1000) for number in range(2000)}
        async with connected(config_for(broker, INGEST, proxy.port, tls=tls_context(cert), burst_bytes=65536)) as ingest:
            async with connected(config_for(broker, DEVICE, broker.port)) as device:
                await asyncio.gather(*(device.publish(TOPIC, message) for message in sent))
            assert set(await gather(ingest, sent)) == sent
        async with Link(config_for(broker, INGEST, proxy.port, tls=tls_context()), rng=random.Random(1)) as link:
            with pytest.raises(LinkLost, match="certificate verify failed"):
                await link.wait_connected(1)


def run_on_uvloop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


def test_link_works_on_uvloop_too(broker: Mosquitto) -> None:
    async def scenario() -> None:
        config = config_for(broker, INGEST, broker.port, burst_bytes=65536)
        async with connected(config) as ingest, connected(config_for(broker, DEVICE, broker.port)) as device:
            sent = {b"%04d" % number + bytes(300) for number in range(3000)}
            await asyncio.gather(*(device.publish(TOPIC, message) for message in sent))
            assert set(await gather(ingest, sent)) == sent
            broker.stop()
            while ingest.connected:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.02)
            broker.start()
            await ingest.wait_connected(10)
            assert ingest.session_present

    run_on_uvloop(scenario)
