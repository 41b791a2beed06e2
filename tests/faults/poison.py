# SPDX-License-Identifier: Apache-2.0
"""14: a tenth of everything is poison. All of it goes to quarantine with a reason, and nobody else notices."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from statistics import median

from gateway.errors import MalformedPacket
from gateway.framing import Inbox
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import Device, Fleet, telemetry
from tests.faults.scene import Scene

__all__ = ["TEST"]

_RATE = 1500.0  # good messages a second
_YEARS_MS = 10 * 365 * 86_400_000


def _poisons() -> Iterator[bytes]:
    """Give every kind in turn, the large one seldom; the numbers make each of them another."""
    seq = count()

    def record(**fields: object) -> bytes:
        return json.dumps({**telemetry(9, next(seq)), **fields}).encode()

    kinds: list[Callable[[], bytes]] = [
        lambda: b'{"ts": 1, "soil_moisture": ' + str(next(seq)).encode(),
        lambda: record(soil_moisture=float("nan")),
        lambda: b"[" * 10_000 + str(next(seq)).encode() + b"]" * 10_000,
        lambda: b'{"soil_moisture": 0.3, "boot": 9, "seq": ' + str(next(seq)).encode() + b', "x": "\xff\xfe"}',
        lambda: record(ts=time.time_ns() // 1_000_000 + _YEARS_MS),
        lambda: record(device="faults/d-0"),
    ]
    for number, kind in enumerate(cycle(kinds)):
        yield kind()
        if number % 100 == 99:
            yield b'{"pad": "' + b"x" * 2**20 + b'"}'


def _measure(fleet: Fleet, seconds: float, poisoner: Device | None) -> tuple[float, int]:
    """Publish for some seconds; return the good messages a second that were acknowledged and the poison sent."""
    before = len(fleet.acked)
    sent = 0
    stop = threading.Event()

    def poison() -> None:
        nonlocal sent
        assert poisoner is not None
        begun_s = time.monotonic()
        for payload in _poisons():
            while sent > (time.monotonic() - begun_s) * _RATE / 9:
                if stop.wait(0.01):
                    return
            if stop.is_set():
                return
            poisoner.publish_raw(payload)
            sent += 1

    worker = threading.Thread(target=poison) if poisoner else None
    begun_s = time.monotonic()
    fleet.run_at(_RATE)
    if worker:
        worker.start()
    time.sleep(seconds)
    stop.set()
    if worker:
        worker.join()
    fleet.run_at(0)
    took_s = time.monotonic() - begun_s
    fleet.wait_acknowledged()
    return (len(fleet.acked) - before) / took_s, sent


def _topic_that_is_no_text() -> bool:
    """Tell whether the codec survives a topic that is not UTF-8, which a broker would never pass on."""
    inbox = Inbox(connection=1, read_bytes=4096, max_packet_size=2**20, burst_bytes=2**20, burst_messages=100)
    topic = b"tirta/v1/\xff\xfe/d/telemetry"
    packet = bytes([0x32, 2 + len(topic) + 2 + 1 + 2]) + len(topic).to_bytes(2) + topic + b"\x00\x01" + b"\x00" + b"{}"
    inbox.room()[: len(packet)] = packet
    try:
        inbox.received(len(packet))
    except MalformedPacket:
        return True
    return False


def _quarantined(path: Path) -> Counter[str]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return Counter(dict(db.execute("select reason, count(*) from record group by reason").fetchall()))


def run(conditions: Conditions) -> Findings:
    """Compare throughput with and without poison, and look for every piece of it in quarantine."""
    seconds, rounds = conditions.choose(12.0, 2.0), conditions.choose(5, 3)
    ratios, poison, good = [], 0, []
    with Scene(conditions.folder, devices=10) as scene, scene.victim, scene.fleet(count=9) as fleet:
        scene.victim.wait_live()
        process = scene.victim.process
        poisoner = scene.fleet(first=9)
        with poisoner:
            for _ in range(rounds):  # in turn, for the machine is not as fast all the time
                before, _ = _measure(fleet, seconds, None)
                beside, sent = _measure(fleet, seconds, poisoner.devices[0])
                ratios.append(beside / before)
                good.append(beside)
                poison += sent
            poisoner.wait_acknowledged()
            scene.victim.wait_drained()
            restarted = scene.victim.process is not process or not scene.victim.alive
            counts = scene.drain_and_compare(fleet)
    reasons = _quarantined(scene.data / "quarantine.sqlite")
    numbers = {
        "poison": poison,
        "quarantined": sum(reasons.values()),
        "reasons": dict(reasons),
        "good_per_s": round(median(good)),
        "ratio": round(median(ratios), 3),
        "lost": counts["lost"],
        "dup": counts["dup"],
    }
    criteria = {
        "every piece in quarantine": sum(reasons.values()) == poison,
        "with a reason": all(reasons),
        # Told, not judged, of the short run: it is too short for a machine that others use too.
        "throughput of the good at least 95 %": conditions.quick or median(ratios) >= 0.95,
        "no restart": not restarted,
        "nothing lost": counts["lost"] == 0,
        "nothing twice": counts["dup"] == 0,
        "a topic that is no text is malformed": _topic_that_is_no_text(),
    }
    return Findings(numbers, criteria)


TEST = FaultTest(14, "a tenth of everything is poison", run)
