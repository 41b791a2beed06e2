# SPDX-License-Identifier: Apache-2.0
"""Decode a burst into columns; what does not fit is returned with its reason.

The common record goes through one msgspec decoder a kind, which checks names, types and ranges in C; anything it refuses is
judged again the careful way (`gateway.payloads`), which takes what can be taken and says what is wrong with the rest.
Invariants: the same burst always gives the same rows in the same places; a bad record never keeps another from being stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice
from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gateway.payloads import MAX_AHEAD_MS, MAX_BACK_MS, MAX_PAYLOAD, MAX_RECORDS, MAX_UINT32, MAX_ZONE, Record, judge_payload
from gateway.quantities import Catalogue, Kind
from ingest.bursts import StoredBurst
from ingest.devices import DeviceTable
from ingest.store.batch import CLOCK_SERVER, NOT_GIVEN, Rows

__all__ = ["BurstDecoder", "DecodedBurst", "Reject", "mark_rejects", "rejected_places"]

_REFUSALS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # all that a decoder raises on hostile bytes
_HEAD: Final = ("ts", "boot", "seq", "zone")
_ONE_RECORD: Final = frozenset(
    {b"", b"{", *(bytes([first]) for first in range(0xA0, 0xC0))}
)  # first bytes of JSON's and CBOR's maps


@dataclass(frozen=True, slots=True)
class Reject:
    """A record, or a whole payload (`index` None), that goes to quarantine.

    Attributes
    ----------
    payload : int
        Which payload of the burst.
    index : int or None
        Which record of an array.
    device : int or None
        Number of the sending device, when it is known.
    boot, seq : int
        The record's number, `NOT_GIVEN` when it could not be read: a numbered record in quarantine is not a gap.
    """

    payload: int
    index: int | None
    device: int | None
    code: str
    detail: str
    boot: int
    seq: int


@dataclass(frozen=True, slots=True)
class DecodedBurst:
    """The rows of a burst, one `Rows` a kind, and what was rejected of it."""

    position: int
    received_ms: int
    rows: tuple[Rows, ...]
    rejects: tuple[Reject, ...]


@dataclass(slots=True)
class _Taken:
    """Records taken of one kind: the struct, the payload it came in and its place in that payload."""

    records: list[Any] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    within: list[int] = field(default_factory=list)


class _KindDecoder:
    """Decoders of one kind, made once."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.names = tuple(quantity.name for quantity in kind.quantities)
        whole = Annotated[int, Meta(ge=0, le=MAX_UINT32)]
        head: list[tuple[str, Any, Any]] = [
            ("ts", Annotated[int, Meta(ge=0, le=2**53)], NOT_GIVEN),
            ("boot", whole, NOT_GIVEN),
            ("seq", whole, NOT_GIVEN),
            ("zone", Annotated[int, Meta(ge=1, le=MAX_ZONE)], 1),
        ]
        # The default NaN stands for "not measured" in every column, also of booleans; defaults are not checked by type.
        columns: list[tuple[str, Any, Any]] = [
            (q.name, bool if q.boolean else Annotated[float, Meta(ge=q.low, le=q.high)], math.nan) for q in kind.quantities
        ]
        self.struct = msgspec.defstruct(f"Record_{kind.name}", head + columns, forbid_unknown_fields=True, gc=False)
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(self.struct).decode
        self.decode_list: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list[self.struct]).decode  # type: ignore[name-defined]

    def from_record(self, record: Record) -> Any:
        head = (record.ts_ms, record.boot, record.seq)
        ts, boot, seq = (NOT_GIVEN if value is None else value for value in head)
        return self.struct(ts=ts, boot=boot, seq=seq, zone=record.zone, **record.values)


class BurstDecoder:
    """Decode bursts of telemetry by the kinds of the devices that sent them."""

    def __init__(self, devices: DeviceTable, catalogue: Catalogue) -> None:
        self._devices = devices
        self._catalogue = catalogue
        self._decoders: dict[str, _KindDecoder] = {}

    def decode(self, position: int, burst: StoredBurst, kept_from_ms: int = 0) -> DecodedBurst:
        """Return the rows and rejects of the burst at `position` of the journal.

        Parameters
        ----------
        kept_from_ms : int
            What was measured before is too old to be kept. [ms since the Unix epoch]
        """
        indexes, groups, rejects = self._group(burst)
        taken = [(decoder, self._take(decoder, burst, members, indexes, rejects)) for decoder, members in groups]
        offsets = _offsets(burst.payloads)
        rows = (self._rows(decoder, part, burst, indexes, offsets, kept_from_ms, rejects) for decoder, part in taken)
        return DecodedBurst(position, burst.received_ms, tuple(part for part in rows if len(part)), tuple(rejects))

    def _group(
        self, burst: StoredBurst
    ) -> tuple[NDArray[np.int32], list[tuple[_KindDecoder, Sequence[int] | None]], list[Reject]]:
        find = self._devices.by_topic.get
        indexes = np.fromiter((-1 if i is None else i for i in map(find, burst.topics)), np.int32, len(burst.topics))
        rejects: list[Reject] = []
        by_kind: dict[str, tuple[Kind, list[int]]] = {}
        distinct = np.unique(indexes)
        for index in distinct.tolist():
            kind = self._devices.kind(index) if index >= 0 else None
            if kind is None:
                members = np.flatnonzero(indexes == index).tolist()
                rejects += [_unknown_device(burst.topics[i], i, index) for i in members]
            else:
                by_kind.setdefault(kind.name, (kind, []))[1].append(index)
        groups: list[tuple[_KindDecoder, Sequence[int] | None]] = []
        for kind, numbers in by_kind.values():
            everybody = len(numbers) == len(distinct)
            groups.append((self._decoder(kind), None if everybody else np.flatnonzero(np.isin(indexes, numbers)).tolist()))
        return indexes, groups, rejects

    def _decoder(self, kind: Kind) -> _KindDecoder:
        decoder = self._decoders.get(kind.name)
        if decoder is None or decoder.kind is not kind:
            decoder = self._decoders[kind.name] = _KindDecoder(kind)
        return decoder

    def _take(
        self,
        decoder: _KindDecoder,
        burst: StoredBurst,
        members: Sequence[int] | None,
        indexes: NDArray[np.int32],
        rejects: list[Reject],
    ) -> _Taken:
        payloads = burst.payloads if members is None else [burst.payloads[i] for i in members]
        places = range(len(payloads)) if members is None else members
        if max(map(len, payloads)) <= MAX_PAYLOAD:
            try:
                records = list(map(decoder.decode, payloads))
            except _REFUSALS:
                pass  # at least one does not fit: one by one
            else:
                return _Taken(records, list(places), [0] * len(records))
        taken = _Taken()
        for place, payload in zip(places, payloads, strict=True):
            self._take_one(decoder, burst, place, payload, int(indexes[place]), taken, rejects)
        return taken

    def _take_one(
        self,
        decoder: _KindDecoder,
        burst: StoredBurst,
        place: int,
        payload: bytes,
        device: int,
        taken: _Taken,
        rejects: list[Reject],
    ) -> None:
        records: list[Any] | None = None
        bad_at: set[int | None] = set()
        if len(payload) <= MAX_PAYLOAD:
            try:
                records = decoder.decode_list(payload) if payload[:1] == b"[" else [decoder.decode(payload)]
            except _REFUSALS:
                records = None
        if records is None or len(records) > MAX_RECORDS:
            good, bad = judge_payload(payload, decoder.kind, self._catalogue, burst.received_ms)
            records = [decoder.from_record(record) for record in good]
            bad_at = {part.index for part in bad}
            rejects += [_reject(place, device, part.index, part.code, part.detail, part.boot, part.seq) for part in bad]
        taken.records += records
        taken.owner += [place] * len(records)
        taken.within += islice((index for index in count() if index not in bad_at), len(records))

    def _rows(
        self,
        decoder: _KindDecoder,
        taken: _Taken,
        burst: StoredBurst,
        indexes: NDArray[np.int32],
        offsets: NDArray[np.int64] | None,
        kept_from_ms: int,
        rejects: list[Reject],
    ) -> Rows:
        count, width = len(taken.records), len(_HEAD) + len(decoder.names)
        flat = np.fromiter(chain.from_iterable(map(msgspec.structs.astuple, taken.records)), np.float64, count * width)
        columns = flat.reshape(count, width).T.copy()
        owner = np.array(taken.owner, np.int64)
        place = owner if offsets is None else offsets[owner] + np.array(taken.within, np.int64)
        ts_ms = columns[0].astype(np.int64)
        absent = ts_ms == NOT_GIVEN
        ts_ms[absent] = burst.received_ms
        device, zone = indexes[owner], columns[3].astype(np.uint8)
        strange = ~self._devices.has_zones(device, zone)
        oldest_ms = max(burst.received_ms - MAX_BACK_MS, kept_from_ms)
        wrong = strange | (ts_ms > burst.received_ms + MAX_AHEAD_MS) | (ts_ms < oldest_ms)
        boot, seq = columns[1].astype(np.int64), columns[2].astype(np.int64)
        keep: slice | NDArray[np.bool_] = slice(None)
        if wrong.any():
            for i in np.flatnonzero(wrong).tolist():
                if strange[i]:
                    code, detail = _wrong_zone(int(zone[i]), self._devices.zones(int(device[i])))
                else:
                    code, detail = _wrong_time(int(ts_ms[i]), burst.received_ms, kept_from_ms)
                at = (taken.owner[i], int(device[i]), taken.within[i])
                rejects.append(_reject(*at, code, detail, int(boot[i]), int(seq[i])))
            keep = ~wrong
        values = {}
        for name, column in zip(decoder.names, columns[len(_HEAD) :], strict=True):
            kept = column[keep]
            if not np.isnan(kept).all():
                values[name] = kept
        return Rows(
            kind=decoder.kind.name,
            device=device[keep],
            zone=zone[keep],
            ts_ms=ts_ms[keep],
            boot=boot[keep],
            seq=seq[keep],
            place=place[keep],
            flags=np.where(absent, CLOCK_SERVER, 0).astype(np.uint8)[keep],
            values=values,
        )


def _offsets(payloads: Sequence[bytes]) -> NDArray[np.int64] | None:
    """Return the place of each payload's first record; None where each payload holds one.

    By the bytes alone, whoever is registered when they are decoded: a store that is behind tells duplicates by their place.
    """
    if {payload[:1] for payload in payloads} <= _ONE_RECORD:
        return None
    room = np.fromiter((1 if payload[:1] in _ONE_RECORD else MAX_RECORDS for payload in payloads), np.int64, len(payloads))
    return np.asarray(np.cumsum(room) - room, np.int64)


def mark_rejects(rejects: Iterable[Reject]) -> NDArray[np.int64]:
    """Return which records these are, shape (n,), to be kept for `rejected_places`."""
    return np.array([reject.payload << 16 | (0 if reject.index is None else reject.index + 1) for reject in rejects], np.int64)


def rejected_places(payloads: Sequence[bytes], marks: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places [start, end) of records that were rejected once: starts and ends, ascending, shape (n,).

    They stay rejected for a store that is behind, whatever was mended meanwhile: they come back from quarantine or not at all.
    """
    marks = np.unique(marks)
    payload, index = marks >> 16, (marks & 0xFFFF) - 1
    offsets = _offsets(payloads)
    first = payload if offsets is None else offsets[payload]
    room = np.array([1 if payloads[i][:1] in _ONE_RECORD else MAX_RECORDS for i in payload.tolist()], np.int64)
    whole = index < 0
    return np.where(whole, first, first + index), np.where(whole, first + room, first + index + 1)


def _wrong_zone(zone: int, known: list[int]) -> tuple[str, str]:
    return "bad-zone", f"zone {zone}: this device is registered with {', '.join(map(str, known)) or 'no zones'}"


def _wrong_time(ts_ms: int, now_ms: int, kept_from_ms: int) -> tuple[str, str]:
    if ts_ms > now_ms + MAX_AHEAD_MS:
        return "ts-ahead", f"ts {ts_ms} is more than 24 h ahead of the platform's {now_ms}; is it in ms?"
    if ts_ms >= now_ms - MAX_BACK_MS:
        return "ts-behind", f"ts {ts_ms} is too old: the platform keeps records from {kept_from_ms} on (retention.raw_days)"
    return "ts-behind", f"ts {ts_ms} is more than 400 days behind {now_ms}; is it in ms?"


def _unknown_device(topic: str, payload: int, index: int) -> Reject:
    detail = f"{topic}: no such device is registered; add it with: tirta device add"
    return _reject(payload, index if index >= 0 else None, None, "unknown-device", detail, NOT_GIVEN, NOT_GIVEN)


def _reject(
    payload: int, device: int | None, index: int | None, code: str, detail: str, boot: int | None, seq: int | None
) -> Reject:
    boot, seq = (NOT_GIVEN if value is None or not 0 <= value <= MAX_UINT32 else value for value in (boot, seq))
    return Reject(payload, index, device, code, detail, boot, seq)
