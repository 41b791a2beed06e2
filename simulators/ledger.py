# SPDX-License-Identifier: Apache-2.0
"""A device's own ledger: what it was told to do, what it began, how that ended, and what it gave each day.

Invariants: an id is begun at most once; `begin` is on non-volatile memory before anything moves; after a restart what was
begun and not finished is indeterminate and stays so.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.messages import Amount, Command, LedgerEntry
from simulators.memory import Memory

__all__ = ["HELD", "Ledger"]

HELD: Final = 256  # commands the ledger holds
TOLD: Final = 16  # of them told in a status
_ROW: Final = "select id, state, reason, result from ledger where device = ? "


class Ledger:
    """Judge commands by what was done before, and keep what is done."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    @property
    def last_n(self) -> int:
        """The last number taken; 0 before the first."""
        return int(str(self._memory.recall("n") or 0))

    def find(self, act_id: str) -> LedgerEntry | None:
        """Return what is known of a command, or None."""
        rows = self._memory.read(_ROW + "and id = ?", act_id)
        return _entry(rows[0]) if rows else None

    def newest(self) -> tuple[LedgerEntry, ...]:
        """Return the last commands, newest first, as told in a status; what was done by hand is told by its ack."""
        rows = self._memory.read(_ROW + "and id not like 'local-%' order by place desc limit ?", TOLD)
        return tuple(_entry(row) for row in rows)

    def reject(self, command: Command, reason: str) -> None:
        """Keep a refusal, so that the same command sent again gets the same answer; its number is used up."""
        with self._memory.atomic():
            self._insert(command, "rejected", reason)

    def begin(self, command: Command, most: Amount) -> None:
        """Keep that the act begins now; only when this has returned may anything move.

        Parameters
        ----------
        most : Amount
            The most it can give; counted for the day if its end is never known.
        """
        with self._memory.atomic():
            self._insert(command, "running", None, most)

    def finish(self, command: Command, state: str, reason: str | None, result: Amount, day: int) -> None:
        """Keep how an act ended, and count what it gave for that day."""
        with self._memory.atomic():
            self._settle(command.id, state, reason, result)
            self._spend(command.zone or 1, day, result.litres or 0.0, result.grams or 0.0)

    def settle_interrupted(self, day: int) -> list[LedgerEntry]:
        """After a restart: make what was begun and not finished indeterminate; return those.

        The most they could give counts for the day: a budget may be left unused, never exceeded.
        """
        rows = self._memory.read("select id, zone, most from ledger where device = ? and state = 'running' order by place")
        for act_id, zone, text in rows:
            most = msgspec.json.decode(str(text), type=Amount)
            with self._memory.atomic():
                self._settle(str(act_id), "indeterminate", None, None)
                self._spend(int(str(zone or 1)), day, most.litres or 0.0, most.grams or 0.0)
        found = [self.find(str(row[0])) for row in rows]
        return [entry for entry in found if entry is not None]

    def number_and_place(self, act_id: str) -> tuple[int | None, str, int | None]:
        """Return the number, action and zone of a known command."""
        n, action, zone = self._memory.read("select n, action, zone from ledger where device = ? and id = ?", act_id)[0]
        return n if isinstance(n, int) else None, str(action), zone if isinstance(zone, int) else None

    def spent(self, zone: int, day: int) -> Amount:
        """Return what a zone was given on one day. [L, g]"""
        rows = self._memory.read("select litres, grams from spent where device = ? and zone = ? and day = ?", zone, day)
        litres, grams = rows[0] if rows else (0.0, 0.0)
        return Amount(litres=float(str(litres)), grams=float(str(grams)))

    def _insert(self, command: Command, state: str, reason: str | None, most: Amount | None = None) -> None:
        text = msgspec.json.encode(most or Amount()).decode()
        self._memory.write(
            "insert into ledger (device, id, n, action, zone, most, state, reason) values (?, ?, ?, ?, ?, ?, ?, ?)",
            command.id, command.n, command.action, command.zone, text, state, reason,
        )  # fmt: skip
        if command.n is not None:
            self._memory.keep("n", max(self.last_n, command.n))
        self._memory.write(
            "delete from ledger where device = ? and state != 'running' and place not in"
            " (select place from ledger where device = ? order by place desc limit ?)",
            self._memory.device,
            HELD,
        )

    def _settle(self, act_id: str, state: str, reason: str | None, result: Amount | None) -> None:
        text = None if result is None else msgspec.json.encode(result).decode()
        self._memory.write(
            "update ledger set state = ?3, reason = ?4, result = ?5 where device = ?1 and id = ?2", act_id, state, reason, text
        )

    def _spend(self, zone: int, day: int, litres: float, grams: float) -> None:
        self._memory.write(
            "insert into spent values (?, ?, ?, ?, ?) on conflict do update"
            " set litres = litres + excluded.litres, grams = grams + excluded.grams",
            zone, day, litres, grams,
        )  # fmt: skip
        self._memory.write("delete from spent where device = ? and day < ?", day - 7)


def _entry(row: tuple[object, ...]) -> LedgerEntry:
    act_id, state, reason, result = row
    return msgspec.convert(
        {
            "id": act_id,
            "state": state,
            "reason": reason,
            "result": None if result is None else msgspec.json.decode(str(result)),
        },
        LedgerEntry,
    )
