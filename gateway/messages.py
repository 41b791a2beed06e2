# SPDX-License-Identifier: Apache-2.0
"""The contract's messages besides telemetry: status, command, ack, config, reported, stored, error.

Unknown keys are passed over, so that a newer device can speak to an older platform; known ones are checked.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from gateway.errors import InvalidMessage
from gateway.payloads import MAX_UINT32, MAX_ZONE, decode_object, encode_object

__all__ = [
    "ACK_STATES",
    "FINAL_ACK_STATES",
    "Ack",
    "Amount",
    "Command",
    "Config",
    "ErrorNote",
    "LedgerEntry",
    "Position",
    "Reported",
    "Status",
    "Stored",
    "ZoneLimits",
    "decode_message",
    "encode_message",
]

ACK_STATES: Final = ("accepted", "running", "done", "failed", "rejected", "indeterminate")
FINAL_ACK_STATES: Final = frozenset({"done", "failed", "rejected", "indeterminate"})

AckState = Literal["accepted", "running", "done", "failed", "rejected", "indeterminate"]
Uint32 = Annotated[int, Meta(ge=0, le=MAX_UINT32)]
Millis = Annotated[int, Meta(ge=0, le=2**53)]
Zone = Annotated[int, Meta(ge=1, le=MAX_ZONE)]
ActId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}\Z")]
Short = Annotated[str, Meta(max_length=200)]
Magnitude = Annotated[float, Meta(ge=0, le=1e9)]


class Position(msgspec.Struct, frozen=True):
    """A record of a device: its boot and its number within it."""

    boot: Uint32
    seq: Uint32


class Amount(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much: of a command, what to do; of a result, what was truly done. [s, L, g]"""

    seconds: Magnitude | None = None
    litres: Magnitude | None = None
    grams: Magnitude | None = None


class LedgerEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one act ended, or stands, in the device's own ledger."""

    id: ActId
    state: AckState
    reason: Short | None = None
    result: Amount | None = None


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device says of itself; as the last will only that it is gone. `ts` is when, by the clock it judges acts by."""

    online: bool
    kind: Short | None = None
    fw: Short | None = None
    boot: Uint32 | None = None
    zones: Zone | None = None
    n: Uint32 | None = None
    ledger: Annotated[tuple[LedgerEntry, ...], Meta(max_length=256)] = ()
    oldest: Position | None = None
    last: Position | None = None
    rssi: float | None = None
    ts: Millis | None = None


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """An order to a device. `issued` and `expires` in ms since the Unix epoch; `stop` and `ping` carry no `n`."""

    id: ActId
    action: Short
    issued: Millis
    expires: Millis
    n: Uint32 | None = None
    zone: Zone | None = None
    amount: Amount | None = None
    max_seconds: Magnitude | None = None


class Ack(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device's word on a command; `action` and `zone` are told for what was done by hand at the board (id `local-…`)."""

    id: ActId
    state: AckState
    n: Uint32 | None = None
    reason: Short | None = None
    result: Amount | None = None
    ts: Millis | None = None
    action: Short | None = None
    zone: Zone | None = None


class Stored(msgspec.Struct, frozen=True):
    """Everything of `boot` up to and including `seq` is on the platform's disk."""

    boot: Uint32
    seq: Uint32


class ErrorNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was wrong with something the device sent."""

    code: Short
    detail: Short
    seq: Uint32 | None = None


class ZoneLimits(msgspec.Struct, frozen=True):
    """Limits a device keeps by itself for one zone; null is no limit. [s, L per day, g per day]"""

    max_seconds: Magnitude | None = None
    litres_day: Magnitude | None = None
    grams_day: Magnitude | None = None


class Config(msgspec.Struct, frozen=True):
    """The desired configuration of a device."""

    version: Uint32
    telemetry_s: Annotated[int, Meta(ge=1, le=86400)] = 60
    utc_offset_min: Annotated[int, Meta(ge=-840, le=840)] = 0
    zones: dict[str, ZoneLimits] = {}
    calibration: dict[str, Any] = {}
    fallback: dict[str, Any] | None = None


class Reported(Config, frozen=True):
    """The configuration in force, and what was refused of the desired one."""

    refused: dict[str, str] = {}


Message = TypeVar("Message", bound=msgspec.Struct)


def decode_message(payload: bytes, form: type[Message]) -> Message:
    """Decode a payload, JSON or CBOR, as one of the messages above.

    Raises
    ------
    InvalidMessage
        With the contract's code and what was wrong.
    """
    value = decode_object(payload)
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as exc:
        raise InvalidMessage("malformed", f"{form.__name__.lower()}: {exc}") from exc


def encode_message(message: msgspec.Struct, *, cbor: bool = False) -> bytes:
    """Encode one of the messages above as JSON, or as CBOR."""
    return encode_object(msgspec.to_builtins(message) if cbor else message, cbor=cbor)
