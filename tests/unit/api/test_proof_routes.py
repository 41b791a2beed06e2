# SPDX-License-Identifier: Apache-2.0
"""Verdicts on acts, and what is held against a zone, over HTTP."""

from __future__ import annotations

import httpx2

from control.audit import list_entries
from control.models import ActRow
from control.proof import Proof
from control.proofs import keep_proof
from tests.unit.api.house import START_MS, House

ACTS, BED = "/api/v1/acts", "taman-kota:bedeng-1:1"
ZONE = f"/api/v1/zones/{BED}"
CLOGGED = Proof("disproved", "clogged", {"flow_l_min": 3.4, "rated_l_min": 8.5})


async def judged(house: House, pilot: httpx2.AsyncClient, proof: Proof, ended_ms: int) -> str:
    """Have an act asked for, ended and judged; return its id."""
    made = (await pilot.post(ACTS, json={"zone": BED, "action": "irrigate", "seconds": 60})).json()
    with house.services.database.session() as session:
        row = session.get_one(ActRow, made["id"])
        row.state, row.begun_ms, row.ended_ms = "done", ended_ms - 60_000, ended_ms
        keep_proof(session, row.id, proof, now_ms=ended_ms, due_ms=None)
    return str(made["id"])


async def test_show_act_that_was_judged_gives_verdict_finding_numbers_and_sentence(
    pilot: httpx2.AsyncClient, house: House
) -> None:
    act = await judged(house, pilot, CLOGGED, START_MS)
    shown = (await pilot.get(f"{ACTS}/{act}")).json()
    assert shown["proof"] == {
        "verdict": "disproved",
        "finding": "clogged",
        "judged": "2026-11-22T05:00:00Z",
        "numbers": {"flow_l_min": 3.4, "rated_l_min": 8.5},
        "sentence": {
            "id": "Tidak terbukti: tersumbat: debit 3,4 L/menit, seharusnya 8,5.",
            "en": "Disproved: clogged: flow was 3.4 L/min and should be 8.5.",
        },
    }
    await judged(house, pilot, Proof("proved"), START_MS)
    found = (await pilot.get(ACTS, params={"verdict": "disproved"})).json()["items"]
    assert [item["id"] for item in found] == [act]
    wrong = await pilot.get(ACTS, params={"verdict": "perhaps"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "verdict")


async def test_show_act_that_is_not_judged_has_no_proof(pilot: httpx2.AsyncClient) -> None:
    made = await pilot.post(ACTS, json={"zone": BED, "action": "irrigate", "seconds": 60})
    assert made.json()["proof"] is None


async def test_release_zone_that_is_held_lets_it_go_and_stands_in_the_audit_trail(
    pilot: httpx2.AsyncClient, house: House
) -> None:
    assert (await pilot.get(ZONE)).json()["proof"] is None
    acts = [await judged(house, pilot, CLOGGED, START_MS + i) for i in range(2)]
    shown = (await pilot.get(ZONE)).json()["proof"]
    assert (shown["disproved"], shown["finding"], shown["act"]) == (2, "clogged", acts[-1])
    assert shown["held"] == "2026-11-22T05:00:00.001Z"
    assert [zone["proof"] for zone in (await pilot.get("/api/v1/zones")).json()["items"] if zone["id"] == BED] == [shown]
    released = await pilot.post(f"{ZONE}/release")
    assert (released.status_code, released.json()["proof"]) == (200, None)
    assert (await pilot.post(f"{ZONE}/release")).status_code == 200  # again changes nothing
    with house.services.database.reader() as session:
        entries = [entry for entry in list_entries(session)[0] if entry.action == "zone.release"]
    assert [(entry.target, entry.before) for entry in entries] == [
        (f"zone:{BED}", {"disproved": 2, "finding": "clogged", "held": True})
    ]


async def test_change_zone_takes_how_soon_there_has_to_be_flow(pilot: httpx2.AsyncClient) -> None:
    assert (await pilot.get(ZONE)).json()["parameters"]["flow_within_s"] == 30
    changed = await pilot.patch(ZONE, json={"flow_within_s": 120})
    assert changed.json()["parameters"]["flow_within_s"] == 120
    assert (await pilot.patch(ZONE, json={"flow_within_s": 86_400})).status_code == 422
