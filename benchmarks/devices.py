# SPDX-License-Identifier: Apache-2.0
"""How long it takes to let a device in and to put one out, beside 10,000 others.

    python -m benchmarks.devices --json [--devices N] [--connected N] [--changes N] [--crowd N]

A whole `tirta up` with its own mosquitto; so many devices are registered, and so many of them connected, for the broker looks
at each connection when it reads its users anew. Then, over HTTP:

`provision`             `POST /devices`, one after the other, until the answer with the credential, which is valid by then
`crowd`                 many at once: eight callers that add devices one after the other, and how long all of it took
`rotate`                `POST /devices/{device}/credential`, one after the other, until the answer
`revoke`                `DELETE /devices/{device}`, one after the other, until the answer
`revoke_to_disconnect`  from sending that until the device sees its connection end

Beside the clock's times `provision_service_cpu_ms` and `provision_broker_cpu_ms` tell what one costs, which tells more where a
machine is shared. Every new credential of `crowd` is tried at the broker afterwards, and `bystanders_lost` counts connections
that ended though nobody meant them: both tell whether what was measured was done at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import mqtt5

from benchmarks.served import Served, serve_tirta
from gateway.credentials import Credential
from gateway.knock import knock

__all__ = ["main"]

_CALLERS = 8  # of the crowd
_OPENING = 200  # connections opened at a time
_KEEPALIVE_S = 600  # longer than the run: nothing is sent on these connections [s]
_GRACE_S = 10.0  # until a device that was put out has to have seen it [s]


class _Device(asyncio.Protocol):
    """A connected device that does nothing but notice its end."""

    def __init__(self, credential: Credential) -> None:
        loop = asyncio.get_running_loop()
        self.credential = credential
        self.accepted: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[float] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name, password = self.credential.username, self.credential.password.encode()
        transport.write(mqtt5.ConnectPacket(name, username=name, password=password, keep_alive=_KEEPALIVE_S).write())

    def data_received(self, data: bytes) -> None:
        if not self.accepted.done():
            answer, _ = mqtt5.read(memoryview(data))
            assert isinstance(answer, mqtt5.ConnAckPacket), answer
            assert answer.reason_code == mqtt5.ConnAckReasonCode.SUCCESS, answer
            self.accepted.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.ended.set_result(time.perf_counter())

    def close(self) -> None:
        self._transport.close()


class _Bench:
    """The callers' side, with one kept connection a caller."""

    def __init__(self, served: Served, http: httpx2.AsyncClient) -> None:
        self._served = served
        self._http = http
        self._made = 0

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[float, float, Any]:
        """Return when it was sent and answered [s], and the answer."""
        headers = {"authorization": f"Bearer {self._served.token}"}
        began = time.perf_counter()
        answer = await self._http.request(method, f"/api/v1{path}", json=body, headers=headers)
        ended = time.perf_counter()
        if not answer.is_success:
            raise SystemExit(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
        return began, ended, answer.json() if answer.content else None

    async def add(self) -> tuple[float, Credential]:
        """Add a device; return how long it took [s] and its credential."""
        self._made += 1
        body = {"site": "bench", "device": f"new-{self._made}", "kind": "weather-station", "title": f"New {self._made}"}
        began, ended, made = await self.call("POST", "/devices", body)
        return ended - began, Credential(made["credential"]["username"], made["credential"]["password"])

    async def crowd(self, count: int) -> tuple[float, list[float], list[Credential]]:
        """Add so many devices by several callers; return how long all and each of it took [s], and the credentials."""
        left, took, made = list(range(count)), [], []

        async def caller() -> None:
            while left:
                left.pop()
                seconds, credential = await self.add()
                took.append(seconds)
                made.append(credential)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(_CALLERS):
                group.create_task(caller())
        return time.perf_counter() - began, took, made


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--devices", type=int, default=10_000, help="registered")
    parser.add_argument("--connected", type=int, default=10_000, help="of them connected")
    parser.add_argument("--changes", type=int, default=200, help="of each sort, one after the other")
    parser.add_argument("--crowd", type=int, default=500, help="devices added at once")
    options = parser.parse_args()
    if options.changes < 2 or options.crowd < 2 or options.connected > options.devices:
        parser.error("--changes and --crowd have to be 2 or more, --connected at most --devices")
    if options.connected < 2 * options.changes:
        parser.error("--connected has to be twice --changes or more: so many are put out")
    with (
        tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder,
        serve_tirta(Path(folder), devices=options.devices, zones=1) as served,
    ):
        result = asyncio.run(_measure(served, options.connected, options.changes, options.crowd))
    result = {"devices": options.devices, "connected": options.connected, **result}
    print(json.dumps(result) if options.json else "\n".join(f"{name:>30} {value}" for name, value in result.items()))


async def _measure(served: Served, connected: int, changes: int, crowd: int) -> dict[str, Any]:
    devices = await _connect(served, served.users[:connected])
    rotated, revoked, bystanders = devices[:changes], devices[changes : 2 * changes], devices[2 * changes :]
    limits = httpx2.Limits(max_connections=_CALLERS, max_keepalive_connections=_CALLERS)
    url = f"http://127.0.0.1:{served.http_port}"
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=limits) as http:
        bench = _Bench(served, http)
        before = _cpu_ms(served)
        result = _told("provision", [(await bench.add())[0] for _ in range(changes)])
        for name, used in _cpu_ms(served).items():
            result[f"provision_{name}_cpu_ms"] = round((used - before[name]) / changes, 1)
        whole_s, took, made = await bench.crowd(crowd)
        result |= {"crowd": crowd, "crowd_s": round(whole_s, 2), **_told("crowd", took)}
        result["crowd_refused"] = sum([not await knock("127.0.0.1", served.mqtt_port, each) for each in made])
        result |= _told("rotate", [await _rotate(bench, device) for device in rotated])
        out = [await _revoke(bench, device) for device in revoked]
        result |= _told("revoke", [answered for answered, _ in out])
        result |= _told("revoke_to_disconnect", [ended for _, ended in out])
    result["bystanders_lost"] = sum(device.ended.done() for device in bystanders)
    for device in devices:
        device.close()
    return result


async def _connect(served: Served, users: list[Credential]) -> list[_Device]:
    """Connect these devices, some at a time."""
    loop, devices = asyncio.get_running_loop(), [_Device(user) for user in users]
    for first in range(0, len(devices), _OPENING):
        some = devices[first : first + _OPENING]
        for device in some:
            await loop.create_connection(lambda device=device: device, "127.0.0.1", served.mqtt_port)  # type: ignore[misc]
        await asyncio.gather(*(device.accepted for device in some))
    return devices


async def _rotate(bench: _Bench, device: _Device) -> float:
    began, ended, _ = await bench.call("POST", f"/devices/{_key(device)}/credential")
    await asyncio.wait_for(device.ended, _GRACE_S)
    return ended - began


async def _revoke(bench: _Bench, device: _Device) -> tuple[float, float]:
    """Return how long the answer and the end of the connection took. [s]"""
    began, answered, _ = await bench.call("DELETE", f"/devices/{_key(device)}")
    ended = await asyncio.wait_for(device.ended, _GRACE_S)
    return answered - began, ended - began


def _key(device: _Device) -> str:
    return device.credential.username.replace("/", ":")


def _told(name: str, seconds: list[float]) -> dict[str, Any]:
    parts = statistics.quantiles([each * 1000 for each in seconds], n=100, method="inclusive")
    return {f"{name}_p50_ms": round(parts[49], 1), f"{name}_p99_ms": round(parts[98], 1)}


def _cpu_ms(served: Served) -> dict[str, float]:
    """Return the processor time so far of the service and of its broker, which it started."""
    (broker,) = (child for child in served.process.children() if child.name() == "mosquitto")
    both = {"service": served.process.cpu_times(), "broker": broker.cpu_times()}
    return {name: (used.user + used.system) * 1000 for name, used in both.items()}


if __name__ == "__main__":
    main()
