# SPDX-License-Identifier: Apache-2.0
"""The simulated pilot: made once, whatever was made of it before, and begun at dawn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control import registry, schedules
from control.database import Database, open_database
from gateway import Address
from gateway.credentials import hash_password, verify_password
from tirta.demo import DemoDevices, dawn_ms, prepare_demo, read_credentials
from tirta.folder import DataFolder

NOW_MS = 1_795_000_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A fresh control database."""
    opened = open_database(f"sqlite:///{tmp_path / 'control.db'}")
    yield opened
    opened.close()


@pytest.mark.parametrize("hour", [0, 10, 20, 23])
def test_dawn_is_five_in_the_morning_of_the_sites_today(hour: int) -> None:
    now = datetime(2026, 11, 22, hour, 30, tzinfo=UTC)
    dawn = datetime.fromtimestamp(dawn_ms(int(now.timestamp() * 1000)) / 1000, UTC)
    assert (dawn.hour, dawn.minute) == (21, 0)  # 05:00 in Makassar
    assert abs((now - dawn).total_seconds()) < 24 * 3600


def test_prepare_demo_again_keeps_passwords_devices_and_changed_schedules(tmp_path: Path, database: Database) -> None:
    folder = DataFolder(tmp_path)
    first = prepare_demo(database, folder, NOW_MS)
    with database.session() as session:
        (watering,) = schedules.list_schedules(session, zone_key="pilot:garden:1", limit=10)[0]
        schedules.delete_schedule(session, watering.id, now_ms=NOW_MS)
    assert prepare_demo(database, folder, NOW_MS + 1) == first
    with database.reader() as session:
        assert [device.key for device in registry.list_devices(session, limit=10)[0]] == ["pilot:garden", "pilot:pond"]
        assert schedules.list_schedules(session, zone_key="pilot:garden:1", limit=10)[0] == []
        assert len(schedules.list_schedules(session, zone_key="pilot:pond:1", limit=10)[0]) == 1
    assert read_credentials(tmp_path / "demo" / "credentials.json") == first


def test_prepare_demo_after_the_passwords_were_lost_writes_others(tmp_path: Path, database: Database) -> None:
    folder = DataFolder(tmp_path)
    first = prepare_demo(database, folder, NOW_MS)
    (tmp_path / "demo" / "credentials.json").unlink()
    second = prepare_demo(database, folder, NOW_MS)
    assert second.keys() == first.keys()
    written = json.loads((tmp_path / "demo" / "credentials.json").read_text("utf-8"))
    assert set(written.values()) == set(second.values())
    assert set(first.values()).isdisjoint(second.values())
    assert let_in(database, second), "the registry follows, or its devices would be shut out for ever"


def let_in(database: Database, passwords: Mapping[Address, str]) -> bool:
    """Tell whether the registry's hashes are those of these passwords."""
    with database.reader() as session:
        hashes = dict(registry.broker_users(session))
    return all(verify_password(password, hashes[address.username]) for address, password in passwords.items())


def test_prepare_demo_does_not_undo_a_rotated_credential(tmp_path: Path, database: Database) -> None:
    folder = DataFolder(tmp_path)
    passwords = prepare_demo(database, folder, NOW_MS)
    assert let_in(database, passwords)
    with database.session() as session:
        registry.set_password_hash(session, "pilot:garden", hash_password("another"))
    prepare_demo(database, folder, NOW_MS)
    assert let_in(database, {Address("pilot", "garden"): "another"})


def test_prepare_demo_after_a_device_was_revoked_leaves_it_out_or_makes_it_anew(tmp_path: Path, database: Database) -> None:
    folder = DataFolder(tmp_path)
    prepare_demo(database, folder, NOW_MS)
    with database.session() as session:
        registry.revoke_device(session, "pilot:pond", now_ms=NOW_MS)
    prepare_demo(database, folder, NOW_MS + 1)
    with database.reader() as session:
        assert "pilot:garden" in [device.key for device in registry.list_devices(session, limit=10)[0]]


async def test_watch_while_the_devices_cannot_be_started_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    demo, looks = DemoDevices(DataFolder(tmp_path / "without-a-demo-folder")), []

    async def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await demo.watch(sleep)

    assert [record.action for record in caplog.records] == ["demo_failed", "demo_failed"]
