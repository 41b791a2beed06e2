# SPDX-License-Identifier: Apache-2.0
"""What chrony says of the clock, as text."""

from __future__ import annotations

import pytest

from tirta.doctor_clock import parse_tracking

# One line of `chronyc -c tracking`: id, name, stratum, time, offset of the clock, last, mean, frequency, residual, skew,
# delay and dispersion to the root, interval, leap.
KEPT = (
    "C0A80101,192.168.1.1,3,1795395000.120000000,0.000123456,-0.000010000,0.000090000,"
    "-3.210,0.001,0.050,0.012000000,0.001500000,64.2,Normal"
)
LOST = (
    "00000000,,0,0.000000000,0.000000000,0.000000000,0.000000000,0.000,0.000,0.000,1.000000000,1.000000000,0.0,Not synchronised"
)


def test_parse_tracking_of_a_kept_clock_names_its_source_and_how_far_it_is_off() -> None:
    tracking = parse_tracking(KEPT + "\n")

    assert tracking is not None
    assert (tracking.source, tracking.stratum, tracking.synchronised) == ("192.168.1.1", 3, True)
    assert tracking.offset_s == pytest.approx(-0.000123456)  # chrony's is above 0 where the clock is behind


def test_parse_tracking_without_a_source_is_not_synchronised() -> None:
    tracking = parse_tracking(LOST)

    assert tracking is not None
    assert not tracking.synchronised


@pytest.mark.parametrize("text", ["", "506 Cannot talk to daemon", "a,b,c", KEPT + "\n" + KEPT, KEPT.replace(",3,", ",x,")])
def test_parse_tracking_of_something_else_is_none(text: str) -> None:
    assert parse_tracking(text) is None
