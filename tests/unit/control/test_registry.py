# SPDX-License-Identifier: Apache-2.0
"""Sites, devices and zones."""

from __future__ import annotations

from datetime import date

import pytest

from control import budgets, forecasts, holidays, places, rain, registry, resources, suspending, suspensions
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, Invalid, NotFound
from control.forecasts import ForecastEntry
from control.records import Holiday, ZoneParameters, ZoneSpec
from control.suspensions import On

NOW = 1_795_305_600_000
HOUR = 3_600_000
TRAIL = Trail("sari", "local", NOW)


def test_create_device_gives_keys_zones_and_a_broker_user(pilot: Database) -> None:
    with pilot.reader() as session:
        device = registry.get_device(session, "pilot:garden")
        zone = registry.get_zone(session, "pilot:garden:1")
        users = registry.broker_users(session)
    assert (device.key, device.zones, device.online, device.last_n) == ("pilot:garden", 1, False, 0)
    assert (zone.site, zone.device, zone.number, zone.type, zone.device_key) == ("pilot", "garden", 1, "bed", "pilot:garden")
    assert users == [("pilot/garden", "$7$hash"), ("pilot/pond", "$7$")]


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("name", ("Balikpapan", "City", "Asia/Makassar")),
        ("title", ("bpp", " ", "Asia/Makassar")),
        ("title", ("bpp", "a\x00b", "Asia/Makassar")),
        ("title", ("bpp", "\ud800", "Asia/Makassar")),
        ("timezone", ("bpp", "City", "Asia/Balikpapan")),
        ("timezone", ("bpp", "City", "Asia")),
        ("timezone", ("bpp", "City", "../etc/passwd")),
    ],
)
def test_create_site_with_a_bad_field_names_it(database: Database, field: str, arguments: tuple[str, str, str]) -> None:
    with database.session() as session, pytest.raises(Invalid) as caught:
        registry.create_site(session, *arguments, now_ms=NOW)
    assert caught.value.field == field


def test_create_site_twice_is_a_conflict(pilot: Database) -> None:
    with pytest.raises(Conflict, match="pilot"), pilot.session() as session:
        registry.create_site(session, "pilot", "Again", "Asia/Jakarta", now_ms=NOW)


def test_delete_site_with_devices_is_a_conflict_and_without_is_gone(pilot: Database) -> None:
    with pytest.raises(Conflict, match="devices"), pilot.session() as session:
        registry.delete_site(session, "pilot")
    with pilot.session() as session:
        registry.create_site(session, "empty", "Empty", "Asia/Jakarta", now_ms=NOW)
        registry.delete_site(session, "empty")
    with pilot.reader() as session, pytest.raises(NotFound):
        registry.get_site(session, "empty")


def test_delete_site_takes_its_weather_and_what_was_put_off_there_with_it(pilot: Database) -> None:
    with pilot.session() as session:
        for name in ("empty", "other"):
            registry.create_site(session, name, name, "Asia/Jakarta", now_ms=NOW)
            forecasts.keep_forecast(session, name, "BMKG", NOW, [ForecastEntry(NOW, NOW + HOUR, 2.0)], now_ms=NOW, trail=TRAIL)
            rain.keep_rain(session, name, [(NOW - HOUR, 1.5)])
            suspending.suspend(session, "pause", On("site", name), now_ms=NOW, trail=TRAIL)
        registry.delete_site(session, "empty")
    with pilot.session() as session:
        registry.create_site(session, "empty", "Again", "Asia/Jakarta", now_ms=NOW)
    with pilot.reader() as session:
        assert [one.site for one in forecasts.list_forecasts(session)[0]] == ["other"]
        assert [one.on for one in suspensions.list_suspensions(session)[0]] == ["site:other"]


def test_delete_site_with_a_pump_says_what_to_delete_first_and_changes_nothing(pilot: Database) -> None:
    with pilot.session() as session:
        registry.create_site(session, "empty", "Empty", "Asia/Jakarta", now_ms=NOW)
        resources.create_resource(session, "empty", "well", "Well", trail=TRAIL)
        forecasts.keep_forecast(session, "empty", "BMKG", NOW, [ForecastEntry(NOW, NOW + HOUR, 2.0)], now_ms=NOW, trail=TRAIL)
    with pytest.raises(Conflict, match="pumps or mains; delete them first"), pilot.session() as session:
        registry.delete_site(session, "empty")
    with pilot.reader() as session:
        assert [one.site for one in forecasts.list_forecasts(session)[0]] == ["empty"]


def test_delete_agency_and_city_take_all_that_is_only_theirs_with_them(pilot: Database) -> None:
    with pilot.session() as session:
        places.create_city(session, "kutai", "Kutai", trail=TRAIL)
        places.create_agency(session, "kutai", "dlh", "DLH", trail=TRAIL)
        budgets.set_budget(session, "kutai:dlh", [100.0] * 12, trail=TRAIL)
        holidays.set_holidays(session, "kutai:dlh", [Holiday(date(2026, 12, 25), "Natal")], trail=TRAIL)
        for on in (On("agency", "kutai:dlh"), On("city", "kutai")):
            suspending.suspend(session, "pause", on, now_ms=NOW, trail=TRAIL)
    with pilot.session() as session:
        places.delete_agency(session, "kutai:dlh", trail=TRAIL)
        places.delete_city(session, "kutai", trail=TRAIL)
    with pilot.reader() as session:
        assert suspensions.list_suspensions(session)[0] == []
        with pytest.raises(NotFound):
            places.get_city(session, "kutai")


def test_broker_users_leaves_out_a_device_that_was_not_given_a_credential_yet(pilot: Database) -> None:
    with pilot.session() as session:
        registry.create_device(session, "pilot", "half-made", "water-meter", "Meter", [], "", now_ms=NOW)
    with pilot.reader() as session:
        assert [name for name, _ in registry.broker_users(session)] == ["pilot/garden", "pilot/pond"]


def test_revoke_device_hides_it_ends_its_credential_and_keeps_its_name(pilot: Database) -> None:
    with pilot.session() as session:
        registry.revoke_device(session, "pilot:garden", now_ms=NOW)
    with pilot.reader() as session:
        assert registry.broker_users(session) == [("pilot/pond", "$7$")]
        assert [zone.key for zone in registry.list_zones(session)[0]] == ["pilot:pond:1"]
        with pytest.raises(NotFound):
            registry.get_zone(session, "pilot:garden:1")
    with pytest.raises(Conflict, match="revoked"), pilot.session() as session:
        registry.create_device(session, "pilot", "garden", "irrigation-controller", "Garden", [], "$7$", now_ms=NOW)


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("zones.0.number", ZoneSpec(65, "Bed", "bed")),
        ("zones.0.type", ZoneSpec(1, "Bed", "lake")),  # type: ignore[arg-type]
        ("zones.0.area_m2", ZoneSpec(1, "Bed", "bed", ZoneParameters(area_m2=float("nan")))),
        ("zones.0.litres_day", ZoneSpec(1, "Bed", "bed", ZoneParameters(litres_day=None))),  # type: ignore[arg-type]
        ("zones.0.max_seconds", ZoneSpec(1, "Bed", "bed", ZoneParameters(max_seconds=86401))),
    ],
)
def test_create_device_with_a_bad_zone_names_its_field(pilot: Database, field: str, spec: ZoneSpec) -> None:
    with pytest.raises(Invalid) as caught, pilot.session() as session:
        registry.create_device(session, "pilot", "new", "irrigation-controller", "New", [spec], "$7$", now_ms=NOW)
    assert caught.value.field == field
    with pilot.reader() as session, pytest.raises(NotFound):
        registry.get_device(session, "pilot:new")


def test_lists_go_page_by_page_through_everything_once(pilot: Database) -> None:
    zones = [ZoneSpec(number, f"Bed {number}", "bed") for number in range(1, 13)]
    with pilot.session() as session:
        registry.create_device(session, "pilot", "big", "irrigation-controller", "Big", zones, "$7$", now_ms=NOW)
    found, after = [], None
    with pilot.reader() as session:
        while True:
            page, after = registry.list_zones(session, device="pilot:big", limit=5, after=after)
            found += [zone.number for zone in page]
            if after is None:
                break
        first, cursor = registry.list_devices(session, "pilot", limit=1)
        rest, end = registry.list_devices(session, "pilot", limit=2, after=cursor)
    assert found == list(range(1, 13))
    assert [device.key for device in first + rest] == ["pilot:big", "pilot:garden", "pilot:pond"]
    assert end is None


def test_change_zone_changes_only_what_is_given(pilot: Database) -> None:
    with pilot.session() as session:
        before = registry.get_zone(session, "pilot:garden:1")
        after = registry.change_zone(session, "pilot:garden:1", title="Herbs")
    assert (after.title, after.parameters) == ("Herbs", before.parameters)


@pytest.mark.parametrize("key", ["pilot:none", "x\x00y", "\ud800", "a" * 10_000, ""])
def test_get_device_with_any_unknown_key_is_not_found(pilot: Database, key: str) -> None:
    with pilot.reader() as session:
        with pytest.raises(NotFound):
            registry.get_device(session, key)
        with pytest.raises(NotFound):
            registry.get_zone(session, key)
        with pytest.raises(NotFound):
            registry.get_site(session, key)
        assert registry.list_zones(session, device=key) == ([], None)
