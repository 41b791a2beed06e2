# SPDX-License-Identifier: Apache-2.0
"""Sentences in both languages."""

from __future__ import annotations

import pytest

from control.records import Act, Decision
from control.sentences import act_sentence, decision_sentence, sentences
from control.states import STATES
from rules.reasons import Reason, names

NUMBERS: dict[str, float | bool | None] = {
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


def decision(acted: bool, kind: str, *reasons: str, inputs: dict[str, float | bool | None] = NUMBERS) -> Decision:
    return Decision(1, "pilot:garden:1", 0, kind, acted, reasons, inputs, None)


def act(state: str, **changes: object) -> Act:
    values: dict[str, object] = dict.fromkeys(Act.__dataclass_fields__)
    return Act(**{**values, "action": "irrigate", "state": state, **changes})  # type: ignore[arg-type]


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
        "Watering 120 L in 600 s: soil moisture is 16.1%, below 22.0%; cut to the longest run."
    )
    found = decision(True, "feeding", "meal-due", "oxygen-reduced")
    assert decision_sentence(found, "id") == ("Memberi pakan 125 g: waktunya makan; porsi dikurangi karena oksigen 3.5 mg/L.")


def test_decision_sentence_that_holds_back_names_the_weightiest_reason() -> None:
    found = decision(False, "irrigation", "dry", "outside-hours", "stale-reading")
    assert decision_sentence(found, "en") == "Not watering: the sensor's reading is 1200 s old."


def test_decision_sentence_with_a_number_that_was_none_shows_a_question_mark() -> None:
    assert decision_sentence(decision(False, "feeding", "meal-gap"), "en") == "Not feeding: the last meal was only ? s ago."


def test_act_sentence_tells_what_was_truly_done_and_the_reason() -> None:
    found = act("done", litres=120.0, result_litres=84.2, reason="stopped")
    assert act_sentence(found, "en") == "Watering 84 L: done (stopped)."
