# SPDX-License-Identifier: Apache-2.0
"""Telemetry payloads: bytes to records, judged record by record.

The careful way, with a reason for everything that does not fit; ingest has a fast way for the common case and comes here
for the rest. Invariant: whatever the bytes are, the answer is records and reasons, never another exception.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
import msgspec

from gateway.errors import InvalidMessage
from gateway.quantities import Catalogue, Kind, Quantity

__all__ = [
    "MAX_AHEAD_MS",
    "MAX_BACK_MS",
    "MAX_DEPTH",
    "MAX_PAYLOAD",
    "MAX_RECORDS",
    "MAX_UINT32",
    "MAX_ZONE",
    "Record",
    "Rejected",
    "decode_object",
    "encode_object",
    "judge_payload",
    "judge_record",
]

MAX_PAYLOAD: Final = 65536  # a payload [bytes]
MAX_RECORDS: Final = 500  # records in one payload
MAX_DEPTH: Final = 4  # containers inside one another
MAX_ZONE: Final = 64
MAX_UINT32: Final = 2**32 - 1  # boot and seq
MAX_AHEAD_MS: Final = 24 * 3600 * 1000  # a time of measurement may be ahead of the platform's by this [ms]
MAX_BACK_MS: Final = 400 * 24 * 3600 * 1000  # and behind it by this [ms]
_CBOR_FIRST: Final = 0x80  # JSON begins with ASCII; a CBOR array, map or tag does not
_MAX_NODES: Final = MAX_PAYLOAD  # no payload within the limit holds more values than bytes
_MAX_DIGITS: Final = 400  # an integer of more is beyond every double, and slow to read


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement of one zone.

    Attributes
    ----------
    ts_ms : int or None
        Time of measurement [ms since the Unix epoch, UTC]; None when the device did not say.
    boot, seq : int or None
        The device's restart count and its record count since then.
    values : mapping
        Quantity name to value in the catalogue's unit; booleans as 0.0 and 1.0.
    """

    ts_ms: int | None
    boot: int | None
    seq: int | None
    zone: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or a whole payload (`index` None), that was not taken, and why; its number where it could be read."""

    index: int | None
    code: str
    detail: str
    boot: int | None
    seq: int | None


def decode_object(payload: bytes) -> object:
    """Decode JSON or CBOR, told apart by the first byte, to plain Python values.

    Raises
    ------
    InvalidMessage
        `too-large`, `too-deep` or `malformed`.
    """
    if len(payload) > MAX_PAYLOAD:
        raise InvalidMessage("too-large", f"{len(payload)} bytes; a payload holds up to {MAX_PAYLOAD}")
    value = _decode_cbor(payload) if payload[:1] >= bytes([_CBOR_FIRST]) else _decode_json(payload)
    _check_depth(value)
    return value


def encode_object(value: object, *, cbor: bool = False) -> bytes:
    """Encode plain Python values as JSON, or as CBOR."""
    return cbor2.dumps(value) if cbor else msgspec.json.encode(value)


def _decode_json(payload: bytes) -> object:
    try:
        return msgspec.json.decode(payload)
    except RecursionError as exc:
        raise InvalidMessage("too-deep", f"containers may be nested {MAX_DEPTH} deep") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return _decode_lenient_json(payload, str(exc))


def _decode_lenient_json(payload: bytes, complaint: str) -> object:
    # Python's own reader takes NaN, Infinity and 1e400, which boards do print: with it only that record is refused,
    # not the whole payload. It takes half a surrogate pair too, which no text can hold: writing it out finds that.
    try:
        value: object = json.loads(payload.decode("utf-8"), parse_int=_parse_int)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as exc:
        raise InvalidMessage("too-deep", f"containers may be nested {MAX_DEPTH} deep") from exc
    except ValueError as exc:
        raise InvalidMessage("malformed", complaint) from exc
    return value


def _parse_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


@dataclass(frozen=True, slots=True, eq=False)
class _Tagged:
    """What stood behind a CBOR tag. No tag means anything here; it is kept to be looked into for its depth."""

    value: object


class _TagDecoders(dict[int, Callable[[Any, bool], object]]):
    """Opaque answers to every tag, but for integers too long for eight bytes.

    cbor2 would make dates, patterns and shared values of them; a value shared with itself over and over takes for ever to
    look at.
    """

    def __missing__(self, tag: int) -> Callable[[Any, bool], object]:
        return _tagged


def _tagged(value: Any, _immutable: bool) -> object:
    return _Tagged(value)


def _big_integer(value: Any, _immutable: bool) -> object:
    return int.from_bytes(value) if isinstance(value, bytes) else _Tagged(value)


def _big_negative(value: Any, _immutable: bool) -> object:
    return -1 - int.from_bytes(value) if isinstance(value, bytes) else _Tagged(value)


def _decode_cbor(payload: bytes) -> object:
    stream = io.BytesIO(payload)
    tags = _TagDecoders({2: _big_integer, 3: _big_negative})
    try:
        value: object = cbor2.CBORDecoder(stream, max_depth=64, read_size=1, semantic_decoders=tags).decode()
    except cbor2.CBORError as exc:
        code = "too-deep" if "nesting" in str(exc) else "malformed"
        raise InvalidMessage(code, f"CBOR: {exc}") from exc
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as exc:
        raise InvalidMessage("malformed", f"CBOR: {type(exc).__name__}") from exc
    if stream.tell() != len(payload):
        raise InvalidMessage("malformed", "CBOR: more bytes after the end of the value")
    return value


def _check_depth(value: object) -> None:
    level, depth, nodes = [value], 0, 0
    while level := [item for item in map(_untagged, level) if isinstance(item, (dict, list, tuple))]:
        depth += 1
        nodes += sum(len(item) for item in level)
        if depth > MAX_DEPTH or nodes > _MAX_NODES:
            raise InvalidMessage("too-deep", f"containers may be nested {MAX_DEPTH} deep")
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]


def _untagged(value: object) -> object:
    while isinstance(value, _Tagged):
        value = value.value
    return value


def judge_payload(payload: bytes, kind: Kind, catalogue: Catalogue, now_ms: int) -> tuple[list[Record], list[Rejected]]:
    """Decode a telemetry payload; bad records do not keep good ones from being taken.

    Parameters
    ----------
    kind : Kind
        What the sending device is.
    now_ms : int
        The platform's time, against which a record's own time is judged. [ms since the Unix epoch]
    """
    try:
        value = decode_object(payload)
    except InvalidMessage as exc:
        return [], [Rejected(None, exc.code, exc.detail, None, None)]
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_RECORDS:
        detail = f"{len(items)} records; a payload holds up to {MAX_RECORDS}"
        return [], [Rejected(None, "too-many-records", detail, None, None)]
    records: list[Record] = []
    rejected: list[Rejected] = []
    for index, item in enumerate(items):
        try:
            records.append(judge_record(item, kind, catalogue, now_ms))
        except InvalidMessage as exc:
            boot, seq = (item.get("boot"), item.get("seq")) if isinstance(item, dict) else (None, None)
            rejected.append(Rejected(index, exc.code, exc.detail, _as_number(boot), _as_number(seq)))
    return records, rejected


def judge_record(item: object, kind: Kind, catalogue: Catalogue, now_ms: int) -> Record:
    """Check one decoded record against the contract.

    Raises
    ------
    InvalidMessage
        With the contract's code and what was wrong.
    """
    if not isinstance(item, dict):
        raise InvalidMessage("not-a-record", f"a record is an object, this is {_shown(item)}")
    item = {name: value for name, value in item.items() if value is not None}  # null is the same as left out
    # The names first: a misspelt one is what the person at the bench most needs to hear of.
    for name in item:
        if name not in ("ts", "boot", "seq", "zone"):
            _find_quantity(name, kind, catalogue)
    ts_ms = _time(item["ts"], now_ms) if "ts" in item else None
    boot = _whole("bad-boot", "boot", item["boot"], 0, MAX_UINT32) if "boot" in item else None
    seq = _whole("bad-seq", "seq", item["seq"], 0, MAX_UINT32) if "seq" in item else None
    zone = _whole("bad-zone", "zone", item.get("zone", 1), 1, MAX_ZONE)
    values = {}
    for quantity in kind.quantities:
        if quantity.name in item:
            values[quantity.name] = _value(quantity, item[quantity.name])
    return Record(ts_ms, boot, seq, zone, values)


def _find_quantity(name: Any, kind: Kind, catalogue: Catalogue) -> Quantity:
    if not isinstance(name, str):
        raise InvalidMessage("unknown-quantity", f"a name is text, this is {_shown(name)}")
    found = kind.quantity(name)
    if found is not None:
        return found
    if name in catalogue.quantities:
        raise InvalidMessage("not-in-kind", f"{name}: a {kind.name} does not measure it")
    near = catalogue.suggest(name, kind)
    hint = f": did you mean {near}?" if near else ": see the catalogue of quantities"
    raise InvalidMessage("unknown-quantity", f"{_shown(name)}{hint}")


def _time(value: object, now_ms: int) -> int:
    ts_ms = _whole("bad-ts", "ts", value, 0, 2**53)
    if ts_ms > now_ms + MAX_AHEAD_MS:
        raise InvalidMessage("ts-ahead", f"ts {ts_ms} is more than 24 h ahead of the platform's {now_ms}; is it in ms?")
    if ts_ms < now_ms - MAX_BACK_MS:
        raise InvalidMessage("ts-behind", f"ts {ts_ms} is more than 400 days behind {now_ms}; is it in ms?")
    return ts_ms


def _whole(code: str, name: str, value: object, low: int, high: int) -> int:
    number = _as_int(value)
    if number is None or not low <= number <= high:
        raise InvalidMessage(code, f"{name} is {_shown(value)}; it is a whole number from {low} to {high}")
    return number


def _as_int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _as_number(value: object) -> int | None:
    number = _as_int(value)
    return number if number is not None and 0 <= number <= MAX_UINT32 else None


def _value(quantity: Quantity, value: object) -> float:
    if quantity.boolean:
        if not isinstance(value, bool):
            raise InvalidMessage("wrong-type", f"{quantity.name} is {_shown(value)}; it is true or false")
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidMessage("wrong-type", f"{quantity.name} is {_shown(value)}; it is a number in {quantity.unit}")
    if not quantity.low <= value <= quantity.high:  # nor is NaN, and an integer beyond every double is compared as it is
        span = f"{quantity.low:g} to {quantity.high:g} {quantity.unit}"
        raise InvalidMessage("out-of-range", f"{quantity.name} is {_shown(value)}; it lies within {span}")
    return float(value)


def _shown(value: object) -> str:
    """Return a short form of a hostile value, fit for an error text."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**64:
        return "a very large number"
    if not isinstance(value, (str, bytes, int, float, type(None))):
        return "a tagged value" if isinstance(value, _Tagged) else f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
