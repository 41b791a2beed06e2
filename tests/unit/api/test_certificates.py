# SPDX-License-Identifier: Apache-2.0
"""A certificate for a device: given, refused with the reason, entered into the audit trail."""

from __future__ import annotations

import httpx2

from control import audit
from tests.unit.api.house import BED, SITE, House

PATH = "/api/v1/devices/taman-kota:bedeng-1/certificate"


async def _furnish(api: httpx2.AsyncClient) -> None:
    assert (await api.post("/api/v1/sites", json=SITE)).status_code == 201
    assert (await api.post("/api/v1/devices", json=BED)).status_code == 201


async def test_certify_device_gives_a_certificate_and_says_so_in_the_trail(house: House, api: httpx2.AsyncClient) -> None:
    await _furnish(api)

    answer = await api.post(PATH, json={"request": "a signing request"})

    assert answer.status_code == 200
    told = {"certificate": "certificate of taman-kota/bedeng-1", "authority": "authority", "notice": None}
    assert answer.json() == told
    with house.services.database.reader() as session:
        entries, _ = audit.list_entries(session, limit=10)
    assert next(entry.action for entry in entries if entry.target == "device:taman-kota:bedeng-1") == "device.certificate"


async def test_certify_device_with_a_request_that_does_not_do_names_the_field(api: httpx2.AsyncClient) -> None:
    await _furnish(api)

    answer = await api.post(PATH, json={"request": "-----BEGIN PRIVATE KEY-----"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "request"
    assert "holds a private key" in answer.json()["detail"]


async def test_certify_device_where_none_are_given_is_a_conflict(house: House, api: httpx2.AsyncClient) -> None:
    await _furnish(api)
    house.provisioner.notice = "refuse"

    answer = await api.post(PATH, json={"request": "a signing request"})

    assert answer.status_code == 409
    assert answer.json()["detail"] == "No certificate can be given here: it does not speak TLS"


async def test_certify_device_while_the_broker_is_away_asks_to_come_back(house: House, api: httpx2.AsyncClient) -> None:
    await _furnish(api)
    house.provisioner.broken = True

    assert (await api.post(PATH, json={"request": "a signing request"})).status_code == 503
    assert (await api.post(PATH.replace("bedeng-1", "none"), json={"request": "x"})).status_code == 404
