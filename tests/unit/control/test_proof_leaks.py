# SPDX-License-Identifier: Apache-2.0
"""Flow while all is shut, by the newest readings of many zones at once."""

from __future__ import annotations

import math

import numpy as np

from control.proof_leaks import LEAST_L_MIN, UNDER_WAY, LeakWatch, MeterReadings, flowing_shut

NOW = 1_795_305_600_000


def readings(*rows: tuple[int, float, float, int]) -> MeterReadings:
    """Return readings, each of device, flow, valve, and the time of the flow since `NOW`; quiet since a minute before."""
    device, flow, valve, at_ms = zip(*rows, strict=True)
    quiet = np.full(len(rows), NOW - 60_000)
    return MeterReadings(np.array(device), np.array(flow), np.array(valve), NOW + np.array(at_ms), quiet)


def test_flowing_shut_tells_only_of_devices_all_of_whose_valves_are_shut() -> None:
    seen = readings((0, 0.5, 0.0, 0), (0, 0.0, 0.0, 0), (1, 0.5, 0.0, 0), (1, 12.0, 1.0, 0), (2, 0.5, math.nan, 0))
    flows, unsure = flowing_shut(seen)
    assert flows.tolist() == [True, False, False, False, True]
    assert unsure.tolist() == [False, False, True, True, False]


def test_flowing_shut_passes_over_what_was_read_before_the_pipe_was_empty_and_what_was_never_read() -> None:
    seen = readings((0, 0.5, 0.0, -1), (1, math.nan, 0.0, 0), (2, LEAST_L_MIN - 0.01, 0.0, 0))
    flows, unsure = flowing_shut(seen)
    assert flows.tolist() == [False, False, False]
    assert unsure.tolist() == [True, True, False]


def test_flowing_shut_tells_nothing_while_an_act_is_under_way_and_of_no_zones() -> None:
    one = readings((0, 0.5, 0.0, 0))
    busy = MeterReadings(one.device, one.flow, one.valve, one.flow_ms, np.array([UNDER_WAY]))
    assert [each.tolist() for each in flowing_shut(busy)] == [[False], [True]]
    none = MeterReadings(*(column[:0] for column in (one.device, one.flow, one.valve, one.flow_ms, one.quiet_since_ms)))
    assert [each.tolist() for each in flowing_shut(none)] == [[], []]


def test_look_tells_a_leak_by_the_second_reading_and_its_end_by_the_first_dry_one() -> None:
    watch = LeakWatch()
    assert watch.look(["a"], readings((0, 0.5, 0.0, 0)), ()) == {}
    assert watch.look(["a"], readings((0, 0.5, 0.0, 0)), ()) == {}  # the same reading again
    assert watch.look(["a"], readings((0, 12.0, 1.0, 0)), ()) == {}  # it waters: nothing can be told
    assert watch.look(["a"], readings((0, 0.6, 0.0, 60_000)), ()) == {"a": 0.6}
    assert watch.look(["a"], readings((0, 12.0, 1.0, 120_000)), {"a"}) == {}
    assert watch.look(["a"], readings((0, 0.0, 0.0, 180_000)), {"a"}) == {"a": None}


def test_look_after_a_dry_reading_begins_anew() -> None:
    watch = LeakWatch()
    assert watch.look(["a"], readings((0, 0.5, 0.0, 0)), ()) == {}
    assert watch.look(["a"], readings((0, 0.0, 0.0, 60_000)), ()) == {}
    assert watch.look(["a"], readings((0, 0.5, 0.0, 120_000)), ()) == {}
