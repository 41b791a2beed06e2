# SPDX-License-Identifier: Apache-2.0
"""4: the broker dies with a full queue. Asked to stop it loses nothing; killed, only what devices without an outbox sent,
and that is counted exactly: by the numbers of those who number, and within the times shown for those who do not.

It is killed twice over: a broker that has never written its queues, so that it forgets the sessions too, and Tirta's own,
under Tirta itself, after it wrote half of them, so that it comes back as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.oracle import Fleet, Position, compare, rows_in_duckdb
from tests.faults.scene import Scene
from tests.servers.bench import add_device
from tests.servers.tirta import Tirta

__all__ = ["TEST"]

_TOLD_S = 60.0
_KEEP_ALIVE_S = 2


@dataclass(frozen=True, slots=True)
class _Killed:
    """What came of one kill.

    Attributes
    ----------
    kept, numbered, bare : dict
        Of devices with an outbox, of those that number their records, of those that do not.
    counted : int
        Numbers shown as missing or lost, of all devices.
    outside : int
        Lost records without a number that were acknowledged in none of the times shown.
    windows : int
        How many such times are shown.
    told_s : float
        Until the loss was shown. [s]
    """

    kept: dict[str, int]
    numbered: dict[str, int]
    bare: dict[str, int]
    counted: int
    outside: int
    windows: int
    told_s: float


def _terminated(conditions: Conditions, count: int) -> dict[str, int]:
    """Fill the queue while ingest is away, end the broker by SIGTERM, start it again."""
    folder = conditions.folder / "term"
    folder.mkdir()
    with Scene(folder, devices=5) as scene:
        scene.start_victim_once()
        with scene.fleet() as fleet:
            fleet.publish(count)
            scene.broker.stop(signal.SIGTERM)
            scene.broker.start()
            scene.victim.start()
            scene.victim.wait_live()
            return scene.drain_and_compare(fleet, timeout_s=180)


def _killed(conditions: Conditions, count: int) -> _Killed:
    """Fill the queue while ingest is paused, kill the broker before it ever wrote it."""
    folder = conditions.folder / "kill"
    folder.mkdir()
    with (
        Scene(folder, devices=9, keep_alive_s=_KEEP_ALIVE_S, alarms=True) as scene,
        scene.victim as victim,
        scene.fleet(0, 3, outbox=True) as keeping,
        scene.fleet(3, 3) as plain,
        scene.fleet(6, 3, numbered=False) as bare,
    ):
        fleets = (keeping, plain, bare)
        victim.wait_live()
        for fleet in fleets:
            fleet.publish(300)
        victim.wait_drained()
        victim.signal(signal.SIGSTOP)
        time.sleep(2 * _KEEP_ALIVE_S)  # the broker gives the connection up, so that it queues and no socket does
        for fleet in fleets:
            fleet.publish(count // 3)
        scene.broker.stop(signal.SIGKILL)
        victim.signal(signal.SIGCONT)
        scene.broker.start()
        begun_s = time.monotonic()
        _wait(lambda: bool(victim.status["windows"]), "the loss of the session is not told")
        _wait(lambda: "session-lost" in victim.status["alarms"], "the loss of the session is no alarm")
        told_s = time.monotonic() - begun_s
        _go_on(fleets)
        keeping.wait_stored(120)
        victim.wait_drained(120)
        told, windows = victim.status["missing"], victim.status["windows"]
        victim.stop()
        stored = rows_in_duckdb(scene.data / "series.duckdb")
        return _judge(fleets, stored, sum(told.get(name, 0) for name in scene.names), windows, told_s)


def _killed_after_saving(conditions: Conditions, count: int) -> _Killed:
    """Fill the queue while Tirta is dead; the broker writes half of it, takes the other half, and is killed as well."""
    folder = conditions.folder / "saved"
    folder.mkdir()
    with Tirta(folder) as tirta:
        with tirta.client() as client:
            logins = dict(add_device(client, f"d-{i}", site="faults") for i in range(9))
        host, port = tirta.mqtt  # which it keeps over a restart
        names = list(logins)
        parts = [{name: logins[name] for name in names[first : first + 3]} for first in (0, 3, 6)]
        with (
            Fleet(parts[0], host, port, outbox=True) as keeping,
            Fleet(parts[1], host, port) as plain,
            Fleet(parts[2], host, port, numbered=False) as bare,
        ):
            fleets = (keeping, plain, bare)
            for fleet in fleets:
                fleet.publish(300)
            tirta.kill()
            _fill_and_kill_broker(tirta, fleets, count)
            begun_s = time.monotonic()
            tirta.start()
            with tirta.client() as client:
                keys = [name.replace("/", ":") for name in names]
                _wait(lambda: bool(client.devices.gaps(keys[0]).sessions_lost), "the loss is not told", every_s=0.5)
                _wait(lambda: any(client.alarms.list(code="session-lost", open=True)), "the loss is no alarm", every_s=0.5)
                told_s = time.monotonic() - begun_s
                _go_on(fleets)
                keeping.wait_stored(120)
                shown = [client.devices.gaps(key) for key in keys]
            tirta.stop()
        stored = rows_in_duckdb(tirta.data / "series.duckdb")
    windows = [(_ms(one.start), _ms(one.end)) for one in shown[0].sessions_lost]
    return _judge(fleets, stored, sum(gaps.missing + gaps.lost for gaps in shown), windows, told_s)


def _fill_and_kill_broker(tirta: Tirta, fleets: Iterable[Fleet], count: int) -> None:
    broker, database = tirta.broker, tirta.data / "broker" / "store" / "mosquitto.db"
    assert broker is not None, "the broker has ended with Tirta"
    for fleet in fleets:
        fleet.publish(count // 6)
    before = _writing(database)
    os.kill(broker.pid, signal.SIGUSR1)  # save now, as it does by itself once a minute
    _wait(lambda: _writing(database) != before, "the broker does not save")
    for fleet in fleets:
        fleet.publish(count // 6)
    os.kill(broker.pid, signal.SIGKILL)
    _wait(lambda: tirta.broker is None, "the broker does not die")


def _writing(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino


def _go_on(fleets: tuple[Fleet, Fleet, Fleet]) -> None:
    """Have all come back and send some more, for numbers that go on are how a gap is seen; last those that hear `stored`."""
    for fleet in reversed(fleets):
        _wait(lambda fleet=fleet: all(device.connected for device in fleet.devices), "the devices do not come back")
        fleet.publish(30)


def _judge(
    fleets: tuple[Fleet, Fleet, Fleet],
    stored: Mapping[Position, int],
    counted: int,
    windows: Iterable[tuple[float, float]],
    told_s: float,
) -> _Killed:
    windows = list(windows)
    found = []
    for fleet in fleets:
        names = {device.username for device in fleet.devices}
        found.append(compare(fleet.acked, {key: times for key, times in stored.items() if key[0] in names}))
    lost_ms = [at * 1000 for key, at in fleets[2].acked_at.items() if key not in stored]
    outside = sum(not any(start <= at < end for start, end in windows) for at in lost_ms)
    return _Killed(*found, counted, outside, len(windows), told_s)


def _ms(instant: datetime) -> float:
    return instant.timestamp() * 1000


def _wait(question: Callable[[], bool], complaint: str, timeout_s: float = 60.0, every_s: float = 0.05) -> None:
    end_s = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < end_s, complaint
        time.sleep(every_s)


def run(conditions: Conditions) -> Findings:
    """Do all three."""
    count = conditions.choose(100_000, 3_000)
    asked = _terminated(conditions, count)
    kills = [_killed(conditions, count), _killed_after_saving(conditions, count)]
    numbers = {
        "undrained": count,
        "lost": asked["lost"] + sum(one.kept["lost"] for one in kills),
        "dup": asked["dup"] + sum(part["dup"] for one in kills for part in (one.kept, one.numbered, one.bare)),
        "lost_of_plain_devices": [one.numbered["lost"] for one in kills],
        "counted_and_shown": [one.counted for one in kills],
        "lost_without_numbers": [one.bare["lost"] for one in kills],
        "of_them_outside_the_times_shown": sum(one.outside for one in kills),
        "times_shown": [one.windows for one in kills],
        "told_after_s": [round(one.told_s, 1) for one in kills],
    }
    criteria = {
        "SIGTERM loses nothing": asked["lost"] == 0,
        "kill -9 loses nothing of devices with an outbox": all(one.kept["lost"] == 0 for one in kills),
        "nothing twice": numbers["dup"] == 0,
        "the control loses something": all(one.numbered["lost"] > 0 and one.bare["lost"] > 0 for one in kills),
        "what was saved comes back": kills[1].bare["lost"] <= count // 6,
        "the count shown is the true loss": all(one.counted == one.numbered["lost"] for one in kills),
        "what was lost without a number lies in the times shown": all(one.outside == 0 for one in kills),
        "each death is one time": all(one.windows == 1 for one in kills),
        "told within 60 s": all(one.told_s <= _TOLD_S for one in kills),
    }
    return Findings(numbers, criteria)


TEST = FaultTest(4, "the broker dies with a full queue", run)
