# SPDX-License-Identifier: Apache-2.0
"""Publish prepared telemetry at QoS 1 as fast as the broker takes it; a process of its own beside what is measured.

Started by the benchmarks with its plan as JSON on standard input: {"host", "port", "users": [[name, password], ...],
"messages", "boot", "start_ms"}. Prepares everything, prints "ready", waits for a line, publishes, and prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import mqtt5

__all__ = ["main", "payload"]

_WINDOW = 4_000  # unacknowledged messages a connection
_CHUNK = 200  # messages a write


def payload(ts_ms: int, boot: int, seq: int) -> bytes:
    """Return a record of eight fields in about 130 bytes."""
    return (
        b'{"ts":%d,"boot":%d,"seq":%d,"soil_moisture":0.%03d,"soil_temperature":%d.5,"flow":12.25,"battery":3.%02d,"tank_level":%d}'
        % (ts_ms, boot, seq, 200 + seq % 200, 25 + seq % 9, seq % 100, 40 + seq % 60)
    )


class _Publisher(asyncio.Protocol):
    def __init__(self, user: str, password: str, chunks: Iterator[tuple[int, bytes]]) -> None:
        self._user, self._password, self._chunks = user, password, chunks
        self.connected = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self._flying = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        packet = mqtt5.ConnectPacket(
            self._user, username=self._user, password=self._password.encode(), clean_start=True, keep_alive=600
        )
        transport.write(packet.write())

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self.connected.done():
            answer, size = mqtt5.read(memoryview(data))
            assert isinstance(answer, mqtt5.ConnAckPacket), answer
            assert answer.reason_code == mqtt5.ConnAckReasonCode.SUCCESS, answer
            data = data[size:]
            self.connected.set_result(None)
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        # A successful PUBACK without properties is four bytes; any other answer is a fault of the benchmark's set-up.
        assert data[0:whole:4].count(b"\x40") == whole // 4, data[:16]
        assert data[1:whole:4].count(b"\x02") == whole // 4, data[:16]
        self._flying -= whole // 4
        if self.connected.done() and whole:
            self.pump()

    def pump(self) -> None:
        while self._flying < _WINDOW:
            count, chunk = next(self._chunks, (0, b""))
            if not count:
                if not self._flying and not self.done.done():
                    self.done.set_result(None)
                return
            self._flying += count
            self._transport.write(chunk)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the broker closed the connection"))

    def close(self) -> None:
        self._transport.close()


def _chunks(user: str, count: int, boot: int, start_ms: int) -> list[tuple[int, bytes]]:
    topic = f"tirta/v1/{user}/telemetry"
    packets = [
        mqtt5.PublishPacket(topic, payload(start_ms + i, boot, i), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=i % 65535 + 1).write()
        for i in range(count)
    ]
    return [(len(packets[i : i + _CHUNK]), b"".join(packets[i : i + _CHUNK])) for i in range(0, count, _CHUNK)]


async def _publish(plan: dict[str, Any]) -> dict[str, float]:
    each = plan["messages"] // len(plan["users"])
    loop = asyncio.get_running_loop()
    publishers = []
    for user, password in plan["users"]:
        chunks = iter(_chunks(user, each, plan["boot"], plan["start_ms"]))
        _, publisher = await loop.create_connection(
            lambda u=user, p=password, c=chunks: _Publisher(u, p, c),  # type: ignore[misc]
            plan["host"],
            plan["port"],
        )
        await publisher.connected
        publishers.append(publisher)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    began = time.time()
    for publisher in publishers:
        publisher.pump()
    await asyncio.gather(*(publisher.done for publisher in publishers))
    ended = time.time()
    for publisher in publishers:
        publisher.close()
    return {"began": began, "ended": ended, "messages": each * len(publishers)}


def main() -> None:
    """Run one plan."""
    plan = json.loads(sys.stdin.readline())
    print(json.dumps(asyncio.run(_publish(plan))), flush=True)


if __name__ == "__main__":
    main()
