# SPDX-License-Identifier: Apache-2.0
"""How many new records stand in the journal before a position, so that what a store missed is counted when it is gone.

Kept with the checkpoint, for the positions of checkpoints alone; the journal is only ever trimmed to one of these. Invariant:
a count is exact or not known, and it is the same again when bursts are decided about again after a crash.
"""

from __future__ import annotations

import json
from typing import Final, Self

__all__ = ["MAX_POSITIONS", "Tally"]

MAX_POSITIONS: Final = 512  # kept; past it every second one goes, and the journal is trimmed in larger pieces


class Tally:
    """Counts of new records by position of the journal; one thread changes it, any may ask.

    Attributes
    ----------
    records : int
        All since `begin`.
    begin : int
        The position from which on they were counted: 1, or where a folder of before they were counted stood.
    """

    def __init__(self, begin: int = 1) -> None:
        self.records = 0
        self.begin = begin
        self._known = {begin: 0}  # replaced as a whole, for those who ask meanwhile

    @classmethod
    def load(cls, text: str | None, position: int) -> Self:
        """Return what `dump` gave; without it one that begins behind the checkpoint's `position`."""
        if text is None:
            return cls(position + 1)
        kept = json.loads(text)
        made = cls(kept["begin"])
        made.records = kept["records"]
        made._known = dict(kept["known"])
        return made

    def dump(self) -> str:
        """Return everything as text."""
        kept = {"begin": self.begin, "records": self.records, "known": list(self._known.items())}
        return json.dumps(kept, separators=(",", ":"))

    def add(self, records: int) -> None:
        """Count new records of the next position."""
        self.records += records

    def note(self, position: int, forget_below: int) -> None:
        """Keep the count before `position`, up to where all is counted; those before `forget_below` are needed no longer."""
        known = {at: records for at, records in self._known.items() if forget_below <= at < position}
        if len(known) >= MAX_POSITIONS:
            known = {at: known[at] for at in list(known)[::2]}
        self._known = {**known, position: self.records}

    def floor(self, position: int) -> int:
        """Return the last position not beyond `position` whose count is known, 0 if there is none."""
        return max((at for at in self._known if at <= position), default=0)

    def before(self, position: int) -> int | None:
        """Return how many new records stand before a position, None where that is not known."""
        if position <= 1:
            return 0 if self.begin == 1 else None
        return self._known.get(position)
