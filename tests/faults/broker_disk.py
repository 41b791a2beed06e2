# SPDX-License-Identifier: Apache-2.0
"""6: the broker's disk is full, then the broker is killed. What devices with an outbox sent is stored in the end.

mosquitto 2.0 does not look at the disk before it writes its queues, renames a truncated file over the good one and then
refuses to start on it. The runbook's one command puts that file away; the devices send again.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.scene import Scene, small_volume
from tests.servers.mosquitto import Mosquitto
from tests.servers.victim import Victim

__all__ = ["TEST"]

_MIB = 4
_ALARM_AT = 0.87  # of the volume; the alarm must be there before 0.9 are used
_TOLD_S = 60.0


def _fill_to(folder: Path, share: float) -> float:
    """Fill a volume so far, and return how far it is filled then."""
    usage = shutil.disk_usage(folder)
    with (folder / "ballast").open("ab", buffering=0) as file:
        file.write(b"\0" * max(int(usage.total * share) - usage.used, 0))
    return 1 - shutil.disk_usage(folder).free / usage.total


def _wait_alarm(victim: Victim) -> float:
    """Wait until the disk that fills is an alarm, and return how long that took. [s]"""
    begun_s = time.monotonic()
    while "disk-filling" not in victim.status["alarms"]:
        assert time.monotonic() < begun_s + _TOLD_S, f"the disk that fills is no alarm: {victim.status}"
        time.sleep(0.05)
    return time.monotonic() - begun_s


def _fill(folder: Path) -> None:
    with (folder / "ballast").open("ab", buffering=0) as file:
        for size in (2**20, 4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue


def _starts(broker: Mosquitto) -> bool:
    try:
        broker.start()
    except pytest.fail.Exception:
        return False
    return True


def run(conditions: Conditions) -> Findings:
    """Fill the volume with a queue on it, let the broker save, kill it, recover as the runbook says."""
    count = conditions.choose(20_000, 2_000)
    folder = conditions.folder
    with (
        small_volume(folder / "mosquitto" / "store", _MIB) as volume,
        Scene(folder, devices=5, alarms=True, broker_folder=str(folder / "mosquitto" / "store")) as scene,
        scene.victim as victim,
    ):
        victim.wait_live()
        with scene.fleet(outbox=True) as fleet:
            fleet.publish(500)
            victim.wait_drained()
            used = _fill_to(volume, _ALARM_AT)
            told_s = _wait_alarm(victim)
            _fill(volume)
            # Ingest goes on although the broker cannot write.
            fleet.publish(count // 2)
            victim.wait_drained(120)
            drained = victim.status["received"] >= len(fleet.acked)
            victim.stop()
            fleet.publish(count // 2)
            assert scene.broker.process is not None
            scene.broker.process.send_signal(signal.SIGUSR1)  # save now, on a disk without room
            time.sleep(2.0)
            scene.broker.stop(signal.SIGKILL)
            (volume / "ballast").unlink()
            at_once = _starts(scene.broker)
            if not at_once:
                database = volume / "mosquitto.db"
                database.rename(database.with_suffix(".broken"))  # the runbook's one command
                assert _starts(scene.broker), "the broker does not start on an empty folder"
            victim.start()
            victim.wait_live()
            # What came back to the broker before Tirta did was sent to nobody, where the broker has forgotten Tirta's session.
            for device in fleet.devices:
                device.come_back()
            fleet.wait_stored(180)
            counts = scene.drain_and_compare(fleet)
    numbers = {**counts, "started_without_help": at_once, "used_at_alarm": round(used, 3), "told_after_s": round(told_s, 1)}
    criteria = {
        "an alarm before 90 % are used": used < 0.9,
        "ingest goes on": drained,
        "nothing lost": counts["lost"] == 0,
        "nothing twice": counts["dup"] == 0,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(6, "the broker's disk is full, then it is killed", run)
