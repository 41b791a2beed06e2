# SPDX-License-Identifier: Apache-2.0
"""What was measured around an act, and the verdict on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.proof import FINDINGS, VERDICTS, FeedEvidence, ProofConfig, WaterEvidence, judge_feed, judge_water
from control.proofs import DISPROVED_BY
from control.sentences.proofs import FINDING_WORDS, VERDICT_WORDS

CONFIG = ProofConfig()
RUN = WaterEvidence(
    state="done", asked_l=120.0, result_l=120.0, seconds=600.0, rated_l_min=12.0, total_l=120.0, flow_l_min=12.0
)
MEAL = FeedEvidence(state="done", asked_g=250.0, result_g=250.0, fell_g=248.0, left_g=9000.0, counted_g=250.0, current_a=1.2)
AMOUNTS = st.none() | st.floats(-1e4, 1e4, allow_nan=False)


def water(**seen: object) -> tuple[str, str | None]:
    proof = judge_water(replace(RUN, **seen), CONFIG)  # type: ignore[arg-type]
    return proof.verdict, proof.finding


def feed(**seen: object) -> tuple[str, str | None]:
    proof = judge_feed(replace(MEAL, **seen), CONFIG)  # type: ignore[arg-type]
    return proof.verdict, proof.finding


@pytest.mark.parametrize(
    ("litres", "verdict"),
    [
        (0.0, ("disproved", "no-water")),
        (5.0, ("disproved", "no-water")),
        (40.0, ("disproved", "clogged")),
        (70.0, ("doubtful", "clogged")),
        (96.0, ("proved", None)),
        (120.0, ("proved", None)),
        (150.0, ("proved", None)),
        (160.0, ("doubtful", "burst")),
        (190.0, ("disproved", "burst")),
    ],
)
def test_judge_water_by_the_meter_s_total_tells_too_little_enough_and_too_much(
    litres: float, verdict: tuple[str, str | None]
) -> None:
    assert water(total_l=litres, result_l=None) == verdict


@pytest.mark.parametrize(
    ("flow", "verdict"), [(0.0, ("disproved", "no-water")), (4.8, ("disproved", "clogged")), (12.2, ("proved", None))]
)
def test_judge_water_without_a_total_goes_by_the_flow(flow: float, verdict: tuple[str, str | None]) -> None:
    assert water(total_l=None, flow_l_min=flow, result_l=None) == verdict


def test_judge_water_without_a_meter_has_no_evidence_whatever_the_device_says() -> None:
    assert water(total_l=None, flow_l_min=None) == ("no-evidence", "no-meter")
    assert water(total_l=None, flow_l_min=None, heard=False) == ("no-evidence", "no-readings")


def test_judge_water_without_a_meter_and_soil_that_got_wetter_proves_nothing() -> None:
    assert water(total_l=None, flow_l_min=None, rise=0.06, dose_rise=0.08) == ("no-evidence", "no-meter")


@pytest.mark.parametrize("metered", [{}, {"total_l": None, "flow_l_min": None}])
def test_judge_water_with_soil_that_did_not_get_wetter_by_a_visible_dose_is_doubtful(metered: dict[str, None]) -> None:
    assert water(rise=0.004, dose_rise=0.08, **metered) == ("doubtful", "no-rise")
    assert water(rise=0.004, dose_rise=0.02, **metered)[1] != "no-rise"  # too small a dose to be seen


def test_judge_water_with_a_device_that_says_more_than_the_meter_is_doubtful() -> None:
    assert water(result_l=180.0) == ("doubtful", "result-differs")


def test_judge_water_with_flow_later_than_the_zone_allows_is_doubtful() -> None:
    assert water(flow_after_s=90.0, dry_until_s=60.0, flow_within_s=30.0) == ("doubtful", "late-flow")
    assert water(flow_after_s=90.0, dry_until_s=60.0, flow_within_s=60.0) == ("proved", None)


def test_judge_water_too_small_for_the_meter_has_no_evidence() -> None:
    assert water(seconds=4.0, total_l=0.0, result_l=None) == ("no-evidence", "too-little")


def test_judge_water_gives_the_meter_its_resolution() -> None:
    # 10 s of 12 L/min are 2 L: a meter that counts whole litres may say 1 or 3.
    assert [water(seconds=10.0, total_l=litres, result_l=None)[0] for litres in (1.0, 2.0, 3.0)] == ["proved"] * 3
    assert water(seconds=10.0, total_l=0.0, result_l=None) == ("disproved", "no-water")


def test_judge_water_failed_by_its_own_word_is_disproved_unless_nearly_all_came() -> None:
    failed = {"state": "failed", "word": "no-flow", "seconds": 20.0}
    assert water(**failed, total_l=0.0, result_l=0.0) == ("disproved", "no-water")
    assert water(**failed, total_l=None, flow_l_min=None, result_l=None) == ("disproved", "no-water")
    assert water(**failed, total_l=118.0, result_l=118.0) == ("doubtful", "no-water")
    assert water(state="failed", word="hardware") == ("doubtful", "hardware")


def test_judge_water_broken_off_is_never_proved_nor_disproved() -> None:
    assert water(state="indeterminate", seconds=None, total_l=0.0) == ("doubtful", "interrupted")
    assert water(state="indeterminate", total_l=None, flow_l_min=None) == ("no-evidence", "interrupted")


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ({}, ("proved", None)),
        ({"fell_g": 0.0, "current_a": 4.5}, ("disproved", "jam")),
        ({"fell_g": 0.0, "current_a": 0.4}, ("disproved", "hopper-empty")),
        ({"fell_g": 0.0, "current_a": None}, ("disproved", "not-fed")),
        ({"fell_g": 0.0, "left_g": 0.0, "current_a": None}, ("disproved", "hopper-empty")),
        ({"fell_g": 0.0, "current_a": 1.9, "usual_a": 0.8}, ("disproved", "jam")),
        ({"fell_g": 0.0, "current_a": 1.9, "usual_a": 1.9}, ("disproved", "not-fed")),
        ({"fell_g": 170.0}, ("doubtful", "not-fed")),
        ({"fell_g": 500.0}, ("disproved", "overfed")),
        ({"fell_g": -6000.0}, ("no-evidence", "refilled")),
        ({"fell_g": None, "left_g": None}, ("no-evidence", "no-meter")),
        ({"fell_g": None, "left_g": None, "counted_g": 0.0, "current_a": 4.5}, ("disproved", "jam")),
        ({"fell_g": None, "left_g": None, "counted_g": None, "heard": False}, ("no-evidence", "no-readings")),
        ({"asked_g": 30.0, "result_g": 30.0, "fell_g": 0.0}, ("no-evidence", "too-little")),
        ({"state": "failed", "word": "jam", "fell_g": 0.0, "result_g": 0.0}, ("disproved", "jam")),
        ({"state": "failed", "word": "hopper-empty", "fell_g": 240.0}, ("doubtful", "hopper-empty")),
        ({"state": "indeterminate", "result_g": None}, ("doubtful", "interrupted")),
    ],
)
def test_judge_feed_tells_by_scale_count_current_and_word(seen: dict[str, object], verdict: tuple[str, str | None]) -> None:
    assert feed(**seen) == verdict


@given(st.sampled_from(["done", "failed", "indeterminate"]), AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.booleans())
def test_judge_whatever_is_seen_gives_a_verdict_with_its_finding_and_numbers(
    state: str, a: float | None, b: float | None, c: float | None, d: float | None, e: float | None, heard: bool
) -> None:
    seen = WaterEvidence(state, None, a, b, c, d, e, heard=heard)
    meal = FeedEvidence(state, None, a, b, c, d, e, heard=heard)
    for proof, measured in ((judge_water(seen, CONFIG), e), (judge_feed(meal, CONFIG), c)):
        assert proof.verdict in VERDICTS
        assert proof.finding is None or proof.finding in FINDINGS
        assert (proof.finding is None) == (proof.verdict == "proved")
        assert measured is not None or proof.verdict != "proved"


def test_findings_and_verdicts_have_their_words_and_what_disproves_has_an_alarm() -> None:
    assert tuple(FINDING_WORDS) == FINDINGS
    assert tuple(VERDICT_WORDS) == VERDICTS
    assert set(DISPROVED_BY) <= set(FINDINGS)
