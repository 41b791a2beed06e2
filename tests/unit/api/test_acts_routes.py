# SPDX-License-Identifier: Apache-2.0
"""Acts and decisions over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec
import pytest

from control.decisions import Finding, store_decisions
from gateway.clock import SteppedClock
from rules.reasons import Reason
from tests.unit.api import house as village
from tests.unit.api.house import START_MS, House

ACTS, DECISIONS = "/api/v1/acts", "/api/v1/decisions"
BED, POND = "taman-kota:bedeng-1:1", "taman-kota:kolam-1:1"
WATER = {"zone": BED, "action": "irrigate", "seconds": 60}


async def say(house: House, channel: str, message: dict[str, Any]) -> None:
    """Let the bed's device say something."""
    topic = f"tirta/v1/taman-kota/bedeng-1/{channel}"
    await house.services.controller.on_message(topic, msgspec.json.encode(message))


async def test_request_act_is_in_the_ledger_with_its_amounts(pilot: httpx2.AsyncClient) -> None:
    answer = await pilot.post(ACTS, json=WATER)

    assert answer.status_code == 201
    act = answer.json()
    assert (act["zone"], act["device"], act["origin"], act["actor"]) == (BED, "taman-kota:bedeng-1", "manual", "a-operator")
    assert act["amount"] == {"seconds": 60.0, "litres": 8.5, "grams": None}
    assert (act["planned"], act["expires"]) == ("2026-11-22T05:00:00Z", "2026-11-22T05:05:00Z")
    assert act["sentence"].keys() == {"id", "en"}
    shown = (await pilot.get(answer.headers["location"])).json()
    assert shown == {**act, "transitions": shown["transitions"], "why": shown["why"], "ground": None}
    assert [step["state"] for step in shown["transitions"]] == ["planned"]


async def test_request_act_again_with_the_same_key_makes_no_second_one(pilot: httpx2.AsyncClient) -> None:
    key = {"idempotency-key": "0f8fad5b-d9cb-469f-a165-70867728950e"}
    first = await pilot.post(ACTS, json=WATER, headers=key)
    again = await pilot.post(ACTS, json=WATER, headers=key)
    other = await pilot.post(ACTS, json={**WATER, "seconds": 61}, headers=key)

    assert first.json() == again.json()
    assert other.status_code == 409
    assert len((await pilot.get(ACTS, params={"device": "taman-kota:bedeng-1"})).json()["items"]) == 1
    assert (await pilot.get(ACTS, params={"device": "taman-kota:kolam-1"})).json()["items"] == []


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"zone": "taman-kota:bedeng-9:1"}, 404, None),
        ({"zone": "x"}, 422, "zone"),
        ({"action": "feed"}, 422, "action"),
        ({"action": "dance"}, 422, "action"),
        ({"seconds": 0}, 422, "seconds"),
        ({"seconds": "60"}, 422, "seconds"),
        ({"seconds": 1e400}, 422, "seconds"),
        ({"seconds": 901}, 422, "seconds"),
        ({"seconds": None}, 422, "litres"),
        ({"grams": 5}, 422, "grams"),
        ({"second": 5}, 422, "second"),
    ],
)
async def test_request_act_with_something_wrong_names_it_and_does_nothing(
    pilot: httpx2.AsyncClient, change: dict[str, Any], status: int, field: str | None
) -> None:
    content = msgspec.json.encode({**WATER, **change}).replace(b"null", b"1e400" if change == {"seconds": 1e400} else b"null")
    answer = await pilot.post(ACTS, content=content, headers={"content-type": "application/json"})

    assert answer.status_code == status
    assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])
    assert (await pilot.get(ACTS)).json()["items"] == []


async def test_request_act_in_a_busy_zone_is_a_conflict(pilot: httpx2.AsyncClient) -> None:
    await pilot.post(ACTS, json=WATER)

    assert (await pilot.post(ACTS, json=WATER)).status_code == 409


async def test_request_act_where_the_pump_has_no_room_is_a_conflict_that_names_what_runs_there(
    pilot: httpx2.AsyncClient,
) -> None:
    other = {**village.BED, "device": "bedeng-2"}
    await pilot.post("/api/v1/devices", json=other)
    pump = {"site": "taman-kota", "resource": "pompa", "title": "Pompa utara", "max_zones": 1}
    made = await pilot.post("/api/v1/resources", json={**pump, "zones": [BED, "taman-kota:bedeng-2:1"]})
    assert made.status_code == 201, made.text
    await pilot.post(ACTS, json=WATER)
    refused = await pilot.post(ACTS, json={**WATER, "zone": "taman-kota:bedeng-2:1"})

    assert refused.status_code == 409
    assert refused.json()["detail"] == f"Pompa utara has no room now, it serves {BED}; stop that, or wait for its end"


async def test_request_act_with_a_key_that_is_none_names_it(pilot: httpx2.AsyncClient) -> None:
    answer = await pilot.post(ACTS, json=WATER, headers={"idempotency-key": "a b"})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "idempotency-key")


async def test_show_act_after_the_device_did_it_tells_every_step_and_the_result(
    house: House, pilot: httpx2.AsyncClient
) -> None:
    await say(house, "status", {"online": True, "kind": "irrigation-controller", "boot": 1, "n": 0})
    act = (await pilot.post(ACTS, json=WATER)).json()
    await house.services.controller.send_due()
    await say(house, "ack", {"id": act["id"], "n": 1, "state": "running"})
    await say(house, "ack", {"id": act["id"], "n": 1, "state": "done", "result": {"seconds": 60, "litres": 8.4}})
    shown = (await pilot.get(f"{ACTS}/{act['id']}")).json()

    assert [step["state"] for step in shown["transitions"]] == ["planned", "sent", "running", "done"]
    assert shown["result"] == {"seconds": 60.0, "litres": 8.4, "grams": None}
    assert [topic for topic, _ in house.published if topic.endswith("/command")] == ["tirta/v1/taman-kota/bedeng-1/command"]
    done = (await pilot.get(ACTS, params={"state": "done", "zone": BED})).json()["items"]
    assert [item["id"] for item in done] == [act["id"]]
    assert (await pilot.post(f"{ACTS}/{act['id']}/stop")).status_code == 409


async def test_stop_act_that_waits_withdraws_it(pilot: httpx2.AsyncClient) -> None:
    act = (await pilot.post(ACTS, json=WATER)).json()
    stopped = await pilot.post(f"{ACTS}/{act['id']}/stop")

    assert (stopped.status_code, stopped.json()["state"]) == (200, "cancelled")


@pytest.mark.parametrize("path", [f"/api/v1/zones/{BED}/stop", "/api/v1/devices/taman-kota:bedeng-1/stop"])
async def test_stop_zone_or_device_is_an_act_and_withdraws_what_waits(pilot: httpx2.AsyncClient, path: str) -> None:
    act = (await pilot.post(ACTS, json=WATER)).json()
    stop = await pilot.post(path)

    assert (stop.status_code, stop.json()["action"]) == (201, "stop")
    assert (await pilot.get(f"{ACTS}/{act['id']}")).json()["state"] == "cancelled"
    assert (await pilot.get(stop.headers["location"])).status_code == 200


async def test_stop_of_something_unknown_is_not_found(pilot: httpx2.AsyncClient) -> None:
    for path in ("acts/01KAQZ7J5RT0M3Q4W1D0V6B3NM", "acts/x", "zones/a:b:1", "devices/a:b"):
        assert (await pilot.post(f"/api/v1/{path}/stop")).status_code == 404


@pytest.mark.parametrize(("query", "field"), [("state=x", "state"), ("zone=x", "zone"), ("after=%00", "after")])
async def test_list_acts_with_a_wrong_filter_names_it(pilot: httpx2.AsyncClient, query: str, field: str) -> None:
    answer = await pilot.get(f"{ACTS}?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_list_acts_page_by_page_gives_each_once(pilot: httpx2.AsyncClient) -> None:
    made = [(await pilot.post(f"/api/v1/zones/{zone}/stop")).json()["id"] for zone in (BED, POND)]
    first = (await pilot.get(ACTS, params={"limit": 1})).json()
    second = (await pilot.get(ACTS, params={"limit": 1, "after": first["next"]})).json()

    assert sorted(item["id"] for page in (first, second) for item in page["items"]) == sorted(made)
    assert second["next"] is None


async def test_list_decisions_tells_reasons_numbers_and_sentences(house: House, pilot: httpx2.AsyncClient) -> None:
    for number, reason in enumerate((Reason.DRY, Reason.WET_ENOUGH)):
        inputs = {"soil_moisture": 0.2 + number / 10, "low": 0.22, "litres": 20.0, "seconds": 120.0, "high": None}
        with house.services.database.session() as session:
            finding = Finding(
                BED,
                at_ms=START_MS + number * 60_000,
                kind="irrigation",
                acted=reason is Reason.DRY,
                reasons=int(reason),
                latched=False,
                inputs=inputs.copy,
            )
            store_decisions(session, [finding])
    first = (await pilot.get(DECISIONS, params={"zone": BED, "limit": 1})).json()
    second = (await pilot.get(DECISIONS, params={"zone": BED, "limit": 1, "after": first["next"]})).json()

    assert first["items"][0]["reasons"] == ["wet-enough"]
    assert second["items"][0]["inputs"]["soil_moisture"] == 0.2
    assert second["items"][0]["at"] == "2026-11-22T05:00:00Z"
    assert "20 L" in second["items"][0]["sentence"]["en"]
    assert second["next"] is None
    assert (await pilot.get(DECISIONS, params={"zone": POND})).json()["items"] == []


async def test_settle_act_of_unknown_end_ends_it_and_is_refused_for_any_other(house: House, pilot: httpx2.AsyncClient) -> None:
    await say(house, "status", {"online": True, "kind": "irrigation-controller", "boot": 1, "n": 0})
    act = (await pilot.post(ACTS, json=WATER)).json()
    seen = {"state": "done", "litres": 8, "reason": "tanah basah"}
    early = await pilot.post(f"{ACTS}/{act['id']}/settle", json=seen)
    await house.services.controller.send_due()
    assert isinstance(house.services.clock, SteppedClock)
    await house.services.clock.advance(400)
    await house.services.controller.tick()
    wrong = await pilot.post(f"{ACTS}/{act['id']}/settle", json={**seen, "grams": 1})
    told = await pilot.post(f"{ACTS}/{act['id']}/settle", json=seen)
    shown = (await pilot.get(f"{ACTS}/{act['id']}")).json()

    assert (early.status_code, wrong.status_code, told.status_code) == (409, 422, 200)
    assert wrong.json()["errors"][0]["field"] == "grams"
    assert (told.json()["state"], told.json()["result"]["litres"], told.json()["reason"]) == ("done", 8.0, "seen-by-hand")
    assert [step["state"] for step in shown["transitions"]] == ["planned", "sent", "unknown", "done"]
    assert (shown["transitions"][-1]["cause"], shown["transitions"][-1]["actor"]) == ("seen: tanah basah", "a-operator")


async def test_show_act_and_why_of_its_zone_tell_the_same_with_what_the_rule_saw(
    house: House, pilot: httpx2.AsyncClient
) -> None:
    act = (await pilot.post(ACTS, json=WATER)).json()
    shown = (await pilot.get(f"{ACTS}/{act['id']}")).json()
    now = (await pilot.get(f"/api/v1/zones/{BED}/why")).json()
    then = (await pilot.get(f"/api/v1/zones/{BED}/why", params={"at": "2026-11-22T04:00:00Z"})).json()
    ahead = await pilot.get(f"/api/v1/zones/{BED}/why", params={"at": "2027-11-22T04:00:00Z"})
    nowhere = await pilot.get("/api/v1/zones/taman-kota:bedeng-9:1/why")

    assert shown["why"]["en"].endswith("at 13:00: planned; asked for by a-operator.")
    assert (now["sentence"], now["act"], now["at"]) == (shown["why"], shown, "2026-11-22T05:00:00Z")
    assert (then["act"], then["ground"]) == (None, None)
    assert "tidak ada jadwal yang berlaku pukul 12:00" in then["sentence"]["id"]
    assert (ahead.status_code, ahead.json()["errors"][0]["field"], nowhere.status_code) == (422, "at", 404)
