# SPDX-License-Identifier: Apache-2.0
"""What listeners are told of acts, decisions, devices and alarms: flat, plain values under the names of the records."""

from __future__ import annotations

from typing import Any, Literal

from control.alarms import Alarm
from control.models import DeviceRow
from control.proofs import ZoneProof
from control.records import Act, Decision, Suspension
from control.sentences import proof_sentences, sentences

__all__ = ["act_event", "alarm_event", "decision_event", "device_event", "proof_event", "suspension_event"]


def act_event(act: Act) -> dict[str, Any]:
    """Return the event of an act that is new or changed its state."""
    return {
        "id": act.id,
        "device": act.device_key,
        "zone": act.zone_key,
        "action": act.action,
        "state": act.state,
        "reason": act.reason,
        "actor": act.actor,
        "planned_ms": act.planned_ms,
        "seconds": act.seconds,
        "litres": act.litres,
        "grams": act.grams,
        "result_seconds": act.result_seconds,
        "result_litres": act.result_litres,
        "result_grams": act.result_grams,
        "verdict": act.verdict,
        "sentence": sentences(act),
    }


def proof_event(act: Act, standing: ZoneProof) -> dict[str, Any]:
    """Return the event of a verdict on an act, and how its zone stands by it."""
    numbers = dict(act.proof or {})
    return {
        "act": act.id,
        "device": act.device_key,
        "zone": act.zone_key,
        "action": act.action,
        "verdict": act.verdict,
        "finding": numbers.pop("finding", None),
        "judged_ms": numbers.pop("judged_ms", None),
        "numbers": numbers,
        "disproved": standing.disproved,
        "held": standing.held_ms is not None,
        "sentence": proof_sentences(act),
    }


def alarm_event(alarm: Alarm, change: Literal["raised", "cleared", "seen"]) -> dict[str, Any]:
    """Return the event of an alarm that was raised, is over, or has been seen by somebody."""
    sort, _, key = alarm.subject.partition(":")
    return {
        "id": alarm.id,
        "change": change,
        "code": alarm.code,
        "severity": alarm.severity,
        "subject": alarm.subject,
        "site": alarm.site,
        "agency": alarm.agency,
        "device": key if sort == "device" else None,
        "zone": key if sort == "zone" else None,
        "since_ms": alarm.since_ms,
        "cleared_ms": alarm.cleared_ms,
        "text": sentences(alarm),
    }


def decision_event(decision: Decision) -> dict[str, Any]:
    """Return the event of a decision that was kept."""
    return {
        "id": decision.id,
        "zone": decision.zone_key,
        "at_ms": decision.at_ms,
        "kind": decision.kind,
        "acted": decision.acted,
        "reasons": list(decision.reasons),
        "inputs": dict(decision.inputs),
        "act": decision.act_id,
        "sentence": sentences(decision),
    }


def device_event(row: DeviceRow) -> dict[str, Any]:
    """Return the event of a device that said how it is."""
    return {
        "device": row.key,
        "online": row.online,
        "last_seen_ms": row.last_seen_ms,
        "firmware": row.firmware,
        "boot": row.boot,
        "rssi": row.rssi,
    }


def suspension_event(suspension: Suspension) -> dict[str, Any]:
    """Return the event of something that a person put off, or that is over."""
    scope, _, key = suspension.on.partition(":")
    return {
        "id": suspension.id,
        "kind": suspension.kind,
        "on": suspension.on,
        "zone": key if scope == "zone" else None,
        "site": suspension.site,
        "agency": key if scope == "agency" else None,
        "begun_ms": suspension.begun_ms,
        "until_ms": suspension.until_ms,
        "note": suspension.note,
        "actor": suspension.actor,
        "ended_ms": suspension.ended_ms,
        "ending": suspension.ending,
    }
