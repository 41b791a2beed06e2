# SPDX-License-Identifier: Apache-2.0
"""When devices were last heard."""

from __future__ import annotations

import numpy as np

from ingest.decode import DecodedBurst, Reject
from ingest.heard import LastHeard
from ingest.store.batch import Rows

ABSENT = np.array([], np.int64)


def burst(at_ms: int, *devices: int, wrong: tuple[int, ...] = (), code: str = "ts-ahead") -> DecodedBurst:
    n = len(devices)
    whole = np.zeros(n, np.int64)
    rows = Rows(
        kind="water-meter",
        device=np.array(devices, np.int32),
        zone=np.ones(n, np.uint8),
        ts_ms=whole,
        boot=whole,
        seq=whole,
        place=whole,
        flags=np.zeros(n, np.uint8),
        values={},
    )
    rejects = tuple(Reject(0, 0, device, code, "", -1, -1) for device in wrong)
    return DecodedBurst(1, at_ms, (rows,) if n else (), rejects)


def test_note_keeps_the_time_of_receipt_of_each_device_and_grows_with_them() -> None:
    heard = LastHeard()
    heard.note([burst(1000, 0, 3, 3), burst(2000, 40), DecodedBurst(3, 3000, (), ())])
    assert heard.heard(np.array([0, 1, 3, 40, 41, 10_000, -1])).tolist() == [1000, 0, 1000, 2000, 0, 0, 0]
    heard.note([burst(4000, 0)])
    assert heard.heard(np.array([0, 3])).tolist() == [4000, 1000]
    assert heard.heard(ABSENT).tolist() == []


def test_note_of_what_was_refused_is_a_word_too_and_three_wrong_times_tell_a_clock() -> None:
    heard = LastHeard()
    heard.note([burst(1000, wrong=(2,)), burst(2000, wrong=(2, 50)), burst(2500, wrong=(2,), code="out-of-range")])
    assert heard.heard(np.array([2, 50])).tolist() == [2500, 2000]
    assert heard.wrong_since(np.array([2, 50, 99])).tolist() == [0, 0, 0]
    heard.note([burst(3000, wrong=(2,)), burst(4000, wrong=(2,), code="ts-behind")])
    assert heard.wrong_since(np.array([2, 50])).tolist() == [2000, 0]
