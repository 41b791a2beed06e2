# SPDX-License-Identifier: Apache-2.0
"""The yardstick: receive over MQTT 5, decode each packet, keep nothing, acknowledge each burst in one write."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import cast

import mqtt5


class Bare(asyncio.Protocol):
    def __init__(self, plan: dict[str, str]) -> None:
        self.plan, self.rest, self.count, self.done = plan, b"", 0, asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        user, password = self.plan["user"], self.plan["password"].encode()
        connect = mqtt5.ConnectPacket(user, username=user, password=password, clean_start=True, receive_max=65534)
        topics = [mqtt5.TopicFilter("tirta/v1/+/+/telemetry", max_qos=mqtt5.QoS.AT_LEAST_ONCE)]
        self.transport.write(connect.write() + mqtt5.SubscribePacket(1, topics).write())

    def data_received(self, data: bytes) -> None:
        view, at, acks = memoryview(self.rest + data), 0, []
        while at < len(view):
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            if isinstance(packet, mqtt5.PublishPacket):
                acks.append(mqtt5.PubAckPacket(packet.packet_id or 0).write())
            elif isinstance(packet, mqtt5.SubAckPacket):
                print("ready", flush=True)
                self.before = time.process_time()
        self.rest = bytes(view[at:])
        self.transport.write(b"".join(acks))
        self.count += len(acks)
        if self.count >= int(self.plan["messages"]):
            self.done.set()


async def main() -> None:
    plan = json.loads(sys.stdin.readline())
    _, bare = await asyncio.get_running_loop().create_connection(lambda: Bare(plan), plan["host"], plan["port"])
    await bare.done.wait()
    print(json.dumps({"ended": time.time(), "cpu_s": time.process_time() - bare.before}), flush=True)
    bare.transport.close()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
