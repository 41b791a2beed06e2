# SPDX-License-Identifier: Apache-2.0
"""Decide about decoded bursts: new or seen before, kept in quarantine, told to the device, latest.

All that must happen once, in the journal's order, in one thread. Invariant: what is decided about a record depends only on
the journal's content up to it, so that deciding again after a crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from gateway.payloads import MAX_RECORDS
from gateway.topics import Address
from ingest.bursts import StoredBurst
from ingest.decided import decide_as_before, keep_rows, places_within
from ingest.decode import BurstDecoder, DecodedBurst, Reject, mark_rejects
from ingest.devices import DeviceTable
from ingest.errors import JournalError
from ingest.gaps import SessionLosses
from ingest.journal import Entry
from ingest.latest import LatestState
from ingest.own_words import Replayed, is_own, is_session_lost, lost_since_ms, replayed, statuses
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantinedRecord
from ingest.rejects import STORE_REFUSED, rejected_records, rejected_rows
from ingest.sequences import Sequences
from ingest.store.batch import NOT_GIVEN, RejectedRow, Rows
from ingest.store.tiers import Retention, kept_from_ms
from ingest.tally import Tally

__all__ = ["Judge", "Judged", "Outcome"]

Outcome = Literal["stored", "duplicate", "refused"]

_REJECTED: Final = ""  # stands for a kind where marks of rejected records are kept beside those of duplicates
_SESSIONS: Final = "sessions"
_TALLY: Final = "tally"
# Places of replayed records: where those of a burst seldom reach, so that a replayed record without a number does not get
# the instant of another one that the same device sent within that millisecond.
_REPLAY_PLACE: Final = 500_000
_REPLAY_SLOTS: Final = 999


@dataclass(slots=True)
class Judged:
    """What a run of bursts came to.

    Attributes
    ----------
    bursts : list
        With their new rows only.
    senders : set
        (device, boot) of which records came, also known ones: these wait for `stored`.
    errors : list
        (device, reject) to be told.
    messages, rows : int
        Telemetry messages decided about, and new rows in them.
    outcomes : dict
        Position of a replayed record in the journal to what came of it.
    """

    bursts: list[DecodedBurst] = field(default_factory=list)
    senders: set[tuple[int, int]] = field(default_factory=set)
    errors: list[tuple[int, Reject]] = field(default_factory=list)
    messages: int = 0
    rows: int = 0
    outcomes: dict[int, Outcome] = field(default_factory=dict)


class Judge:
    """Decode and decide, burst after burst.

    What was measured before the time for which rows are kept, `raw_days` (None keeps for ever), is refused here, by the
    platform's clock at its receipt: no store would take it.
    """

    def __init__(
        self,
        decoder: BurstDecoder,
        devices: DeviceTable,
        sequences: Sequences,
        quarantine: Quarantine,
        latest: LatestState,
        progress: Progress,
        *,
        raw_days: int | None = None,
    ) -> None:
        self._decoder = decoder
        self._devices = devices
        self._sequences = sequences
        self._quarantine = quarantine
        self._latest = latest
        self._progress = progress
        self._retention = Retention(raw_days)
        self._marks: dict[tuple[int, str], NDArray[np.int64]] = {}
        self._again_below = self._stored_upto = 0
        self.sessions = SessionLosses()
        self.position = progress.position()
        self.tally = Tally.load(progress.note(_TALLY), self.position)
        if kept := progress.note(_SESSIONS):
            self.sessions.load(kept)
        for address, state in progress.states():
            if (index := devices.index(address)) is not None:
                sequences.restore(index, state)

    def resume(self, end: int, stored_upto: int) -> None:
        """Begin behind the checkpoint: what lies before `end` may have been decided about, see `ingest.decided`.

        Parameters
        ----------
        stored_upto : int
            Some store has everything up to this position.
        """
        self._again_below, self._stored_upto = end, stored_upto

    def judge(self, entries: Iterable[Entry]) -> Judged:
        """Decide about the next entries of the journal.

        Where the quarantine's volume fails, what was decided before is the answer and `position` stands before the rest.

        Raises
        ------
        Full, Unavailable
            It failed at the first of them already; nothing was decided.
        """
        judged = Judged()
        for entry in entries:
            try:
                if is_own(entry.burst):
                    self._judge_own(entry, judged)
                else:
                    self._judge_telemetry(entry, judged)
            except JournalError:
                if not judged.bursts:
                    raise
                break
            self.position = entry.position
        return judged

    def _judge_telemetry(self, entry: Entry, judged: Judged) -> None:
        decoded = self._decoder.decode(entry.position, entry.burst, self._kept_from_ms(entry.burst.received_ms))
        if entry.position < self._again_below:
            decoded = self._decide_as_before(entry, decoded, judged)
        if decoded.rejects:
            self._keep(entry.position, entry.burst, decoded.rejects)
            judged.senders |= _numbered(decoded.rejects)
            judged.errors += [(reject.device, reject) for reject in decoded.rejects if reject.device is not None]
        self.sessions.heard_ms = entry.burst.received_ms
        self._take(decoded, judged, replay=False)
        judged.messages += len(entry.burst.payloads)

    def _decide_as_before(self, entry: Entry, decoded: DecodedBurst, judged: Judged) -> DecodedBurst:
        """Take note of what is known of a burst; return what is left to be decided about."""
        position, at_ms = entry.position, entry.burst.received_ms
        rejected = self._quarantine.rejected_at(position)
        before = decide_as_before(decoded, entry.burst.payloads, rejected, has_store=position <= self._stored_upto)
        if len(rejected):
            self._note(position, before.known, at_ms)
            self._marks[position, _REJECTED] = rejected
        for rows in before.withheld:
            judged.senders |= _senders(rows)
            numbered = (rows.boot >= 0) & (rows.seq >= 0)
            for device, boot, seq in zip(*(c[numbered].tolist() for c in (rows.device, rows.boot, rows.seq)), strict=True):
                self._sequences.hold(device, boot, seq, at_ms)
        for reject in before.stored:
            if reject.device is not None and NOT_GIVEN not in (reject.boot, reject.seq):
                self._sequences.take_one(reject.device, reject.boot, reject.seq, at_ms)
        judged.senders |= _numbered([*before.known, *before.stored])
        judged.errors += [(reject.device, reject) for reject in before.known if reject.device is not None]
        return before.decoded

    def _judge_own(self, entry: Entry, judged: Judged) -> None:
        again = replayed(entry.burst)
        if again is not None:
            judged.outcomes[entry.position] = self._judge_replayed(entry.position, again, judged)
            return
        if is_session_lost(entry.burst):
            self.sessions.add(entry.burst.received_ms, lost_since_ms(entry.burst))
        self._hear(entry.burst)
        judged.bursts.append(DecodedBurst(entry.position, entry.burst.received_ms, (), ()))

    def _judge_replayed(self, position: int, again: Replayed, judged: Judged) -> Outcome:
        kept = self._quarantine.get(again.id)
        if kept is not None and kept.reason == STORE_REFUSED:
            return self._refuse_known(position, again, kept, judged)
        # First received long ago: its age counts from the newest that came before it was replayed, or a store would refuse it.
        now_ms = max(again.burst.received_ms, self.sessions.heard_ms)
        decoded = self._decode_replayed(position, again, self._kept_from_ms(now_ms))
        taken_before = position < self._again_below and self._quarantine.was_settled(position)
        has_store = position < self._again_below and position <= self._stored_upto
        if has_store and not taken_before:  # refused before a crash: a store has passed it, and it is in quarantine still
            self._marks[position, _REJECTED] = np.zeros(1, np.int64)
            judged.bursts.append(DecodedBurst(position, decoded.received_ms, (), ()))
            return "refused"
        if decoded.rejects and not decoded.rows:
            first = decoded.rejects[0]
            if taken_before and not has_store:
                # It was taken before a crash, and no store came to have it.
                self._keep(position, again.burst, decoded.rejects)
            else:
                self._quarantine.refuse_again(again.id, again.attempt, first.code, first.detail)
                self._note(position, decoded.rejects, again.burst.received_ms)
        else:
            if decoded.rejects:
                self._keep(position, again.burst, decoded.rejects)
            self._quarantine.settle(again.id, position)
        judged.senders |= _numbered(decoded.rejects)
        rows = judged.rows
        refused = not decoded.rows and bool(decoded.rejects)
        self._take(decoded, judged, replay=True)
        return "refused" if refused else "stored" if judged.rows > rows else "duplicate"

    def _refuse_known(self, position: int, again: Replayed, kept: QuarantinedRecord, judged: Judged) -> Outcome:
        """Leave a record where it is that one store refused: the others have it, so it would only be known, and gone."""
        self._quarantine.refuse_again(again.id, again.attempt, kept.reason, kept.detail)
        decoded = self._decode_replayed(position, again)
        for rows in decoded.rows:
            self._marks[position, rows.kind] = rows.place
        judged.bursts.append(replace(decoded, rows=(), rejects=()))
        return "refused"

    def _kept_from_ms(self, now_ms: int) -> int:
        return kept_from_ms(self._retention, "raw", now_ms) or 0

    def _decode_replayed(self, position: int, again: Replayed, kept_from_ms: int = 0) -> DecodedBurst:
        decoded = self._decoder.decode(position, again.burst, kept_from_ms)
        first = _REPLAY_PLACE + again.id % _REPLAY_SLOTS * MAX_RECORDS
        return replace(decoded, rows=tuple(replace(rows, place=first + rows.place) for rows in decoded.rows))

    def _hear(self, burst: StoredBurst) -> None:
        """Take in how far devices' numbers reach: the end of the boot before first, for `oldest` may lie behind it."""
        for address, status in statuses(burst):
            index = self._devices.index(address)
            if index is None:
                continue
            if status.last is not None:
                self._sequences.end_boot(index, status.last.boot, status.last.seq, burst.received_ms)
            if status.boot is not None:
                self._sequences.note_boot(index, status.boot)
            if status.oldest is not None:
                self._sequences.give_up(index, status.oldest.boot, status.oldest.seq, burst.received_ms)

    def _take(self, decoded: DecodedBurst, judged: Judged, *, replay: bool) -> None:
        """Leave out what is known already; the rest is new and perhaps the latest."""
        new_of = self._sequences.take_held if replay else self._sequences.take
        kept = []
        for rows in decoded.rows:
            judged.senders |= _senders(rows)  # also of records sent again: their device has not heard that they are stored
            new = new_of(rows, decoded.received_ms)
            if not new.all():
                self._marks[decoded.position, rows.kind] = rows.place[~new]
                rows = keep_rows(rows, new)
            if len(rows):
                kept.append(rows)
        self._latest.update(kept)
        judged.rows += sum(map(len, kept))
        self.tally.add(sum(map(len, kept)))
        judged.bursts.append(replace(decoded, rows=tuple(kept)))

    def _keep(self, position: int, burst: StoredBurst, rejects: Sequence[Reject]) -> None:
        # First on the disk, for that can fail; noting the numbers can not.
        self._quarantine.keep(position, rejected_records(burst, rejects, self._devices))
        self._note(position, rejects, burst.received_ms)

    def _note(self, position: int, rejects: Sequence[Reject], at_ms: int) -> None:
        known = self._marks.get((position, _REJECTED), np.empty(0, np.int64))
        self._marks[position, _REJECTED] = np.union1d(known, mark_rejects(rejects))
        for reject in rejects:
            if reject.device is not None and reject.boot != NOT_GIVEN and reject.seq != NOT_GIVEN:
                # A numbered record in quarantine has arrived: it is no gap, and the device may forget it.
                self._sequences.hold(reject.device, reject.boot, reject.seq, at_ms)

    def keep_refused(self, store: str, bursts: Sequence[DecodedBurst], kind: str, refused: Sequence[RejectedRow]) -> None:
        """Put rows that a store can never take into quarantine; safe beside `judge`.

        Raises
        ------
        Full, Unavailable
            The quarantine's volume fails; what it holds already is kept once all the same.
        """
        for position, number, record in rejected_rows(store, bursts, kind, refused, self._devices):
            self._quarantine.keep(position, [(number, record)])

    def decode_again(self, entries: Iterable[Entry]) -> list[DecodedBurst]:
        """Decode entries that were decided about before, for a store that is behind; safe beside `judge`."""
        return [self._decode_again(entry) for entry in entries]

    def _decode_again(self, entry: Entry) -> DecodedBurst:
        position, burst = entry.position, entry.burst
        again = replayed(burst) if is_own(burst) else None
        if again is not None:
            decoded = self._decode_replayed(position, again)
        elif is_own(burst):
            return DecodedBurst(position, burst.received_ms, (), ())
        else:
            decoded = self._decoder.decode(position, burst)
        marks = self._marks_of(position, _REJECTED)
        kept = []
        for rows in decoded.rows:
            if marks is not None:
                first = 0 if again is None else _REPLAY_PLACE + again.id % _REPLAY_SLOTS * MAX_RECORDS
                rows = keep_rows(rows, ~places_within(burst.payloads, marks, rows.place - first))
            places = self._marks_of(position, rows.kind)
            kept.append(rows if places is None else keep_rows(rows, ~np.isin(rows.place, places)))
        return replace(decoded, rows=tuple(rows for rows in kept if len(rows)))

    def _marks_of(self, position: int, kind: str) -> NDArray[np.int64] | None:
        # Memory first: a checkpoint made meanwhile takes them from here only when it has them on the disk.
        marks = self._marks.get((position, kind))
        return marks if marks is not None else self._progress.duplicates(position, position + 1).get((position, kind))

    def checkpoint(self, forget_below: int) -> int:
        """Make what was decided durable and return its position; `forget_below` is the slowest reader's next position.

        Raises
        ------
        Full, Unavailable
            It could not be kept; the next one takes everything in.
        """
        marks = dict(self._marks)
        changed = self._sequences.take_changed()
        self.tally.note(self.position + 1, forget_below)
        notes = {_SESSIONS: self.sessions.dump(), _TALLY: self.tally.dump()}
        states = [(self._devices.address(index), state) for index, state in changed]
        try:
            self._progress.save(self.position, states, marks, forget_below, notes)
        except JournalError:
            self._sequences.mark_changed(index for index, _ in changed)
            raise
        for key in marks:
            del self._marks[key]
        return self.position

    def positions(self, senders: Iterable[tuple[int, int]]) -> list[tuple[Address, int, int]]:
        """Return (address, boot, seq) up to which each of these boots is on disk without a hole."""
        found = ((device, boot, self._sequences.contiguous(device, boot)) for device, boot in sorted(senders))
        return [(self._devices.address(device), boot, seq) for device, boot, seq in found if seq >= 0]


def _numbered(rejects: Iterable[Reject]) -> set[tuple[int, int]]:
    return {(r.device, r.boot) for r in rejects if r.device is not None and NOT_GIVEN not in (r.boot, r.seq)}


def _senders(rows: Rows) -> set[tuple[int, int]]:
    numbered = rows.boot >= 0
    keys = np.unique((rows.device[numbered].astype(np.int64) << 32) | rows.boot[numbered])
    return {(key >> 32, key & 0xFFFFFFFF) for key in keys.tolist()}
