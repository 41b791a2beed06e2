# SPDX-License-Identifier: Apache-2.0
"""Devices that send one record a minute each, evenly over it, at QoS 1; a process of its own beside what is measured.

Started by the benchmarks with its plan as JSON on standard input: {"port", "users": [[name, password], ...], "minutes",
"minute_s", "zones", "boot"}. Prints 0 when all are connected, and each minute's number when the broker has acknowledged it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mqtt5

from benchmarks.publisher import payload
from gateway.credentials import Credential

__all__ = ["main", "publishing"]

_AT_ONCE = 20  # devices that connect at the same time


@contextmanager
def publishing(
    port: int, users: Sequence[Credential], *, minutes: int, minute_s: float, zones: int = 1, boot: int = 1
) -> Iterator[subprocess.Popen[str]]:
    """Run the devices; their minutes come on its standard output, and what is left of them is ended at the end."""
    plan = {"port": port, "users": [[u.username, u.password] for u in users], "minutes": minutes, "minute_s": minute_s}
    plan |= {"zones": zones, "boot": boot}
    command = [sys.executable, "-m", "benchmarks.fleet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdin is not None
        started.stdin.write(json.dumps(plan) + "\n")
        started.stdin.flush()
        try:
            yield started
        finally:
            started.terminate()


async def _publish(plan: dict[str, Any]) -> None:
    devices = await _connect_all(plan["port"], plan["users"])
    loop = asyncio.get_running_loop()
    began, minute_s = loop.time(), plan["minute_s"]
    print(0, flush=True)
    for minute in range(plan["minutes"]):
        for i, (user, _, writer) in enumerate(devices):
            packet = mqtt5.PublishPacket(
                f"tirta/v1/{user}/telemetry",
                _records(time.time_ns() // 1_000_000, plan["boot"], minute, plan["zones"]),
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                packet_id=minute % 65535 + 1,
            )
            writer.write(packet.write())
            # A timer a device in real time; where a minute is a second, fifty at a time.
            if minute_s > len(devices) / 50 or i % 50 == 49:
                due = began + (minute + (i + 1) / len(devices)) * minute_s
                await asyncio.sleep(max(due - loop.time(), 0))
        for _, reader, _ in devices:
            await reader.readexactly(4)  # the PUBACK of this minute's record
        print(minute + 1, flush=True)
    for _, _, writer in devices:
        writer.close()


def _records(ts_ms: int, boot: int, minute: int, zones: int) -> bytes:
    """Return a record, or an array of one a zone, with eight quantities in each."""
    if zones == 1:
        return payload(ts_ms, boot, minute)
    records = (
        b'{"ts":%d,"boot":%d,"seq":%d,"zone":%d,"soil_moisture":0.%03d,"soil_temperature":%d.5,"air_temperature":31.25,'
        b'"relative_humidity":74.5,"flow":12.25,"litres_total":%d.5,"tank_level":%d,"battery":3.%02d}'
        % (ts_ms, boot, seq, seq % zones + 1, 200 + seq % 200, 25 + seq % 9, seq, 40 + seq % 60, seq % 100)
        for seq in range(minute * zones, (minute + 1) * zones)
    )
    return b"[" + b",".join(records) + b"]"


_Device = tuple[str, asyncio.StreamReader, asyncio.StreamWriter]


async def _connect_all(port: int, users: Sequence[tuple[str, str]]) -> list[_Device]:
    found: list[_Device] = []
    for first in range(0, len(users), _AT_ONCE):
        found += await asyncio.gather(*(_connect(port, *user) for user in users[first : first + _AT_ONCE]))
    return found


async def _connect(port: int, user: str, password: str) -> _Device:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    packet = mqtt5.ConnectPacket(user, username=user, password=password.encode(), clean_start=True, keep_alive=600)
    writer.write(packet.write())
    head = await reader.readexactly(2)
    answer, _ = mqtt5.read(memoryview(head + await reader.readexactly(head[1])))
    if not isinstance(answer, mqtt5.ConnAckPacket) or answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        raise SystemExit(f"{user} was refused: {answer}")
    return user, reader, writer


def main() -> None:
    """Run one plan."""
    asyncio.run(_publish(json.loads(sys.stdin.readline())))


if __name__ == "__main__":
    main()
