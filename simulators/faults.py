# SPDX-License-Identifier: Apache-2.0
"""Faults of virtual devices, each within a time: what is broken, how badly, from when, until when.

    SITE/DEVICE[:ZONE]=FAULT[:NUMBER][@FROM..UNTIL]         FROM and UNTIL since the start, as 90s, 10m or 2h

Invariant: a fault is a function of the instant alone: the same faults and the same seed are the same story.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.payloads import MAX_ZONE
from gateway.topics import Address, is_name
from simulators.errors import InvalidScenario

__all__ = ["DEVICE_FAULTS", "KINDS_OF_FAULT", "MAX_FAULTS", "Fault", "FaultKind", "Faults", "parse_fault"]

MAX_FAULTS: Final = 1_000  # of one device


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A sort of fault: of which kind of device, and the number that says how bad it is.

    Attributes
    ----------
    device : str or None
        The kind of device that can have it; None is any, and then it is of the device as a whole.
    low, high, usual : float or None
        The number's range and what it is when not said; None: it takes no number.
    means : str
        What the number is, with its unit.
    """

    device: str | None
    low: float | None = None
    high: float | None = None
    usual: float | None = None
    means: str = ""


KINDS_OF_FAULT: Final[dict[str, FaultKind]] = {
    "leak": FaultKind("irrigation-controller", 0.01, 1000.0, 1.0, "what runs through the shut valve [L/min]"),
    "burst": FaultKind("irrigation-controller", 1.01, 20.0, 2.5, "the flow, as a multiple of the rated one"),
    "clog": FaultKind("irrigation-controller", 0.01, 1.0, 0.6, "the share of the flow that is lost"),
    "no-water": FaultKind("irrigation-controller"),
    "jam": FaultKind("pond-feeder"),
    "empty-hopper": FaultKind("pond-feeder"),
    "power-cut": FaultKind(None),
    "dropped-replies": FaultKind(None),
}
DEVICE_FAULTS: Final = frozenset(name for name, kind in KINDS_OF_FAULT.items() if kind.device is None)

_FORM: Final = re.compile(
    r"(?P<site>[^/=:@]+)/(?P<device>[^/=:@]+)(?::(?P<zone>[^=@:]*))?"
    r"=(?P<kind>[^:@]+)(?::(?P<value>[^@]*))?(?:@(?P<window>.*))?"
)
_TIME: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(s|m|h)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000}
_WANTED: Final = "a fault is SITE/DEVICE[:ZONE]=FAULT[:NUMBER][@FROM..UNTIL], such as pilot/garden:1=clog:0.6@600s..1800s"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes
    ----------
    zone : int or None
        Of one zone; None is every zone of the device, or the device itself.
    value : float
        How bad, as `KINDS_OF_FAULT` tells; 0 where it takes no number.
    start_ms, end_ms : int or None
        Within [start, end); None has no end. As parsed since the start of the devices, in a device since the Unix epoch. [ms]
    """

    address: Address
    kind: str
    zone: int | None = None
    value: float = 0.0
    start_ms: int = 0
    end_ms: int | None = None

    def active(self, now_ms: int) -> bool:
        """Tell whether it is there at an instant."""
        return self.start_ms <= now_ms and (self.end_ms is None or now_ms < self.end_ms)


class Faults:
    """The faults of one device, at instants of its clock.

    Parameters
    ----------
    faults : iterable of Fault
        Those of other devices are passed over.
    origin_ms : int
        Instant from which their times count. [ms since the Unix epoch]
    """

    def __init__(self, address: Address, faults: Iterable[Fault] = (), origin_ms: int = 0) -> None:
        self.all: tuple[Fault, ...] = tuple(
            replace(
                fault,
                start_ms=fault.start_ms + origin_ms,
                end_ms=None if fault.end_ms is None else fault.end_ms + origin_ms,
            )
            for fault in faults
            if fault.address == address
        )
        edges = {edge for fault in self.all for edge in (fault.start_ms, fault.end_ms) if edge is not None}
        self._edges = sorted(edges)

    def at(self, now_ms: int) -> Sequence[Fault]:
        """Return the faults that are there at an instant."""
        return [fault for fault in self.all if fault.active(now_ms)]

    def has(self, kind: str, now_ms: int) -> bool:
        """Tell whether there is a fault of that sort at an instant."""
        return any(fault.kind == kind and fault.active(now_ms) for fault in self.all)

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return the first instant after `now_ms` at which a fault begins or ends."""
        return next((edge for edge in self._edges if edge > now_ms), None)

    def next_ms(self, kind: str, now_ms: int) -> int | None:
        """Return the first instant from `now_ms` on at which there is a fault of that sort."""
        found = [max(one.start_ms, now_ms) for one in self.all if one.kind == kind and _lies_ahead(one, now_ms)]
        return min(found, default=None)

    def over_ms(self, kind: str, now_ms: int) -> int | None:
        """Return the first instant from `now_ms` on without a fault of that sort; None: it stays."""
        while self.has(kind, now_ms):
            ends = [one.end_ms for one in self.all if one.kind == kind and one.active(now_ms)]
            if None in ends:
                return None
            now_ms = max(end for end in ends if end is not None)
        return now_ms


def parse_fault(text: str) -> Fault:
    """Read a fault as it is written on the command line.

    Raises
    ------
    InvalidScenario
        What is wrong with it, and what would be right.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise InvalidScenario(f"--fault {text!r}: {_WANTED}")
    where, name = f"--fault {text!r}", found["kind"]
    if not (is_name(found["site"]) and is_name(found["device"])):
        raise InvalidScenario(f"{where}: names of sites and devices are 1 to 64 of a-z 0-9 - _")
    kind = KINDS_OF_FAULT.get(name)
    if kind is None:
        raise InvalidScenario(f"{where}: {name!r} is not one of {', '.join(KINDS_OF_FAULT)}")
    start_ms, end_ms = _window(found["window"], where)
    return Fault(
        Address(found["site"], found["device"]),
        name,
        _zone(found["zone"], name, where),
        _value(found["value"], kind, name, where),
        start_ms,
        end_ms,
    )


def _lies_ahead(fault: Fault, now_ms: int) -> bool:
    return fault.end_ms is None or fault.end_ms > now_ms


def _zone(text: str | None, name: str, where: str) -> int | None:
    if text is None:
        return None
    if name in DEVICE_FAULTS:
        raise InvalidScenario(f"{where}: {name} is of the whole device; leave the zone out")
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:4]) <= MAX_ZONE or len(text) > 4:
        raise InvalidScenario(f"{where}: a zone is 1 to {MAX_ZONE}")
    return int(text)


def _value(text: str | None, kind: FaultKind, name: str, where: str) -> float:
    if kind.usual is None or kind.low is None or kind.high is None:
        if text is not None:
            raise InvalidScenario(f"{where}: {name} takes no number")
        return 0.0
    if text is None:
        return kind.usual
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not kind.low <= value <= kind.high:
        raise InvalidScenario(f"{where}: the number of {name} is {kind.means}, {kind.low:g} to {kind.high:g}")
    return value


def _window(text: str | None, where: str) -> tuple[int, int | None]:
    if text is None:
        return 0, None
    start, _, end = text.partition("..")
    start_ms = _time(start, where) if start else 0
    end_ms = _time(end, where) if end else None
    if not (start or end) or (end_ms is not None and end_ms <= start_ms):
        raise InvalidScenario(f"{where}: the time is FROM..UNTIL, FROM or ..UNTIL, with FROM before UNTIL, as 600s..1800s")
    return start_ms, end_ms


def _time(text: str, where: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidScenario(f"{where}: {text!r} is no time since the start; write it as 90s, 10m or 2h")
    return round(float(found[1]) * _UNIT_MS[found[2]])
