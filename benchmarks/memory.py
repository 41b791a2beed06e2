# SPDX-License-Identifier: Apache-2.0
"""How much memory a whole Tirta takes with 1,000 devices that send once a minute, over an hour at 60 times the pace.

    python -m benchmarks.memory --json [--devices N] [--minutes N]

Prints the resident memory of Tirta's process after the first five simulated minutes and at the end (broker and publisher
left out), and how many records are stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import mqtt5

from benchmarks.publisher import payload
from benchmarks.served import Served, serve_tirta

__all__ = ["main"]

_SPEED = 60.0
_WARM_MINUTES = 5
_SETTLE_S = 60.0


def main() -> None:
    """Run the benchmark, or, started by itself, the devices."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=60, help="simulated; each takes a second")
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.publish:
        asyncio.run(_publish(json.loads(sys.stdin.readline())))
        return
    result = _measure(options.devices, options.minutes, quiet=options.json)
    print(json.dumps(result) if options.json else "\n".join(f"{name:>14} {value}" for name, value in result.items()))


def _measure(devices: int, minutes: int, *, quiet: bool) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder,
        serve_tirta(Path(folder), devices=devices, zones=1, speed=_SPEED) as served,
    ):
        plan = {"port": served.mqtt_port, "users": [[u.username, u.password] for u in served.users], "minutes": minutes}
        command = [sys.executable, "-m", "benchmarks.memory", "--publish"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as publisher:
            assert publisher.stdin is not None
            assert publisher.stdout is not None
            publisher.stdin.write(json.dumps(plan) + "\n")
            publisher.stdin.flush()
            start_mb = 0.0
            for line in publisher.stdout:
                minute = int(line)
                if minute == min(_WARM_MINUTES, minutes):
                    start_mb = _rss_mb(served)
                if not quiet and minute % 5 == 0:
                    print(f"minute {minute}: {_rss_mb(served):.0f} MB", file=sys.stderr)
        stored = _wait_stored(served, devices * minutes)
        end_mb = _rss_mb(served)
    growth = round((end_mb - start_mb) / start_mb, 3) if start_mb else 0.0
    return {
        "devices": devices,
        "minutes": minutes,
        "rss_start_mb": round(start_mb),
        "rss_end_mb": round(end_mb),
        "growth": growth,
        "stored": stored,
    }


def _rss_mb(served: Served) -> float:
    return float(served.process.memory_info().rss) / 2**20


def _wait_stored(served: Served, wanted: int) -> int:
    """Return how many rows the store has taken, once all have come or a minute has passed."""
    connection, until = served.connect(), time.monotonic() + _SETTLE_S
    while True:
        lines = served.ask(connection, "/metrics")[1].decode().splitlines()
        stored = int(sum(float(line.split()[-1]) for line in lines if line.startswith("tirta_store_rows_total{")))
        if stored >= wanted or time.monotonic() > until:
            return stored
        time.sleep(0.5)


async def _publish(plan: dict[str, Any]) -> None:
    """Send one record a device and simulated minute, at QoS 1, evenly over the second that it takes."""
    devices = [await _connect(plan["port"], user, password) for user, password in plan["users"]]
    loop = asyncio.get_running_loop()
    began = loop.time()
    for minute in range(plan["minutes"]):
        for i, (user, _, writer) in enumerate(devices):
            packet = mqtt5.PublishPacket(
                f"tirta/v1/{user}/telemetry",
                payload(time.time_ns() // 1_000_000, 1, minute),
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                packet_id=minute % 65535 + 1,
            )
            writer.write(packet.write())
            if i % 50 == 49:
                due = began + minute + (i + 1) / len(devices)
                await asyncio.sleep(max(due - loop.time(), 0))
        for _, reader, _ in devices:
            await reader.readexactly(4)  # the PUBACK of this minute's record
        print(minute + 1, flush=True)
    for _, _, writer in devices:
        writer.close()


async def _connect(port: int, user: str, password: str) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    packet = mqtt5.ConnectPacket(user, username=user, password=password.encode(), clean_start=True, keep_alive=600)
    writer.write(packet.write())
    head = await reader.readexactly(2)
    answer, _ = mqtt5.read(memoryview(head + await reader.readexactly(head[1])))
    if not isinstance(answer, mqtt5.ConnAckPacket) or answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
        raise SystemExit(f"{user} was refused: {answer}")
    return user, reader, writer


if __name__ == "__main__":
    main()
