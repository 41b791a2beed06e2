# SPDX-License-Identifier: Apache-2.0
"""What was decided, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from control.records import Decision, Seen
from control.sentences.numbers import Language, Words, fill, which
from control.sentences.reasons import ACTING, LESSENING, REASONS

__all__ = ["decision_sentence", "decision_why"]

_DOES: Final[dict[str, Words]] = {
    "irrigation": ("Menyiram {litres:.0f} L selama {seconds:span}", "Watering {litres:.0f} L in {seconds:span}"),
    "feeding": ("Memberi pakan {grams:.0f} g", "Feeding {grams:.0f} g"),
}
_DOES_NOT: Final[dict[str, Words]] = {
    "irrigation": ("Tidak menyiram", "Not watering"),
    "feeding": ("Tidak memberi pakan", "Not feeding"),
}
_PUT_OFF: Final = ("paused", "rain_delay", "skipped_once")  # by a person, perhaps until some time


def decision_sentence(decision: Decision, language: Language) -> str:
    """Return one sentence: what was decided and why."""
    heads = _DOES if decision.acted else _DOES_NOT
    head = fill(heads.get(decision.kind, heads["irrigation"])[which(language)], decision.inputs, language)
    why = decision_why(decision, language)
    return head + (f": {why}" if why else "") + "."


def decision_why(decision: Decision, language: Language) -> str:
    """Return the reasons alone: of an act all that speak for it and lessen it, otherwise what weighs most against it."""
    if decision.acted:
        told: list[str] = [name for name in (*ACTING, *LESSENING) if name in decision.reasons]
    else:
        told = [name for name in REASONS if name in decision.reasons][:1]
    put_off = {name: _put_off(name, decision.inputs, language) for name in _PUT_OFF}
    return fill("; ".join(REASONS[name][which(language)] for name in told), {**decision.inputs, **put_off}, language)


def _put_off(name: str, inputs: Mapping[str, Seen], language: Language) -> str:
    by, until = inputs.get(f"{name}_by"), inputs.get(f"{name}_until")
    words, mark = (("oleh", "sampai"), ".") if language == "id" else (("by", "until"), ":")
    who = f" {words[0]} {by}" if by else ""
    return f"{who} {words[1]} {str(until).replace(':', mark)}" if until else who
