# SPDX-License-Identifier: Apache-2.0
"""Sentences in both languages."""

from __future__ import annotations

import pytest

from control.records import Act, Decision, Seen
from control.sentences import act_sentence, decision_sentence, sentences
from control.sentences.acts import CAUSES
from control.sentences.numbers import Language, fill, span
from control.states import STATES
from rules.reasons import Reason, names

NUMBERS: dict[str, Seen] = {
    "soil_moisture": 0.161,
    "low": 0.22,
    "high": 0.3,
    "litres": 120.0,
    "seconds": 600.0,
    "grams": 125.0,
    "dissolved_oxygen": 3.5,
    "oxygen_stop": 3.0,
    "age_s": 1200.0,
    "since_last_s": None,
}


def decision(acted: bool, kind: str, *reasons: str, inputs: dict[str, Seen] = NUMBERS) -> Decision:
    return Decision(1, "pilot:garden:1", 0, kind, acted, reasons, inputs, None)


def act(state: str, **changes: object) -> Act:
    values: dict[str, object] = dict.fromkeys(Act.__dataclass_fields__)
    return Act(**{**values, "action": "irrigate", "state": state, "part": 1, "parts": 1, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("kind", ["irrigation", "feeding"])
def test_decision_sentence_knows_every_reason_of_the_rules_even_without_numbers(reason: Reason, kind: str) -> None:
    both = sentences(decision(False, kind, *names(reason), inputs={}))
    assert all(": " in text and text.endswith(".") and "{" not in text for text in both.values())
    assert both["id"] != both["en"]


@pytest.mark.parametrize("state", STATES)
def test_act_sentence_knows_every_state(state: str) -> None:
    both = sentences(act(state, litres=120.0))
    assert both["id"].startswith("Penyiraman 120 L: ")
    assert both["en"].startswith("Watering 120 L: ")


def test_decision_sentence_that_acts_says_how_much_and_why() -> None:
    found = decision(True, "irrigation", "dry", "max-run-clipped")
    assert decision_sentence(found, "en") == (
        "Watering 120 L in 10 min: soil moisture is 16.1%, below 22%; cut to the longest run."
    )
    found = decision(True, "feeding", "meal-due", "oxygen-reduced")
    assert decision_sentence(found, "id") == "Memberi pakan 125 g: jam pakan tiba; porsi dikurangi karena oksigen 3,5 mg/L."


@pytest.mark.parametrize(
    ("reason", "inputs", "indonesian", "english"),
    [
        ("paused", {}, "dijeda", "paused"),
        (
            "paused",
            {"paused_by": "Sari", "paused_until": "14:00"},
            "dijeda oleh Sari sampai 14.00",
            "paused by Sari until 14:00",
        ),
        ("rain-delay", {"rain_delay_by": "Sari"}, "ditunda karena hujan oleh Sari", "put off because of rain by Sari"),
        ("skipped-once", {"skipped_once_by": "Sari"}, "dilewati sekali oleh Sari", "skipped once by Sari"),
    ],
)
def test_decision_sentence_of_what_a_person_put_off_names_who_and_until_when(
    reason: str, inputs: dict[str, Seen], indonesian: str, english: str
) -> None:
    found = decision(False, "timer", "run-due", "offline", reason, inputs=inputs)
    assert decision_sentence(found, "id") == f"Tidak menyiram: {indonesian}."
    assert decision_sentence(found, "en") == f"Not watering: {english}."


def test_decision_sentence_that_holds_back_names_the_weightiest_reason() -> None:
    found = decision(False, "irrigation", "dry", "outside-hours", "stale-reading")
    assert decision_sentence(found, "en") == "Not watering: the sensor's reading is 20 min old."


def test_decision_sentence_with_a_number_that_was_none_shows_a_question_mark() -> None:
    assert decision_sentence(decision(False, "feeding", "meal-gap"), "en") == "Not feeding: the last meal was only ? ago."


def test_act_sentence_tells_what_was_truly_done_and_the_reason() -> None:
    found = act("done", litres=120.0, result_litres=84.2, reason="stopped")
    assert act_sentence(found, "en") == "Watering 84 L: done (stopped)."


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_act_sentence_tells_each_reason_in_both_languages(cause: str) -> None:
    both = sentences(act("failed", reason=cause))
    assert both["id"] == f"Penyiraman: gagal ({CAUSES[cause][0]})."
    assert both["en"] == f"Watering: failed ({CAUSES[cause][1]})."


def test_act_sentence_with_a_reason_of_the_rules_or_of_tomorrow_still_tells_it() -> None:
    assert act_sentence(act("skipped", reason="offline"), "en") == "Watering: skipped (the device is not connected)."
    assert act_sentence(act("failed", reason="valve-frozen"), "id") == "Penyiraman: gagal (valve-frozen)."


@pytest.mark.parametrize(
    ("seconds", "indonesian", "english"),
    [
        (0.0, "0 detik", "0 s"),
        (119.0, "119 detik", "119 s"),
        (120.0, "2 menit", "2 min"),
        (7_199.0, "120 menit", "120 min"),
        (7_200.0, "2 jam", "2 h"),
        (172_800.0, "2 hari", "2 days"),
    ],
)
def test_span_takes_the_largest_unit_of_which_there_are_two(seconds: float, indonesian: str, english: str) -> None:
    assert (span(seconds, "id"), span(seconds, "en")) == (indonesian, english)


@pytest.mark.parametrize(
    ("language", "expected"),
    [("id", "31 % 0,5 7 -0,1 ? ? ? ? pompa"), ("en", "31% 0.5 7 -0.1 ? ? ? ? pompa")],
)
def test_fill_writes_numbers_as_the_language_does_and_gaps_as_question_marks(language: Language, expected: str) -> None:
    values = {"a": 0.31, "b": 0.5, "c": 7.0, "d": -0.1, "e": None, "f": float("nan"), "g": float("inf"), "word": "pompa"}
    words = "{a:.1%} {b:.1f} {c:.0f} {d:.2f} {e:.1f} {f:span} {g:.0f} {missing:.1%} {word}"
    assert fill(words, values, language) == expected
