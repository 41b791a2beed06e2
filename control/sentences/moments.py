# SPDX-License-Identifier: Apache-2.0
"""What became of a planned moment, also where there is no act of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from control.records import Act, Decision, Seen
from control.sentences.acts import ACTIONS, CAUSES, act_sentence, reason_words
from control.sentences.decisions import decision_why
from control.sentences.numbers import Language, Words, number, which
from control.sentences.proofs import proof_sentence
from control.sentences.reasons import REASONS

__all__ = ["MOMENTS", "act_because", "moment_sentence"]

# States of a planned moment without an act.
MOMENTS: Final[dict[str, Words]] = {
    "ahead": ("belum waktunya", "still to come"),
    "waiting": ("menunggu", "waits"),
    "quiet": ("tidak perlu", "not needed"),
    "without-row": ("TIDAK TERCATAT: tidak ada catatannya di buku tindakan", "WITHOUT A ROW: the ledger knows nothing of it"),
}


def moment_sentence(
    state: str, action: str, litres: float | None, grams: float | None, decision: Decision | None, language: Language
) -> str:
    """Return one sentence on a planned moment of which there is no act; `decision` is what held it."""
    head = ACTIONS[action][which(language)]
    amounts = [f" {number(value, 0, language)} {unit}" for value, unit in ((litres, "L"), (grams, "g")) if value is not None]
    why = "" if decision is None or state == "without-row" else decision_why(decision, language)
    return f"{head}{''.join(amounts)}: {MOMENTS[state][which(language)]}{f': {why}' if why else ''}."


def act_because(act: Act, held_by: Iterable[str], decision: Decision | None, language: Language) -> str:
    """Return the sentence of an act with why it was, what held it back or was seen, and whether it had its effect.

    Parameters
    ----------
    held_by : iterable of str
        Names of reasons that held it, where it was left out.
    decision : Decision or None
        What it rests on, with the numbers that were seen.
    """
    said = act_sentence(act, language)
    inputs: Mapping[str, Seen] = {} if decision is None else decision.inputs
    if act.state == "skipped":
        names = tuple(name for name in held_by if name in REASONS)
        causes = [reason_words(name, language) for name in held_by if name in CAUSES and name not in REASONS]
        why = "; ".join(causes) or decision_why(Decision(0, act.zone_key or "", 0, "", False, names, inputs, None), language)
    else:
        why = "" if decision is None or not decision.acted or decision.kind == "timer" else decision_why(decision, language)
    told = f"{said[:-1]}; {why}." if why else said
    proof = proof_sentence(act, language)
    return f"{told} {proof}" if proof else told
