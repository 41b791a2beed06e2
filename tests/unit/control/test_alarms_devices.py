# SPDX-License-Identifier: Apache-2.0
"""Devices that give no word, and whose clock is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import insert, update

from control import alarms_devices, registry
from control.alarms import Cause
from control.alarms_devices import DeviceWatch, DeviceWatchConfig
from control.database import Database, open_database
from control.errors import DatabaseUnavailable
from control.models import DeviceRow
from gateway import Address, SteppedClock, load_catalogue
from ingest.decode import DecodedBurst, Reject
from ingest.devices import DeviceTable
from ingest.heard import LastHeard
from ingest.store.batch import Rows

NOW = 1_795_305_600_000
MINUTE_S = 60.0
KIND = "irrigation-controller"  # may be silent for 15 minutes


class Scene:
    """A fleet, and what is known of it."""

    def __init__(self, url: str, size: int) -> None:
        self.database = open_database(url)
        self.catalogue, self.devices, self.heard = load_catalogue(), DeviceTable(), LastHeard()
        self.clock = SteppedClock(NOW)
        self.connected = True
        self.open: dict[str, set[str]] = {}
        self.now_s = 0.0
        with self.database.session() as session:
            registry.create_site(session, "pilot", "Pilot", "Asia/Makassar", now_ms=NOW)
            rows = [
                {
                    "key": f"pilot:d-{k:05}",
                    "site": "pilot",
                    "name": f"d-{k:05}",
                    "kind": KIND,
                    "title": f"Bed {k}",
                    "password_hash": "",
                    "created_ms": NOW,
                    "last_n": 0,
                    "online": True,
                    "config_version": 0,
                    "config_due": False,
                    "version": 1,
                }
                for k in range(size)
            ]
            session.execute(insert(DeviceRow), rows)
        self.devices.put_all((Address("pilot", f"d-{k:05}"), self.catalogue.kinds[KIND]) for k in range(size))
        self.watch = self.again()

    def again(self) -> DeviceWatch:
        """Return the watch of a new start."""
        self.watch = DeviceWatch(
            self.database,
            self.devices,
            self.heard,
            self.catalogue,
            self.clock,
            connected=lambda: self.connected,
            subjects=lambda code: self.open.get(code, set()),
            config=DeviceWatchConfig(every_s=10.0),
            monotonic=lambda: self.now_s,
        )
        return self.watch

    def speak(self, *numbers: int, wrong: tuple[int, ...] = ()) -> None:
        """Receive a record of each, and one with an impossible time of others."""
        n = len(numbers)
        whole = np.zeros(n, np.int64)
        rows = Rows(
            KIND, np.array(numbers, np.int32), np.ones(n, np.uint8), whole, whole, whole, whole, whole.astype(np.uint8), {}
        )
        rejects = tuple(Reject(0, 0, number, "ts-behind", "", -1, -1) for number in wrong)
        self.heard.note([DecodedBurst(1, self.clock.now_ms(), (rows,), rejects)])

    async def after(self, minutes: float) -> list[Cause] | None:
        await self.clock.advance(minutes * MINUTE_S)
        self.now_s += 60.0
        return self.watch.look()

    async def told(self, minutes: float) -> set[tuple[str, str, bool]]:
        """Let time go by, and return what is found; the keeper's part is played: what is certain is open from then on."""
        found = await self.after(minutes) or []
        self.open = {}
        for cause in found:
            self.open.setdefault(cause.code, set()).add(cause.subject)
        return {(cause.code, cause.subject, cause.certain) for cause in found}


@pytest.fixture
def scene(url: str) -> Iterator[Scene]:
    made = Scene(url, 40)
    yield made
    made.database.close()


def offline(*numbers: int, certain: bool = True) -> set[tuple[str, str, bool]]:
    return {("device-offline", f"device:pilot:d-{number:05}", certain) for number in numbers}


async def test_look_tells_who_has_been_silent_for_longer_than_its_kind_may(scene: Scene) -> None:
    assert await scene.told(0) == set()
    scene.speak(0, 1, 2)
    assert await scene.told(14) == set()
    scene.speak(1)
    assert await scene.told(2) == offline(0, 2), "who never came is not missed"
    scene.speak(0, wrong=(2,))
    assert await scene.told(1) == set(), "what was refused is a word too"


async def test_look_takes_a_status_for_a_word(scene: Scene) -> None:
    await scene.told(0)
    with scene.database.session() as session:
        session.execute(update(DeviceRow).where(DeviceRow.name == "d-00003").values(last_seen_ms=NOW, online=False))
    assert await scene.told(15) == set()
    (cause,) = await scene.after(1) or []
    assert (cause.subject, cause.site, cause.details) == (
        "device:pilot:d-00003",
        "pilot",
        {"title": "Bed 3", "limit_min": 15.0},
    )


async def test_look_says_nothing_while_the_broker_is_away_and_gives_everybody_time_after(scene: Scene) -> None:
    await scene.told(0)
    scene.speak(*range(40))
    assert await scene.told(20) != set()
    scene.connected = False
    assert await scene.after(60) is None
    scene.connected = True
    scene.open = {"device-offline": {"device:pilot:d-00001"}}
    assert await scene.told(0) == offline(1, certain=False), "it cannot be told yet, so what is open stays"
    scene.speak(0)
    assert ("devices-offline", "agency:city:agency", True) in await scene.told(16)


async def test_look_after_a_restart_keeps_what_was_open_until_it_is_known(scene: Scene) -> None:
    await scene.told(0)
    scene.speak(0, 1)
    assert await scene.told(16) == offline(0, 1)
    scene.heard = LastHeard()
    scene.again()
    assert await scene.told(0) == offline(0, 1, certain=False)
    scene.speak(1)
    assert await scene.told(1) == offline(0, certain=False)


async def test_look_tells_an_agency_as_a_whole_when_many_are_silent(scene: Scene) -> None:
    await scene.told(0)
    scene.speak(*range(40))
    await scene.told(10)
    scene.speak(*range(3, 40))
    assert await scene.told(6) == offline(0, 1, 2)
    found = await scene.after(30) or []
    assert {cause.subject for cause in found} == {f"device:pilot:d-0000{k}" for k in range(3)} | {"agency:city:agency"}
    (whole,) = [cause for cause in found if cause.code == "devices-offline"]
    assert (whole.agency, whole.site, whole.details) == ("city:agency", None, {"count": 40, "of": 40})
    scene.speak(*range(30))
    assert await scene.told(1) == offline(*range(30, 40)), "few enough again to name them"


async def test_look_of_an_agency_that_cannot_be_told_keeps_its_alarm(scene: Scene) -> None:
    await scene.told(0)
    scene.speak(*range(40))
    await scene.told(16)
    scene.heard = LastHeard()
    scene.again()
    assert await scene.told(0) == {("devices-offline", "agency:city:agency", False)}


async def test_look_tells_a_wrong_clock_after_three_records_and_until_none_came_for_long(scene: Scene) -> None:
    await scene.told(60)
    for _ in range(2):
        scene.speak(wrong=(5,))
        assert await scene.told(1) == set()
    scene.speak(wrong=(5,))
    clock = ("device-clock", "device:pilot:d-00005", True)
    assert await scene.told(1) == {clock}
    scene.speak(5)
    assert clock in await scene.told(20)
    scene.speak(5)
    assert await scene.told(14) == set()


async def test_look_reads_the_registry_now_and_then_and_leaves_out_who_was_revoked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.told(0)
    scene.speak(0, 1)
    assert await scene.told(16) == offline(0, 1)
    with scene.database.session() as session:
        registry.revoke_device(session, "pilot:d-00000", now_ms=NOW)
    scene.now_s -= 60.0
    assert len(await scene.after(1) or []) == 2, "not read again so soon"
    assert await scene.told(1) == offline(1)

    def away(_: Database) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(Database, "reader", away)
    assert await scene.after(1) is None


async def test_look_at_ten_thousand_devices_makes_few_causes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(url, 10_000)
    made: list[str] = []

    def counted(*args: object, **kwargs: object) -> Cause:
        made.append(str(args[0]))
        return Cause(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(alarms_devices, "Cause", counted)
    await scene.told(0)
    scene.speak(*range(10_000))
    assert await scene.told(1) == set()
    assert made == []
    assert await scene.told(16) == {("devices-offline", "agency:city:agency", True)}
    assert len(made) == 1
    scene.database.close()
