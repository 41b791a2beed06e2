# SPDX-License-Identifier: Apache-2.0
"""14: a tenth of everything is poison. All of it goes to quarantine with a reason, and nobody else notices.

Told in two ways, for each alone would flatter. Beside a steady stream of good messages, below what the machine can do: as many
of them come through as without poison, and none is late. And from a full queue, as fast as it goes: how many good ones a
second are stored, against the same queue where something harmless of the same size stands in place of each piece of poison.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count as counting
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from gateway.errors import MalformedPacket
from gateway.framing import Inbox
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import Device, Fleet, telemetry
from tests.faults.scene import Scene

__all__ = ["TEST"]

_RATE = 1500.0  # good messages a second of the steady stream
_LATE_MS = 1000.0  # from measurement to where the rules see it, of 99 in 100 good messages
_CHUNK = 90  # good messages between two lots of ten others, in the queue
_STEADY = 0.95
_FULL_SPEED = 0.25
_YEARS_MS = 10 * 365 * 86_400_000


def _poisons(*, large: bool = True) -> Iterator[bytes]:
    """Give every kind in turn, the large one seldom if at all; the numbers make each of them another."""
    seq = counting()

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
        if large and number % 100 == 99:
            yield b'{"pad": "' + b"x" * 2**20 + b'"}'


@dataclass(slots=True)
class _Steady:
    """What came of some seconds of the steady stream: good messages a second, how late they were, and poison beside them."""

    per_s: float
    late_ms: float
    poison: int


def _stream(scene: Scene, fleet: Fleet, seconds: float, poisoner: Device | None) -> _Steady:
    """Publish for some seconds, with a tenth of poison where somebody sends it."""
    before, sent, late_ms = len(fleet.acked), 0, 0.0
    poisons = _poisons()
    begun_s = time.monotonic()
    fleet.run_at(_RATE)
    while (passed_s := time.monotonic() - begun_s) < seconds:
        while poisoner is not None and sent < passed_s * _RATE / 9:
            poisoner.publish_raw(next(poisons))
            sent += 1
        late_ms = max(late_ms, scene.victim.status["lag_p99_ms"] or 0.0)
        time.sleep(0.02)
    fleet.run_at(0)
    took_s = time.monotonic() - begun_s
    fleet.wait_acknowledged()
    return _Steady((len(fleet.acked) - before) / took_s, late_ms, sent)


def _harmless(sizes: Iterator[bytes]) -> Iterator[bytes]:
    """Give something good in place of each piece, no smaller than it."""
    for seq, piece in enumerate(sizes):
        yield json.dumps(telemetry(8, seq)).encode().ljust(len(piece))


def _drain(scene: Scene, fleet: Fleet, other: Device, pieces: Iterator[bytes], count: int) -> float:
    """Have so many good messages and a tenth of others wait at the broker; return the good ones stored a second then."""
    victim = scene.victim
    victim.stop()
    total = 0
    for _ in range(count // _CHUNK):
        fleet.publish(_CHUNK)
        for payload in islice(pieces, _CHUNK // 9):
            other.publish_raw(payload)
        total += _CHUNK + _CHUNK // 9
    while other.unacknowledged:
        time.sleep(0.02)
    victim.start()
    begun = None
    end_s = time.monotonic() + 120
    while True:
        said = victim.status
        if said.get("received", 0) == 0:
            begun = said.get("at", begun)
        elif said["received"] >= total and not said["behind"]:
            break
        assert time.monotonic() < end_s, f"not drained: {said}"
        time.sleep(0.02)
    assert begun is not None
    return total * 0.9 / float(said["at"] - begun)


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
    """Compare with and without poison in both ways, and look for every piece of it in quarantine."""
    seconds, count = conditions.choose(12.0, 2.0), conditions.choose(54_000, 5_400)
    harmless, poisons = _harmless(_poisons(large=False)), _poisons(large=False)
    with Scene(conditions.folder, devices=10) as scene, scene.victim as victim, scene.fleet(count=9) as fleet:
        victim.wait_live()
        process = victim.process
        with scene.fleet(first=9) as others:
            other = others.devices[0]
            # In turn, for the machine is not as fast all the time.
            steady = [
                (_stream(scene, fleet, seconds, None), _stream(scene, fleet, seconds, other))
                for _ in range(conditions.choose(5, 1))
            ]
            others.wait_acknowledged()
            victim.wait_drained()
            restarted = victim.process is not process or not victim.alive
            drained = [
                (_drain(scene, fleet, other, harmless, count), _drain(scene, fleet, other, poisons, count))
                for _ in range(conditions.choose(3, 1))
            ]
            counts = scene.drain_and_compare(fleet)
    reasons = _quarantined(scene.data / "quarantine.sqlite")
    poison = sum(beside.poison for _, beside in steady) + len(drained) * (count // _CHUNK) * (_CHUNK // 9)
    ratio = median(beside.per_s / before.per_s for before, beside in steady)
    late_ms = median(beside.late_ms for _, beside in steady)
    full_speed = median(beside / before for before, beside in drained)
    numbers = {
        "poison": poison,
        "quarantined": sum(reasons.values()),
        "reasons": dict(reasons),
        "good_per_s": round(median(beside.per_s for _, beside in steady)),
        "ratio": round(ratio, 3),
        "late_ms": [round(median(before.late_ms for before, _ in steady)), round(late_ms)],
        "full_speed_good_per_s": round(median(beside for _, beside in drained)),
        "full_speed_ratio": round(full_speed, 3),
        "lost": counts["lost"],
        "dup": counts["dup"],
    }
    told = conditions.quick  # told, not judged, of the short run: it is too short for a machine that others use too
    criteria = {
        "every piece in quarantine": sum(reasons.values()) == poison,
        "with a reason": all(reasons),
        "of a steady stream at least 95 % of the good": told or ratio >= _STEADY,
        "and none of them late": told or late_ms <= _LATE_MS,
        "of a full queue as fast as it goes": told or full_speed >= _FULL_SPEED,
        "no restart": not restarted,
        "nothing lost": counts["lost"] == 0,
        "nothing twice": counts["dup"] == 0,
        "a topic that is no text is malformed": _topic_that_is_no_text(),
    }
    return Findings(numbers, criteria)


TEST = FaultTest(14, "a tenth of everything is poison", run)
