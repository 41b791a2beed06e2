# SPDX-License-Identifier: Apache-2.0
"""The clock: whether this machine's is kept, and whether boards get the time from it.

Boards take it by SNTP (RFC 4330) from this machine, so that is asked as a board would, whatever serves it; docs/tls.md
says how to have chrony do so.
"""

from __future__ import annotations

import csv
import socket
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.processes import find_executable
from tirta.findings import Finding
from tirta.host_clock import clock_synchronised

__all__ = ["Tracking", "ask_time", "examine_clock", "examine_time_service", "parse_tracking"]

_EARLIEST: Final = 1_767_225_600  # 2026-01-01: a clock before it was never set [s since the Unix epoch]
_OWN_CLOCK: Final = "7F7F0101"  # chrony's id for `local` without a source
_SYSTEMD: Final = Path("/run/systemd/system")  # there where systemd runs the machine
_OFF_MAX_S: Final = 1.0  # acts begin to the second
_TIMEOUT_S: Final = 3.0
_ANSWER_S: Final = 1.0  # an answer from this very machine takes no longer [s]
_NTP_EPOCH: Final = 2_208_988_800  # from 1900 to 1970 (RFC 4330, section 3) [s]
_ERA: Final = 1 << 32  # the count of seconds begins anew in 2036 [s]
_ASK: Final = bytes([4 << 3 | 3]) + bytes(47)  # version 4, a client's question (RFC 4330, section 4)


@dataclass(frozen=True, slots=True)
class Tracking:
    """What chrony says of this machine's clock.

    Attributes
    ----------
    stratum : int
        How far it is from a clock of its own kind; 0 not known.
    offset_s : float
        How far the clock is off, ahead above 0. [s]
    synchronised : bool
        Whether chrony has a source.
    """

    source: str
    stratum: int
    offset_s: float
    synchronised: bool


def parse_tracking(text: str) -> Tracking | None:
    """Read what `chronyc -c tracking` prints; None where it is something else."""
    rows = list(csv.reader(text.splitlines()))
    if len(rows) != 1 or len(rows[0]) != 14:
        return None
    row = rows[0]
    try:
        stratum, slow_s = int(row[2]), float(row[4])
    except ValueError:
        return None
    source = "its own clock, which has no source" if row[0] == _OWN_CLOCK else row[1] or row[0]
    return Tracking(source, stratum, -slow_s, row[13] != "Not synchronised" and stratum > 0)


def examine_clock() -> Finding:
    """Look whether this machine's clock is kept."""
    if time.time() < _EARLIEST:
        return Finding("clock", False, "the clock was never set; set it, or install chrony: acts and schedules depend on it")
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    tracking = _tracking()
    if tracking is not None:
        if not tracking.synchronised:
            return Finding("clock", False, "chrony has no source yet; see: chronyc sources, and its network")
        off = f"{abs(tracking.offset_s) * 1000:.1f} ms off {tracking.source}"
        if abs(tracking.offset_s) > _OFF_MAX_S:
            return Finding("clock", False, f"the clock is {off}; chrony brings it back slowly, at once with: chronyc makestep")
        return Finding("clock", True, f"{now}, {off}, by chrony")
    if clock_synchronised() is False:
        if _SYSTEMD.exists():
            return Finding("clock", False, "the clock is not synchronised; install chrony, or start systemd-timesyncd")
        return Finding("clock", True, f"{now}; in a container: see that the machine around it keeps its clock")
    return Finding("clock", True, now)


def _tracking() -> Tracking | None:
    """Ask chrony, where it runs."""
    chronyc = find_executable("chronyc")
    if chronyc is None:
        return None
    try:
        asked = subprocess.run(
            [chronyc, "-c", "tracking"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_tracking(asked.stdout) if asked.returncode == 0 else None


def ask_time(address: str, port: int = 123) -> float | None:
    """Ask for the time as a board would; return how far the answer is ahead of our clock, or None where there is none. [s]

    An answer that says of itself that it is not set does not count: boards pass it over (RFC 4330, section 5).
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_ANSWER_S)
        try:
            asking.connect((address, port))
            asking.send(_ASK)
            answer = asking.recv(1024)
        except OSError:
            return None
    if len(answer) < 48:
        return None
    leap, mode, stratum = answer[0] >> 6, answer[0] & 7, answer[1]
    seconds, fraction = struct.unpack("!II", answer[40:48])
    if mode != 4 or leap == 3 or not 1 <= stratum <= 15 or seconds == 0:
        return None
    era = 0 if seconds >= _ERA // 2 else _ERA
    return float(seconds + era - _NTP_EPOCH + fraction / _ERA - time.time())


def examine_time_service(addresses: Sequence[str], port: int = 123) -> Finding:
    """Look whether boards get the time at these addresses of this machine."""
    silent = []
    for address in addresses:
        ahead_s = ask_time(address, port)
        if ahead_s is None:
            silent.append(address)
        elif abs(ahead_s) > _OFF_MAX_S:
            return Finding("time", False, f"the time that boards get at {address} is {ahead_s:+.1f} s off this machine's clock")
    if silent:
        return Finding(
            "time",
            False,
            f"boards get no time at {', '.join(silent)} (UDP {port}): install chrony and allow their network (docs/tls.md)",
        )
    return Finding("time", True, f"boards get it at {', '.join(addresses)}")
