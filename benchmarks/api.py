# SPDX-License-Identifier: Apache-2.0
"""How fast a whole Tirta answers while devices send and people watch.

    python -m benchmarks.api --json [--devices N] [--listeners N] [--seconds S]

`tirta up` with 10,000 controllers of four beds each, of which 1,000 send a record of eight quantities a bed once a minute;
500 listeners, each with a token of its own, follow all events. Then, from this process, on kept connections and one request
after the other, with a pause between two:

`latest`    `GET /api/v1/zones?limit=1000`, the newest values of 1,000 beds, all measured
`list`      `GET /api/v1/devices?limit=100`, page after page
`write`     `PATCH /api/v1/zones/{zone}`, each another bed: registry and audit trail, on the disk when it is answered

Answers are read to their end and not decoded. `…_cpu_ms` is the processor time of one request, measured before anybody
listens: it tells more than the clock does where a machine is shared. `cpu` is the processor time of Tirta's process, of
everything it does, in parts of one core. `sse_clients` counts the listeners that are connected at the end and have heard of
measurements while it was measured; `sse_least` is how many the one that heard least has heard, of `sse_of`.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.fleet import publishing
from benchmarks.listeners import listening
from benchmarks.served import Served, serve_tirta

__all__ = ["main"]

ZONES_A_DEVICE: Final = 4
SENDING: Final = 1000  # devices
PAGE: Final = 1000  # zones in an answer
MINUTE_S: Final = 60.0
_WARM_UP: Final = 10  # requests of each sort before those that are measured
_ALONE: Final = 50  # requests of each sort whose processor time is measured
_PAUSE_S: Final = {"latest": 0.25, "list": 0.1, "write": 0.1}
_SETTLE_S: Final = 120.0


@dataclass(slots=True)
class _Asker:
    """One sort of request, asked again and again by a thread of its own."""

    served: Served
    requests: Iterator[tuple[str, str, bytes | None]]
    pause_s: float
    times_ms: list[float] = field(default_factory=list)
    failed: str | None = None

    def run(self, until: threading.Event) -> None:
        connection = self.served.connect()
        try:
            for _ in range(_WARM_UP):
                self._ask(connection)
            self.times_ms.clear()
            while not until.wait(self.pause_s):
                self._ask(connection)
        except (OSError, http.client.HTTPException, SystemExit) as exc:
            self.failed = str(exc)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        took_ms, _ = self.served.ask(connection, *next(self.requests))
        self.times_ms.append(took_ms)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--devices", type=int, default=10_000, help=f"devices in the registry, {SENDING} or more")
    parser.add_argument("--listeners", type=int, default=500, help="who follow events")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long is measured")
    options = parser.parse_args()
    if options.devices < SENDING or options.listeners < 0 or options.seconds < 5:
        parser.error(f"--devices has to be {SENDING} or more, --listeners 0 or more, --seconds 5 or more")
    result = _measure(options.devices, options.listeners, options.seconds)
    print(json.dumps(result) if options.json else "\n".join(f"{name:>18} {value}" for name, value in result.items()))


def _measure(devices: int, listeners: int, seconds: float) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder,
        serve_tirta(Path(folder), devices=devices, zones=ZONES_A_DEVICE, viewers=listeners) as served,
    ):
        senders = sorted(served.users, key=lambda user: user.username)[:SENDING]  # of the list's first page
        with publishing(served.mqtt_port, senders, minutes=1, minute_s=5.0, zones=ZONES_A_DEVICE) as fleet:
            fleet.wait()
        _wait_measured(served)
        alone = _cpu_of_each(served)
        minutes = int(seconds / MINUTE_S) + 10
        with (
            publishing(served.mqtt_port, senders, minutes=minutes, minute_s=MINUTE_S, zones=ZONES_A_DEVICE, boot=2) as fleet,
            listening(served.http_port, served.tokens) as heard,
        ):
            assert fleet.stdout is not None
            fleet.stdout.readline()  # all are connected
            print("measuring", file=sys.stderr)
            result = _ask_all(served, seconds, heard.begin)
            result |= {f"sse_{name}": value for name, value in heard.end().items()}
    return {"devices": devices, "zones": devices * ZONES_A_DEVICE, "seconds": seconds} | alone | result


def _cpu_of_each(served: Served) -> dict[str, float]:
    """Return what each sort of request takes while nothing else goes on."""
    found, connection = {}, served.connect()
    for name, requests in _requests(served).items():
        for _ in range(_WARM_UP):
            served.ask(connection, *next(requests))
        before = _cpu_s(served)
        for _ in range(_ALONE):
            served.ask(connection, *next(requests))
        found[f"{name}_cpu_ms"] = round((_cpu_s(served) - before) / _ALONE * 1000, 1)
    connection.close()
    return found


def _ask_all(served: Served, seconds: float, begin: Any) -> dict[str, Any]:
    askers = {name: _Asker(served, requests, _PAUSE_S[name]) for name, requests in _requests(served).items()}
    until = threading.Event()
    threads = [threading.Thread(target=asker.run, args=(until,), name=name) for name, asker in askers.items()]
    begin()
    rows, began, cpu_s = _stored(served), time.monotonic(), _cpu_s(served)
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    until.set()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - began
    result: dict[str, Any] = {}
    for name, asker in askers.items():
        if asker.failed is not None:
            raise SystemExit(f"{name}: {asker.failed}")
        parts = statistics.quantiles(asker.times_ms, n=100, method="inclusive")
        result |= {
            f"{name}_p50_ms": round(parts[49], 1),
            f"{name}_p99_ms": round(parts[98], 1),
            f"{name}_requests": len(asker.times_ms),
        }
    return result | {
        "cpu": round((_cpu_s(served) - cpu_s) / taken, 2),
        "rss_mb": round(served.process.memory_info().rss / 2**20),
        "sse_of": _stored(served) - rows,
    }


def _requests(served: Served) -> dict[str, Iterator[tuple[str, str, bytes | None]]]:
    def pages() -> Iterator[tuple[str, str, bytes | None]]:
        connection = served.connect()
        while True:
            paths, after = [], ""
            for _ in range(20):
                paths.append(f"/api/v1/devices?limit=100{after}")
                following = msgspec.json.decode(served.ask(connection, "GET", paths[-1])[1])["next"]
                if following is None:
                    break
                after = f"&after={following}"
            yield from (("GET", path, None) for path in itertools.chain.from_iterable(itertools.repeat(paths)))

    def changes() -> Iterator[tuple[str, str, bytes | None]]:
        for number in itertools.count():
            address = served.users[number % len(served.users)].username.replace("/", ":")
            yield "PATCH", f"/api/v1/zones/{address}:{number % ZONES_A_DEVICE + 1}", b'{"title":"Bed of %d"}' % number

    latest = itertools.repeat(("GET", f"/api/v1/zones?limit={PAGE}", None))
    return {"latest": latest, "list": pages(), "write": changes()}


def _wait_measured(served: Served) -> None:
    """Wait until what was sent is stored."""
    until = time.monotonic() + _SETTLE_S
    while (stored := _stored(served)) < SENDING * ZONES_A_DEVICE:
        if time.monotonic() > until:
            raise SystemExit(f"only {stored} records were stored")
        time.sleep(0.2)


def _stored(served: Served) -> int:
    return served.metric("tirta_store_rows_total")


def _cpu_s(served: Served) -> float:
    used = served.process.cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    main()
