# SPDX-License-Identifier: Apache-2.0
"""What is kept of proofs, in each sort of database: who waits, what counts, what holds, what is let go."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from control.audit import Trail
from control.database import Database
from control.errors import NotFound
from control.holds import load_holds
from control.ids import new_id
from control.ledger import Order, get_act, list_acts, plan_act
from control.models import ActRow
from control.proof import Proof
from control.proofs import ZoneProof, keep_leak, keep_proof, list_unproved, release_zone, zone_causes, zone_proofs
from rules.reasons import Reason
from tests.unit.control.conftest import START_MS

BED = "pilot:garden:1"
MINUTE = 60_000
TRAIL = Trail("siti", "person", START_MS)


def ended(session: Session, at_ms: int, state: str = "done", action: str = "irrigate") -> str:
    """Put an act into the ledger that ended then."""
    device = BED.rpartition(":")[0]
    order = Order(device, BED, action, "manual", 0, "tester", at_ms, at_ms, at_ms + 300_000, 300.0, 60.0, max_seconds=330)
    act, _ = plan_act(session, new_id(at_ms), order)
    row = session.get_one(ActRow, act.id)
    row.state, row.begun_ms, row.ended_ms = state, at_ms, at_ms + 5 * MINUTE
    session.flush()
    return act.id


def judge(session: Session, act_id: str, verdict: str, finding: str | None, now_ms: int) -> ZoneProof:
    proof = Proof(verdict, finding, {"flow_l_min": 4.8})  # type: ignore[arg-type]
    return keep_proof(session, act_id, proof, now_ms=now_ms, due_ms=None)[1]


def test_list_unproved_gives_what_moved_and_ended_a_while_ago_oldest_first(pilot: Database) -> None:
    with pilot.session() as session:
        second, first = ended(session, START_MS + 10 * MINUTE), ended(session, START_MS)
        for state in ("skipped", "expired", "rejected", "cancelled", "running"):
            ended(session, START_MS, state)
        ended(session, START_MS, action="stop")
        late = ended(session, START_MS + 30 * MINUTE)
        waiting = list_unproved(session, START_MS + 36 * MINUTE, 2 * MINUTE, 10)
        assert [one.act.id for one in waiting] == [first, second]
        assert (waiting[0].after_ms, waiting[0].before_ms) == (None, START_MS + 10 * MINUTE)
        assert waiting[1].after_ms == START_MS + 5 * MINUTE
        judge(session, first, "proved", None, START_MS)
        keep_proof(session, second, Proof("proved"), now_ms=START_MS, due_ms=START_MS + 60 * MINUTE)
        assert [one.act.id for one in list_unproved(session, START_MS + 59 * MINUTE, 0, 10)] == [late]
        again = list_unproved(session, START_MS + 60 * MINUTE, 0, 10)
        assert [(one.act.id, one.again) for one in again] == [(late, False), (second, True)]


def test_keep_proof_twice_disproved_holds_by_its_reason_and_a_verdict_counts_once(pilot: Database) -> None:
    with pilot.session() as session:
        acts = [ended(session, START_MS + i * 10 * MINUTE) for i in range(4)]
        assert judge(session, acts[0], "disproved", "clogged", START_MS).held_ms is None
        assert judge(session, acts[0], "disproved", "clogged", START_MS).disproved == 1
        assert judge(session, acts[1], "doubtful", "clogged", START_MS).disproved == 1
        assert judge(session, acts[2], "no-evidence", "no-meter", START_MS).disproved == 1
        held = judge(session, acts[3], "disproved", "no-water", START_MS + 1)
        assert (held.disproved, held.finding, held.act_id, held.held_ms) == (2, "no-water", acts[3], START_MS + 1)
        assert load_holds(session, START_MS).bits(BED) & Reason.DISPROVED
        assert load_holds(session, START_MS).inputs(BED)["disproved"] == 2
        assert {cause.code for cause in zone_causes(session)} == {"no-water", "zone-held"}
        assert get_act(session, acts[3]).proof == {"finding": "no-water", "judged_ms": START_MS + 1, "flow_l_min": 4.8}
        assert [act.id for act in list_acts(session, verdict="disproved")[0]] == [acts[3], acts[0]]


def test_keep_proof_of_a_proved_act_lets_the_zone_go(pilot: Database) -> None:
    with pilot.session() as session:
        acts = [ended(session, START_MS + i * 10 * MINUTE) for i in range(3)]
        for act in acts[:2]:
            judge(session, act, "disproved", "burst", START_MS)
        assert judge(session, acts[2], "proved", None, START_MS).held_ms is None
        assert not load_holds(session, START_MS).bits(BED)
        assert (zone_causes(session), zone_proofs(session)) == ([], {})


def test_release_zone_of_one_that_nothing_is_held_against_changes_nothing(pilot: Database) -> None:
    with pilot.session() as session:
        assert release_zone(session, BED, now_ms=START_MS, trail=TRAIL) == (ZoneProof(BED), False)
        with pytest.raises(NotFound):
            release_zone(session, "pilot:garden:9", now_ms=START_MS, trail=TRAIL)


def test_release_zone_forgets_what_ended_before_and_leaves_a_leak(pilot: Database) -> None:
    with pilot.session() as session:
        acts = [ended(session, START_MS + i * 10 * MINUTE) for i in range(3)]
        for act in acts[:2]:
            judge(session, act, "disproved", "burst", START_MS)
        keep_leak(session, BED, 0.7, START_MS)
        keep_leak(session, BED, 0.8, START_MS + 1)
        standing, changed = release_zone(session, BED, now_ms=START_MS + 26 * MINUTE, trail=TRAIL)
        assert (changed, standing) == (True, ZoneProof(BED, leak_ms=START_MS, leak_l_min=0.8))
        assert judge(session, acts[2], "disproved", "burst", START_MS + 30 * MINUTE).disproved == 0
        assert [cause.code for cause in zone_causes(session)] == ["leak"]
        keep_leak(session, BED, None, START_MS)
        assert zone_causes(session) == []
