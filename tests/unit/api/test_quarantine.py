# SPDX-License-Identifier: Apache-2.0
"""The quarantine over HTTP."""

from __future__ import annotations

import base64

import httpx2

from ingest.quarantine import QuarantinedRecord
from tests.unit.api.house import START_MS, House

PATH = "/api/v1/quarantine"


def keep(house: House, number: int, reason: str, payload: bytes) -> None:
    """Keep one record."""
    record = QuarantinedRecord(
        id=0,
        at_ms=START_MS,
        topic="tirta/v1/taman-kota/bedeng-1/telemetry",
        site="taman-kota",
        device="bedeng-1",
        reason=reason,
        detail=f"{reason}: mend it",
        record=0,
        boot=1,
        seq=number,
        size=len(payload),
        payload=payload,
    )
    house.services.quarantine.keep(number, [(0, record)])


async def test_list_quarantine_shows_reasons_newest_first(house: House, api: httpx2.AsyncClient) -> None:
    keep(house, 1, "bad-json", b"{")
    keep(house, 2, "out-of-range", b'{"soil_moisture": 7}')
    answer = (await api.get(PATH)).json()

    assert [item["reason"] for item in answer["items"]] == ["out-of-range", "bad-json"]
    assert "payload_text" not in answer["items"][0]
    assert answer["items"][0]["at"] == "2026-11-22T05:00:00Z"
    only = (await api.get(PATH, params={"reason": "bad-json", "site": "taman-kota"})).json()["items"]
    assert [item["size"] for item in only] == [1]


async def test_list_quarantine_page_by_page_gives_each_once(house: House, api: httpx2.AsyncClient) -> None:
    for number in range(1, 4):
        keep(house, number, "bad-json", b"{")
    first = (await api.get(PATH, params={"limit": 2})).json()
    second = (await api.get(PATH, params={"limit": 2, "after": first["next"]})).json()

    assert len({item["id"] for item in first["items"] + second["items"]}) == 3
    assert second["next"] is None


async def test_show_quarantine_has_the_payload_whatever_it_is(house: House, api: httpx2.AsyncClient) -> None:
    payload = b"\xff\x00<script>"
    keep(house, 1, "bad-json", payload)
    entry = (await api.get(PATH)).json()["items"][0]
    shown = (await api.get(f"{PATH}/{entry['id']}")).json()

    assert base64.b64decode(shown["payload_base64"]) == payload
    assert shown["payload_text"] == "�\x00<script>"
    assert {key: shown[key] for key in entry} == entry
