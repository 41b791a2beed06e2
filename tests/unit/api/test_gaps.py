# SPDX-License-Identifier: Apache-2.0
"""Gaps of a device over HTTP."""

from __future__ import annotations

import httpx2

from gateway import Address
from gateway.messages import Position, Status
from ingest.own_words import session_lost_burst, status_burst
from tests.unit.api.house import START_MS, House

PATH = "/api/v1/devices/taman-kota:bedeng-1/gaps"
NOTHING = {"missing": 0, "lost": 0, "ends_unknown": [], "sessions_lost": [], "items": [], "next": None}


def number(house: House, *numbers: tuple[int, int]) -> None:
    """Receive records with these (boot, seq)."""
    house.devices.put(Address("taman-kota", "bedeng-1"), house.services.catalogue.kinds["irrigation-controller"])
    house.receive("bedeng-1", *(b'{"boot":%d,"seq":%d,"flow":1}' % pair for pair in numbers))


async def test_list_gaps_of_a_device_that_sent_nothing_is_empty(house: House, pilot: httpx2.AsyncClient) -> None:
    assert (await pilot.get(PATH)).json() == NOTHING
    house.decide(session_lost_burst(START_MS + 60_000))
    number(house, (1, 0), (1, 1))
    lost = {"start": "2026-11-22T05:01:00Z", "end": "2026-11-22T05:01:00Z"}
    assert (await pilot.get(PATH)).json() == {**NOTHING, "sessions_lost": [lost]}


async def test_list_gaps_shows_ranges_what_is_lost_and_which_ends_are_not_known(
    house: House, pilot: httpx2.AsyncClient
) -> None:
    number(house, (1, 0), (1, 4), (2, 1))
    shown = (await pilot.get(PATH)).json()
    assert (shown["missing"], shown["lost"], shown["ends_unknown"]) == (4, 0, [1])
    assert shown["items"][0] == {
        "boot": 1, "first": 1, "last": 3, "count": 3, "since": "2026-11-22T05:00:00Z", "state": "open"
    }  # fmt: skip
    status = Status(True, boot=3, oldest=Position(1, 3), last=Position(2, 5))
    house.decide(status_burst(START_MS, [(Address("taman-kota", "bedeng-1"), status)]))
    shown = (await pilot.get(PATH)).json()
    assert (shown["missing"], shown["lost"]) == (6, 2)
    assert [(gap["boot"], gap["first"], gap["last"], gap["state"]) for gap in shown["items"]] == [
        (1, 1, 2, "lost"),
        (1, 3, 3, "open"),
        (2, 0, 0, "open"),
        (2, 2, 5, "open"),
    ]
    number(house, (1, 3), (2, 0), *((2, seq) for seq in range(2, 6)))
    shown = (await pilot.get(PATH)).json()
    assert (shown["missing"], shown["lost"], len(shown["items"])) == (0, 2, 1)


async def test_list_gaps_page_by_page_gives_each_once(house: House, pilot: httpx2.AsyncClient) -> None:
    number(house, *((boot, seq) for boot in (1, 2) for seq in (1, 3, 5)))
    pages, after = [], {}
    while True:
        page = (await pilot.get(PATH, params={"limit": 2, **after})).json()
        pages.append([(gap["boot"], gap["first"]) for gap in page["items"]])
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert pages == [[(1, 0), (1, 2)], [(1, 4), (2, 0)], [(2, 2), (2, 4)]]


async def test_list_gaps_of_a_device_that_is_not_there_is_not_found(api: httpx2.AsyncClient) -> None:
    assert (await api.get(PATH)).status_code == 404
