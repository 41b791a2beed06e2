# SPDX-License-Identifier: Apache-2.0
"""Holds of several sources on one zone."""

from __future__ import annotations

import numpy as np

from control.holds import Holds
from control.records import Hold
from rules.reasons import Reason

BED, POND = "pilot:garden:1", "pilot:pond:1"


def test_holds_of_two_sources_join_their_bits_and_what_they_tell() -> None:
    holds = Holds([Hold(BED, Reason.PAUSED, {"paused_by": "Sari"}), Hold(BED, Reason.RAIN_DELAY, {"rain_delay_by": "Budi"})])
    assert holds.bits(BED) == Reason.PAUSED | Reason.RAIN_DELAY
    assert holds.inputs(BED) == {"paused_by": "Sari", "rain_delay_by": "Budi"}
    assert len(holds) == 1


def test_holds_that_tell_the_same_keep_the_first_word() -> None:
    holds = Holds([Hold(BED, Reason.PAUSED, {"paused_by": "Sari"}), Hold(BED, Reason.PAUSED, {"paused_by": "Budi"})])
    assert holds.inputs(BED) == {"paused_by": "Sari"}


def test_column_gives_the_bits_of_each_zone_and_nothing_for_others() -> None:
    column = Holds([Hold(POND, 1 << 62)]).column([BED, POND])
    assert column.dtype == np.int64
    assert column.tolist() == [0, 1 << 62]
    assert Holds().column([BED, POND]).tolist() == [0, 0]
