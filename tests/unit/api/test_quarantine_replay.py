# SPDX-License-Identifier: Apache-2.0
"""Replaying and discarding what is in quarantine, over HTTP."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from gateway import Address
from ingest.quarantine import QuarantinedRecord
from ingest.rejects import STORE_REFUSED
from tests.unit.api.house import START_MS, House

PATH = "/api/v1/quarantine"
BED = Address("taman-kota", "bedeng-1")
KEPT = QuarantinedRecord(
    0,
    START_MS,
    "tirta/v1/taman-kota/bedeng-1/telemetry",
    "taman-kota",
    "bedeng-1",
    "malformed",
    "mend it",
    None,
    None,
    None,
    1,
    b"{",
)


async def ids(api: httpx2.AsyncClient, **filters: str) -> list[str]:
    return [item["id"] for item in (await api.get(PATH, params=filters)).json()["items"]][::-1]


def register(house: House) -> None:
    house.devices.put(BED, house.services.catalogue.kinds["irrigation-controller"])


async def test_replay_quarantine_after_the_device_is_registered_is_stored_once(house: House, api: httpx2.AsyncClient) -> None:
    house.receive("bedeng-1", b'{"boot":1,"seq":0,"soil_moisture":0.31}')
    (entry,) = await ids(api)
    refused = (await api.post(f"{PATH}/{entry}/replay")).json()
    assert (refused["result"], refused["reason"]) == ("refused", "unknown-device")
    assert (await api.get(f"{PATH}/{entry}")).json()["replays"] == 1

    register(house)
    assert (await api.post(f"{PATH}/{entry}/replay")).json() == {
        "id": entry, "result": "stored", "reason": None, "detail": None
    }  # fmt: skip
    assert await ids(api) == []
    assert (await api.post(f"{PATH}/{entry}/replay")).status_code == 404
    assert house.services.latest.gather([("taman-kota", "bedeng-1", 1)], "soil_moisture")[0].tolist() == [0.31]


async def test_replay_many_replays_the_oldest_of_a_reason_and_goes_on_after(house: House, api: httpx2.AsyncClient) -> None:
    house.receive("bedeng-1", *(b'{"boot":1,"seq":%d,"soil_moisture":0.3}' % seq for seq in (0, 1, 2, 2)))
    register(house)
    house.receive("bedeng-1", b"{")
    body = {"reason": "unknown-device", "limit": 3}
    first = (await api.post(f"{PATH}/replay", json=body)).json()
    assert first == {**dict.fromkeys(("duplicate", "refused", "waiting", "incomplete"), 0), "stored": 3, "next": first["next"]}
    second = (await api.post(f"{PATH}/replay", json={**body, "after": first["next"]})).json()
    assert (second["stored"], second["duplicate"], second["next"]) == (0, 1, None)
    assert len(await ids(api)) == 1
    rest = (await api.post(f"{PATH}/replay", json={"site": "taman-kota", "device": "bedeng-1"})).json()
    assert (rest["refused"], rest["next"]) == (1, None)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (replace(KEPT, reason="too-large", size=70_000, payload=b"[" * 4096), "first 4 KiB"),
        (replace(KEPT, reason=STORE_REFUSED), "can never take it"),
    ],
    ids=["too large", "refused by a store"],
)
async def test_replay_quarantine_of_what_cannot_be_replayed_says_why(
    house: House, api: httpx2.AsyncClient, record: QuarantinedRecord, words: str
) -> None:
    house.services.quarantine.keep(1, [(0, record)])
    (entry,) = await ids(api)
    assert (await api.get(f"{PATH}/{entry}")).json()["replayable"] is False
    answer = await api.post(f"{PATH}/{entry}/replay")
    assert answer.status_code == 409
    assert words in answer.json()["detail"]
    assert (await api.post(f"{PATH}/replay", json={})).json()["incomplete"] == 1


async def test_discard_quarantine_throws_one_away(house: House, api: httpx2.AsyncClient) -> None:
    for number in (1, 2):
        house.services.quarantine.keep(number, [(0, KEPT)])
    first, second = await ids(api)
    assert (await api.delete(f"{PATH}/{first}")).status_code == 204
    assert (await api.delete(f"{PATH}/{first}")).status_code == 404
    assert (await api.delete(f"{PATH}/never")).status_code == 404
    assert await ids(api) == [second]


async def test_discard_many_throws_away_only_what_is_named(house: House, api: httpx2.AsyncClient) -> None:
    for number, device in ((1, "bedeng-1"), (2, "bedeng-2"), (3, "bedeng-2")):
        house.services.quarantine.keep(number, [(0, replace(KEPT, device=device))])
    nothing = await api.delete(PATH)
    assert (nothing.status_code, nothing.json()["errors"][0]["field"]) == (422, "reason")
    assert (await api.delete(PATH, params={"device": "bedeng-2"})).json() == {"discarded": 2, "more": False}
    assert len(await ids(api)) == 1
    assert house.services.quarantine.totals()["discarded"] == 2


@pytest.mark.parametrize("rights", ["viewer", "service"])
async def test_replay_and_discard_need_an_operator(house: House, rights: str) -> None:
    async with house.client(rights) as api:
        for method, path in (
            ("POST", f"{PATH}/1/replay"),
            ("POST", f"{PATH}/replay"),
            ("DELETE", f"{PATH}/1"),
            ("DELETE", PATH),
        ):
            assert (await api.request(method, path, json={})).status_code == 403
