# SPDX-License-Identifier: Apache-2.0
"""The link against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.credentials import CONTROL, INGEST, new_credential
from gateway.errors import LinkLost, LinkRefused, LinkTakenOver
from gateway.framing import Burst
from gateway.link import Link, LinkConfig
from tests.servers.mosquitto import Mosquitto

TELEMETRY = (("tirta/v1/+/+/telemetry", 1),)
DEVICE = "pilot/bed-1"
TOPIC = f"tirta/v1/{DEVICE}/telemetry"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, devices=(DEVICE,)) as running:
        yield running


def config_for(broker: Mosquitto, username: str, **changes: object) -> LinkConfig:
    credential = broker[username]
    config = LinkConfig(
        host=broker.host,
        port=broker.port,
        username=credential.username,
        password=credential.password,
        client_id=credential.username,
        subscriptions=TELEMETRY if username == INGEST else (),
        backoff_min_s=0.05,
        backoff_max_s=0.3,
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def connected(config: LinkConfig) -> AsyncIterator[Link]:
    async with Link(config, rng=random.Random(1)) as link:
        await link.wait_connected(10)
        yield link


async def gather(link: Link, count: int, *, acknowledge: bool = True) -> list[Burst]:
    """Read bursts until `count` messages are there."""
    bursts: list[Burst] = []
    reader = link.bursts()
    async with asyncio.timeout(20):
        while sum(len(burst.payloads) for burst in bursts) < count:
            burst = await anext(reader)
            bursts.append(burst)
            if acknowledge:
                link.acknowledge(burst)
    await reader.aclose()  # type: ignore[attr-defined]
    return bursts


async def gone(link: Link) -> None:
    """Wait until the link has noticed that its connection is lost."""
    async with asyncio.timeout(60):
        while link.connected:  # noqa: ASYNC110 - seen from outside, as a caller sees it
            await asyncio.sleep(0.01)


def payloads(bursts: list[Burst]) -> list[bytes]:
    return [payload for burst in bursts for payload in burst.payloads]


async def test_bursts_of_published_messages_hold_all_in_order(broker: Mosquitto) -> None:
    async with connected(config_for(broker, INGEST)) as ingest, connected(config_for(broker, DEVICE)) as device:
        sent = [f"message {number}".encode() for number in range(3000)]
        for message in sent[:-1]:
            await device.publish(TOPIC, message, qos=0)
        await device.publish(TOPIC, sent[-1])
        bursts = await gather(ingest, len(sent))
    assert payloads(bursts) == sent
    assert {topic for burst in bursts for topic in burst.topics} == {TOPIC}
    assert ingest.counters.received == 3000
    assert len(bursts) < 3000


async def test_publish_at_qos_1_returns_when_the_broker_has_acknowledged(broker: Mosquitto) -> None:
    async with connected(config_for(broker, DEVICE, max_inflight=7)) as device:
        await asyncio.gather(*(device.publish(TOPIC, b"x") for _ in range(100)))
        assert device.counters.published == 100


async def test_publish_to_a_foreign_topic_is_refused(broker: Mosquitto) -> None:
    async with connected(config_for(broker, DEVICE)) as device:
        with pytest.raises(LinkRefused, match="not authorized"):
            await device.publish("tirta/v1/pilot/bed-2/telemetry", b"x")


async def test_publish_of_too_large_a_message_is_refused_before_it_is_sent(broker: Mosquitto) -> None:
    async with connected(config_for(broker, DEVICE)) as device:
        with pytest.raises(LinkRefused, match="above the broker's limit"):
            await device.publish(TOPIC, bytes(3 * 1024 * 1024))
        await device.publish(TOPIC, b"the connection still lives")
        assert device.counters.reconnects == 0


async def test_unacknowledged_messages_come_again_after_a_reconnect(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST)
    async with connected(config) as ingest, connected(config_for(broker, DEVICE)) as device:
        for number in range(10):
            await device.publish(TOPIC, b"%d" % number)
        first = await gather(ingest, 10, acknowledge=False)
    assert payloads(first) == [b"%d" % number for number in range(10)]
    async with connected(config) as again:
        assert again.session_present
        second = await gather(again, 10)
    assert payloads(second) == payloads(first)
    async with connected(config) as third, connected(config_for(broker, DEVICE)) as device:
        await device.publish(TOPIC, b"new")
        assert payloads(await gather(third, 1)) == [b"new"]


async def test_acknowledge_of_an_earlier_connections_burst_is_dropped(broker: Mosquitto) -> None:
    async with connected(config_for(broker, INGEST)) as ingest, connected(config_for(broker, DEVICE)) as device:
        await device.publish(TOPIC, b"x")
        (burst,) = await gather(ingest, 1, acknowledge=False)
        broker.stop()
        await gone(ingest)
        broker.start()
        await ingest.wait_connected(10)
        assert not ingest.acknowledge(burst)
        assert ingest.counters.acks_dropped == 1


async def test_link_after_the_broker_was_killed_reconnects_and_counts_the_lost_session(broker: Mosquitto) -> None:
    lost: list[str] = []
    config = config_for(broker, INGEST)
    async with Link(config, rng=random.Random(1), on_session_lost=lambda: lost.append("lost")) as ingest:
        await ingest.wait_connected(10)
        broker.stop(signal.SIGKILL)
        await gone(ingest)
        with pytest.raises(LinkLost):
            await ingest.publish(TOPIC, b"x")
        with pytest.raises(LinkLost, match="cannot reach"):
            await ingest.wait_connected(0.5)
        broker.start()
        await ingest.wait_connected(10)
        assert ingest.counters.reconnects == 1
        assert ingest.counters.sessions_lost == 1
        assert lost == ["lost"]
        async with connected(config_for(broker, DEVICE)) as device:
            await device.publish(TOPIC, b"after")
        assert payloads(await gather(ingest, 1)) == [b"after"]


async def test_wait_caught_up_ends_when_everything_that_was_there_is_acknowledged(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST, broker_inflight=1000)
    async with connected(config) as ingest, connected(config_for(broker, DEVICE)) as device:
        assert await ingest.wait_caught_up()
        for number in range(5):
            await device.publish(TOPIC, b"%d" % number)
        waiting = asyncio.create_task(ingest.wait_caught_up())
        bursts = await gather(ingest, 5, acknowledge=False)
        await asyncio.sleep(0.3)
        assert not waiting.done()
        for burst in bursts:
            ingest.acknowledge(burst)
        assert await waiting


async def test_wait_caught_up_with_more_on_the_way_than_the_broker_may_hold_back_tells_nothing(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST, receive_max=20, broker_inflight=20)
    async with connected(config_for(broker, DEVICE)) as device:
        async with connected(config):
            pass
        for _ in range(100):
            await device.publish(TOPIC, b"x")
        async with connected(config) as ingest:
            assert not await ingest.wait_caught_up()
            await gather(ingest, 100)
            assert await ingest.wait_caught_up()


async def test_wait_caught_up_on_a_connection_that_ends_tells_nothing(broker: Mosquitto) -> None:
    async with connected(config_for(broker, INGEST)) as ingest, connected(config_for(broker, DEVICE)) as device:
        await device.publish(TOPIC, b"x")
        await gather(ingest, 1, acknowledge=False)
        waiting = asyncio.create_task(ingest.wait_caught_up())
        await asyncio.sleep(0.1)
        broker.stop(signal.SIGKILL)
        assert not await waiting
        await gone(ingest)
        assert not await ingest.wait_caught_up()


async def test_link_with_a_wrong_password_says_so_and_connects_once_it_is_right(broker: Mosquitto) -> None:
    right = broker[INGEST]
    async with Link(config_for(broker, INGEST), rng=random.Random(1)) as link:
        await link.wait_connected(10)
        broker.credentials[INGEST] = new_credential(INGEST)
        broker.reload()
        await gone(link)
        with pytest.raises(LinkLost, match="refused"):
            await link.wait_connected(1)
        assert not link.connected
        broker.credentials[INGEST] = right
        broker.reload()
        await link.wait_connected(10)


async def test_links_with_one_id_do_not_fight_for_ever(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST)
    async with connected(config) as first, Link(config, rng=random.Random(2)) as second:
        async with asyncio.timeout(20):
            while not any("taken over" in link.state for link in (first, second)):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        aside, winner = (first, second) if "taken over" in first.state else (second, first)
        with pytest.raises(LinkTakenOver):
            await aside.wait_connected(5)
        await winner.wait_connected(5)
        connections = winner.counters.connections
        await asyncio.sleep(1)
        assert winner.connected
        assert winner.counters.connections == connections
        assert not aside.connected


async def test_bursts_not_read_pause_the_socket_at_the_bound(broker: Mosquitto) -> None:
    bound = 64 * 1024
    config = config_for(broker, INGEST, burst_bytes=bound, read_bytes=16 * 1024)
    message = bytes(4096)
    async with connected(config) as ingest, connected(config_for(broker, DEVICE)) as device:
        for _ in range(2000):
            await device.publish(TOPIC, message)
        reader = ingest.bursts()
        sizes = []
        received = 0
        async with asyncio.timeout(20):
            while received < 2000:
                burst = await anext(reader)
                ingest.acknowledge(burst)
                received += len(burst.payloads)
                sizes.append(sum(map(len, burst.payloads)))
        assert max(sizes) <= bound + 16 * 1024 + len(message)
        assert len(sizes) > 50


async def test_link_with_a_queue_above_the_bound_connects_before_it_is_read(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST, burst_bytes=4096, read_bytes=4096)
    async with connected(config):
        pass
    async with connected(config_for(broker, DEVICE)) as device:
        await asyncio.gather(*(device.publish(TOPIC, bytes(1000)) for _ in range(1000)))
    async with connected(config) as ingest:
        assert ingest.session_present
        assert len(payloads(await gather(ingest, 1000))) == 1000


async def test_stop_receiving_gives_what_came_and_leaves_the_rest_to_the_broker(broker: Mosquitto) -> None:
    config = config_for(broker, INGEST)
    async with connected(config_for(broker, DEVICE)) as device:
        async with connected(config) as ingest:
            await device.publish(TOPIC, b"before")
            await asyncio.sleep(0.2)
            ingest.stop_receiving()
            await device.publish(TOPIC, b"after")
            await asyncio.sleep(0.2)
            got = []
            async for burst in ingest.bursts():
                got += burst.payloads
                assert ingest.acknowledge(burst)
            assert got == [b"before"]
        async with connected(config) as ingest:
            assert payloads(await gather(ingest, 1)) == [b"after"]


async def test_retained_messages_are_marked(broker: Mosquitto) -> None:
    status = f"tirta/v1/{DEVICE}/status"
    async with connected(config_for(broker, DEVICE)) as device:
        await device.publish(status, b"online", retain=True)
        config = config_for(broker, CONTROL, subscriptions=(("tirta/v1/+/+/status", 1),), retained_on_reconnect=True)
        for _ in range(2):
            async with connected(config) as control:
                (burst,) = await gather(control, 1)
                assert (burst.payloads, burst.retained) == ([b"online"], [True])


async def test_message_said_while_subscribed_is_not_marked_as_retained_although_the_broker_keeps_it(broker: Mosquitto) -> None:
    config = config_for(broker, CONTROL, subscriptions=(("tirta/v1/+/+/status", 1),), retained_on_reconnect=True)
    async with connected(config) as control, connected(config_for(broker, DEVICE)) as device:
        await device.publish(f"tirta/v1/{DEVICE}/status", b"online", retain=True)
        (burst,) = await gather(control, 1)
        assert (burst.payloads, burst.retained) == ([b"online"], None)


async def test_link_keeps_an_idle_connection_alive_by_pings(broker: Mosquitto) -> None:
    async with connected(config_for(broker, INGEST, keep_alive_s=1)) as ingest:
        await asyncio.sleep(3)
        assert ingest.connected
        assert ingest.counters.reconnects == 0
