# SPDX-License-Identifier: Apache-2.0
"""Make quarantine entries of what was rejected: each with the bytes that a replay needs, and no more.

Of an array only the one record is kept, so that a bad array takes no more room than it has itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import msgspec

from gateway.errors import InvalidMessage
from gateway.payloads import MAX_PAYLOAD, decode_object, encode_object
from gateway.topics import Channel, build_topic
from ingest.bursts import StoredBurst
from ingest.decode import DecodedBurst, Reject
from ingest.devices import DeviceTable
from ingest.quarantine import MAX_KEPT_PAYLOAD, QuarantinedRecord
from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN, RejectedRow, Rows

__all__ = ["STORE_REFUSED", "rejected_records", "rejected_rows"]

STORE_REFUSED = "store-refused"  # a store can never take it; every other one has it


def rejected_records(
    burst: StoredBurst, rejects: Iterable[Reject], devices: DeviceTable
) -> list[tuple[int, QuarantinedRecord]]:
    """Return quarantine entries of what was rejected of a burst, each with the number of its payload."""
    parts: dict[int, Sequence[bytes] | None] = {}
    found = []
    for reject in rejects:
        payload = burst.payloads[reject.payload]
        if reject.index is not None:
            if reject.payload not in parts:
                parts[reject.payload] = _split(payload)
            records = parts[reject.payload]
            payload = payload if records is None else records[reject.index]
        address = devices.address(reject.device) if reject.device is not None else None
        record = QuarantinedRecord(
            id=0,
            at_ms=burst.received_ms,
            topic=burst.topics[reject.payload],
            site=address.site if address else None,
            device=address.device if address else None,
            reason=reject.code,
            detail=reject.detail,
            record=reject.index,
            boot=None if reject.boot == NOT_GIVEN else reject.boot,
            seq=None if reject.seq == NOT_GIVEN else reject.seq,
            size=len(payload),
            payload=payload if len(payload) <= MAX_PAYLOAD else payload[:MAX_KEPT_PAYLOAD],
        )
        found.append((reject.payload, record))
    return found


def _split(payload: bytes) -> Sequence[bytes] | None:
    """Return the records of an array, each with its own bytes; None where the payload is no array."""
    if payload[:1] == b"[":
        try:
            return [bytes(part) for part in msgspec.json.decode(payload, type=list[msgspec.Raw])]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # what only Python's reader takes, as NaN
    try:
        value = decode_object(payload)
    except InvalidMessage:
        return None
    if not isinstance(value, list):
        return None
    textual = payload.lstrip()[:1] == b"["
    return [_encode(part, textual=textual) for part in value]


def _encode(part: object, *, textual: bool) -> bytes:
    try:
        return json.dumps(part).encode() if textual else encode_object(part, cbor=True)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return b""  # can be read and not be written, as an integer of 5,000 digits: there is nothing to be replayed


def rejected_rows(
    store: str, bursts: Iterable[DecodedBurst], kind: str, refused: Sequence[RejectedRow], devices: DeviceTable
) -> list[tuple[int, int, QuarantinedRecord]]:
    """Return (position, number, entry) of rows that a store can never take.

    Parameters
    ----------
    refused : sequence of RejectedRow
        Indexes into the rows of `kind` of all bursts, one after another.
    """
    reasons = {row.index: row.reason for row in refused}
    found = []
    start = 0
    for burst in bursts:
        for rows in (part for part in burst.rows if part.kind == kind):
            for i in range(len(rows)):
                if start + i in reasons:
                    entry = _row(store, rows, i, burst.received_ms, reasons[start + i], devices)
                    # Below zero, where no payload's number lies; a second store that refuses it adds nothing.
                    found.append((burst.position, -1 - int(rows.place[i]), entry))
            start += len(rows)
    return found


def _row(store: str, rows: Rows, i: int, at_ms: int, reason: str, devices: DeviceTable) -> QuarantinedRecord:
    address = devices.address(int(rows.device[i]))
    boot, seq = (None if number == NOT_GIVEN else number for number in (int(rows.boot[i]), int(rows.seq[i])))
    head = {"ts": None if rows.flags[i] & CLOCK_SERVER else int(rows.ts_ms[i]), "boot": boot, "seq": seq}
    given = {name: number for name, number in head.items() if number is not None}
    values = {name: float(column[i]) for name, column in rows.values.items() if column[i] == column[i]}
    payload = msgspec.json.encode({**given, "zone": int(rows.zone[i]), **values})
    return QuarantinedRecord(
        id=0,
        at_ms=at_ms,
        topic=build_topic(address, Channel.TELEMETRY),
        site=address.site,
        device=address.device,
        reason=STORE_REFUSED,
        detail=f"{store}: {reason}",
        record=None,
        boot=boot,
        seq=seq,
        size=len(payload),
        payload=payload,
    )
