# SPDX-License-Identifier: Apache-2.0
"""Sites, devices and zones over HTTP."""

from __future__ import annotations

import httpx2
import pytest

from api.devices import NewDeviceAnswer
from api.pages import Listing
from api.zones import ZoneAnswer
from control import registry
from tests.unit.api.house import BED, POND, SITE, START_MS, House

SITES, DEVICES, ZONES = "/api/v1/sites", "/api/v1/devices", "/api/v1/zones"


async def test_create_site_with_a_new_name_is_shown_at_its_location(api: httpx2.AsyncClient) -> None:
    created = await api.post(SITES, json=SITE)

    assert created.status_code == 201
    first = {"city": "city", "agency": "city:agency", "pillars": [], "activity": None, "tags": [], "position": None}
    assert created.json() == {**SITE, **first, "id": "taman-kota", "version": 1, "created": "2026-11-22T05:00:00Z"}
    assert (await api.get(created.headers["location"])).json() == created.json()


async def test_create_site_twice_is_a_conflict(api: httpx2.AsyncClient) -> None:
    await api.post(SITES, json=SITE)
    again = await api.post(SITES, json=SITE)

    assert again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert "taman-kota" in again.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"site": "Taman Kota"}, "site"),
        ({"title": ""}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": 7}, "title"),
        ({"timezone": "Asia/Balikpapan"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"time_zone": "Asia/Makassar"}, "time_zone"),
    ],
)
async def test_create_site_with_a_wrong_field_names_the_field(
    api: httpx2.AsyncClient, change: dict[str, object], field: str
) -> None:
    answer = await api.post(SITES, json={**SITE, **change})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_list_sites_page_by_page_gives_each_once(api: httpx2.AsyncClient) -> None:
    for number in range(5):
        await api.post(SITES, json={**SITE, "site": f"site-{number}"})
    seen, after = [], None
    for _ in range(3):
        page = (await api.get(SITES, params={"limit": 2} | ({"after": after} if after else {}))).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]

    assert seen == [f"site-{number}" for number in range(5)]
    assert after is None


async def test_delete_site_without_devices_makes_it_unknown(api: httpx2.AsyncClient) -> None:
    await api.post(SITES, json=SITE)

    assert (await api.delete(f"{SITES}/taman-kota")).status_code == 204
    assert (await api.get(f"{SITES}/taman-kota")).status_code == 404


async def test_delete_site_with_devices_is_a_conflict(pilot: httpx2.AsyncClient) -> None:
    assert (await pilot.delete(f"{SITES}/taman-kota")).status_code == 409


async def test_create_device_shows_its_credential_once(house: House, api: httpx2.AsyncClient) -> None:
    await api.post(SITES, json=SITE)
    created = await api.post(DEVICES, json=BED)

    assert created.status_code == 201
    answer = NewDeviceAnswer.model_validate(created.json())
    assert answer.credential.username == "taman-kota/bedeng-1"
    assert len(answer.credential.password) >= 32
    shown = (await api.get(created.headers["location"])).json()
    assert shown.pop("config")["set"]["telemetry_s"] is None
    assert shown == {key: value for key, value in created.json().items() if key != "credential"}
    assert house.provisioner.calls == [("provision", "taman-kota:bedeng-1")]


async def test_create_device_without_zones_gets_one_that_fits_its_kind(pilot: httpx2.AsyncClient) -> None:
    zone = (await pilot.get(f"{ZONES}/taman-kota:kolam-1:1")).json()

    assert (zone["type"], zone["title"]) == ("pond", POND["title"])


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"site": "nowhere"}, 404, None),
        ({"kind": "toaster"}, 422, "kind"),
        ({"device": "a/b"}, 422, "device"),
        ({"zones": []}, 422, "zones"),
        ({"zones": [*BED["zones"], *BED["zones"]]}, 422, "zones"),
        ({"zones": [{"zone": 65, "title": "x", "type": "bed"}]}, 422, "zones.0.zone"),
        ({"zones": [{"zone": 1, "title": "x", "type": "lake"}]}, 422, "zones.0.type"),
        ({"zones": [{"zone": 1, "title": "x", "type": "bed", "area_m2": -1}]}, 422, "zones.0.area_m2"),
    ],
)
async def test_create_device_with_a_wrong_field_is_refused_and_leaves_nothing(
    house: House, api: httpx2.AsyncClient, change: dict[str, object], status: int, field: str | None
) -> None:
    await api.post(SITES, json=SITE)
    answer = await api.post(DEVICES, json={**BED, **change})

    assert answer.status_code == status
    assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])
    assert (await api.get(DEVICES)).json()["items"] == []
    assert house.provisioner.calls == []


async def test_create_device_twice_is_a_conflict(pilot: httpx2.AsyncClient) -> None:
    assert (await pilot.post(DEVICES, json=BED)).status_code == 409


async def test_create_device_while_the_broker_is_away_is_unavailable(house: House, api: httpx2.AsyncClient) -> None:
    await api.post(SITES, json=SITE)
    house.provisioner.broken = True
    answer = await api.post(DEVICES, json=BED)

    assert answer.status_code == 503
    assert "credential" in answer.json()["detail"]


async def test_rotate_credential_gives_another_password(house: House, pilot: httpx2.AsyncClient) -> None:
    with house.services.database.reader() as session:
        before = dict(registry.broker_users(session))
    answer = await pilot.post(f"{DEVICES}/taman-kota:bedeng-1/credential")

    assert answer.status_code == 200
    with house.services.database.reader() as session:
        after = dict(registry.broker_users(session))
    assert {name for name in before if before[name] != after[name]} == {"taman-kota/bedeng-1"}
    assert answer.json()["username"] == "taman-kota/bedeng-1"


async def test_revoke_device_shuts_it_out_and_hides_it(house: House, pilot: httpx2.AsyncClient) -> None:
    answer = await pilot.delete(f"{DEVICES}/taman-kota:bedeng-1")

    assert answer.status_code == 204
    assert house.provisioner.calls[-1] == ("revoke", "taman-kota:bedeng-1")
    assert [item["id"] for item in (await pilot.get(DEVICES)).json()["items"]] == ["taman-kota:kolam-1"]
    for path in (f"{DEVICES}/taman-kota:bedeng-1", f"{ZONES}/taman-kota:bedeng-1:1"):
        assert (await pilot.get(path)).status_code == 404
    assert (await pilot.delete(f"{DEVICES}/taman-kota:bedeng-1")).status_code == 404


async def test_credentials_at_a_broker_reloaded_by_hand_come_with_what_to_do(house: House, pilot: httpx2.AsyncClient) -> None:
    house.provisioner.notice = "send it SIGHUP"

    rotated = await pilot.post(f"{DEVICES}/taman-kota:bedeng-1/credential")
    revoked = await pilot.delete(f"{DEVICES}/taman-kota:bedeng-1")

    assert rotated.json()["notice"] == "send it SIGHUP"
    assert (revoked.status_code, revoked.json()) == (200, {"notice": "send it SIGHUP"})


async def test_rotate_credential_while_the_broker_is_away_says_what_stands(house: House, pilot: httpx2.AsyncClient) -> None:
    house.provisioner.broken = True

    answer = await pilot.post(f"{DEVICES}/taman-kota:bedeng-1/credential")

    assert answer.status_code == 503
    assert "make another once it answers" in answer.json()["detail"]


async def test_revoke_device_while_the_broker_is_away_says_what_stands(house: House, pilot: httpx2.AsyncClient) -> None:
    house.provisioner.broken = True
    answer = await pilot.delete(f"{DEVICES}/taman-kota:bedeng-1")

    assert answer.status_code == 503
    assert "is revoked" in answer.json()["detail"]
    assert (await pilot.get(f"{DEVICES}/taman-kota:bedeng-1")).status_code == 404


async def test_list_devices_of_a_site_leaves_out_the_others(pilot: httpx2.AsyncClient) -> None:
    assert len((await pilot.get(DEVICES, params={"site": "taman-kota"})).json()["items"]) == 2
    assert (await pilot.get(DEVICES, params={"site": "elsewhere"})).json() == {"items": [], "next": None}


async def test_show_zone_has_latest_values_with_unit_and_age(house: House, pilot: httpx2.AsyncClient) -> None:
    house.measure("bedeng-1", [START_MS - 12_000], soil_moisture=[0.31], valve_open=[1.0])
    zone = (await pilot.get(f"{ZONES}/taman-kota:bedeng-1:1")).json()

    at = "2026-11-22T04:59:48Z"
    assert zone["latest"] == {
        "soil_moisture": {"value": 0.31, "unit": "m3/m3", "at": at, "age_s": 12.0},
        "valve_open": {"value": True, "unit": "bool", "at": at, "age_s": 12.0},
    }
    assert zone["parameters"]["area_m2"] == 6.0
    assert ZoneAnswer.model_validate(zone, strict=True).model_dump() == zone


async def test_list_zones_fits_its_description(house: House, pilot: httpx2.AsyncClient) -> None:
    house.measure("kolam-1", [START_MS], dissolved_oxygen=[5.5])
    answer = (await pilot.get(ZONES)).json()

    assert Listing[ZoneAnswer].model_validate(answer, strict=True).model_dump() == answer
    assert [zone["id"] for zone in answer["items"]] == ["taman-kota:bedeng-1:1", "taman-kota:kolam-1:1"]
    only = (await pilot.get(ZONES, params={"device": "taman-kota:kolam-1"})).json()["items"]
    assert [zone["id"] for zone in only] == ["taman-kota:kolam-1:1"]


async def test_list_zones_gives_each_value_its_own_age_as_shown_alone(house: House, pilot: httpx2.AsyncClient) -> None:
    house.measure("bedeng-1", [START_MS - 90_250], flow=[2.0], valve_open=[0.0])
    house.measure("bedeng-1", [START_MS - 1], soil_moisture=[0.31])
    house.measure("kolam-1", [START_MS - 1], aerator_on=[1.0])
    bed, pond = (await pilot.get(ZONES)).json()["items"]

    assert bed == (await pilot.get(f"{ZONES}/{bed['id']}")).json()
    assert {name: (one["value"], one["at"], one["age_s"]) for name, one in bed["latest"].items()} == {
        "flow": (2.0, "2026-11-22T04:58:29.750Z", 90.25),
        "valve_open": (False, "2026-11-22T04:58:29.750Z", 90.25),
        "soil_moisture": (0.31, "2026-11-22T04:59:59.999Z", 0.001),
    }
    assert pond["latest"]["aerator_on"] == {"value": True, "unit": "bool", "at": "2026-11-22T04:59:59.999Z", "age_s": 0.001}
    assert ZoneAnswer.model_validate(bed, strict=True).model_dump() == bed


async def test_list_zones_with_some_quantities_shows_only_those(house: House, pilot: httpx2.AsyncClient) -> None:
    house.measure("bedeng-1", [START_MS], soil_moisture=[0.31], valve_open=[1.0], flow=[2.0])
    whole = (await pilot.get(ZONES)).json()["items"]
    some = (await pilot.get(ZONES, params={"quantities": "valve_open, soil_moisture"})).json()["items"]
    wrong = await pilot.get(ZONES, params={"quantities": "soil_moistur"})

    assert some[0]["latest"] == {name: whole[0]["latest"][name] for name in ("valve_open", "soil_moisture")}
    assert some[1]["latest"] == {}
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "quantities")
    assert "soil_moisture" in wrong.json()["detail"]


async def test_change_zone_changes_what_is_given_and_keeps_the_rest(pilot: httpx2.AsyncClient) -> None:
    before = (await pilot.get(f"{ZONES}/taman-kota:bedeng-1:1")).json()
    answer = await pilot.patch(f"{ZONES}/taman-kota:bedeng-1:1", json={"litres_day": 300, "title": "Depan"})

    assert answer.status_code == 200
    parameters = {**before["parameters"], "litres_day": 300.0}
    assert answer.json() == {**before, "title": "Depan", "parameters": parameters, "version": 2}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"litres_day": "300"}, "litres_day"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": None}, "max_seconds"),
        ({"litre_day": 300}, "litre_day"),
        ({"area_m2": True}, "area_m2"),
        ([], "body"),
    ],
)
async def test_change_zone_with_a_wrong_field_names_the_field(pilot: httpx2.AsyncClient, body: object, field: str) -> None:
    answer = await pilot.patch(f"{ZONES}/taman-kota:bedeng-1:1", json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "path",
    ["sites/no", "sites/NO", "devices/no", "devices/a:b", "devices/a:b:c", "zones/no", "zones/a:b:1", "zones/a:b:65",
     "zones/a:b:1%0A", "schedules/no", "quarantine/no", "quarantine/1", "zones/a:b:1/series", "nothing"],
)  # fmt: skip
async def test_show_of_an_unknown_id_is_not_found(api: httpx2.AsyncClient, path: str) -> None:
    answer = await api.get(f"/api/v1/{path}")

    assert answer.status_code == 404
    assert answer.json()["status"] == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_holidays_of_an_agency_are_replaced_whole(pilot: httpx2.AsyncClient) -> None:
    (agency,) = (await pilot.get("/api/v1/agencies")).json()["items"]
    path = f"/api/v1/agencies/{agency['id']}/holidays"
    wanted = {"holidays": [{"day": "2027-03-10", "title": "Idulfitri"}, {"day": "2026-12-25", "title": "Natal"}]}

    changed = await pilot.put(path, json=wanted, headers={"if-match": f'"{agency["version"]}"'})
    stale = await pilot.put(path, json={"holidays": []}, headers={"if-match": f'"{agency["version"]}"'})
    twice = await pilot.put(path, json={"holidays": wanted["holidays"][:1] * 2})
    shown = await pilot.get(path)

    assert (changed.status_code, stale.status_code, twice.status_code) == (200, 412, 422)
    assert [one["day"] for one in shown.json()["holidays"]] == ["2026-12-25", "2027-03-10"]
    assert shown.headers["etag"] == changed.headers["etag"]
