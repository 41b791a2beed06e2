# SPDX-License-Identifier: Apache-2.0
"""Decide about decoded bursts: new or seen before, kept in quarantine, told to the device, latest.

All that must happen once, in the journal's order, in one thread. Invariant: what is decided about a record depends only on
the journal's content up to it, so that deciding again after a crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.decode import BurstDecoder, DecodedBurst, Reject
from ingest.devices import DeviceTable
from ingest.errors import JournalError
from ingest.journal import Entry
from ingest.latest import LatestState
from ingest.progress import Progress
from ingest.quarantine import MAX_KEPT_PAYLOAD, Quarantine, QuarantinedRecord
from ingest.sequences import Sequences
from ingest.store.batch import NOT_GIVEN, Rows

__all__ = ["Judge", "Judged", "keep_rows"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run of bursts came to: their new rows, which (device, boot) sent any, and what to tell whom."""

    bursts: list[DecodedBurst]
    senders: frozenset[tuple[int, int]]
    errors: list[tuple[int, Reject]]
    messages: int
    rows: int


class Judge:
    """Decode and decide, burst after burst."""

    def __init__(
        self,
        decoder: BurstDecoder,
        devices: DeviceTable,
        sequences: Sequences,
        quarantine: Quarantine,
        latest: LatestState,
        progress: Progress,
    ) -> None:
        self._decoder = decoder
        self._devices = devices
        self._sequences = sequences
        self._quarantine = quarantine
        self._latest = latest
        self._progress = progress
        self._duplicates: dict[tuple[int, str], NDArray[np.int64]] = {}
        self.position = progress.position()
        for address, state in progress.states():
            if (index := devices.index(address)) is not None:
                sequences.restore(index, state)

    def judge(self, entries: Iterable[Entry]) -> Judged:
        """Decide about the next entries of the journal.

        Where the quarantine's volume fails, what was decided before is the answer and `position` stands before the rest.

        Raises
        ------
        Full, Unavailable
            It failed at the first of them already; nothing was decided.
        """
        bursts: list[DecodedBurst] = []
        senders: set[tuple[int, int]] = set()
        errors: list[tuple[int, Reject]] = []
        messages = rows = 0
        for entry in entries:
            decoded = self._decoder.decode(entry.position, entry.burst)
            if decoded.rejects:
                try:
                    self._keep(entry.burst, decoded)
                except JournalError:
                    if not bursts:
                        raise
                    break
                senders |= {
                    (r.device, r.boot) for r in decoded.rejects if r.device is not None and NOT_GIVEN not in (r.boot, r.seq)
                }
                errors += [(reject.device, reject) for reject in decoded.rejects if reject.device is not None]
            for part in decoded.rows:
                senders |= _senders(part)  # also of records sent again: their device has not heard that they are stored
            kept = tuple(self._new_rows(entry.position, part) for part in decoded.rows)
            decoded = replace(decoded, rows=tuple(part for part in kept if len(part)))
            self._latest.update(decoded.rows)
            rows += sum(map(len, decoded.rows))
            bursts.append(decoded)
            messages += len(entry.burst.payloads)
            self.position = entry.position
        return Judged(bursts, frozenset(senders), errors, messages, rows)

    def _new_rows(self, position: int, rows: Rows) -> Rows:
        new = self._sequences.take(rows)
        if new.all():
            return rows
        self._duplicates[position, rows.kind] = rows.place[~new]
        return keep_rows(rows, new)

    def _keep(self, burst: StoredBurst, decoded: DecodedBurst) -> None:
        # First on the disk, for that can fail; noting the numbers can not.
        self._quarantine.keep(decoded.position, [(r.payload, self._record(burst, r)) for r in decoded.rejects])
        for reject in decoded.rejects:
            if reject.device is not None and reject.boot != NOT_GIVEN and reject.seq != NOT_GIVEN:
                # A numbered record in quarantine has arrived: it is no gap, and the device may forget it.
                self._sequences.take_one(reject.device, reject.boot, reject.seq)

    def _record(self, burst: StoredBurst, reject: Reject) -> QuarantinedRecord:
        topic, payload = burst.topics[reject.payload], burst.payloads[reject.payload]
        address = self._devices.address(reject.device) if reject.device is not None else None
        return QuarantinedRecord(
            id=0,
            at_ms=burst.received_ms,
            topic=topic,
            site=address.site if address else None,
            device=address.device if address else None,
            reason=reject.code,
            detail=reject.detail,
            record=reject.index,
            boot=None if reject.boot == NOT_GIVEN else reject.boot,
            seq=None if reject.seq == NOT_GIVEN else reject.seq,
            size=len(payload),
            payload=payload[:MAX_KEPT_PAYLOAD],
        )

    def decode_again(self, entries: Iterable[Entry]) -> list[DecodedBurst]:
        """Decode entries that were decided about before, for a store that is behind; safe beside `judge`."""
        bursts = []
        for entry in entries:
            decoded = self._decoder.decode(entry.position, entry.burst)
            rows = []
            for part in decoded.rows:
                places = self._places_of_duplicates(entry.position, part.kind)
                rows.append(part if places is None else keep_rows(part, ~np.isin(part.place, places)))
            bursts.append(replace(decoded, rows=tuple(part for part in rows if len(part))))
        return bursts

    def _places_of_duplicates(self, position: int, kind: str) -> NDArray[np.int64] | None:
        # Memory first: a checkpoint made meanwhile takes them from here only when it has them on the disk.
        places = self._duplicates.get((position, kind))
        return places if places is not None else self._progress.duplicates(position, position + 1).get((position, kind))

    def checkpoint(self, forget_below: int) -> int:
        """Make what was decided durable and return its position; `forget_below` is the slowest reader's next position.

        Raises
        ------
        Full, Unavailable
            It could not be kept; the next one takes everything in.
        """
        duplicates = dict(self._duplicates)
        changed = self._sequences.take_changed()
        states = [(self._devices.address(index), state) for index, state in changed]
        try:
            self._progress.save(self.position, states, duplicates, forget_below)
        except JournalError:
            self._sequences.mark_changed(index for index, _ in changed)
            raise
        for key in duplicates:
            del self._duplicates[key]
        return self.position

    def positions(self, senders: Iterable[tuple[int, int]]) -> list[tuple[Address, int, int]]:
        """Return (address, boot, seq) up to which each of these boots is on disk without a hole."""
        found = ((device, boot, self._sequences.contiguous(device, boot)) for device, boot in sorted(senders))
        return [(self._devices.address(device), boot, seq) for device, boot, seq in found if seq >= 0]


def _senders(rows: Rows) -> set[tuple[int, int]]:
    numbered = rows.boot >= 0
    keys = np.unique((rows.device[numbered].astype(np.int64) << 32) | rows.boot[numbered])
    return {(key >> 32, key & 0xFFFFFFFF) for key in keys.tolist()}


def keep_rows(rows: Rows, keep: NDArray[np.bool_]) -> Rows:
    """Return the rows where `keep` is true, shape (n,)."""
    columns = {name: getattr(rows, name)[keep] for name in ("device", "zone", "ts_ms", "boot", "seq", "place", "flags")}
    return Rows(kind=rows.kind, values={name: column[keep] for name, column in rows.values.items()}, **columns)
