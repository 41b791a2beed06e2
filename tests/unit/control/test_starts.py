# SPDX-License-Identifier: Apache-2.0
"""Starts against rules expanded by dateutil alone, printed times of the sun, and days on which clocks are moved."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from control.starts import Almanac, Start, Whereabouts

MAKASSAR, BERLIN = ZoneInfo("Asia/Makassar"), ZoneInfo("Europe/Berlin")
BALIKPAPAN = Whereabouts(MAKASSAR, -1.27, 116.83)
TROMSO = Whereabouts(ZoneInfo("Europe/Oslo"), 69.65, 18.96)
HOUR, DAY = 3_600_000, 86_400_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def start(time: str = "05:30", **rest: Any) -> Start:
    return Start.model_validate({"time": time, **rest})


def told(starts: list[Start], where: Whereabouts, first: str, last: str) -> list[str]:
    """Return the local times of all moments from the one date to the other, both within."""
    zone = where.zone
    begin = int(datetime.fromisoformat(first).replace(tzinfo=zone).timestamp() * 1000)
    end = int((datetime.fromisoformat(last) + timedelta(days=1)).replace(tzinfo=zone).timestamp() * 1000)
    found = Almanac().moments(starts, where, begin - 1, end - 1)
    return [datetime.fromtimestamp(moment.at_ms / 1000, zone).strftime("%m-%d %H:%M") for moment in found]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({"type": "daily"}, list(range(23, 31))),
        ({"type": "weekly", "weekdays": ["mo", "fr"]}, [23, 27, 30]),
        ({"type": "odd"}, [23, 25, 27, 29]),
        ({"type": "even"}, [24, 26, 28, 30]),
        ({"type": "interval", "every_days": 3, "counted_from": "2026-11-21"}, [24, 27, 30]),
        ({"type": "interval", "every_days": 1, "counted_from": "2026-11-29"}, [29, 30]),
        ({"type": "rrule", "rrule": "FREQ=MONTHLY;BYDAY=-1FR", "counted_from": "2026-01-01"}, [27]),
        ({"type": "rrule", "rrule": "freq=daily;interval=2;count=3", "counted_from": "2026-11-24"}, [24, 26, 28]),
        ({"type": "rrule", "rrule": "FREQ=DAILY;UNTIL=20261125", "counted_from": "2026-11-01"}, [23, 24, 25]),
    ],
)
def test_moments_fall_on_the_days_named(days: dict[str, Any], expected: list[int]) -> None:
    assert told([start(days=days)], BALIKPAPAN, "2026-11-23", "2026-11-30") == [f"11-{day} 05:30" for day in expected]


def test_moments_are_left_out_on_exceptions_and_outside_first_and_last() -> None:
    limited = start(first="2026-11-24", last="2026-11-27", not_on=["2026-11-25"])
    assert told([limited], BALIKPAPAN, "2026-11-20", "2026-11-30") == ["11-24 05:30", "11-26 05:30", "11-27 05:30"]


def test_moments_follow_the_holidays_of_the_agency() -> None:
    where = Whereabouts(MAKASSAR, holidays=frozenset({date(2026, 11, 24)}))
    assert told([start(holidays="not")], where, "2026-11-23", "2026-11-25") == ["11-23 05:30", "11-25 05:30"]
    assert told([start(holidays="only")], where, "2026-11-23", "2026-11-25") == ["11-24 05:30"]
    assert len(told([start()], where, "2026-11-23", "2026-11-25")) == 3


@pytest.mark.parametrize(
    ("zone", "latitude", "longitude", "day", "rises", "sets"),
    [  # as almanacs print them
        ("Europe/London", 51.5, -0.13, "2026-06-21", "04:43", "21:21"),
        ("America/New_York", 40.71, -74.01, "2026-06-21", "05:25", "20:31"),
        ("Australia/Sydney", -33.87, 151.21, "2026-12-22", "05:41", "20:05"),
    ],
)
def test_moments_by_the_sun_are_those_of_almanacs(
    zone: str, latitude: float, longitude: float, day: str, rises: str, sets: str
) -> None:
    where = Whereabouts(ZoneInfo(zone), latitude, longitude)
    found = told([start("sunrise"), start("sunset")], where, day, day)
    for text, expected in zip(found, (rises, sets), strict=True):
        assert abs(datetime.strptime(text[6:], "%H:%M") - datetime.strptime(expected, "%H:%M")) <= timedelta(minutes=1)  # noqa: DTZ007


def test_moments_by_the_sun_are_put_off_by_what_is_added() -> None:
    almanac, (begin, end) = Almanac(), (at("2026-11-23T00:00+08:00"), at("2026-11-24T00:00+08:00"))
    starts = [start(text) for text in ("sunrise-00:30", "sunrise", "sunset", "sunset+01:15")]
    before, rises, sets, after = (moment.at_ms for moment in almanac.moments(starts, BALIKPAPAN, begin, end))
    assert (rises - before, after - sets) == (HOUR // 2, HOUR * 5 // 4)


def test_moments_by_the_sun_are_one_a_day_wherever_the_site_is() -> None:
    for zone, longitude in (("Pacific/Kiritimati", -157.4), ("Pacific/Pago_Pago", -170.7), ("Asia/Jayapura", 140.7)):
        where = Whereabouts(ZoneInfo(zone), 1.87, longitude)
        for event in ("sunrise", "sunset"):
            moments = Almanac().moments([start(event)], where, at("2026-01-01T00:00Z"), at("2027-01-01T00:00Z"))
            assert len(moments) in (364, 365, 366)
            assert all(DAY - 120_000 < second.at_ms - first.at_ms < DAY + 120_000 for first, second in pairwise(moments))
            hours = {datetime.fromtimestamp(moment.at_ms / 1000, where.zone).hour for moment in moments}
            assert hours <= ({5, 6, 7} if event == "sunrise" else {17, 18, 19}), (zone, event, hours)
            assert all(datetime.fromtimestamp(moment.at_ms / 1000, where.zone).date() == moment.day for moment in moments), (
                "a rising belongs to the date on which it is seen"
            )


def test_moments_by_the_sun_are_none_in_a_polar_night_and_without_a_position() -> None:
    assert told([start("sunrise")], TROMSO, "2026-12-10", "2026-12-20") == []
    assert told([start("sunrise")], Whereabouts(MAKASSAR), "2026-11-23", "2026-11-24") == []


def test_moments_come_once_a_day_when_clocks_are_moved() -> None:
    berlin = Whereabouts(BERLIN)
    assert told([start("02:30")], berlin, "2026-03-28", "2026-03-30") == ["03-28 02:30", "03-29 03:30", "03-30 02:30"]
    (moment,) = Almanac().moments([start("02:30")], berlin, at("2026-10-25T00:00+02:00"), at("2026-10-25T12:00+01:00"))
    assert moment.at_ms == at("2026-10-25T02:30+02:00")


def test_moments_of_every_day_include_the_leap_day() -> None:
    found = told(
        [start(days={"type": "interval", "every_days": 2, "counted_from": "2028-02-27"})],
        BALIKPAPAN,
        "2028-02-27",
        "2028-03-04",
    )
    assert found == ["02-27 05:30", "02-29 05:30", "03-02 05:30", "03-04 05:30"]


@given(
    freq=st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    interval=st.integers(1, 9),
    count=st.none() | st.integers(1, 30),
    by=st.sampled_from(["", ";BYMONTH=3,11", ";BYDAY=MO,TH", ";BYMONTHDAY=-1"]),
    counted_from=st.dates(date(2020, 1, 1), date(2026, 12, 31)),
    first=st.dates(date(2024, 1, 1), date(2028, 12, 31)),
)
def test_moments_by_a_rule_are_those_of_dateutil(
    freq: str, interval: int, count: int | None, by: str, counted_from: date, first: date
) -> None:
    assume(freq in ("MONTHLY", "YEARLY") or (freq, by) == ("WEEKLY", ";BYDAY=MO,TH") or by in ("", ";BYMONTH=3,11"))
    assume(interval == 1 or "BYMONTH=" not in by)  # or it may fit no date
    text = f"FREQ={freq};INTERVAL={interval}{by}" + (f";COUNT={count}" if count else "")
    last = first + timedelta(days=60)
    begin = datetime(counted_from.year, counted_from.month, counted_from.day)  # noqa: DTZ001 - as in a rule of dates
    bounded = rrulestr(text.replace(f";COUNT={count}", "") + ";UNTIL=20300101", dtstart=begin)
    expected = [day.date() for day in list(bounded)[:count] if first <= day.date() <= last]
    days = {"type": "rrule", "rrule": text, "counted_from": counted_from.isoformat()}
    assert [text[:5] for text in told([start(days=days)], BALIKPAPAN, str(first), str(last))] == [
        day.strftime("%m-%d") for day in expected
    ]


@given(
    cuts=st.lists(st.integers(0, 40 * 24), min_size=1, max_size=10),
    at_text=st.sampled_from(["00:00", "02:30", "23:59", "sunrise+23:59", "sunset-12:00"]),
)
def test_moments_of_a_range_cut_anywhere_are_those_of_the_whole(cuts: list[int], at_text: str) -> None:
    where, begin = Whereabouts(BERLIN, 52.5, 13.4), at("2026-03-10T00:00Z")
    starts = [start(at_text), start("07:00", days={"type": "odd"})]
    edges = sorted({0, 40 * 24, *cuts})
    almanac = Almanac()
    parts = [
        moment
        for first, second in pairwise(edges)
        for moment in almanac.moments(starts, where, begin + first * HOUR, begin + second * HOUR)
    ]
    assert parts == almanac.moments(starts, where, begin, begin + 40 * DAY)


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": "5:30"},
        {"time": "24:00"},
        {"time": "noon"},
        {"time": "sunrise+5"},
        {"days": {"type": "weekly", "weekdays": []}},
        {"days": {"type": "weekly", "weekdays": ["xx"]}},
        {"days": {"type": "interval", "every_days": 0, "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=HOURLY", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;BYHOUR=5", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=MONTHLY;BYMONTH=4;BYMONTHDAY=31", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;INTERVAL=7;BYDAY=TU", "counted_from": "2026-11-23"}},
        {"days": {"type": "rrule", "rrule": "FREQ=WEEKLY;BYDAY=XX", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "DTSTART:20260101\nRRULE:FREQ=DAILY", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;FREQ=WEEKLY", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY", "counted_from": "1970-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;INTERVAL=0", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "INTERVAL=2", "counted_from": "2026-01-01"}},
        {"first": "2026-02-01", "last": "2026-01-31"},
        {"first": "2026-02-30"},
        {"first": "2100-01-01"},
        {"days": {"type": "interval", "every_days": 2, "counted_from": "9999-12-31"}},
        {"days": {"type": "rrule", "rrule": "FREQ=YEARLY;BYDAY=60MO", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=MONTHLY;BYDAY=6MO", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=300", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=MONTHLY;BYMONTH=2", "counted_from": "2026-01-31"}},
        {"days": {"type": "rrule", "rrule": "FREQ=MONTHLY;INTERVAL=2;BYMONTH=2", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=WEEKLY;BYMONTH=13", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;INTERVAL=x", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;COUNT=3;UNTIL=20270101", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;COUNT=99999999999999999999", "counted_from": "2026-01-01"}},
        {"days": {"type": "rrule", "rrule": "FREQ=DAILY;UNTIL=20200101", "counted_from": "2026-01-01"}},
    ],
)
def test_a_start_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        start(**wrong)


@pytest.mark.parametrize(
    ("rule", "counted_from"),
    [
        ("FREQ=YEARLY", "2024-02-29"),
        ("FREQ=MONTHLY", "2024-02-29"),
        ("FREQ=MONTHLY;INTERVAL=7;BYMONTHDAY=31", "2026-02-01"),
        ("FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29", "2026-01-01"),
        ("FREQ=YEARLY;BYDAY=53FR", "2026-01-01"),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "2026-01-01"),
        ("FREQ=YEARLY;BYSETPOS=-1;BYDAY=SU;COUNT=100000", "2026-01-01"),
        ("FREQ=YEARLY;UNTIL=99991231", "2099-12-31"),
    ],
)
def test_a_rule_whose_dates_are_rare_is_taken(rule: str, counted_from: str) -> None:
    assert start(days={"type": "rrule", "rrule": rule, "counted_from": counted_from}).days.type == "rrule"
